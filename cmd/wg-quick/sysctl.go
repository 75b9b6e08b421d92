// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const sysctlDir = "/proc/sys"

// sysctlPath returns the file of a parameter. A name with slashes, as the ones
// of links need whose names have dots, is taken as it is.
func sysctlPath(name string) string {
	if strings.Contains(name, "/") {
		return filepath.Join(sysctlDir, name)
	}
	return filepath.Join(sysctlDir, strings.ReplaceAll(name, ".", "/"))
}

// Sysctl implements [quick.Observer].
func (host) Sysctl(_ context.Context, name string) (string, error) {
	text, err := os.ReadFile(sysctlPath(name))
	if err != nil {
		return "", fmt.Errorf("sysctl %s: %w", name, err)
	}
	return strings.TrimSpace(string(text)), nil
}

// SetSysctl implements [plan.Sysctl].
func (host) SetSysctl(_ context.Context, name, value string) error {
	err := os.WriteFile(sysctlPath(name), []byte(value), 0o644)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return &sysctlError{name, value, err}
	}
	return err
}

// NoIPv6 implements [quick.Observer].
func (host) NoIPv6(_ context.Context, dev string) string {
	// The name of a link may have dots in it.
	text, err := os.ReadFile(filepath.Join(sysctlDir, "net/ipv6/conf", dev, "disable_ipv6"))
	switch {
	case errors.Is(err, fs.ErrNotExist) && !exists(filepath.Join(sysctlDir, "net/ipv6")):
		return "the kernel has none"
	case err == nil && strings.TrimSpace(string(text)) == "1":
		return fmt.Sprintf("net.ipv6.conf.%s.disable_ipv6 is 1", dev)
	}
	return ""
}

// A sysctlError says that a parameter can't be set here, as in a container.
type sysctlError struct {
	name, value string
	err         error
}

// Error returns the cause.
func (e *sysctlError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *sysctlError) Unwrap() error { return e.err }

// Advice says how the parameter is set from outside.
func (e *sysctlError) Advice() []string {
	set := e.name + "=" + e.value
	return []string{
		"hint: parameters of the kernel are read-only here, as in a container; set this one from outside:",
		"hint:   docker or podman: run --sysctl " + set,
		fmt.Sprintf("hint:   docker compose: sysctls: [%s]", set),
		fmt.Sprintf("hint:   kubernetes: spec.securityContext.sysctls: [{name: %s, value: %q}]", e.name, e.value),
	}
}

// Advertised implements [quick.Observer].
func (h host) Advertised(ctx context.Context) (links []string, err error) {
	text, err := os.ReadFile("/proc/thread-self/net/ipv6_route")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no IPv6
	}
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(text)) {
		// Destination, its length, source, its length, next hop, metric,
		// references, uses, flags, link.
		words := strings.Fields(line)
		if len(words) != 10 {
			continue
		}
		const advertised = unix.RTF_DEFAULT | unix.RTF_ADDRCONF
		flags, err := strconv.ParseUint(words[8], 16, 32)
		if link := words[9]; err == nil && flags&advertised == advertised && !slices.Contains(links, link) {
			if v, err := h.Sysctl(ctx, "net/ipv6/conf/"+link+"/accept_ra"); err == nil && v == "1" {
				links = append(links, link)
			}
		}
	}
	return links, nil
}
