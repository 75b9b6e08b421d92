// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"context"
	"errors"
	"os"
	"syscall"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"wgtools/internal/device"
)

// kernel reaches the devices of the kernel over generic netlink
// (linux/wireguard.h). Every operation has a socket of its own, opened in the
// network namespace of the calling thread.
type kernel struct{}

// receiveBuffer holds any message of a dump: the kernel fills at most 32 KiB.
const receiveBuffer = 64 << 10

// dial opens a socket to the WireGuard family.
func (kernel) dial() (*netlink.Conn, uint16, error) {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{MessageBufferSize: receiveBuffer})
	if err != nil {
		return nil, 0, err
	}
	family, err := genetlink.NewConn(c).GetFamily(familyName)
	if err != nil {
		c.Close()
		if errors.Is(err, os.ErrNotExist) {
			err = syscall.EPROTONOSUPPORT // the kernel has no WireGuard
		}
		return nil, 0, err
	}
	return c, family.ID, nil
}

// List returns the names of the links whose kind is WireGuard. No device is read.
func (kernel) List(context.Context) ([]string, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: receiveBuffer})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	const tries = 10 // of a dump that is interrupted by links that come and go
	var names []string
	for range tries {
		request := netlink.Message{
			Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request | netlink.Acknowledge | netlink.Dump},
			Data:   make([]byte, unix.SizeofIfInfomsg),
		}
		if _, err := c.Send(request); err != nil {
			return nil, err
		}
		names = names[:0]
		interrupted := false
		for m, err := range c.ReceiveIter() {
			if err != nil {
				return nil, err
			}
			interrupted = interrupted || m.Header.Flags&netlink.DumpInterrupted != 0
			if name, ok := wireguardLink(m.Data); ok {
				names = append(names, name)
			}
		}
		if !interrupted {
			break
		}
	}
	return names, nil
}

// wireguardLink returns the name of the link that an RTM_NEWLINK message is
// about, if its kind is WireGuard.
func wireguardLink(message []byte) (name string, ok bool) {
	if len(message) < unix.SizeofIfInfomsg {
		return "", false
	}
	for a := range attributes(message[unix.SizeofIfInfomsg:]) {
		switch a.kind {
		case unix.IFLA_IFNAME:
			name = a.text()
		case unix.IFLA_LINKINFO:
			for info := range attributes(a.data) {
				ok = ok || info.kind == unix.IFLA_INFO_KIND && info.text() == familyName
			}
		}
	}
	return name, ok
}

// Read implements [Client].
func (k kernel) Read(_ context.Context, name string, sink Sink) error {
	if len(name) > nameLen {
		return syscall.ENAMETOOLONG
	}
	c, family, err := k.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	t := teller{sink: sink}
	for {
		whole, err := dump(c, family, name, &t)
		if err != nil {
			return err
		}
		if whole {
			return t.finish()
		}
		t.restart()
	}
}

// dump asks for the device once and tells what it hears. It reports whether
// the device stayed the same meanwhile. A dump is read to its end in any case,
// else its rest would be taken for the answer to the next request.
func dump(c *netlink.Conn, family uint16, name string, t *teller) (whole bool, err error) {
	request := netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(family), Flags: netlink.Request | netlink.Acknowledge | netlink.Dump},
		Data:   appendGet(nil, name),
	}
	if _, err := c.Send(request); err != nil {
		return false, err
	}
	whole = true
	for m, receiveErr := range c.ReceiveIter() {
		if receiveErr != nil {
			return false, receiveErr
		}
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			whole = false
		}
		if whole && err == nil {
			err = decode(m.Data, t)
		}
	}
	return whole, err
}

// Configure implements [Client].
func (k kernel) Configure(_ context.Context, name string, change *device.Change) error {
	if len(name) > nameLen {
		return syscall.ENAMETOOLONG
	}
	c, family, err := k.dial()
	if err != nil {
		return err
	}
	defer c.Close()
	e := newEncoder(name, change, messageLimit())
	for e.next() {
		request := netlink.Message{
			Header: netlink.Header{Type: netlink.HeaderType(family), Flags: netlink.Request | netlink.Acknowledge},
			Data:   e.data,
		}
		if _, err := c.Execute(request); err != nil {
			return err
		}
	}
	return nil
}

// messageLimit is the size that no message exceeds, in bytes, as the
// original's buffer has it.
func messageLimit() int { return min(os.Getpagesize(), 8192) }
