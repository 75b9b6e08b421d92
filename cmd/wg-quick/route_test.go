// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// route says what the kernel really does: a packet that it says arrives is
// answered, and one that doesn't isn't.
func TestRoute(t *testing.T) {
	inClinic(t, func(c *clinic) {
		c.files("", "AllowedIPs = 10.7.0.1/32, 10.50.0.0/16\nEndpoint = 203.0.113.7:40124", "")
		c.up()
		c.sh("ip -n far address add 10.50.0.1/32 dev far0; ip link set mtu 1300 dev uplink; ip route add unreachable 10.60.0.0/16; ip route add 10.61.0.0/16 dev wg0")
		key := c.far.Public().Base64()
		before := c.state()
		const mainRule = "32766: from all lookup main"
		for _, tt := range []struct {
			to, want string
			status   int
		}{
			{"10.50.0.1", "rule:     " + mainRule + `
table:    main
route:    10.50.0.0/16
device:   wg0 from 10.7.0.2
peer:     laptop (@), by its allowed IPs 10.50.0.0/16
endpoint: 203.0.113.7:40124
uplink:   uplink via 192.0.2.1 from 192.0.2.2: the route 0.0.0.0/0 of the table main, by the rule "` + mainRule + `"
MTU:      1240 bytes: the uplink's 1300 less WireGuard's 60; larger packets, up to the link's 1420, go in fragments
result:   through wg0 to laptop (@)
`, 0},
			{"10.7.0.9", "rule:     " + mainRule + `
table:    main
route:    10.7.0.0/24
device:   wg0 from 10.7.0.2
MTU:      1420 bytes
result:   it is dropped (ENOKEY): no peer of wg0 has 10.7.0.9 in its allowed IPs
`, 1},
			{"198.51.100.1", "rule:     " + mainRule + `
table:    main
route:    default
device:   uplink via 192.0.2.1 from 192.0.2.2
MTU:      1300 bytes
result:   not through wg0 but uplink: the route 0.0.0.0/0 of the table main, by the rule "` + mainRule + `"
`, 1},
			{"10.7.0.2", `rule:     0: from all lookup local
table:    local
route:    local 10.7.0.2/32
device:   lo from 10.7.0.2
MTU:      65536 bytes
result:   not through wg0: 10.7.0.2 is an address of this host
`, 1},
			{"10.60.0.1", "rule:     " + mainRule + `
table:    main
route:    unreachable 10.60.0.0/16
result:   it goes nowhere: it is unreachable: the route 10.60.0.0/16 of the table main, by the rule "` + mainRule + `" (no route to host)
`, 1},
			{"10.61.0.1", "rule:     " + mainRule + `
table:    main
route:    10.61.0.0/16
device:   wg0 from 10.7.0.2
MTU:      1420 bytes
result:   it is dropped (ENOKEY): no peer of wg0 has 10.61.0.1 in its allowed IPs
`, 1},
			{"nobody", "wg-quick: `nobody' is not an IP address\nhint: one is such as 10.0.0.1 or fd00::1; `getent ahosts NAME' looks a name up\n", 2},
		} {
			out, status := c.doctor("route", c.nearPath, tt.to)
			if want := strings.ReplaceAll(tt.want, "@", key); out != want || status != tt.status {
				t.Errorf("%s: exit status %d, want %d:\n%swant:\n%s", tt.to, status, tt.status, out, want)
			}
		}
		if out, status := c.doctor("route", "wg7", "10.7.0.1"); status != 2 || !strings.HasPrefix(out, "wg-quick: `wg7' is not a WireGuard interface\n") {
			t.Errorf("no such tunnel: %d, %s", status, out)
		}
		// By the name alone, the file that it was brought up with has the peer's name.
		out, status := c.doctor("route", "wg0", "10.50.0.1", "--json")
		var doc struct {
			Arrives  bool   `json:"arrives"`
			PeerName string `json:"peer_name"`
			MTU      int    `json:"mtu"`
		}
		if err := json.Unmarshal([]byte(out), &doc); err != nil || status != 0 || !doc.Arrives || doc.PeerName != "laptop" || doc.MTU != 1240 {
			t.Errorf("--json: %d, %v, %+v, %s", status, err, doc, out)
		}
		asDocumented(t, out, map[string]string{"": "route: the document", "way": "route: a way", "uplink": "route: a way"})
		if d := changed(before, c.state()); d != nil {
			t.Errorf("it changed something: %q", d)
		}
		c.sh("ping -qc 1 -W 30 10.50.0.1")
		c.sh("! ping -qc 1 -W 1 10.61.0.1")
	})
}

// A full tunnel's own packets, which have its mark, don't go the way of others.
func TestRouteOfFullTunnel(t *testing.T) {
	inClinic(t, func(c *clinic) {
		c.files("", "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:40124", "")
		c.up()
		out, status := c.doctor("route", "wg0", "198.51.100.1")
		for _, want := range []string{
			"rule:     32765: not from all fwmark 0xca6c lookup 51820\ntable:    51820\nroute:    default\ndevice:   wg0 ",
			"uplink:   uplink via 192.0.2.1 from 192.0.2.2 with mark 0xca6c: the route 0.0.0.0/0 of the table main, by the rule \"32766: from all lookup main\"\n",
		} {
			if !strings.Contains(out, want) || status != 0 {
				t.Errorf("exit status %d, and no %q in\n%s", status, want, out)
			}
		}
		// Without the mark they would go into the tunnel, and be dropped.
		c.sh("wg set wg0 fwmark 0")
		if out, status := c.doctor("route", "wg0", "198.51.100.1"); status != 1 || !strings.Contains(out, "result:   it is dropped (ELOOP): ") {
			t.Errorf("exit status %d:\n%s", status, out)
		}
	})
}

// A tunnel in a namespace of its own has its uplink outside.
func TestDoctorInNamespace(t *testing.T) {
	inClinic(t, func(c *clinic) {
		c.ip("netns add app")
		c.sh("ip netns exec far wg-quick up ./far0.conf; wg-quick --netns app up ./wg0.conf")
		defer exec.Command("ip", "-n", "app", "link", "delete", "wg0").Run()
		got := c.wgQuick("--netns", "app", "route", "wg0", "10.50.0.1")
		if want := "uplink:   uplink from 192.0.2.2: the route 192.0.2.0/24 of the table main"; got.status != 0 || !strings.Contains(got.out, want) {
			t.Errorf("route: %+v, want %q", got, want)
		}
		got = c.wgQuick("--netns", "app", "doctor", "wg0")
		if want := "[ok] wg0 mtu: packets of 1420 bytes come through"; got.status != 0 || !strings.Contains(got.out, want) || len(codes(got.out)) > 0 {
			t.Errorf("doctor: %+v, want %q", got, want)
		}
		// What the network outside says against an endpoint is heard.
		c.sh("wg-quick --netns app down ./wg0.conf; ip -n far link delete far0")
		if got = c.wgQuick("--netns", "app", "doctor", c.nearPath); got.status != 1 || strings.Join(codes(got.out), " ") != "!!endpoint-refused" {
			t.Errorf("doctor: %+v, want endpoint-refused", got)
		}
	})
}
