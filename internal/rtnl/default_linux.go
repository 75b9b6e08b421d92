// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// IPv6Uplinks returns the links that default routes for IPv6 in the main table
// go over.
func (k *Kernel) IPv6Uplinks(context.Context) (links []string, err error) {
	var routes []netlink.Route
	err = k.dump(func() (err error) {
		routes, err = k.h.RouteListFiltered(netlink.FAMILY_V6, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_DST|netlink.RT_FILTER_TABLE)
		return err
	})
	if noFamily(err) {
		return nil, nil
	}
	if err != nil {
		return nil, asError(err)
	}
	for _, r := range routes {
		indexes := []int{r.LinkIndex}
		for _, hop := range r.MultiPath {
			indexes = append(indexes, hop.LinkIndex)
		}
		for _, index := range indexes {
			if link, err := k.h.LinkByIndex(index); err == nil && r.Type == unix.RTN_UNICAST {
				links = append(links, link.Attrs().Name)
			}
		}
	}
	return links, nil
}
