// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"wgtools/internal/routing"
)

// l3mdev is the priority of the rule that the kernel adds for its VRFs; it
// leads to no table either.
const l3mdev = 1000

// Way asks the kernel how it would send a packet with that mark to an address.
// That it would send it nowhere is an answer, not an error.
func (k *Kernel) Way(_ context.Context, to netip.Addr, mark uint32) (*routing.Way, error) {
	w := &routing.Way{To: to, Mark: mark}
	options := &netlink.RouteGetOptions{Mark: mark}
	if zone := to.Zone(); zone != "" {
		options.Oif = zone
	}
	got, err := k.h.RouteGetWithOptions(to.AsSlice(), options)
	if noFamily(err) {
		w.Refusal = "the kernel has no IPv6"
		return w, nil
	}
	errno := unix.Errno(0)
	if err != nil && (!errors.As(err, &errno) || !refuses(errno)) {
		return nil, fmt.Errorf("the way to %v: %w", to, asError(err))
	}
	var rules []netlink.Rule
	err = k.dump(func() (err error) { rules, err = k.h.RuleList(familyOf(to)); return err })
	if err != nil {
		return nil, fmt.Errorf("read the policy rules: %w", asError(err))
	}
	rules = matching(rules, to, mark)
	if errno != 0 || len(got) == 0 || got[0].LinkIndex == 0 {
		if w.Refusal = "no link"; errno != 0 {
			w.Refusal = errno.Error()
		}
		return w, k.refused(w, rules, errno)
	}
	r := got[0]
	w.Dev, w.MTU, w.Kind, w.Table = k.name(map[int]string{}, r.LinkIndex), k.routeMTU(r), kindOf(r.Type), uint32(r.Table)
	w.Gateway, w.Source = address(r.Gw), address(r.Src)
	if via, ok := r.Via.(*netlink.Via); ok {
		w.Gateway = address(via.Addr)
	}
	options.FIBMatch = true
	if entry, err := k.h.RouteGetWithOptions(to.AsSlice(), options); err == nil && len(entry) > 0 {
		w.Route, w.Table = destination(entry[0], to), uint32(entry[0].Table)
	}
	if r.Type == unix.RTN_LOCAL { // the tables main and local may be one inside
		w.Table = unix.RT_TABLE_LOCAL
	}
	for _, rule := range rules {
		if uint32(rule.Table) == w.Table && rule.SuppressPrefixlen < w.Route.Bits() {
			w.Rule = hostRule(rule, to.Is6())
			break
		}
	}
	return w, nil
}

// refuses reports whether an errno says that a packet goes nowhere.
func refuses(errno unix.Errno) bool {
	return slices.Contains([]unix.Errno{unix.ENETUNREACH, unix.EHOSTUNREACH, unix.EACCES, unix.EINVAL}, errno)
}

// refused finds out which rule or route has the packet go nowhere.
func (k *Kernel) refused(w *routing.Way, rules []netlink.Rule, errno unix.Errno) error {
	for _, rule := range rules {
		if rule.Table == 0 {
			if rule.Goto > 0 || rule.Priority == l3mdev {
				continue
			}
			w.Rule, w.Kind = hostRule(rule, w.To.Is6()), kindOfErrno(errno)
			return nil
		}
		var best *netlink.Route
		filter := &netlink.Route{Table: rule.Table}
		err := k.dump(func() error {
			best = nil
			return k.h.RouteListFilteredIter(familyOf(w.To), filter, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
				dst := destination(r, w.To)
				if dst.Contains(w.To.WithZone("")) && (best == nil || dst.Bits() > destination(*best, w.To).Bits()) {
					best = &r
				}
				return true
			})
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("read the routes: %w", asError(err))
		}
		if best == nil || best.Type == unix.RTN_THROW || rule.SuppressPrefixlen >= destination(*best, w.To).Bits() {
			continue
		}
		if best.Type == unix.RTN_UNICAST {
			continue // of a link that is down
		}
		w.Rule, w.Table, w.Route, w.Kind = hostRule(rule, w.To.Is6()), uint32(rule.Table), destination(*best, w.To), kindOf(best.Type)
		return nil
	}
	return nil
}

// Rules returns all policy rules of both families, in their order.
func (k *Kernel) Rules(context.Context) (list []routing.Rule, err error) {
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		var rules []netlink.Rule
		err := k.dump(func() (err error) { rules, err = k.h.RuleList(family); return err })
		if noFamily(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the policy rules: %w", asError(err))
		}
		for _, r := range rules {
			list = append(list, hostRule(r, family == netlink.FAMILY_V6))
		}
	}
	return list, nil
}

// Routes returns the routes over links, of both families and all tables but
// the one of the host's own addresses, for which keep reports true.
func (k *Kernel) Routes(_ context.Context, keep func(r routing.Route) bool) (list []routing.Route, err error) {
	links, err := k.links()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		any := netip.IPv4Unspecified()
		if family == netlink.FAMILY_V6 {
			any = netip.IPv6Unspecified()
		}
		before := len(list)
		err := k.dump(func() error {
			list = list[:before]
			every := &netlink.Route{Table: unix.RT_TABLE_UNSPEC}
			return k.h.RouteListFilteredIter(family, every, netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
				found := routing.Route{Table: uint32(r.Table), Dst: destination(r, any), Dev: names[r.LinkIndex]}
				if r.Type == unix.RTN_UNICAST && r.Table != unix.RT_TABLE_LOCAL && found.Dev != "" && keep(found) {
					list = append(list, found)
				}
				return true
			})
		})
		if noFamily(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the routes: %w", asError(err))
		}
	}
	return list, nil
}

// Kinds returns the kinds of all links by their names: "bridge", "wireguard".
func (k *Kernel) Kinds(context.Context) (map[string]string, error) {
	links, err := k.links()
	if err != nil {
		return nil, err
	}
	kinds := map[string]string{}
	for _, l := range links {
		kinds[l.Attrs().Name] = l.Type()
	}
	return kinds, nil
}

func (k *Kernel) links() (links []netlink.Link, err error) {
	err = k.dump(func() (err error) { links, err = k.h.LinkList(); return err })
	if err != nil {
		return nil, fmt.Errorf("list the links: %w", asError(err))
	}
	return links, nil
}

// RefusedSources returns how many packets the kernel's WireGuard dropped that
// came in by its link dev from addresses that their peer may not send from. It
// counts malformed ones along.
func (k *Kernel) RefusedSources(_ context.Context, dev string) (uint64, error) {
	link, err := k.link(dev)
	if err != nil || link.Attrs().Statistics == nil {
		return 0, err
	}
	return link.Attrs().Statistics.RxFrameErrors, nil
}

// Permitted returns nil if links, addresses and routes may be changed here.
// Nothing is: the kernel asks for the permission before it looks for the link,
// and there is none of that number.
func (k *Kernel) Permitted(context.Context) error {
	const none = 1<<31 - 1
	err := k.conn.one(request{unix.RTM_DELLINK, 0, func(b []byte) []byte { return ifinfo(b, none, 0) }})
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

// matching returns the rules that take a packet of this host's with that mark,
// in their order. What isn't known of the packet before it is sent, such as its
// ports, no rule can ask for.
func matching(rules []netlink.Rule, to netip.Addr, mark uint32) (list []netlink.Rule) {
	for i := 0; i < len(rules); i++ {
		r := rules[i]
		if takes(r, to, mark) == r.Invert {
			continue
		}
		list = append(list, r)
		if r.Goto > r.Priority {
			for i+1 < len(rules) && rules[i+1].Priority < r.Goto {
				i++
			}
		}
	}
	return list
}

func takes(r netlink.Rule, to netip.Addr, mark uint32) bool {
	in := func(n *net.IPNet, a netip.Addr) bool {
		p, ok := prefix(n)
		return !ok || p.Contains(a.WithZone(""))
	}
	none := netip.IPv4Unspecified() // its source is chosen by the route
	if to.Is6() {
		none = netip.IPv6Unspecified()
	}
	mask := ^uint32(0)
	if r.Mask != nil {
		mask = *r.Mask
	}
	uid := uint32(os.Getuid())
	switch {
	case r.Src != nil && !in(r.Src, none), r.Dst != nil && !in(r.Dst, to),
		r.IifName != "" && r.IifName != "lo", r.OifName != "", r.Tos != 0, r.TunID != 0, r.IPProto > 0 && r.IPProto != unix.IPPROTO_UDP, r.Dport != nil, r.Sport != nil,
		r.UIDRange != nil && (uid < r.UIDRange.Start || uid > r.UIDRange.End):
		return false
	}
	return (mark^r.Mark)&mask == 0 || r.Mark == 0 && r.Mask == nil
}

// hostRule returns a rule as values and in ip-rule(8)'s words.
func hostRule(r netlink.Rule, v6 bool) routing.Rule {
	out := routing.Rule{V6: v6, Priority: uint32(max(r.Priority, 0)), Mark: r.Mark, Not: r.Invert, Table: uint32(r.Table)}
	var b strings.Builder
	fmt.Fprintf(&b, "%d: ", out.Priority)
	if r.Invert {
		b.WriteString("not ")
	}
	from := "all"
	if p, ok := prefix(r.Src); ok {
		from = p.String()
	}
	b.WriteString("from " + from)
	if p, ok := prefix(r.Dst); ok {
		b.WriteString(" to " + p.String())
	}
	switch {
	case r.Mask != nil && *r.Mask != ^uint32(0):
		out.Mask = *r.Mask
		fmt.Fprintf(&b, " fwmark %#x/%#x", r.Mark, *r.Mask)
	case r.Mark != 0 || r.Mask != nil:
		out.Mask = ^uint32(0)
		fmt.Fprintf(&b, " fwmark %#x", r.Mark)
	}
	for _, word := range []struct{ name, value string }{{"iif", r.IifName}, {"oif", r.OifName}} {
		if word.value != "" {
			b.WriteString(" " + word.name + " " + word.value)
		}
	}
	if r.UIDRange != nil {
		fmt.Fprintf(&b, " uidrange %d-%d", r.UIDRange.Start, r.UIDRange.End)
	}
	if r.IPProto > 0 {
		fmt.Fprintf(&b, " ipproto %d", r.IPProto)
	}
	switch {
	case r.Table != 0:
		b.WriteString(" lookup " + routing.TableName(out.Table))
	case r.Goto > 0:
		fmt.Fprintf(&b, " goto %d", r.Goto)
	}
	if r.SuppressPrefixlen >= 0 {
		fmt.Fprintf(&b, " suppress_prefixlength %d", r.SuppressPrefixlen)
	}
	out.Text = b.String()
	return out
}

// destination returns a route's network; a default route has none of its own.
func destination(r netlink.Route, like netip.Addr) netip.Prefix {
	if dst, ok := prefix(r.Dst); ok {
		return dst
	}
	if like.Is4() {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	}
	return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
}

func kindOf(kind int) string {
	names := map[int]string{unix.RTN_UNICAST: "unicast", unix.RTN_LOCAL: "local", unix.RTN_BROADCAST: "broadcast", unix.RTN_ANYCAST: "anycast",
		unix.RTN_MULTICAST: "multicast", unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit"}
	if name, ok := names[kind]; ok {
		return name
	}
	return fmt.Sprint(kind)
}

// kindOfErrno is what a rule is called that has packets go nowhere.
func kindOfErrno(errno unix.Errno) string {
	switch errno {
	case unix.EINVAL:
		return "blackhole"
	case unix.EACCES:
		return "prohibit"
	}
	return "unreachable"
}

func familyOf(a netip.Addr) int {
	if a.Is4() {
		return netlink.FAMILY_V4
	}
	return netlink.FAMILY_V6
}

func address(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
