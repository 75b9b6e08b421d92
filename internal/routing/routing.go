// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package routing decides which routes send traffic through a WireGuard link,
// which rules lead there, and how large its packets may be. It only computes: what it needs to know of
// the host is given to it, and package rtnl carries its answers out.
package routing

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"wgtools/internal/plan"
)

// A Table says where the routes of a tunnel go. The zero Table is automatic:
// the main table, and for default routes one of the tunnel's own.
type Table struct {
	off    bool
	chosen bool
	number uint32
}

// Chosen returns the table of that number.
func Chosen(number uint32) Table { return Table{chosen: true, number: number} }

// Off reports whether no routes are wanted at all.
func (t Table) Off() bool { return t.off }

// Auto reports whether the choice is left to us.
func (t Table) Auto() bool { return !t.off && !t.chosen }

// String returns the table as [ParseTable] reads it.
func (t Table) String() string {
	switch {
	case t.off:
		return "off"
	case t.chosen:
		return strconv.FormatUint(uint64(t.number), 10)
	}
	return "auto"
}

// ParseTable reads the value of Table in a configuration file: "auto" or
// nothing, "off", a number in C's notation or a name that lookup knows. Words
// count in lower case only, as in wg-quick(8).
func ParseTable(s string, lookup func(name string) (uint32, bool)) (Table, error) {
	switch s {
	case "", "auto":
		return Table{}, nil
	case "off":
		return Table{off: true}, nil
	}
	if n, ok := lookup(s); ok {
		return Chosen(n), nil
	}
	n, err := strconv.ParseUint(s, 0, 32)
	if err != nil || strings.Contains(s, "_") {
		return Table{}, fmt.Errorf("%.200q is no routing table", s)
	}
	return Chosen(uint32(n)), nil
}

// DefaultRoutes reports for each family whether allowed asks for a default
// route that t sends where other traffic goes too: that takes rules and a mark.
func DefaultRoutes(t Table, allowed []netip.Prefix) (v4, v6 bool) {
	for _, p := range allowed {
		if t.Auto() && p.Bits() == 0 {
			v4, v6 = v4 || p.Addr().Is4(), v6 || p.Addr().Is6()
		}
	}
	return v4, v6
}

// Routes returns the routes over the link dev for the allowed IPs of all its
// peers, in the order in which they are to be added: long prefixes first, of
// equal length by descending text (wg-quick's order, which users may see).
//
// With an automatic table, default routes are left out, which [DefaultOver] is
// for, and those that another route over the link, in onLink, covers: the
// link's addresses brought some along.
func Routes(t Table, dev string, allowed, onLink []netip.Prefix) plan.RouteSet {
	set := plan.RouteSet{Dev: dev, Table: t.number}
	if t.off {
		return set
	}
	var there coverage
	if t.Auto() {
		for _, p := range onLink {
			there.add(p)
		}
	}
	set.Dst = slices.DeleteFunc(inOrder(allowed), func(p netip.Prefix) bool {
		return t.Auto() && p.Bits() == 0 || there.covers(p)
	})
	return set
}

// inOrder returns the networks of list, each once, in wg-quick's order.
func inOrder(list []netip.Prefix) []netip.Prefix {
	type item struct {
		p    netip.Prefix
		text string
	}
	items := make([]item, len(list))
	for i, p := range list {
		p = p.Masked()
		items[i] = item{p, p.String()}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(b.p.Bits(), a.p.Bits()), cmp.Compare(b.text, a.text))
	})
	out := make([]netip.Prefix, 0, len(items))
	for i, it := range items {
		if i == 0 || it.p != items[i-1].p {
			out = append(out, it.p)
		}
	}
	return out
}

// A coverage is a set of networks that is asked whether one of them contains
// another network.
type coverage struct {
	nets map[netip.Prefix]struct{}
	bits [2][]int // the lengths that there are, per family
}

func family(p netip.Prefix) int {
	if p.Addr().Is4() {
		return 0
	}
	return 1
}

func (c *coverage) add(p netip.Prefix) {
	if c.nets == nil {
		c.nets = map[netip.Prefix]struct{}{}
	}
	c.nets[p.Masked()] = struct{}{}
	if f := family(p); !slices.Contains(c.bits[f], p.Bits()) {
		c.bits[f] = append(c.bits[f], p.Bits())
	}
}

func (c *coverage) covers(p netip.Prefix) bool {
	for _, bits := range c.bits[family(p)] {
		if bits > p.Bits() {
			continue
		}
		if _, ok := c.nets[netip.PrefixFrom(p.Addr(), bits).Masked()]; ok {
			return true
		}
	}
	return false
}
