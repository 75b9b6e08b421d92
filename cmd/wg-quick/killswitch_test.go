// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The streams of a kill switch's watch that lan is for, to local networks by their
// private addresses. Two more follow: to a resolver there, and to a private address
// behind the tunnel.
const (
	private4 = old6 + 1 + iota
	private6
)

// A siege is a site with a full tunnel that has a kill switch, watched.
type siege struct {
	*site
	w      *watch
	path   string
	phases []phase
}

// A phase is a time of the watch, and what was done in it.
type phase struct {
	name string
	span
}

// besieged starts one. The tunnel's file has own, too.
func (s *site) besieged(own string) *siege {
	s.t.Helper()
	s.withResolvconf()
	s.ip("address add 10.99.0.2/24 dev uplink")
	s.ip("address add fd99::2/64 dev uplink nodad")
	for !strings.Contains(s.ip("-6 route show table local"), "fd99::2") {
		time.Sleep(time.Millisecond)
	}
	for _, to := range []string{"192.0.2.1", "192.0.2.77", "2001:db8:1::1", "2001:db8:1::77", "10.99.0.77", "fd99::77"} {
		s.ip("neigh replace " + to + " lladdr 02:00:00:00:00:01 dev uplink nud permanent")
	}
	g := &siege{site: s, path: s.file("wg0", fullOwn+"\nPreUp = true\nPostUp = true\nPreDown = true\nPostDown = true\n"+own, "0.0.0.0/0, ::/0, 10.50.0.0/16"+far)}
	g.w = s.watches([]*stream{
		{name: "IPv4", to: netip.MustParseAddrPort("198.51.100.9:9")},
		{name: "IPv6", to: netip.MustParseAddrPort("[2001:db8:ffff::9]:9")},
		{name: "IPv4, the same network", to: netip.MustParseAddrPort("192.0.2.77:9")},
		{name: "IPv6, the same network", to: netip.MustParseAddrPort("[2001:db8:1::77]:9")},
		{name: "DNS", to: netip.MustParseAddrPort("192.0.2.77:53")},
		{name: "IPv4, connected", to: netip.MustParseAddrPort("198.51.100.9:9"), old: true},
		{name: "IPv6, connected", to: netip.MustParseAddrPort("[2001:db8:ffff::9]:9"), old: true},
		{name: "IPv4, local", to: netip.MustParseAddrPort("10.99.0.77:9")},
		{name: "IPv6, local", to: netip.MustParseAddrPort("[fd99::77]:9")},
		{name: "DNS, local", to: netip.MustParseAddrPort("10.99.0.77:53")},
		{name: "IPv4, private behind the tunnel", to: netip.MustParseAddrPort("10.7.0.77:9")},
	})
	return g
}

// phase notes what f does.
func (g *siege) phase(name string, f func()) {
	g.t.Helper()
	g.phases = append(g.phases, phase{name, during(func() { f(); g.w.await() })})
}

// program is wg-quick with faults; the exit status of what was killed is -1.
func (g *siege) program(faults string, args ...string) result {
	g.t.Helper()
	c := exec.Command(faultyName, args...)
	c.Dir = g.dir
	c.Env = slices.Concat(os.Environ(), g.env, []string{faultsVariable + "=" + faults})
	return g.run(c)
}

func (g *siege) works(args ...string) {
	g.t.Helper()
	if got := g.program("", args...); got.status != 0 {
		g.t.Fatalf("%s: %+v", args, got)
	}
}

// steps returns the names of the steps of a run that works.
func (g *siege) steps(args ...string) []string {
	g.t.Helper()
	path := filepath.Join(g.dir, "steps")
	c := exec.Command(faultyName, args...)
	c.Dir = g.dir
	c.Env = slices.Concat(os.Environ(), g.env, []string{stepsVariable + "=" + path})
	if got := g.run(c); got.status != 0 {
		g.t.Fatalf("%s: %+v", args, got)
	}
	return strings.Fields(g.read(path))
}

// killed runs a command again and again, each time up to one more step, until
// it is through; first is the first step after which it is killed. before is
// called before each.
func (g *siege) killed(kind string, first, last int, before func(), args ...string) {
	g.t.Helper()
	for n := first; n <= last; n++ {
		before()
		if got := g.program(fmt.Sprintf("%s %d", kind, n), args...); got.status == 0 || strings.Contains(got.err, "`wg0' already exists\n") {
			return
		} else if got.status != -1 {
			g.t.Fatalf("%s with %s %d: %+v", args, kind, n, got)
		}
	}
}

// killDevice kills the device's process or, if it is the kernel's, deletes the
// link.
func (g *siege) killDevice() {
	g.t.Helper()
	if hasKernelDevice() {
		g.ip("link delete wg0")
		return
	}
	g.killDevices()
	for strings.Contains(g.ip("-o link show"), " wg0:") {
		time.Sleep(time.Millisecond)
	}
}

// table prints how many packets of each stream were sent and left in each phase.
func (g *siege) table() {
	out := g.t.Output()
	fmt.Fprint(out, "| what was done | sent |")
	for _, st := range g.w.streams {
		fmt.Fprintf(out, " %s |", st.name)
	}
	fmt.Fprintln(out, " other | the tunnel's own |")
	for _, p := range g.phases {
		sent := 0
		for i := range g.w.streams {
			sent += g.w.sent(i, p.span)
		}
		fmt.Fprintf(out, "| %s | %d |", p.name, sent)
		for i := range g.w.streams {
			fmt.Fprintf(out, " %g |", g.w.clear(i, p.span))
		}
		own := 0
		for _, o := range g.w.outer {
			if o.at >= p.from && o.at <= p.to {
				own++
			}
		}
		fmt.Fprintf(out, " %d | %d |\n", len(g.w.straysIn(p.span)), own)
	}
}

func (w *watch) straysIn(during span) (list []string) {
	for _, s := range w.strays {
		if s.at >= during.from && s.at <= during.to {
			list = append(list, s.text)
		}
	}
	return list
}

// closed returns the time from when the kill switch stood first to when it went
// last, which it must do once only.
func (g *siege) closed() (in span) {
	g.t.Helper()
	gone := 0
	for _, e := range g.w.events {
		switch {
		case e.kind != aSwitch:
		case e.gone:
			gone++
			in.to = e.at - int64(late) // it may have been known here that late
		case in.from == 0:
			in.from = e.at
		}
	}
	if in.from == 0 || gone != 1 {
		g.t.Fatalf("the kill switch came at %d and went %d times, want once", in.from, gone)
	}
	return in
}

// verify checks that nothing left while the kill switch stood but what may.
func (g *siege) verify(local bool) {
	t := g.t
	t.Helper()
	g.table()
	in := g.closed()
	for i, st := range g.w.streams {
		n := g.w.clear(i, in)
		switch may := local && (i == private4 || i == private6); {
		case may && n == 0:
			t.Errorf("stream %s: nothing left, it may", st.name)
		case !may && n > 0:
			t.Errorf("stream %s: %g packets left", st.name, n)
		}
		if g.w.clear(i, span{0, in.from - int64(late)}) == 0 || g.w.clear(i, span{in.to + 2*int64(late), math.MaxInt64}) == 0 {
			t.Errorf("stream %s: nothing was seen while there was no kill switch", st.name)
		}
		if sent := g.w.sent(i, in); sent < 100 {
			t.Errorf("stream %s: %d packets were sent, want 100 at least", st.name, sent)
		}
	}
	if strays := g.w.straysIn(in); len(strays) > 0 {
		t.Errorf("what else left: %q", strays)
	}
}

// Nothing leaves but the tunnel's own from the moment that up has put the kill
// switch in place to the last change of down, whatever is killed, interrupted
// or fails in between, IPv4 and IPv6.
func TestKillSwitchCapture(t *testing.T) {
	heedSignals(t)
	for _, mode := range []string{"true", "lan"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			isolated(t, func(s *site) {
				g := s.besieged("KillSwitch = " + mode)
				defer s.killDevices() // if it fails
				nothing := func() {}
				many := 100
				g.phase("`up`", func() { g.works("up", g.path) })
				g.phase("the tunnel is up", nothing)
				g.phase("`reload`", func() { g.works("reload", g.path) })
				g.phase("the device is killed", g.killDevice)
				g.phase("`up` again", func() { g.works("up", g.path) })
				g.phase("the link is deleted by hand", func() { g.ip("link delete wg0") })
				g.phase("`up` is killed after each of its steps", func() { g.killed(kills, 0, many, nothing, "up", g.path) })
				if mode == "true" { // the other one needn't go through all
					g.phase("the device is killed again", g.killDevice)
					g.phase("`up` is killed in the middle of each of its steps", func() { g.killed(tears, 1, many, nothing, "up", g.path) })
				}
				down := g.downSteps()
				g.phase("`down` is killed after each step but the last, `up` again", func() {
					g.killed(kills, 0, down, g.upAgain, "down", g.path)
					g.upAgain()
				})
				g.phase("`down` is interrupted before it begins to remove", func() {
					if got := g.program("SIGINT 1", "down", g.path); got.status != 1 {
						t.Errorf("down with SIGINT: %+v", got)
					}
				})
				g.phase("`reload` is killed after each of its steps", func() {
					last := 0
					g.killed(kills, 0, many, func() {
						last++ // another resolver each time, so that there is something to do
						g.file("wg0", strings.Replace(fullOwn, "10.7.0.1", fmt.Sprintf("10.7.0.%d", 10+last), 1)+"\nKillSwitch = "+mode, "0.0.0.0/0, ::/0, 10.50.0.0/16"+far)
					}, "reload", g.path)
				})
				g.phase("`up` fails", func() {
					g.killDevice()
					g.file("wg0", fullOwn+"\nPostUp = exit 1\nKillSwitch = "+mode, "0.0.0.0/0, ::/0"+far)
					if got := g.program("", "up", g.path); got.status != 1 {
						t.Errorf("up with a failing hook: %+v", got)
					}
				})
				g.phase("`down`, and from then on", func() { g.works("down", g.path) })
				g.w.end()
				g.verify(mode == "lan")
				if out, _ := exec.Command("nft", "list", "ruleset").CombinedOutput(); len(out) > 0 {
					t.Errorf("left:\n%s", out)
				}
			})
		})
	}
}

// upAgain brings the tunnel up unless it is.
func (g *siege) upAgain() {
	g.t.Helper()
	if got := g.program("", "up", g.path); got.status != 0 && !strings.Contains(got.err, "`wg0' already exists\n") {
		g.t.Fatalf("up: %+v", got)
	}
}

// downSteps returns how many steps down has before the one that removes the
// kill switch. Nothing is done for that.
func (g *siege) downSteps() int {
	g.t.Helper()
	var names []string
	isolated(g.t, func(s *site) {
		s.withResolvconf()
		other := &siege{site: s, path: g.path}
		other.works("up", other.path)
		names = other.steps("down", other.path)
	})
	i := slices.Index(names, "DelKillSwitch")
	if i < 5 {
		g.t.Fatalf("the steps of down are %q", names)
	}
	return i
}
