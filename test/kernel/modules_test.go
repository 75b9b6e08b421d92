// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// without takes modules out of the kernel, those that need others first, until
// it is put back; none is loaded meanwhile, but by name. Only in the emulated
// machine: elsewhere the test is skipped.
func without(t *testing.T, modules ...string) (putBack func()) {
	t.Helper()
	if os.Getenv("KERNEL_LAB") == "" {
		t.Skip("modules are only taken out of a kernel in the emulated machine")
	}
	const loader = "/proc/sys/kernel/modprobe"
	old, err := os.ReadFile(loader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(program string) {
		if err := os.WriteFile(loader, []byte(program), 0); err != nil {
			t.Fatal(err)
		}
	}
	back := false
	putBack = func() {
		if !back {
			back = true
			set(string(old))
			do(t, "modprobe", append([]string{"-a"}, modules...)...)
		}
	}
	t.Cleanup(putBack)
	set("/bin/false\n")
	// What other tests had loaded may need one of them, too.
	var remove func(m string)
	remove = func(m string) {
		await(t, "no module "+m, func() bool { // namespaces of earlier tests end by and by
			needs, err := os.ReadDir("/sys/module/" + m + "/holders")
			for _, other := range needs {
				remove(other.Name())
			}
			if err == nil {
				_, err = os.Stat("/sys/module/" + m)
			}
			return err != nil || try(t, "", "rmmod", m).exit == 0
		})
	}
	for _, m := range modules {
		remove(m)
	}
	return putBack
}

// TestQuickIPTables is on a kernel without nf_tables: the rules of a full
// tunnel go into the tables of iptables, and do there what they are for.
func TestQuickIPTables(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		if try(t, "", "modprobe", "-a", "iptable_raw", "iptable_mangle", "ip6table_raw", "ip6table_mangle").exit != 0 {
			t.Skip("this kernel has none of iptables' own tables")
		}
		client, exit := abroad(t)
		without(t, "nft_compat", "nft_chain_nat", "nft_fib_inet", "nft_fib_ipv4", "nft_fib_ipv6", "nft_fib", "nft_ct", "nf_tables")
		if r := client.try("nft", "list", "ruleset"); r.exit == 0 {
			t.Fatalf("there is nf_tables:\n%s", r.stdout)
		}
		before := client.state()
		path := full(client, exit, 0, "198.51.100.1", "")
		said := client.up(path)
		for _, want := range []string{"[#] iptables-restore -n\n", "[#] ip6tables-restore -n\n"} {
			if !strings.Contains(said, want) {
				t.Errorf("up says\n%s\nwant %q", said, want)
			}
		}
		client.ping(world4) // whose packets come back only by their mark
		client.ping(world6)
		const comment = `-m comment --comment "wg-quick(8) rule for wg0"`
		client.has("iptables-legacy-save", "-A PREROUTING -d 10.10.0.1/32 ! -i wg0 -m addrtype ! --src-type LOCAL "+comment+" -j DROP\n",
			"-A PREROUTING -p udp "+comment+" -j CONNMARK --restore-mark", "-A POSTROUTING -p udp -m mark --mark 0xca6c "+comment+" -j CONNMARK --save-mark")
		client.has("ip6tables-legacy-save", "-A PREROUTING -d fd10::1/128 ! -i wg0 -m addrtype ! --src-type LOCAL "+comment+" -j DROP\n")
		client.down(path)
		client.sameState("down", before)

		if got := client.quick(ourQuick(), "up", full(client, exit, 0, "198.51.100.1", "PostUp = exit 7")); got.exit != 7 {
			t.Errorf("up with a hook that fails: exit %d, want the hook's 7:\n%s", got.exit, got.stderr)
		}
		client.sameState("rolled back", before)
	})
}

// TestThreeDevices joins three kinds of devices, each with each: the one that
// is built in, the original's in Go, the kernel's. Both programs see the same
// on all of them, and ours takes down what the original brought up.
func TestThreeDevices(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		sites := []site{newSite(t, "builtin"), newSite(t, "go"), newSite(t, "kernel")}
		for i := range sites {
			cable(sites[i], sites[(i+1)%3], i)
		}
		// From each to each over a cable, one of them over IPv6.
		outer := [3][3]string{
			{1: "[fd18:0::2]", 2: "198.18.2.1"},
			{0: "[fd18:0::1]", 2: "198.18.1.2"},
			{0: "198.18.2.2", 1: "198.18.1.1"},
		}
		var before, paths [3]string
		for i, s := range sites {
			before[i] = s.state()
			var peers []string
			for j, other := range sites {
				if i != j {
					peers = append(peers, peer(other.name, fmt.Sprintf("PresharedKey = %s\nEndpoint = %s:5182%d\nAllowedIPs = 10.9.0.%[3]d/32, fd09::%[3]d/128",
						private("psk"), outer[i][j], j+1)))
				}
			}
			paths[i] = s.conf("wg"+s.name, fmt.Sprintf("Address = 10.9.0.%d/24, fd09::%[1]d/64\nListenPort = 5182%[1]d", i+1), peers...)
		}
		putBack := without(t, "wireguard")
		sites[0].up(paths[0])
		sites[1].must(*debianQuick, "up", paths[1])
		putBack()
		sites[2].must(*debianQuick, "up", paths[2])
		for i, kind := range []string{"\n    tun ", "\n    tun ", "\n    wireguard "} {
			sites[i].has("ip -d link show wg"+sites[i].name, kind)
		}
		for i, s := range sites {
			for j := range sites {
				if i != j {
					s.ping(fmt.Sprintf("10.9.0.%d", j+1))
					s.ping(fmt.Sprintf("fd09::%d", j+1))
				}
			}
		}
		for _, s := range sites {
			dev := "wg" + s.name
			if strings.Contains(s.wg("show", dev, "latest-handshakes"), "\t0\n") {
				t.Errorf("%s: a peer without a handshake", s.name)
			}
			for _, args := range [][]string{{"show", dev}, {"showconf", dev}, {"show", dev, "dump"}} {
				var ours, debians string
				for range 10 { // a second, or a packet, may pass in between
					if ours, debians = s.wg(args...), s.do(*debianWG, args...); ours == debians {
						break
					}
				}
				same(t, s.name+": wg "+strings.Join(args, " "), ours, debians)
			}
		}
		for i, s := range sites {
			s.down(paths[i])
		}
		for i, s := range sites {
			s.sameState("all down", before[i])
		}
	})
}
