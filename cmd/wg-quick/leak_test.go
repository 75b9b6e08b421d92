// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	leakRuns = flag.Int("leak-runs", 0, "how often ours and the original are watched for leaks, for a table of medians; 0 is ours, once")
	leakBin  = flag.String("leak-bin", "", "the `directory` of our wg-quick to watch; else the test's own program is it")
)

// A row of the table: what was measured, and whether ours must have none.
type row struct {
	name string
	unit string // "ms", or what is counted
	none bool
}

// The rows in their order. A family is in the tunnel from when both its
// default route and the rule that leads there stand.
var rows = []row{
	{"`up`: from its start until IPv6 is in the tunnel", "ms", false},
	{"`up`: from its start until IPv4 is in the tunnel", "ms", false},
	{"`up`: from a family's first rule or route until it is in the tunnel", "ms", false},
	{"`up`: sent in clear meanwhile", "packets", true},
	{"`up`: sent in clear from then on", "packets", true},
	{"`up`: to the LAN, gone astray", "packets", true},
	{"`up`: to the tunnel's resolver, in clear", "queries", true},
	{"`wg syncconf`; ours also `wg-quick reload`: sent in clear", "packets", true},
	{"`down`: sent in clear before the family's first rule goes", "packets", true},
	{"`down`: from a family's first rule's end to its own", "ms", false},
	{"`down`: to the LAN, gone astray", "packets", true},
	{"`down`: to the tunnel's resolver, in clear", "queries", true},
	{"`down` and at once `up`: IPv4 is out of the tunnel", "ms", false},
	{"`down` and at once `up`: sent in clear meanwhile", "packets", false},
	{"failing `PostUp`: sent in clear before the family's first rule goes", "packets", true},
	{"failing `PostUp`: to the LAN, gone astray", "packets", true},
	{"failing `PostUp`: to the tunnel's resolver, in clear", "queries", true},
	{"a second tunnel comes: sent in clear", "packets", true},
	{"the second goes: sent in clear", "packets", true},
	{"the second fails to come: sent in clear", "packets", true},
	{"the first goes, the second stays: sent in clear", "packets", true},
	{"two tunnels: to the LAN, gone astray", "packets", true},
	{"two tunnels: whose own packets don't come out", "tunnels", true},
}

// The figures of a side: a row's name to its value in each run.
type figures map[string][]float64

// add notes a value of the row whose name begins so.
func (f figures) add(t *testing.T, prefix string, value float64) {
	t.Helper()
	i := slices.IndexFunc(rows, func(r row) bool { return strings.HasPrefix(r.name, prefix) })
	if i < 0 {
		t.Fatalf("there is no row %q", prefix)
	}
	f[rows[i].name] = append(f[rows[i].name], value)
}

// A contestant is a wg-quick: ours or the original.
type contestant struct {
	path string
	run  func(args ...string) result
}

// Nothing leaves in clear from the moment that a family is in the tunnel to
// the one when it is taken out. The original is watched beside ours.
func TestLeak(t *testing.T) {
	if *leakBin != "" {
		t.Setenv("PATH", *leakBin+":"+os.Getenv("PATH"))
	}
	ours, theirs := figures{}, figures{}
	for range max(*leakRuns, 1) {
		t.Run("ours", func(t *testing.T) {
			isolated(t, func(s *site) { s.leaks(ours, contestant{"wg-quick", s.wgQuick}) })
			isolated(t, func(s *site) { s.leaksOfTwo(ours, contestant{"wg-quick", s.wgQuick}) })
		})
		if *leakRuns == 0 {
			break
		}
		t.Run("theirs", func(t *testing.T) {
			needOriginal(t)
			isolated(t, func(s *site) { s.leaks(theirs, contestant{original, s.theirs}) })
			isolated(t, func(s *site) { s.leaksOfTwo(theirs, contestant{original, s.theirs}) })
		})
	}
	out := t.Output()
	fmt.Fprintf(out, "| medians of %d runs (least to most) | | ours | original |\n| --- | --- | --- | --- |\n", *leakRuns)
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %s | %s | %s |\n", r.name, r.unit, median(ours[r.name], r.unit), median(theirs[r.name], r.unit))
		if r.none && len(ours[r.name]) > 0 && slices.Max(ours[r.name]) > 0 {
			t.Errorf("%s: %v %s, want none", r.name, ours[r.name], r.unit)
		}
	}
}

func median(values []float64, unit string) string {
	if len(values) == 0 {
		return "–"
	}
	sorted := slices.Sorted(slices.Values(values))
	v := (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
	if unit == "ms" {
		return fmt.Sprintf("%.2f", v)
	}
	if least, most := sorted[0], sorted[len(sorted)-1]; least != most {
		return fmt.Sprintf("%g (%g to %g)", v, least, most)
	}
	return fmt.Sprintf("%g", v)
}

// A span is a time in which something ran, in nanoseconds of the host's clock.
type span struct{ from, to int64 }

func during(f func()) span {
	from := time.Now().UnixNano()
	f()
	return span{from, time.Now().UnixNano()}
}

// expectStatus runs q and checks whether it succeeds.
func (q contestant) expectStatus(t *testing.T, ok bool, args ...string) {
	t.Helper()
	if got := q.run(args...); (got.status == 0) != ok {
		t.Fatalf("%s %s: %+v", q.path, args, got)
	}
}

// leaks watches one tunnel.
func (s *site) leaks(f figures, q contestant) {
	t := s.t
	file := func(own, peer string) string {
		return s.file("wg0", "Address = 10.7.0.2/32, fd07::2/128\nDNS = "+resolver+own, "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:51820"+peer)
	}
	path := file("", "")
	w := s.watched()
	up := during(func() { q.expectStatus(t, true, "up", path) })
	w.await()
	down := during(func() { q.expectStatus(t, true, "down", path) })
	again := during(func() { q.expectStatus(t, true, "up", path) })
	w.await()
	q.expectStatus(t, true, "down", path)
	w.await()
	file("\nPostUp = exit 1", "")
	failing := during(func() { q.expectStatus(t, false, "up", path) })
	w.await()
	file("", "")
	q.expectStatus(t, true, "up", path)
	file("", "\nPersistentKeepalive = 25")
	reload := during(func() {
		s.syncconf(q, path)
		w.await()
		if q.path != original {
			q.expectStatus(t, true, "reload", path)
			w.await()
		}
	})
	q.run("down", path)
	if q.path == original { // which no longer knows the mark
		exec.Command("ip", "link", "delete", "wg0").Run()
	}
	w.end()

	var gap, clearInGap, clearUp, clearDown, closing, clearBetween, clearFailing float64
	for _, i := range []int{inner6, inner4} {
		name, v6 := w.streams[i].name, i == inner6
		first, in := w.comes(up, v6)
		f.add(t, "`up`: from its start until "+name, ms(in-up.from))
		gap = max(gap, ms(in-first))
		// Between two messages of one send a packet may just fit in, but not
		// in most of three times.
		var inGap []float64
		for _, coming := range []span{up, again, failing} {
			first, in := w.comes(coming, v6)
			inGap = append(inGap, w.clear(i, span{first, in}))
		}
		slices.Sort(inGap)
		clearInGap += inGap[1]
		old := map[int]int{inner4: old4, inner6: old6}[i]
		clearUp += w.clear(i, span{in, up.to}) + w.clear(old, span{in, up.to})
		out := w.goes(down, v6)
		clearDown += w.clearBefore(i, span{up.to, out}) + w.clearBefore(old, span{up.to, out})
		closing = max(closing, ms(down.to-out))
		_, in = w.comes(again, v6)
		if !v6 {
			f.add(t, "`down` and at once `up`: IPv4", ms(in-out))
		}
		clearBetween += w.clear(i, span{out, in})
		_, in = w.comes(failing, v6)
		end := w.goes(failing, v6)
		clearFailing += w.clearBefore(i, span{in, end}) + w.clearBefore(old, span{in, end})

		// The watch can see what is in clear, and had something to see.
		for _, i := range []int{i, old} {
			name := w.streams[i].name
			for _, outside := range []span{{0, up.from}, {failing.to, math.MaxInt64}} {
				if w.clear(i, outside) == 0 {
					t.Errorf("no packet of stream %s was seen while there was no tunnel", name)
				}
			}
			if n := w.sent(i, span{up.to, down.from}); n < 20 {
				t.Errorf("%d packets of stream %s were sent while the tunnel was up, want at least 20", n, name)
			}
		}
	}
	if n := w.sent(names, span{up.from, down.to}); n == 0 {
		t.Error("nobody asked the tunnel's resolver")
	}
	f.add(t, "`up`: from a family's", gap)
	f.add(t, "`up`: sent in clear meanwhile", clearInGap)
	f.add(t, "`up`: sent in clear from then", clearUp)
	f.add(t, "`up`: to the LAN", w.astray(up))
	f.add(t, "`up`: to the tunnel's resolver", w.clear(names, up))
	f.add(t, "`wg syncconf`", w.clear(inner4, reload)+w.clear(inner6, reload)+w.clear(old4, reload)+w.clear(old6, reload))
	f.add(t, "`down`: sent in clear", clearDown)
	f.add(t, "`down`: from a family's", closing)
	f.add(t, "`down`: to the LAN", w.astray(down))
	f.add(t, "`down`: to the tunnel's resolver", w.clear(names, down))
	f.add(t, "`down` and at once `up`: sent", clearBetween)
	f.add(t, "failing `PostUp`: sent", clearFailing)
	f.add(t, "failing `PostUp`: to the LAN", w.astray(failing))
	f.add(t, "failing `PostUp`: to the tunnel's resolver", w.clear(names, failing))
}

// syncconf is what the original's unit does for a reload.
func (s *site) syncconf(q contestant, path string) {
	s.t.Helper()
	if _, err := exec.LookPath("wg"); err != nil {
		s.t.Log("no reload by wg syncconf: wg isn't installed (Debian: wireguard-tools)")
		return
	}
	c := exec.Command("bash", "-c", `wg syncconf wg0 <("$0" strip "$1")`, q.path, path)
	c.Dir = s.dir
	if out, err := c.CombinedOutput(); err != nil {
		s.t.Errorf("wg syncconf: %v\n%s", err, out)
	}
}

// leaksOfTwo watches two full tunnels: from when the first one is up until
// the last one goes, nothing is in clear.
func (s *site) leaksOfTwo(f figures, q contestant) {
	t := s.t
	file := func(n int, own string) string {
		return s.file(fmt.Sprintf("wg%d", n), fmt.Sprintf("Address = 10.7.%d.2/32, fd07:%[1]d::2/128%s", n, own),
			fmt.Sprintf("0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:%d\nPersistentKeepalive = 1", 51820+n))
	}
	one, two := file(0, ""), file(1, "")
	w := s.watched()
	q.expectStatus(t, true, "up", one)
	w.await()
	coming := during(func() { q.expectStatus(t, true, "up", two); w.await() })
	going := during(func() { q.expectStatus(t, true, "down", two); w.await() })
	file(1, "\nPostUp = exit 1")
	failing := during(func() { q.expectStatus(t, false, "up", two); w.await() })
	file(1, "")
	// Anew, for the original's sake, whose first one has lost its rules.
	q.run("down", one)
	q.expectStatus(t, true, "up", one)
	q.expectStatus(t, true, "up", two)
	// A handshake that isn't answered is tried again every 5 seconds or so.
	begun := time.Now()
	for w.out(begun) < 2 && time.Since(begun) < 8*time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	nested := 2 - w.out(begun)
	first := during(func() { q.expectStatus(t, true, "down", one); w.await() })
	q.run("down", two)
	w.end()

	for name, during := range map[string]span{"a second": coming, "the second goes": going, "the second fails": failing, "the first goes": first} {
		f.add(t, name, w.clear(inner4, during)+w.clear(inner6, during))
	}
	f.add(t, "two tunnels: to the LAN", w.astray(coming)+w.astray(going)+w.astray(failing)+w.astray(first))
	f.add(t, "two tunnels: whose", float64(nested))
	if after := (span{first.to, math.MaxInt64}); w.clear(inner4, after) == 0 || w.clear(inner6, after) == 0 {
		t.Error("no packet was seen while there was no tunnel")
	}
}

// comes returns when the first of a family's rules and routes was there in a
// time, and when all stood that leads its packets into the tunnel.
func (w *watch) comes(during span, v6 bool) (first, in int64) {
	w.t.Helper()
	stands := map[change]int64{}
	for _, e := range w.events {
		if e.gone || e.v6 != v6 || e.at < during.from || e.at > during.to {
			continue
		}
		if first == 0 {
			first = e.at
		}
		stands[e.kind] = e.at
	}
	if stands[aRoute] == 0 || stands[aDiversion] == 0 {
		w.t.Fatalf("v6 %t: there came no %s or no %s", v6, aRoute, aDiversion)
	}
	return first, max(stands[aRoute], stands[aDiversion])
}

// goes returns when the first of a family's rules went in a time. Its route and
// the link must go later.
func (w *watch) goes(during span, v6 bool) int64 {
	w.t.Helper()
	for _, e := range w.events {
		if !e.gone || e.at < during.from || e.at > during.to || e.v6 != v6 && e.kind != aLink {
			continue
		}
		if e.kind != aDiversion {
			w.t.Errorf("v6 %t: first of all went %s, want %s", v6, e.kind, aDiversion)
		}
		return e.at
	}
	w.t.Fatalf("v6 %t: no rule went", v6)
	return 0
}

// late is how long after a rule's end it may be known here.
const late = 10 * time.Millisecond

// clear returns how many packets of a stream that were sent in a time left by
// the uplink in it.
func (w *watch) clear(i int, during span) (n float64) {
	for no, at := range w.streams[i].sent {
		if out, ok := w.seen[i][uint32(no)]; ok && at != uncounted && at >= during.from && out <= during.to {
			n++
		}
	}
	return n
}

// clearBefore is clear for a time that ends with a rule's end. Just before it
// is known here, packets may be in clear already: those of its last moments
// don't count from when all are.
func (w *watch) clearBefore(i int, during span) float64 {
	sent := w.streams[i].sent
	no := 0
	for no < len(sent) && sent[no] <= during.to {
		no++
	}
	for no--; no >= 0; no-- {
		out, ok := w.seen[i][uint32(no)]
		if !ok || out < during.to-int64(late) {
			break
		}
		during.to = min(during.to, out-1)
	}
	return w.clear(i, during)
}

func (w *watch) sent(i int, during span) (n int) {
	for _, at := range w.streams[i].sent {
		if at >= during.from && at <= during.to {
			n++
		}
	}
	return n
}

// astray returns how many packets to the LAN didn't get there.
func (w *watch) astray(during span) (n float64) {
	for _, i := range []int{lan4, lan6} {
		for no, at := range w.streams[i].sent {
			if at < during.from || at > during.to {
				continue
			}
			if _, ok := w.seen[i][uint32(no)]; !ok || w.streams[i].failed[no] {
				n++
			}
		}
	}
	return n
}

// out returns of how many tunnels a packet of their own left since then.
func (w *watch) out(since time.Time) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	ports := map[uint16]bool{}
	for _, o := range w.outer {
		if o.at >= since.UnixNano() {
			ports[o.port] = true
		}
	}
	return len(ports)
}

func ms(d int64) float64 { return float64(d) / 1e6 }
