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

func newKernel() Client { return kernel{} }

// kernel reaches the devices of the kernel over generic netlink
// (linux/wireguard.h). Every operation has a socket of its own, opened in the
// network namespace of the calling thread.
type kernel struct{}

// receiveBuffer holds any message of a dump, in bytes: the kernel fills at
// most 32 KiB.
const receiveBuffer = 64 << 10

// A family is a socket and the number under which the kernel knows WireGuard.
type family struct {
	*netlink.Conn
	id netlink.HeaderType
}

func dialFamily() (*family, error) {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, &netlink.Config{MessageBufferSize: receiveBuffer})
	if err != nil {
		return nil, err
	}
	f, err := genetlink.NewConn(c).GetFamily(familyName)
	if err != nil {
		c.Close()
		if errors.Is(err, os.ErrNotExist) {
			err = syscall.EPROTONOSUPPORT // the kernel has no WireGuard
		}
		return nil, err
	}
	return &family{c, netlink.HeaderType(f.ID)}, nil
}

// KernelHasWireGuard reports whether the kernel has WireGuard, or a module for
// it that it can load.
func KernelHasWireGuard() bool {
	f, err := dialFamily()
	if err != nil {
		return !errors.Is(err, syscall.EPROTONOSUPPORT)
	}
	f.Close()
	return true
}

// Read implements [Client].
func (kernel) Read(ctx context.Context, name string, sink Sink) error {
	if len(name) > nameLen {
		return syscall.ENAMETOOLONG
	}
	f, err := dialFamily()
	if err != nil {
		return err
	}
	defer f.Close()
	t := teller{sink: sink}
	return t.read(func(each func([]byte) error) (bool, error) {
		return dump(ctx, f.Conn, f.id, f.id, appendGet(nil, name), each)
	})
}

// dump makes a request of the type ask and calls each with the messages of
// the type answer that come, one by one. It reports whether what is dumped
// changed meanwhile; each doesn't see what comes after that.
//
// c is of no use any more after an error.
func dump(ctx context.Context, c *netlink.Conn, ask, answer netlink.HeaderType, data []byte, each func([]byte) error) (interrupted bool, err error) {
	request, err := c.Send(netlink.Message{
		Header: netlink.Header{Type: ask, Flags: netlink.Request | netlink.Acknowledge | netlink.Dump},
		Data:   data,
	})
	if err != nil {
		return false, err
	}
	for m, err := range c.ReceiveIter() {
		if err != nil {
			return false, err
		}
		if m.Header.Type != answer || m.Header.Sequence != request.Header.Sequence {
			continue
		}
		// The rest is read even so, lest it be taken for the next answer.
		if interrupted = interrupted || m.Header.Flags&netlink.DumpInterrupted != 0; interrupted {
			continue
		}
		if err = context.Cause(ctx); err == nil {
			err = each(m.Data)
		}
		if err != nil {
			c.Close() // or the rest would be waited for
			return false, err
		}
	}
	return interrupted, nil
}

// Configure implements [Client].
func (kernel) Configure(ctx context.Context, name string, change *device.Change) error {
	f, err := dialFamily()
	if err != nil {
		return err
	}
	defer f.Close()
	e := newEncoder(name, change, messageLimit())
	for e.next() {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		_, err := f.Execute(netlink.Message{
			Header: netlink.Header{Type: f.id, Flags: netlink.Request | netlink.Acknowledge},
			Data:   e.data,
		})
		if err != nil {
			return explainRefusal(err, e.removes)
		}
	}
	return nil
}

// messageLimit is the size that no message exceeds, in bytes, as the
// original's buffer has it.
func messageLimit() int { return min(os.Getpagesize(), 8192) }

// List returns the names of the links whose kind is WireGuard. No device is
// read. A list that links come to or go from while it is read is read again; in
// the end it is taken as it is, as the original does at once.
func (kernel) List(ctx context.Context) ([]string, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: receiveBuffer})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	const tries = 10
	var names []string
	for range tries {
		names = names[:0]
		interrupted, err := dump(ctx, c, unix.RTM_GETLINK, unix.RTM_NEWLINK, appendLinks(nil), func(message []byte) error {
			name, ok := wireguardLink(message)
			if ok {
				names = append(names, name)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !interrupted {
			break
		}
	}
	return names, nil
}
