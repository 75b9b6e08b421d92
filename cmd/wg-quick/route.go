// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"

	"github.com/spf13/cobra"

	"wgtools/internal/config"
	"wgtools/internal/doctor"
	"wgtools/internal/keys"
	"wgtools/internal/routing"
	"wgtools/internal/rtnl"
)

// The exit statuses of route and doctor, besides 0.
const (
	notSo    = status(1) // a packet doesn't go through, something is wrong
	cantLook = status(2)
)

const routeLong = `says how a packet to ADDRESS goes: the rule, the table, the route, the link, the
peer by its allowed IPs, its endpoint, the uplink there, and the largest packet.
Nothing is sent and nothing is changed.

Exit status: 0 if it goes through the tunnel to a peer, 1 if not, 2 if that
can't be told.`

func (a *app) routeCommand() *cobra.Command {
	c := a.subcommand("route INTERFACE ADDRESS", "says how a packet to ADDRESS goes, through the tunnel or not", func(ctx context.Context, args []string) error {
		if len(args) != 2 {
			return errUsage
		}
		if err := a.needRoot(); err != nil {
			return err
		}
		t, err := a.route(ctx, args[0], args[1])
		if err != nil {
			a.report(err)
			return cantLook
		}
		if a.json {
			err = a.printJSON(t.Report())
		} else {
			for _, line := range t.Lines() {
				fmt.Fprintf(a.Out, "%-9s %s\n", line.Label+":", line.Text)
			}
		}
		if err == nil && !t.Arrives() {
			err = notSo
		}
		return err
	}, asJSON, tunnels(1, running))
	c.Long = routeLong
	return c
}

func (a *app) route(ctx context.Context, arg, address string) (t *doctor.Trace, err error) {
	to, err := a.address(address)
	if err != nil {
		return nil, err
	}
	dev, path := a.tunnelOf(arg)
	err = a.onHost(func(h host) error {
		if err := a.sessionOn(ctx, h).RequireDevice(ctx, dev); err != nil {
			return err
		}
		claim := doctor.Claim{To: to}
		if err := h.client.Read(ctx, dev, &claim); err != nil {
			return fmt.Errorf("read the device %s: %w", dev, err)
		}
		wayBy := func(k *rtnl.Kernel) func(to netip.Addr, mark uint32) (*routing.Way, error) {
			return func(to netip.Addr, mark uint32) (*routing.Way, error) { return k.Way(ctx, to, mark) }
		}
		if t, err = doctor.NewTrace(dev, claim, peerNames(ctx, path), wayBy(h.Kernel), wayBy(h.birth)); err == nil {
			t.Apart = a.home != nil
		}
		return err
	})
	return t, err
}

// address returns what the text of an address means.
func (a *app) address(text string) (netip.Addr, error) {
	to, err := netip.ParseAddr(text)
	if err != nil {
		err = &problem{line: fmt.Sprintf("%s: `%s' is not an IP address", a.prog, text), cause: err,
			advice: []string{"hint: one is such as 10.0.0.1 or fd00::1; `getent ahosts NAME' looks a name up"}}
	}
	return to.Unmap(), err
}

// tunnelOf returns the interface that arg names and the path of its file: the
// one that it was brought up with, if it was.
func (a *app) tunnelOf(arg string) (dev, path string) {
	if m := fileName.FindStringSubmatch(arg); m != nil && !bareName.MatchString(arg) {
		return m[2], arg
	}
	if r, err := newJournal(runDir).Read(arg); err == nil && r != nil && r.Config != "" {
		return arg, r.Config
	}
	return arg, filepath.Join(configDir, arg+".conf")
}

// peerNames returns the names that comments of a file give to peers, as far as
// it can be read.
func peerNames(ctx context.Context, path string) map[keys.Key]string {
	text, err := readFile(ctx, path)
	if err != nil {
		return nil
	}
	return config.PeerNames(text)
}
