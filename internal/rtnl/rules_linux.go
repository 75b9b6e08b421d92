// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// AddDefault implements [plan.Routes]: all in one send, so that hardly a
// moment is between the first part and the last, with which it takes effect.
func (k *Kernel) AddDefault(_ context.Context, d plan.DefaultRoute) error {
	index, err := k.index(d.Dev)
	if err != nil {
		return err
	}
	r := d.Route()
	var requests []request
	for _, dst := range d.Except {
		requests = append(requests, request{unix.RTM_NEWROUTE, unix.NLM_F_CREATE | unix.NLM_F_EXCL, func(b []byte) []byte { return throw(b, r.Table, dst) }})
	}
	requests = append(requests, request{unix.RTM_NEWROUTE, unix.NLM_F_CREATE | unix.NLM_F_EXCL, func(b []byte) []byte {
		return route(b, index, r.Table, r.Dst[0])
	}})
	for _, one := range d.Rules {
		requests = append(requests, request{unix.RTM_NEWRULE, unix.NLM_F_CREATE | unix.NLM_F_EXCL, func(b []byte) []byte {
			// systemd-networkd removes all rules that aren't its own when it starts,
			// but for the kernel's (networkd.conf(5), ManageForeignRoutingPolicyRules).
			return attr(rule(b, one), unix.FRA_PROTOCOL, []byte{unix.RTPROT_KERNEL})
		}})
	}
	failed := make([]error, len(requests))
	err = k.conn.all(requests, func(i int, err error) { failed[i] = err })
	first := slices.IndexFunc(failed, func(err error) bool { return err != nil })
	if err == nil && first < 0 {
		return nil
	}
	added := d // without what failed, which may be another's
	added.Rules, added.Except = nil, nil
	for i, dst := range d.Except {
		if failed[i] == nil {
			added.Except = append(added.Except, dst)
		}
	}
	for i, one := range d.Rules {
		if failed[len(d.Except)+1+i] == nil {
			added.Rules = append(added.Rules, one)
		}
	}
	undo := k.delDefault(added, failed[len(d.Except)] == nil)
	if errors.Is(undo, fs.ErrNotExist) {
		undo = nil
	}
	if first < 0 {
		return errors.Join(err, undo)
	}
	return lineError(plan.AddDefault{DefaultRoute: d}, first, errors.Join(failed[first], err, undo))
}

// DelDefault implements [plan.Routes].
func (k *Kernel) DelDefault(_ context.Context, d plan.DefaultRoute) error {
	return k.delDefault(d, true)
}

func (k *Kernel) delDefault(d plan.DefaultRoute, withRoute bool) error {
	var requests []request
	for _, one := range slices.Backward(d.Rules) {
		requests = append(requests, request{unix.RTM_DELRULE, 0, func(b []byte) []byte { return rule(b, one) }})
	}
	defaultRoute := -1
	// The link may be gone, and its routes with it; but not what is excepted.
	r := d.Route()
	if index, err := k.index(d.Dev); err == nil && withRoute {
		defaultRoute = len(requests)
		requests = append(requests, request{unix.RTM_DELROUTE, 0, func(b []byte) []byte { return route(b, index, r.Table, r.Dst[0]) }})
	}
	for _, dst := range d.Except {
		requests = append(requests, request{unix.RTM_DELROUTE, 0, func(b []byte) []byte { return throw(b, r.Table, dst) }})
	}
	if len(requests) == 0 {
		return nil
	}
	failed := make([]error, len(requests))
	if err := k.conn.all(requests, func(i int, err error) { failed[i] = noRule(err) }); err != nil {
		return err
	}
	worst := -1
	for i, err := range failed {
		switch gone := errors.Is(err, fs.ErrNotExist); {
		case err == nil, gone && i == defaultRoute:
		case worst < 0, !gone && errors.Is(failed[worst], fs.ErrNotExist):
			worst = i
		}
	}
	if worst < 0 {
		return nil
	}
	if defaultRoute < 0 && worst >= len(d.Rules) {
		worst++ // its line comes first
	}
	return lineError(plan.DelDefault{DefaultRoute: d}, worst, failed[worst])
}

// noRule gives the kernel's answer for a rule that isn't there its meaning.
func noRule(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("%w (%w)", err, fs.ErrNotExist)
	}
	return err
}

func lineError(op plan.Op, i int, err error) error {
	for line := range op.Lines() {
		if i == 0 {
			return &plan.LineError{Line: line, Err: err}
		}
		i--
	}
	return err
}

// rule appends the message of a rule (struct fib_rule_hdr and its attributes,
// linux/fib_rules.h).
func rule(b []byte, r plan.Rule) []byte {
	family, small, flags := byte(unix.AF_INET), byte(unix.RT_TABLE_UNSPEC), byte(0)
	if r.V6 {
		family = unix.AF_INET6
	}
	if r.Table <= 255 {
		small = byte(r.Table)
	}
	if r.Not {
		flags = unix.FIB_RULE_INVERT
	}
	b = append(b, family, 0, 0, 0, small, 0, 0, unix.FR_ACT_TO_TBL, flags, 0, 0, 0)
	b = attr32(b, unix.FRA_PRIORITY, r.Priority)
	if r.Mark != 0 || r.Not {
		b = attr32(b, unix.FRA_FWMARK, r.Mark)
	}
	if small == unix.RT_TABLE_UNSPEC {
		b = attr32(b, unix.FRA_TABLE, r.Table)
	}
	if r.NoDefault {
		b = attr32(b, unix.FRA_SUPPRESS_PREFIXLEN, 0)
	}
	return b
}

// Policy returns the rules, the tables that have routes and the default routes
// of both families.
func (k *Kernel) Policy(context.Context) (*routing.Policy, error) {
	p := &routing.Policy{Used: map[uint32]bool{}}
	links := map[int]string{}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		v6 := family == netlink.FAMILY_V6
		var rules []netlink.Rule
		err := k.dump(func() (err error) { rules, err = k.h.RuleList(family); return err })
		if noFamily(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("read the policy rules: %w", asError(err))
		}
		for _, r := range rules {
			p.Rules = append(p.Rules, ruleOf(r, v6))
		}
		var defaults []netlink.Route // their links' names are asked for later: the socket is in use
		err = k.dump(func() error {
			defaults = nil
			every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
			return k.h.RouteListFilteredIter(family, every, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
				p.Used[uint32(r.Table)] = true
				if dst, ok := prefix(r.Dst); (!ok || dst.Bits() == 0) && r.Type == unix.RTN_UNICAST {
					defaults = append(defaults, r)
				}
				return true
			})
		})
		if err != nil {
			return nil, fmt.Errorf("read the routes: %w", asError(err))
		}
		for _, r := range defaults {
			p.Defaults = append(p.Defaults, routing.Default{V6: v6, Table: uint32(r.Table), Dev: k.name(links, r.LinkIndex)})
		}
	}
	return p, nil
}

// ruleOf returns r if it is of a form that a tunnel's could have, else only
// its family and priority.
func ruleOf(r netlink.Rule, v6 bool) plan.Rule {
	out := plan.Rule{V6: v6, Priority: uint32(max(r.Priority, 0))}
	switch {
	case r.Src != nil, r.Dst != nil, r.IifName != "", r.OifName != "", r.Tos != 0, r.TunID != 0, r.IPProto > 0,
		r.Dport != nil, r.Sport != nil, r.UIDRange != nil, r.Goto > 0, r.Mask != nil && *r.Mask != ^uint32(0),
		r.SuppressIfgroup >= 0, r.SuppressPrefixlen > 0:
		return out
	}
	out.Mark, out.Not, out.Table, out.NoDefault = r.Mark, r.Invert, uint32(r.Table), r.SuppressPrefixlen == 0
	return out
}

// name returns the name of a link, "" if it is gone.
func (k *Kernel) name(known map[int]string, index int) string {
	name, ok := known[index]
	if !ok {
		if link, err := k.h.LinkByIndex(index); err == nil {
			name = link.Attrs().Name
		}
		known[index] = name
	}
	return name
}

func noFamily(err error) bool {
	return errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EOPNOTSUPP)
}
