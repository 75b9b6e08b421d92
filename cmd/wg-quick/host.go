// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/dns"
	"wgtools/internal/firewall"
	"wgtools/internal/keys"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/resolve"
	"wgtools/internal/rtnl"
	"wgtools/internal/userspace"
)

// A host is the real one: the kernel, the WireGuard devices and the programs
// behind them.
type host struct {
	*rtnl.Kernel
	*firewall.Firewall
	*dns.Resolver
	client netlinkwg.Client
	app    *app
	birth  *rtnl.Kernel // of the namespace by which packets to peers go
}

var (
	_ plan.Links     = host{}
	_ plan.Routes    = host{}
	_ plan.Devices   = host{}
	_ plan.Userspace = host{}
	_ plan.Firewall  = host{}
	_ plan.Gate      = host{}
	_ plan.DNS       = host{}
	_ plan.Files     = host{}
	_ plan.Sysctl    = host{}
	_ quick.Observer = host{}
)

// locked calls f while no other process works on the tunnel dev.
func (a *app) locked(ctx context.Context, dev string, f func() error) error {
	unlock, err := newJournal(runDir).lock(ctx, dev, false)
	if errors.Is(err, errLocked) {
		return inWork(dev)
	}
	if err != nil {
		return err
	}
	defer unlock()
	defer userspace.Sweep(dev)
	return f()
}

// inWork refuses to do something about a tunnel while somebody else does.
func inWork(dev string) error {
	return &quick.Refusal{
		Text: fmt.Sprintf("`%s' is being brought up or taken down by another process", dev),
		Hint: "wait until that has ended; `pgrep -af wg-quick' shows it",
	}
}

// onHost calls f with the host.
func (a *app) onHost(f func(h host) error) error {
	k, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	h := host{k, firewall.New(), dns.New(a.LookupEnv, a.Err), netlinkwg.New(), a, k}
	if a.home != nil {
		if h.birth, err = a.home.openBirth(); err != nil {
			return err
		}
		defer h.birth.Close()
		h.Resolver = dns.NewFile(a.home.resolvConf())
	}
	return f(h)
}

// names returns what resolves names of endpoints, with the environment that
// lookupEnv tells of.
func (a *app) names(ctx context.Context, lookupEnv func(string) (string, bool)) config.Resolver {
	resolver := resolve.New(ctx, lookupEnv, a.Err)
	names := config.Resolver(resolver)
	if a.deferNames {
		names = &hasty{Resolver: resolver, ctx: ctx}
	}
	if a.home != nil {
		return outside{names}
	}
	return names
}

// session calls f with a session on the host.
func (a *app) session(ctx context.Context, f func(s *quick.Session) error) error {
	return a.onHost(func(h host) error { return f(a.sessionOn(ctx, h)) })
}

// sessionOn returns a session on the host h.
func (a *app) sessionOn(ctx context.Context, h host) *quick.Session {
	s := &quick.Session{
		Tx: &plan.Tx{
			Host: &plan.Host{
				Links: h, Devices: h, Userspace: h, Routes: h, Firewall: h, Gate: h, DNS: h,
				Shell: newShell(a), Files: h, Sysctl: h,
			},
			Trace: a.trace,
		},
		Look:        h,
		Journal:     newJournal(runDir),
		Names:       a.names(ctx, a.LookupEnv),
		Say:         a.say,
		Userspace:   a.Getenv("WG_QUICK_USERSPACE_IMPLEMENTATION"),
		KeepRuntime: a.keepRuntime,
		Outside:     a.home != nil,
		DeferNames:  a.deferNames,
	}
	if a.tamper != nil {
		a.tamper(s)
	}
	if a.dryRun {
		s = s.Rehearsal()
	}
	return s
}

// DelLink implements [plan.Links]: it waits for the program behind the link,
// which takes the link along if it is ours.
func (h host) DelLink(ctx context.Context, dev string) error {
	p := userspace.Find(dev)
	defer p.Close()
	gone, err := h.Kernel.AwaitGone(dev, p.End)
	if !gone && err == nil {
		err = h.Kernel.DelLink(ctx, dev)
	}
	if err == nil {
		p.Wait(ctx)
	}
	return err
}

// Start implements [plan.Userspace].
func (h host) Start(ctx context.Context, dev, program string) error {
	if program == "" {
		return userspace.Start(ctx, dev, h.app.home.deviceOptions())
	}
	if h.app.home != nil {
		return errForeignElsewhere
	}
	return userspace.Run(ctx, program, dev, h.app.Err)
}

// Configure implements [plan.Devices]. A request that was begun is not given
// up: nobody could tell whether it was heard.
func (h host) Configure(ctx context.Context, dev string, c *device.Change) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx = context.WithoutCancel(ctx)
	err := h.client.Configure(ctx, dev, c)
	if _, ok := errors.AsType[*netlinkwg.RemoveError](err); ok {
		return h.client.Configure(ctx, dev, c.Replacing())
	}
	return err
}

// HasWireGuard implements [quick.Observer].
func (h host) HasWireGuard(context.Context) bool { return netlinkwg.KernelHasWireGuard() }

// Devices implements [quick.Observer].
func (h host) Devices(ctx context.Context) ([]string, error) { return h.client.List(ctx) }

// read reads a device. It may vanish while it is read: then the error alone
// would tell nothing.
func (h host) read(ctx context.Context, dev string, sink netlinkwg.Sink) error {
	if err := h.client.Read(ctx, dev, sink); err != nil {
		return fmt.Errorf("read the device `%s': %w", dev, err)
	}
	return nil
}

// Peers implements [quick.Observer].
func (h host) Peers(ctx context.Context, dev string) (quick.Peers, error) {
	var s peerSink
	err := h.read(ctx, dev, &s)
	return s.Peers, err
}

// Some implements [quick.Observer].
func (h host) Some(ctx context.Context, dev string, peers map[keys.Key]bool) (map[keys.Key]device.Peer, error) {
	s := someSink{wanted: peers}
	s.Restart()
	err := h.read(ctx, dev, &s)
	return s.there, err
}

// Link implements [quick.Observer].
func (h host) Link(ctx context.Context, dev string) (quick.Link, error) {
	l, err := h.Kernel.Link(ctx, dev)
	return quick.Link{Index: l.Index, Tunnel: l.Kind == "wireguard" || l.Kind == "tun" || l.Kind == "tuntap", Up: l.Up}, err
}

// Addresses implements [quick.Observer].
func (h host) Addresses(ctx context.Context, dev string) (list []netip.Prefix, mtu int, err error) {
	return h.AddressesAndMTU(ctx, dev)
}

// Difference implements [quick.Observer]. The device is read twice, since only
// all of it tells what differs; so not all of it is kept.
func (h host) Difference(ctx context.Context, dev string, want *device.Change, keepKeys bool) (change, undo *device.Change, err error) {
	d := differenceSink{Sync: device.NewSync(want)}
	d.KeepPresharedKeys, d.Gentle = keepKeys, true
	if err := h.read(ctx, dev, &d); err != nil {
		return nil, nil, err
	}
	change = d.Change()
	change.Omit(&d.device)
	// A device passes over itself as a peer.
	change.Peers = slices.DeleteFunc(slices.Clone(change.Peers), func(p device.PeerChange) bool {
		return !change.PrivateKey.Set && d.device.PublicKey.Set && p.PublicKey == d.device.PublicKey.Value
	})
	if change.IsEmpty() {
		return nil, nil, nil
	}
	back := undoSink{device.NewUndo(change)}
	if err := h.read(ctx, dev, back); err != nil {
		return nil, nil, err
	}
	return change, back.Change(), nil
}

// FirewallKind implements [quick.Observer].
func (h host) FirewallKind(ctx context.Context) string { return h.Firewall.Kind(ctx) }

// FirewallPrograms implements [quick.Observer].
func (h host) FirewallPrograms(ctx context.Context, dev string) ([]string, error) {
	return h.Firewall.Programs(ctx, dev)
}

// DNS implements [quick.Observer].
func (h host) DNS(ctx context.Context, dev string, servers, search []string) (plan.DNSSettings, error) {
	if h.app.home != nil && h.app.home.etc == "" {
		return plan.DNSSettings{}, errNameless
	}
	return h.Resolver.Settings(ctx, dev, servers, search)
}

// Live implements [quick.Observer].
func (h host) Live(ctx context.Context, dev string) (live config.Live, err error) {
	d, peers, err := netlinkwg.ReadAll(ctx, h.client, dev)
	if err != nil {
		return live, fmt.Errorf("read the device `%s': %w", dev, err)
	}
	live = config.Live{PrivateKey: d.PrivateKey, ListenPort: d.ListenPort, Fwmark: d.Fwmark, Peers: peers}
	live.Addresses, live.MTU, err = h.AddressesAndMTU(ctx, dev)
	live.DNS = h.Resolver.Recorded(ctx, dev)
	return live, err
}

// HasDNS implements [quick.Observer].
func (h host) HasDNS(ctx context.Context, s plan.DNSSettings) bool { return h.Resolver.Has(ctx, s) }

// Snapshot implements [quick.Observer].
func (h host) Snapshot(ctx context.Context, dev string) (*device.Snapshot, error) {
	var s snapshotSink
	err := h.read(ctx, dev, &s)
	return &s.Snapshot, err
}

// A snapshotSink makes a [device.Snapshot] of what a client reads.
type snapshotSink struct{ device.Snapshot }

func (s *snapshotSink) Device(d *device.Device) error { s.Snapshot.Device(d); return nil }
func (s *snapshotSink) Peer(p *device.Peer) error     { s.Snapshot.Peer(p); return nil }
func (s *snapshotSink) Restart() bool                 { *s = snapshotSink{}; return true }

// A peerSink keeps what routing needs to know of a device.
type peerSink struct{ quick.Peers }

func (s *peerSink) Device(d *device.Device) error {
	s.Mark = d.Fwmark
	return nil
}

func (s *peerSink) Peer(p *device.Peer) error { s.Add(p); return nil }

func (s *peerSink) Restart() bool { *s = peerSink{}; return true }

// A someSink keeps those of the peers that are wanted.
type someSink struct {
	wanted map[keys.Key]bool
	there  map[keys.Key]device.Peer
}

func (s *someSink) Device(*device.Device) error { return nil }

func (s *someSink) Peer(p *device.Peer) error {
	if s.wanted[p.PublicKey] {
		kept := *p
		kept.AllowedIPs = nil // only lent
		s.there[p.PublicKey] = kept
	}
	return nil
}

func (s *someSink) Restart() bool { s.there = map[keys.Key]device.Peer{}; return true }

// A differenceSink tells a [device.Sync] what a client reads.
type differenceSink struct {
	*device.Sync
	device device.Device
}

func (s *differenceSink) Device(d *device.Device) error { s.device = *d; return nil }
func (s *differenceSink) Peer(p *device.Peer) error     { s.Sync.Peer(p); return nil }
func (s *differenceSink) Restart() bool                 { s.Reset(); return true }

// An undoSink tells a [device.Undo] what a client reads.
type undoSink struct{ *device.Undo }

func (s undoSink) Device(d *device.Device) error { s.Undo.Device(d); return nil }
func (s undoSink) Peer(p *device.Peer) error     { s.Undo.Peer(p); return nil }
func (s undoSink) Restart() bool                 { s.Reset(); return true }
