// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package userspace is the WireGuard device for kernels that have none: a
// process of its own that owns a TUN link and answers on the usual socket,
// /var/run/wireguard/IF.sock, as any userspace device does.
//
// The process is this same program, started anew under the name [ProcessName]:
// a main function that calls [Start] must first ask [IsDevice] and, if so, run
// [Main]. What can fail is done before the new process is on its own, so that
// errors reach who asked for the device.
package userspace
