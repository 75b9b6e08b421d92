// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// A transition is a tunnel on its way up, or to another state: what stands of it
// so far. Each part is decided from what the steps before it brought about.
type transition struct {
	*Session
	t      *Tunnel
	d      difference
	have   State
	record *Record
	dns    *plan.DNSSettings // nil if none are wanted
	up     bool              // the link is up already
	kill   KillSwitch        // what is wanted of one
	stood  *plan.KillSwitch  // the one that stood before; nil: none
	old    plan.RouteSet     // routes that the tunnel had, as far as they are there
	drift  *drift            // in a reload
}

// advance goes on to the state want. What doesn't go with the link is on record
// before it is there, and as long as it is there.
func (r *transition) advance(ctx context.Context, want State) error {
	r.record.Beyond = either(r.have.Beyond, want.Beyond)
	r.note(r.record)
	if err := r.Tx.Apply(ctx, r.d.steps(r.have, want)...); err != nil {
		return err
	}
	r.have = want
	return nil
}

// either returns what there may be on the way from one state to another.
func either(have, want Beyond) Beyond {
	want.KillSwitch = cmp.Or(want.KillSwitch, have.KillSwitch)
	want.Masquerade = cmp.Or(want.Masquerade, have.Masquerade)
	want.Sysctls = slices.Clip(want.Sysctls)
	for _, p := range have.Sysctls {
		if indexOf(want.Sysctls, p.Name) < 0 {
			want.Sysctls = append(want.Sysctls, p)
		}
	}
	if len(want.Firewall) == 0 {
		want.Firewall = have.Firewall
	}
	if want.DNS == nil {
		want.DNS = have.DNS
	}
	want.Defaults = slices.Clip(want.Defaults)
	for _, d := range have.Defaults {
		if !contains(want.Defaults, d) {
			want.Defaults = append(want.Defaults, d)
		}
	}
	return want
}

// network sets up all that isn't the device itself: addresses, then the MTU,
// then routes, then what full tunnels need, then DNS, which may be reached
// through the tunnel only.
func (r *transition) network(ctx context.Context) error {
	t := r.t
	peers, err := r.Look.Peers(ctx, t.Dev)
	if err != nil {
		return err
	}
	addresses := t.Addresses
	allowed, except := t.withDefaults(peers.AllowedIPs)
	r.warnNarrow(allowed)
	if reason := r.Look.NoIPv6(ctx, t.Dev); reason != "" {
		addresses, allowed = r.onlyIPv4(reason, addresses, allowed)
	}
	if err := r.addresses(ctx, addresses); err != nil {
		return err
	}
	want := r.have
	want.MTU, want.Up = r.mtu(ctx, peers), true
	if err := r.advance(ctx, want); err != nil {
		return err
	}
	added, err := r.routes(ctx, allowed)
	if err != nil {
		return err
	}
	if r.dns == nil && r.have.DNS != nil {
		want := r.have
		want.DNS = nil // before the routes to it go
		if err := r.advance(ctx, want); err != nil {
			return err
		}
	}
	v4, v6 := routing.DefaultRoutes(t.Table, allowed)
	if v4 || v6 || len(r.have.Defaults) > 0 {
		err := r.Journal.Exclusive(ctx, func() error { return r.full(ctx, peers.Mark, v4, v6, except) })
		if err != nil {
			return err
		}
	}
	if err := r.serve(ctx); err != nil {
		return err
	}
	if err := r.delOldRoutes(ctx, added); err != nil {
		return err
	}
	want = r.have
	want.DNS = r.dns
	return r.advance(ctx, want)
}

// addresses goes on to a link with these addresses.
func (r *transition) addresses(ctx context.Context, list []netip.Prefix) error {
	want := r.have
	want.Addresses = list
	if err := r.advance(ctx, want); err != nil || r.d.fresh {
		return err
	}
	// Where promote_secondaries isn't set, the first address of a network that
	// goes takes the others along.
	there, _, err := r.Look.Addresses(ctx, r.t.Dev)
	if err != nil {
		return err
	}
	r.have.Addresses = slices.DeleteFunc(slices.Clone(list), func(p netip.Prefix) bool { return !slices.Contains(there, p) })
	return r.advance(ctx, want)
}

// routes goes on to routes for these allowed IPs. It returns those over the
// link that were added before.
func (r *transition) routes(ctx context.Context, allowed []netip.Prefix) (added []plan.RouteSet, err error) {
	cover, added, err := r.Look.OnLink(ctx, r.t.Dev)
	if err != nil {
		return nil, err
	}
	if !r.d.fresh { // some of them are our own
		for _, set := range added {
			if set.Table == 0 {
				cover = routesBut(plan.RouteSet{Dst: cover}, plan.RouteSet{Dst: set.Dst}).Dst
			}
		}
	}
	want := r.have
	want.Routes = routing.Routes(r.t.Table, r.t.Dev, allowed, cover)
	if !r.d.fresh {
		r.have.Routes = present(want.Routes, added)
		want.Routes = r.drift.settleRoutes(want.Routes, r.old, r.have.Routes)
	}
	return added, r.advance(ctx, want)
}

// delOldRoutes removes the routes that the tunnel had and is to have no more,
// as far as they are among those that were added, and those that others added.
func (r *transition) delOldRoutes(ctx context.Context, added []plan.RouteSet) error {
	if r.d.fresh {
		return nil
	}
	gone := append([]plan.RouteSet{present(routesBut(r.old, r.have.Routes), added)}, r.drift.settleForeign(r.foreign(added))...)
	for _, set := range gone {
		if len(set.Dst) == 0 {
			continue
		}
		if err := r.Tx.Apply(ctx, plan.Step{Do: plan.DelRoutes{RouteSet: set}, Undo: plan.AddRoutes{RouteSet: set}, Gone: true}); err != nil {
			return err
		}
	}
	return nil
}

// present returns the routes of set that are among those there are.
func present(set plan.RouteSet, there []plan.RouteSet) plan.RouteSet {
	for _, t := range there {
		if sameTable(t, set) {
			return routesBut(set, routesBut(set, t))
		}
	}
	set.Dst = nil
	return set
}

// onlyIPv4 leaves out what a host without IPv6 can't have, and says so.
func (r *transition) onlyIPv4(reason string, addresses, allowed []netip.Prefix) (a4, ips4 []netip.Prefix) {
	var left []string
	keep := func(list []netip.Prefix) (kept []netip.Prefix) {
		for _, p := range list {
			if p.Addr().Is4() {
				kept = append(kept, p)
			} else {
				left = append(left, p.String())
			}
		}
		return kept
	}
	a4 = keep(addresses)
	if ips4 = allowed; !r.t.Table.Off() {
		ips4 = keep(allowed)
	}
	if few := 4; len(left) > few {
		left = append(left[:few], fmt.Sprintf("and %d more", len(left)-few))
	}
	if len(left) > 0 {
		r.Say(fmt.Sprintf("[!] There is no IPv6 here (%s). Left out: %s", reason, strings.Join(left, ", ")))
	}
	return a4, ips4
}

// leftOut returns the addresses of a tunnel that its link dev hasn't, by there,
// because it can't have any of IPv6: nobody removed them.
func (s *Session) leftOut(ctx context.Context, dev string, addresses, there []netip.Prefix) []netip.Prefix {
	if s.Look.NoIPv6(ctx, dev) == "" {
		return nil
	}
	return slices.DeleteFunc(but(addresses, there), func(p netip.Prefix) bool { return p.Addr().Is4() })
}

// full sets up a full tunnel: the mark of the device's own packets, what the
// packet filters need to let their answers in, and last the default routes.
// Without a default route it takes all of that away. The networks of except
// don't go through it.
func (r *transition) full(ctx context.Context, current uint32, v4, v6 bool, except []netip.Prefix) error {
	dev, want := r.t.Dev, r.have
	want.Firewall, want.Defaults = nil, nil
	policy, err := r.Look.Policy(ctx)
	if err != nil {
		return err
	}
	r.d.kind = r.Look.FirewallKind(ctx)
	if r.d.programs, err = r.Look.FirewallPrograms(ctx, dev); err != nil {
		return err
	}
	// IPv6 has no filter that needs it.
	if want.Sysctls, err = r.sysctl(ctx, want.Sysctls, SrcValidMark, "1", v4); err != nil {
		return err
	}
	if !v4 && !v6 {
		chosen := markOf(r.have.Defaults)
		if err := r.advance(ctx, want); err != nil || r.kill != KillSwitchOff {
			return err
		}
		return r.unmark(ctx, current, chosen)
	}
	mark, table, err := r.choose(policy, current, v4, v6, except)
	if err != nil {
		return err
	}
	if mark != current {
		step := r.d.step(nil, plan.SetMark{Dev: dev, Mark: mark}, plan.SetMark{Dev: dev, Mark: current})
		if err := r.Tx.Apply(ctx, step...); err != nil {
			return err
		}
	}
	addresses, _, err := r.Look.Addresses(ctx, dev)
	if err != nil {
		return err
	}
	// IPv6 first, as wg-quick's order of allowed IPs has it.
	for _, family := range []struct{ is, v6 bool }{{v6, true}, {v4, false}} {
		if !family.is {
			continue
		}
		rules := plan.FirewallRules{Dev: dev, Mark: mark, V6: family.v6}
		for _, a := range addresses {
			if a.Addr().Is6() == family.v6 {
				rules.Addresses = append(rules.Addresses, a.Addr().WithZone(""))
			}
		}
		want.Firewall = append(want.Firewall, rules)
		d := routing.DefaultOver(policy, dev, family.v6, mark, table)
		d.Except = ofFamily(except, family.v6)
		for _, had := range r.have.Defaults {
			if had.V6 == family.v6 && had.Table == table && markOf([]plan.DefaultRoute{had}) == mark && policy.Has(had) {
				d = had
			}
		}
		want.Defaults = append(want.Defaults, d)
	}
	return r.advance(ctx, want)
}

// choose returns the mark and the table of a full tunnel. The table stays if
// the mark does. But if others took a part of what leads there away, it is
// another one: so all is there anew before the rest goes.
func (r *transition) choose(policy *routing.Policy, current uint32, v4, v6 bool, except []netip.Prefix) (mark, table uint32, err error) {
	mark = cmp.Or(current, markOf(r.have.Defaults))
	whole, same := true, true
	for _, had := range r.have.Defaults {
		if markOf([]plan.DefaultRoute{had}) == mark {
			table = had.Table
			whole = whole && policy.Has(had)
			same = same && slices.Equal(had.Except, ofFamily(except, had.V6))
		}
	}
	if table != 0 && whole && same {
		return mark, table, nil
	}
	if table != 0 && !whole {
		r.drift.note("the rules of the default route, removed", false)
	}
	return routing.ChooseMark(policy, mark, v4, v6)
}

// withDefaults returns the allowed IPs with a default route in place of what
// ExcludedIPs left of it, and the networks that it isn't for.
func (t *Tunnel) withDefaults(allowed []netip.Prefix) (list, except []netip.Prefix) {
	left := map[netip.Prefix]bool{}
	var defaults []netip.Prefix
	for _, e := range t.Excluding {
		for _, family := range []struct {
			is bool
			p  netip.Prefix
		}{{e.Default4, netip.PrefixFrom(netip.IPv4Unspecified(), 0)}, {e.Default6, netip.PrefixFrom(netip.IPv6Unspecified(), 0)}} {
			if !family.is || !t.Table.Auto() || slices.Contains(defaults, family.p) || slices.Contains(allowed, family.p) {
				continue
			}
			v6 := family.p.Addr().Is6()
			for _, ip := range t.Device.Peers[e.Peer].AllowedIPs {
				if ip.Addr().Is6() == v6 {
					left[ip.Masked()] = true
				}
			}
			defaults = append(defaults, family.p)
			except = append(except, ofFamily(e.IPs, v6)...)
		}
	}
	if len(defaults) == 0 {
		return allowed, nil
	}
	list = slices.DeleteFunc(slices.Clone(allowed), func(p netip.Prefix) bool { return left[p] })
	return append(list, defaults...), except
}

func ofFamily(list []netip.Prefix, v6 bool) (some []netip.Prefix) {
	for _, p := range list {
		if p.Addr().Is6() == v6 {
			some = append(some, p)
		}
	}
	return some
}

// markOf returns the mark of the packets that default routes are not for.
func markOf(list []plan.DefaultRoute) uint32 {
	for _, d := range list {
		for _, rule := range d.Rules {
			if routing.IsDiversion(rule) {
				return rule.Mark
			}
		}
	}
	return 0
}

// unmark takes the mark current from the device if it is the one that was chosen
// for what is gone.
func (r *transition) unmark(ctx context.Context, current, chosen uint32) error {
	if current == 0 || current != chosen || r.t.Device.Fwmark.Set {
		return nil
	}
	return r.Tx.Apply(ctx, plan.Step{Do: plan.SetMark{Dev: r.t.Dev}, Undo: plan.SetMark{Dev: r.t.Dev, Mark: current}})
}

// hasDiversion reports whether IPv4 traffic is sent into a full tunnel by
// another rule than own's.
func hasDiversion(p *routing.Policy, own []plan.DefaultRoute) bool {
	return slices.ContainsFunc(p.Rules, func(rule plan.Rule) bool {
		return !rule.V6 && routing.IsDiversion(rule) &&
			!slices.ContainsFunc(own, func(d plan.DefaultRoute) bool { return slices.Contains(d.Rules, rule) })
	})
}

// mtu returns the MTU that the file states, or else the one that fits the
// ways to the peers.
func (r *transition) mtu(ctx context.Context, peers Peers) int {
	if r.t.MTU.Set {
		return r.t.MTU.Value
	}
	return routing.LinkMTU(r.paths(ctx, peers), r.Look.DefaultMTU(ctx))
}

// paths returns the MTUs of the ways to the peers, as far as they are known.
func (r *transition) paths(ctx context.Context, peers Peers) (paths []int) {
	mark := markOf(r.have.Defaults) // else our own routes would be asked
	asked := map[netip.Addr]bool{}
	for _, a := range peers.Endpoints {
		if a.Zone() != "" || asked[a] { // wg-quick passes over scoped addresses
			continue
		}
		asked[a] = true
		if mtu := r.Look.PathMTU(ctx, a, mark); mtu > 0 {
			paths = append(paths, mtu)
		}
	}
	return paths
}
