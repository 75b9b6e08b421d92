// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"

	"go4.org/netipx"

	"wgtools/internal/device"
)

// Exclude returns the addresses of allowed that are not in excluded, as the
// fewest prefixes that say so, sorted, IPv4 first.
func Exclude(allowed, excluded []netip.Prefix) []netip.Prefix {
	var b netipx.IPSetBuilder
	for _, p := range allowed {
		b.AddPrefix(p)
	}
	for _, p := range excluded {
		b.RemovePrefix(p)
	}
	var left []netip.Prefix
	for _, r := range ranges(&b) {
		left = r.AppendPrefixes(left)
	}
	return left
}

// ranges returns what was built, sorted and apart from each other. What can't
// be in a set, as the zero Prefix, isn't.
func ranges(b *netipx.IPSetBuilder) []netipx.IPRange {
	set, _ := b.IPSet()
	return set.Ranges()
}

// Outside returns those of excluded that have no address in common with allowed.
func Outside(allowed, excluded []netip.Prefix) (list []netip.Prefix) {
	var b netipx.IPSetBuilder
	for _, p := range allowed {
		b.AddPrefix(p)
	}
	ranges := ranges(&b)
	for _, p := range excluded {
		r := netipx.RangeOfPrefix(p)
		i := sort.Search(len(ranges), func(i int) bool { return !ranges[i].To().Less(r.From()) })
		if i == len(ranges) || r.To().Less(ranges[i].From()) {
			list = append(list, p)
		}
	}
	return list
}

// excludedIPs are what one line of a peer's takes away.
type excludedIPs struct {
	pos Pos
	ips []netip.Prefix
}

func (d *decoder) excludedIPs(value []byte) error {
	ips, plain, err := appendAllowedIPs(nil, value, d.warn)
	if err != nil {
		return err
	}
	if !plain {
		return &ValueError{Line: "ExcludedIPs: a sign before an address", Reason: "a sign before an address",
			Hint: "addresses to exclude stand without + and -"}
	}
	d.excluded = append(d.excluded, excludedIPs{d.place(d.value, 0), bare(ips)})
	return nil
}

// bare returns the prefixes of a list that has no signs.
func bare(ips []device.AllowedIP) []netip.Prefix {
	list := make([]netip.Prefix, len(ips))
	for i, ip := range ips {
		list[i] = ip.Masked()
	}
	return list
}

// exclude takes the excluded IPs of the peer that ends from its allowed ones.
func (d *decoder) exclude() {
	lines := d.excluded
	if len(lines) == 0 {
		return
	}
	d.excluded = nil
	p := d.peer()
	if !p.ReplaceAllowedIPs {
		d.problem(nil, Problem{
			Pos: lines[0].pos, Code: BadValue, Reason: "ExcludedIPs: the allowed IPs of this peer have signs",
			Hint: "where there are ExcludedIPs, AllowedIPs stand without + and -",
		})
		return
	}
	allowed := bare(p.AllowedIPs)
	var all []netip.Prefix
	for _, l := range lines {
		all = append(all, l.ips...)
	}
	if outside := Outside(allowed, all); len(outside) > 0 {
		first := slices.IndexFunc(lines, func(l excludedIPs) bool { return slices.Contains(l.ips, outside[0]) })
		text := fmt.Sprintf("Warning: ExcludedIPs: %v is not among the allowed IPs of this peer", outside[0])
		if n := len(outside) - 1; n > 0 {
			text += fmt.Sprintf(", and %d more are not", n)
		}
		d.warnAt(lines[first].pos, text, "it was not going through the tunnel anyway")
	}
	left := Exclude(allowed, all)
	if len(left) == 0 && len(allowed) > 0 {
		d.warnAt(lines[0].pos, "Warning: ExcludedIPs: nothing is left of the allowed IPs of this peer", "nothing will be sent to it")
	}
	p.AllowedIPs = make([]device.AllowedIP, len(left))
	for i, prefix := range left {
		p.AllowedIPs[i].Prefix = prefix
	}
	e := Exclusion{Peer: len(d.config.Peers) - 1, IPs: Exclude(all, nil)}
	for _, p := range allowed {
		e.Default4 = e.Default4 || p.Bits() == 0 && p.Addr().Is4()
		e.Default6 = e.Default6 || p.Bits() == 0 && p.Addr().Is6()
	}
	d.config.Excluding = append(d.config.Excluding, e)
}

func (d *decoder) warnAt(pos Pos, text, hint string) {
	if d.options.Warn != nil && d.err == nil {
		d.options.Warn(Warning{Text: text, Pos: pos, Hint: hint})
	}
}
