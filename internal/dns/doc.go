// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package dns puts the name servers and search domains of tunnels into the
// host's resolver settings, and takes them out again.
//
// Where a host has these differs. It asks resolvconf(8) where that is
// installed, as the original wg-quick does; else systemd-resolved over D-Bus,
// if /etc/resolv.conf leads there; else it edits that file in its place. Each
// way knows by the link's name alone what is to be taken back, so that it can
// be done after a crash, and whatever others changed meanwhile.
package dns
