// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"net/netip"
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
}

// A difference makes steps that lead from one state of the link dev to another.
type difference struct {
	dev string
	// fresh says that the link was made in the same transaction: deleting it
	// takes all of this back, so that no step needs an undo of its own.
	fresh bool
}

// steps returns the steps from have to want: what has to go goes first, routes
// before the addresses that they need, and then it is the other way round.
func (d difference) steps(have, want State) (steps []plan.Step) {
	gone, come := routesBut(have.Routes, want.Routes), routesBut(want.Routes, have.Routes)
	if len(gone.Dst) > 0 {
		steps = d.step(steps, plan.DelRoutes{RouteSet: gone}, plan.AddRoutes{RouteSet: gone})
	}
	for _, a := range have.Addresses {
		if !slices.Contains(want.Addresses, a) {
			steps = d.step(steps, plan.DelAddr{Dev: d.dev, Addr: a}, plan.AddAddr{Dev: d.dev, Addr: a})
		}
	}
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
	if len(come.Dst) > 0 {
		steps = d.step(steps, plan.AddRoutes{RouteSet: come}, plan.DelRoutes{RouteSet: come})
	}
	return steps
}

func (d difference) step(steps []plan.Step, do, undo plan.Op) []plan.Step {
	if d.fresh {
		undo = nil
	}
	return append(steps, plan.Step{Do: do, Undo: undo})
}

// routesBut returns the routes of a that aren't in b, in a's order.
func routesBut(a, b plan.RouteSet) plan.RouteSet {
	if a.Dev != b.Dev || a.Table != b.Table || len(b.Dst) == 0 {
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
