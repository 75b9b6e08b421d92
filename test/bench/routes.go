// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"wgtools/internal/plan"
	"wgtools/internal/rtnl"
)

// addRoutes is the first argument of the process that adds routes as wg-quick
// does; the others are the link and how many.
const addRoutes = "add-routes"

// addRoutesMain adds routes and prints how long it took, in nanoseconds.
func addRoutesMain(dev, count string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	k, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	set := plan.RouteSet{Dev: dev, Dst: make([]netip.Prefix, n)}
	for i := range n {
		set.Dst[i] = dst(i)
	}
	start := time.Now()
	if err := k.AddRoutes(context.Background(), set); err != nil {
		return err
	}
	fmt.Println(time.Since(start).Nanoseconds())
	return nil
}

func (q *quick) sizes(all ...int) []int {
	if q.short {
		return all[:len(all)-1]
	}
	return all
}

// routes times the part of "up" that adds routes beside ip(8) with the same
// routes in a file, each time to a new TUN link.
func (q *quick) routes() error {
	fmt.Print("| routes | runs | `ip -batch` | ours: the call | spread | call / ip | goal | ours: a process | process / ip |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, n := range q.sizes(10_000, 100_000) {
		batch := filepath.Join(q.dir, "batch")
		text := allowedIPs(n, "route add ", " dev routes0\nroute add ") + " dev routes0\n"
		if err := os.WriteFile(batch, []byte(text), 0o600); err != nil {
			return err
		}
		var theirs, calls, processes []time.Duration
		err := isolated(func() error {
			for range q.runs(11) {
				their, err := q.onLink(n, "ip", "-batch", batch)
				if err != nil {
					return err
				}
				process, err := q.onLink(n, "/proc/self/exe", addRoutes, "routes0", strconv.Itoa(n))
				if err != nil {
					return err
				}
				text, err := os.ReadFile(filepath.Join(q.dir, "log"))
				if err != nil {
					return err
				}
				call, err := strconv.Atoi(strings.TrimSpace(string(text)))
				if err != nil {
					return err
				}
				theirs, processes, calls = append(theirs, their), append(processes, process), append(calls, time.Duration(call))
			}
			return nil
		})
		if err != nil {
			return err
		}
		t, c, p := median(theirs), median(calls), median(processes)
		fmt.Printf("| %d | %d | %s | %s | %s | **%.2f** | 0.5 | %s | %.2f |\n", n, len(theirs), ms(t), ms(c), spread(calls), ratio(c, t), ms(p), ratio(p, t))
	}
	return nil
}

// onLink times a command that adds n routes to the link routes0, which is made
// before and deleted after.
func (q *quick) onLink(n int, args ...string) (time.Duration, error) {
	for _, step := range []string{"tuntap add dev routes0 mode tun", "link set routes0 up"} {
		if err := ip(step); err != nil {
			return 0, err
		}
	}
	took, err := q.timed(args...)
	if err != nil {
		return 0, err
	}
	out, err := exec.Command("ip", "-4", "route", "show", "dev", "routes0").Output()
	if got := strings.Count(string(out), "\n"); got != n || err != nil {
		return 0, fmt.Errorf("%s: there are %d routes, %v; want %d", args[0], got, err, n)
	}
	return took, ip("link delete dev routes0")
}

// whole shows how our "up" grows with the number of routes.
func (q *quick) whole() error {
	fmt.Print("| allowed IPs | runs | `up` | spread | each | `up`, Table = off | `down` | memory of `up` | a route | of the device | an allowed IP |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	var first, last growth
	for _, n := range q.sizes(1000, 10_000, 100_000) {
		g, err := q.growth(n)
		if err != nil {
			fmt.Printf("| %d | failed | | | | | | | | | |\n", n)
			q.fail(fmt.Sprintf("%d allowed IPs", n), err)
			continue
		}
		last = g
		perRoute, perIP := "", ""
		if first.n == 0 {
			first = g
		} else {
			perRoute = fmt.Sprintf("%d bytes", 1024*(g.peak-first.peak)/(g.n-first.n))
			perIP = fmt.Sprintf("%d bytes", 1024*(g.device-first.device)/(g.n-first.n))
		}
		up := median(g.with.up)
		fmt.Printf("| %d | %d | %s | %s | %.1f µs | %s | %s | %.1f MB | %s | %.1f MB | %s |\n", n, len(g.with.up), ms(up), spread(g.with.up),
			float64(up.Nanoseconds())/1000/float64(n), ms(median(g.without.up)), ms(median(g.with.down)),
			float64(g.peak)/1024, perRoute, float64(g.device)/1024, perIP)
	}
	if last.n > first.n && first.n > 0 {
		fmt.Printf("\nFrom %d to %d allowed IPs, %.0f times as many, `up` takes %.0f times as long.\n", first.n, last.n,
			float64(last.n)/float64(first.n), ratio(median(last.with.up), median(first.with.up)))
	}
	return nil
}

// A growth is what a tunnel with n allowed IPs takes.
type growth struct {
	n             int
	with, without cycle // routes
	peak, device  int   // memory in KiB, of "up" and of the device's process
}

func (q *quick) growth(n int) (growth, error) {
	g := growth{n: n}
	const own = "Address = 10.7.0.2/24\nListenPort = 40123"
	with, err := q.conf(fmt.Sprintf("with%d", n), "wg0", own, allowedIPs(n, line, "\n"+line))
	if err != nil {
		return g, err
	}
	without, err := q.conf(fmt.Sprintf("without%d", n), "wg0", own+"\nTable = off", allowedIPs(n, line, "\n"+line))
	if err != nil {
		return g, err
	}
	a, b := wgQuick(q.ours, with, q.runs(11)), wgQuick(q.ours, without, q.runs(11))
	if err := q.inTurns(a, b); err != nil {
		return g, err
	}
	g.with, g.without = a.times, b.times
	err = isolated(func() (err error) {
		if g.peak, err = peak(q.ours, a.up[1:]); err != nil {
			return err
		}
		if g.device, err = serverPeak("wg0"); err != nil {
			return err
		}
		if _, err = q.timed(a.down...); err != nil {
			return err
		}
		return settle("wg0")
	})
	return g, err
}
