// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package routing

import (
	"net/netip"
	"strconv"

	"wgtools/internal/plan"
)

// A Way is how the kernel sends a packet of this host's to an address.
type Way struct {
	To   netip.Addr
	Mark uint32 // of the packet; 0: none

	Rule  Rule         // the policy rule that decides; the zero Rule if none can be told
	Table uint32       // the table that the rule leads to; 0: none
	Route netip.Prefix // the route there that wins; invalid: none
	Kind  string       // of the route, as ip-route(8) calls it: "unicast", "local", "unreachable"

	Dev     string     // the link that it leaves by; "": it goes nowhere
	Gateway netip.Addr // invalid: none
	Source  netip.Addr // the address that it is sent from, if the program chose none
	MTU     int        // bytes: the route's own, or what was learnt of the way, or the link's
	Refusal string     // why it goes nowhere, in the kernel's words
}

// Goes reports whether the packet goes anywhere.
func (w *Way) Goes() bool { return w.Dev != "" }

// A Rule is a policy rule of any form, other than [plan.Rule], which has those
// that a tunnel's could be.
type Rule struct {
	V6         bool
	Priority   uint32
	Mark, Mask uint32 // the marks that it is about; a Mask of 0: any
	Not        bool   // it is about all other packets
	Table      uint32 // 0: it leads to none
	Text       string // as ip-rule(8) shows it
}

// ByMark reports whether packets with that mark are taken by r because of it.
func (r Rule) ByMark(mark uint32) bool {
	return r.Mask != 0 && (mark&r.Mask == r.Mark&r.Mask) != r.Not
}

// A Route is a route over a link.
type Route struct {
	Table uint32
	Dst   netip.Prefix
	Dev   string
}

// TableName returns what ip-route(8) calls a table.
func TableName(table uint32) string {
	switch table {
	case 253:
		return "default"
	case plan.MainTable:
		return "main"
	case 255:
		return "local"
	}
	return strconv.FormatUint(uint64(table), 10)
}
