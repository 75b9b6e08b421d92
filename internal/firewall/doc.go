// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package firewall keeps the packet filter's rules of full tunnels: those that
// drop what is sent to the tunnel's addresses from elsewhere, and those that
// give answers the mark of the tunnel's own packets back. Apart from that it is
// the gate ([plan.Gate]): kill switches, one table for all of them, and
// masquerades, by nf_tables only.
//
// The rules go into nf_tables, over netlink, as the table "wg-quick-wg0" for the
// link wg0. Where the kernel has no nf_tables, or not enough of it, they go
// through iptables into its tables raw and mangle, with a comment that names
// the link. Both are the rules of the original wg-quick to the byte, so that
// either can remove what the other made. Which rules are needed, others
// decide; the package owns how they look.
package firewall
