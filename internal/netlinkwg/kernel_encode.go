// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"encoding/binary"
	"net/netip"

	"wgtools/internal/device"
)

// appendGet appends the request for a dump of the device name.
func appendGet(b []byte, name string) []byte {
	e := encoder{data: append(b, cmdGetDevice, familyVersion, 0, 0)}
	e.text(deviceName, name)
	return e.data
}

// An encoder cuts a change into messages that the kernel takes. Each call of
// next makes the next one, filled as far as it goes; the device's own settings
// and the flag to replace all peers stand in the first only, a peer's in the
// message where the peer starts.
type encoder struct {
	data  []byte // the message, from generic netlink's header on
	limit int    // of data
	name  string

	change *device.Change
	zones  zones
	sent   int  // messages made
	peer   int  // the next peer of change
	begun  bool // its start stands in an earlier message
	ip     int  // its next allowed IP

	removes bool // the message takes single allowed IPs from peers
}

// newEncoder returns an encoder of messages of at most limit bytes, netlink's
// header included.
func newEncoder(name string, change *device.Change, limit int) *encoder {
	return &encoder{name: name, change: change, limit: limit - nlHeader, data: make([]byte, 0, limit)}
}

// next makes the next message and reports whether there was one to make. Even
// a change that says nothing makes one, so that its errors are seen.
func (e *encoder) next() bool {
	if e.sent > 0 && e.peer == len(e.change.Peers) {
		return false
	}
	e.removes = false
	e.data = append(e.data[:0], cmdSetDevice, familyVersion, 0, 0)
	e.text(deviceName, e.name)
	if e.sent == 0 {
		e.device()
	}
	e.sent++
	if e.peer < len(e.change.Peers) {
		list := e.open(devicePeers)
		for e.peer < len(e.change.Peers) && e.onePeer() {
		}
		e.close(list)
	}
	return true
}

func (e *encoder) device() {
	c := e.change
	if c.PrivateKey.Set {
		e.bytes(devicePrivateKey, c.PrivateKey.Value[:])
	}
	if c.ListenPort.Set {
		e.uint16(deviceListenPort, c.ListenPort.Value)
	}
	if c.Fwmark.Set {
		e.uint32(deviceFwmark, c.Fwmark.Value)
	}
	if c.ReplacePeers {
		e.uint32(deviceFlags, deviceReplacePeers)
	}
}

// onePeer adds the next peer, or what is left of it, and reports whether it
// went in whole.
func (e *encoder) onePeer() bool {
	p := &e.change.Peers[e.peer]
	start := len(e.data)
	entry := e.open(0)
	e.bytes(peerPublicKey, p.PublicKey[:])
	var flags uint32
	if p.Remove {
		flags |= peerRemove
	}
	if p.UpdateOnly {
		flags |= peerUpdateOnly
	}
	if !e.begun {
		if p.ReplaceAllowedIPs {
			flags |= peerReplaceIPs
		}
		if p.PresharedKey.Set {
			e.bytes(peerPresharedKey, p.PresharedKey.Value[:])
		}
		if p.Endpoint.IsValid() {
			e.endpoint(p.Endpoint)
		}
		if p.PersistentKeepalive.Set {
			e.uint16(peerKeepalive, p.PersistentKeepalive.Value)
		}
	}
	if flags != 0 {
		e.uint32(peerFlags, flags)
	}
	list := -1
	if len(p.AllowedIPs) > 0 {
		list = e.open(peerAllowedIPs)
	}
	if len(e.data) > e.limit {
		e.data = e.data[:start] // moves whole to the next message
		return false
	}
	e.begun = true
	whole := true
	for ; e.ip < len(p.AllowedIPs); e.ip++ {
		before := len(e.data)
		e.allowedIP(p.AllowedIPs[e.ip])
		if len(e.data) > e.limit {
			e.data = e.data[:before]
			whole = false
			break
		}
	}
	if list >= 0 {
		e.close(list)
	}
	e.close(entry)
	if whole {
		e.peer, e.begun, e.ip = e.peer+1, false, 0
	}
	return whole
}

func (e *encoder) allowedIP(ip device.AllowedIP) {
	entry := e.open(0)
	addr := ip.Addr()
	if addr.Is4() {
		a := addr.As4()
		e.uint16(ipFamily, familyINET)
		e.bytes(ipAddress, a[:])
	} else {
		a := addr.As16()
		e.uint16(ipFamily, familyINET6)
		e.bytes(ipAddress, a[:])
	}
	e.bytes(ipCIDR, []byte{byte(ip.Bits())})
	if ip.Remove {
		e.uint32(ipFlags, ipRemove)
		e.removes = true
	}
	e.close(entry)
}

// endpoint adds a struct sockaddr_in or sockaddr_in6.
func (e *encoder) endpoint(to netip.AddrPort) {
	if to.Addr().Is4() {
		var b [16]byte
		binary.NativeEndian.PutUint16(b[:], familyINET)
		binary.BigEndian.PutUint16(b[2:], to.Port())
		a := to.Addr().As4()
		copy(b[4:], a[:])
		e.bytes(peerEndpoint, b[:])
		return
	}
	var b [28]byte
	binary.NativeEndian.PutUint16(b[:], familyINET6)
	binary.BigEndian.PutUint16(b[2:], to.Port())
	a := to.Addr().As16()
	copy(b[8:], a[:])
	scope, _ := e.zones.scope(to.Addr()) // of a link that has gone: 0
	binary.NativeEndian.PutUint32(b[24:], scope)
	e.bytes(peerEndpoint, b[:])
}

// open starts a nested attribute; close ends the one that started there.
func (e *encoder) open(kind uint16) int {
	at := len(e.data)
	e.header(kind|attrNested, 0)
	return at
}

func (e *encoder) close(at int) {
	binary.NativeEndian.PutUint16(e.data[at:], uint16(len(e.data)-at))
}

func (e *encoder) header(kind uint16, size int) {
	e.data = binary.NativeEndian.AppendUint16(e.data, uint16(attrHeader+size))
	e.data = binary.NativeEndian.AppendUint16(e.data, kind)
}

func (e *encoder) bytes(kind uint16, b []byte) {
	e.header(kind, len(b))
	e.data = append(e.data, b...)
	e.pad()
}

func (e *encoder) text(kind uint16, s string) {
	e.header(kind, len(s)+1)
	e.data = append(append(e.data, s...), 0)
	e.pad()
}

func (e *encoder) pad() {
	for len(e.data)%attrAlign != 0 {
		e.data = append(e.data, 0)
	}
}

func (e *encoder) uint16(kind, v uint16) {
	e.header(kind, 2)
	e.data = binary.NativeEndian.AppendUint16(e.data, v)
	e.pad()
}

func (e *encoder) uint32(kind uint16, v uint32) {
	e.header(kind, 4)
	e.data = binary.NativeEndian.AppendUint32(e.data, v)
}
