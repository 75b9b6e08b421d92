// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
)

// noPrivateKey finds tunnels that get no private key from anywhere.
func noPrivateKey(s *subject, report func(Finding)) {
	elsewhere := slices.ContainsFunc(s.Settings, func(v config.Setting) bool { return strings.HasPrefix(v.Key, "PrivateKey") })
	if elsewhere || s.garbled || s.mentions("private-key", "setconf", "addconf", "syncconf") {
		return
	}
	f := Finding{Pos: s.iface(), Reason: "there is no PrivateKey: nobody can be reached", Hint: "`wg genkey' makes one"}
	if !slices.ContainsFunc(s.Headers, func(h config.Header) bool { return h.Peer < 0 }) {
		f.Reason, f.Hint = "there is no [Interface], and so no PrivateKey: nobody can be reached", "begin with [Interface] and the PrivateKey, which `wg genkey' makes"
		s.told[f.Pos] = true
	}
	report(f)
}

// oneOf are keys of which the last line counts.
var oneOf = []string{"PrivateKey", "ListenPort", "FwMark", "MTU", "Table", "SaveConfig", "PublicKey", "PresharedKey", "Endpoint", "PersistentKeepalive",
	"KillSwitch", "Masquerade", "Forward"}

// keyRepeated finds keys of which only one line counts, and which have several
// in one section.
func keyRepeated(s *subject, report func(Finding)) {
	type place struct {
		section config.Pos
		key     string
	}
	last := map[place]config.Pos{}
	next := 0
	var section config.Pos
	for _, v := range s.Settings {
		for next < len(s.Headers) && s.Headers[next].Pos.File == v.Pos.File && s.Headers[next].Pos.Line < v.Pos.Line {
			section = s.Headers[next].Pos
			next++
		}
		if v.Peer >= 0 { // perhaps of an included file
			section = s.peers[v.Peer].pos
		}
		if !slices.Contains(oneOf, v.Key) {
			continue
		}
		at := place{section, v.Key}
		if pos, ok := last[at]; ok {
			f := Finding{Pos: v.Pos, Related: []config.Pos{pos}, Reason: v.Key + " is set above already: only this one counts", Hint: "leave one of them out"}
			if v.Key == "PublicKey" {
				f.Hint = "if another peer begins here, put [Peer] above it"
			}
			report(f)
		}
		last[at] = v.Pos
	}
}

// interfaceRepeated finds what may be two files in one.
func interfaceRepeated(s *subject, report func(Finding)) {
	var first *config.Header
	for i, h := range s.Headers {
		switch {
		case h.Peer >= 0 || h.Wrong:
		case first == nil:
			first = &s.Headers[i]
		default:
			report(Finding{
				Pos: h.Pos, Related: []config.Pos{first.Pos},
				Reason: "another [Interface]: all of them are one tunnel",
				Hint:   "put it into a file of its own, or its lines below the first one",
			})
		}
	}
}

func readable(s *subject, report func(Finding)) {
	if !s.host.Readers {
		return
	}
	for _, v := range s.Settings {
		if v.Key == "PrivateKey" || v.Key == "PresharedKey" {
			report(Finding{Pos: v.Pos, Reason: "all users may read this secret key", Hint: fmt.Sprintf("`chmod go= %s'", s.file)})
			return
		}
	}
}

func writable(s *subject, report func(Finding)) {
	if s.host.Writable != "" && len(s.hooks) == 0 {
		report(Finding{Pos: s.top(), Reason: fmt.Sprintf("all users may write to `%s'", s.host.Writable), Hint: fmt.Sprintf("`chmod go= %s'", s.host.Writable)})
	}
}

func listenPortTaken(s *subject, report func(Finding)) {
	list := s.settings("ListenPort")
	if len(list) == 0 || !s.ListenPort.Set || s.ListenPort.Value == 0 {
		return
	}
	for _, other := range s.host.Others {
		if other.Number == s.ListenPort.Value {
			report(Finding{
				Pos: list[len(list)-1].Pos, Related: []config.Pos{other.Pos},
				Reason: fmt.Sprintf("`%s' has port %d, too: only one of them can be up", other.Pos.File, other.Number),
				Hint:   "take another port, or leave the line out if no peer has this host as its Endpoint",
			})
			return
		}
	}
}

func addressRepeated(s *subject, report func(Finding)) {
	for i, a := range s.addresses {
		for _, b := range s.addresses[:i] {
			// The kernel has an IPv6 address once, whatever its length.
			if a.Prefix == b.Prefix || a.Addr() == b.Addr() && a.Addr().Is6() {
				report(Finding{Pos: a.pos, Related: []config.Pos{b.pos}, Reason: fmt.Sprintf("%v is there already: up fails", a.Addr()), Hint: "leave one of them out"})
				break
			}
		}
	}
}

// addressForm finds addresses that are taken for something else than they seem.
func addressForm(s *subject, report func(Finding)) {
	for _, a := range s.addresses {
		text, _, _ := strings.Cut(a.text, "/")
		plain, err := netip.ParseAddr(text)
		switch {
		case a.Bits() == 0 && a.Addr().IsUnspecified():
			s.told[a.pos] = true
			report(Finding{Pos: a.pos, Reason: "this gives the interface no address", Hint: "say which address this host has in the tunnel, such as 10.0.0.2/24"})
		case err != nil || plain != a.Addr():
			s.told[a.pos] = true
			report(Finding{Pos: a.pos, Reason: fmt.Sprintf("%s counts as %v", a.text, a.Prefix), Hint: "an address has four numbers in decimal, without leading zeros"})
		}
	}
}

// addressOfNetwork finds addresses that no host can have in its network.
func addressOfNetwork(s *subject, report func(Finding)) {
	for _, a := range s.addresses {
		size := a.Addr().BitLen()
		if a.Bits() > size-2 || a.Bits() == 0 || s.told[a.pos] {
			continue
		}
		first := a.Masked().Addr()
		switch {
		case a.Addr() == first:
			report(Finding{Pos: a.pos, Reason: fmt.Sprintf("this is the address of the network %v itself, not of a host in it", a.Masked()), Hint: fmt.Sprintf("say %v/%d, or which address this host has", first.Next(), a.Bits())})
		case a.Addr().Is4() && a.Addr() == lastOf(a.Masked()):
			report(Finding{Pos: a.pos, Reason: fmt.Sprintf("this is the broadcast address of %v, not that of a host in it", a.Masked()), Hint: fmt.Sprintf("say %v/%d, or which address this host has", first.Next(), a.Bits())})
		}
	}
}

// lastOf returns the last address of an IPv4 network.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

func noAddress(s *subject, report func(Finding)) {
	if len(s.Quick.Addresses) == 0 && len(s.hooks) == 0 && len(s.peers) > 0 && !s.garbled && !s.told[s.iface()] {
		report(Finding{Pos: s.iface(), Reason: "there is no Address: this host can send nothing of its own into the tunnel", Hint: "Address = 10.0.0.2/24, the one that the other side has in its AllowedIPs"})
	}
}

// mtuSmall finds MTUs with which a family can't work.
func mtuSmall(s *subject, report func(Finding)) {
	v := s.Quick.MTU
	if !s.mtu.Set {
		return
	}
	mtu := s.mtu.Value
	const least4, least6 = 576, 1280
	has6 := slices.ContainsFunc(s.addresses, func(a prefix) bool { return a.Addr().Is6() }) ||
		slices.ContainsFunc(s.peers, func(p peer) bool {
			return slices.ContainsFunc(p.allowed, func(a prefix) bool { return a.Addr().Is6() })
		})
	switch {
	case has6 && mtu < least6:
		report(Finding{Pos: v.Pos, Reason: fmt.Sprintf("IPv6 needs an MTU of %d: with %d the interface has none", least6, mtu), Hint: "say 1280 or more, or take the IPv6 addresses out"})
	case mtu < least4:
		report(Finding{Pos: v.Pos, Reason: fmt.Sprintf("%d bytes are too few: IPv4 counts on %d", mtu, least4), Hint: "leave the line out for an MTU that fits the way to the peers"})
	}
}

// mtuLarge finds MTUs that don't fit the way to the peers.
func mtuLarge(s *subject, report func(Finding)) {
	v := s.Quick.MTU
	if !s.mtu.Set {
		return
	}
	mtu := s.mtu.Value
	const largest, overhead4 = 65535, 60
	switch path := s.host.PathMTU; {
	case mtu > largest:
		report(Finding{Pos: v.Pos, Reason: fmt.Sprintf("no packet has %d bytes", mtu), Hint: "leave the line out for an MTU that fits the way to the peers"})
	case path > 0 && mtu > path-overhead4 && !s.loopback():
		report(Finding{
			Pos:    v.Pos,
			Reason: fmt.Sprintf("packets of %d bytes become too large for the way out, which takes %d: WireGuard adds %d to %d", mtu, path, overhead4, overhead4+20),
			Hint:   fmt.Sprintf("say %d, or leave the line out", path-overhead4-20),
		})
	}
}

// loopback reports whether an endpoint is a program on this host.
func (s *subject) loopback() bool {
	return slices.ContainsFunc(s.peers, func(p peer) bool { return p.endpoint.addr.IsLoopback() || p.endpoint.host == "localhost" })
}

// mtuOfLoopback finds tunnels whose MTU becomes the loopback's.
func mtuOfLoopback(s *subject, report func(Finding)) {
	if s.Quick.MTU.Text != "" {
		return
	}
	var first *peer
	for i := range s.peers {
		p := &s.peers[i]
		switch {
		case !p.endpoint.isSet():
		case !p.endpoint.addr.IsLoopback() && p.endpoint.host != "localhost":
			return // the smallest way counts
		case first == nil:
			first = p
		}
	}
	if first != nil {
		report(Finding{
			Pos:    first.endpoint.Pos,
			Reason: "the endpoint is on this host, so the MTU becomes that of the loopback, which is far more than the way beyond takes",
			Hint:   "say the MTU: 1280 fits nearly everywhere",
		})
	}
}
