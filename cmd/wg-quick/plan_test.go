// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// steps returns the lines of changes in what wg-quick printed.
func steps(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		// Which device there is decides the first two, and only one of them is cut
		// out where both go to the same place.
		if strings.HasPrefix(line, "[#] ") && line != "[#] wg-quick-userspace wg0\n" && line != "[#] ip link add dev wg0 type wireguard\n" {
			b.WriteString(line)
		}
	}
	return b.String()
}

// asPlanned is wgQuick, after it was planned: that prints the same steps and
// changes nothing.
func (s *site) asPlanned(args ...string) result {
	s.t.Helper()
	before := s.state()
	plan := s.wgQuick(append([]string{"plan"}, args...)...)
	s.same(before)
	got := s.wgQuick(args...)
	if want := steps(got.err); steps(plan.out) != want || plan.status != got.status {
		s.t.Errorf("wg-quick %q: planned with exit status %d:\n%s%s\nwas done with %d:\n%s", args, plan.status, plan.out, plan.err, got.status, want)
	}
	return got
}

// A plan is what is done: for a tunnel of its own kind each, for what a crash
// left, and for what is refused.
func TestPlan(t *testing.T) {
	tests := map[string]struct{ own, allowed string }{
		"split":            {ordinary, "10.50.0.0/16, 10.7.0.9/32, fd60::/64, fd07::/64" + far},
		"single addresses": {"Address = 10.7.0.2/32, fd07::2/128", "10.7.0.0/24, fd07::2/128" + far},
		"full":             {fullOwn, "0.0.0.0/0, ::/0" + far},
		"two peers":        {"Address = 10.7.0.2/24\nMTU = 1300\nTable = 77", "10.50.0.0/16\nAllowedIPs = 10.60.0.0/16" + far + secondPeer},
		"hooks":            {ordinary + "\nPreUp = echo 1\nPostUp = echo 2\nPreDown = echo 3\nPostDown = echo 4", "10.50.0.0/16" + far},
		"kill switch":      {fullOwn + "\nKillSwitch = true\nPreUp = true", "0.0.0.0/0, ::/0" + far},
		"split and closed": {ordinary + "\nKillSwitch = lan\nMasquerade = wg0", "10.50.0.0/16" + far},
		"gateway":          {ordinary + "\nMasquerade = auto", "10.50.0.0/16" + far},
		"saved":            {ordinary + "\nSaveConfig = true", "10.50.0.0/16" + far},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isolated(t, func(s *site) {
				s.withResolvconf()
				before := s.state()
				path := s.file("wg0", tt.own, tt.allowed)
				if got := s.asPlanned("up", path); got.status != 0 {
					t.Fatalf("up: %+v", got)
				}
				s.asPlanned("up", path)
				s.asPlanned("reload", path)
				s.asPlanned("up", "--replace", path)
				s.asPlanned("down", "--no-hooks", path)
				s.same(before)
				s.asPlanned("down", path)
				s.asPlanned("up", "--replace", path)
				s.asPlanned("down", path)
				s.same(before)
			})
		})
	}
	t.Run("after a crash", func(t *testing.T) {
		isolated(t, func(s *site) {
			s.withResolvconf()
			before := s.state()
			path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0"+far)
			c := exec.Command(faultyName, "up", path)
			c.Env = append(append(os.Environ(), s.env...), faultsVariable+"=kills 12")
			if got := s.run(c); got.status == 0 {
				t.Fatalf("wg-quick wasn't killed: %+v", got)
			}
			s.asPlanned("reload", path)
			s.asPlanned("up", path)
			s.asPlanned("down", path)
			s.same(before)
		})
	})
}
