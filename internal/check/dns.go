// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"fmt"
	"net/netip"
	"strings"
)

// dnsWord finds words of DNS that are taken for something else than was meant.
func dnsWord(s *subject, report func(Finding)) {
	const hint = "a name server is an address such as 10.0.0.1 or fd00::1; all else is a search domain"
	for _, v := range s.Quick.DNS {
		if _, err := netip.ParseAddr(v.Text); err != nil {
			report(Finding{Pos: v.Pos, Reason: fmt.Sprintf("%.100q is no address of a name server", v.Text), Hint: hint})
		}
	}
	for _, v := range s.Quick.Search {
		address, _, network := strings.Cut(v.Text, "/")
		_, err := netip.ParseAddr(address)
		dotted := strings.Count(v.Text, ".") == 3 && strings.Trim(strings.ToLower(v.Text), "0123456789.x*") == ""
		if dotted || network && err == nil || strings.ContainsAny(v.Text, "\"';[]()<>\\/@") || !isASCII(v.Text) && strings.ContainsAny(v.Text, "“”‘’\u00a0") {
			s.told[v.Pos] = true
			report(Finding{Pos: v.Pos, Reason: fmt.Sprintf("%.100q is no address, and so it counts as a search domain", v.Text), Hint: hint})
		}
	}
}

func isASCII(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f }) }

func dnsSearchOnly(s *subject, report func(Finding)) {
	q := &s.Quick
	if len(q.DNS) > 0 || len(q.Search) == 0 || s.told[q.Search[0].Pos] {
		return
	}
	report(Finding{
		Pos:    q.Search[0].Pos,
		Reason: "there is no name server beside this search domain: the original leaves it out",
		Hint:   "add the address of a name server",
	})
}

// resolvConfServers is how many name servers the C library asks.
const resolvConfServers = 3

func dnsMany(s *subject, report func(Finding)) {
	if q := &s.Quick; len(q.DNS) > resolvConfServers {
		report(Finding{Pos: q.DNS[resolvConfServers].Pos, Reason: fmt.Sprintf("programs ask the first %d name servers only", resolvConfServers), Hint: "leave the others out"})
	}
}

// dnsOutside finds name servers of a full tunnel that are asked past it.
func dnsOutside(s *subject, report func(Finding)) {
	v4, v6 := s.full()
	if v4 == nil && v6 == nil {
		return
	}
	for _, v := range s.Quick.DNS {
		a, err := netip.ParseAddr(v.Text)
		if err != nil || a.IsLoopback() {
			continue
		}
		if _, ok := s.routed(a); ok {
			continue
		}
		n, isLocal := s.local(a)
		switch {
		case isLocal:
			report(Finding{
				Pos:    v.Pos,
				Reason: fmt.Sprintf("%v is in the network of %s: names are asked for there, past the tunnel", a, n.Link),
				Hint:   "take a name server behind the tunnel",
			})
		case a.Is4() && v4 == nil, a.Is6() && v6 == nil:
			report(Finding{
				Pos:    v.Pos,
				Reason: fmt.Sprintf("the tunnel doesn't lead to %v: names are asked for past it", a),
				Hint:   "add it to AllowedIPs, or take a name server that the tunnel leads to",
			})
		}
	}
}

// dnsUnreachable finds private name servers to which no way is known.
func dnsUnreachable(s *subject, report func(Finding)) {
	v4, v6 := s.full()
	if s.table.Off() || len(s.hooks) > 0 {
		return
	}
	for _, v := range s.Quick.DNS {
		a, err := netip.ParseAddr(v.Text)
		if err != nil || !a.IsPrivate() || a.Is4() && v4 != nil || a.Is6() && v6 != nil {
			continue
		}
		_, inside := s.routed(a)
		_, nearby := s.local(a)
		if inside || nearby || v4 != nil || v6 != nil { // the latter: see dnsOutside
			continue
		}
		report(Finding{
			Pos:    v.Pos,
			Reason: fmt.Sprintf("the tunnel doesn't lead to %v, a private address: no name can be resolved while it is up", a),
			Hint:   "add it to AllowedIPs",
		})
	}
}
