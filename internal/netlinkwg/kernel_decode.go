// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"syscall"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// Commands, attributes and flags of linux/wireguard.h.
const (
	familyName    = "wireguard"
	familyVersion = 1

	cmdGetDevice = 0
	cmdSetDevice = 1

	deviceName       = 2
	devicePrivateKey = 3
	devicePublicKey  = 4
	deviceFlags      = 5
	deviceListenPort = 6
	deviceFwmark     = 7
	devicePeers      = 8

	peerPublicKey     = 1
	peerPresharedKey  = 2
	peerFlags         = 3
	peerEndpoint      = 4
	peerKeepalive     = 5
	peerLastHandshake = 6
	peerRxBytes       = 7
	peerTxBytes       = 8
	peerAllowedIPs    = 9

	ipFamily  = 1
	ipAddress = 2
	ipCIDR    = 3
	ipFlags   = 4

	deviceReplacePeers = 1
	peerRemove         = 1
	peerReplaceIPs     = 2
	peerUpdateOnly     = 4
	ipRemove           = 1
)

// Address families of Linux, which syscall has for the system it is built for.
const (
	familyINET  = 2
	familyINET6 = 10
)

const (
	nlHeader   = 16     // length, type, flags, sequence, sender
	genlHeader = 4      // command, version, reserved
	attrHeader = 4      // length, type
	attrNested = 0x8000 // NLA_F_NESTED
	attrTypes  = 0x3fff // NLA_TYPE_MASK
	attrAlign  = 4
)

// attributes are netlink attributes that are still to be read.
type attributes []byte

// next takes the first attribute off. ok is false at the end, and at what is
// no attribute: then something is left.
func (b *attributes) next() (kind uint16, data []byte, ok bool) {
	if len(*b) < attrHeader {
		return 0, nil, false
	}
	n := int(binary.NativeEndian.Uint16(*b))
	if n < attrHeader || n > len(*b) {
		return 0, nil, false
	}
	kind = binary.NativeEndian.Uint16((*b)[2:]) & attrTypes
	data = (*b)[attrHeader:n]
	*b = (*b)[min(aligned(n), len(*b)):]
	return kind, data, true
}

// aligned rounds a length up to where the next attribute starts.
func aligned(n int) int { return (n + attrAlign - 1) &^ (attrAlign - 1) }

// decodeText returns a string attribute without its final NUL.
func decodeText(b []byte) string {
	text, _, _ := bytes.Cut(b, []byte{0})
	return string(text)
}

// decode tells one message of a dump: generic netlink's header and what
// follows. A message that isn't understood is EPROTO.
func decode(message []byte, t *teller) error {
	if len(message) < genlHeader {
		return syscall.EPROTO
	}
	rest := attributes(message[genlHeader:])
	d := &t.head
	*d = device.Device{}
	var peers attributes
	for {
		kind, data, more := rest.next()
		if !more {
			break
		}
		ok := true
		switch kind {
		case deviceName:
			d.Name = decodeText(data)
		case devicePrivateKey:
			d.PrivateKey.Set = true
			ok = decodeKey(data, &d.PrivateKey.Value)
		case devicePublicKey:
			d.PublicKey.Set = true
			ok = decodeKey(data, &d.PublicKey.Value)
		case deviceListenPort:
			d.ListenPort, ok = decodeUint16(data)
		case deviceFwmark:
			d.Fwmark, ok = decodeUint32(data)
		case devicePeers:
			peers = data
		}
		if !ok {
			return syscall.EPROTO
		}
	}
	if len(rest) > 0 {
		return syscall.EPROTO
	}
	if err := t.device(); err != nil {
		return err
	}
	for {
		_, data, more := peers.next()
		if !more {
			break
		}
		if err := decodePeer(data, t); err != nil {
			return err
		}
	}
	if len(peers) > 0 {
		return syscall.EPROTO
	}
	return nil
}

// decodePeer reads a peer, or a further part of one.
func decodePeer(b attributes, t *teller) error {
	key, ok := findKey(b)
	if !ok {
		return syscall.EPROTO
	}
	p, first, err := t.start(key)
	if err != nil {
		return err
	}
	for {
		kind, data, more := b.next()
		if !more {
			break
		}
		ok := true
		switch {
		case kind == peerAllowedIPs:
			ok = decodeAllowedIPs(data, p)
		case first: // a further part has only more allowed IPs to tell
			ok = decodeSetting(kind, data, p, &t.zones)
		}
		if !ok {
			return syscall.EPROTO
		}
	}
	if len(b) > 0 {
		return syscall.EPROTO
	}
	return nil
}

// findKey returns the public key of a peer, which mostly stands first.
func findKey(b attributes) (key keys.Key, ok bool) {
	for {
		kind, data, more := b.next()
		if !more {
			return key, false
		}
		if kind == peerPublicKey {
			return key, decodeKey(data, &key)
		}
	}
}

// decodeSetting reads a peer's attribute other than the allowed IPs.
func decodeSetting(kind uint16, data []byte, p *device.Peer, z *zones) (ok bool) {
	switch kind {
	case peerPresharedKey:
		return decodeKey(data, &p.PresharedKey)
	case peerEndpoint:
		p.Endpoint, ok = decodeEndpoint(data, z)
		return ok
	case peerKeepalive:
		p.PersistentKeepalive, ok = decodeUint16(data)
		return ok
	case peerLastHandshake: // struct __kernel_timespec
		if len(data) != 16 {
			return false
		}
		p.LatestHandshake.Sec = int64(binary.NativeEndian.Uint64(data))
		p.LatestHandshake.Nsec = int64(binary.NativeEndian.Uint64(data[8:]))
	case peerRxBytes:
		p.ReceivedBytes, ok = decodeUint64(data)
		return ok
	case peerTxBytes:
		p.SentBytes, ok = decodeUint64(data)
		return ok
	}
	return true
}

func decodeAllowedIPs(b attributes, p *device.Peer) bool {
	for {
		_, data, more := b.next()
		if !more {
			return len(b) == 0
		}
		ip, ok := decodeAllowedIP(data)
		if !ok {
			return false
		}
		p.AllowedIPs = append(p.AllowedIPs, ip)
	}
}

func decodeAllowedIP(b attributes) (ip netip.Prefix, ok bool) {
	var family uint16
	var bits uint8
	var address []byte
	for {
		kind, data, more := b.next()
		if !more {
			break
		}
		ok := true
		switch kind {
		case ipFamily:
			family, ok = decodeUint16(data)
		case ipAddress:
			address = data
		case ipCIDR:
			if ok = len(data) == 1; ok {
				bits = data[0]
			}
		}
		if !ok {
			return ip, false
		}
	}
	var addr netip.Addr
	switch {
	case len(b) > 0:
		return ip, false
	case family == familyINET && len(address) == 4:
		addr = netip.AddrFrom4([4]byte(address))
	case family == familyINET6 && len(address) == 16:
		addr = netip.AddrFrom16([16]byte(address))
	}
	ip = netip.PrefixFrom(addr, int(bits))
	return ip, ip.IsValid()
}

// decodeEndpoint reads a struct sockaddr_in or sockaddr_in6.
func decodeEndpoint(b []byte, z *zones) (netip.AddrPort, bool) {
	if len(b) < 8 {
		return netip.AddrPort{}, false
	}
	port := binary.BigEndian.Uint16(b[2:])
	switch binary.NativeEndian.Uint16(b) {
	case familyINET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), port), true
	case familyINET6:
		if len(b) < 28 {
			return netip.AddrPort{}, false
		}
		addr := netip.AddrFrom16([16]byte(b[8:24]))
		return netip.AddrPortFrom(z.scoped(addr, binary.NativeEndian.Uint32(b[24:])), port), true
	}
	return netip.AddrPort{}, false
}

func decodeKey(b []byte, k *keys.Key) bool {
	if len(b) != keys.Len {
		return false
	}
	*k = keys.Key(b)
	return true
}

func decodeUint16(b []byte) (uint16, bool) {
	if len(b) != 2 {
		return 0, false
	}
	return binary.NativeEndian.Uint16(b), true
}

func decodeUint32(b []byte) (uint32, bool) {
	if len(b) != 4 {
		return 0, false
	}
	return binary.NativeEndian.Uint32(b), true
}

func decodeUint64(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return binary.NativeEndian.Uint64(b), true
}
