// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	firstKey  = "oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs="
	secondKey = "40JFsHR9s1QnHnjK1TOQsROhFB6Nf2e3BFZ1Q54boys="
	thirdKey  = "aPvsA0K9LN7SLLhFhFFkTYqXIHpRsGJzXUVgXBE6ByE="
)

// sh runs a command line on the site.
func (s *site) sh(line string) string {
	s.t.Helper()
	c := exec.Command("sh", "-ec", line)
	c.Dir, c.Env = s.dir, append(os.Environ(), s.env...)
	out, err := c.CombinedOutput()
	if err != nil {
		s.t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// said returns what wg-quick said beside its steps.
func (r result) said() (lines []string) {
	for line := range strings.Lines(r.err) {
		if strings.HasPrefix(line, "[!] ") {
			lines = append(lines, strings.TrimSpace(strings.TrimPrefix(line, "[!] ")))
		}
	}
	return lines
}

// What others changed is told and put right, or told and kept.
func TestReloadDrift(t *testing.T) {
	split := [2]string{ordinary, "10.50.0.0/16, 10.7.0.9/32" + far + secondPeer}
	full := [2]string{fullOwn, "0.0.0.0/0, ::/0" + far}
	tests := map[string]struct {
		file   [2]string
		by     string // what others did
		want   string // "; " between what is told
		always bool   // put right also with --keep-runtime
	}{
		"nothing":           {file: split, by: "true"},
		"a peer goes":       {file: split, by: "wg set wg0 peer " + secondKey + " remove", want: "peer " + secondKey + ", removed"},
		"all peers go":      {file: split, by: "wg set wg0 peer " + secondKey + " remove peer " + firstKey + " remove", want: "peer " + firstKey + ", removed; peer " + secondKey + ", removed"},
		"a peer comes":      {file: split, by: "wg set wg0 peer " + thirdKey + " allowed-ips 10.99.0.0/16", want: "peer " + thirdKey + ", added"},
		"a peer changes":    {file: split, by: "wg set wg0 peer " + secondKey + " persistent-keepalive 7", want: "peer " + secondKey + ", other settings"},
		"its allowed IPs":   {file: split, by: "wg set wg0 peer " + secondKey + " allowed-ips 10.60.0.0/16", want: "peer " + secondKey + ", other settings"},
		"another port":      {file: split, by: "wg set wg0 listen-port 40999", want: "the port, 40999 instead of 40123"},
		"another key":       {file: split, by: "wg genkey >key; wg set wg0 private-key key", want: "the private key"},
		"an address goes":   {file: split, by: "ip address delete fd07::2/64 dev wg0", want: "address fd07::2/64, removed"},
		"an address comes":  {file: split, by: "ip address add 10.77.0.2/24 dev wg0", want: "address 10.77.0.2/24, added"},
		"another MTU":       {file: split, by: "ip link set mtu 1300 dev wg0", want: "the MTU, 1300 instead of 1420"},
		"a route goes":      {file: split, by: "ip route delete 10.50.0.0/16 dev wg0", want: "route 10.50.0.0/16, removed"},
		"a route comes":     {file: split, by: "ip route add 10.98.0.0/16 dev wg0", want: "route 10.98.0.0/16, added"},
		"a rule goes":       {file: full, by: "ip rule delete not fwmark 51820 table 51820", want: "the rules of the default route, removed", always: true},
		"the rules go":      {file: full, by: "ip -6 rule delete not fwmark 51820 table 51820; ip -6 rule delete table main suppress_prefixlength 0", want: "the rules of the default route, removed", always: true},
		"the firewall goes": {file: full, by: "nft flush ruleset", want: "the packet filter's rules, removed", always: true},
		"the servers go":    {file: full, by: "resolvconf -d wg0 -f", want: "the name servers, removed", always: true},
		"the mark goes":     {file: full, by: "wg set wg0 fwmark 0", want: "the fwmark, 0x0 instead of 0xca6c", always: true},
		"the sysctl":        {file: full, by: "echo 0 >/proc/sys/net/ipv4/conf/all/src_valid_mark", want: "net.ipv4.conf.all.src_valid_mark, no longer 1", always: true},
	}
	for name, tt := range tests {
		for _, keep := range []bool{false, true} {
			t.Run(name+map[bool]string{true: ", kept"}[keep], func(t *testing.T) {
				t.Parallel()
				isolated(t, func(s *site) {
					s.withResolvconf()
					before := s.state()
					path := s.file("wg0", tt.file[0], tt.file[1])
					if got := s.wgQuick("up", path); got.status != 0 {
						t.Fatalf("up: %+v", got)
					}
					up := s.sorted()
					s.sh(tt.by)
					changed := s.sorted()
					// Whether the peer should answer is chance.
					status := s.wgQuick("status", "--json", path)
					same := strings.Contains(status.out, `"edits":[],"reload":[]`)
					if same != (tt.want == "") || status.err != "" || same == (status.status == 3) && status.status != 5 {
						t.Errorf("status says %+v", status)
					}
					args, want, becomes := []string{"reload", path}, up, " Put right."
					if keep {
						args = append(args, "--keep-runtime")
						if !tt.always {
							want, becomes = changed, " Kept."
						}
					}
					got := s.asPlanned(args...)
					var told []string
					if tt.want != "" {
						for _, what := range strings.Split(tt.want, "; ") {
							told = append(told, "Changed by others: "+what+"."+becomes)
						}
					}
					if said := got.said(); !slices.Equal(said, told) || got.status != 0 {
						t.Errorf("it said %q, want %q; all:\n%+v", said, told, got)
					}
					after := s.sorted()
					if more, less := difference(after, want), difference(want, after); len(more)+len(less) > 0 {
						t.Errorf("there is more than wanted:\n  %s\nless:\n  %s\nit said\n%s", strings.Join(more, "\n  "), strings.Join(less, "\n  "), got.err)
					}
					// Told once more if it was kept, and not if not; then all is well.
					told2 := s.wgQuick("reload", path).said()
					if again := keep && !tt.always && tt.want != ""; again != (len(told2) > 0) {
						t.Errorf("the next reload said %q", told2)
					}
					if got := s.sorted(); len(difference(got, up))+len(difference(up, got)) > 0 {
						t.Errorf("after the next reload there is\n  %s\ninstead of\n  %s", strings.Join(difference(got, up), "\n  "), strings.Join(difference(up, got), "\n  "))
					}
					if got := s.wgQuick("down", path); got.status != 0 {
						t.Errorf("down: %+v", got)
					}
					if name != "the firewall goes" {
						s.same(before)
					}
				})
			})
		}
	}
}

// A peer stays where it roamed to, until its file has another endpoint.
func TestReloadRoamed(t *testing.T) {
	isolated(t, func(s *site) {
		s.withResolvconf()
		path := s.file("wg0", ordinary, "10.50.0.0/16"+far)
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		endpoint := func() string { return strings.Fields(s.sh("wg show wg0 endpoints"))[1] }
		s.sh("wg set wg0 peer " + firstKey + " endpoint 192.0.2.77:1234")
		s.file("wg0", ordinary+"\nMTU = 1300", "10.50.0.0/16, 10.51.0.0/16"+far)
		for range 2 {
			if got := s.wgQuick("reload", path); got.status != 0 || len(got.said()) > 0 {
				t.Fatalf("reload: %+v", got)
			}
			if got := endpoint(); got != "192.0.2.77:1234" {
				t.Errorf("after a reload the peer is at %s", got)
			}
		}
		s.file("wg0", ordinary, "10.50.0.0/16"+strings.Replace(far, ".7:", ".8:", 1))
		if got := s.wgQuick("reload", path); got.status != 0 {
			t.Fatalf("reload: %+v", got)
		}
		if got := endpoint(); got != "203.0.113.8:51820" {
			t.Errorf("the file says 203.0.113.8, but the peer is at %s", got)
		}
		s.wgQuick("down", path)
	})
}

// A reload doesn't run hooks, and says so if they are others than at up.
func TestReloadHooks(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary+"\nPostUp = true", "10.50.0.0/16")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		if got := s.wgQuick("reload", path); len(got.said()) > 0 {
			t.Errorf("with the same hooks it said %q", got.said())
		}
		s.file("wg0", ordinary+"\nPostUp = touch ran\nPreDown = touch ran", "10.50.0.0/16")
		for range 2 {
			got := s.wgQuick("reload", path)
			want := []string{
				path + ": PostUp isn't what it was when the tunnel came up. A reload runs no hooks.",
				path + ": PreDown isn't what it was when the tunnel came up. A reload runs no hooks.",
			}
			for i := range want {
				want[i] = strings.ReplaceAll(want[i], s.dir, "DIR")
			}
			if !slices.Equal(got.said(), want) || got.status != 0 {
				t.Errorf("it said %q, want %q", got.said(), want)
			}
			if exists(s.dir + "/ran") {
				t.Error("a hook ran")
			}
		}
		s.wgQuick("down", path)
	})
}

// A link that somebody set down comes up again with all that went by that.
func TestReloadLinkDown(t *testing.T) {
	for _, file := range [][2]string{{ordinary, "10.50.0.0/16" + far}, {fullOwn, "0.0.0.0/0, ::/0" + far}} {
		isolated(t, func(s *site) {
			s.withResolvconf()
			path := s.file("wg0", file[0], file[1])
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			up := s.sorted()
			s.ip("link set wg0 down")
			got := s.wgQuick("reload", path)
			if got.status != 0 {
				t.Errorf("reload: %+v", got)
			}
			after := s.sorted()
			if more, less := difference(after, up), difference(up, after); len(more)+len(less) > 0 {
				t.Errorf("there is more than wanted:\n  %s\nless:\n  %s\nit said\n%s", strings.Join(more, "\n  "), strings.Join(less, "\n  "), got.err)
			}
			s.wgQuick("down", path)
		})
	}
}
