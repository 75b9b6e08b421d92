// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strconv"

	"wgtools/internal/device"
)

// MainTable is the number of the routing table that all traffic is looked up
// in (RT_TABLE_MAIN in linux/rtnetlink.h).
const MainTable = 254

// A Rule is a policy rule of one of the forms that full tunnels need.
type Rule struct {
	V6       bool
	Priority uint32
	// Mark selects the packets that have this mark or, with Not, all others.
	// Without either, the rule is for all packets.
	Mark uint32
	Not  bool
	// Table is where they are looked up, with NoDefault passing over its
	// default routes (suppress_prefixlength 0).
	Table     uint32
	NoDefault bool
}

func (r Rule) line(verb string) string {
	b := []byte("ip " + familyFlag(r.V6) + " rule " + verb + " ")
	if r.Not {
		b = append(b, "not "...)
	}
	if r.Not || r.Mark != 0 {
		b = fmt.Appendf(b, "fwmark %d ", r.Mark)
	}
	b = append(b, "table "...)
	if r.Table == MainTable {
		b = append(b, "main"...)
	} else {
		b = strconv.AppendUint(b, uint64(r.Table), 10)
	}
	if r.NoDefault {
		b = append(b, " suppress_prefixlength 0"...)
	}
	if verb == "delete" {
		b = fmt.Appendf(b, " priority %d", r.Priority)
	}
	return string(b)
}

// A DefaultRoute sends what has no better route in the main table out of the
// link Dev, in one family: a default route in a table of its own, and the
// rules that lead there, in the order in which they are added. The last one
// is what makes the difference; the others have no effect without it.
type DefaultRoute struct {
	Dev   string
	V6    bool
	Table uint32
	Rules []Rule
	// Except are networks that it isn't for. What is for them is looked up as
	// if the table weren't there.
	Except []netip.Prefix `json:",omitempty"`
}

// Route returns the default route itself.
func (d DefaultRoute) Route() RouteSet {
	dst := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	if d.V6 {
		dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	return RouteSet{Dev: d.Dev, Table: d.Table, Dst: []netip.Prefix{dst}}
}

type (
	// AddDefault adds a default route and its rules.
	AddDefault struct{ DefaultRoute }
	// DelDefault removes them, the rule first that makes the difference.
	DelDefault struct{ DefaultRoute }
	// SetMark sets the mark of a WireGuard device's own packets.
	SetMark struct {
		Dev  string
		Mark uint32
	}
	// SetSysctl sets a parameter of the kernel.
	SetSysctl struct{ Name, Value string }
)

// Sysctl changes parameters of the kernel, by names such as
// "net.ipv4.conf.all.src_valid_mark".
type Sysctl interface {
	SetSysctl(ctx context.Context, name, value string) error
}

// Apply implements [Op].
func (o AddDefault) Apply(ctx context.Context, h *Host) error {
	return h.Routes.AddDefault(ctx, o.DefaultRoute)
}

// Apply implements [Op].
func (o DelDefault) Apply(ctx context.Context, h *Host) error {
	return h.Routes.DelDefault(ctx, o.DefaultRoute)
}

// Apply implements [Op].
func (o SetMark) Apply(ctx context.Context, h *Host) error {
	return h.Devices.Configure(ctx, o.Dev, &device.Change{Fwmark: device.Some(o.Mark)})
}

// Apply implements [Op].
func (o SetSysctl) Apply(ctx context.Context, h *Host) error {
	return h.Sysctl.SetSysctl(ctx, o.Name, o.Value)
}

// Lines implements [Op].
func (o AddDefault) Lines() iter.Seq[string] {
	r := o.Route()
	var lines []string
	for _, dst := range o.Except {
		lines = append(lines, o.throwLine("add", dst))
	}
	lines = append(lines, r.line("add", r.Dst[0]))
	for _, rule := range o.Rules {
		lines = append(lines, rule.line("add"))
	}
	return slices.Values(lines)
}

// Lines implements [Op].
func (o DelDefault) Lines() iter.Seq[string] {
	var lines []string
	for _, rule := range slices.Backward(o.Rules) {
		lines = append(lines, rule.line("delete"))
	}
	r := o.Route()
	lines = append(lines, r.line("delete", r.Dst[0]))
	for _, dst := range o.Except {
		lines = append(lines, o.throwLine("delete", dst))
	}
	return slices.Values(lines)
}

func (d DefaultRoute) throwLine(verb string, dst netip.Prefix) string {
	return fmt.Sprintf("ip %s route %s throw %v table %d", familyFlag(d.V6), verb, dst, d.Table)
}

// Lines implements [Op].
func (o SetMark) Lines() iter.Seq[string] {
	return one(fmt.Sprintf("wg set %s fwmark %d", o.Dev, o.Mark))
}

// Lines implements [Op].
func (o SetSysctl) Lines() iter.Seq[string] { return one("sysctl -q " + o.Name + "=" + o.Value) }

func familyFlag(v6 bool) string {
	if v6 {
		return "-6"
	}
	return "-4"
}
