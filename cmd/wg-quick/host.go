// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/rtnl"
	"wgtools/internal/userspace"
)

// A host is the real one: the kernel, the WireGuard devices and the programs
// behind them.
type host struct {
	*rtnl.Kernel
	client netlinkwg.Client
	app    *app
}

var (
	_ plan.Links     = host{}
	_ plan.Routes    = host{}
	_ plan.Devices   = host{}
	_ plan.Userspace = host{}
	_ plan.Files     = host{}
	_ quick.Observer = host{}
)

// session calls f with a session on the host.
func (a *app) session(f func(s *quick.Session) error) error {
	k, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	h := host{k, netlinkwg.New(), a}
	return f(&quick.Session{
		Tx: &plan.Tx{
			Host:  &plan.Host{Links: h, Devices: h, Userspace: h, Routes: h, Shell: newShell(a), Files: h},
			Trace: a.trace,
		},
		Look:      h,
		Say:       a.say,
		Userspace: a.Getenv("WG_QUICK_USERSPACE_IMPLEMENTATION"),
	})
}

// DelLink implements [plan.Links]: it waits for the program behind the link.
func (h host) DelLink(ctx context.Context, dev string) error {
	p := userspace.Find(dev)
	if err := h.Kernel.DelLink(ctx, dev); err != nil {
		p.Close()
		return err
	}
	p.Wait(ctx)
	return nil
}

// Start implements [plan.Userspace].
func (h host) Start(ctx context.Context, dev, program string) error {
	if program == "" {
		return userspace.Start(ctx, dev)
	}
	return userspace.Run(ctx, program, dev, h.app.Err)
}

// Configure implements [plan.Devices].
func (h host) Configure(ctx context.Context, dev string, c *device.Change) error {
	return h.client.Configure(ctx, dev, c)
}

// Devices implements [quick.Observer].
func (h host) Devices(ctx context.Context) ([]string, error) { return h.client.List(ctx) }

// Peers implements [quick.Observer].
func (h host) Peers(ctx context.Context, dev string) (quick.Peers, error) {
	var s peerSink
	err := h.client.Read(ctx, dev, &s)
	return s.Peers, err
}

// Live implements [quick.Observer].
func (h host) Live(ctx context.Context, dev string) (live config.Live, err error) {
	d, peers, err := netlinkwg.ReadAll(ctx, h.client, dev)
	if err != nil {
		return live, err
	}
	live = config.Live{PrivateKey: d.PrivateKey, ListenPort: d.ListenPort, Fwmark: d.Fwmark, Peers: peers}
	live.Addresses, live.MTU, err = h.AddressesAndMTU(ctx, dev)
	return live, err
}

// A peerSink keeps what routing needs to know of a device.
type peerSink struct{ quick.Peers }

func (s *peerSink) Device(*device.Device) error { return nil }

func (s *peerSink) Peer(p *device.Peer) error {
	s.AllowedIPs = append(s.AllowedIPs, p.AllowedIPs...)
	if p.Endpoint.IsValid() {
		s.Endpoints = append(s.Endpoints, p.Endpoint.Addr())
	}
	return nil
}

func (s *peerSink) Restart() bool { *s = peerSink{}; return true }
