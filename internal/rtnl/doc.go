// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package rtnl changes and reads the kernel's links, addresses and routes over
// rtnetlink. It carries out what package plan describes and decides nothing.
// WireGuard's own settings are package netlinkwg's.
package rtnl
