// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/quick"
	"wgtools/internal/routing"
)

// A subject is a file as the rules look at it.
type subject struct {
	*config.Config
	host      Host
	file      string
	table     routing.Table
	mtu       device.Optional[int]
	addresses []prefix
	peers     []peer
	hooks     []hook
	garbled   bool                // something is written so that it counts as missing
	told      map[config.Pos]bool // places of which a rule has spoken, for those after it
}

// A prefix is one of the file's, at its place.
type prefix struct {
	netip.Prefix // host bits are kept
	text         string
	pos          config.Pos
}

// A peer is one of the file's. What is missing or wrong is zero.
type peer struct {
	pos         config.Pos // of its [Peer]
	key         keys.Key
	keyPos      config.Pos
	allowed     []prefix // what the device gets; "pos" is that of the item it comes from
	endpoint    endpoint
	hasEndpoint bool // it has a line Endpoint
	keepalive   config.Value
	hasAllowed  bool // it has a line AllowedIPs
	badAllowed  bool // with something in it that is none
	defaultIPv4 *prefix
	defaultIPv6 *prefix
}

// An endpoint is HOST:PORT as it is written.
type endpoint struct {
	config.Value
	host, port string
	addr       netip.Addr // zero for a name
	brackets   bool
}

func newSubject(file string, c *config.Config, t *quick.Tunnel, h Host) *subject {
	s := &subject{Config: c, host: h, file: file, table: t.Table, mtu: t.MTU, told: map[config.Pos]bool{}, hooks: hooksOf(&c.Quick)}
	for i, a := range t.Addresses {
		v := c.Quick.Addresses[i]
		if a.IsValid() {
			s.addresses = append(s.addresses, prefix{a, v.Text, v.Pos})
		}
	}
	s.peers = make([]peer, len(c.Peers))
	for i := range s.peers {
		s.peers[i].key = c.Peers[i].PublicKey
	}
	for _, h := range c.Headers {
		if h.Peer >= 0 {
			s.peers[h.Peer].pos = h.Pos
		}
	}
	items := make([][]prefix, len(c.Peers))
	for _, v := range c.Settings {
		if v.Peer < 0 {
			continue
		}
		p := &s.peers[v.Peer]
		switch v.Key {
		case "PublicKey":
			p.keyPos = v.Pos
		case "PersistentKeepalive":
			p.keepalive = v.Value
		case "Endpoint":
			p.endpoint, p.hasEndpoint = parseEndpoint(v.Value), true
		case "AllowedIPs":
			p.hasAllowed = true
			items[v.Peer] = p.appendItems(items[v.Peer], v.Value)
		}
	}
	for i := range s.peers {
		s.peers[i].place(c.Peers[i].AllowedIPs, items[i])
		s.peers[i].defaults()
	}
	return s
}

// appendItems reads the items of a list of allowed IPs at their places.
func (p *peer) appendItems(list []prefix, v config.Value) []prefix {
	start := 0
	for item := range strings.SplitSeq(v.Text, ",") {
		pos := v.Pos
		pos.Col += start + len(item) - len(strings.TrimLeft(item, " \t\v\f\r"))
		start += len(item) + 1
		if ips, _, err := config.AppendAllowedIPs(nil, item, nil); err != nil {
			p.badAllowed = true
		} else if len(ips) == 1 && !ips[0].Remove {
			list = append(list, prefix{ips[0].Prefix, strings.TrimSpace(item), pos})
		}
	}
	return list
}

// place gives the peer's allowed IPs the places of the items that they come
// from.
func (p *peer) place(ips []device.AllowedIP, items []prefix) {
	ips = slices.DeleteFunc(slices.Clone(ips), func(ip device.AllowedIP) bool { return ip.Remove })
	if slices.EqualFunc(ips, items, func(ip device.AllowedIP, item prefix) bool { return ip.Prefix == item.Prefix }) {
		p.allowed = items // as nearly always
		return
	}
	of := map[netip.Prefix]prefix{}
	for _, item := range items {
		of[item.Masked()] = item
	}
	for _, ip := range ips {
		q := prefix{ip.Prefix, ip.Prefix.String(), p.pos}
		// Of a network, some may have been taken out.
		for bits := ip.Bits(); bits >= 0; bits-- {
			network, _ := ip.Addr().Prefix(bits)
			if item, ok := of[network]; ok {
				q.pos = item.pos
				break
			}
		}
		p.allowed = append(p.allowed, q)
	}
}

// defaults notes the peer's default routes.
func (p *peer) defaults() {
	for j := range p.allowed {
		if a := &p.allowed[j]; a.Bits() == 0 && a.Addr().Is4() {
			p.defaultIPv4 = a
		} else if a.Bits() == 0 {
			p.defaultIPv6 = a
		}
	}
}

// parseEndpoint takes an endpoint apart as it is taken: at the bracket, or else
// at the last colon.
func parseEndpoint(v config.Value) endpoint {
	v.Text = strings.Join(strings.Fields(v.Text), "")
	e := endpoint{Value: v}
	if rest, ok := strings.CutPrefix(v.Text, "["); ok {
		e.brackets = true
		e.host, e.port, _ = strings.Cut(rest, "]")
		e.port = strings.TrimPrefix(e.port, ":")
	} else if i := strings.LastIndexByte(v.Text, ':'); i >= 0 {
		e.host, e.port = v.Text[:i], v.Text[i+1:]
	}
	if e.port == "" {
		return endpoint{} // that it is wrong is said already
	}
	e.addr, _ = netip.ParseAddr(e.host)
	return e
}

// portPos is where the endpoint's port stands, if there is no white space inside.
func (e *endpoint) portPos() config.Pos {
	pos := e.Pos
	pos.Col += len(e.Text) - len(e.port)
	return pos
}

// isSet reports whether the peer has an endpoint that can be understood.
func (e *endpoint) isSet() bool { return e.port != "" }

// settings returns the lines that set a key.
func (s *subject) settings(key string) (list []config.Setting) {
	for _, v := range s.Settings {
		if v.Key == key {
			list = append(list, v)
		}
	}
	return list
}

// top is the head of the file.
func (s *subject) top() config.Pos { return config.Pos{File: s.file, Line: 1, Col: 1} }

// iface is where [Interface] stands, or the head of the file.
func (s *subject) iface() config.Pos {
	for _, h := range s.Headers {
		if h.Peer < 0 && !h.Wrong {
			return h.Pos
		}
	}
	return s.top()
}

// covers reports whether all of inner is in outer.
func covers(outer, inner netip.Prefix) bool {
	return outer.IsValid() && outer.Bits() <= inner.Bits() && outer.Addr().BitLen() == inner.Addr().BitLen() &&
		outer.Masked().Contains(inner.Addr())
}
