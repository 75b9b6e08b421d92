// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"net"
	"net/netip"
	"strconv"
)

// zones remembers the names of links during one operation: asking for one
// lists them all, and each peer of a device may have a zone.
type zones struct {
	names map[uint32]string // "": no such link
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

func (z *zones) name(index uint32) string {
	if name, ok := z.names[index]; ok {
		return name
	}
	if z.names == nil {
		z.names = map[uint32]string{}
	}
	if link, err := net.InterfaceByIndex(int(index)); err == nil {
		z.names[index] = link.Name
	} else {
		z.names[index] = ""
	}
	return z.names[index]
}

// index is the way back: a zone as a number, which need not be a link's, or
// as the name of a link, which only addresses have that are local to one.
func (z *zones) index(a netip.Addr) (scope uint32, ok bool) {
	zone := a.Zone()
	if zone == "" {
		return 0, true
	}
	if a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() {
		for index, name := range z.names {
			if name == zone {
				return index, true
			}
		}
		if link, err := net.InterfaceByName(zone); err == nil {
			if z.names == nil {
				z.names = map[uint32]string{}
			}
			z.names[uint32(link.Index)] = zone
			return uint32(link.Index), true
		}
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil
}
