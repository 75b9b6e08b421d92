// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// diversions is how many rules lead into full tunnels.
func (s *site) diversions() int {
	s.t.Helper()
	return strings.Count(s.ip("-4 rule show")+s.ip("-6 rule show"), "not from all fwmark")
}

// The rules of a full tunnel go, as with a restart of systemd-networkd: they are
// back in a moment, and from then on nothing leaves in clear.
func TestWatchPutsRulesBack(t *testing.T) {
	heedSignals(t)
	isolated(t, func(s *site) {
		lookout := s.watched()
		path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:51820")
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		w := s.watching(nil, "wg-quick", path)
		lookout.await()
		before := time.Now()
		s.sh(`for family in -4 -6; do ip $family rule show | sed -n 's/^\([0-9]*\):.*\(suppress\|not from\).*/rule delete priority \1/p' | ip $family -batch -; done`)
		s.eventually("the rules are back", func() bool { return s.diversions() == 2 && w.count("[#] ip -4 rule add not fwmark") == 1 })
		lookout.await()
		end := time.Now()
		lookout.end()

		back := int64(0)
		for _, e := range lookout.events {
			if e.kind == aDiversion && !e.gone && e.at > before.UnixNano() {
				back = max(back, e.at)
			}
		}
		during := span{before.UnixNano(), back}
		t.Logf("after %.0f ms the rules were back; meanwhile %.0f packets left in clear", ms(back-before.UnixNano()), lookout.clear(inner4, during)+lookout.clear(inner6, during))
		if took := time.Duration(back - before.UnixNano()); back == 0 || took > 10*time.Second {
			t.Errorf("it took %v", took)
		}
		after := span{back, end.UnixNano()}
		if n := lookout.clear(inner4, after) + lookout.clear(inner6, after); n > 0 || lookout.sent(inner4, after) == 0 {
			t.Errorf("of %d packets %.0f left in clear after the rules were back", lookout.sent(inner4, after), n)
		}
		if n := lookout.clear(names, span{before.UnixNano(), math.MaxInt64}); n > 0 && lookout.clear(names, after) > 0 {
			t.Errorf("%.0f queries to the tunnel's resolver left in clear after that", lookout.clear(names, after))
		}
		w.await("Changed by others: the rules of the default route, removed. Put right.")
		w.stop()
		if got := s.wgQuick("reload", path); got.status != 0 || len(got.said()) > 0 {
			t.Errorf("reload: %+v", got)
		}
		if got := s.wgQuick("down", path); got.status != 0 || s.diversions() > 0 {
			t.Errorf("down: %+v", got)
		}
	})
}

// What the kernel tells nobody of comes back too. The file doesn't matter.
func TestWatchPutsBack(t *testing.T) {
	heedSignals(t)
	tests := map[string]struct{ by, want, own string }{
		"a route":         {"ip -6 route delete ::/0 dev wg0 table 51820", "the rules of the default route, removed", ""},
		"the filter":      {"nft flush ruleset", "the packet filter's rules, removed", ""},
		"the servers":     {"resolvconf -d wg0 -f", "the name servers, removed", ""},
		"the mark":        {"wg set wg0 fwmark 0", "the fwmark, 0x0 instead of 0xca6c", ""},
		"the sysctl":      {"echo 0 >/proc/sys/net/ipv4/conf/all/src_valid_mark", "net.ipv4.conf.all.src_valid_mark, no longer 1", ""},
		"the kill switch": {"nft delete table inet wg-killswitch", "the kill switch, removed", "\nKillSwitch = lan"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			isolated(t, func(s *site) {
				s.withResolvconf()
				before := s.state()
				path := s.file("wg0", fullOwn+tt.own, "0.0.0.0/0, ::/0"+far)
				if got := s.wgQuick("up", path); got.status != 0 {
					t.Fatalf("up: %+v", got)
				}
				sorted := func() string {
					return strings.ReplaceAll(strings.Join(s.sorted(), "\n"), "51821", "51820")
				}
				up := sorted()
				w := s.watching(nil, impatientName, path)
				// Somebody is at work on the file.
				s.file("wg0", "Address = 10.99.0.2/24\nThis isn't finished", "10.99.0.0/16")
				s.sh(tt.by)
				w.await("wg0: Changed by others: " + tt.want + ". Put right.")
				s.eventually("all is as it was", func() bool { return sorted() == up })
				w.stop()
				if n := w.count("Put right"); n != 1 {
					t.Errorf("it said %q", w.said())
				}
				s.file("wg0", fullOwn+tt.own, "0.0.0.0/0, ::/0"+far)
				if got := s.wgQuick("reload", path); got.status != 0 || len(got.said()) > 0 || steps(got.err) != "" {
					t.Errorf("reload: %+v", got)
				}
				if got := s.wgQuick("down", path); got.status != 0 {
					t.Errorf("down: %+v", got)
				}
				if name != "the filter" {
					s.same(before)
				}
			})
		})
	}
}

// The MTU follows the uplink's, if the file doesn't say another one.
func TestWatchAdaptsMTU(t *testing.T) {
	heedSignals(t)
	for _, own := range []string{ordinary, fullOwn} {
		isolated(t, func(s *site) {
			s.withResolvconf()
			path := s.file("wg0", own, "0.0.0.0/0"+far)
			if got := s.wgQuick("up", path); got.status != 0 {
				t.Fatalf("up: %+v", got)
			}
			w := s.watching(nil, "wg-quick", path)
			mtu := func() string { return strings.Fields(s.ip("-o link show dev wg0"))[4] }
			for _, both := range [][2]string{{"1400", "1320"}, {"1500", "1420"}} {
				s.ip("link set uplink mtu " + both[0])
				s.eventually("the MTU is "+both[1], func() bool { return mtu() == both[1] })
				w.await("[#] ip link set mtu " + both[1] + " dev wg0")
			}
			// Without an uplink nothing is known, and the MTU stays.
			s.ip("link set uplink mtu 1400")
			s.eventually("the MTU is 1320", func() bool { return mtu() == "1320" })
			s.ip("link set uplink down")
			s.ip("link set lo mtu 60000")
			w.stop()
			if got := mtu(); got != "1320" {
				t.Errorf("the MTU is %s", got)
			}
			s.ip("link set uplink up")
			s.ip("route add default via 192.0.2.1")
			if got := s.wgQuick("reload", path); got.status != 0 || len(got.said()) > 0 {
				t.Errorf("reload: %+v", got)
			}
			if got := s.wgQuick("down", path); got.status != 0 {
				t.Errorf("down: %+v", got)
			}
		})
	}
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary+"\nMTU = 1300", "10.50.0.0/16"+far)
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		w := s.watching(nil, "wg-quick", "--all")
		s.ip("link set uplink mtu 1400")
		s.ip("link add second type veth peer name secondfar") // which is told later
		s.wgQuick("down", path)
		w.await("not up any more")
		w.stop()
		if n := w.count("mtu"); n > 0 {
			t.Errorf("it said %q", w.said())
		}
	})
}

// A command that comes while something is put back waits for that, but not for
// ever; for another command it doesn't.
func TestLockIsBrief(t *testing.T) {
	j := newJournal(filepath.Join(t.TempDir(), "run"))
	release, err := j.lockBriefly(t.Context(), "wg0")
	if err != nil {
		t.Fatal(err)
	}
	var released atomic.Bool
	time.AfterFunc(50*time.Millisecond, func() { released.Store(true); release() })
	unlock, err := j.lock(t.Context(), "wg0", false)
	if err != nil || !released.Load() {
		t.Fatalf("a command: %v, the lock was released: %t", err, released.Load())
	}
	if _, err := j.lock(t.Context(), "wg0", false); !errors.Is(err, errLocked) {
		t.Errorf("a command doesn't heed the lock of another one: %v", err)
	}
	if _, err := j.lockBriefly(t.Context(), "wg0"); !errors.Is(err, errLocked) {
		t.Errorf("a repair doesn't heed the lock of a command: %v", err)
	}
	unlock()
	if exists(j.dir) {
		t.Errorf("%s is left", j.dir)
	}
	synctest.Test(t, func(t *testing.T) {
		defer must(j.lockBriefly(t.Context(), "wg0"))()
		begun := time.Now()
		if _, err := j.lock(t.Context(), "wg0", false); !errors.Is(err, errLocked) || time.Since(begun) < briefTime {
			t.Errorf("after %v: %v, want an error after %v", time.Since(begun), err, briefTime)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
