// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"

	"wgtools/internal/keys"
)

// A Snapshot tells what a device was at one time, in so far as it can be told
// later what has changed: without its secrets, and small.
type Snapshot struct {
	PublicKey  keys.Key
	ListenPort uint16
	Fwmark     uint32
	Peers      map[keys.Key]PeerState
}

// A PeerState tells what a peer was at one time.
type PeerState struct {
	Settings    Digest // of all but the endpoint, which a peer changes by itself
	HasEndpoint bool
}

// A Digest tells texts apart, and nothing else of them.
type Digest [16]byte

// DigestOf returns the digest of a text.
func DigestOf(text []byte) Digest {
	sum := sha256.Sum256(text)
	return Digest(sum[:16])
}

// Device notes the device.
func (s *Snapshot) Device(d *Device) {
	s.PublicKey, s.ListenPort, s.Fwmark = d.PublicKey.Value, d.ListenPort, d.Fwmark
	s.Peers = map[keys.Key]PeerState{}
}

// Peer notes a peer of the device. p is only read during the call.
func (s *Snapshot) Peer(p *Peer) {
	s.Peers[p.PublicKey] = PeerState{p.digest(), p.Endpoint.IsValid()}
}

func (p *Peer) digest() Digest {
	b := make([]byte, 0, 128)
	b = append(b, p.PresharedKey[:]...)
	b = binary.BigEndian.AppendUint16(b, p.PersistentKeepalive)
	ips := p.AllowedIPs
	if !slices.IsSortedFunc(ips, netip.Prefix.Compare) { // each program has an order of its own
		ips = slices.SortedFunc(slices.Values(ips), netip.Prefix.Compare)
	}
	for _, ip := range ips {
		ip = ip.Masked()
		b = append(append(b, ip.Addr().AsSlice()...), byte(ip.Bits()), '/')
	}
	return DigestOf(b)
}
