// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// A Link is a network link. The zero Link isn't there.
type Link struct {
	Index int
	Kind  string // "wireguard", "tun" …; "" for a device without a driver's name
	Up    bool   // set up, whatever its carrier says
}

// Link returns the link that has dev as its name or as an alternative name.
func (k *Kernel) Link(_ context.Context, dev string) (Link, error) {
	link, err := k.link(dev)
	if errors.Is(err, fs.ErrNotExist) {
		return Link{}, nil
	}
	if err != nil {
		return Link{}, err
	}
	attrs := link.Attrs()
	return Link{attrs.Index, link.Type(), attrs.RawFlags&unix.IFF_UP != 0}, nil
}

// OnLink returns the routes over the link dev, of both families: the
// destinations of all those in the main table, and those in any table that are
// such as AddRoutes adds.
func (k *Kernel) OnLink(_ context.Context, dev string) (main []netip.Prefix, added []plan.RouteSet, err error) {
	index, err := k.index(dev)
	if err != nil {
		return nil, nil, err
	}
	sets := map[uint32]int{}
	note := func(r netlink.Route, dst netip.Prefix) {
		if r.Table == unix.RT_TABLE_MAIN {
			main = append(main, dst)
		}
		if r.Table == unix.RT_TABLE_LOCAL || r.Type != unix.RTN_UNICAST || r.Protocol != unix.RTPROT_BOOT || r.Gw != nil {
			return
		}
		table := uint32(r.Table)
		if table == unix.RT_TABLE_MAIN {
			table = 0
		}
		i, ok := sets[table]
		if !ok {
			i = len(added)
			sets[table] = i
			added = append(added, plan.RouteSet{Dev: dev, Table: table})
		}
		added[i].Dst = append(added[i].Dst, dst)
	}
	filter := &netlink.Route{LinkIndex: index, Table: unix.RT_TABLE_UNSPEC}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		n := len(main)
		err := k.dump(func() error {
			main = main[:n]
			for i := range added { // of an interrupted listing
				added[i].Dst = slices.DeleteFunc(added[i].Dst, func(p netip.Prefix) bool { return p.Addr().Is4() == (family == netlink.FAMILY_V4) })
			}
			return k.h.RouteListFilteredIter(family, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE, func(r netlink.Route) bool {
				dst, ok := prefix(r.Dst)
				if !ok {
					dst = netip.PrefixFrom(netip.IPv4Unspecified(), 0)
					if family == netlink.FAMILY_V6 {
						dst = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
					}
				}
				note(r, dst)
				return true
			})
		})
		if noFamily(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, nil, asError(err)
		}
	}
	return main, added, nil
}

// AddressesAndMTU returns the addresses of the link dev, with their lengths,
// IPv4 first, and its MTU in bytes.
func (k *Kernel) AddressesAndMTU(_ context.Context, dev string) (list []netip.Prefix, mtu int, err error) {
	link, err := k.link(dev)
	if err != nil {
		return nil, 0, err
	}
	var addrs []netlink.Addr
	err = k.dump(func() (err error) {
		addrs, err = k.h.AddrList(link, netlink.FAMILY_ALL)
		return err
	})
	if err != nil {
		return nil, 0, asError(err)
	}
	for _, a := range addrs {
		if p, ok := prefix(a.IPNet); ok {
			list = append(list, p)
		}
	}
	slices.SortStableFunc(list, func(a, b netip.Prefix) int { return cmp.Compare(a.Addr().BitLen(), b.Addr().BitLen()) })
	return list, link.Attrs().MTU, nil
}

// PathMTU returns the MTU, in bytes, of the route to dst: the one that the
// route has or that was learnt for it, else that of its link. It is 0 where
// there is no route. The packets there have that mark, 0 is none.
func (k *Kernel) PathMTU(_ context.Context, dst netip.Addr, mark uint32) int {
	routes, err := k.h.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{Mark: mark})
	if err != nil || len(routes) == 0 {
		return 0
	}
	return k.routeMTU(routes[0])
}

// DefaultMTU returns the MTU, in bytes, of the first IPv4 default route, 0 if
// there is none or if it has several next hops.
func (k *Kernel) DefaultMTU(context.Context) int {
	var routes []netlink.Route
	err := k.dump(func() (err error) {
		routes, err = k.h.RouteListFiltered(netlink.FAMILY_V4, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
		return err
	})
	if err != nil || len(routes) == 0 || len(routes[0].MultiPath) > 0 {
		return 0
	}
	return k.routeMTU(routes[0])
}

// routeMTU returns a route's own MTU, unless it is locked: wg-quick doesn't
// know that form. Else that of its link.
func (k *Kernel) routeMTU(r netlink.Route) int {
	if r.MTU != 0 && !r.MTULock {
		return r.MTU
	}
	link, err := k.h.LinkByIndex(r.LinkIndex)
	if err != nil {
		return 0
	}
	return link.Attrs().MTU
}

func prefix(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	bits, size := n.Mask.Size()
	if size == 32 { // the library's default route has IPv4's address in IPv6's form
		a = a.Unmap()
	}
	return netip.PrefixFrom(a, bits), ok
}
