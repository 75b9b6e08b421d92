// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"

	"wgtools/internal/netlinkwg"
)

// deviceAdvice says what to do about a device that can't be read or configured.
func deviceAdvice(ctx context.Context, client netlinkwg.Client, name string, err error) []string {
	if e, ok := errors.AsType[*netlinkwg.RemoveError](err); ok {
		return e.Advice()
	}
	switch {
	case errors.Is(err, syscall.ENODEV):
		return []string{fmt.Sprintf("hint: there is no link `%s'; %s", name, others(ctx, client))}
	case errors.Is(err, syscall.EPROTONOSUPPORT):
		return []string{fmt.Sprintf("hint: the kernel has no WireGuard (Linux 5.6 and later have it: modprobe wireguard), "+
			"and no program serves a device `%s'; %s", name, others(ctx, client))}
	case errors.Is(err, syscall.EOPNOTSUPP):
		return []string{fmt.Sprintf("hint: `%s' exists, but it is no WireGuard link; %s", name, others(ctx, client))}
	case errors.Is(err, syscall.EPERM):
		return []string{"hint: this needs root, or the capability CAP_NET_ADMIN in the network namespace"}
	case errors.Is(err, syscall.EACCES):
		return []string{fmt.Sprintf("hint: only root, or the owner of /var/run/wireguard/%s.sock, may talk to this device", name)}
	case errors.Is(err, syscall.EADDRINUSE):
		return []string{"hint: another program uses that port; `ss -ulpn' shows which"}
	case errors.Is(err, syscall.ENAMETOOLONG):
		return []string{"hint: the name of a link has at most 15 bytes"}
	case errors.Is(err, syscall.ETIMEDOUT):
		return []string{fmt.Sprintf("hint: the program that serves `%s' takes connections but doesn't answer; restart it", name)}
	case errors.Is(err, syscall.EPROTO):
		return []string{fmt.Sprintf("hint: what the program that serves `%s' answered is not the WireGuard protocol, or was cut short", name)}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return []string{fmt.Sprintf("hint: the program that serves `%s' hung up", name)}
	case errors.Is(err, syscall.ENETUNREACH):
		return []string{fmt.Sprintf("hint: %v", err)}
	}
	return nil
}

// others says which devices there are.
func others(ctx context.Context, client netlinkwg.Client) string {
	names, err := client.List(ctx)
	switch {
	case err != nil || len(names) == 0:
		return "there is no WireGuard device here"
	case len(names) > 10:
		return fmt.Sprintf("there are %s and %d more", strings.Join(names[:10], ", "), len(names)-10)
	}
	return "there is " + strings.Join(names, ", ")
}

// listAdvice says what to do when the devices can't be listed.
func listAdvice(err error) []string {
	if errors.Is(err, syscall.EACCES) {
		return []string{"hint: /var/run/wireguard can't be read; become root"}
	}
	return nil
}
