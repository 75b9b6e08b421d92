// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// unimportant is what a reload may leave otherwise than a new start: ports that
// were chosen by chance, and how far down rules stand.
var unimportant = regexp.MustCompile(`(?m)^.*(fe80|ff00|wgtools|/run/wireguard|resolvconf\.log|Failed to send).*\n|(if|link)index \d+|^\d+: |valid_lft.*|qlen \d+|tun type.*| secondary|link/ether \S+`)

// sorted is the state of a site in a form that only depends on what there is.
func (s *site) sorted() []string {
	// What leads into a full tunnel changes its table where it can't be changed
	// in place.
	state := strings.ReplaceAll(s.state(), "table 51821", "table 51820")
	state = strings.ReplaceAll(state, "lookup 51821", "lookup 51820")
	lines := strings.Split(unimportant.ReplaceAllString(state, ""), "\n")
	for i, line := range lines {
		lines[i] = regexp.MustCompile(`^\d+:`).ReplaceAllString(strings.TrimSpace(line), "")
	}
	out, err := exec.Command("wg", "show", "wg0", "dump").Output()
	if err != nil {
		s.t.Error(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) > 7 { // without the counters
			fields = append(fields[:4:4], fields[7])
		}
		lines = append(lines, strings.Join(fields, " "))
	}
	text, _ := os.ReadFile("/run/resolvconf/wg0")
	lines = append(lines, strings.Split(string(text), "\n")...)
	slices.Sort(lines)
	return lines
}

func difference(a, b []string) (only []string) {
	for _, line := range a {
		if !slices.Contains(b, line) {
			only = append(only, line)
		}
	}
	return only
}

const far = "\nEndpoint = 203.0.113.7:51820\n"

const secondPeer = "\n[Peer]\nPublicKey = 40JFsHR9s1QnHnjK1TOQsROhFB6Nf2e3BFZ1Q54boys=\nAllowedIPs = 10.60.0.0/16, fd60::/32\n"

// A reload from any of these files to any other leaves what a new start with
// the latter leaves, and so does the way back.
func TestReload(t *testing.T) {
	files := []struct{ name, own, allowed string }{
		{"split", ordinary, "10.50.0.0/16, 10.7.0.9/32" + far},
		{"split, other addresses", "Address = 10.7.0.3/24, 10.8.0.1/32\nListenPort = 40123", "10.51.0.0/16" + far},
		{"two peers", ordinary + "\nMTU = 1300", "10.50.0.0/16" + far + secondPeer},
		{"a table", ordinary + "\nTable = 1234", "10.50.0.0/16, 0.0.0.0/0" + far},
		{"the main table", ordinary + "\nTable = main", "10.50.0.0/16, 10.52.0.0/16" + far},
		{"no routes", ordinary + "\nTable = off", "10.50.0.0/16, 0.0.0.0/0" + far},
		{"full", fullOwn, "0.0.0.0/0, ::/0" + far},
		{"full, IPv4", "Address = 10.7.0.2/32\nListenPort = 40123", "0.0.0.0/0" + far},
		{"full, own mark", fullOwn + "\nFwMark = 0x1234", "0.0.0.0/0, ::/0" + far + secondPeer},
		{"full, but", fullOwn, "0.0.0.0/0, ::/0, 10.50.0.0/16\nExcludedIPs = 192.168.0.0/16, 203.0.113.0/24, fc00::/8" + far},
		{"full, but less", fullOwn, "0.0.0.0/0, ::/0\nExcludedIPs = 192.168.0.0/16" + far},
		{"full, other servers", strings.Replace(fullOwn, "10.7.0.1", "10.7.0.9", 1), "0.0.0.0/0, ::/0" + far},
	}
	states := map[string][]string{}
	for _, f := range files {
		isolated(t, func(s *site) {
			s.withResolvconf()
			path := s.file("wg0", f.own, f.allowed)
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			states[f.name] = s.sorted()
			if got := s.wgQuick("reload", path); got.status != 0 || got.err != "" {
				t.Errorf("a reload of %q changed something: %+v", f.name, got)
			}
			s.wgQuick("down", path)
		})
	}
	for _, from := range files {
		t.Run(from.name, func(t *testing.T) {
			t.Parallel()
			isolated(t, func(s *site) {
				s.withResolvconf()
				before := s.state()
				path := s.file("wg0", from.own, from.allowed)
				if got := s.wgQuick("up", path); got.status != 0 {
					t.Fatalf("up: %+v", got)
				}
				for _, to := range files {
					if from.name != to.name && strings.Contains(from.name+to.name, "own mark") && strings.HasPrefix(from.name, "full") && strings.HasPrefix(to.name, "full") {
						continue // a mark that was named once is kept: any does
					}
					for _, f := range []struct{ name, own, allowed string }{to, from} {
						s.file("wg0", f.own, f.allowed)
						said := s.asPlanned("reload", path)
						if said.status != 0 {
							t.Errorf("reload to %q: %+v", f.name, said)
						}
						got, want := s.sorted(), states[f.name]
						if more, less := difference(got, want), difference(want, got); len(more)+len(less) > 0 {
							t.Errorf("from %q to %q:\nthere is more than after up:\n  %s\nthere is less:\n  %s\nit said\n%s", from.name, to.name,
								strings.Join(more, "\n  "), strings.Join(less, "\n  "), said.err)
						}
					}
				}
				if got := s.wgQuick("down", path); got.status != 0 {
					t.Errorf("down: %+v", got)
				}
				s.same(before)
			})
		})
	}
}

// The mark and the port that were chosen at run time are kept, or put back if
// somebody cleared them.
func TestReloadKeepsWhatTheFileDoesNotName(t *testing.T) {
	isolated(t, func(s *site) {
		s.withResolvconf()
		before := s.state()
		path := s.file("wg0", strings.Replace(fullOwn, "ListenPort = 40123", "", 1), "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:51820")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		during := s.sorted()
		for _, clear := range []string{"0", "51820"} {
			if out, err := exec.Command("wg", "set", "wg0", "fwmark", clear).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if got := s.wgQuick("reload", path); got.status != 0 {
				t.Errorf("reload: %+v", got)
			}
			if got := s.sorted(); !slices.Equal(got, during) {
				t.Errorf("now there is\n%q\nbefore there was\n%q", difference(got, during), difference(during, got))
			}
		}
		s.wgQuick("down", path)
		s.same(before)
	})
}

// A preshared key that a hook sets isn't in the file, and stays; one that the
// file had goes with its line.
func TestReloadPresharedKey(t *testing.T) {
	const set = `PostUp = wg set %i peer oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs= preshared-key <(echo 0MCx+JR3vXNDsntA4WlDeki8EkW5vdj2QudEq39TC3M=)`
	isolated(t, func(s *site) {
		for _, own := range []string{ordinary + "\n" + set, ordinary} {
			path := s.file("wg0", own, "10.50.0.0/16")
			if own == ordinary {
				s.file("wg0", own, "10.50.0.0/16\nPresharedKey = 0MCx+JR3vXNDsntA4WlDeki8EkW5vdj2QudEq39TC3M=")
			}
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			s.file("wg0", own+"\nMTU = 1300", "10.51.0.0/16")
			if got := s.wgQuick("reload", path); got.status != 0 {
				t.Errorf("reload: %+v", got)
			}
			out, err := exec.Command("wg", "show", "wg0", "preshared-keys").Output()
			if err != nil {
				t.Fatal(err)
			}
			if none := strings.Contains(string(out), "(none)"); none != (own == ordinary) {
				t.Errorf("with\n%s\nthere is no preshared key after the reload: %v", own, none)
			}
			s.wgQuick("down", path)
		}
	})
}

// Addresses that a hook, or somebody by hand, gave to the link stay, also where
// those of the file change; and so do those of a tunnel of the original's.
func TestReloadLeavesOtherAddresses(t *testing.T) {
	const own, other = "Address = 10.7.0.2/24, fd07::2/64", "Address = 10.7.0.3/24, fd07::3/64"
	for _, record := range []bool{true, false} {
		isolated(t, func(s *site) {
			path := s.file("wg0", own+"\nPostUp = ip address add 10.7.0.99/24 dev %i; ip address add fd99::1/64 dev %i", "10.50.0.0/16")
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			want := []string{"10.7.0.3/24", "10.7.0.99/24", "fd07::3/64", "fd99::1/64"}
			if !record {
				if err := os.RemoveAll(runDir); err != nil {
					t.Fatal(err)
				}
				want = append(want, "10.7.0.2/24", "fd07::2/64")
			}
			s.file("wg0", other, "10.50.0.0/16")
			if got := s.wgQuick("reload", path); got.status != 0 {
				t.Errorf("reload: %+v", got)
			}
			slices.Sort(want)
			got := regexp.MustCompile(`\b(10\.|fd)[.:0-9a-f]+/\d+`).FindAllString(s.ip("-o address show dev wg0 scope global"), -1)
			slices.Sort(got)
			if !slices.Equal(got, want) {
				t.Errorf("with a record: %v: the addresses are %q, want %q", record, got, want)
			}
			s.wgQuick("down", path)
		})
	}
}

// A reload that fails, here at a route that is there already, changes nothing.
func TestReloadFails(t *testing.T) {
	isolated(t, func(s *site) {
		s.withResolvconf()
		path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:51820")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		during, record := s.sorted(), s.read(newJournal(runDir).path("wg0"))
		s.file("wg0", "Address = 10.8.0.2/24, fd07::2/64\nMTU = 1300\nDNS = 10.8.0.1", "10.50.0.0/16, 192.0.2.0/24"+secondPeer)
		if got := s.wgQuick("reload", path); got.status != 1 || !strings.Contains(got.err, "RTNETLINK answers: File exists\n") {
			t.Errorf("reload: %+v", got)
		}
		if got := s.sorted(); !slices.Equal(got, during) {
			t.Errorf("now there is\n%q\nbefore there was\n%q", difference(got, during), difference(during, got))
		}
		if got := s.read(newJournal(runDir).path("wg0")); got != record {
			t.Errorf("the record is now\n%s\nbefore it was\n%s", got, record)
		}
		s.wgQuick("down", path)
		if got := s.wgQuick("reload", path); got.status != 1 || !strings.Contains(got.err, "is not a WireGuard interface") {
			t.Errorf("reload of a tunnel that is down: %+v", got)
		}
	})
}

func (s *site) read(path string) string {
	s.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// Others may have taken away what is the tunnel's: a reload puts it back, and
// nothing leaves in clear while it does.
func TestReloadRepairs(t *testing.T) {
	for name, take := range map[string]struct {
		commands []string
		leaks    bool // until the reload
	}{
		// This is what the original does as another tunnel goes.
		"the rules for the local network": {[]string{"ip -4 rule delete table main suppress_prefixlength 0", "ip -6 rule delete table main suppress_prefixlength 0"}, false},
		"one family's":                    {[]string{"ip -4 rule delete table main suppress_prefixlength 0"}, false},
		"the rules to the table":          {[]string{"ip -4 rule delete table 51820", "ip -6 rule delete table 51820"}, true},
		"the default routes":              {[]string{"ip -4 route flush table 51820", "ip -6 route flush table 51820"}, true},
		"the packet filter":               {[]string{"nft flush ruleset"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			isolated(t, func(s *site) {
				w := s.watched()
				before := s.state()
				path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0"+far)
				if got := s.wgQuick("up", path); got.status != 0 {
					t.Fatalf("up: %+v", got)
				}
				for _, c := range take.commands {
					if out, err := exec.Command("bash", "-c", c).CombinedOutput(); err != nil {
						t.Fatalf("%s: %v\n%s", c, err, out)
					}
				}
				w.await()
				reload := during(func() {
					if got := s.wgQuick("reload", path); got.status != 0 {
						t.Errorf("reload: %+v", got)
					}
				})
				after := during(w.await)
				for dst, want := range map[string]string{
					"203.0.113.99": "dev wg0", "2001:db8:ffff::1": "dev wg0", "192.0.2.77": "dev uplink", "2001:db8:2::1": "dev uplink",
				} {
					if got := s.ip("route get " + dst); !strings.Contains(got, want) {
						t.Errorf("the way to %s is %s, want %s", dst, got, want)
					}
				}
				if got := s.wgQuick("down", path); got.status != 0 {
					t.Errorf("down: %+v", got)
				}
				w.end()
				if !take.leaks {
					after.from = reload.from
				}
				if n := w.clear(inner4, after) + w.clear(inner6, after); n > 0 {
					t.Errorf("%g packets left in clear", n)
				}
				s.same(before)
			})
		})
	}
}

// What is to go may be gone already.
func TestReloadOfWhatIsGone(t *testing.T) {
	needOriginal(t) // and so nft
	for allowed, filter := range map[string]string{"10.50.0.0/16": "", "0.0.0.0/0": "table ip wg-quick-wg0"} {
		isolated(t, func(s *site) {
			s.withResolvconf()
			before := s.state()
			path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0"+far)
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			for _, c := range []string{"nft flush ruleset", "ip -6 rule delete table 51820", "ip -4 rule delete table 51820", "resolvconf -d wg0"} {
				c := exec.Command("bash", "-c", c)
				c.Env = append(os.Environ(), s.env...)
				if out, err := c.CombinedOutput(); err != nil {
					t.Fatalf("%v: %v\n%s", c, err, out)
				}
			}
			s.file("wg0", ordinary, allowed+far)
			if got := s.wgQuick("reload", path); got.status != 0 {
				t.Errorf("reload to %s: %+v", allowed, got)
			}
			out, err := exec.Command("nft", "list", "tables").Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != filter {
				t.Errorf("reload to %s: the packet filter has %q, %v; want %q", allowed, got, err, filter)
			}
			if got := s.ip("-6 rule show"); strings.Contains(got, "5182") || strings.Contains(got, "suppress") {
				t.Errorf("reload to %s: of IPv6's rules there are %s", allowed, got)
			}
			s.wgQuick("down", path)
			s.same(before)
		})
	}
}
