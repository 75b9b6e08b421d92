// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix && !linux && !openbsd

package netlinkwg

import (
	"context"
	"syscall"

	"wgtools/internal/device"
)

func newKernel() Client { return none{} }

// none is a kernel without devices that we can reach.
type none struct{}

func (none) List(context.Context) ([]string, error)                  { return nil, nil }
func (none) Read(context.Context, string, Sink) error                { return syscall.ENODEV }
func (none) Configure(context.Context, string, *device.Change) error { return syscall.ENODEV }
