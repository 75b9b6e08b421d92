// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A watch sends packets all the time and sees which of them leave by the
// uplink, and when the kernel's rules and routes change. All times are the
// host's clock in nanoseconds.
type watch struct {
	t       *testing.T
	streams []*stream
	stop    atomic.Bool
	done    sync.WaitGroup

	mu     sync.Mutex
	seen   []map[uint32]int64 // by stream and number: when it came out of the uplink
	outer  []outer
	strays []stray
	events []event
}

// A stray is a packet that is no stream's, no tunnel's own, and none of those
// that a link needs (ARP, neighbour discovery, DHCP).
type stray struct {
	text string
	at   int64
}

// A stream is packets to one destination, about a thousand a second.
type stream struct {
	name string
	to   netip.AddrPort
	// wanted tells whether to send now; nil: always.
	wanted func() bool
	// old says that the socket is connected before there is any tunnel; else
	// each packet finds its way anew.
	old bool

	mu     sync.Mutex
	sent   []int64 // by number: before it was sent, or uncounted
	failed []bool  // by number
}

// The streams of a watch: through the tunnel, beside it, to its resolver, and
// through the tunnel by connections from before it.
const (
	inner4 = iota
	inner6
	lan4
	lan6
	names
	old4
	old6
)

const uncounted = -1

// An outer is a packet of a tunnel itself that left by the uplink.
type outer struct {
	port uint16 // of the endpoint
	at   int64
}

// An event is a change that the kernel tells, stamped when it was told.
type event struct {
	at   int64
	v6   bool
	kind change
	gone bool
}

type change string

const (
	aRoute     change = "the default route"
	aDiversion change = "the rule to its table"
	aRule      change = "another rule"
	aLink      change = "a link"
	aSwitch    change = "the kill switch"
)

// resolver is that of the tunnel. Only a default route leads to it.
const resolver = "10.64.0.1"

// watched starts a watch on the site, which gets an IPv6 uplink, neighbours
// and a resolvconf.
func (s *site) watched() *watch {
	s.t.Helper()
	s.withResolvconf()
	for _, to := range []string{"192.0.2.1", "192.0.2.77", "2001:db8:1::1", "2001:db8:1::77"} {
		// Nobody's address: what comes to the far end is only seen.
		s.ip("neigh replace " + to + " lladdr 02:00:00:00:00:01 dev uplink nud permanent")
	}
	root := threadRoot()
	return s.watches([]*stream{
		inner4: {name: "IPv4", to: netip.MustParseAddrPort("198.51.100.9:9")},
		inner6: {name: "IPv6", to: netip.MustParseAddrPort("[2001:db8:ffff::9]:9")},
		lan4:   {name: "IPv4 LAN", to: netip.MustParseAddrPort("192.0.2.77:9")},
		lan6:   {name: "IPv6 LAN", to: netip.MustParseAddrPort("[2001:db8:1::77]:9")},
		names:  {name: "DNS", to: netip.MustParseAddrPort(resolver + ":53"), wanted: func() bool { return resolves(root) }},
		old4:   {name: "IPv4, connected", to: netip.MustParseAddrPort("198.51.100.9:9"), old: true},
		old6:   {name: "IPv6, connected", to: netip.MustParseAddrPort("[2001:db8:ffff::9]:9"), old: true},
	})
}

// watches starts a watch with these streams.
func (s *site) watches(streams []*stream) *watch {
	s.t.Helper()
	w := &watch{t: s.t, streams: streams}
	for range w.streams {
		w.seen = append(w.seen, map[uint32]int64{})
	}
	w.capture()
	w.monitor()
	w.monitorSwitch()
	for i := range w.streams {
		w.send(i)
	}
	w.await()
	return w
}

// threadRoot is the path of the thread's file system.
func threadRoot() string { return fmt.Sprintf("/proc/%d/task/%d/root", os.Getpid(), unix.Gettid()) }

// resolves reports whether the tunnel's resolver is the host's.
func resolves(root string) bool {
	text, _ := os.ReadFile(root + "/run/resolvconf/wg0")
	return bytes.Contains(text, []byte(resolver))
}

// await returns when each stream went on for a while.
func (w *watch) await() {
	const more = 40
	for _, st := range w.streams {
		if st.wanted != nil {
			continue
		}
		for n := st.len() + more; st.len() < n; {
			time.Sleep(time.Millisecond)
		}
	}
}

func (st *stream) len() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.sent)
}

// end stops the watch, and waits for what is still on its way.
func (w *watch) end() {
	w.await()
	w.stop.Store(true)
	w.done.Wait()
}

// magic begins the payload of a stream's packet; the stream's index and the
// packet's number follow.
const magic = "leak test"

func (w *watch) send(i int) {
	st := w.streams[i]
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(st.to.Port())})
	if a := st.to.Addr(); a.Is6() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Addr: a.As16(), Port: int(st.to.Port())}
	} else {
		to.(*unix.SockaddrInet4).Addr = a.As4()
	}
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil && st.old {
		err, to = unix.Connect(fd, to), nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.done.Go(func() {
		defer unix.Close(fd)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n := uint32(0); !w.stop.Load(); <-tick.C {
			if st.wanted != nil && !st.wanted() {
				continue
			}
			payload := binary.BigEndian.AppendUint32(append([]byte(magic), byte(i)), n)
			at := time.Now().UnixNano()
			err := unix.Sendto(fd, payload, unix.MSG_DONTWAIT, to)
			if st.wanted != nil && !st.wanted() {
				at = uncounted // who asks while the resolver is changed may ask the old one
			}
			st.mu.Lock()
			st.sent, st.failed = append(st.sent, at), append(st.failed, err != nil)
			st.mu.Unlock()
			n++
		}
	})
}

// capture notes what arrives at the far end of the uplink, by the kernel's
// time stamps.
func (w *watch) capture() {
	all := uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8
	fd := w.socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: w.index("far")})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.done.Go(func() {
		defer unix.Close(fd)
		frame, control := make([]byte, 2048), make([]byte, 128)
		w.receive(func() error {
			n, cn, _, from, err := unix.Recvmsg(fd, frame, control, 0)
			if err != nil {
				return err
			}
			if ll, ok := from.(*unix.SockaddrLinklayer); ok && ll.Pkttype == unix.PACKET_OUTGOING {
				return nil
			}
			messages, err := unix.ParseSocketControlMessage(control[:cn])
			if err != nil || len(messages) != 1 || len(messages[0].Data) != int(unsafe.Sizeof(unix.Timespec{})) {
				return fmt.Errorf("no time stamp: %v, %v", messages, err)
			}
			w.note(frame[:n], (*unix.Timespec)(unsafe.Pointer(&messages[0].Data[0])).Nano())
			return nil
		})
		if lost, err := unix.GetsockoptTpacketStats(fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err != nil || lost.Drops > 0 {
			w.t.Errorf("the capture lost packets: %+v, %v", lost, err)
		}
	})
}

// note notes a frame that arrived, if it is a stream's or a tunnel's.
func (w *watch) note(frame []byte, at int64) {
	const ethernet, udp = 14, 8
	if len(frame) < ethernet {
		return
	}
	header, next := 20, 9 // without options
	if binary.BigEndian.Uint16(frame[12:]) == unix.ETH_P_IPV6 {
		header, next = 40, 6
	}
	ip := frame[ethernet:]
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(ip) < header+udp || ip[next] != unix.IPPROTO_UDP {
		if text := strayOf(binary.BigEndian.Uint16(frame[12:]), ip); text != "" {
			w.strays = append(w.strays, stray{text, at})
		}
		return
	}
	port := binary.BigEndian.Uint16(ip[header+2:])
	rest, ours := bytes.CutPrefix(ip[header+udp:], []byte(magic))
	switch {
	case ours && len(rest) >= 5:
		w.seen[rest[0]][binary.BigEndian.Uint32(rest[1:])] = at
	case port == 51820, port == 51821:
		w.outer = append(w.outer, outer{port, at})
	case port != 67 && port != 547:
		w.strays = append(w.strays, stray{fmt.Sprintf("UDP to port %d", port), at})
	}
}

// strayOf says what a packet is that isn't UDP, "" if a link needs it.
func strayOf(protocol uint16, ip []byte) string {
	switch {
	case protocol == unix.ETH_P_ARP:
		return ""
	case protocol == unix.ETH_P_IPV6 && len(ip) > 48:
		next, at := ip[6], 40
		if next == unix.IPPROTO_HOPOPTS {
			next, at = ip[40], 48 // they are 8 bytes of reports to switches
		}
		if kind := ip[at]; next == unix.IPPROTO_ICMPV6 && (kind >= 130 && kind <= 136 || kind == 143) {
			return ""
		}
	case len(ip) < 20:
		return fmt.Sprintf("protocol %#x", protocol)
	}
	return fmt.Sprintf("protocol %#x: %x", protocol, ip[:min(len(ip), 48)])
}

// monitor notes what the kernel tells of rules, routes and links.
func (w *watch) monitor() {
	fd := w.socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	sa := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	for _, group := range []uint{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE} {
		sa.Groups |= 1 << (group - 1)
	}
	if err := unix.Bind(fd, sa); err != nil {
		w.t.Fatal(err)
	}
	w.listen(fd, eventOf)
}

// monitorSwitch notes when the kill switches' table comes and goes.
func (w *watch) monitorSwitch() {
	fd := w.socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}); err != nil {
		w.t.Fatal(err)
	}
	w.listen(fd, func(kind uint16, m []byte) (e event, ok bool) {
		const table = unix.NFNL_SUBSYS_NFTABLES << 8
		if kind != table|unix.NFT_MSG_NEWTABLE && kind != table|unix.NFT_MSG_DELTABLE {
			return e, false
		}
		return event{kind: aSwitch, gone: kind == table|unix.NFT_MSG_DELTABLE}, bytes.Contains(m, []byte("wg-killswitch\x00"))
	})
}

// listen notes the events that messages on a netlink socket mean.
func (w *watch) listen(fd int, eventOf func(kind uint16, m []byte) (event, bool)) {
	w.done.Go(func() {
		defer unix.Close(fd)
		// These messages have no time stamps: where it is allowed, this thread
		// runs as soon as there is one.
		runtime.LockOSThread() // it ends with the goroutine
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 50}, 0)
		b := make([]byte, 64<<10)
		w.receive(func() error {
			n, _, err := unix.Recvfrom(fd, b, 0)
			at := time.Now().UnixNano()
			if err != nil {
				return err
			}
			for m := b[:n]; len(m) >= unix.SizeofNlMsghdr; {
				size := int(binary.NativeEndian.Uint32(m))
				if e, ok := eventOf(binary.NativeEndian.Uint16(m[4:]), m[unix.SizeofNlMsghdr:size]); ok {
					e.at = at
					w.mu.Lock()
					w.events = append(w.events, e)
					w.mu.Unlock()
				}
				m = m[min((size+3)&^3, len(m)):]
			}
			return nil
		})
	})
}

// attributes calls each for every attribute in b.
func attributes(b []byte, each func(kind uint16, value []byte)) {
	for len(b) >= 4 {
		size := int(binary.NativeEndian.Uint16(b))
		each(binary.NativeEndian.Uint16(b[2:]), b[4:size])
		b = b[min((size+3)&^3, len(b)):]
	}
}

// eventOf returns what a message of the kernel means for a tunnel, which is
// nothing in most cases.
func eventOf(kind uint16, m []byte) (e event, ok bool) {
	switch kind {
	case unix.RTM_DELLINK:
		name := ""
		attributes(m[unix.SizeofIfInfomsg:], func(kind uint16, value []byte) {
			if kind == unix.IFLA_IFNAME {
				name = unix.ByteSliceToString(value)
			}
		})
		return event{kind: aLink, gone: true}, strings.HasPrefix(name, "wg")
	case unix.RTM_DELROUTE, unix.RTM_DELRULE:
		e.gone = true
	case unix.RTM_NEWROUTE, unix.RTM_NEWRULE:
	default:
		return e, false
	}
	e.v6 = m[0] == unix.AF_INET6
	table := uint32(m[4])
	attributes(m[12:], func(kind uint16, value []byte) {
		if kind == unix.RTA_TABLE && len(value) == 4 { // FRA_TABLE is the same
			table = binary.NativeEndian.Uint32(value)
		}
	})
	switch {
	case kind == unix.RTM_NEWROUTE, kind == unix.RTM_DELROUTE:
		e.kind, ok = aRoute, m[1] == 0 && table > unix.RT_TABLE_LOCAL
	case binary.NativeEndian.Uint32(m[8:])&unix.FIB_RULE_INVERT != 0:
		e.kind, ok = aDiversion, true
	default:
		e.kind, ok = aRule, true
	}
	return e, ok
}

// socket returns a socket with room for all, whose reads return now and then.
func (w *watch) socket(family, kind, protocol int) int {
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, protocol)
	if err == nil {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20)
	}
	if err == nil {
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50000})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return fd
}

// receive calls one until the watch ends and nothing is left.
func (w *watch) receive(one func() error) {
	for {
		err := one()
		switch {
		case err == nil, errors.Is(err, unix.EINTR):
		case !errors.Is(err, unix.EAGAIN):
			w.t.Errorf("receive: %v", err)
			return
		case w.stop.Load():
			return
		}
	}
}

func (w *watch) index(dev string) int {
	fd := w.socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	defer unix.Close(fd)
	r, err := unix.NewIfreq(dev)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return int(r.Uint32())
}
