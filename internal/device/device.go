// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package device says what a WireGuard device is and what a request changes
// about it, as plain values. It does no input or output: package netlinkwg
// reads and configures devices, package config makes changes from files.
package device

import (
	"net/netip"

	"wgtools/internal/keys"
)

// A Device is what concerns a whole device, its peers apart.
type Device struct {
	Name       string
	PrivateKey Optional[keys.Key] // set when the device told one, even an all-zero one
	PublicKey  Optional[keys.Key]
	ListenPort uint16 // 0: none
	Fwmark     uint32 // 0: off
}

// A Peer is one peer of a device, as the device tells it.
type Peer struct {
	PublicKey           keys.Key
	PresharedKey        keys.Key       // zero: none
	Endpoint            netip.AddrPort // invalid: not known; a link-local address has its zone
	AllowedIPs          []netip.Prefix // as told: host bits are kept
	LatestHandshake     Time
	ReceivedBytes       uint64
	SentBytes           uint64
	PersistentKeepalive uint16 // seconds; 0: off
}

// A Time is a moment since 1970-01-01 UTC, as devices tell it; the zero Time
// is "never". Seconds of 0 with nanoseconds are possible and not "never".
type Time struct{ Sec, Nsec int64 }

// IsZero reports whether t is "never".
func (t Time) IsZero() bool { return t == Time{} }

// Compare orders times, as [cmp.Compare] does.
func (t Time) Compare(u Time) int {
	if t.Sec != u.Sec {
		if t.Sec < u.Sec {
			return -1
		}
		return 1
	}
	if t.Nsec != u.Nsec {
		if t.Nsec < u.Nsec {
			return -1
		}
		return 1
	}
	return 0
}

// An Optional is a value that may be absent: absent is not zero, since zero
// means something to WireGuard (port 0, the all-zero key).
type Optional[T any] struct {
	Value T
	Set   bool
}

// Some returns a present v.
func Some[T any](v T) Optional[T] { return Optional[T]{v, true} }

// A Change is one request to configure a device. What is absent stays as it is.
type Change struct {
	PrivateKey   Optional[keys.Key] // the zero key removes it
	ListenPort   Optional[uint16]   // 0: the device picks one
	Fwmark       Optional[uint32]   // 0: off
	ReplacePeers bool               // remove all peers first
	Peers        []PeerChange       // applied in order; the same key may come again
}

// Omit leaves out what d has already, the peers apart.
func (c *Change) Omit(d *Device) {
	if c.PrivateKey.Set && d.PrivateKey.Set && c.PrivateKey.Value.Clamp() == d.PrivateKey.Value.Clamp() { // devices clamp
		c.PrivateKey.Set = false
	}
	c.ListenPort.Set = c.ListenPort.Set && c.ListenPort.Value != d.ListenPort
	c.Fwmark.Set = c.Fwmark.Set && c.Fwmark.Value != d.Fwmark
}

// IsEmpty reports whether c changes nothing.
func (c *Change) IsEmpty() bool {
	return !c.PrivateKey.Set && !c.ListenPort.Set && !c.Fwmark.Set && !c.ReplacePeers && len(c.Peers) == 0
}

// A PeerChange adds, changes or removes one peer.
type PeerChange struct {
	PublicKey           keys.Key
	Remove              bool
	UpdateOnly          bool               // one that isn't there isn't made
	ReplaceAllowedIPs   bool               // remove all its allowed IPs first
	PresharedKey        Optional[keys.Key] // the zero key removes it
	PersistentKeepalive Optional[uint16]   // seconds; 0: off
	Endpoint            netip.AddrPort     // invalid: not set
	AllowedIPs          []AllowedIP
}

// An AllowedIP is a prefix to give to a peer or to take from it.
type AllowedIP struct {
	netip.Prefix // as written: host bits are kept, devices mask them
	Remove       bool
}
