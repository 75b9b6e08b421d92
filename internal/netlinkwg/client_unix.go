// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix && !linux && !openbsd

package netlinkwg

// New returns the [Client] for this system: the sockets of userspace devices.
// FreeBSD's kernel has WireGuard too, but reaching it takes C.
func New() Client { return userspaceClient{newUserspace()} }
