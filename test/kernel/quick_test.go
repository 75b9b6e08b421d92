// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var debianQuick = flag.String("debian-quick", "/usr/bin/wg-quick", "the wg-quick of wireguard-tools, a `program`")

// ourQuick is the wg-quick to test.
func ourQuick() string { return filepath.Join(*bin, "wg-quick") }

// hasIPv6 reports whether the kernel has it at all.
func hasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6")
	return err == nil
}

// newSite makes a site.
func newSite(t *testing.T, name string) site {
	t.Helper()
	s := site{t, name}
	do(t, "ip", "netns", "add", name)
	s.do("ip", "link", "set", "up", "lo")
	if hasIPv6() { // addresses are there at once
		s.write("net/ipv6/conf/default/accept_dad", "0")
	}
	return s
}

// cable joins two sites by a link that is called the same on both: the first
// one's addresses are 198.18.N.1/24 and fd18:N::1/64, the other's end in 2.
func cable(a, b site, n int) {
	a.t.Helper()
	dev := fmt.Sprint("cable", n)
	do(a.t, "ip", "-n", a.name, "link", "add", dev, "type", "veth", "peer", "name", dev, "netns", b.name)
	for i, s := range []site{a, b} {
		s.do("ip", "address", "add", fmt.Sprintf("198.18.%d.%d/24", n, i+1), "dev", dev)
		if hasIPv6() {
			s.do("ip", "address", "add", fmt.Sprintf("fd18:%d::%d/64", n, i+1), "dev", dev)
		}
	}
	for _, s := range []site{a, b} {
		s.do("ip", "link", "set", "up", dev)
	}
	// The state of a link that was just made settles by itself.
	for _, s := range []site{a, b} {
		await(s.t, dev+" is up", func() bool {
			return strings.Contains(s.do("ip", "-o", "link", "show", dev), "state UP") &&
				(!hasIPv6() || strings.Contains(s.do("ip", "-6", "route", "show", "table", "local", "dev", dev), "local fe80:"))
		})
	}
}

// quick runs wg-quick at the site, with a resolvconf that keeps what it is
// told in /run/resolvconf.
func (s site) quick(program string, args ...string) result {
	s.t.Helper()
	const dir = "/run/stubs"
	stub := `#!/bin/sh
case $1 in
-a) mkdir -p /run/resolvconf && cat >"/run/resolvconf/$2" ;;
-d) rm -f "/run/resolvconf/$2" && { rmdir /run/resolvconf 2>/dev/null || true; } ;;
esac
`
	if err := os.MkdirAll(dir, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "resolvconf"), []byte(stub), 0o755); err != nil {
		s.t.Fatal(err)
	}
	return s.try("env", append([]string{"PATH=" + dir + ":" + os.Getenv("PATH"), program}, args...)...)
}

// up and down are ours, and must succeed.
func (s site) up(path string) string   { s.t.Helper(); return s.must(ourQuick(), "up", path) }
func (s site) down(path string) string { s.t.Helper(); return s.must(ourQuick(), "down", path) }

// must runs wg-quick, which must succeed, and returns what it says.
func (s site) must(program string, args ...string) string {
	s.t.Helper()
	r := s.quick(program, args...)
	if r.exit != 0 {
		s.t.Fatalf("%s: %s %s: exit %d\n%s%s", s.name, program, strings.Join(args, " "), r.exit, r.stdout, r.stderr)
	}
	return r.stderr
}

// conf writes the configuration of a tunnel of the site, with these lines in
// [Interface], and returns its path.
func (s site) conf(dev, own string, peers ...string) string {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), dev+".conf")
	text := fmt.Sprintf("[Interface]\nPrivateKey = %s\n%s\n%s", private(s.name), own, strings.Join(peers, ""))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// peer is the section of a peer, with these lines in it.
func peer(name, lines string) string {
	return fmt.Sprintf("[Peer]\nPublicKey = %s\n%s\n", public(name), lines)
}

// state is all that a tunnel could change.
func (s site) state() string {
	s.t.Helper()
	return s.do("bash", "-c", `exec 2>&1
ip -d link show; ip address show
ip -4 rule show; ip -6 rule show; ip -4 route show table all; ip -6 route show table all
nft list ruleset
for program in iptables-legacy ip6tables-legacy; do $program-save | grep ^-A; done
cat /proc/sys/net/ipv4/conf/all/src_valid_mark
find /run -path /run/stubs -prune -o -path /run/xtables.lock -o -path /run/wireguard -o -print`)
}

// sameState checks that the state is again what it was.
func (s site) sameState(what, before string) {
	s.t.Helper()
	after := s.state()
	for line := range strings.Lines(after) {
		if !strings.Contains(before, line) {
			s.t.Errorf("%s: %s has now: %s", what, s.name, line)
		}
	}
	for line := range strings.Lines(before) {
		if !strings.Contains(after, line) {
			s.t.Errorf("%s: %s has no more: %s", what, s.name, line)
		}
	}
}

// has checks that what a program prints has these parts.
func (s site) has(command string, parts ...string) {
	s.t.Helper()
	words := strings.Fields(command)
	out := s.do(words[0], words[1:]...)
	for _, p := range parts {
		if !strings.Contains(out, p) {
			s.t.Errorf("%s: %s prints\n%s\nwant %q", s.name, command, out, p)
		}
	}
}

// The world beyond the exit of a full tunnel, which knows the way back to the
// tunnels' addresses and no other.
const world4, world6 = "203.0.113.1", "2001:db8:113::1"

// abroad makes a client whose default routes lead to an exit, the world behind
// that, and the exit's ends of two tunnels, wg0 and wg1: there the exit is
// 10.N.0.2 and fd0N::2, with N 10 and 11, the client 10.N.0.1 and fd0N::1. Their
// endpoints are not on the client's own network. The client takes packets only
// from where it would send to.
func abroad(t *testing.T) (client, exit site) {
	t.Helper()
	client, exit = newSite(t, "client"), newSite(t, "exit")
	world := newSite(t, "world")
	cable(client, exit, 1)
	cable(exit, world, 2)
	exit.do("ip", "address", "add", "198.51.100.1/32", "dev", "lo")
	world.do("ip", "address", "add", world4+"/32", "dev", "lo")
	client.do("ip", "route", "add", "default", "via", "198.18.1.2")
	exit.do("ip", "route", "add", world4, "via", "198.18.2.2")
	client.write("net/ipv4/conf/all/rp_filter", "1")
	exit.write("net/ipv4/ip_forward", "1")
	if hasIPv6() {
		exit.do("ip", "address", "add", "2001:db8:51::1/128", "dev", "lo")
		world.do("ip", "address", "add", world6+"/128", "dev", "lo")
		client.do("ip", "-6", "route", "add", "default", "via", "fd18:1::2")
		exit.do("ip", "-6", "route", "add", world6, "via", "fd18:2::2")
		exit.write("net/ipv6/conf/all/forwarding", "1")
	}
	for i, dev := range []string{"wg0", "wg1"} {
		n := 10 + i
		own, allowed := fmt.Sprintf("10.%d.0.2/24", n), fmt.Sprintf("10.%d.0.1/32", n)
		world.do("ip", "route", "add", fmt.Sprintf("10.%d.0.0/24", n), "via", "198.18.2.1")
		if hasIPv6() {
			own, allowed = own+fmt.Sprintf(", fd%d::2/64", n), allowed+fmt.Sprintf(", fd%d::1/128", n)
			world.do("ip", "-6", "route", "add", fmt.Sprintf("fd%d::/64", n), "via", "fd18:2::1")
		}
		exit.up(exit.conf(dev, fmt.Sprintf("Address = %s\nListenPort = %d", own, 51820+i), peer(client.name, "AllowedIPs = "+allowed)))
	}
	if r := client.try("ping", "-c", "1", "-W", "1", world4); r.exit == 0 {
		t.Fatalf("the world answers without a tunnel:\n%s", r.stdout)
	}
	return client, exit
}

// write sets a parameter of the kernel.
func (s site) write(parameter, value string) {
	s.t.Helper()
	s.do("bash", "-c", "echo "+value+" > /proc/sys/"+parameter)
}

// full is the configuration of the client's tunnel wgN to the exit. More are
// lines of [Interface].
func full(client, exit site, n int, endpoint, more string) string {
	return client.conf(fmt.Sprint("wg", n), fmt.Sprintf("Address = 10.%d.0.1/24, fd%[1]d::1/64\n%s", 10+n, more),
		peer(exit.name, fmt.Sprintf("Endpoint = %s:%d\nAllowedIPs = 0.0.0.0/0, ::/0", endpoint, 51820+n)))
}

// TestQuickFullTunnel sends all traffic through the kernel's device.
func TestQuickFullTunnel(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		client, exit := abroad(t)
		before := client.state()
		for what, endpoint := range map[string]string{"over IPv4": "198.51.100.1", "over IPv6": "[2001:db8:51::1]"} {
			path := full(client, exit, 0, endpoint, "DNS = 10.10.0.2, corp.example")
			client.up(path)
			client.ping(world4)
			client.ping(world6)
			client.has("ip -d link show wg0", " mtu 1420 ", "\n    wireguard ")
			client.has("ip -4 rule show", "not from all fwmark 0xca6c lookup 51820", "lookup main suppress_prefixlength 0")
			client.has("ip -6 rule show", "not from all fwmark 0xca6c lookup 51820", "lookup main suppress_prefixlength 0")
			client.has("ip -4 route show table 51820", "default dev wg0 scope link")
			client.has("ip -6 route show table 51820", "default dev wg0 metric 1024")
			client.has("ip route get "+world4, "dev wg0 table 51820 src 10.10.0.1")
			client.has("ip route get 198.18.1.2", "dev cable1 src")
			client.has("ip route get 198.51.100.1 mark 51820", "via 198.18.1.2 dev cable1")
			client.has("nft list ruleset", "table ip wg-quick-wg0 {", "table ip6 wg-quick-wg0 {",
				`iifname != "wg0" ip daddr 10.10.0.1 fib saddr type != local drop`, "meta mark 0x0000ca6c ct mark set meta mark")
			client.has("cat /proc/sys/net/ipv4/conf/all/src_valid_mark", "1\n")
			client.has("cat /run/resolvconf/wg0", "nameserver 10.10.0.2\nsearch corp.example\n")
			client.has(ourWG()+" show wg0 fwmark", "0xca6c\n")
			client.down(path)
			client.sameState(what, before)

			if got := client.quick(ourQuick(), "up", full(client, exit, 0, endpoint, "DNS = 10.10.0.2\nPostUp = exit 7")); got.exit != 7 {
				t.Errorf("%s: up with a hook that fails: exit %d, want the hook's 7:\n%s", what, got.exit, got.stderr)
			}
			client.sameState(what+", rolled back", before)
		}
	})
}

// TestQuickTwoFullTunnels has two at once: neither's packets go through the
// other, and what is left works when one of them goes.
func TestQuickTwoFullTunnels(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		client, exit := abroad(t)
		before := client.state()
		first, second := full(client, exit, 0, "198.51.100.1", ""), full(client, exit, 1, "198.51.100.1", "")
		client.up(first)
		client.ping(world4)
		withOne := client.state()
		client.up(second)
		client.ping(world4)
		client.ping(world6)
		client.has("ip route get "+world4, "dev wg1")
		client.ping("10.10.0.2")
		for _, dev := range []string{"wg0", "wg1"} { // as they come from the client's own network
			exit.has(ourWG()+" show "+dev+" endpoints", "\t198.18.1.1:")
		}
		client.down(second)
		client.sameState("the second is down", withOne)
		client.ping(world4)

		client.up(second)
		client.down(first)
		client.ping(world4)
		client.ping(world6)
		client.has("ip route get "+world4, "dev wg1")
		client.has("ip route get 198.18.1.2", "dev cable1")
		client.has("cat /proc/sys/net/ipv4/conf/all/src_valid_mark", "1\n")
		client.down(second)
		client.sameState("both are down", before)
	})
}

// needIPv6 skips the test on a kernel without.
func needIPv6(t *testing.T) {
	t.Helper()
	if !hasIPv6() {
		t.Skip("this kernel has no IPv6; the test is run on others")
	}
}

// TestQuickWithoutIPv6 is for a kernel that was told not to have any. What
// can't be had is said.
func TestQuickWithoutIPv6(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		if hasIPv6() {
			t.Skip("this kernel has IPv6; test/kernel.sh starts one with ipv6.disable=1")
		}
		client, exit := abroad(t)
		before := client.state()
		path := full(client, exit, 0, "198.51.100.1", "DNS = 10.10.0.2")
		said := client.up(path)
		if want := "Left out: fd10::1/64, ::/0\n"; !strings.Contains(said, want) || regexp.MustCompile(`(?m)^\[#\] .*(-6|ip6)`).MatchString(said) {
			t.Errorf("up says\n%s\nwant %q, and no step for IPv6", said, want)
		}
		client.ping(world4)
		client.has("ip route get "+world4, "dev wg0 table 51820")
		client.has("nft list ruleset", "table ip wg-quick-wg0 {")
		client.down(path)
		client.sameState("down", before)
		client.up(path)
		client.must(*debianQuick, "down", path)
	})
}

// TestQuickMTU takes it from the ways to the endpoints.
func TestQuickMTU(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		s, far := newSite(t, "near"), newSite(t, "far")
		cable(s, far, 1)
		cable(s, far, 2)
		s.do("ip", "link", "set", "cable1", "mtu", "1500")
		s.do("ip", "link", "set", "cable2", "mtu", "1400")
		s.do("ip", "route", "add", "default", "via", "198.18.1.2")
		s.do("ip", "route", "add", "192.0.2.1", "via", "198.18.1.2", "mtu", "1300")
		s.do("ip", "-6", "route", "add", "2001:db8::1", "via", "fd18:2::2")
		before := s.state()
		tests := map[string]struct {
			endpoints []string
			want      int
		}{
			"the default route's":       {nil, 1420},
			"the link's":                {[]string{"198.18.2.2:1"}, 1320},
			"the route's own":           {[]string{"192.0.2.1:1"}, 1220},
			"the smallest":              {[]string{"203.0.113.1:1", "192.0.2.1:1", "[fd18:1::2]:1"}, 1220},
			"of IPv6":                   {[]string{"[2001:db8::1]:1"}, 1320},
			"none for where nothing is": {[]string{"[2001:db8:1::1]:1"}, 1420},
		}
		for name, tt := range tests {
			var peers []string
			for i, e := range tt.endpoints {
				peers = append(peers, peer(fmt.Sprint("peer", i), "Endpoint = "+e))
			}
			path := s.conf("wg0", "Address = 10.77.0.1/24", peers...)
			s.up(path)
			if out := s.do("ip", "-o", "link", "show", "wg0"); !strings.Contains(out, fmt.Sprintf(" mtu %d ", tt.want)) {
				t.Errorf("%s: want an MTU of %d:\n%s", name, tt.want, out)
			}
			s.down(path)
		}
		s.sameState("all down", before)
	})
}
