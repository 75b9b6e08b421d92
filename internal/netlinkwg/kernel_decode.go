// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"encoding/binary"
	"iter"
	"net"
	"net/netip"
	"strconv"
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
	ipRemove           = 1
)

// Address families of Linux, which syscall has for the system it is built for.
const (
	familyINET  = 2
	familyINET6 = 10
)

const (
	genlHeader  = 4      // command, version, reserved
	attrHeader  = 4      // length, type
	attrNested  = 0x8000 // NLA_F_NESTED
	attrTypes   = 0x3fff // NLA_TYPE_MASK
	attrAligned = 4
)

// An attribute is one netlink attribute.
type attribute struct {
	kind uint16
	data []byte
}

// text returns a string attribute without its final NUL.
func (a attribute) text() string {
	text, _, _ := bytes.Cut(a.data, []byte{0})
	return string(text)
}

// attributes walks through the attributes in b. What isn't one ends the walk
// with an attribute of kind 0 and no data, which no reader here knows.
func attributes(b []byte) iter.Seq[attribute] {
	return func(yield func(attribute) bool) {
		for len(b) >= attrHeader {
			n := int(binary.NativeEndian.Uint16(b))
			kind := binary.NativeEndian.Uint16(b[2:]) & attrTypes
			if n < attrHeader || n > len(b) {
				return
			}
			if !yield(attribute{kind, b[attrHeader:n]}) {
				return
			}
			b = b[min((n+attrAligned-1)&^(attrAligned-1), len(b)):]
		}
	}
}

// well reports whether b is a sequence of attributes and nothing else.
func well(b []byte) bool {
	for len(b) >= attrHeader {
		n := int(binary.NativeEndian.Uint16(b))
		if n < attrHeader || n > len(b) {
			return false
		}
		b = b[min((n+attrAligned-1)&^(attrAligned-1), len(b)):]
	}
	return len(b) == 0
}

// decode tells one message of a dump: generic netlink's header and what
// follows. A message that isn't understood is EPROTO.
func decode(message []byte, t *teller) error {
	if len(message) < genlHeader {
		return syscall.EPROTO
	}
	message = message[genlHeader:]
	if !well(message) {
		return syscall.EPROTO
	}
	var d device.Device
	var peers []byte
	for a := range attributes(message) {
		ok := true
		switch a.kind {
		case deviceName:
			d.Name = a.text()
		case devicePrivateKey:
			ok = decodeKey(a.data, &d.PrivateKey.Value)
			d.PrivateKey.Set = true
		case devicePublicKey:
			ok = decodeKey(a.data, &d.PublicKey.Value)
			d.PublicKey.Set = true
		case deviceListenPort:
			d.ListenPort, ok = decodeUint16(a.data)
		case deviceFwmark:
			d.Fwmark, ok = decodeUint32(a.data)
		case devicePeers:
			peers = a.data
		}
		if !ok {
			return syscall.EPROTO
		}
	}
	if err := t.device(&d); err != nil {
		return err
	}
	if !well(peers) {
		return syscall.EPROTO
	}
	for a := range attributes(peers) {
		if err := decodePeer(a.data, t); err != nil {
			return err
		}
	}
	return nil
}

func decodePeer(b []byte, t *teller) error {
	var key keys.Key
	known := false
	for a := range attributes(b) {
		if a.kind == peerPublicKey {
			known = decodeKey(a.data, &key)
		}
	}
	if !known || !well(b) {
		return syscall.EPROTO
	}
	p, first, err := t.start(key)
	if err != nil {
		return err
	}
	for a := range attributes(b) {
		ok := true
		switch {
		case a.kind == peerAllowedIPs:
			ok = decodeAllowedIPs(a.data, p)
		case first:
			ok = decodePeerAttribute(a, p)
		}
		if !ok {
			return syscall.EPROTO
		}
	}
	return nil
}

// decodePeerAttribute reads what only the first part of a peer tells.
func decodePeerAttribute(a attribute, p *device.Peer) (ok bool) {
	switch a.kind {
	case peerPresharedKey:
		return decodeKey(a.data, &p.PresharedKey)
	case peerEndpoint:
		p.Endpoint, ok = decodeEndpoint(a.data)
		return ok
	case peerKeepalive:
		p.PersistentKeepalive, ok = decodeUint16(a.data)
		return ok
	case peerLastHandshake:
		if len(a.data) != 16 {
			return false
		}
		p.LatestHandshake.Sec = int64(binary.NativeEndian.Uint64(a.data))
		p.LatestHandshake.Nsec = int64(binary.NativeEndian.Uint64(a.data[8:]))
	case peerRxBytes:
		p.ReceivedBytes, ok = decodeUint64(a.data)
		return ok
	case peerTxBytes:
		p.SentBytes, ok = decodeUint64(a.data)
		return ok
	}
	return true
}

func decodeAllowedIPs(b []byte, p *device.Peer) bool {
	if !well(b) {
		return false
	}
	for entry := range attributes(b) {
		var family uint16
		var bits uint8
		var address []byte
		ok := well(entry.data)
		for a := range attributes(entry.data) {
			switch a.kind {
			case ipFamily:
				family, ok = decodeUint16(a.data)
			case ipAddress:
				address = a.data
			case ipCIDR:
				if ok = len(a.data) == 1; ok {
					bits = a.data[0]
				}
			}
			if !ok {
				return false
			}
		}
		addr, valid := netip.AddrFromSlice(address)
		switch {
		case !ok, !valid, int(bits) > addr.BitLen(), addr.Is4() != (family == familyINET), addr.Is6() != (family == familyINET6):
			return false
		}
		p.AllowedIPs = append(p.AllowedIPs, netip.PrefixFrom(addr, int(bits)))
	}
	return true
}

// decodeEndpoint reads a struct sockaddr_in or sockaddr_in6.
func decodeEndpoint(b []byte) (netip.AddrPort, bool) {
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
		if scope := binary.NativeEndian.Uint32(b[24:]); scope != 0 {
			zone := strconv.FormatUint(uint64(scope), 10)
			if addr.IsLinkLocalUnicast() || addr.IsLinkLocalMulticast() {
				zone = zoneName(zone)
			}
			addr = addr.WithZone(zone)
		}
		return netip.AddrPortFrom(addr, port), true
	}
	return netip.AddrPort{}, false
}

// zoneIndex returns the number of a zone, 0 if there is none or its link is gone.
func zoneIndex(zone string) uint32 {
	if zone == "" {
		return 0
	}
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n)
	}
	link, err := net.InterfaceByName(zone)
	if err != nil {
		return 0
	}
	return uint32(link.Index)
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
