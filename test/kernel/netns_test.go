// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"os"
	"strings"
	"testing"
)

// onlyInLab skips the test but in the emulated machine: it changes what is of
// the whole machine.
func onlyInLab(t *testing.T) {
	t.Helper()
	if os.Getenv("KERNEL_LAB") == "" {
		t.Skip("it changes /etc; only in the emulated machine")
	}
}

// TestQuickNetns has the link in another namespace than the one that its
// packets to peers go by, in which it is born.
func TestQuickNetns(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		onlyInLab(t)
		needIPv6(t)
		client, exit := abroad(t)
		app := newSite(t, "app")
		// All but the record that is kept of the tunnel.
		network := func() string {
			var b strings.Builder
			for line := range strings.Lines(client.state()) {
				if !strings.HasPrefix(line, "/run/") {
					b.WriteString(line)
				}
			}
			return b.String()
		}
		before, emptyApp, clientsNetwork := client.state(), app.state(), network()
		// exec goes by the name of the tunnel, and that of wg0 is the exit's.
		path := client.conf("own0", "Address = 10.10.0.1/24, fd10::1/64\nDNS = 10.10.0.2", peer("exit", "Endpoint = 198.51.100.1:51820\nAllowedIPs = 0.0.0.0/0, ::/0"))
		client.must(ourQuick(), "--netns", "app", "up", path)
		same(t, "the namespace that wg-quick was started in", network(), clientsNetwork)
		app.has("ip -d link show own0", "\n    wireguard ")
		app.ping(world4)
		app.ping(world6)
		app.has("ip route get "+world4, "dev own0 table 51820 src 10.10.0.1")
		exit.has(ourWG()+" show wg0 endpoints", "\t198.18.1.1:")
		if got := client.try("ping", "-c", "1", "-W", "1", world4); got.exit == 0 {
			t.Error("the namespace that wg-quick was started in reaches the world, too")
		}
		const program = "ping -n -c 1 -W 60 " + world4 + " >/dev/null && cat /etc/resolv.conf; ls /sys/class/net; exit 7"
		expect := func(what string, got result) {
			t.Helper()
			if got.exit != 7 || !strings.Contains(got.stdout, "nameserver 10.10.0.2\n") || !strings.Contains(got.stdout, "own0\n") || strings.Contains(got.stdout, "cable") {
				t.Errorf("%s: %+v", what, got)
			}
		}
		expect("exec", client.quick(ourQuick(), "exec", "own0", "--", "sh", "-c", program))
		if got := client.quick(ourQuick(), "--netns", "app", "status", path); got.exit != 0 {
			t.Errorf("status: %+v", got)
		}
		client.must(ourQuick(), "--netns", "app", "down", path)
		client.sameState("down", before)
		app.sameState("down", emptyApp)
		if _, err := os.Stat("/etc/netns/app"); err == nil {
			t.Error("/etc/netns/app is left")
		}
		expect("exec in a namespace of its own", client.quick(ourQuick(), "exec", path, "--", "sh", "-c", program))
		client.sameState("exec", before)

		// Of two with a name it can't be told which one is meant.
		path = client.conf("wg0", "Address = 10.77.0.1/24")
		client.must(ourQuick(), "--netns", "app", "up", path)
		if got := client.quick(ourQuick(), "exec", "wg0", "true"); got.exit != 1 || !strings.Contains(got.stderr, "`wg0' is in several network namespaces: app, exit\nhint: ") {
			t.Errorf("exec in one of two: %+v", got)
		}
		if got := client.quick(ourQuick(), "--netns", "app", "exec", "wg0", "--", "ls", "/sys/class/net"); got.exit != 0 || got.stdout != "lo\nwg0\n" {
			t.Errorf("exec in the one that is named: %+v", got)
		}
		client.must(ourQuick(), "--netns", "app", "down", path)
	})
}
