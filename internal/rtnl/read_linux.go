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
)

// Link returns the index and the kind of the link that has dev as its name or
// as an alternative name; the index is 0 if there is none.
func (k *Kernel) Link(_ context.Context, dev string) (index int, kind string, err error) {
	link, err := k.link(dev)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	return link.Attrs().Index, link.Type(), nil
}

// OnLink returns the destinations of the main table's routes over the link
// dev, of both families.
func (k *Kernel) OnLink(_ context.Context, dev string) (dst []netip.Prefix, err error) {
	index, err := k.index(dev)
	if err != nil {
		return nil, err
	}
	filter := &netlink.Route{LinkIndex: index, Table: unix.RT_TABLE_MAIN}
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		var routes []netlink.Route
		err := k.dump(func() (err error) {
			routes, err = k.h.RouteListFiltered(family, filter, netlink.RT_FILTER_OIF|netlink.RT_FILTER_TABLE)
			return err
		})
		if noFamily(err) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, asError(err)
		}
		for _, r := range routes {
			if p, ok := prefix(r.Dst); ok {
				dst = append(dst, p)
			}
		}
	}
	return dst, nil
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
// there is no route.
func (k *Kernel) PathMTU(_ context.Context, dst netip.Addr) int {
	routes, err := k.h.RouteGet(dst.AsSlice())
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
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(a, bits), ok
}
