// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device

import (
	"net/netip"
	"slices"

	"wgtools/internal/keys"
)

// A Sync works out how to make a device's peers equal to those of a [Change]
// without disturbing the peers that are so already: their sessions,
// handshakes, counters and roamed endpoints stay. The device's peers are told
// one by one, so that nothing of the device but its surplus keys is kept.
//
// Make one with [NewSync], call [Sync.Peer] for every peer of the device, then
// [Sync.Change].
type Sync struct {
	// KeepPresharedKeys leaves a preshared key to a peer for which none is
	// wanted: somebody else sets them.
	KeepPresharedKeys bool
	// Gentle takes single allowed IPs from peers that stay, so that for the rest
	// there is no moment without them: packets would be lost.
	Gentle bool

	want     *Change
	states   []syncState // of want.Peers
	next     int         // where the device's next peer is likely to stand in want
	index    map[keys.Key]int32
	surplus  []keys.Key
	told     int
	scratch  [2][]netip.Prefix
	repeated bool // want has a peer twice
}

// A syncState says what is known of one wanted peer.
type syncState struct {
	known, equal           bool
	dropKey, dropKeepalive bool           // the device has one, the change has none
	ownsAll                bool           // its allowed IPs on the device are the wanted ones
	has                    []netip.Prefix // these, if they aren't and Gentle is set
}

// NewSync starts to compare a device with want, which must state all that the
// device shall be, as a configuration file does.
func NewSync(want *Change) *Sync {
	return &Sync{want: want, states: make([]syncState, len(want.Peers))}
}

// Reset forgets the peers told so far.
func (s *Sync) Reset() {
	clear(s.states)
	s.surplus, s.told, s.next, s.repeated = s.surplus[:0], 0, 0, false
}

// Peer notes a peer that the device has. p is only read during the call.
func (s *Sync) Peer(p *Peer) {
	s.told++
	i, ok := s.find(p.PublicKey)
	if !ok {
		s.surplus = append(s.surplus, p.PublicKey)
		return
	}
	want, st := &s.want.Peers[i], &s.states[i]
	st.known = true
	st.dropKey = !s.KeepPresharedKeys && !want.PresharedKey.Set && !p.PresharedKey.IsZero()
	st.dropKeepalive = !want.PersistentKeepalive.Set && p.PersistentKeepalive != 0
	st.ownsAll = s.sameAllowedIPs(want.AllowedIPs, p.AllowedIPs)
	if s.Gentle && !st.ownsAll && want.ReplaceAllowedIPs {
		st.has = slices.Clone(p.AllowedIPs)
	}
	st.equal = st.ownsAll && !st.dropKey && !st.dropKeepalive && !want.Remove && want.ReplaceAllowedIPs &&
		(!want.PresharedKey.Set || want.PresharedKey.Value == p.PresharedKey) &&
		(!want.PersistentKeepalive.Set || want.PersistentKeepalive.Value == p.PersistentKeepalive) &&
		(!want.Endpoint.IsValid() || want.Endpoint == p.Endpoint)
}

// find returns where key stands first in the wanted peers. Devices mostly have
// their peers in the order of the file, so that is tried before an index is made.
func (s *Sync) find(key keys.Key) (int, bool) {
	if s.next < len(s.want.Peers) && s.index == nil && s.want.Peers[s.next].PublicKey == key {
		s.next++
		return s.next - 1, true
	}
	s.makeIndex()
	i, ok := s.index[key]
	return int(i), ok
}

func (s *Sync) makeIndex() {
	if s.index != nil {
		return
	}
	s.index = make(map[keys.Key]int32, len(s.want.Peers))
	for i := range s.want.Peers {
		key := s.want.Peers[i].PublicKey
		if _, ok := s.index[key]; !ok {
			s.index[key] = int32(i)
		}
	}
}

// sameAllowedIPs reports whether two lists are the same set once the host bits
// are gone, as devices keep them.
func (s *Sync) sameAllowedIPs(want []AllowedIP, have []netip.Prefix) bool {
	same := len(want) == len(have)
	for i := 0; same && i < len(want); i++ {
		same = want[i].Masked() == have[i].Masked() && !want[i].Remove
	}
	if same {
		return true // alike and in the same order, the common case
	}
	a, b := s.scratch[0][:0], s.scratch[1][:0]
	for _, ip := range want {
		if ip.Remove {
			return false
		}
		a = append(a, ip.Masked())
	}
	for _, ip := range have {
		b = append(b, ip.Masked())
	}
	slices.SortFunc(a, netip.Prefix.Compare)
	slices.SortFunc(b, netip.Prefix.Compare)
	s.scratch = [2][]netip.Prefix{a, b}
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// Change returns the request that makes the device equal to what is wanted:
// removals first, in descending order of the keys, then the peers that are new
// or differ, in their order. What a peer has on the device and not in the
// wanted state (preshared key, keepalive) is taken from it.
func (s *Sync) Change() *Change {
	c := *s.want
	if len(c.Peers) == 0 || s.told == 0 {
		c.ReplacePeers = true
		return &c
	}
	send := s.selectPeers()
	c.Peers = make([]PeerChange, 0, len(s.surplus)+send)
	slices.SortFunc(s.surplus, func(a, b keys.Key) int { return slices.Compare(b[:], a[:]) })
	for _, key := range s.surplus {
		c.Peers = append(c.Peers, PeerChange{PublicKey: key, Remove: true})
	}
	for i := range s.states {
		st := &s.states[i]
		if st.equal {
			continue
		}
		p := s.want.Peers[i]
		if s.Gentle && st.known && !s.repeated {
			p.ReplaceAllowedIPs = false
		}
		if st.dropKey {
			p.PresharedKey = Some(keys.Key{})
		}
		if st.dropKeepalive {
			p.PersistentKeepalive = Some[uint16](0)
		}
		c.Peers = append(c.Peers, p)
	}
	if s.Gentle && !s.repeated {
		c.Peers = append(c.Peers, s.takeAway()...)
	}
	return &c
}

// takeAway returns what takes single allowed IPs from peers. It comes last: a
// packet that one of them was for finds the peer by another one by then.
func (s *Sync) takeAway() (all []PeerChange) {
	for i := range s.states {
		p := PeerChange{PublicKey: s.want.Peers[i].PublicKey}
		wanted := map[netip.Prefix]struct{}{}
		for _, ip := range s.want.Peers[i].AllowedIPs {
			wanted[ip.Masked()] = struct{}{}
		}
		for _, ip := range s.states[i].has {
			if _, ok := wanted[ip.Masked()]; !ok {
				p.AllowedIPs = append(p.AllowedIPs, AllowedIP{Prefix: ip, Remove: true})
			}
		}
		if len(p.AllowedIPs) > 0 {
			all = append(all, p)
		}
	}
	return all
}

// Replacing returns c for a device that can't take single allowed IPs from
// peers: those that c takes some from lose all for a moment, before they get
// those that c gives to them.
func (c *Change) Replacing() *Change {
	loses := map[keys.Key]bool{}
	for i := range c.Peers {
		p := &c.Peers[i]
		if slices.ContainsFunc(p.AllowedIPs, func(ip AllowedIP) bool { return ip.Remove }) {
			loses[p.PublicKey] = true
		}
	}
	copied := *c
	copied.Peers = nil
	for _, p := range c.Peers {
		switch {
		case !loses[p.PublicKey]:
		case len(p.AllowedIPs) > 0 && p.AllowedIPs[0].Remove:
			continue
		default:
			p.ReplaceAllowedIPs = true
		}
		copied.Peers = append(copied.Peers, p)
	}
	return &copied
}

// selectPeers decides which wanted peers are sent, those whose state isn't
// equal, and returns how many they are.
//
// An allowed IP belongs to one peer only: giving it to one takes it from
// another. So a peer that is equal must be sent all the same if it claims an
// allowed IP that a peer before or after it is about to gain; then the order of
// the file decides, as when everything is sent.
func (s *Sync) selectPeers() int {
	send, fresh := 0, 0
	for i := range s.states {
		if !s.states[i].equal {
			send++
		}
		if !s.states[i].known {
			fresh++
		}
	}
	if fresh > 0 {
		// A peer that the device doesn't seem to have may be a second mention.
		s.makeIndex()
		for i := range s.states {
			if !s.states[i].known && s.index[s.want.Peers[i].PublicKey] != int32(i) {
				s.repeated = true
			}
		}
	}
	incremental := slices.ContainsFunc(s.want.Peers, func(p PeerChange) bool { return !p.ReplaceAllowedIPs })
	if s.repeated || incremental {
		for i := range s.states {
			s.states[i].equal = false
		}
		return len(s.states)
	}
	gained := map[netip.Prefix]struct{}{}
	for i := range s.states {
		if !s.states[i].equal && !s.states[i].ownsAll {
			for _, ip := range s.want.Peers[i].AllowedIPs {
				gained[ip.Masked()] = struct{}{}
			}
		}
	}
	if len(gained) == 0 {
		return send
	}
	for i := range s.states {
		if !s.states[i].equal {
			continue
		}
		if slices.ContainsFunc(s.want.Peers[i].AllowedIPs, func(ip AllowedIP) bool {
			_, ok := gained[ip.Masked()]
			return ok
		}) {
			s.states[i].equal = false
			send++
		}
	}
	return send
}
