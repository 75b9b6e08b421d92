// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"slices"

	"wgtools/internal/device"
	"wgtools/internal/plan"
)

// Rehearsal returns a session that goes through the same steps as s would, for
// the sake of their lines, and changes nothing: the host is a model that begins
// as s sees the real one. Hooks are told and not run, so what they would change
// isn't known.
func (s *Session) Rehearsal() *Session {
	r := &rehearsal{Observer: s.Look, Journal: s.Journal, sysctls: map[string]string{}}
	copied := *s
	copied.Look, copied.Journal = r, r
	copied.Tx = &plan.Tx{Trace: s.Tx.Trace, Host: &plan.Host{
		Links: r, Devices: r, Userspace: r, Routes: r, Firewall: r, Gate: r, DNS: r, Shell: r, Files: r, Sysctl: r,
	}}
	return &copied
}

// A rehearsal is the model: what was changed about the one tunnel that a
// session is about. The rest is read from the host.
type rehearsal struct {
	Observer
	Journal
	link      *Link          // nil: as on the host
	addresses *linkAddresses // nil: as on the host
	mark      *uint32        // nil: as on the host
	peers     *[]device.Peer // nil: as on the host
	sysctls   map[string]string
}

// linkAddresses are a link's addresses and its MTU in bytes.
type linkAddresses struct {
	list []netip.Prefix
	mtu  int
}

// made reports whether the link was made in the rehearsal, or deleted.
func (r *rehearsal) made() bool { return r.link != nil }

// Link implements [Observer].
func (r *rehearsal) Link(ctx context.Context, dev string) (Link, error) {
	if r.made() {
		return *r.link, nil
	}
	return r.Observer.Link(ctx, dev)
}

// Devices implements [Observer].
func (r *rehearsal) Devices(ctx context.Context) ([]string, error) {
	names, err := r.Observer.Devices(ctx)
	if errors.Is(err, fs.ErrPermission) && r.made() {
		return nil, nil
	}
	return names, err
}

// Peers implements [Observer].
func (r *rehearsal) Peers(ctx context.Context, dev string) (Peers, error) {
	if r.peers == nil {
		p, err := r.Observer.Peers(ctx, dev)
		if r.mark != nil {
			p.Mark = *r.mark
		}
		return p, err
	}
	var all Peers
	for i := range *r.peers {
		all.Add(&(*r.peers)[i])
	}
	if r.mark != nil {
		all.Mark = *r.mark
	}
	return all, nil
}

// Snapshot implements [Observer]. What was changed in the rehearsal isn't in
// it: a baseline isn't written here.
func (r *rehearsal) Snapshot(ctx context.Context, dev string) (*device.Snapshot, error) {
	if r.made() {
		return &device.Snapshot{}, nil
	}
	return r.Observer.Snapshot(ctx, dev)
}

// Addresses implements [Observer].
func (r *rehearsal) Addresses(ctx context.Context, dev string) ([]netip.Prefix, int, error) {
	a, err := r.linkAddresses(ctx, dev)
	if err != nil {
		return nil, 0, err
	}
	return slices.Clone(a.list), a.mtu, nil
}

func (r *rehearsal) linkAddresses(ctx context.Context, dev string) (*linkAddresses, error) {
	if r.addresses == nil {
		list, mtu, err := r.Observer.Addresses(ctx, dev)
		if err != nil {
			return nil, err
		}
		r.addresses = &linkAddresses{list, mtu}
	}
	return r.addresses, nil
}

// OnLink implements [Observer]: the kernel makes a route to the network of each
// address.
func (r *rehearsal) OnLink(ctx context.Context, dev string) (main []netip.Prefix, added []plan.RouteSet, err error) {
	var before []netip.Prefix
	if !r.made() {
		if main, added, err = r.Observer.OnLink(ctx, dev); err != nil {
			return nil, nil, err
		}
		if before, _, err = r.Observer.Addresses(ctx, dev); err != nil {
			return nil, nil, err
		}
	}
	a, err := r.linkAddresses(ctx, dev)
	if err != nil {
		return nil, nil, err
	}
	for _, p := range before {
		if n, ok := network(p); ok && !slices.Contains(a.list, p) {
			main = slices.DeleteFunc(main, func(q netip.Prefix) bool { return q == n })
		}
	}
	for _, p := range a.list {
		if n, ok := network(p); ok && !slices.Contains(main, n) {
			main = append(main, n)
		}
	}
	return main, added, nil
}

// network returns the destination of the main table's route that comes with an
// address, if there is one.
func network(p netip.Prefix) (netip.Prefix, bool) {
	return p.Masked(), p.Addr().Is6() || p.Bits() < p.Addr().BitLen()
}

// NoIPv6 implements [Observer]: a new link has the default settings.
func (r *rehearsal) NoIPv6(ctx context.Context, dev string) string {
	if r.made() {
		dev = "default"
	}
	return r.Observer.NoIPv6(ctx, dev)
}

// Sysctl implements [Observer].
func (r *rehearsal) Sysctl(ctx context.Context, name string) (string, error) {
	if v, ok := r.sysctls[name]; ok {
		return v, nil
	}
	return r.Observer.Sysctl(ctx, name)
}

// FirewallPrograms implements [Observer]. Not everybody may see rules; for a
// link that isn't there, there are none but after a crash.
func (r *rehearsal) FirewallPrograms(ctx context.Context, dev string) ([]string, error) {
	programs, err := r.Observer.FirewallPrograms(ctx, dev)
	if errors.Is(err, fs.ErrPermission) && r.made() {
		return nil, nil
	}
	return programs, err
}

// Standing implements [Observer]. Not everybody may see it.
func (r *rehearsal) Standing(ctx context.Context, dev string) (plan.Standing, error) {
	s, err := r.Observer.Standing(ctx, dev)
	if errors.Is(err, fs.ErrPermission) {
		return plan.Standing{}, nil
	}
	return s, err
}

// Write implements [Journal].
func (r *rehearsal) Write(*Record) error { return nil }

// WriteBaseline implements [Journal].
func (r *rehearsal) WriteBaseline(string, *Baseline) error { return nil }

// Remove implements [Journal].
func (r *rehearsal) Remove(string) error { return nil }

// Exclusive implements [Journal]: what is only read needs no lock.
func (r *rehearsal) Exclusive(_ context.Context, f func() error) error { return f() }

// AddLink implements [plan.Links].
func (r *rehearsal) AddLink(ctx context.Context, dev string) error {
	if !r.Observer.HasWireGuard(ctx) {
		return errors.ErrUnsupported
	}
	return r.Start(ctx, dev, "")
}

// Start implements [plan.Userspace].
func (r *rehearsal) Start(context.Context, string, string) error {
	r.link = &Link{Index: -1, Tunnel: true}
	r.addresses, r.peers, r.mark = &linkAddresses{}, new([]device.Peer), new(uint32)
	return nil
}

// DelLink implements [plan.Links].
func (r *rehearsal) DelLink(context.Context, string) error {
	r.link = &Link{}
	return nil
}

// AddAddr implements [plan.Links].
func (r *rehearsal) AddAddr(ctx context.Context, dev string, p netip.Prefix) error {
	a, err := r.linkAddresses(ctx, dev)
	if err != nil {
		return err
	}
	a.list = append(a.list, p)
	return nil
}

// DelAddr implements [plan.Links].
func (r *rehearsal) DelAddr(ctx context.Context, dev string, p netip.Prefix) error {
	a, err := r.linkAddresses(ctx, dev)
	if err != nil {
		return err
	}
	a.list = slices.DeleteFunc(a.list, func(q netip.Prefix) bool { return p == q })
	return nil
}

// SetLink implements [plan.Links].
func (r *rehearsal) SetLink(ctx context.Context, dev string, mtu int, _ bool) error {
	a, err := r.linkAddresses(ctx, dev)
	if err != nil {
		return err
	}
	a.mtu = mtu
	return nil
}

// Configure implements [plan.Devices].
func (r *rehearsal) Configure(ctx context.Context, dev string, c *device.Change) error {
	if c.Fwmark.Set {
		r.mark = &c.Fwmark.Value
	}
	if len(c.Peers) == 0 && !c.ReplacePeers {
		return nil
	}
	if r.peers == nil {
		live, err := r.Observer.Live(ctx, dev)
		if err != nil {
			return err
		}
		r.peers = &live.Peers
		if r.mark == nil {
			r.mark = &live.Fwmark
		}
	}
	peers := device.Apply(*r.peers, c)
	r.peers = &peers
	return nil
}

// SetSysctl implements [plan.Sysctl].
func (r *rehearsal) SetSysctl(_ context.Context, name, value string) error {
	r.sysctls[name] = value
	return nil
}

// What is left of the host's methods has no effect on what is decided later.

func (r *rehearsal) AddRoutes(context.Context, plan.RouteSet) error       { return nil }
func (r *rehearsal) DelRoutes(context.Context, plan.RouteSet) error       { return nil }
func (r *rehearsal) AddDefault(context.Context, plan.DefaultRoute) error  { return nil }
func (r *rehearsal) DelDefault(context.Context, plan.DefaultRoute) error  { return nil }
func (r *rehearsal) AddRules(context.Context, plan.FirewallRules) error   { return nil }
func (r *rehearsal) DelRules(context.Context, string) error               { return nil }
func (r *rehearsal) Kind(ctx context.Context) string                      { return r.FirewallKind(ctx) }
func (r *rehearsal) SetKillSwitch(context.Context, plan.KillSwitch) error { return nil }
func (r *rehearsal) DelKillSwitch(context.Context, string) error          { return nil }
func (r *rehearsal) SetMasquerade(context.Context, plan.Masquerade) error { return nil }
func (r *rehearsal) DelMasquerade(context.Context, string) error          { return nil }
func (r *rehearsal) SetDNS(context.Context, plan.DNSSettings) error       { return nil }
func (r *rehearsal) UnsetDNS(context.Context, plan.DNSSettings) error     { return nil }
func (r *rehearsal) Run(context.Context, plan.Hook) error                 { return nil }
func (r *rehearsal) Replace(context.Context, string, []byte) error        { return nil }
