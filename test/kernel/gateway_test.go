// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import "testing"

// TestQuickMasquerade reaches a network behind a gateway that knows no way back
// to the tunnel's.
func TestQuickMasquerade(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		far, gate, behind := newSite(t, "far"), newSite(t, "gate"), newSite(t, "behind")
		cable(far, gate, 1)
		cable(gate, behind, 2)
		forwarding := func() string {
			return gate.do("cat", "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv6/conf/all/forwarding")
		}
		farPath := far.conf("wg0", "Address = 10.9.0.1/24, fd09::1/64", peer("gate", "Endpoint = 198.18.1.2:51820\nAllowedIPs = 10.9.0.0/24, fd09::/64, 198.18.2.0/24, fd18:2::/64"))
		gatePath := gate.conf("wg0", "Address = 10.9.0.2/24, fd09::2/64\nListenPort = 51820\nMasquerade = auto", peer("far", "AllowedIPs = 10.9.0.1/32, fd09::1/128"))
		far.up(farPath)
		before, off := gate.state(), forwarding()
		if off != "0\n0\n" {
			t.Fatalf("forwarding is %q", off)
		}
		gate.up(gatePath)
		far.ping("198.18.2.2")
		far.ping("fd18:2::2")
		gate.has("nft list ruleset", "table inet wg-masquerade-wg0 {")
		if got := forwarding(); got != "1\n1\n" {
			t.Errorf("forwarding is %q", got)
		}
		edit(t, gatePath, "Masquerade = auto", "Forward = true")
		gate.must(ourQuick(), "reload", gatePath)
		if got := far.try("ping", "-c", "1", "-W", "1", "198.18.2.2"); got.exit == 0 {
			t.Error("without Masquerade there is a way back")
		}
		behind.do("ip", "route", "add", "10.9.0.0/24", "via", "198.18.2.1")
		far.ping("198.18.2.2")
		gate.down(gatePath)
		gate.sameState("down", before)
		if got := forwarding(); got != off {
			t.Errorf("after down, forwarding is %q", got)
		}
		far.down(farPath)
	})
}

// TestQuickMixed brings full tunnels up with one program and down with the other,
// whose rules, routes and packet filter are the same.
func TestQuickMixed(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		client, exit := abroad(t)
		path := full(client, exit, 0, "198.51.100.1", "")
		network := func() string {
			return client.do("bash", "-c", "ip -4 -d rule show; ip -6 -d rule show; ip -4 route show table all; ip -6 route show table all; nft list ruleset; ip -o link show | cut -d' ' -f2")
		}
		before := network()
		programs := map[string]string{"ours": ourQuick(), "Debian's": *debianQuick}
		for up := range programs {
			for down := range programs {
				client.must(programs[up], "up", path)
				client.ping(world4)
				client.ping(world6)
				for _, family := range []string{"-4", "-6"} { // networkd deletes others
					if up == "ours" {
						client.has("ip "+family+" -d rule show", "suppress_prefixlength 0 proto kernel", "lookup 51820 proto kernel")
					}
				}
				client.must(programs[down], "down", path)
				same(t, "up by "+up+", down by "+down, network(), before)
			}
		}
	})
}
