// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// Reload brings the tunnel, which is up, to what its file says now, by the
// difference alone: what is equal isn't touched, and sessions with peers that
// stay go on, at the endpoints that they roamed to. What the file says nothing
// of (private key, port, mark) stays as it is. Hooks don't run. If a step fails
// or ctx is done before the last one, all is as it was.
func (s *Session) Reload(ctx context.Context, wanted *Tunnel) (err error) {
	copied := *wanted
	t := &copied
	record, link, err := s.found(ctx, t)
	if err != nil {
		return err
	}
	if link.Index == 0 || record.Phase != Up {
		return &Refusal{
			Text: fmt.Sprintf("`%s' is not up", t.Dev),
			Hint: fmt.Sprintf("what is left of it `wg-quick down %s' takes down; then bring it up", t.Dev),
		}
	}
	before := *record
	r := &transition{Session: s, t: t, d: difference{dev: t.Dev}, record: record, up: link.Up}
	if r.dns, err = s.wantedDNS(ctx, t); err != nil {
		return err
	}
	if err := r.compare(ctx); err != nil {
		return err
	}
	endpoints := t.endpointDigests()
	t.keepEndpoints(r.drift, endpoints, s.anyEndpoint)
	r.wantKillSwitch(record)
	if err := r.resolve(ctx); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if undo := s.revert(ctx, before, record); undo != nil {
				err = errors.Join(err, undo)
			}
		}
	}()
	if err := r.readState(ctx); err != nil {
		return err
	}
	peers, err := s.Look.Peers(ctx, t.Dev)
	if err != nil {
		return err
	}
	had := record.KillSwitch
	if had != nil && r.kill != KillSwitchOff {
		peers.Mark = had.Mark // others may have changed it
	}
	if err := r.placeKillSwitch(ctx, cmp.Or(t.Device.Fwmark.Value, peers.Mark)); err != nil {
		return err
	}
	t.Device = *r.marked()
	if err := r.reconfigure(ctx); err != nil {
		return err
	}
	if err := r.network(ctx); err != nil {
		return err
	}
	if had != nil && r.kill == KillSwitchOff {
		if len(before.Defaults)+len(r.have.Defaults) == 0 {
			if err := r.unmark(ctx, peers.Mark, had.Mark); err != nil {
				return err
			}
		}
		if err := r.withdrawKillSwitch(ctx, had); err != nil {
			return err
		}
	}
	base, err := r.rebased(ctx, endpoints)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // during the last step
		return context.Cause(ctx)
	}
	r.drift.finish()
	record.Beyond, record.Config, record.Table, record.Addresses = r.have.Beyond, t.Config, t.Table.String(), wanted.Addresses
	record.AutoMTU = !t.MTU.Set && base.MTU == r.have.MTU
	s.noteBaseline(t.Dev, base)
	s.note(record)
	return nil
}

// compare reads what has changed since the tunnel was last as its file wanted it.
func (r *transition) compare(ctx context.Context) (err error) {
	r.drift = &drift{keep: r.KeepRuntime, say: r.Say, names: r.t.PeerNames}
	if r.drift.base, err = r.Journal.Baseline(r.t.Dev); err != nil {
		return err
	}
	if r.drift.now, err = r.Look.Snapshot(ctx, r.t.Dev); err != nil {
		return err
	}
	if r.drift.base != nil && r.drift.base.Link != r.record.Link {
		r.drift.base = nil // another tunnel's of that name
	}
	if r.drift.base == nil {
		return nil
	}
	now := r.t.hookDigests()
	for _, key := range hookKeys {
		if r.drift.base.Hooks[key] != now[key] {
			r.Say(fmt.Sprintf("[!] %s: %s isn't what it was when the tunnel came up. A reload runs no hooks.", r.t.Config, key))
		}
	}
	return nil
}

// keepEndpoints leaves peers where they are whose endpoint is the same in the
// file as it was: they may have roamed, or found out which address answers.
// With any, all that have one stay.
func (t *Tunnel) keepEndpoints(d *drift, endpoints map[keys.Key]device.Digest, any bool) {
	if d.base == nil && !any {
		return
	}
	stays := func(key keys.Key) bool {
		return any || d.now.Peers[key].HasEndpoint && d.base.Endpoints[key] == endpoints[key]
	}
	t.Names = slices.DeleteFunc(slices.Clone(t.Names), func(n config.Name) bool { return stays(t.Device.Peers[n.Peer].PublicKey) })
	t.Device.Peers = slices.Clone(t.Device.Peers)
	for i := range t.Device.Peers {
		if p := &t.Device.Peers[i]; stays(p.PublicKey) {
			p.Endpoint = netip.AddrPort{}
		}
	}
}

// reconfigure makes the device what the file says.
func (r *transition) reconfigure(ctx context.Context) error {
	t := r.t
	change, undo, err := r.Look.Difference(ctx, t.Dev, &t.Device, t.hookSets("preshared-key"))
	if err != nil {
		return err
	}
	if change == nil {
		change, undo = &device.Change{}, &device.Change{}
	}
	if r.drift.settle(change, undo); change.IsEmpty() {
		return nil
	}
	step := plan.Step{
		Do:   plan.Configure{Dev: t.Dev, Change: change, Sync: true},
		Undo: plan.Configure{Dev: t.Dev, Change: undo, Sync: true},
	}
	if err := r.Tx.Apply(ctx, step); err != nil {
		// The kernel takes a large request in parts: some may be done.
		return errors.Join(err, r.Tx.Apply(context.WithoutCancel(ctx), plan.Step{Do: step.Undo}))
	}
	return nil
}

// rebased returns the baseline after a reload: what hooks did at up is still
// theirs, and what was kept of others' changes still others'.
func (r *transition) rebased(ctx context.Context, endpoints map[keys.Key]device.Digest) (*Baseline, error) {
	b, err := r.baseline(ctx, endpoints)
	old := r.drift.base
	if err != nil || old == nil {
		return b, err
	}
	b.Addresses, b.Routes, b.Hooks = old.Addresses, old.Routes, old.Hooks
	if r.KeepRuntime {
		b.PublicKey, b.ListenPort, b.MTU = old.PublicKey, old.ListenPort, old.MTU
		for key := range r.drift.kept {
			if p, had := old.Peers[key]; had {
				b.Peers[key] = p
			} else {
				delete(b.Peers, key)
			}
		}
	}
	return b, nil
}

// Replace brings t up or, if it is up already, to what its file says now.
func (s *Session) Replace(ctx context.Context, t *Tunnel) error {
	link, err := s.Look.Link(ctx, t.Dev)
	if err != nil {
		return err
	}
	record, err := s.Journal.Read(t.Dev)
	if err != nil {
		return err
	}
	switch {
	case link.Index == 0, record != nil && record.Phase != Up && record.made(link):
		return s.Up(ctx, t)
	case record == nil || !record.made(link):
		if err := s.RequireDevice(ctx, t.Dev); err != nil {
			return alreadyExists(t.Dev)
		}
	}
	return s.Reload(ctx, t)
}

// hookSets reports whether a hook that runs at up speaks of a setting of wg's:
// what it sets isn't in the file.
func (t *Tunnel) hookSets(word string) bool {
	return slices.ContainsFunc(slices.Concat(t.PreUp, t.PostUp), func(v config.Value) bool { return strings.Contains(v.Text, word) })
}

// readState reads what of the tunnel there is.
func (r *transition) readState(ctx context.Context) error {
	dev := r.t.Dev
	addresses, mtu, err := r.Look.Addresses(ctx, dev)
	if err != nil {
		return err
	}
	peers, err := r.Look.Peers(ctx, dev)
	if err != nil {
		return err
	}
	ours := r.record.Addresses
	var gone []netip.Prefix
	expected := slices.Concat(addresses, r.leftOut(ctx, dev, r.t.Addresses, addresses))
	r.t.Addresses, gone = r.drift.settleAddresses(r.t.Addresses, expected, ours)
	ours = slices.Concat(ours, r.t.Addresses, gone)
	r.record.Addresses = slices.Concat(r.record.Addresses, r.t.Addresses)
	addresses = slices.DeleteFunc(addresses, func(p netip.Prefix) bool { return !slices.Contains(ours, p) })
	if base := r.drift.base; base != nil && mtu != base.MTU {
		r.drift.note(fmt.Sprintf("the MTU, %d instead of %d", mtu, base.MTU), r.KeepRuntime)
		if r.KeepRuntime {
			r.t.MTU = device.Some(mtu)
		}
	}
	r.have = State{Addresses: addresses, MTU: mtu, Up: r.up, Beyond: r.record.Beyond}
	if err := r.readBeyond(ctx); err != nil {
		return err
	}
	table, err := r.record.table()
	if err != nil {
		return err
	}
	r.old = routing.Routes(table, dev, peers.AllowedIPs, nil)
	return r.promote(ctx)
}

// readBeyond leaves out of what is on record what others took away, so that it
// is set up anew. Of default routes, choose finds it out.
func (r *transition) readBeyond(ctx context.Context) error {
	dev := r.t.Dev
	programs, err := r.Look.FirewallPrograms(ctx, dev)
	if err != nil {
		return err
	}
	if len(r.have.Firewall) > 0 && len(programs) == 0 {
		r.drift.note("the packet filter's rules, removed", false)
		r.have.Firewall = nil
	}
	if r.have.DNS != nil && !r.Look.HasDNS(ctx, *r.have.DNS) {
		r.drift.note("the name servers, removed", false)
		r.have.DNS = nil
	}
	return nil
}

// promote makes the kernel keep a network's other addresses when its first one
// goes. Where that can't be set, they are added again.
func (r *transition) promote(ctx context.Context) error {
	goes := slices.ContainsFunc(r.have.Addresses, func(p netip.Prefix) bool {
		return p.Addr().Is4() && !slices.Contains(r.t.Addresses, p)
	})
	name := "net/ipv4/conf/" + r.t.Dev + "/promote_secondaries"
	now, err := r.Look.Sysctl(ctx, name)
	if !goes || err != nil || now == "1" {
		return nil
	}
	step := plan.Step{Do: plan.SetSysctl{Name: name, Value: "1"}, Undo: plan.SetSysctl{Name: name, Value: now}}
	if err := r.Tx.Apply(ctx, step); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}
