// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A site is one end of a tunnel, in a network namespace of its own.
type site struct {
	t    *testing.T
	name string // of the namespace, and the word of its key
}

// try runs a program at the site.
func (s site) try(program string, args ...string) result {
	s.t.Helper()
	return try(s.t, "", "ip", append([]string{"netns", "exec", s.name, program}, args...)...)
}

// do runs a program at the site that must succeed.
func (s site) do(program string, args ...string) string {
	s.t.Helper()
	return do(s.t, "ip", append([]string{"netns", "exec", s.name, program}, args...)...)
}

// wg runs the wg under test at the site.
func (s site) wg(args ...string) string { s.t.Helper(); return s.do(ourWG(), args...) }

// ping sends a packet until one is answered.
func (s site) ping(address string) {
	s.t.Helper()
	await(s.t, "ping "+address+" from "+s.name, func() bool {
		return s.try("ping", "-c", "1", "-W", "2", address).exit == 0
	})
}

// peer returns the fields of the only peer in the dump.
func (s site) peer() (p struct {
	endpoint            string
	handshake, received int
	sent                int
}) {
	s.t.Helper()
	_, line, _ := strings.Cut(s.wg("show", "wg0", "dump"), "\n")
	f := strings.Split(strings.TrimSpace(line), "\t")
	if len(f) != 8 {
		s.t.Fatalf("a peer of %d fields: %q", len(f), line)
	}
	p.endpoint = f[2]
	for i, n := range []*int{&p.handshake, &p.received, &p.sent} {
		var err error
		if *n, err = strconv.Atoi(f[4+i]); err != nil {
			s.t.Fatal(err)
		}
	}
	return p
}

// sites makes two sites, 192.0.2.1 and 192.0.2.2, with a tunnel between
// 10.9.0.1 and 10.9.0.2 (and fd09::1, fd09::2) that only wg set up. The first
// knows the second's endpoint, not the other way about.
func sites(t *testing.T) (one, two site) {
	t.Helper()
	one, two = site{t, "one"}, site{t, "two"}
	do(t, "ip", "netns", "add", one.name)
	do(t, "ip", "netns", "add", two.name)
	do(t, "ip", "-n", one.name, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", two.name)
	for i, s := range []site{one, two} {
		s.do("ip", "link", "set", "up", "lo")
		s.do("ip", "addr", "add", fmt.Sprintf("192.0.2.%d/24", i+1), "dev", "veth0")
		s.do("ip", "addr", "add", fmt.Sprintf("fd00::%d/64", i+1), "dev", "veth0", "nodad")
		s.do("ip", "link", "set", "up", "veth0")
		s.do("ip", "link", "add", "wg0", "type", "wireguard")
		s.do("ip", "addr", "add", fmt.Sprintf("10.9.0.%d/24", i+1), "dev", "wg0")
		s.do("ip", "addr", "add", fmt.Sprintf("fd09::%d/64", i+1), "dev", "wg0")
		s.do("ip", "link", "set", "up", "wg0")
		other := []site{two, one}[i]
		s.wg("set", "wg0", "listen-port", "51820", "private-key", write(t, private(s.name)),
			"peer", public(other.name), "preshared-key", write(t, private("psk")),
			"allowed-ips", fmt.Sprintf("10.9.0.%d,fd09::%d", 2-i, 2-i))
	}
	one.wg("set", "wg0", "peer", public(two.name), "endpoint", "192.0.2.2:51820")
	return one, two
}

// TestTunnel pings through a tunnel that `wg set` made, moves one end, and
// reconfigures under it.
func TestTunnel(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		one, two := sites(t)
		if p := two.peer(); p.handshake != 0 || p.endpoint != "(none)" {
			t.Fatalf("before the first packet: %+v", p)
		}
		before := int(time.Now().Unix())
		one.ping("10.9.0.2")
		one.ping("fd09::2")
		two.ping("10.9.0.1")

		for _, s := range []site{one, two} {
			p := s.peer()
			if p.handshake < before-1 || p.handshake > int(time.Now().Unix())+1 {
				t.Errorf("%s: handshake at %d, want from %d on", s.name, p.handshake, before)
			}
			if p.received == 0 || p.sent == 0 {
				t.Errorf("%s: %d bytes received, %d sent", s.name, p.received, p.sent)
			}
			pretty := s.wg("show", "wg0")
			for _, want := range []string{"\n  latest handshake: ", "\n  transfer: ", "\n  preshared key: "} {
				if !strings.Contains(pretty, want) {
					t.Errorf("%s: wg show lacks %q:\n%s", s.name, want, pretty)
				}
			}
		}
		if got := two.peer().endpoint; got != "192.0.2.1:51820" {
			t.Errorf("the endpoint that two learned is %s", got)
		}

		t.Log("one moves to another address, then to IPv6")
		one.do("ip", "addr", "del", "192.0.2.1/24", "dev", "veth0")
		one.do("ip", "addr", "add", "192.0.2.77/24", "dev", "veth0")
		one.ping("10.9.0.2")
		await(t, "the endpoint follows", func() bool { return two.peer().endpoint == "192.0.2.77:51820" })
		two.ping("10.9.0.1")
		one.wg("set", "wg0", "peer", public("two"), "endpoint", "[fd00::2]:51820")
		one.ping("10.9.0.2")
		await(t, "the endpoint follows to IPv6", func() bool { return two.peer().endpoint == "[fd00::1]:51820" })

		t.Log("reconfigured with what it has, the session goes on")
		was := two.peer()
		conf := write(t, two.wg("showconf", "wg0"))
		two.wg("syncconf", "wg0", conf)
		if is := two.peer(); is.handshake != was.handshake || is.endpoint != was.endpoint || is.received < was.received {
			t.Errorf("after syncconf %+v, before %+v", is, was)
		}
		one.ping("10.9.0.2")
		if is := two.peer(); is.handshake != was.handshake {
			t.Errorf("after syncconf a new handshake, at %d, before at %d", is.handshake, was.handshake)
		}
		two.wg("setconf", "wg0", conf) // this drops the peer first
		if is := two.peer(); is.handshake != 0 || is.received != 0 {
			t.Errorf("after setconf %+v, want no handshake and nothing received", is)
		}
		two.ping("10.9.0.1") // two knows the endpoint from the file

		t.Log("a peer that may not use an address gets nothing from it")
		two.wg("set", "wg0", "peer", public("one"), "allowed-ips", "fd09::1")
		if r := one.try("ping", "-c", "1", "-W", "1", "10.9.0.2"); r.exit == 0 {
			t.Error("an answer to an address that isn't allowed")
		}
		one.ping("fd09::2")
	})
}

// TestTunnelLikeDebian prints a device with live peers with both programs.
func TestTunnelLikeDebian(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		one, two := sites(t)
		one.ping("10.9.0.2")
		one.do("ip", "link", "set", "down", "veth0") // so that no packet comes in between
		for _, s := range []site{one, two} {
			for _, args := range [][]string{{}, {"show", "wg0"}, {"showconf", "wg0"}, {"show", "all", "dump"},
				{"show", "wg0", "latest-handshakes"}, {"show", "wg0", "transfer"}, {"show", "wg0", "endpoints"}} {
				var ours, debians string
				for range 10 { // a second may pass in between
					if ours, debians = s.wg(args...), s.do(*debianWG, args...); ours == debians {
						break
					}
				}
				same(t, s.name+": wg "+strings.Join(args, " "), ours, debians)
			}
		}
	})
}
