// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"strings"
	"testing"
)

// TestQuickDoctor asks doctor and route about a tunnel of the kernel's device
// that is well, and about one that isn't.
func TestQuickDoctor(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		near, far, paths := pair(t, "", "", ", 10.50.0.0/16", "")
		far.up(paths[1])
		near.up(paths[0])
		before := near.state()
		release := strings.TrimSpace(near.do("uname", "-r"))
		version, _, _ := strings.Cut(release, "-")
		got := near.quick(ourQuick(), "doctor", paths[0], "--probe", "10.9.0.2")
		if got.exit != 0 {
			t.Errorf("doctor: exit %d, %s", got.exit, got.stderr)
		}
		said(t, "doctor", got.stdout, "[ok] module: the kernel "+version, "[ok] tun: not needed: the kernel has WireGuard\n", "[ok] wg0 handshake: peers that answered: 1;",
			"[ok] wg0 allowed-ips: ", "[ok] wg0 mtu: packets of 1420 bytes come through, to 10.9.0.2 and back\n")
		near.sameState("doctor", before)

		for to, want := range map[string]struct {
			exit int
			says string
		}{
			"10.50.0.1":  {0, "result:   through wg0 to "},
			"10.9.0.77":  {1, "result:   it is dropped (ENOKEY): no peer of wg0 has 10.9.0.77 in its allowed IPs\n"},
			"198.18.1.2": {1, "result:   not through wg0 but cable1: "},
		} {
			got := near.quick(ourQuick(), "route", paths[0], to)
			if got.exit != want.exit {
				t.Errorf("route to %s: exit %d, want %d, %s", to, got.exit, want.exit, got.stderr)
			}
			said(t, "route to "+to, got.stdout, want.says)
		}

		// From an address that isn't allowed to it.
		far.do("ip", "address", "add", "10.99.0.1/32", "dev", "wg0")
		await(t, "a packet is refused", func() bool {
			far.try("ping", "-n", "-c", "1", "-W", "1", "-I", "10.99.0.1", "10.9.0.1")
			return strings.TrimSpace(near.do("cat", "/sys/class/net/wg0/statistics/rx_errors")) != "0"
		})
		got = near.quick(ourQuick(), "doctor", paths[0], "--probe", "10.9.0.2")
		said(t, "doctor", got.stdout, "[!]  wg0 source-refused: ")

		near.do("ip", "link", "set", "wg0", "down")
		got = near.quick(ourQuick(), "doctor", "wg0")
		if got.exit != 1 {
			t.Errorf("doctor of a link that is down: exit %d", got.exit)
		}
		said(t, "doctor", got.stdout, "[!!] wg0 link-down: ")
		near.down(paths[0])
		far.down(paths[1])
	})
}
