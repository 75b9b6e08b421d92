// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// Borrowed is what a tunnel has from elsewhere than its file, and so isn't
// written into that. The zero value is that of a file that says all itself.
type Borrowed struct {
	Unknown bool // it can't be read: what it may be isn't written either

	privateKey device.Optional[keys.Key]
	preshared  map[keys.Key]keys.Key  // of peers of the file
	peers      map[keys.Key]*lentPeer // of included files
}

// A lentPeer is one of an included file.
type lentPeer struct {
	file string
	*device.PeerChange
}

// Borrowed returns what c, which was decoded with PeerInfo, has from elsewhere
// than the file called file.
func (c *Config) Borrowed(file string) Borrowed {
	if !c.borrows {
		return Borrowed{}
	}
	b := Borrowed{privateKey: c.PrivateKey, preshared: map[keys.Key]keys.Key{}, peers: map[keys.Key]*lentPeer{}}
	for i := range c.Peers {
		p := &c.Peers[i]
		if at := c.PeerInfo[i].Pos.File; at != file {
			b.peers[p.PublicKey] = &lentPeer{at, p}
		} else if p.PresharedKey.Set {
			b.preshared[p.PublicKey] = p.PresharedKey.Value
		}
	}
	return b
}

// unlike reports whether a peer of a device is another one than its file
// describes. Endpoints move by themselves.
func (l *lentPeer) unlike(p *device.Peer) bool {
	return l.PresharedKey.Value != p.PresharedKey || l.PersistentKeepalive.Value != p.PersistentKeepalive ||
		!samePrefixes(bare(l.AllowedIPs), p.AllowedIPs)
}

// samePrefixes reports whether two lists have the same prefixes.
func samePrefixes(a, b []netip.Prefix) bool {
	sorted := func(list []netip.Prefix) []netip.Prefix {
		list = slices.Clone(list)
		slices.SortFunc(list, netip.Prefix.Compare)
		return slices.Compact(list)
	}
	return slices.Equal(sorted(a), sorted(b))
}

// borrowedPeer reports whether a peer of the device that the file hasn't is
// borrowed, and notes whether it is otherwise.
func (e *editor) borrowedPeer(p *device.Peer) bool {
	lent := e.borrowed.peers[p.PublicKey]
	switch {
	case lent == nil && e.borrowed.Unknown:
		e.elsewhere = append(e.elsewhere, fmt.Sprintf("the peer %s: it may be of a file that can't be read", p.PublicKey.Base64()))
		return true
	case lent == nil:
		return false
	case lent.unlike(p):
		e.elsewhere = append(e.elsewhere, fmt.Sprintf("the peer %s: it isn't any more as %s has it", p.PublicKey.Base64(), lent.file))
	}
	return true
}

// missing notes the borrowed peers that the device has no more. It never had
// itself.
func (e *editor) missing(live map[keys.Key]*device.Peer, self keys.Key) {
	own := self.Public()
	byKey := func(a, b keys.Key) int { return bytes.Compare(a[:], b[:]) }
	for _, key := range slices.SortedFunc(maps.Keys(e.borrowed.peers), byKey) {
		if live[key] == nil && key != own {
			e.elsewhere = append(e.elsewhere, fmt.Sprintf("the peer %s of %s is gone", key.Base64(), e.borrowed.peers[key].file))
		}
	}
}

// keepsPrivateKey reports whether the private key is elsewhere, and notes
// whether it is another one there.
func (e *editor) keepsPrivateKey(parts []part, live keys.Key) bool {
	if len(e.lines(parts, "PrivateKeyFile"))+len(e.lines(parts, "PrivateKeyCommand")) == 0 {
		return false
	}
	if k := e.borrowed.privateKey; k.Set && k.Value.Clamp() != live.Clamp() {
		e.elsewhere = append(e.elsewhere, "the private key: it isn't any more the one that the file's comes from")
	}
	return true
}

// keepsPresharedKey does the same for the preshared key of a peer.
func (e *editor) keepsPresharedKey(p part, peer *device.Peer) bool {
	if len(e.lines([]part{p}, "PresharedKeyFile")) == 0 {
		return false
	}
	if k, ok := e.borrowed.preshared[peer.PublicKey]; ok && k != peer.PresharedKey {
		e.elsewhere = append(e.elsewhere, fmt.Sprintf("the preshared key of the peer %s: it isn't any more that of its file", peer.PublicKey.Base64()))
	}
	return true
}
