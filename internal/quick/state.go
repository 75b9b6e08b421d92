// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"cmp"
	"net/netip"
	"reflect"
	"slices"

	"wgtools/internal/plan"
)

// A State is what of a tunnel stands on the host beside its device, or shall
// stand there, as plain data. The zero State is a link that was just made.
type State struct {
	Addresses []netip.Prefix // in the order in which they are added
	MTU       int            // bytes; 0: not set by us
	Up        bool
	Routes    plan.RouteSet

	Beyond
}

// Beyond is what of a tunnel doesn't go with its link: it has to be taken back
// piece by piece, also after a crash. It has no secrets.
type Beyond struct {
	// KillSwitch comes before all else, and goes after all else.
	KillSwitch *plan.KillSwitch `json:",omitempty"`
	// Sysctls are the kernel's parameters that are to be put back, in the order
	// in which they are set.
	Sysctls []Sysctl `json:",omitempty"`
	// Firewall are the rules of full tunnels, one entry for each family.
	Firewall []plan.FirewallRules `json:",omitempty"`
	// Defaults are the default routes and what leads to them.
	Defaults []plan.DefaultRoute `json:",omitempty"`
	DNS      *plan.DNSSettings   `json:",omitempty"`
	// Masquerade is what others find behind the tunnel, or it behind others.
	Masquerade *plan.Masquerade `json:",omitempty"`
}

// A Sysctl is a parameter of the kernel that a tunnel needs to have a value.
type Sysctl struct {
	Name, Value string
	Before      string // what it was before the first of the tunnels that need it
}

// A difference makes steps that lead from one state of the link dev to another.
type difference struct {
	dev string
	// fresh says that the link was made in the same transaction: deleting it
	// takes back all that goes with it, so that it needs no undo of its own.
	fresh bool
	// settled are parameters that have their value already, or are to keep it
	// for another tunnel, by name.
	settled map[string]bool
	// kind is where the firewall's rules go, programs where there are some
	// already; both are for the lines only.
	kind     string
	programs []string
}

// steps returns the steps from have to want. What has to go goes from the
// outside in: names are no longer looked up through the tunnel before its
// routes go, and those before the link. What has to come comes the other way
// round. What replaces something comes before that goes, so that no packet
// finds neither.
func (d difference) steps(have, want State) (steps []plan.Step) {
	if have.DNS != nil && (want.DNS == nil || want.DNS.Backend != have.DNS.Backend || want.DNS.Record != have.DNS.Record) {
		steps = d.removal(steps, plan.UnsetDNS{DNSSettings: *have.DNS}, plan.SetDNS{DNSSettings: *have.DNS})
		have.DNS = nil
	}
	var replaced []plan.DefaultRoute
	for _, r := range slices.Backward(have.Defaults) {
		switch {
		case contains(want.Defaults, r):
		case slices.ContainsFunc(want.Defaults, func(w plan.DefaultRoute) bool { return w.V6 == r.V6 && w.Table != r.Table }):
			// A rule that others removed may come again at the same place.
			for _, w := range want.Defaults {
				r.Rules = but(r.Rules, w.Rules)
			}
			replaced = append(replaced, r)
		default:
			steps = d.removal(steps, plan.DelDefault{DefaultRoute: r}, plan.AddDefault{DefaultRoute: r})
		}
	}
	steps = d.onLink(steps, have, want)
	if !slices.EqualFunc(have.Firewall, want.Firewall, func(a, b plan.FirewallRules) bool { return reflect.DeepEqual(a, b) }) {
		set := plan.SetFirewall{Dev: d.dev, Had: have.Firewall, Want: want.Firewall, Kind: d.kind, Programs: d.programs}
		if len(want.Firewall) == 0 {
			steps = d.removal(steps, set, set.Undo())
		} else {
			steps = d.lasting(steps, set, set.Undo())
		}
	}
	steps = d.sysctls(steps, have.Sysctls, want.Sysctls)
	if !reflect.DeepEqual(have.Masquerade, want.Masquerade) {
		set := plan.SetMasquerade{Dev: d.dev, Had: have.Masquerade, Want: want.Masquerade}
		if want.Masquerade == nil {
			steps = d.removal(steps, set, set.Undo())
		} else {
			steps = d.lasting(steps, set, set.Undo())
		}
	}
	for _, r := range want.Defaults {
		if !contains(have.Defaults, r) {
			steps = d.lasting(steps, plan.AddDefault{DefaultRoute: r}, plan.DelDefault{DefaultRoute: r})
		}
	}
	for _, r := range replaced {
		steps = d.removal(steps, plan.DelDefault{DefaultRoute: r}, plan.AddDefault{DefaultRoute: r})
	}
	if want.DNS != nil && !reflect.DeepEqual(have.DNS, want.DNS) {
		var undo plan.Op = plan.UnsetDNS{DNSSettings: *want.DNS}
		if have.DNS != nil {
			undo = plan.SetDNS{DNSSettings: *have.DNS}
		}
		steps = d.lasting(steps, plan.SetDNS{DNSSettings: *want.DNS}, undo)
	}
	return steps
}

// sysctls is the part of steps that concerns the kernel's parameters. One that
// goes may be that of a link that is gone.
func (d difference) sysctls(steps []plan.Step, have, want []Sysctl) []plan.Step {
	for _, p := range slices.Backward(have) {
		if indexOf(want, p.Name) < 0 && !d.settled[p.Name] {
			steps = d.removal(steps, plan.SetSysctl{Name: p.Name, Value: p.Before}, plan.SetSysctl{Name: p.Name, Value: p.Value})
		}
	}
	for _, p := range want {
		if indexOf(have, p.Name) < 0 && !d.settled[p.Name] {
			steps = d.lasting(steps, plan.SetSysctl{Name: p.Name, Value: p.Value}, plan.SetSysctl{Name: p.Name, Value: p.Before})
		}
	}
	return steps
}

// indexOf returns where a parameter is in a list; -1: nowhere.
func indexOf(list []Sysctl, name string) int {
	return slices.IndexFunc(list, func(p Sysctl) bool { return p.Name == name })
}

// onLink is the part of steps that goes with the link.
func (d difference) onLink(steps []plan.Step, have, want State) []plan.Step {
	for i, a := range want.Addresses {
		// One that the file has twice is given twice: the kernel refuses it.
		if !slices.Contains(have.Addresses, a) || slices.Contains(want.Addresses[:i], a) {
			steps = d.step(steps, plan.AddAddr{Dev: d.dev, Addr: a}, plan.DelAddr{Dev: d.dev, Addr: a})
		}
	}
	if want.MTU != have.MTU || want.Up && !have.Up {
		steps = d.step(steps,
			plan.SetLink{Dev: d.dev, MTU: want.MTU, Up: want.Up && !have.Up},
			plan.SetLink{Dev: d.dev, MTU: have.MTU})
	}
	if come := routesBut(want.Routes, have.Routes); len(come.Dst) > 0 {
		steps = d.step(steps, plan.AddRoutes{RouteSet: come}, plan.DelRoutes{RouteSet: come})
	}
	if gone := routesBut(have.Routes, want.Routes); len(gone.Dst) > 0 {
		steps = d.step(steps, plan.DelRoutes{RouteSet: gone}, plan.AddRoutes{RouteSet: gone})
	}
	for _, a := range have.Addresses {
		if !slices.Contains(want.Addresses, a) {
			steps = d.step(steps, plan.DelAddr{Dev: d.dev, Addr: a}, plan.AddAddr{Dev: d.dev, Addr: a})
		}
	}
	return steps
}

// lasting appends a step that has to be taken back by itself.
func (d difference) lasting(steps []plan.Step, do, undo plan.Op) []plan.Step {
	return append(steps, plan.Step{Do: do, Undo: undo})
}

// removal appends a step that others may have been faster with, in part or
// altogether.
func (d difference) removal(steps []plan.Step, do, undo plan.Op) []plan.Step {
	return append(steps, plan.Step{Do: do, Undo: undo, Gone: true})
}

// step appends a step whose effect goes with the link.
func (d difference) step(steps []plan.Step, do, undo plan.Op) []plan.Step {
	if d.fresh {
		undo = nil
	}
	return append(steps, plan.Step{Do: do, Undo: undo})
}

func contains[T any](list []T, one T) bool {
	return slices.ContainsFunc(list, func(other T) bool { return reflect.DeepEqual(one, other) })
}

// sameTable reports whether two sets are in one table: the main one is also the
// one without a number.
func sameTable(a, b plan.RouteSet) bool {
	return cmp.Or(a.Table, plan.MainTable) == cmp.Or(b.Table, plan.MainTable)
}

// routesBut returns the routes of a that aren't in b, in a's order.
func routesBut(a, b plan.RouteSet) plan.RouteSet {
	if a.Dev != b.Dev || !sameTable(a, b) || len(b.Dst) == 0 {
		return a
	}
	there := make(map[netip.Prefix]struct{}, len(b.Dst))
	for _, dst := range b.Dst {
		there[dst] = struct{}{}
	}
	rest := a
	rest.Dst = nil
	for _, dst := range a.Dst {
		if _, ok := there[dst]; !ok {
			rest.Dst = append(rest.Dst, dst)
		}
	}
	return rest
}
