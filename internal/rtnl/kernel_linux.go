// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// A Kernel changes and reads the network namespace that it was opened in. It
// isn't safe for concurrent use.
type Kernel struct {
	h    *netlink.Handle // for reading
	conn *conn           // for changes
}

var (
	_ plan.Links  = (*Kernel)(nil)
	_ plan.Routes = (*Kernel)(nil)
)

// Open returns a Kernel for the calling thread's network namespace.
func Open() (*Kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if err := h.SetSocketTimeout(10 * time.Second); err != nil {
		h.Close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	c, err := dial()
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &Kernel{h, c}, nil
}

// Close releases the sockets.
func (k *Kernel) Close() {
	k.h.Close()
	k.conn.close()
}

// AddLink implements [plan.Links]. Where the kernel has no WireGuard, the
// error is EOPNOTSUPP.
func (k *Kernel) AddLink(_ context.Context, dev string) error { return k.addLink(dev, nil) }

// AddLinkIn makes a WireGuard link in the network namespace ns. Its packets to
// peers go by the namespace of k.
func (k *Kernel) AddLinkIn(_ context.Context, dev string, ns *os.File) error {
	return k.addLink(dev, ns)
}

func (k *Kernel) addLink(dev string, ns *os.File) error {
	return k.conn.one(request{unix.RTM_NEWLINK, unix.NLM_F_CREATE | unix.NLM_F_EXCL, func(b []byte) []byte {
		b = append(b, make([]byte, unix.SizeofIfInfomsg)...)
		b = attr(b, unix.IFLA_IFNAME, append([]byte(dev), 0))
		if ns != nil {
			b = attr32(b, unix.IFLA_NET_NS_FD, uint32(ns.Fd()))
		}
		return attr(b, unix.IFLA_LINKINFO, attr(nil, unix.IFLA_INFO_KIND, []byte("wireguard")))
	}})
}

// DelLink implements [plan.Links], but for a userspace device behind the link,
// of which it knows nothing.
func (k *Kernel) DelLink(_ context.Context, dev string) error {
	index, err := k.index(dev)
	if err != nil {
		return err
	}
	return k.conn.one(request{unix.RTM_DELLINK, 0, func(b []byte) []byte { return ifinfo(b, index, 0) }})
}

// SetLink implements [plan.Links].
func (k *Kernel) SetLink(_ context.Context, dev string, mtu int, up bool) error {
	index, err := k.index(dev)
	if err != nil {
		return err
	}
	var flags uint32
	if up {
		flags = unix.IFF_UP
	}
	return k.conn.one(request{unix.RTM_NEWLINK, 0, func(b []byte) []byte {
		return attr32(ifinfo(b, index, flags), unix.IFLA_MTU, uint32(mtu))
	}})
}

// ifinfo appends the head of a link's message that sets the given flags.
func ifinfo(b []byte, index int, flags uint32) []byte {
	b = append(b, make([]byte, 4)...) // of no family and type
	b = binary.NativeEndian.AppendUint32(b, uint32(index))
	b = binary.NativeEndian.AppendUint32(b, flags)
	return binary.NativeEndian.AppendUint32(b, flags)
}

// AddAddr implements [plan.Links]. The address is given no broadcast address,
// label or lifetime.
func (k *Kernel) AddAddr(_ context.Context, dev string, a netip.Prefix) error {
	return k.addr(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, dev, a)
}

// DelAddr implements [plan.Links].
func (k *Kernel) DelAddr(_ context.Context, dev string, a netip.Prefix) error {
	return k.addr(unix.RTM_DELADDR, 0, dev, a)
}

func (k *Kernel) addr(kind, flags uint16, dev string, a netip.Prefix) error {
	index, err := k.index(dev)
	if err != nil {
		return err
	}
	scope := byte(unix.RT_SCOPE_UNIVERSE)
	if a.Addr().Is4() && a.Addr().IsLoopback() {
		scope = unix.RT_SCOPE_HOST
	}
	return k.conn.one(request{kind, flags, func(b []byte) []byte {
		b = append(b, family(a), byte(a.Bits()), 0, scope)
		b = binary.NativeEndian.AppendUint32(b, uint32(index))
		b = attr(b, unix.IFA_LOCAL, a.Addr().AsSlice())
		return attr(b, unix.IFA_ADDRESS, a.Addr().AsSlice())
	}})
}

// AddRoutes implements [plan.Routes]. Routes have no metric and no source
// address, the protocol "boot", and for IPv4 the scope "link", as those that
// ip(8) adds for a device.
func (k *Kernel) AddRoutes(ctx context.Context, r plan.RouteSet) error {
	index, err := k.index(r.Dev)
	if err != nil {
		return err
	}
	var first *plan.RouteError
	failed := map[int]bool{}
	sent, err := k.conn.many(ctx, len(r.Dst), unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, false,
		func(b []byte, i int) []byte { return route(b, index, r.Table, r.Dst[i]) },
		func(i int, err error) {
			failed[i] = true
			if first == nil {
				first = &plan.RouteError{Dst: r.Dst[i], Err: err}
			}
		})
	if err == nil && first == nil {
		return nil
	}
	// All or none: take back what was added before the failure, and after it
	// in the same batch.
	added := r
	added.Dst = nil
	for i, dst := range r.Dst[:sent] {
		if !failed[i] {
			added.Dst = append(added.Dst, dst)
		}
	}
	undo := k.DelRoutes(context.WithoutCancel(ctx), added)
	if errors.Is(undo, fs.ErrNotExist) {
		undo = nil
	}
	if first == nil {
		return errors.Join(err, undo)
	}
	if err = errors.Join(err, undo); err != nil {
		first.Err = errors.Join(first.Err, err)
	}
	return first
}

// DelRoutes implements [plan.Routes].
func (k *Kernel) DelRoutes(ctx context.Context, r plan.RouteSet) error {
	index, err := k.index(r.Dev)
	if err != nil {
		return err
	}
	var first *plan.RouteError
	_, err = k.conn.many(ctx, len(r.Dst), unix.RTM_DELROUTE, 0, true,
		func(b []byte, i int) []byte { return route(b, index, r.Table, r.Dst[i]) },
		func(i int, err error) {
			if first == nil || errors.Is(first, fs.ErrNotExist) && !errors.Is(err, fs.ErrNotExist) {
				first = &plan.RouteError{Dst: r.Dst[i], Err: err}
			}
		})
	if err == nil && first != nil {
		return first
	}
	return err
}

// route appends the message of one route.
func route(b []byte, index int, table uint32, dst netip.Prefix) []byte {
	if table == 0 {
		table = unix.RT_TABLE_MAIN
	}
	scope, small := byte(unix.RT_SCOPE_UNIVERSE), byte(unix.RT_TABLE_UNSPEC)
	if dst.Addr().Is4() {
		scope = unix.RT_SCOPE_LINK
	}
	if table <= 255 {
		small = byte(table)
	}
	b = append(b, family(dst), byte(dst.Bits()), 0, 0, small, unix.RTPROT_BOOT, scope, unix.RTN_UNICAST)
	b = append(b, 0, 0, 0, 0) // no flags
	if dst.Addr().Is4() {
		a := dst.Addr().As4()
		b = attr(b, unix.RTA_DST, a[:])
	} else {
		a := dst.Addr().As16()
		b = attr(b, unix.RTA_DST, a[:])
	}
	if small == unix.RT_TABLE_UNSPEC {
		b = attr32(b, unix.RTA_TABLE, table)
	}
	return attr32(b, unix.RTA_OIF, uint32(index))
}

// throw appends the message of a route that ends the look-up in a table, so that
// it goes on with the next rule.
func throw(b []byte, table uint32, dst netip.Prefix) []byte {
	small := byte(unix.RT_TABLE_UNSPEC)
	if table <= 255 {
		small = byte(table)
	}
	b = append(b, family(dst), byte(dst.Bits()), 0, 0, small, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_THROW)
	b = append(b, 0, 0, 0, 0) // no flags
	b = attr(b, unix.RTA_DST, dst.Addr().AsSlice())
	return attr32(b, unix.RTA_TABLE, table)
}

func family(p netip.Prefix) byte {
	if p.Addr().Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// index returns the number of the link dev, which may also be one of its
// alternative names.
func (k *Kernel) index(dev string) (int, error) {
	link, err := k.link(dev)
	if err != nil {
		return 0, err
	}
	return link.Attrs().Index, nil
}

func (k *Kernel) link(dev string) (link netlink.Link, err error) {
	err = k.dump(func() error { link, err = k.h.LinkByName(dev); return err })
	if _, ok := errors.AsType[netlink.LinkNotFoundError](err); ok {
		err = syscall.ENODEV
	}
	return link, wrapLink(dev, asError(err))
}

// asError gives an errno of the library's the meaning of an [Error].
func asError(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return &Error{Errno: errno}
	}
	return err
}

// dumps is how often a listing is tried that the kernel calls interrupted:
// what is listed changes meanwhile.
const dumps = 8

// dump repeats a listing that was interrupted. The last one counts: it may
// lack what came or have what went while it was made.
func (k *Kernel) dump(list func() error) error {
	for range dumps {
		if err := list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return err
		}
	}
	return nil
}
