// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/keys"
)

func duplicatePeer(s *subject, report func(Finding)) {
	first := map[keys.Key]config.Pos{}
	for i := range s.peers {
		p := &s.peers[i]
		if p.key.IsZero() {
			continue
		}
		if pos, ok := first[p.key]; ok {
			report(Finding{
				Pos: p.keyPos, Related: []config.Pos{pos},
				Reason: "another [Peer] has this key: the two become one, with the AllowedIPs of the last",
				Hint:   "put all of its AllowedIPs into one section, or give it its own key",
			})
			for _, a := range p.allowed { // the same mistake again
				s.told[a.pos] = true
			}
			continue
		}
		first[p.key] = p.keyPos
	}
}

func allowedIPTwice(s *subject, report func(Finding)) {
	type claim struct {
		peer int
		prefix
	}
	first := map[netip.Prefix]claim{}
	for i := range s.peers {
		for _, a := range s.peers[i].allowed {
			network := a.Masked()
			c, ok := first[network]
			if !ok || c.peer == i || s.told[a.pos] {
				if !ok {
					first[network] = claim{i, a}
				}
				continue
			}
			f := Finding{
				Pos: a.pos, Related: []config.Pos{c.pos},
				Reason: fmt.Sprintf("%v is also given to the peer of line %d, which loses it: the last one has it", network, s.peers[c.peer].pos.Line),
				Hint:   "each network can lead to one peer only",
			}
			if a.Prefix != network || c.Prefix != network {
				f.Hint = fmt.Sprintf("for single addresses say %v/%d", a.Addr(), a.Addr().BitLen())
			}
			s.told[a.pos], s.told[c.pos] = true, true
			report(f)
		}
	}
}

// unspecified finds what was meant to be everything.
func unspecified(s *subject, report func(Finding)) {
	for i := range s.peers {
		for _, a := range s.peers[i].allowed {
			if a.Addr().IsUnspecified() && a.IsSingleIP() {
				s.told[a.pos] = true
				report(Finding{Pos: a.pos, Reason: fmt.Sprintf("%s is one address, which no host has", a.text), Hint: fmt.Sprintf("say %v/0 for all addresses", a.Addr())})
			}
		}
	}
}

func allowedIPRepeated(s *subject, report func(Finding)) {
	for i := range s.peers {
		first := map[netip.Prefix]config.Pos{}
		for _, a := range s.peers[i].allowed {
			network := a.Masked()
			if pos, ok := first[network]; !ok {
				first[network] = a.pos
			} else if pos != a.pos && !s.told[a.pos] {
				s.told[a.pos], s.told[pos] = true, true
				report(Finding{Pos: a.pos, Related: []config.Pos{pos}, Reason: fmt.Sprintf("%v is there already", network), Hint: "leave it out, or was another one meant?"})
			}
		}
	}
}

func hostBits(s *subject, report func(Finding)) {
	for i := range s.peers {
		for _, a := range s.peers[i].allowed {
			if network := a.Masked(); a.Prefix != network && !s.told[a.pos] {
				report(Finding{
					Pos:    a.pos,
					Reason: fmt.Sprintf("%s has bits of a host: it counts as all of %v", a.text, network),
					Hint:   fmt.Sprintf("say %v for the network, or %v/%d for the one address", network, a.Addr(), a.Addr().BitLen()),
				})
			}
		}
	}
}

func ownKey(s *subject, report func(Finding)) {
	if !s.PrivateKey.Set || s.PrivateKey.Value.IsZero() {
		return
	}
	own := s.PrivateKey.Value.Public()
	for i := range s.peers {
		if p := &s.peers[i]; p.key == own {
			report(Finding{
				Pos:    p.keyPos,
				Reason: "this is the public key of this file's own PrivateKey: the device leaves the peer out",
				Hint:   "put the other side's public key here",
			})
		}
	}
}

// keyMixUp finds a key that stands where another kind of key belongs.
func keyMixUp(s *subject, report func(Finding)) {
	private := s.PrivateKey.Value
	if private.IsZero() {
		return
	}
	for _, v := range s.Settings {
		if v.Peer < 0 {
			continue
		}
		switch p := &s.Peers[v.Peer]; {
		case v.Key == "PublicKey" && p.PublicKey == private && v.Pos == s.peers[v.Peer].keyPos:
			report(Finding{Pos: v.Pos, Reason: "this is the PrivateKey again", Hint: "a peer has the public key of the other side: `wg pubkey' makes it of that side's private key"})
		case v.Key == "PresharedKey" && p.PresharedKey.Value == private:
			report(Finding{Pos: v.Pos, Reason: "this is the PrivateKey again: the other side would have to know it", Hint: "`wg genpsk' makes a preshared key"})
		case v.Key == "PresharedKey" && p.PresharedKey.Value == p.PublicKey && !p.PublicKey.IsZero():
			report(Finding{Pos: v.Pos, Reason: "this is the peer's PublicKey again, which is no secret", Hint: "`wg genpsk' makes a preshared key"})
		}
	}
}

func zeroKey(s *subject, report func(Finding)) {
	for _, v := range s.settings("PublicKey") {
		if k, err := keys.Parse(strings.Join(strings.Fields(v.Text), "")); err == nil && k.IsZero() {
			report(Finding{Pos: v.Pos, Reason: "this key is all zeros, which no side can have", Hint: "put the other side's public key here"})
		}
	}
}

func unclampedKey(s *subject, report func(Finding)) {
	if k := s.PrivateKey.Value; s.PrivateKey.Set && !k.IsZero() && k != k.Clamp() {
		list := s.settings("PrivateKey")
		if len(list) == 0 {
			return
		}
		report(Finding{
			Pos:    list[len(list)-1].Pos,
			Reason: "`wg genkey' makes no such key: it may be a public or a preshared one",
			Hint:   "compare `wg pubkey' of it with what the other side has for this one",
		})
	}
}

func noAllowedIPs(s *subject, report func(Finding)) {
	for i := range s.peers {
		if p := &s.peers[i]; !p.hasAllowed && !s.garbled {
			report(Finding{Pos: p.pos, Reason: "this peer has no AllowedIPs: nothing is sent to it, and nothing taken from it", Hint: "give it the addresses behind it, such as AllowedIPs = 10.0.0.2/32"})
		}
	}
}

// portRange finds numbers of ports that count modulo 65536.
func portRange(s *subject, report func(Finding)) {
	look := func(text string, pos config.Pos) {
		if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > math.MaxUint16 && n <= math.MaxInt32 {
			report(Finding{Pos: pos, Reason: fmt.Sprintf("there is no port %d: it counts as %d", n, n%(math.MaxUint16+1)), Hint: "a port is a number from 1 to 65535"})
		}
	}
	for _, v := range s.settings("ListenPort") {
		look(strings.Join(strings.Fields(v.Text), ""), v.Pos)
	}
	for i := range s.peers {
		e := &s.peers[i].endpoint
		look(e.port, e.portPos())
	}
}

// endpointPort finds ports of endpoints to which nothing can be sent.
func endpointPort(s *subject, report func(Finding)) {
	for i := range s.peers {
		e := &s.peers[i].endpoint
		if !e.isSet() {
			continue
		}
		if n, err := strconv.ParseUint(e.port, 10, 64); err == nil && n == 0 {
			report(Finding{Pos: e.portPos(), Reason: "nothing can be sent to port 0", Hint: "say the other side's ListenPort, which is mostly 51820"})
		}
	}
}

// endpointForm finds endpoints that can't be resolved, whatever name servers say.
func endpointForm(s *subject, report func(Finding)) {
	for i := range s.peers {
		e := &s.peers[i].endpoint
		if !e.isSet() {
			continue
		}
		if reason, hint, offset, ok := config.FindStray(e.Text); ok {
			pos := e.Pos
			pos.Col += offset
			report(Finding{Pos: pos, Reason: reason, Hint: hint})
			continue
		}
		if _, err := s.host.Names.Port(e.port); err != nil {
			report(Finding{Pos: e.portPos(), Reason: fmt.Sprintf("%q is no port", e.port), Hint: "a port is a number from 1 to 65535, or the name of a UDP service"})
			continue
		}
		if e.addr.IsValid() {
			continue
		}
		f := Finding{Pos: e.Pos, Reason: fmt.Sprintf("%q is neither an address nor a name of a host", e.host), Hint: "an endpoint is HOST:PORT, such as vpn.example.org:51820 or [2001:db8::1]:51820"}
		numbers := strings.Trim(e.host, "0123456789.") == ""
		switch {
		case e.host == "":
			f.Reason = "the host before the port is missing"
		case strings.Contains(e.host, "://"):
			f.Hint = "leave out what stands before the host"
		case strings.ContainsAny(e.host, "/@\"'<>,;()[]{}\\$"), strings.Contains(e.host, ":"), e.brackets:
		case numbers && !oldNumber(e.host):
		default:
			continue
		}
		report(f)
	}
}

// oldNumber reports whether s, of digits and dots, is an address in one of the
// forms that there were before the four numbers.
func oldNumber(s string) bool {
	parts := strings.Split(s, ".")
	for i, part := range parts {
		limit := uint64(255)
		if i == len(parts)-1 {
			limit = 1<<(8*max(5-len(parts), 0)) - 1
		}
		n, err := strconv.ParseUint(part, 0, 64)
		if err != nil || n > limit {
			return false
		}
	}
	return true
}

// endpointBrackets finds IPv6 addresses whose last part may be no port.
func endpointBrackets(s *subject, report func(Finding)) {
	for i := range s.peers {
		e := &s.peers[i].endpoint
		if e.brackets || !e.addr.Is6() {
			continue
		}
		if _, err := netip.ParseAddr(e.Text); err == nil {
			report(Finding{
				Pos:    e.Pos,
				Reason: fmt.Sprintf("this may be the address %s without a port; it counts as the address %v and port %s", e.Text, e.addr, e.port),
				Hint:   fmt.Sprintf("say [%v]:%s, or [%s]:PORT", e.addr, e.port, e.Text),
			})
		}
	}
}

func endpointShared(s *subject, report func(Finding)) {
	first := map[string]int{}
	for i := range s.peers {
		e := &s.peers[i].endpoint
		if !e.isSet() {
			continue
		}
		name := strings.ToLower(e.Text)
		if other, ok := first[name]; !ok {
			first[name] = i
		} else if s.peers[other].key != s.peers[i].key {
			report(Finding{
				Pos: e.Pos, Related: []config.Pos{s.peers[other].endpoint.Pos},
				Reason: "another peer has this endpoint: only one of the two keys can answer there",
				Hint:   "give each peer its own address or port",
			})
		}
	}
}

func noKeepalive(s *subject, report func(Finding)) {
	if !s.host.NAT || s.ListenPort.Set || s.garbled {
		return
	}
	for i := range s.peers {
		p := &s.peers[i]
		if !p.endpoint.isSet() || p.keepalive.Text != "" || p.defaultIPv4 != nil || p.defaultIPv6 != nil ||
			p.endpoint.host == "localhost" || p.endpoint.addr.IsPrivate() || p.endpoint.addr.IsLoopback() || p.endpoint.addr.IsLinkLocalUnicast() {
			continue
		}
		report(Finding{
			Pos:    p.pos,
			Reason: "this host is behind NAT: the peer reaches it only while something was sent just before",
			Hint:   "PersistentKeepalive = 25 keeps the way open, or 0 if the peer never begins",
		})
	}
}

func longKeepalive(s *subject, report func(Finding)) {
	for i := range s.peers {
		v := s.peers[i].keepalive
		if n := s.Peers[i].PersistentKeepalive; n.Set && n.Value > 180 && v.Text != "" {
			report(Finding{Pos: v.Pos, Reason: fmt.Sprintf("%d seconds are longer than most NAT keeps a way open", n.Value), Hint: "25 suits nearly all"})
		}
	}
}
