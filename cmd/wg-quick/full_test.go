// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const original = "/usr/bin/wg-quick"

// needOriginal skips the test where the original isn't installed.
func needOriginal(t *testing.T) {
	t.Helper()
	for program, of := range map[string]string{original: "wireguard-tools", "wireguard-go": "wireguard-go", "nft": "nftables"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s isn't installed (Debian: %s)", program, of)
		}
	}
}

// withResolvconf gives the site an IPv6 uplink, and a resolvconf that keeps
// what it is told in /run/resolvconf.
func (s *site) withResolvconf() {
	s.t.Helper()
	s.ip("address add 2001:db8:1::2/64 dev uplink nodad")
	// The kernel makes the route to itself when it gets to it.
	for !strings.Contains(s.ip("-6 route show table local"), "local 2001:db8:1::2 ") {
		time.Sleep(time.Millisecond)
	}
	s.ip("-6 route add default via 2001:db8:1::1")
	s.ip("-6 route add 2001:db8:2::/64 via 2001:db8:1::3")
	// The kernel goes on with the address by itself.
	for !strings.Contains(s.ip("-6 route show table local"), "2001:db8:1::2") {
		time.Sleep(time.Millisecond)
	}
	script := `#!/bin/sh
verb=$1 name=$2
echo "$* $(ip -4 route get 203.0.113.1 | grep -o 'dev [a-z0-9]*')" >> "$(dirname "$0")/../resolvconf.log"
case $verb in
-a) mkdir -p /run/resolvconf && cat > /run/resolvconf/$name ;;
-d) rm -f /run/resolvconf/$name && { rmdir /run/resolvconf 2>/dev/null || true; } ;;
-l) if [ $# = 1 ]; then true; else cat /run/resolvconf/$name; fi ;;
esac
`
	bin := filepath.Join(s.dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "resolvconf"), []byte(script), 0o755); err != nil {
		s.t.Fatal(err)
	}
	s.env = append(s.env, "PATH="+bin+":"+os.Getenv("PATH"))
}

// theirs is the original with these arguments.
func (s *site) theirs(args ...string) result {
	c := exec.Command(original, args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), s.env...)
	out, err := c.CombinedOutput()
	if c.ProcessState == nil {
		s.t.Fatal(err)
	}
	return result{err: string(out), status: c.ProcessState.ExitCode()}
}

const fullOwn = "Address = 10.7.0.2/24, fd07::2/64\nDNS = 10.7.0.1, corp.example\nListenPort = 40123"

func TestFullTunnel(t *testing.T) {
	isolated(t, func(s *site) {
		s.withResolvconf()
		before := s.state()
		path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:51820")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		for dst, want := range map[string]string{
			"203.0.113.99": "dev wg0 table 51820", "2001:db8:ffff::1": "dev wg0 table 51820",
			"192.0.2.77": "dev uplink", "2001:db8:2::1": "dev uplink", // what the main table has more than a default for
			"203.0.113.7 mark 51820": "via 192.0.2.1 dev uplink", "2001:db8:ffff::1 mark 51820": "via 2001:db8:1::1 dev uplink",
		} {
			if got := s.ip("route get " + dst); !strings.Contains(got, want) {
				t.Errorf("the way to %s is %s, want %s", dst, got, want)
			}
		}
		text, err := os.ReadFile("/run/resolvconf/wg0")
		if want := "nameserver 10.7.0.1\nsearch corp.example\n"; string(text) != want {
			t.Errorf("resolvconf has %q, %v; want %q", text, err, want)
		}
		if got := s.wgQuick("down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
		s.same(before)
		// Names are looked up through the tunnel only while its routes stand.
		log, _ := os.ReadFile(filepath.Join(s.dir, "resolvconf.log"))
		if want := "-a wg0 -m 0 -x dev wg0\n-d wg0 -f dev wg0\n"; string(log) != want {
			t.Errorf("resolvconf was called as\n%swant\n%s", log, want)
		}
	})
}

// noise is what differs by itself between two devices, and the protocol of our
// rules, by which systemd-networkd spares them.
var noise = regexp.MustCompile(`(?m)^.*(fe80|ff00|wgtools|wireguard|resolvconf\.log).*\n|\d+: |link/ether \S+|(if|link)index \d+|valid_lft.*|qlen \d+|tun type.*|priority \d+| proto (unspec|kernel)$`)

// ours and theirs leave the same behind.
func TestFullTunnelLikeOriginal(t *testing.T) {
	needOriginal(t)
	var states [2]string
	for i := range states {
		isolated(t, func(s *site) {
			s.withResolvconf()
			path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0, 10.50.0.0/16\nEndpoint = 203.0.113.7:51820")
			up := s.wgQuick
			if i == 1 {
				up = s.theirs
			}
			if got := up("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			states[i] = noise.ReplaceAllString(s.state(), "")
			s.wgQuick("down", path)
		})
	}
	ours, theirs := strings.Split(states[0], "\n"), strings.Split(states[1], "\n")
	for i := range max(len(ours), len(theirs)) {
		if i >= len(ours) || i >= len(theirs) || ours[i] != theirs[i] {
			t.Fatalf("ours and theirs differ at line %d:\n%s\n-- theirs --\n%s", i, states[0], states[1])
		}
	}
}

// What one brings up, the other takes down.
func TestFullTunnelInterop(t *testing.T) {
	needOriginal(t)
	for _, up := range []string{"ours", "theirs"} {
		t.Run("up by "+up, func(t *testing.T) {
			isolated(t, func(s *site) {
				s.withResolvconf()
				before := s.state()
				path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0\nEndpoint = 192.0.2.1:51820")
				first, second := s.wgQuick, s.theirs
				if up == "theirs" {
					first, second = second, first
				}
				if got := first("up", path); got.status != 0 {
					t.Fatalf("up: %+v", got)
				}
				if got := second("down", path); got.status != 0 {
					t.Errorf("down: %+v", got)
				}
				// The original never puts that back.
				if err := os.WriteFile("/proc/sys/net/ipv4/conf/all/src_valid_mark", []byte("0"), 0); err != nil {
					t.Fatal(err)
				}
				if up == "ours" { // a record is left, and harms nobody
					if got := s.wgQuick("up", path); got.status != 0 || !strings.HasPrefix(got.err, "[!] The tunnel `wg0' came to a sudden end.") {
						t.Errorf("up again: %+v", got)
					}
					if got := s.wgQuick("down", path); got.status != 0 {
						t.Errorf("down again: %+v", got)
					}
				}
				s.same(before)
			})
		})
	}
}

// inside returns the pids of processes of these names in this network
// namespace, without any of all that were started in it.
func inside(t *testing.T, names ...string) (pids []int) {
	t.Helper()
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		ns, _ := os.Readlink(dir + "/ns/net")
		line, _ := os.ReadFile(dir + "/cmdline")
		program, _, _ := strings.Cut(string(line), "\x00")
		var pid int
		if _, err := fmt.Sscanf(dir, "/proc/%d", &pid); err != nil || ns != own || pid == os.Getpid() {
			continue
		}
		if len(names) == 0 || slices.Contains(names, filepath.Base(program)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// What a full tunnel excludes goes by the host's other routes, also to its own
// endpoint, and nothing of that is left behind.
func TestFullTunnelExcludes(t *testing.T) {
	isolated(t, func(s *site) {
		s.withResolvconf()
		before := s.state()
		path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0\nExcludedIPs = 198.51.100.0/24, 10.99.0.0/16, 2001:db8:99::/48\nEndpoint = 203.0.113.7:51820")
		got := s.asPlanned("up", path)
		if got.status != 0 || !strings.Contains(got.err, "[#] ip -4 route add throw 198.51.100.0/24 table 51820\n") {
			t.Fatalf("up: %+v", got)
		}
		for dst, want := range map[string]string{
			"198.51.100.9": "via 192.0.2.1 dev uplink", "10.99.1.1": "via 192.0.2.1 dev uplink", "2001:db8:99::1": "via 2001:db8:1::1 dev uplink",
			"198.51.101.9": "dev wg0 table 51820", "2001:db8:9a::1": "dev wg0 table 51820", "203.0.113.9": "dev wg0 table 51820",
			"203.0.113.7 mark 51820": "via 192.0.2.1 dev uplink",
		} {
			if got := s.ip("route get " + dst); !strings.Contains(got, want) {
				t.Errorf("the way to %s is %s, want %s", dst, got, want)
			}
		}
		if got := s.sh("wg show wg0 allowed-ips"); strings.Contains(got, "0.0.0.0/0") || !strings.Contains(got, "198.51.101.0/24") {
			t.Errorf("the allowed IPs are %s", got)
		}
		if got := s.wgQuick("status", path); got.status != 0 && got.status != 5 || strings.Contains(got.out, "would") {
			t.Errorf("status: %+v", got)
		}
		s.ip("link delete wg0") // which doesn't take along what is excepted
		if got := s.wgQuick("down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
		s.same(before)
	})
}
