// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wgtools/internal/keys"
)

const (
	checkInterface = "[Interface]\nPrivateKey = oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=\nAddress = 10.99.0.2/24\n"
	checkPeer      = "[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\n"
)

// write writes a file of any text and mode, and returns its path.
func (s *site) write(name, text string, mode os.FileMode) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		s.t.Fatal(err)
	}
	return path
}

var codeOfFinding = regexp.MustCompile(`(?m)^\S+:(\d+:\d+): .* \(([a-z0-9-]+)\)$`)

// codes returns what check finds in files: places in the file and codes.
func (s *site) codes(args ...string) (list []string) {
	s.t.Helper()
	for _, m := range codeOfFinding.FindAllStringSubmatch(s.wgQuick(append([]string{"check"}, args...)...).out, -1) {
		list = append(list, m[1]+" "+m[2])
	}
	return list
}

// What check knows of the host is what there is.
func TestCheckHost(t *testing.T) {
	isolated(t, func(s *site) {
		expect := func(what, path string, want ...string) {
			t.Helper()
			if got := s.codes(path); !slices.Equal(got, want) {
				t.Errorf("%s: found %q, want %q", what, got, want)
			}
		}
		full := s.write("wg0.conf", checkInterface+"MTU = 1440\n"+checkPeer+"AllowedIPs = 0.0.0.0/0\nEndpoint = 198.51.100.1:51820\n", 0o600)
		expect("no IPv6", full)
		s.ip("address add 2001:db8:1::2/64 dev uplink nodad")
		expect("IPv6 without a way out", full)
		s.ip("-6 route add default via 2001:db8:1::1 dev uplink")
		expect("IPv6", full, "7:14 ipv6-leak")
		s.ip("-6 route delete default")
		s.ip("-6 route add default proto static metric 7 nexthop via 2001:db8:1::1 dev uplink nexthop via 2001:db8:1::3 dev uplink")
		expect("IPv6 by two ways", full, "7:14 ipv6-leak")
		s.ip("-6 route delete default")
		s.ip("-6 route add unreachable default metric 9")
		expect("IPv6 to nowhere", full)
		s.ip("link set uplink mtu 1400")
		expect("a narrow way out", full, "4:7 mtu-large")
		s.ip("link set uplink mtu 1500")

		split := s.write("wg1.conf", checkInterface+checkPeer+"AllowedIPs = 10.99.0.0/24, 192.0.2.0/25\nEndpoint = 198.51.100.1:51820\n", 0o600)
		expect("the network of the uplink", split, "6:28 local-network")
		s.ip("address flush dev uplink")
		expect("no networks", split)
		s.ip("address add 10.1.0.2/16 dev uplink")
		expect("behind NAT", split, "4:1 keepalive-missing")
		s.ip("address add 100.64.0.2/16 dev far")
		expect("behind NAT of a provider", split, "4:1 keepalive-missing")
		s.ip("address add 203.0.113.2/24 dev far")
		expect("a public address", split)

		s.ip("link add wg1 type veth peer name wg1far")
		s.ip("address add 10.99.0.2/24 dev wg1")
		s.ip("link set wg1 up")
		s.ip("link set wg1far up")
		expect("the tunnel's own link", split)
		expect("another tunnel's link", s.write("wg2.conf", checkInterface+"PostUp = ip route add 10.3.0.0/16 dev wg1; ip route add 10.3.0.0/16 dev wg9\n"+checkPeer+"AllowedIPs = 10.99.0.0/24\n", 0o600),
			"3:11 address-in-local-network", "4:73 hook-interface")
	})
}

// Who may read and write a file is looked at up to the root.
func TestCheckModes(t *testing.T) {
	isolated(t, func(s *site) {
		expect := func(what, path string, want ...string) {
			t.Helper()
			if got := s.codes(path); !slices.Equal(got, want) {
				t.Errorf("%s: found %q, want %q", what, got, want)
			}
		}
		for dir := s.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		const plain, hook = checkInterface, checkInterface + "PostUp = true\n"
		expect("only the owner", s.write("wg0.conf", plain, 0o600))
		expect("all may read", s.write("wg0.conf", plain, 0o644), "2:14 private-key-readable")
		expect("all may write", s.write("wg0.conf", plain, 0o602), "1:1 file-writable")
		expect("all may write hooks", s.write("wg0.conf", hook, 0o602), "4:10 hooks-writable")
		if r := s.wgQuick("up", "./wg0.conf"); r.status == 0 {
			t.Error("up ran hooks that all may write")
		}
		if err := os.Chmod(s.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		expect("a private directory", s.write("wg0.conf", plain, 0o644))
		if err := os.Chmod(s.dir, 0o777); err != nil {
			t.Fatal(err)
		}
		expect("a directory of all", s.write("wg0.conf", plain, 0o600), "1:1 file-writable")
		if err := os.Chmod(s.dir, 0o777|os.ModeSticky); err != nil {
			t.Fatal(err)
		}
		expect("one like /tmp", s.write("wg0.conf", plain, 0o600))
	})
}

// The ports of other files count for those in /etc/wireguard.
func TestCheckOtherFiles(t *testing.T) {
	isolated(t, func(s *site) {
		etc := filepath.Join(s.dir, "wireguard")
		if err := os.Mkdir(etc, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := unix.Mount(s.dir, "/etc", "", unix.MS_BIND, ""); err != nil {
			t.Skipf("no mount: %v", err)
		}
		port := func(n string) string { return checkInterface + "ListenPort = " + n + "\n" }
		s.write("wireguard/wg0.conf", port("51820"), 0o600)
		s.write("wireguard/wg1.conf", port("1")+port("51820"), 0o600)
		s.write("wireguard/wg2.conf", port("51821"), 0o600)
		s.write("wireguard/wg3.conf", "[Interface]\nListenPort = 51820\nFoo = 1\n", 0o600)
		if got, want := s.codes("--ignore", "interface-repeated,address-repeated", "wg0", "wg1", "wg2"), []string{"4:14 listen-port-taken", "8:14 listen-port-taken"}; !slices.Equal(got, want) {
			t.Errorf("found %q, want %q", got, want)
		}
		if r := s.wgQuick("check", "wg0"); !strings.Contains(r.out, "  see:  /etc/wireguard/wg1.conf:8:14\n") {
			t.Errorf("the place of the other port is missing:\n%s", r.out)
		}
		if got := s.codes(s.write("wg9.conf", port("51820"), 0o600)); len(got) > 0 {
			t.Errorf("elsewhere: found %q", got)
		}
	})
}

// What is an error makes up, or down, fail; what is a warning, doesn't.
func TestCheckAgreesWithUp(t *testing.T) {
	const allowed = "AllowedIPs = 10.99.0.1/32\n"
	tests := []struct {
		name, text, code string
		fails            string // what does: up or down
	}{
		{"a host of numbers", checkInterface + checkPeer + allowed + "Endpoint = 222.333.44.55:51820\n", "endpoint-form", "up"},
		{"a URL", checkInterface + checkPeer + allowed + "Endpoint = http://192.0.2.1:51820\n", "endpoint-form", "up"},
		{"too many colons", checkInterface + checkPeer + allowed + "Endpoint = 2001:db8::1::51820\n", "endpoint-form", "up"},
		{"a port in words", checkInterface + checkPeer + allowed + "Endpoint = 192.0.2.1:51820/udp\n", "endpoint-form", "up"},
		{"quotation marks", checkInterface + checkPeer + allowed + "Endpoint = \"192.0.2.1:51820\"\n", "endpoint-form", "up"},
		{"no host", checkInterface + checkPeer + allowed + "Endpoint = :51820\n", "endpoint-form", "up"},
		{"an address twice", checkInterface + "Address = 10.99.0.2/24\n" + checkPeer + allowed, "address-repeated", "up"},
		{"an IPv6 address twice", checkInterface + "Address = fd00::2/64, fd00::2/128\n" + checkPeer + allowed, "address-repeated", "up"},
		{"a hook", checkInterface + "PostUp = if true\n" + checkPeer + allowed, "hook-syntax", "up"},
		{"a hook at the end", checkInterface + "PreDown = echo 'it\n" + checkPeer + allowed, "hook-syntax", "down"},

		{"a large port", checkInterface + "ListenPort = 70000\n" + checkPeer + allowed, "port-range", ""},
		{"old numbers", checkInterface + checkPeer + allowed + "Endpoint = 0300.2.1:1\n", "", ""},
		{"one address with two lengths", checkInterface + "Address = 10.99.0.2/32\n" + checkPeer + allowed, "", ""},
		{"a peer twice", checkInterface + checkPeer + allowed + checkPeer + "AllowedIPs = 10.99.0.3/32\n", "duplicate-peer", ""},
		{"its own key", checkInterface + "[Peer]\nPublicKey = PUBLIC\n" + allowed, "own-key", ""},
		{"a network of two", checkInterface + checkPeer + allowed + "[Peer]\nPublicKey = PUBLIC2\n" + allowed, "allowed-ip-claimed-twice", ""},
		{"no address", "[Interface]\nPrivateKey = oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=\n" + checkPeer + allowed, "no-address", ""},
		{"an octal address", checkInterface + "Address = 010.99.1.2/24\n" + checkPeer + allowed, "address-form", ""},
		{"a small MTU", checkInterface + "MTU = 500\n" + checkPeer + allowed, "mtu-small", ""},
		{"halves", checkInterface + checkPeer + "AllowedIPs = 0.0.0.0/1, 128.0.0.0/1\nEndpoint = 198.51.100.1:1\n", "default-halves", ""},
	}
	private, err := keys.Parse("oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=")
	if err != nil {
		t.Fatal(err)
	}
	public := strings.NewReplacer("PUBLIC2", "vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM=", "PUBLIC", private.Public().Base64())
	isolated(t, func(s *site) {
		s.env = append(s.env, "WG_ENDPOINT_RESOLUTION_RETRIES=0")
		for _, tt := range tests {
			path := s.write("wg0.conf", public.Replace(tt.text), 0o600)
			got := s.codes(path)
			if tt.code == "" && len(got) > 0 || tt.code != "" && (len(got) != 1 || !strings.HasSuffix(got[0], " "+tt.code)) {
				t.Errorf("%s: found %q, want %q", tt.name, got, tt.code)
			}
			r := s.wgQuick("up", path)
			if (r.status != 0) != (tt.fails == "up") {
				t.Errorf("%s: up ended with %d:\n%s", tt.name, r.status, r.err)
			}
			if r.status != 0 {
				continue
			}
			r = s.wgQuick("down", path)
			if (r.status != 0) != (tt.fails == "down") {
				t.Errorf("%s: down ended with %d:\n%s", tt.name, r.status, r.err)
			}
			if r.status != 0 {
				s.wgQuick("down", "--no-hooks", path)
			}
		}
	})
}
