// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// A raising is a tunnel on its way up: what stands of it so far. Each part is
// decided from what the steps before it brought about.
type raising struct {
	*Session
	t      *Tunnel
	d      difference
	have   State
	record *Record
	dns    *plan.DNSSettings // nil if none are wanted
}

// advance goes on to the state want. What doesn't go with the link is recorded
// before it is there.
func (r *raising) advance(ctx context.Context, want State) error {
	r.record.Beyond = want.Beyond
	r.note(r.record)
	if err := r.Tx.Apply(ctx, r.d.steps(r.have, want)...); err != nil {
		return err
	}
	r.have = want
	return nil
}

// network sets up all that isn't the device itself: addresses, then the MTU,
// then routes, then what full tunnels need, then DNS, which may be reached
// through the tunnel only.
func (r *raising) network(ctx context.Context) error {
	t, want := r.t, r.have
	peers, err := r.Look.Peers(ctx, t.Dev)
	if err != nil {
		return err
	}
	addresses, allowed := t.Addresses, peers.AllowedIPs
	if reason := r.Look.NoIPv6(ctx, t.Dev); reason != "" {
		addresses, allowed = r.onlyIPv4(reason, addresses, allowed)
	}
	want.Addresses = addresses
	if err := r.advance(ctx, want); err != nil {
		return err
	}
	want.MTU, want.Up = r.mtu(ctx, peers), true
	if err := r.advance(ctx, want); err != nil {
		return err
	}
	onLink, err := r.Look.OnLink(ctx, t.Dev)
	if err != nil {
		return err
	}
	want.Routes = routing.Routes(t.Table, t.Dev, allowed, onLink)
	if err := r.advance(ctx, want); err != nil {
		return err
	}
	if v4, v6 := routing.DefaultRoutes(t.Table, allowed); v4 || v6 {
		err := r.Journal.Exclusive(ctx, func() error { return r.full(ctx, peers.Mark, v4, v6) })
		if err != nil {
			return err
		}
		want = r.have
	}
	if r.dns == nil {
		return nil
	}
	want.DNS = r.dns
	return r.advance(ctx, want)
}

// onlyIPv4 leaves out what a host without IPv6 can't have, and says so.
func (r *raising) onlyIPv4(reason string, addresses, allowed []netip.Prefix) (a4, ips4 []netip.Prefix) {
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

// full sets up a full tunnel: the mark of the device's own packets, what the
// packet filters need to let their answers in, and last the default routes.
func (r *raising) full(ctx context.Context, current uint32, v4, v6 bool) error {
	dev, want := r.t.Dev, r.have
	policy, err := r.Look.Policy(ctx)
	if err != nil {
		return err
	}
	mark, table, err := routing.ChooseMark(policy, current, v4, v6)
	if err != nil {
		return err
	}
	if mark != current {
		if err := r.Tx.Apply(ctx, plan.Step{Do: plan.SetMark{Dev: dev, Mark: mark}}); err != nil {
			return err
		}
	}
	present, err := r.Look.Addresses(ctx, dev)
	if err != nil {
		return err
	}
	if v4 {
		if want.SrcValidMark, err = r.srcValidMark(ctx); err != nil {
			return err
		}
	}
	// IPv6 first, as wg-quick's order of allowed IPs has it.
	for _, family := range []struct{ is, v6 bool }{{v6, true}, {v4, false}} {
		if !family.is {
			continue
		}
		rules := plan.FirewallRules{Dev: dev, Mark: mark, V6: family.v6}
		for _, a := range present {
			if a.Addr().Is6() == family.v6 {
				rules.Addresses = append(rules.Addresses, a.Addr().WithZone(""))
			}
		}
		want.Firewall = append(slices.Clip(want.Firewall), rules)
		want.Defaults = append(slices.Clip(want.Defaults), routing.DefaultOver(policy, dev, family.v6, mark, table))
	}
	r.d.kind = r.Look.FirewallKind(ctx)
	return r.advance(ctx, want)
}

// srcValidMark returns what the parameter is to be put back to when the last
// full tunnel goes: what it was before the first one came.
func (r *raising) srcValidMark(ctx context.Context) (string, error) {
	now, err := r.Look.Sysctl(ctx, srcValidMark)
	if err != nil {
		return "", err
	}
	if r.d.marksValid = now == "1"; !r.d.marksValid {
		return now, nil
	}
	others, err := r.Journal.Others(r.t.Dev)
	if err != nil {
		return "", err
	}
	for _, o := range others {
		if o.SrcValidMark != "" {
			return o.SrcValidMark, nil
		}
	}
	return "", nil
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
func (r *raising) mtu(ctx context.Context, peers Peers) int {
	if r.t.MTU.Set {
		return r.t.MTU.Value
	}
	var paths []int
	asked := map[netip.Addr]bool{}
	for _, a := range peers.Endpoints {
		if a.Zone() != "" || asked[a] { // wg-quick passes over scoped addresses
			continue
		}
		asked[a] = true
		paths = append(paths, r.Look.PathMTU(ctx, a))
	}
	return routing.LinkMTU(paths, r.Look.DefaultMTU(ctx))
}
