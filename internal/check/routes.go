// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/routing"
)

// inMain reports whether the tunnel's routes go where all others are.
func (s *subject) inMain() bool {
	return s.table.Auto() || slices.Contains([]routing.Table{routing.Chosen(0), routing.Chosen(253), routing.Chosen(254)}, s.table)
}

// full returns the first default route for each family that the tunnel is to
// be, with rules of its own; nil for none.
func (s *subject) full() (v4, v6 *prefix) {
	if !s.table.Auto() {
		return nil, nil
	}
	for i := range s.peers {
		if v4 == nil {
			v4 = s.peers[i].defaultIPv4
		}
		if v6 == nil {
			v6 = s.peers[i].defaultIPv6
		}
	}
	return v4, v6
}

// routed reports whether the tunnel leads to a, by an allowed IP that isn't
// everything, or by the network of one of its addresses; and where that stands.
func (s *subject) routed(a netip.Addr) (by prefix, ok bool) {
	if !a.IsValid() {
		return prefix{}, false
	}
	a = a.WithZone("")
	for i := range s.peers {
		for _, p := range s.peers[i].allowed {
			if p.Bits() > 0 && p.Masked().Contains(a) {
				return p, true
			}
		}
	}
	for _, p := range s.addresses {
		if p.Bits() > 0 && p.Masked().Contains(a) {
			return p, true
		}
	}
	return prefix{}, false
}

// local returns the network of the host that a is in.
func (s *subject) local(a netip.Addr) (n Network, ok bool) {
	if !a.IsValid() {
		return Network{}, false
	}
	for _, n := range s.host.Networks {
		if n.Prefix.Bits() > 0 && n.Prefix.Masked().Contains(a) {
			return n, true
		}
	}
	return Network{}, false
}

func addressInLocalNetwork(s *subject, report func(Finding)) {
	for _, a := range s.addresses {
		if n, ok := s.local(a.Addr()); ok {
			s.told[a.pos] = true
			report(Finding{
				Pos:    a.pos,
				Reason: fmt.Sprintf("%v is in the network %v of %s: its hosts or the tunnel's can't be reached", a.Addr(), n.Prefix.Masked(), n.Link),
				Hint:   "tunnels have a network of their own",
			})
		}
	}
}

func localNetwork(s *subject, report func(Finding)) {
	if !s.inMain() {
		return
	}
	for i := range s.peers {
		for _, a := range s.peers[i].allowed {
			n, ok := s.local(a.Masked().Addr())
			told := s.told[a.pos] || slices.ContainsFunc(s.addresses, func(b prefix) bool { return s.told[b.pos] && covers(n.Prefix, b.Prefix) })
			if !ok || !covers(n.Prefix, a.Prefix) || told {
				continue
			}
			s.told[a.pos] = true
			f := Finding{
				Pos:    a.pos,
				Reason: fmt.Sprintf("%v is in the network %v of %s: its hosts there can't be reached while the tunnel is up", a.Masked(), n.Prefix.Masked(), n.Link),
				Hint:   "one of the two sites needs another network",
			}
			if a.Masked() == n.Prefix.Masked() {
				f.Reason = fmt.Sprintf("%v is the network of %s: up fails, or its hosts can't be reached", a.Masked(), n.Link)
			}
			report(f)
		}
	}
}

func ipv6Leak(s *subject, report func(Finding)) {
	v4, v6 := s.full()
	unclear := slices.ContainsFunc(s.peers, func(p peer) bool {
		return p.badAllowed || slices.ContainsFunc(p.allowed, func(a prefix) bool { return a.Addr().Is6() && s.told[a.pos] })
	})
	if v4 == nil || v6 != nil || unclear || s.garbled || !s.host.IPv6 || s.halves(halves6) || s.mentions("ip6tables", "disable_ipv6", "nft") || s.sets("KillSwitch") {
		return
	}
	report(Finding{
		Pos:    v4.pos,
		Reason: "all of IPv4 goes into the tunnel, but this host has IPv6, which goes past it",
		Hint:   "add ::/0: without an IPv6 Address nothing goes out by IPv6 then",
	})
}

// sets reports whether the file switches a key on.
func (s *subject) sets(key string) bool {
	return slices.ContainsFunc(s.settings(key), func(v config.Setting) bool {
		return !slices.Contains([]string{"", "false", "off"}, strings.ToLower(v.Text))
	})
}

var (
	halves4 = [2]netip.Prefix{netip.MustParsePrefix("0.0.0.0/1"), netip.MustParsePrefix("128.0.0.0/1")}
	halves6 = [2]netip.Prefix{netip.MustParsePrefix("::/1"), netip.MustParsePrefix("8000::/1")}
)

// halves reports whether both halves of a family are allowed IPs.
func (s *subject) halves(of [2]netip.Prefix) bool {
	return s.place(of[0]) != nil && s.place(of[1]) != nil
}

// place returns where a network stands among the allowed IPs, nil for nowhere.
func (s *subject) place(network netip.Prefix) *prefix {
	for i := range s.peers {
		for j := range s.peers[i].allowed {
			if a := &s.peers[i].allowed[j]; a.Masked() == network {
				return a
			}
		}
	}
	return nil
}

// defaultHalves finds a default route that is written so that no rules are
// made for it.
func defaultHalves(s *subject, report func(Finding)) {
	nearby := !slices.ContainsFunc(s.peers, func(p peer) bool {
		_, ok := s.local(p.endpoint.addr)
		return p.endpoint.isSet() && !ok
	})
	if !s.table.Auto() || s.mentions("route") || nearby {
		return
	}
	for _, h := range [][2]netip.Prefix{halves4, halves6} {
		if !s.halves(h) {
			continue
		}
		a, b := s.place(h[0]), s.place(h[1])
		whole := netip.PrefixFrom(h[0].Addr(), 0)
		report(Finding{
			Pos: a.pos, Related: []config.Pos{b.pos},
			Reason: "the two halves of all addresses are plain routes, which the encrypted packets take, too: they never leave",
			Hint:   fmt.Sprintf("say %v, for which there are rules that keep them apart", whole),
		})
	}
}

// endpointInTunnel finds peers that would have to be reached through the tunnel
// itself.
func endpointInTunnel(s *subject, report func(Finding)) {
	if !s.inMain() || s.mentions("route") {
		return
	}
	for i := range s.peers {
		e := &s.peers[i].endpoint
		by, ok := s.routed(e.addr)
		if !ok || by.Masked() == halves4[0] || by.Masked() == halves4[1] || by.Masked() == halves6[0] || by.Masked() == halves6[1] {
			continue
		}
		if n, ok := s.local(e.addr); ok && n.Prefix.Bits() > by.Bits() {
			continue // the way there is more specific
		}
		report(Finding{
			Pos: e.Pos, Related: []config.Pos{by.pos},
			Reason: fmt.Sprintf("the way to this endpoint is the tunnel itself, by %v", by.Masked()),
			Hint:   "an endpoint is the address that the peer has outside of the tunnel",
		})
	}
}

// isOwn reports whether packets to a never leave the host.
func (s *subject) isOwn(a netip.Addr) bool {
	return a.IsLoopback() || slices.ContainsFunc(s.host.Networks, func(n Network) bool { return n.Prefix.Addr() == a })
}

func endpointIsOwn(s *subject, report func(Finding)) {
	for i := range s.peers {
		e := &s.peers[i].endpoint
		for _, n := range s.host.Networks {
			if e.addr.IsValid() && n.Prefix.Addr() == e.addr {
				report(Finding{
					Pos:    e.Pos,
					Reason: fmt.Sprintf("this is an address of this host, on %s", n.Link),
					Hint:   "an endpoint is the other side's; is this file the other side's?",
				})
			}
		}
	}
}

// defaultRouteInMain finds default routes without rules.
func defaultRouteInMain(s *subject, report func(Finding)) {
	if s.table.Auto() || !s.inMain() {
		return
	}
	for i := range s.peers {
		for _, d := range []*prefix{s.peers[i].defaultIPv4, s.peers[i].defaultIPv6} {
			if d != nil {
				report(Finding{
					Pos: s.Quick.Table.Pos, Related: []config.Pos{d.pos},
					Reason: fmt.Sprintf("the default route goes into the main table: up fails if there is one, else the encrypted packets take it, too, and never leave (%v)", d.Masked()),
					Hint:   "leave Table out: then there are rules that keep them apart",
				})
				return
			}
		}
	}
}

// defaultWithoutEndpoint finds servers that send all of their own traffic to a client.
func defaultWithoutEndpoint(s *subject, report func(Finding)) {
	if !s.table.Auto() {
		return
	}
	for i := range s.peers {
		p := &s.peers[i]
		for _, d := range []*prefix{p.defaultIPv4, p.defaultIPv6} {
			if d != nil && !p.hasEndpoint && !s.told[d.pos] && !s.garbled {
				report(Finding{
					Pos:    d.pos,
					Reason: "all that this host sends goes to this peer, of which it doesn't know where it is: it is cut off until the peer calls",
					Hint:   "on a server, say the client's address in the tunnel, such as 10.0.0.2/32; on a client, add Endpoint",
				})
				break
			}
		}
	}
}

// ownAddress finds peers that are given this host's own address.
func ownAddress(s *subject, report func(Finding)) {
	for i := range s.peers {
		for _, a := range s.peers[i].allowed {
			if !a.IsSingleIP() || s.told[a.pos] {
				continue
			}
			for _, own := range s.addresses {
				if own.Addr() == a.Addr() {
					report(Finding{
						Pos: a.pos, Related: []config.Pos{own.pos},
						Reason: fmt.Sprintf("%v is this host's own address: nothing for it enters the tunnel", a.Addr()),
						Hint:   "say the address that the peer has",
					})
				}
			}
		}
	}
}

// familyWithoutAddress finds networks that can't be reached for want of an
// address of their family. ::/0 without one is a way to keep IPv6 in.
func familyWithoutAddress(s *subject, report func(Finding)) {
	if len(s.addresses) == 0 || len(s.addresses) < len(s.Quick.Addresses) || s.table.Off() || s.mentions("addr", "ifconfig") {
		return
	}
	has := func(size int) bool {
		return slices.ContainsFunc(s.addresses, func(a prefix) bool { return a.Addr().BitLen() == size })
	}
	for _, size := range []int{32, 128} {
		if has(size) {
			continue
		}
		f := Finding{}
		for i := range s.peers {
			for _, a := range s.peers[i].allowed {
				if a.Addr().BitLen() != size || s.told[a.pos] || size == 128 && (a.Bits() == 0 || s.halves(halves6)) {
					continue
				}
				if f.Reason != "" {
					f.Related = append(f.Related, a.pos)
					continue
				}
				family := map[int]string{32: "IPv4", 128: "IPv6"}[size]
				f = Finding{
					Pos:    a.pos,
					Reason: fmt.Sprintf("the interface has no %s address, so this host reaches nothing of %v", family, a.Masked()),
					Hint:   fmt.Sprintf("add an %s address to Address", family),
				}
			}
		}
		if f.Reason != "" {
			report(f)
		}
	}
}

// tableOff says what is up to the user then.
func tableOff(s *subject, report func(Finding)) {
	if !s.table.Off() || s.Fwmark.Set && s.Fwmark.Value != 0 {
		return
	}
	for i := range s.peers {
		e := &s.peers[i].endpoint
		for _, a := range s.peers[i].allowed {
			if e.addr.IsValid() && !s.isOwn(e.addr) && a.Masked().Contains(e.addr.WithZone("")) {
				report(Finding{
					Pos: e.Pos, Related: []config.Pos{a.pos, s.Quick.Table.Pos},
					Reason: fmt.Sprintf("this endpoint is in %v: with Table = off nothing keeps the encrypted packets out of the tunnel once that is routed into it", a.Masked()),
					Hint:   "keep a route to the endpoint outside, or route by FwMark",
				})
				break
			}
		}
	}
}
