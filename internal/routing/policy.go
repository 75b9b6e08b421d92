// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package routing

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"wgtools/internal/plan"
)

// A Policy is what a host has of policy routing.
type Policy struct {
	// Rules are all rules, in the order in which the kernel goes through them.
	// One that no tunnel could have has only its family and priority.
	Rules []plan.Rule
	// Used are the tables that have any route.
	Used map[uint32]bool
	// Defaults are all default routes over links.
	Defaults []Default
}

// A Default is where a default route stands.
type Default struct {
	V6    bool
	Table uint32
	Dev   string
}

// Has reports whether all of d is there.
func (p *Policy) Has(d plan.DefaultRoute) bool {
	for _, r := range d.Rules {
		if !slices.Contains(p.Rules, r) {
			return false
		}
	}
	return slices.Contains(p.Defaults, Default{V6: d.V6, Table: d.Table, Dev: d.Dev})
}

// FirstMark is the first number that is tried as the mark of a full tunnel's
// own packets and as the number of its table; hooks and guides rely on it.
const FirstMark = 51820

// The tables that the kernel itself uses: default, main, local.
const firstReserved, lastReserved = 253, 255

// ChooseMark returns the mark and the table for a full tunnel over the link
// dev, whose device has the mark current; 0 is none. v4 and v6 are the
// families of its default routes.
//
// As in wg-quick(8) both are the same number: current, or else the first one
// from [FirstMark] whose table is empty. But where table current has a default
// route already, of another tunnel or of the host itself, the table is the
// first empty one.
func ChooseMark(p *Policy, current uint32, v4, v6 bool) (mark, table uint32, err error) {
	taken := current >= firstReserved && current <= lastReserved || slices.ContainsFunc(p.Defaults, func(d Default) bool {
		return d.Table == current && (d.V6 && v6 || !d.V6 && v4)
	})
	if current != 0 && !taken {
		return current, current, nil
	}
	for n := uint32(FirstMark); n < math.MaxUint32; n++ {
		if !p.Used[n] {
			return cmp.Or(current, n), n, nil
		}
	}
	return 0, 0, fmt.Errorf("no routing table is free")
}

// DefaultOver returns the default route of one family over the link dev, by
// that table, for all but the packets with that mark, and its rules: above all
// that there are, below the kernel's first one, which is for the host itself.
//
// The rules are, in their order:
//   - the packets of every tunnel, by their marks, go by the main table: else
//     those of one full tunnel would be sent through another one. These rules
//     are left out while there is only one;
//   - what the main table has a route for, other than by default, goes there;
//   - all else goes through the tunnel.
func DefaultOver(p *Policy, dev string, v6 bool, mark, table uint32) plan.DefaultRoute {
	marks := []uint32{mark}
	var priorities []uint32
	for _, r := range p.Rules {
		if r.V6 != v6 {
			continue
		}
		priorities = append(priorities, r.Priority)
		if IsDiversion(r) && !slices.Contains(marks, r.Mark) {
			marks = append(marks, r.Mark)
		}
	}
	d := plan.DefaultRoute{Dev: dev, V6: v6, Table: table}
	if len(marks) > 1 {
		for _, m := range marks {
			d.Rules = append(d.Rules, plan.Rule{V6: v6, Mark: m, Table: plan.MainTable})
		}
	}
	d.Rules = append(d.Rules,
		plan.Rule{V6: v6, Table: plan.MainTable, NoDefault: true},
		plan.Rule{V6: v6, Mark: mark, Not: true, Table: table})

	// Where the kernel would put a rule without a priority.
	next := uint32(0)
	if len(priorities) > 1 {
		next = priorities[1]
	}
	for i := len(d.Rules) - 1; i >= 0; i-- {
		// At 0, which others may have left us only, they stand in the order in
		// which they are added.
		if next > 0 {
			next--
		}
		d.Rules[i].Priority = next
	}
	return d
}

// IsDiversion reports whether r is of the form that sends traffic into a full
// tunnel.
func IsDiversion(r plan.Rule) bool {
	return r.Not && r.Mark != 0 && r.Table != 0 && r.Table != plan.MainTable && !r.NoDefault
}

// DefaultsOf returns the default routes of the link dev and the rules that
// lead to them, by whatever program they were made; mark is that of its
// device, 0 if it has none. Of the rules that several tunnels have in common
// it takes the one next to the link's own.
func DefaultsOf(p *Policy, dev string, mark uint32) (list []plan.DefaultRoute) {
	for _, v6 := range []bool{false, true} {
		tables := []uint32{}
		if mark != 0 {
			tables = append(tables, mark) // its route went with the link
		}
		for _, d := range p.Defaults {
			if d.V6 == v6 && d.Dev == dev && d.Table != plan.MainTable && !slices.Contains(tables, d.Table) {
				tables = append(tables, d.Table)
			}
		}
		for _, table := range tables {
			if rules := rulesTo(p, v6, table); len(rules) > 0 {
				list = append(list, plan.DefaultRoute{Dev: dev, V6: v6, Table: table, Rules: rules})
			}
		}
	}
	return list
}

// rulesTo returns the rules that lead to a tunnel's table: each diversion, and
// what stands directly above it.
func rulesTo(p *Policy, v6 bool, table uint32) (rules []plan.Rule) {
	var family []plan.Rule
	for _, r := range p.Rules {
		if r.V6 == v6 {
			family = append(family, r)
		}
	}
	for i, r := range family {
		if !IsDiversion(r) || r.Table != table {
			continue
		}
		var above []plan.Rule
		if i > 0 {
			if s := family[i-1]; s.NoDefault && s.Table == plan.MainTable && s.Mark == 0 && !s.Not {
				above = append(above, s)
			}
		}
		rules = append(append(rules, above...), r)
	}
	return rules
}
