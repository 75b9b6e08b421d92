// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix

package netlinkwg

import (
	"context"

	"wgtools/internal/device"
)

// New returns the [Client] for this system: the sockets of userspace devices,
// and behind them the kernel's devices. These are reached on Linux over
// generic netlink and on OpenBSD through wgctrl, which can't configure them
// there. FreeBSD's and NetBSD's kernels have WireGuard too, but reaching it
// takes C; macOS has none.
func New() Client { return &client{user: newUserspace(), kernel: newKernel()} }

// A client is both ways to a device, of which the userspace one comes first.
type client struct {
	user   *userspace
	kernel Client
}

func (c *client) List(ctx context.Context) ([]string, error) {
	// A directory that can't be read fails the whole list, the kernel's devices too.
	user, err := c.user.list()
	if err != nil {
		return nil, err
	}
	names, err := c.kernel.List(ctx)
	if err != nil {
		return nil, err
	}
	return append(names, user...), nil
}

func (c *client) Read(ctx context.Context, name string, sink Sink) error {
	if path := c.user.find(name); path != "" {
		return c.user.read(ctx, path, name, sink)
	}
	return c.kernel.Read(ctx, name, sink)
}

func (c *client) Configure(ctx context.Context, name string, change *device.Change) error {
	name = cutName(name)
	if path := c.user.find(name); path != "" {
		return c.user.configure(ctx, path, change)
	}
	return c.kernel.Configure(ctx, name, change)
}

// nameLen is how long the name of a link can be, in bytes (IFNAMSIZ less the
// final NUL).
const nameLen = 15

// cutName shortens a name to what a link can have, as the original does
// without a word.
func cutName(name string) string { return name[:min(len(name), nameLen)] }
