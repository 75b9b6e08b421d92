// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wgtools/internal/cli"
	"wgtools/internal/dns"
	"wgtools/internal/doctor"
	"wgtools/internal/keys"
)

// A clinic is a site whose uplink leads to another namespace, with a tunnel
// from either side.
type clinic struct {
	*site
	ahead     time.Duration // of the true time is what the doctor's clock says
	backend   string        // for DNS; "": what is there
	nearPath  string
	near, far keys.Key
}

// inClinic calls f on a clinic of its own.
func inClinic(t *testing.T, f func(c *clinic)) {
	t.Helper()
	isolated(t, func(s *site) {
		c := &clinic{site: s}
		var err, err2 error
		if c.near, err = keys.NewPrivate(); err == nil {
			c.far, err2 = keys.NewPrivate()
		}
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, args := range []string{
			"netns add far", "link set far netns far", "-n far link set lo up", "-n far link set far up",
			"-n far address add 192.0.2.1/24 dev far", "-n far address add 203.0.113.7/32 dev lo",
		} {
			s.ip(args)
		}
		if err := await(func() bool { return strings.Contains(s.ip("-o link show uplink"), "state UP") }); err != nil {
			t.Fatal(err)
		}
		// A device ends with its link.
		defer func() {
			for _, dev := range []string{"wg0", "wg1"} {
				exec.Command("ip", "link", "delete", dev).Run()
			}
			exec.Command("ip", "-n", "far", "link", "delete", "far0").Run()
		}()
		c.files("", "", "")
		f(c)
	})
}

// The parts of files, unless a test gives others.
const (
	nearOwn  = "Address = 10.7.0.2/24\nListenPort = 40123"
	nearPeer = "AllowedIPs = 10.7.0.1/32, 10.50.0.0/16\nEndpoint = 192.0.2.1:40124"
	farPeer  = "AllowedIPs = 10.7.0.2/32"
)

// files writes the files of both sides.
func (c *clinic) files(own, peer, far string) {
	c.t.Helper()
	or := func(s, otherwise string) string {
		if s == "" {
			return otherwise
		}
		return s
	}
	write := func(dev string, private keys.Key, own string, public keys.Key, peer string) string {
		path := filepath.Join(c.dir, dev+".conf")
		text := fmt.Sprintf("[Interface]\nPrivateKey = %s\n%s\n\n[Peer] # laptop\nPublicKey = %s\n%s\n", private.Base64(), own, public.Base64(), peer)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			c.t.Fatal(err)
		}
		return path
	}
	c.nearPath = write("wg0", c.near, or(own, nearOwn), c.far.Public(), or(peer, nearPeer))
	write("far0", c.far, "Address = 10.7.0.1/32\nListenPort = 40124", c.near.Public(), or(far, farPeer))
}

// sh runs a line of commands, with wg(8) of wg-quick's own making.
func (c *clinic) sh(line string) {
	c.t.Helper()
	cmd := exec.Command("bash", "-ec", line)
	cmd.Dir = c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		c.t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// up brings both sides up.
func (c *clinic) up() {
	c.t.Helper()
	c.sh("wg-quick up ./wg0.conf; ip netns exec far wg-quick up ./far0.conf")
}

// doctor runs a command in this process, with its clock.
func (c *clinic) doctor(args ...string) (out string, status int) {
	c.t.Helper()
	var stdout, stderr bytes.Buffer
	lookup := func(name string) (string, bool) {
		if name == dns.BackendVariable && c.backend != "" {
			return c.backend, true
		}
		return os.LookupEnv(name)
	}
	env := &cli.Env{In: strings.NewReader(""), Out: &stdout, Err: &stderr, LookupEnv: lookup, Prog: "wg-quick",
		Now: func() time.Time { return time.Now().Add(c.ahead) }}
	status = run(c.t.Context(), env, nil, args)
	return stdout.String() + stderr.String(), status
}

// codes returns what was found wrong, "!!CODE" or "!CODE", but for what depends
// on the machine that the test runs on.
func codes(out string) (list []string) {
	for line := range strings.Lines(out) {
		for begin, mark := range map[string]string{"[!!] ": "!!", "[!]  ": "!", "[??] ": "??"} {
			rest, found := strings.CutPrefix(line, begin)
			about, _, _ := strings.Cut(rest, ":")
			if words := strings.Fields(about); found && len(words) > 0 {
				if code := words[len(words)-1]; code != "module-absent" && code != "clock-unsynchronised" {
					list = append(list, mark+code)
				}
			}
		}
	}
	return list
}

// byItself are lines of a site's state that change without the doctor: what the
// device couldn't send, addresses of links that settle, a bridge's clock.
var byItself = regexp.MustCompile(`/run/wgtools/wg0\.log|fe80|ff00|gc_timer`)

// Each condition is brought about for real, and is named; nothing else is; and
// the doctor leaves all as it was.
func TestDoctor(t *testing.T) {
	up := func(c *clinic) { c.up() }
	after := func(line string) func(c *clinic) { return func(c *clinic) { c.up(); c.sh(line) } }
	with := func(own, peer, far string, then string) func(c *clinic) {
		return func(c *clinic) { c.files(own, peer, far); c.up(); c.sh(then) }
	}
	down := func(own, peer, then string) func(c *clinic) {
		return func(c *clinic) { c.files(own, peer, ""); c.sh(then) }
	}
	const (
		full      = "AllowedIPs = 0.0.0.0/0\nEndpoint = 203.0.113.7:40124"
		elsewhere = "AllowedIPs = 10.50.0.0/16\nEndpoint = 203.0.113.7:40124"
		second    = "wg-quick up ./wg1.conf"
	)
	tests := []struct {
		name    string
		arrange func(c *clinic)
		args    string
		want    string // codes in their order; none: all is well
		says    string // a part of the output
	}{
		{"all is well", up, "doctor wg0", "", "[ok] wg0 mtu: packets of 1420 bytes come through, to 10.7.0.1 and back\n"},
		{"all is well without a tunnel's name", up, "doctor", "", "[ok] wg0 link: its link is up\n"},
		{"no tunnel", func(*clinic) {}, "doctor", "", "[ok] permission: "},
		{"a tunnel that is not up", func(c *clinic) { c.sh("ip netns exec far wg-quick up ./far0.conf") }, "doctor ./wg0.conf", "", "[ok] wg0 port: UDP port 40123 is free\n"},
		{"a full tunnel is well", func(c *clinic) {
			c.files("", full, "")
			c.sh("ip -n far route replace 192.0.2.0/24 dev far src 203.0.113.7") // the peer stays at its endpoint
			c.up()
		}, "doctor wg0 --probe 10.7.0.1", "", "[ok] wg0 clash: "},
		{"two full tunnels are well", func(c *clinic) {
			c.files("", full, "")
			c.up()
			c.another("0.0.0.0/0", "Endpoint = 192.0.2.1:40124")
			c.sh(second)
		},
			"doctor wg1 --probe 10.50.0.1", "!!handshake-unanswered", "[ok] wg1 clash: nothing of others comes before it\n"},

		{"/dev/net/tun is missing", func(c *clinic) { c.withoutKernelDevice(); c.sh("mount -t tmpfs none /dev/net") }, "doctor", "!!tun-unusable", "mend: `modprobe tun'; in a container: docker run --cap-add NET_ADMIN --device /dev/net/tun\n"},
		{"/dev/net/tun may not be opened", func(c *clinic) {
			c.withoutKernelDevice()
			c.sh("mount -t tmpfs -o nodev none /dev/net; mknod /dev/net/tun c 10 200")
		}, "doctor", "!!tun-unusable", "/dev/net/tun: permission denied\n"},
		{"/dev/net/tun has no driver", func(c *clinic) {
			c.withoutKernelDevice()
			c.sh("mount -t tmpfs none /dev/net; mknod /dev/net/tun c 10 99")
		}, "doctor", "!!tun-unusable", "`modprobe tun', on the host if this is a container\n"},
		{"/proc/sys is read-only", func(c *clinic) { c.sh("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys") }, "doctor", "!sysctl-read-only", "read-only file system"},
		{"/proc/sys is read-only, for a full tunnel", func(c *clinic) {
			c.files("", full, "")
			c.sh("mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys; ip netns exec far wg-quick up ./far0.conf")
		}, "doctor ./wg0.conf", "!!sysctl-read-only", "docker run --sysctl net.ipv4.conf.all.src_valid_mark=1"},
		{"systemd-resolved doesn't run", func(c *clinic) { c.backend = "resolved" }, "doctor", "!resolver-broken", "systemd-resolved: the system bus: it isn't there"},
		{"resolv.conf is read-only", func(c *clinic) {
			c.backend = "file"
			c.files("Address = 10.7.0.2/24\nDNS = 10.7.0.1", "", "")
			c.sh("ip netns exec far wg-quick up ./far0.conf; echo nameserver 127.0.0.1 >rc; mount --bind rc /etc/resolv.conf; mount -o remount,bind,ro /etc/resolv.conf")
		}, "doctor ./wg0.conf", "!!resolver-broken", "/etc/resolv.conf: read-only file system"},
		{"the clock is early", func(c *clinic) { c.up(); c.ahead = time.Until(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) }, "doctor", "!!clock-early", "it says 2000-01-01"},
		{"the clock went back", func(c *clinic) {
			c.up()
			c.sh("ping -qc 1 -W 30 10.7.0.1")
			c.ahead = -20 * time.Minute
		}, "doctor wg0", "!!clock-back", "there won't be one for 20m0s\n"},
		{"a kill switch is left", func(c *clinic) {
			c.files("KillSwitch = true\nAddress = 10.7.0.2/24", full, "")
			c.up()
			c.sh("ip link delete wg0; rm -r /run/wgtools")
		}, "doctor", "!!kill-switch-alone", "mend: wg-quick up wg0\n"},
		{"a tunnel came to a sudden end", func(c *clinic) { c.files("", full, ""); c.up(); c.sh("ip link delete wg0") }, "doctor", "!!left-over", "mend: wg-quick down wg0\n"},

		{"a bad file", func(c *clinic) { c.up(); c.files("Adress = 10.7.0.2/24", "", "") }, "doctor wg0", "!!file-bad", "wg0.conf:3:1: "},
		{"the link is down", after("ip link set down wg0"), "doctor wg0", "!!link-down", "ip link set up dev wg0"},
		{"the port is taken", func(c *clinic) {
			c.sh("ip netns exec far wg-quick up ./far0.conf")
			l, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 40123})
			if err != nil {
				c.t.Fatal(err)
			}
			c.t.Cleanup(func() { l.Close() })
		}, "doctor ./wg0.conf", "!!port-taken", fmt.Sprintf("(process %d)\n", os.Getpid())},
		{"the port is another tunnel's", func(c *clinic) {
			c.another("10.60.0.0/16", "")
			c.sh("ip netns exec far wg-quick up ./far0.conf; sed -i 's/40223/40123/' wg1.conf;" + second)
		}, "doctor ./wg0.conf", "!!port-taken", "is taken by the tunnel `wg1'\n"},

		{"an endpoint's name", func(c *clinic) {
			c.files("", "AllowedIPs = 10.7.0.1/32\nEndpoint = no-such-host.invalid:40124", "")
			c.sh("echo nameserver 127.0.0.1 >rc; mount --bind rc /etc/resolv.conf")
		}, "doctor ./wg0.conf", "!!endpoint-name", "mend: getent ahosts no-such-host.invalid "},
		{"no way to an endpoint", with("", elsewhere, "", "ip route delete default"), "doctor wg0", "!!endpoint-no-route", "network is unreachable"},
		{"a refused way to an endpoint", with("", elsewhere, "", "ip route add unreachable 203.0.113.0/24"), "doctor wg0", "!!endpoint-no-route", "it is unreachable: the route 203.0.113.0/24 of the table main"},
		{"no IPv6 to an endpoint", with("", "AllowedIPs = 10.50.0.0/16\nEndpoint = [2001:db8::1]:40124", "", "true"), "doctor wg0", "!!endpoint-no-route", "without IPv6 to the Internet"},
		{"an endpoint inside the tunnel", with("", "AllowedIPs = 203.0.113.0/24\nEndpoint = 203.0.113.7:40124", "", "true"), "doctor wg0", "!!endpoint-loop", "leads through the tunnel itself: the route 203.0.113.0/24"},
		{"nobody listens", down("", "", "true"), "doctor ./wg0.conf", "!!endpoint-refused", "that nobody listens at that port"},
		{"no machine there", down("", "AllowedIPs = 10.50.0.0/16\nEndpoint = 192.0.2.9:40124", "true"), "doctor ./wg0.conf", "!!endpoint-unreachable", "ip neighbour show dev uplink"},
		{"our packet filter", down("", "", "nft add table inet x; nft 'add chain inet x o { type filter hook output priority 0; }'; nft add rule inet x o udp dport 40124 drop"),
			"doctor ./wg0.conf", "!!endpoint-forbidden", "a packet filter of this host forbids"},

		{"no private key", func(c *clinic) { c.up(); c.sh("wg set wg0 private-key /dev/null") }, "doctor wg0", "!!handshake-no-key", ""},
		{"the tunnel's own key as a peer", func(c *clinic) {
			c.far = c.near
			c.files("", "", "")
			c.sh("ip netns exec far wg-quick up ./far0.conf")
		}, "doctor ./wg0.conf", "!!handshake-self", ""},
		{"a wrong key", func(c *clinic) { c.up(); c.sh("wg genkey >k; ip netns exec far wg set far0 private-key k") }, "doctor wg0", "!!handshake-unanswered", "is its own key the PublicKey here?"},
		{"a dropping firewall", after("ip netns exec far nft add table inet x; ip netns exec far nft 'add chain inet x i { type filter hook input priority 0; }'; ip netns exec far nft add rule inet x i udp dport 40124 drop"),
			"doctor wg0", "!!handshake-unanswered", "tcpdump -ni any udp port 40124"},
		{"preshared keys differ", func(c *clinic) {
			c.files("", "AllowedIPs = 10.7.0.1/32", farPeer+"\nEndpoint = 192.0.2.2:40123\nPresharedKey = "+c.near.Base64())
			c.up()
			c.sh("ip netns exec far ping -c 1 -W 1 10.7.0.2 || true")
		}, "doctor wg0", "!!handshake-unfinished", "PresharedKey differ"},
		{"the peer is gone", func(c *clinic) {
			c.files("", nearPeer+"\nPersistentKeepalive = 25", "")
			c.up()
			c.sh("ping -qc 1 -W 30 10.7.0.1; ip netns exec far nft add table inet x; ip netns exec far nft 'add chain inet x i { type filter hook input priority 0; }'; ip netns exec far nft add rule inet x i udp dport 40124 drop")
			c.ahead = 10 * time.Minute
		}, "doctor wg0", "!!handshake-old", "laptop ("},

		{"a route is gone", after("ip route delete 10.50.0.0/16 dev wg0"), "doctor wg0", "!!route-missing", "packets for the allowed IPs 10.50.0.0/16 don't go into the tunnel, but to uplink via 192.0.2.1"},
		{"the rules of a full tunnel are gone", with("", full, "", "ip rule delete priority 32765"), "doctor wg0 --probe 10.7.0.1", "!!route-missing", "mend: wg-quick reload /"},
		{"a tunnel by hand has no routes", func(c *clinic) {
			c.up()
			c.sh("rm -r /run/wgtools; mv wg0.conf elsewhere; ip route delete 10.50.0.0/16 dev wg0")
		}, "doctor wg0", "!route-missing", "mend: ip route add 10.50.0.0/16 dev wg0\n"},
		{"a route that no peer wants", after("ip route add 10.99.0.0/16 dev wg0"), "doctor wg0", "!route-unclaimed", "the route 10.99.0.0/16 leads into the tunnel"},
		{"two peers with the same allowed IPs", func(c *clinic) {
			other, _ := keys.NewPrivate()
			c.files("", "AllowedIPs = 10.50.0.0/16\n\n[Peer]\nPublicKey = "+other.Public().Base64()+"\nAllowedIPs = 10.50.0.0/16", "")
			c.up()
		}, "doctor wg0", "!allowed-ips-none", "laptop ("},
		{"the peer lacks our address", func(c *clinic) { c.files("", "", "AllowedIPs = 10.99.0.9/32"); c.up() }, "doctor wg0", "!one-way", "allowed-ips +10.7.0.2/32\n"},

		{"Tailscale's mark", with("Address = 10.7.0.2/24\nFwMark = 0x80000\nListenPort = 40123", full, "", tailscale), "doctor wg0 --probe 10.7.0.1", "!!clash-mark", "a rule of Tailscale takes the tunnel's own packets"},
		{"Tailscale's exit node", with("", full, "", tailscale+"; ip tuntap add tailscale0 mode tun; ip link set tailscale0 up; ip route add default dev tailscale0 table 52"), "doctor wg0 --probe 10.7.0.1",
			"!!handshake-unanswered !clash-nested !!clash-rule", "tailscale set --exit-node="},
		{"another's rule", with("", "", "", "ip rule add priority 90 to 10.50.0.0/16 table 77; ip route add default via 192.0.2.1 table 77"), "doctor wg0", "!!clash-rule", "ip -4 rule delete priority 90 #"},
		{"another's default route in the table", with("", full, "", "ip route add default dev uplink metric 9 table 51820"), "doctor wg0 --probe 10.7.0.1", "!!clash-table", "ip -4 route delete default dev uplink table 51820\n"},
		{"a tunnel inside a tunnel", func(c *clinic) {
			c.files("", elsewhere, "")
			c.another("203.0.113.0/24", "Endpoint = 192.0.2.1:40124")
			c.up()
			c.sh(second)
		}, "doctor wg0", "!!handshake-unanswered !clash-nested !mtu-fragments", "goes through another tunnel, `wg1'"},
		{"another full tunnel", func(c *clinic) {
			c.files("", full, "")
			c.another("0.0.0.0/0", "Endpoint = 192.0.2.1:40124")
			c.up()
			c.sh(second)
		}, "doctor wg0 --probe 10.7.0.1", "!clash-full-tunnel", "another full tunnel, `wg1', comes before this one"},
		{"a network of Docker's", after("ip link add docker0 type bridge; ip link set docker0 addrgenmode none; ip address add 10.50.3.1/24 dev docker0; ip link set docker0 up"), "doctor wg0", "!clash-network", "10.50.3.0/24 goes to `docker0', a bridge, as Docker"},
		{"the same network as Docker's", func(c *clinic) {
			c.sh("ip netns exec far wg-quick up ./far0.conf; ip link add docker0 type bridge; ip link set docker0 addrgenmode none; ip address add 10.50.0.1/16 dev docker0; ip link set docker0 up")
		}, "doctor ./wg0.conf", "!!clash-network", "the tunnel can't come up beside it"},

		{"a strict reverse path filter", with("", full, "", "sysctl -qw net.ipv4.conf.all.src_valid_mark=0 net.ipv4.conf.uplink.rp_filter=1 net.ipv4.conf.all.rp_filter=0"), "doctor wg0 --probe 10.7.0.1",
			"!!reverse-path", "sysctl -w net.ipv4.conf.all.src_valid_mark=1"},
		{"a strict filter inside", with(nearOwn+"\nTable = off", "", "", "sysctl -qw net.ipv4.conf.wg0.rp_filter=1"), "doctor wg0", "!!reverse-path-inside", "sysctl -w net.ipv4.conf.wg0.rp_filter=2"},

		{"a black hole", after("ip netns exec far nft add table inet x; ip netns exec far nft 'add chain inet x i { type filter hook prerouting priority 0; }'; ip netns exec far nft add rule inet x i meta length '>' 1300 drop"),
			"doctor wg0", "!!mtu-black-hole", "mend: ip link set mtu 1232 dev wg0\n"},
		{"an uplink that is too small, asked", after("ip link set mtu 1400 dev uplink"), "doctor wg0", "!!mtu-black-hole", "mend: ip link set mtu 13"},
		{"an uplink that is too small", after("ip link set mtu 1400 dev uplink"), "doctor", "!mtu-fragments", "ip link set mtu 1340 dev wg0"},
		{"too small for IPv6", with("", "AllowedIPs = 10.7.0.1/32, fd50::/32\nEndpoint = 192.0.2.1:40124\n", "", "ip link set mtu 1200 dev wg0"), "doctor wg0", "!!route-missing !!mtu-below-ipv6", "MTU = 1280\n"},
	}
	// Those whose commands mend it here.
	mended := []string{
		"a tunnel came to a sudden end", "the link is down", "a route is gone", "the rules of a full tunnel are gone", "a tunnel by hand has no routes",
		"Tailscale's mark", "another's rule", "another's default route in the table", "another full tunnel", "a strict reverse path filter", "a strict filter inside",
		"a black hole", "an uplink that is too small, asked", "an uplink that is too small", "too small for IPv6",
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // mostly it waits
			inClinic(t, func(c *clinic) {
				tt.arrange(c)
				before := c.state()
				out, status := c.doctor(strings.Fields(strings.ReplaceAll(tt.args, "./wg0.conf", c.nearPath))...)
				if got := strings.Join(codes(out), " "); got != tt.want {
					t.Errorf("it found %q, want %q", got, tt.want)
				}
				wantStatus := 0
				if strings.Contains(tt.want, "!!") {
					wantStatus = 1
				}
				if !strings.Contains(out, tt.says) || status != wantStatus || t.Failed() {
					t.Errorf("exit status %d, want %d, and it said:\n%s\nwant: %s", status, wantStatus, out, tt.says)
				}
				for _, secret := range []keys.Key{c.near, c.far} {
					if strings.Contains(out, secret.Base64()) {
						t.Error("a private key is in the output")
					}
				}
				for _, line := range changed(before, c.state()) {
					if !byItself.MatchString(line) {
						t.Error(line)
					}
				}
				if slices.Contains(mended, tt.name) {
					c.mend(out)
					if again, _ := c.doctor(strings.Fields(strings.ReplaceAll(tt.args, "./wg0.conf", c.nearPath))...); len(codes(again)) > 0 {
						t.Errorf("the commands didn't mend it:\n%s\nnow:\n%s", out, again)
					}
				}
			})
		})
	}
	for _, name := range mended {
		if !slices.ContainsFunc(tests, func(tt struct {
			name    string
			arrange func(c *clinic)
			args    string
			want    string
			says    string
		}) bool {
			return tt.name == name
		}) {
			t.Errorf("there is no test %q", name)
		}
	}
}

// mend runs the commands that are to mend what was found.
func (c *clinic) mend(out string) {
	c.t.Helper()
	run := 0
	for line := range strings.Lines(out) {
		if mend, ok := strings.CutPrefix(line, "     mend: "); ok && !strings.Contains(mend, "modprobe") {
			command, _, _ := strings.Cut(strings.TrimSpace(mend), " #")
			switch first, _, _ := strings.Cut(command, " "); first {
			case "ip", "wg-quick", "sysctl":
				c.sh(command)
				run++
			}
			if _, mark, ok := strings.Cut(command, "FwMark = NUMBER; then: "); ok {
				c.sh("sed -i 's/^FwMark.*/FwMark = 0x1/' wg0.conf; " + mark)
				run++
			}
		}
	}
	if run == 0 {
		c.t.Error("there is no command that mends it")
	}
}

// For programs there is the same, as documented.
func TestDoctorJSON(t *testing.T) {
	inClinic(t, func(c *clinic) {
		c.up()
		c.sh("ip route delete 10.50.0.0/16 dev wg0")
		out, status := c.doctor("doctor", "wg0", "--json")
		asDocumented(t, out, map[string]string{"": "doctor: the document", "findings": "doctor: a finding"})
		var doc doctor.Report
		if err := json.Unmarshal([]byte(out), &doc); err != nil || status != 1 || doc.Problems != 1 {
			t.Fatalf("exit status %d, %v, %d problems: %s", status, err, doc.Problems, out)
		}
		i := slices.IndexFunc(doc.Findings, func(f doctor.ReportFinding) bool { return f.Severity == doctor.Problem })
		if f := doc.Findings[i]; *f.Code != "route-missing" || f.Check != "allowed-ips" || *f.Interface != "wg0" || !slices.Equal(f.Mend, []string{"wg-quick reload " + c.nearPath}) {
			t.Errorf("the problem is %+v", f)
		}
	})
}

// What can't be examined has exit status 2.
func TestDoctorCantLook(t *testing.T) {
	inClinic(t, func(c *clinic) {
		for args, want := range map[string]string{
			"doctor wg7":                 "wg-quick: `/etc/wireguard/wg7.conf' does not exist\n",
			"doctor uplink":              "wg-quick: `uplink' is not a WireGuard interface\n",
			"doctor wg0 --probe nowhere": "wg-quick: `nowhere' is not an IP address\n",
		} {
			if out, status := c.doctor(strings.Fields(args)...); status != 2 || !strings.HasPrefix(out, want) {
				t.Errorf("%s: exit status %d: %s", args, status, out)
			}
		}
	})
}

// tailscale sets up rules as Tailscale does.
const tailscale = `ip rule add priority 5210 fwmark 0x80000/0xff0000 lookup main; ip rule add priority 5230 fwmark 0x80000/0xff0000 lookup default
ip rule add priority 5250 fwmark 0x80000/0xff0000 unreachable; ip rule add priority 5270 lookup 52`

// another writes the file of a second tunnel.
func (c *clinic) another(allowed, peer string) {
	c.t.Helper()
	private, err := keys.NewPrivate()
	if err != nil {
		c.t.Fatal(err)
	}
	text := fmt.Sprintf("[Interface]\nPrivateKey = %s\nListenPort = 40223\nAddress = 10.8.0.2/32\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\n%s\n", private.Base64(), c.far.Public().Base64(), allowed, peer)
	if err := os.WriteFile(filepath.Join(c.dir, "wg1.conf"), []byte(text), 0o600); err != nil {
		c.t.Fatal(err)
	}
}

func (c *clinic) withoutKernelDevice() {
	c.t.Helper()
	if hasKernelDevice() {
		c.t.Skip("the kernel has WireGuard: no TUN link is asked for")
	}
}

// Without CAP_NET_ADMIN, as in a container, it says so.
func TestDoctorWithoutCapability(t *testing.T) {
	inClinic(t, func(c *clinic) {
		cmd := exec.Command("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "wg-quick", "doctor")
		out, err := cmd.CombinedOutput()
		if got := strings.Join(codes(string(out)), " "); !strings.HasPrefix(got, "!!no-net-admin") || cmd.ProcessState.ExitCode() != 1 {
			t.Errorf("it found %q (%v):\n%s", got, err, out)
		}
		if want := "mend: in a container: docker run --cap-add NET_ADMIN\n"; !strings.Contains(string(out), want) {
			t.Errorf("it doesn't say %q:\n%s", want, out)
		}
	})
}
