// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"context"

	"wgtools/internal/device"
)

// client is both ways to a device, of which the userspace one comes first.
type client struct {
	user   *userspace
	kernel kernel
}

// New returns the [Client] for this system: on Linux the sockets of userspace
// devices and the kernel's generic netlink.
func New() Client { return &client{user: newUserspace()} }

func (c *client) List(ctx context.Context) ([]string, error) {
	names, err := c.kernel.List(ctx)
	if err != nil {
		return nil, err
	}
	more, err := c.user.List(ctx)
	if err != nil {
		return nil, err
	}
	return append(names, more...), nil
}

func (c *client) Read(ctx context.Context, name string, sink Sink) error {
	if path := c.user.find(name); path != "" {
		return c.user.read(ctx, path, name, sink)
	}
	return c.kernel.Read(ctx, name, sink)
}

func (c *client) Configure(ctx context.Context, name string, change *device.Change) error {
	if path := c.user.find(name); path != "" {
		return c.user.configure(ctx, path, change)
	}
	return c.kernel.Configure(ctx, name, change)
}
