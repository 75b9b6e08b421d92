// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package netlinkwg talks to WireGuard devices, those of the kernel over
// generic netlink and those of userspace programs over their sockets: it lists
// them, reads them and configures them. It owns nothing else of the network:
// links, addresses, routes and rules are package rtnl's.
package netlinkwg

import (
	"context"
	"errors"
	"syscall"

	"wgtools/internal/device"
)

// A Client reaches the WireGuard devices of this machine and network namespace.
//
// Errors wrap the errno that the kernel or the device answered
// ([syscall.Errno]): ENODEV for no such link, EOPNOTSUPP for a link that is
// not WireGuard's, EPROTONOSUPPORT where the kernel has no WireGuard, EPERM
// without CAP_NET_ADMIN, EPROTO for an answer that is not understood.
type Client interface {
	// List returns the names of all devices: the kernel's in its order, then
	// the userspace ones in the order of the directory. A name may be there twice.
	List(ctx context.Context) ([]string, error)

	// Read tells sink the device as it is, peer by peer as they arrive, so
	// that a device of a million peers is never in memory as a whole.
	// A userspace device wins over a kernel device of the same name.
	Read(ctx context.Context, name string, sink Sink) error

	// Configure makes one request. The kernel takes a large one in parts:
	// after an error the earlier parts stay applied.
	Configure(ctx context.Context, name string, c *device.Change) error
}

// A Sink receives a device while it is read. An error that it returns ends
// the reading and comes back from Read as it is.
type Sink interface {
	// Device is called once, before all peers.
	Device(d *device.Device) error

	// Peer is called for each peer, in the device's order. p and what it
	// points to are only lent for the time of the call.
	Peer(p *device.Peer) error

	// Restart is called when the device changed while it was read and must be
	// read again from its start. The sink forgets all that it was told and
	// returns true; or it can't, for that is printed already, and returns
	// false: then the reading goes on after the last peer it was told.
	Restart() bool
}

// ReadAll reads the device name and all its peers into memory.
func ReadAll(ctx context.Context, c Client, name string) (*device.Device, []device.Peer, error) {
	var s collector
	if err := c.Read(ctx, name, &s); err != nil {
		return nil, nil, err
	}
	return &s.device, s.peers, nil
}

type collector struct {
	device device.Device
	peers  []device.Peer
}

func (c *collector) Device(d *device.Device) error { c.device = *d; return nil }

func (c *collector) Peer(p *device.Peer) error {
	q := *p
	q.AllowedIPs = append(q.AllowedIPs[:0:0], p.AllowedIPs...)
	c.peers = append(c.peers, q)
	return nil
}

func (c *collector) Restart() bool { *c = collector{}; return true }

// A RemoveError is the refusal of a request that takes single allowed IPs from
// peers. Devices know that since 2025: Linux 6.16 and later, and few programs.
type RemoveError struct{ err error }

// Error has the device's words.
func (e *RemoveError) Error() string { return e.err.Error() }

// Unwrap returns what the device answered, EINVAL.
func (e *RemoveError) Unwrap() error { return e.err }

// Advice says what to do about it.
func (e *RemoveError) Advice() []string {
	return []string{"hint: this device may not know how to take single allowed IPs from a peer; give the list of those that stay, without + and -"}
}

// explainRefusal returns err, the answer to a request, as what it most likely
// is if the request removes single allowed IPs.
func explainRefusal(err error, removes bool) error {
	if removes && errors.Is(err, syscall.EINVAL) {
		return &RemoveError{err}
	}
	return err
}
