// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package quick brings tunnels up and down as wg-quick(8) does. It decides
// which steps that takes, in which order; package plan's transaction takes
// them, and takes them back if one fails.
//
// A configuration file becomes a [Tunnel], all values checked. What a decision
// needs to know of the host is read through an [Observer], between the steps,
// since hooks may have changed it. What stands, or shall stand, is a [State],
// and steps are the difference of two.
package quick

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// An Observer reads what decisions depend on.
type Observer interface {
	// HasWireGuard reports whether the kernel can make WireGuard links.
	HasWireGuard(ctx context.Context) bool
	// Link returns the link dev.
	Link(ctx context.Context, dev string) (Link, error)
	// Devices returns the names of all WireGuard devices.
	Devices(ctx context.Context) ([]string, error)
	// Peers returns what the device dev and its peers mean for routing.
	Peers(ctx context.Context, dev string) (Peers, error)
	// Some returns those of the peers that the device dev has, without their
	// allowed IPs.
	Some(ctx context.Context, dev string, peers map[keys.Key]bool) (map[keys.Key]device.Peer, error)
	// Snapshot returns what the device dev is, for a comparison later.
	Snapshot(ctx context.Context, dev string) (*device.Snapshot, error)
	// Live returns the tunnel dev as it is, for its file.
	Live(ctx context.Context, dev string) (config.Live, error)

	// Difference returns the request that makes the device dev what want says,
	// and the one that takes that back. What want says nothing of stays, but for
	// peers; with keepKeys also their preshared keys. Both are nil if nothing
	// differs.
	Difference(ctx context.Context, dev string, want *device.Change, keepKeys bool) (change, undo *device.Change, err error)

	// Addresses returns the addresses of the link dev, and its MTU in bytes.
	Addresses(ctx context.Context, dev string) (list []netip.Prefix, mtu int, err error)
	// OnLink returns the routes over the link dev: the destinations of all those
	// in the main table, and those in any table that are such as ours.
	OnLink(ctx context.Context, dev string) (main []netip.Prefix, added []plan.RouteSet, err error)
	// Policy returns the host's policy routing.
	Policy(ctx context.Context) (*routing.Policy, error)
	// NoIPv6 returns why the link dev can't have IPv6, "" if it can.
	NoIPv6(ctx context.Context, dev string) string
	// PathMTU returns the MTU, in bytes, of the way to dst for packets with that
	// mark; 0: not known.
	PathMTU(ctx context.Context, dst netip.Addr, mark uint32) int
	// DefaultMTU returns the MTU, in bytes, of the default route; 0: not known.
	DefaultMTU(ctx context.Context) int

	// Sysctl returns the value of a parameter of the kernel.
	Sysctl(ctx context.Context, name string) (string, error)
	// FirewallKind returns where rules would go, FirewallPrograms where there
	// are some for the link dev: as [plan.AddFirewall] and [plan.DelFirewall]
	// have them.
	FirewallKind(ctx context.Context) string
	FirewallPrograms(ctx context.Context, dev string) ([]string, error)
	// Standing returns what of dev's stands in the gate, KillSwitches which links
	// have a kill switch.
	Standing(ctx context.Context, dev string) (plan.Standing, error)
	KillSwitches(ctx context.Context) ([]string, error)
	// Dropping returns what drops packets that are to be forwarded, unless a rule
	// of its own lets them through, in words.
	Dropping(ctx context.Context) ([]string, error)
	// Advertised returns the links over which a default route goes that a router
	// advertised to the kernel, which takes such only from hosts that don't
	// forward.
	Advertised(ctx context.Context) ([]string, error)
	// DNS returns how name servers and search domains would be set for dev.
	DNS(ctx context.Context, dev string, servers, search []string) (plan.DNSSettings, error)
	// HasDNS reports whether something of s is set.
	HasDNS(ctx context.Context, s plan.DNSSettings) bool
}

// A Link is a network link. The zero Link isn't there.
type Link struct {
	Index  int
	Tunnel bool // of a kind that a tunnel's can have
	Up     bool
}

// Peers are all peers of a device, as far as routing goes.
type Peers struct {
	Mark       uint32 // of the packets to them; 0: none
	AllowedIPs []netip.Prefix
	Endpoints  []netip.Addr
}

// Add adds a peer.
func (s *Peers) Add(p *device.Peer) {
	s.AllowedIPs = append(s.AllowedIPs, p.AllowedIPs...)
	if p.Endpoint.IsValid() {
		s.Endpoints = append(s.Endpoints, p.Endpoint.Addr())
	}
}

// A Session does one thing to one tunnel.
type Session struct {
	Tx      *plan.Tx
	Look    Observer
	Journal Journal
	// Names resolves what endpoints are called.
	Names config.Resolver
	// Say prints a line of wg-quick's own that isn't an error.
	Say func(line string)
	// Userspace is the program that makes the link where the kernel has no
	// WireGuard; "" is the one that is built in.
	Userspace string

	// DeferNames makes up leave peers without an endpoint whose names can't be
	// resolved, instead of failing.
	DeferNames bool

	// KeepRuntime makes a reload keep what others changed since the tunnel was
	// last as its file wants it, but for what full tunnels need.
	KeepRuntime bool

	// Outside says that the device's packets go by another network namespace
	// than its link is in.
	Outside bool

	unrecorded  bool
	anyEndpoint bool // endpoints of the file don't matter
}

// A Refusal says why something isn't done. Nothing was changed.
type Refusal struct {
	Text string // follows the name of the program
	Hint string
	// Missing says that the tunnel isn't here.
	Missing bool
}

// Error returns the text.
func (e *Refusal) Error() string { return e.Text }

// fallback is what scripts know.
const fallback = "[!] Missing WireGuard kernel module. Falling back to slow userspace implementation."

// Up brings t up. If a step fails or ctx is done before the last one, all is
// taken back that was done.
func (s *Session) Up(ctx context.Context, t *Tunnel) (err error) {
	left, err := s.recover(ctx, t)
	if err != nil {
		return err
	}
	record := &Record{Dev: t.Dev, Phase: Coming, Config: t.Config, Table: t.Table.String(), Addresses: t.Addresses}
	r := &transition{Session: s, t: t, d: difference{dev: t.Dev, fresh: true}, record: record}
	r.wantKillSwitch(left)
	s.warnBlocked(t.Dev, r.kill)
	if r.dns, err = s.wantedDNS(ctx, t); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.back(ctx))
		}
	}()
	endpoints := t.endpointDigests()
	// A hook may make it that names can be resolved. Without one, they are
	// before anything is there; and so they are with a kill switch, behind which
	// nobody could look them up.
	early := len(t.PreUp) == 0 || r.kill != KillSwitchOff
	if early {
		if err := r.resolve(ctx); err != nil {
			return err
		}
	}
	if err := r.placeKillSwitch(ctx, t.Device.Fwmark.Value); err != nil {
		return err
	}
	if err := r.makeLink(ctx); err != nil {
		return err
	}
	if len(t.PreUp) > 0 {
		if err := s.Tx.Apply(ctx, t.hooks("PreUp", t.PreUp)...); err != nil {
			return err
		}
		if !early {
			if err := r.resolve(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.Tx.Apply(ctx, plan.Step{Do: plan.Configure{Dev: t.Dev, Change: r.marked()}}); err != nil {
		return err
	}
	if err := r.network(ctx); err != nil {
		return err
	}
	if err := s.Tx.Apply(ctx, t.hooks("PostUp", t.PostUp)...); err != nil {
		return err
	}
	base, err := r.baseline(ctx, endpoints)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // during the last step
		return context.Cause(ctx)
	}
	r.record.Phase = Up
	r.record.AutoMTU = !t.MTU.Set && base.MTU == r.have.MTU // no hook has chosen another one
	s.noteBaseline(t.Dev, base)
	s.note(r.record)
	return nil
}

// wantedDNS returns what t wants of DNS, nil if nothing.
func (s *Session) wantedDNS(ctx context.Context, t *Tunnel) (*plan.DNSSettings, error) {
	if len(t.DNS)+len(t.Search) == 0 {
		return nil, nil
	}
	dns, err := s.Look.DNS(ctx, t.Dev, t.DNS, t.Search)
	return &dns, err
}

// back takes all back that was done. What can't be stays on record.
func (r *transition) back(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	return r.Journal.Exclusive(ctx, func() error {
		if err := r.Tx.Rollback(ctx); err != nil {
			return err
		}
		for _, p := range r.have.Sysctls {
			if r.d.settled[p.Name] || !r.needed(ctx, r.t.Dev, p.Name, r.have.Defaults) {
				continue
			}
			// Another tunnel came meanwhile.
			if err := r.Tx.Apply(ctx, plan.Step{Do: plan.SetSysctl{Name: p.Name, Value: p.Value}}); err != nil {
				return err
			}
		}
		r.record.KillSwitch = r.stood
		return r.forgetBut(r.record)
	})
}

func alreadyExists(dev string) error {
	return &Refusal{
		Text: fmt.Sprintf("`%s' already exists", dev),
		Hint: fmt.Sprintf("`wg-quick down %s' takes it down, if it is a tunnel; `ip link show dev %[1]s' tells what it is", dev),
	}
}

// makeLink makes the kernel's link or, where the kernel has no WireGuard, a
// userspace device.
func (r *transition) makeLink(ctx context.Context) error {
	r.note(r.record)
	dev := r.t.Dev
	undo := plan.DelLink{Dev: dev}
	err := r.Tx.Apply(ctx, plan.Step{Do: plan.AddLink{Dev: dev}, Undo: undo})
	if errors.Is(err, errors.ErrUnsupported) {
		r.Say(fallback)
		err = r.Tx.Apply(ctx, plan.Step{Do: plan.StartDevice{Dev: dev, Program: r.Userspace}, Undo: undo})
	}
	link, look := r.Look.Link(ctx, dev)
	if errors.Is(err, fs.ErrExist) && look == nil && link.Index != 0 {
		// Somebody was faster. Else it is only the socket that is there, of a
		// device in another namespace.
		return alreadyExists(dev)
	}
	if err != nil || look != nil {
		return errors.Join(err, look)
	}
	r.record.Link = link.Index
	r.note(r.record)
	return nil
}

// Down takes t down, whoever brought it up, with its device or what is left
// without it. A failing PreDown hook leaves it up, and so does a file that
// can't be saved. Once something is to be removed, nothing stops that.
func (s *Session) Down(ctx context.Context, t *Tunnel) error {
	r, link, err := s.found(ctx, t)
	if err != nil {
		return err
	}
	if r.DNS == nil {
		r.DNS = s.resolvconf(ctx, t)
	}
	whole := link.Index != 0 && r.Phase == Up
	var failed error
	switch {
	case link.Index != 0:
		failed = s.Tx.Apply(ctx, t.hooks("PreDown", t.PreDown)...)
	case len(t.PreDown) > 0:
		s.Say(fmt.Sprintf("[!] The link `%s' is gone. What is left of the tunnel is removed; the PreDown hooks are not run.", t.Dev))
	}
	if failed == nil && t.Save != nil && whole {
		failed = s.Save(ctx, t.Dev, t.Save, t.Borrowed)
	}
	if failed != nil && whole {
		return failed
	}
	if ctx.Err() != nil && whole {
		return context.Cause(ctx)
	}
	r.Phase = Going
	s.note(r)
	told, err := s.clear(ctx, r, link.Index != 0)
	if err != nil {
		return errors.Join(failed, told, err) // behind the kill switch, if there is one
	}
	if told == nil {
		told = s.Tx.Apply(ctx, t.hooks("PostDown", t.PostDown)...)
	}
	return errors.Join(failed, told, s.endKillSwitch(ctx, r))
}

// found returns what there is of t: its record, or what of it can be seen, and
// its link. Without either it refuses.
func (s *Session) found(ctx context.Context, t *Tunnel) (*Record, Link, error) {
	r, err := s.Journal.Read(t.Dev)
	if err != nil {
		return nil, Link{}, err
	}
	link, err := s.Look.Link(ctx, t.Dev)
	if err != nil {
		return nil, Link{}, err
	}
	if r != nil && (link.Index == 0 || r.made(link)) {
		return r, link, nil
	}
	if err := s.RequireDevice(ctx, t.Dev); err != nil {
		_, refused := errors.AsType[*Refusal](err)
		if refused && r != nil {
			return r, Link{}, nil // there is another link of that name, not ours to delete
		}
		if refused && link.Index == 0 {
			// Its record may have been lost.
			if s, look := s.Look.Standing(ctx, t.Dev); look == nil && s.KillSwitch != nil {
				return &Record{Dev: t.Dev, Phase: Going, Link: -1, Beyond: Beyond{KillSwitch: s.KillSwitch}}, Link{}, nil
			}
		}
		return nil, Link{}, err
	}
	seen, err := s.seen(ctx, t)
	if err != nil {
		return nil, Link{}, err
	}
	seen.Link = link.Index
	if r != nil { // of a tunnel before this one
		seen.Sysctls = r.Sysctls
		for _, d := range r.Defaults {
			if !contains(seen.Defaults, d) {
				seen.Defaults = append(seen.Defaults, d)
			}
		}
		seen.DNS = r.DNS
	}
	return seen, link, nil
}

// seen returns the record of a tunnel that has none: what the original, or
// somebody by hand, made of it.
func (s *Session) seen(ctx context.Context, t *Tunnel) (*Record, error) {
	r := &Record{Dev: t.Dev, Phase: Up, Config: t.Config, Table: t.Table.String()}
	if t.Table.Auto() {
		peers, err := s.Look.Peers(ctx, t.Dev)
		if err != nil {
			return nil, err
		}
		policy, err := s.Look.Policy(ctx)
		if err != nil {
			return nil, err
		}
		r.Defaults = routing.DefaultsOf(policy, t.Dev, peers.Mark)
	}
	standing, err := s.Look.Standing(ctx, t.Dev)
	if err != nil {
		return nil, err
	}
	r.KillSwitch = standing.KillSwitch
	if standing.Masquerade {
		r.Masquerade = &plan.Masquerade{Dev: t.Dev}
	}
	return r, nil
}

// resolvconf returns what the original, or a hook, may have told resolvconf,
// going by t's file; nil if that has no name servers or there is no resolvconf.
func (s *Session) resolvconf(ctx context.Context, t *Tunnel) *plan.DNSSettings {
	if len(t.DNS) == 0 {
		return nil
	}
	dns, err := s.Look.DNS(ctx, t.Dev, t.DNS, t.Search)
	if err != nil || dns.Backend != plan.Resolvconf {
		return nil
	}
	return &dns
}

// RequireDevice refuses if dev is no WireGuard device with a link here.
func (s *Session) RequireDevice(ctx context.Context, dev string) error {
	names, err := s.Look.Devices(ctx)
	if err != nil {
		return err
	}
	refusal := &Refusal{Text: fmt.Sprintf("`%s' is not a WireGuard interface", dev), Missing: true}
	if !slices.Contains(names, dev) {
		refusal.Hint = "`wg show interfaces' lists those that there are"
		return refusal
	}
	// The sockets of userspace devices may be shared between namespaces.
	link, err := s.Look.Link(ctx, dev)
	if err == nil && link.Index == 0 {
		refusal.Hint = "a program serves a device of this name, but its link is not in this network namespace"
		return refusal
	}
	return err
}

// hooks returns the steps that run the hooks of one key.
func (t *Tunnel) hooks(key string, list []config.Value) (steps []plan.Step) {
	var all []string // a hook sees its like as its arguments: some use that
	for _, v := range list {
		all = append(all, v.Text)
	}
	for _, v := range list {
		steps = append(steps, plan.Step{Do: plan.Hook{
			Script:    strings.ReplaceAll(v.Text, "%i", t.Dev),
			Args:      all,
			Variables: t.Variables,
			Origin:    fmt.Sprintf("%v: %s", v.Pos, key),
		}})
	}
	return steps
}
