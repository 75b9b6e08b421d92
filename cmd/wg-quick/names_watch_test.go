// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The far end moves, its name's answer changes, and traffic flows again.
func TestWatchFollowsName(t *testing.T) {
	heedSignals(t)
	isolated(t, func(s *site) {
		names := s.withNames()
		there := s.farther()
		names.say("vpn.example", "192.0.2.1")
		path := s.toFar("vpn.example", "\n# Name = office")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		s.eventually("the tunnel works", s.pings)
		w := s.watching([]string{staleVariable + "=3s"}, impatientName, path, "--json")
		s.ip("-n " + there + " address delete 192.0.2.1/24 dev far")
		s.ip("-n " + there + " address add 192.0.2.9/24 dev far")
		if s.pings() {
			t.Error("the far end has moved, and answers all the same")
		}
		names.say("vpn.example", "192.0.2.9")
		w.await(`"event":"endpoint"`, `"endpoint":"192.0.2.9:51820"`, `"peer":"`+farKey(t)+`"`, `"name":"office"`)
		s.eventually("the tunnel works again", s.pings)
		w.stop()
		for _, line := range w.said() {
			asDocumented(t, line, map[string]string{"": "watch: an event"})
		}
		if got := s.wgQuick("down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
	})
}

// The address that is looked up first can't be reached, the other one can.
func TestWatchTriesAddresses(t *testing.T) {
	heedSignals(t)
	isolated(t, func(s *site) {
		s.withResolvconf() // and so IPv6
		names := s.withNames()
		s.farther()
		names.say("vpn.example", "2001:db8:1::77", "192.0.2.1")
		path := s.toFar("vpn.example", "")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		if got := s.endpoint(farKey(t)); got != "[2001:db8:1::77]:51820" {
			t.Fatalf("after up it is at %s", got)
		}
		// The device tries an address every 5 seconds.
		w := s.watching([]string{patienceVariable + "=8s"}, impatientName, path)
		w.await("answers at 192.0.2.1:51820")
		s.eventually("the tunnel works", s.pings)
		w.stop()
		if got := s.endpoint(farKey(t)); got != "192.0.2.1:51820" {
			t.Errorf("it is at %s", got)
		}
		s.wgQuick("down", path)
	})
}

// Whom the far end roams from is left alone, while another peer's name is looked
// up and its addresses are tried.
func TestWatchLeavesRoamed(t *testing.T) {
	heedSignals(t)
	isolated(t, func(s *site) {
		names := s.withNames()
		there := s.farther()
		names.say("vpn.example", "192.0.2.1")
		names.say("other.example", "192.0.2.50", "192.0.2.51")
		path := s.toFar("vpn.example", "\n[Peer]\nPublicKey = "+secondKey+"\nPersistentKeepalive = 1\nEndpoint = other.example:51820")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		s.eventually("the tunnel works", s.pings)
		s.ip("-n " + there + " address delete 192.0.2.1/24 dev far")
		s.ip("-n " + there + " address add 192.0.2.9/24 dev far")
		// What the far end sends tells where it is.
		s.eventually("the far end is where it roamed to", func() bool {
			s.sh("ip netns exec there ping -c1 -W1 10.9.0.2 || true")
			return s.endpoint(farKey(t)) == "192.0.2.9:51820"
		})
		names.say("vpn.example", "192.0.2.33")
		w := s.watching(nil, impatientName, path)
		s.eventually("the other peer's addresses are tried", func() bool { return w.count(secondKey, "now at") >= 4 })
		if n := w.count(farKey(t)); n > 0 {
			t.Errorf("it said %q", w.said())
		}
		if got := s.endpoint(farKey(t)); got != "192.0.2.9:51820" {
			t.Errorf("the peer that roamed is at %s", got)
		}
		if !s.pings() {
			t.Error("the tunnel doesn't work any more")
		}
		w.stop()
		s.wgQuick("down", path)
	})
}

// At boot no name server answers: up doesn't wait, and the endpoint comes later,
// by watch or by reresolve.
func TestDeferredNames(t *testing.T) {
	heedSignals(t)
	for _, by := range []string{"watch", "reresolve"} {
		t.Run(by, func(t *testing.T) {
			isolated(t, func(s *site) {
				names := s.withNames()
				s.farther()
				path := s.toFar("vpn.example", "")
				s.env = append(s.env, "WG_ENDPOINT_RESOLUTION_RETRIES=infinity") // as the unit has it
				got := s.wgQuick("up", "--defer-names", path)
				if said := got.said(); got.status != 0 || len(said) != 1 ||
					!strings.HasSuffix(said[0], "wg0.conf:8:12: Endpoint: can't be resolved (Temporary failure in name resolution: `vpn.example:51820'). The peer has no endpoint until `wg-quick watch' or `wg-quick reresolve' finds one.") {
					t.Fatalf("up: %+v", got)
				}
				if at := s.endpoint(farKey(t)); at != "(none)" {
					t.Errorf("it is at %s", at)
				}
				if by == "watch" {
					w := s.watching(nil, impatientName, path)
					w.await("Temporary failure in name resolution: `vpn.example:51820'")
					names.say("vpn.example", "192.0.2.1")
					w.await("no endpoint yet: now at 192.0.2.1:51820")
					s.eventually("the tunnel works", s.pings)
					w.stop()
				} else {
					s.env = append(s.env, "WG_ENDPOINT_RESOLUTION_RETRIES=0")
					s.expect(s.wgQuick("reresolve", path), result{status: 1, err: "Temporary failure in name resolution: `vpn.example:51820'\nConfiguration parsing error\n" +
						"DIR/wg0.conf:8:12: Endpoint: can't be resolved\nhint: no name server answered for \"vpn.example\": is the network up, and is /etc/resolv.conf right?\n"})
					names.say("vpn.example", "192.0.2.1")
					set := "[#] wg set wg0 peer " + farKey(t) + " endpoint 192.0.2.1:51820\n"
					s.expect(s.wgQuick("reresolve", "--dry-run", path), result{out: set})
					s.expect(s.wgQuick("reresolve", path), result{err: set})
					s.eventually("the tunnel works", s.pings)
					// It is in touch: another answer doesn't matter.
					names.say("vpn.example", "192.0.2.33")
					s.expect(s.wgQuick("reresolve", path), result{})
				}
				s.wgQuick("down", path)
				s.expect(s.wgQuick("reresolve", path), result{status: 1, err: "wg-quick: `wg0' is not a WireGuard interface\nhint: `wg show interfaces' lists those that there are\n"})
			})
		})
	}
}

// Without the flag, names that can't be looked up are an error, as ever.
func TestNamesAreNeeded(t *testing.T) {
	isolated(t, func(s *site) {
		s.withNames()
		before := s.state()
		s.env = append(s.env, "WG_ENDPOINT_RESOLUTION_RETRIES=0")
		if got := s.wgQuick("up", s.toFar("vpn.example", "")); got.status != 1 {
			t.Errorf("up: %+v", got)
		}
		s.same(before)
	})
}

// Tunnels come and go, and so does the directory of their records. A watch of one
// ends with it, one of all doesn't.
func TestWatchTunnels(t *testing.T) {
	heedSignals(t)
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary, "10.50.0.0/16")
		s.expect(s.wgQuick("watch", path), result{status: 1, err: "wg-quick: `wg0' is not up\nhint: `wg-quick up wg0' brings it up\n"})
		s.expect(s.wgQuick("watch", s.dir+"/wg7.conf"), result{status: 1, err: "wg-quick: `DIR/wg7.conf' does not exist\n"})
		all := s.watchingAll()
		for range 2 {
			n := all.count("wg0: watched")
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			s.eventually("it is watched", func() bool { return all.count("wg0: watched") > n })
			one := s.watching(nil, "wg-quick", path)
			if got := s.wgQuick("down", path); got.status != 0 {
				t.Fatalf("down: %+v", got)
			}
			one.ends(0)
			s.eventually("it is told that it is gone", func() bool { return all.count("wg0: not up any more") > n })
		}
		all.stop()
		if got := all.said(); len(got) != 4 {
			t.Errorf("it said %q", got)
		}
	})
}

// watchingAll starts a watch of all tunnels, while there are none, and tells when
// it is ready as it tells systemd.
func (s *site) watchingAll() *watcher {
	s.t.Helper()
	socket := filepath.Join(s.dir, "notify")
	conn := listenUnixgram(s.t, socket)
	w := s.startWatch([]string{"NOTIFY_SOCKET=" + socket}, "wg-quick", "--all")
	b := make([]byte, 100)
	n, err := conn.Read(b)
	if err != nil || string(b[:n]) != "READY=1" {
		s.t.Fatalf("it told %q, %v", b[:n], err)
	}
	return w
}

// The memory of one that has nothing to do.
func TestWatchMemory(t *testing.T) {
	heedSignals(t)
	isolated(t, func(s *site) {
		names := s.withNames()
		s.farther()
		names.say("vpn.example", "192.0.2.1")
		path := s.toFar("vpn.example", "")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		s.eventually("the tunnel works", s.pings)
		w := s.watching(nil, "wg-quick", path)
		s.eventually("the name was looked up", func() bool { names.mu.Lock(); defer names.mu.Unlock(); return names.queries >= 4 })
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		kib := 0
		for line := range strings.Lines(string(text)) {
			fmt.Sscanf(line, "VmRSS: %d kB", &kib)
			if slices.Contains([]string{"VmRSS", "VmHWM", "RssAnon", "Threads"}, strings.Split(line, ":")[0]) {
				t.Log(strings.TrimSpace(line))
			}
		}
		if kib == 0 || kib > 200<<10 {
			t.Errorf("it takes %d KiB", kib)
		}
		w.stop()
		s.wgQuick("down", path)
	})
}
