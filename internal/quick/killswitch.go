// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// A KillSwitch is what a tunnel wants of one.
type KillSwitch int

// The kill switches that there are.
const (
	KillSwitchOff KillSwitch = iota
	KillSwitchOn             // nothing leaves but by the tunnel
	KillSwitchLAN            // or to local networks
)

// ParseKillSwitch reads the value of KillSwitch in a configuration file.
func ParseKillSwitch(s string) (KillSwitch, error) {
	switch strings.ToLower(s) {
	case "", "false":
		return KillSwitchOff, nil
	case "true":
		return KillSwitchOn, nil
	case "lan":
		return KillSwitchLAN, nil
	}
	return KillSwitchOff, fmt.Errorf("%.200q is neither true, lan nor false", s)
}

// killSwitchOf returns which one stands.
func killSwitchOf(k *plan.KillSwitch) KillSwitch {
	switch {
	case k == nil:
		return KillSwitchOff
	case k.LAN:
		return KillSwitchLAN
	}
	return KillSwitchOn
}

// wantKillSwitch decides which kill switch there shall be: that of the file,
// unless the one that stands, on record in left, was asked for on the command
// line, which holds until down.
func (r *transition) wantKillSwitch(left *Record) {
	r.kill = r.t.KillSwitch
	if left != nil {
		r.stood, r.record.Endpoints = left.KillSwitch, left.Endpoints
		if left.Asked && !r.t.Asked {
			r.kill, r.record.Asked = killSwitchOf(left.KillSwitch), true
			return
		}
	}
	r.record.Asked = r.t.Asked
}

// placeKillSwitch puts the kill switch in place, if one is wanted. mark is that of the
// device's packets, if that is decided already; else they get one here, before
// there is any packet. What stood before stays until the new one is there, and
// comes back with a rollback.
func (r *transition) placeKillSwitch(ctx context.Context, mark uint32) error {
	r.record.KillSwitch = r.stood
	r.have.KillSwitch = r.stood
	if r.kill == KillSwitchOff {
		return nil
	}
	return r.Journal.Exclusive(ctx, func() (err error) {
		if mark == 0 {
			if mark, err = r.freeMark(ctx); err != nil {
				return err
			}
		}
		want := &plan.KillSwitch{Dev: r.t.Dev, Mark: mark}
		if r.kill == KillSwitchLAN {
			want.LAN = true
			if want.Inner, err = r.t.inner(); err != nil {
				return err
			}
		}
		standing, err := r.Look.Standing(ctx, r.t.Dev)
		if err != nil {
			return err
		}
		if r.stood == nil { // its record may have been lost
			r.stood = standing.KillSwitch
		}
		r.record.KillSwitch = want
		r.note(r.record)
		if !standing.Is(want) {
			if err := r.setKillSwitch(ctx, r.stood, want); err != nil {
				return err
			}
		}
		r.have.KillSwitch = want
		return nil
	})
}

// setKillSwitch puts a kill switch in place of the one that there was, if any.
func (r *transition) setKillSwitch(ctx context.Context, had, want *plan.KillSwitch) error {
	set := plan.SetKillSwitch{Dev: r.t.Dev, Had: had, Want: want}
	return r.Tx.Apply(ctx, plan.Step{Do: set, Undo: set.Undo()})
}

// mostInner is how many private networks a kill switch has a rule for.
const mostInner = 1000

// inner returns the private networks behind the tunnel, by its file. Those that
// another one contains are left out.
func (t *Tunnel) inner() (list []netip.Prefix, err error) {
	all := slices.Clone(t.Addresses)
	for i := range t.Device.Peers {
		for _, ip := range t.Device.Peers[i].AllowedIPs {
			all = append(all, ip.Prefix)
		}
	}
	// Short ones first, so that what contains comes before what is contained.
	slices.SortFunc(all, func(a, b netip.Prefix) int {
		return cmp.Or(cmp.Compare(a.Bits(), b.Bits()), a.Addr().Compare(b.Addr()))
	})
	for _, p := range all {
		// A default route, or half of one, says nothing of what is behind it.
		if p = p.Masked(); p.Addr().IsPrivate() && !slices.ContainsFunc(list, func(o netip.Prefix) bool { return o.Contains(p.Addr()) }) {
			list = append(list, p)
		}
		if len(list) > mostInner {
			return nil, &Refusal{
				Text: fmt.Sprintf("`%s' has more than %d private networks, too many to tell them from local ones", t.Dev, mostInner),
				Hint: "use KillSwitch = true instead of lan, or give its Address the length of the network that they are in",
			}
		}
	}
	return list, nil
}

// freeMark returns a mark that no other tunnel has.
func (r *transition) freeMark(ctx context.Context) (uint32, error) {
	if r.stood != nil {
		return r.stood.Mark, nil
	}
	policy, err := r.Look.Policy(ctx)
	if err != nil {
		return 0, err
	}
	others, err := r.Journal.Others(r.t.Dev)
	if err != nil {
		return 0, err
	}
	used := maps.Clone(policy.Used)
	for _, o := range others {
		if o.KillSwitch != nil {
			used[o.KillSwitch.Mark] = true
		}
	}
	mark, _, err := routing.ChooseMark(&routing.Policy{Used: used}, 0, true, true)
	return mark, err
}

// marked returns what the file wants of the device, with the mark that the kill
// switch lets through: no packet is sent without it.
func (r *transition) marked() *device.Change {
	change := r.t.Device
	if k := r.have.KillSwitch; k != nil && r.kill != KillSwitchOff {
		change.Fwmark = device.Some(k.Mark)
	}
	return &change
}

// withdrawKillSwitch removes the kill switch in a way that can be taken back.
func (r *transition) withdrawKillSwitch(ctx context.Context, had *plan.KillSwitch) error {
	return r.Journal.Exclusive(ctx, func() error {
		set := plan.SetKillSwitch{Dev: r.t.Dev, Had: had}
		if err := r.Tx.Apply(ctx, plan.Step{Do: set, Undo: set.Undo(), Gone: true}); err != nil {
			return err
		}
		r.have.KillSwitch = nil
		return nil
	})
}

// endKillSwitch removes the kill switch that is all that is left of r, for good. If that
// fails, it is tried a second time.
func (s *Session) endKillSwitch(ctx context.Context, r *Record) error {
	if r.KillSwitch == nil {
		return nil
	}
	ctx = context.WithoutCancel(ctx)
	return s.Journal.Exclusive(ctx, func() error {
		step := plan.Step{Do: plan.SetKillSwitch{Dev: r.Dev, Had: r.KillSwitch}, Gone: true}
		told := s.Tx.Apply(ctx, step)
		if told != nil {
			if err := s.Tx.Apply(ctx, step); err != nil {
				return errors.Join(told, fmt.Errorf("again: %w", err))
			}
		}
		return errors.Join(told, s.forget(r.Dev))
	})
}

// Unlock removes the kill switch of the link dev, and nothing else of its
// tunnel, be that up, half there or gone.
func (s *Session) Unlock(ctx context.Context, dev string) error {
	r, err := s.Journal.Read(dev)
	if err != nil {
		return err
	}
	standing, err := s.Look.Standing(ctx, dev)
	if err != nil {
		return err
	}
	if standing.KillSwitch == nil {
		names, err := s.Look.KillSwitches(ctx)
		if err != nil {
			return err
		}
		refusal := &Refusal{Text: fmt.Sprintf("`%s' has no kill switch", dev), Hint: "nor has any other tunnel: what blocks the net is something else"}
		if len(names) > 0 {
			refusal.Hint = fmt.Sprintf("these have one: %s", strings.Join(names, ", "))
		}
		return refusal
	}
	err = s.Journal.Exclusive(ctx, func() error {
		return s.Tx.Apply(ctx, plan.Step{Do: plan.SetKillSwitch{Dev: dev, Had: standing.KillSwitch}, Gone: true})
	})
	if err != nil {
		return err
	}
	switch {
	case r == nil:
	case r.Phase != Up && r.Link < 0: // it was all that was left
		return s.forget(dev)
	default:
		r.KillSwitch, r.Asked = nil, false
		s.note(r)
	}
	return nil
}

// warnBlocked says if the kill switch of another tunnel blocks this one.
func (s *Session) warnBlocked(dev string, own KillSwitch) {
	others, err := s.Journal.Others(dev)
	if err != nil || own != KillSwitchOff { // with one of its own, it is let through
		return
	}
	for _, o := range others {
		if o.KillSwitch != nil {
			s.Say(fmt.Sprintf("[!] The kill switch of `%s' blocks `%s', unless that gets one, too: KillSwitch = true.", o.Dev, dev))
			return
		}
	}
}

// warnNarrow says what can't be reached, if not all can be by the tunnel.
func (r *transition) warnNarrow(allowed []netip.Prefix) {
	if r.kill == KillSwitchOff || !r.d.fresh {
		return
	}
	var missing []string
	for _, family := range []struct{ name, all, low, high string }{
		{"IPv4", "0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"}, {"IPv6", "::/0", "::/1", "8000::/1"},
	} {
		has := func(s string) bool { return slices.Contains(allowed, netip.MustParsePrefix(s)) }
		if !has(family.all) && !(has(family.low) && has(family.high)) {
			missing = append(missing, family.name)
		}
	}
	if len(missing) > 0 {
		r.Say(fmt.Sprintf("[!] The kill switch lets nothing of %s out but to the AllowedIPs of `%s'.", strings.Join(missing, " and "), r.t.Dev))
	}
}

// resolve gives the peers the endpoints that names stand for. With a kill switch
// they go on record; while one stands that is all there is of a tunnel, they
// come from there.
func (r *transition) resolve(ctx context.Context) error {
	before := r.record.Endpoints
	m := &memory{Resolver: r.Names, known: map[string]netip.AddrPort{}}
	if r.d.fresh && r.stood != nil {
		maps.Copy(m.known, before)
	}
	resolver := r.Names
	if r.kill != KillSwitchOff {
		resolver = m
	}
	err := r.resolveNames(r.t, resolver)
	r.record.Endpoints = nil
	if r.kill != KillSwitchOff {
		r.record.Endpoints = before // some needn't be looked up in a reload
		if len(m.known) > 0 {
			r.record.Endpoints = maps.Clone(m.known)
			for name, e := range before {
				if _, ok := m.known[name]; !ok {
					r.record.Endpoints[name] = e
				}
			}
		}
	}
	if err == nil && !r.Outside {
		for _, line := range r.t.loops() {
			r.Say(line)
		}
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	standing, look := r.Look.KillSwitches(ctx)
	if look != nil || len(standing) == 0 {
		return err
	}
	dev := standing[0]
	return errors.Join(err, &Refusal{
		Text: fmt.Sprintf("the kill switch of `%s' blocks look-ups outside its tunnel", dev),
		Hint: fmt.Sprintf("`wg-quick unlock %s' removes it: what is sent then leaves in clear", dev),
	})
}

// A memory resolves names to what it knows of them, or else as the Resolver does.
type memory struct {
	config.Resolver
	known map[string]netip.AddrPort
}

// Endpoint implements [config.Resolver].
func (m *memory) Endpoint(s string) (netip.AddrPort, error) {
	if e, ok := m.known[s]; ok {
		return e, nil
	}
	e, err := m.Resolver.Endpoint(s)
	if err == nil {
		m.known[s] = e
	}
	return e, err
}

// AskKillSwitch has t get this kill switch, whatever its file says.
func (t *Tunnel) AskKillSwitch(k KillSwitch) error {
	if m := t.Masquerade; k != KillSwitchOff && m != nil && m.Out != t.Dev {
		return &Refusal{
			Text: fmt.Sprintf("the kill switch of `%s' would let nothing out of what its file has it masquerade", t.Dev),
			Hint: "take Masquerade out of the file, or do without the kill switch",
		}
	}
	t.KillSwitch, t.Asked = k, true
	return nil
}
