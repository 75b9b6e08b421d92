// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package routing

// Overhead is what WireGuard adds to a packet at most, in bytes: the outer
// IPv6 header (40), UDP (8), and a transport message's header and tag (32).
const Overhead = 80

// ethernet is the MTU of a path that isn't known.
const ethernet = 1500

// LinkMTU returns the MTU, in bytes, of a WireGuard link whose packets take
// paths of the given MTUs to the peers; the smallest counts. 0 is a path that
// isn't known. Without any, fallback counts, the MTU of the default route, and
// without that Ethernet's.
//
// The result isn't clamped, as in wg-quick(8): below 1280 the link can't carry
// IPv6.
func LinkMTU(paths []int, fallback int) int {
	smallest := 0
	for _, mtu := range paths {
		if mtu != 0 && (smallest == 0 || mtu < smallest) {
			smallest = mtu
		}
	}
	if smallest == 0 {
		smallest = fallback
	}
	if smallest == 0 {
		smallest = ethernet
	}
	return smallest - Overhead
}
