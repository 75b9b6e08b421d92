// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix && !linux

package netlinkwg

import (
	"context"
	"syscall"

	"wgtools/internal/device"
)

// A userspaceClient is a [Client] where the sockets are the only way.
type userspaceClient struct{ *userspace }

func (c userspaceClient) Read(ctx context.Context, name string, sink Sink) error {
	path := c.find(name)
	if path == "" {
		return syscall.ENODEV
	}
	return c.read(ctx, path, name, sink)
}

func (c userspaceClient) Configure(ctx context.Context, name string, change *device.Change) error {
	path := c.find(name)
	if path == "" {
		return syscall.ENODEV
	}
	return c.configure(ctx, path, change)
}
