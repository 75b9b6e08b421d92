// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// quick times our wg-quick beside the original, which works with wireguard-go
// and ip(8). The kernel has no WireGuard, else both had the same device.
type quick struct {
	ours, original     string // wg-quick
	oursWg, originalWg string
	scale              int // of the number of runs, in percent
	short              bool
	dir                string
	failures           []string // of the section that runs
}

func (q *quick) run() error {
	for _, v := range []string{
		"WG_PROCESS_FOREGROUND", "LOG_LEVEL", "WG_QUICK_USERSPACE_IMPLEMENTATION", "WG_QUICK_DNS_BACKEND",
	} {
		os.Unsetenv(v)
	}
	for _, program := range []*string{&q.ours, &q.oursWg} { // ip netns exec and others may have another directory
		path, err := filepath.Abs(*program)
		if err != nil {
			return err
		}
		*program = path
	}
	if err := emptyRun(); err != nil {
		return err
	}
	q.dir = "/run/bench" // it goes with the namespace
	if err := os.Mkdir(q.dir, 0o700); err != nil {
		return err
	}
	if err := stubResolvconf(q.dir); err != nil {
		return err
	}
	if ip("link add wg0 type wireguard") == nil {
		return errors.New("the kernel has WireGuard: this compares userspace devices, and what is around them")
	}
	fmt.Printf("Original: %s with %s, wireguard-go %s, %s. Machine: %d CPUs, %s, load %s. "+
		"Medians of interleaved runs; spread: from the first to the last tenth.\n\n",
		q.original, version(q.originalWg, "--version"), wireguardGo(), version("ip", "-V"), runtime.NumCPU(), runtime.Version(), load())
	bad := 0
	for _, section := range []func() error{q.tunnels, q.routes, q.whole, q.setconf, q.throughput} {
		q.failures = nil
		if err := section(); err != nil {
			q.fail("", err)
		}
		fmt.Println()
		for _, text := range q.failures {
			fmt.Printf("Failed: %s\n\n", text)
		}
		bad += len(q.failures)
	}
	fmt.Printf("Load at the end: %s.\n", load())
	if bad > 0 {
		return fmt.Errorf("%d measurements failed", bad)
	}
	return nil
}

// version returns the first line of what a program prints.
func version(program string, args ...string) string {
	out, _ := exec.Command(program, args...).CombinedOutput()
	line, _, _ := strings.Cut(string(out), "\n")
	name, _, _ := strings.Cut(line, " - ")
	return name
}

func wireguardGo() string {
	line := version("wireguard-go", "--version")
	return line[strings.LastIndex(line, " ")+1:]
}

func (q *quick) runs(n int) int { return max(3, n*q.scale/100) }

// fail remembers a failure, which is printed after the table.
func (q *quick) fail(what string, err error) {
	q.failures = append(q.failures, strings.TrimPrefix(what+": "+err.Error(), ": "))
}

// timed runs a command. What it prints goes to a file, as with a service.
func (q *quick) timed(args ...string) (time.Duration, error) {
	log, err := os.Create(filepath.Join(q.dir, "log"))
	if err != nil {
		return 0, err
	}
	defer log.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	start := time.Now()
	err = cmd.Run()
	took := time.Since(start)
	if err != nil {
		text, _ := os.ReadFile(log.Name())
		return 0, fmt.Errorf("`%s`: %w\n%s", strings.Join(args, " "), err, lastLines(string(text), 10))
	}
	return took, nil
}

// lastLines returns the last n lines of a text, indented.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return "    " + strings.Join(lines[max(0, len(lines)-n):], "\n    ")
}

// conf writes a configuration file in a directory of its own and returns its
// path. The file describes a tunnel to one peer.
func (q *quick) conf(dir, dev, own, peer string) (string, error) {
	path := filepath.Join(q.dir, dir, dev+".conf")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	text := "[Interface]\nPrivateKey = oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=\n" + own +
		"\n[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\n" + peer + "\n"
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// dst is the i-th allowed IP.
func dst(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(50 + i>>16), byte(i >> 8), byte(i)}), 32)
}

// allowedIPs returns n of them, each after the text first or next.
func allowedIPs(n int, first, next string) string {
	var b strings.Builder
	b.WriteString(first)
	for i := range n {
		if i > 0 {
			b.WriteString(next)
		}
		b.WriteString(dst(i).String())
	}
	return b.String()
}

const line = "AllowedIPs = "

// A side is what takes a tunnel up and down, and the times of that.
type side struct {
	up, down []string // commands
	runs     int
	times    cycle
}

// A cycle holds the times of up and of down, of both together, run by run.
type cycle struct{ up, down, both []time.Duration }

// once takes a tunnel up and down.
func (q *quick) once(s *side, count bool) error {
	up, err := q.timed(s.up...)
	if err != nil {
		return err
	}
	down, err := q.timed(s.down...)
	if err != nil {
		return err
	}
	if count {
		s.times.up, s.times.down, s.times.both = append(s.times.up, up), append(s.times.down, down), append(s.times.both, up+down)
	}
	return settle("wg0")
}

// inTurns runs the sides in turns in a namespace. The first run of each fills
// the caches and isn't counted, unless it is to be the only one.
func (q *quick) inTurns(sides ...*side) error {
	most := 0
	for _, s := range sides {
		most = max(most, s.runs)
	}
	return isolated(func() error {
		for i := range most + 1 {
			for _, s := range sides {
				if i > s.runs || i == 0 && s.runs == 1 {
					continue
				}
				if err := q.once(s, i > 0); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// theKernel is the floor: ip(8) makes a TUN link with two addresses, and
// deletes it. Mostly that is the wait for what may still use the link.
func (q *quick) theKernel() (*side, error) {
	batch := filepath.Join(q.dir, "link")
	text := "tuntap add dev wg0 mode tun\naddress add 10.7.0.2/24 dev wg0\naddress add fd07::2/64 dev wg0\nlink set wg0 mtu 1420 up\n"
	return &side{up: []string{"ip", "-batch", batch}, down: []string{"ip", "link", "delete", "dev", "wg0"}},
		os.WriteFile(batch, []byte(text), 0o600)
}

// tunnels times up and down of tunnels as they are, and as they may be.
func (q *quick) tunnels() error {
	const own = "Address = 10.7.0.2/24, fd07::2/64\nListenPort = 40123"
	const endpoint = "\nEndpoint = 203.0.113.7:51820\nPersistentKeepalive = 25"
	fmt.Print("| tunnel | | runs | original | ours | spread of ours | original / ours | goal | link alone |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for i, t := range []struct {
		name, own, peer string
		theirRuns       int
		goal            int
	}{
		{"client: 3 allowed IPs", own, line + "10.50.0.0/16, 10.8.0.0/24, fd50::/48" + endpoint, q.runs(40), 5},
		{"full tunnel, DNS", own + "\nDNS = 10.7.0.1", line + "0.0.0.0/0, ::/0" + endpoint, q.runs(40), 5},
		{"1,000 allowed IPs, one a line", own, allowedIPs(1000, line, "\n"+line) + endpoint, 3, 100},
		{"1,000 allowed IPs in one line", own, allowedIPs(1000, line, ", ") + endpoint, 1, 1000},
	} {
		if t.theirRuns == 1 && q.short {
			continue // it takes the original a minute
		}
		conf, err := q.conf(fmt.Sprintf("tunnel%d", i), "wg0", t.own, t.peer)
		if err != nil {
			return err
		}
		kernel, err := q.theKernel()
		if err != nil {
			return err
		}
		theirs, ours := wgQuick(q.original, conf, t.theirRuns), wgQuick(q.ours, conf, q.runs(40))
		kernel.runs = ours.runs
		if err := q.inTurns(theirs, ours, kernel); err != nil {
			fmt.Printf("| %s | | failed | | | | | | |\n", t.name)
			q.fail(t.name, err)
			continue
		}
		row := func(part string, theirs, ours, kernel []time.Duration, goal string) {
			fmt.Printf("| %s | %s | %d, %d | %s | %s | %s | **%.1f** | %s | %s |\n", t.name, part, len(theirs), len(ours),
				ms(median(theirs)), ms(median(ours)), spread(ours), ratio(median(theirs), median(ours)), goal, ms(median(kernel)))
		}
		row("`up`", theirs.times.up, ours.times.up, kernel.times.up, "")
		row("`down`", theirs.times.down, ours.times.down, kernel.times.down, "")
		row("both", theirs.times.both, ours.times.both, kernel.times.both, strconv.Itoa(t.goal))
	}
	return nil
}

func wgQuick(program, conf string, runs int) *side {
	return &side{up: []string{program, "up", conf}, down: []string{program, "down", conf}, runs: runs}
}

func spread(times []time.Duration) string {
	return ms(quantile(times, 0.1)) + " to " + ms(quantile(times, 0.9))
}
