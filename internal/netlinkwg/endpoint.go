// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"net"
	"net/netip"
	"strconv"
)

// zones remembers links during one operation: asking for one lists them all,
// and each peer of a device may have a zone.
type zones struct {
	names   map[uint32]string // "": no such link
	indexes map[string]uint32 // 0: no such link
}

// scoped gives a its zone, as C's getnameinfo shows it: for a link-local
// address the name of the link if that is here, else the number.
func (z *zones) scoped(a netip.Addr, scope uint32) netip.Addr {
	if scope == 0 {
		return a.WithZone("")
	}
	if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() {
		if name := z.name(scope); name != "" {
			return a.WithZone(name)
		}
	}
	return a.WithZone(strconv.FormatUint(uint64(scope), 10))
}

// scope is the way back: the zone of a as a number, 0 for none. It may be a
// number, which need not be a link's, or the name of a link, which only
// addresses have that are local to one.
func (z *zones) scope(a netip.Addr) (scope uint32, ok bool) {
	zone := a.Zone()
	if zone == "" {
		return 0, true
	}
	if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() {
		if index := z.index(zone); index != 0 {
			return index, true
		}
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil
}

func (z *zones) name(index uint32) string {
	name, ok := z.names[index]
	if !ok {
		if z.names == nil {
			z.names = map[uint32]string{}
		}
		if link, err := net.InterfaceByIndex(int(index)); err == nil {
			name = link.Name
		}
		z.names[index] = name
	}
	return name
}

func (z *zones) index(name string) uint32 {
	index, ok := z.indexes[name]
	if !ok {
		if z.indexes == nil {
			z.indexes = map[string]uint32{}
		}
		if link, err := net.InterfaceByName(name); err == nil {
			index = uint32(link.Index)
		}
		z.indexes[name] = index
	}
	return index
}
