// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device

import "wgtools/internal/keys"

// An Undo works out what takes a [Change] back. Make one with [NewUndo], tell
// it the device as it is before the change, all peers, then call [Undo.Change].
// Sessions of peers that the change removes don't come back.
type Undo struct {
	of      *Change
	touched map[keys.Key]bool // peers that the change is about; true: the device has it
	before  Change
}

// NewUndo starts to work out what takes c back.
func NewUndo(c *Change) *Undo {
	u := &Undo{of: c}
	u.Reset()
	return u
}

// Reset forgets what it was told.
func (u *Undo) Reset() {
	u.before = Change{}
	u.touched = make(map[keys.Key]bool, len(u.of.Peers))
	for i := range u.of.Peers {
		u.touched[u.of.Peers[i].PublicKey] = false
	}
}

// Device notes the device.
func (u *Undo) Device(d *Device) {
	if u.of.PrivateKey.Set {
		u.before.PrivateKey = Some(d.PrivateKey.Value)
	}
	if u.of.ListenPort.Set {
		u.before.ListenPort = Some(d.ListenPort)
	}
	if u.of.Fwmark.Set {
		u.before.Fwmark = Some(d.Fwmark)
	}
}

// Peer notes a peer of the device. p is only read during the call.
func (u *Undo) Peer(p *Peer) {
	if _, ok := u.touched[p.PublicKey]; !ok && !u.of.ReplacePeers {
		return
	}
	u.touched[p.PublicKey] = true
	old := PeerChange{
		PublicKey: p.PublicKey, ReplaceAllowedIPs: true, PresharedKey: Some(p.PresharedKey),
		PersistentKeepalive: Some(p.PersistentKeepalive), Endpoint: p.Endpoint,
	}
	for _, ip := range p.AllowedIPs {
		old.AllowedIPs = append(old.AllowedIPs, AllowedIP{Prefix: ip})
	}
	u.before.Peers = append(u.before.Peers, old)
}

// Change returns the request that takes the change back: what is new goes
// first, then the rest is as it was.
func (u *Undo) Change() *Change {
	c := u.before
	c.Peers = nil
	for i := range u.of.Peers {
		key := u.of.Peers[i].PublicKey
		if had, ok := u.touched[key]; ok && !had {
			c.Peers = append(c.Peers, PeerChange{PublicKey: key, Remove: true})
			delete(u.touched, key) // once, if the change names it twice
		}
	}
	c.Peers = append(c.Peers, u.before.Peers...)
	return &c
}
