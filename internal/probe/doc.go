// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package probe asks the network itself: which sizes of packets come through a
// tunnel and back, and whether what is sent to an address is refused. It sends
// few small packets, for a bounded time, and changes nothing.
package probe
