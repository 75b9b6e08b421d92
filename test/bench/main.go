// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command bench times our wg beside the original on the same devices, in
// turns, and prints medians and ratios as Markdown tables. The devices are
// served by fakewg in a mount namespace of its own; it needs root.
//
//	bench [-short] -ours bin/wg -original /usr/bin/wg -fakewg bin/fakewg -empty bin/empty
//
// With -quick it is our wg-quick beside the original, on real devices in
// network namespaces, which need /dev/net/tun.
//
//	bench -quick [-short] -ours-quick bin/wg-quick -original-quick /usr/bin/wg-quick
package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 4 && os.Args[1] == addRoutes {
		exit(addRoutesMain(os.Args[2], os.Args[3]))
	}
	var b bench
	var q quick
	flag.StringVar(&b.ours, "ours", "bin/wg", "our `program`")
	flag.StringVar(&b.original, "original", "/usr/bin/wg", "the original `program`")
	flag.StringVar(&b.fakewg, "fakewg", "bin/fakewg", "the `program` that serves devices")
	flag.StringVar(&b.empty, "empty", "bin/empty", "an empty Go `program`, the floor of start-up")
	flag.IntVar(&b.scale, "runs", 100, "work in percent of the usual number of runs")
	flag.BoolVar(&b.short, "short", false, "a quarter of the runs, and not what takes longest")
	withQuick := flag.Bool("quick", false, "time wg-quick and the embedded device instead")
	flag.StringVar(&q.ours, "ours-quick", "bin/wg-quick", "our wg-quick `program`")
	flag.StringVar(&q.original, "original-quick", "/usr/bin/wg-quick", "the original wg-quick `program`")
	flag.Parse()
	if b.short {
		b.scale /= 4
	}
	run := b.run
	if *withQuick {
		q.originalWg, q.oursWg, q.scale, q.short = b.original, b.ours, b.scale, b.short
		run = q.run
	}
	switch os.Getenv(namespaceVariable) {
	case "":
		os.Exit(reexec(*withQuick))
	case asInit:
		os.Exit(initMain())
	}
	exit(run())
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

type bench struct {
	ours, original, fakewg, empty string
	scale                         int
	short                         bool
	dir                           string
}

func (b *bench) run() error {
	run, err := filepath.EvalSymlinks("/var/run")
	if err != nil {
		return err
	}
	if err := syscall.Mount("tmpfs", run, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount %s: %w", run, err)
	}
	if err := os.Mkdir(filepath.Join(run, "wireguard"), 0o755); err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "wgbench"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	version, err := exec.Command(b.original, "--version").Output()
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(string(version), " - ")
	fmt.Printf("Original: %s (%s). Machine: %d CPUs, %s, load %s. Medians of interleaved runs; ratio = ours / original.\n\n",
		name, b.original, runtime.NumCPU(), strings.TrimSpace(runtime.Version()), load())
	if err := b.startup(); err != nil {
		return err
	}
	sizes := []size{{1, 2}, {1000, 2}, {100_000, 2}, {100_000, 10}}
	if !b.short {
		sizes = append(sizes, size{1_000_000, 1})
	}
	fmt.Print("| peers x allowed IPs | command | original | ours | ratio | spread of ours | memory: original | ours | ratio |\n" +
		"| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, s := range sizes {
		if err := b.device(s); err != nil {
			return fmt.Errorf("%d peers: %w", s.peers, err)
		}
	}
	return nil
}

func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Fields(string(text))[0]
}

func (b *bench) runs(n int) int { return max(3, n*b.scale/100) }

func (b *bench) startup() error {
	fmt.Print("| start-up | original | empty Go program | ours | ours / original | ours / empty |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, args := range [][]string{{"show", "interfaces"}, {"genkey"}} {
		times, err := interleave(b.runs(400), [][]string{
			append([]string{b.original}, args...), {b.empty}, append([]string{b.ours}, args...),
		})
		if err != nil {
			return err
		}
		c, e, o := median(times[0]), median(times[1]), median(times[2])
		fmt.Printf("| `wg %s` | %s | %s | %s | %.2f | %.2f |\n", strings.Join(args, " "), ms(c), ms(e), ms(o), ratio(o, c), ratio(o, e))
	}
	fmt.Println()
	return nil
}

type size struct{ peers, ips int }

func (b *bench) device(s size) error {
	server := exec.Command(b.fakewg, "-dir", "/var/run/wireguard", "-name", "wg0",
		"-peers", strconv.Itoa(s.peers), "-ips", strconv.Itoa(s.ips))
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		return err
	}
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		server.Process.Kill()
		server.Wait()
		os.Remove("/var/run/wireguard/wg0.sock")
	}()
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return fmt.Errorf("fakewg said %q: %w", line, err)
	}
	conf, changed := filepath.Join(b.dir, "wg0.conf"), filepath.Join(b.dir, "changed.conf")
	if err := b.writeConfs(conf, changed); err != nil {
		return err
	}
	n := 5
	switch {
	case s.peers <= 1000:
		n = 200
	case s.peers <= 100_000:
		n = 11
	}
	commands := [][]string{{"show", "wg0", "dump"}, {"setconf", "wg0", conf}, {"syncconf", "wg0", changed}}
	if s.peers == 100_000 && s.ips == 2 {
		commands = append(commands, []string{"show", "interfaces"})
	}
	for _, args := range commands {
		times, err := interleave(b.runs(n), [][]string{append([]string{b.original}, args...), append([]string{b.ours}, args...)})
		if err != nil {
			return err
		}
		memC, err := peak(b.original, args)
		if err != nil {
			return err
		}
		memO, err := peak(b.ours, args)
		if err != nil {
			return err
		}
		c, o := median(times[0]), median(times[1])
		shown := args[0]
		if args[0] == "show" {
			shown = "show " + args[len(args)-1]
		}
		fmt.Printf("| %d x %d | `%s` | %s | %s | **%.2f** | %s to %s | %.1f MB | %.1f MB | %.2f |\n", s.peers, s.ips, shown,
			ms(c), ms(o), ratio(o, c), ms(quantile(times[1], 0.1)), ms(quantile(times[1], 0.9)),
			float64(memC)/1024, float64(memO)/1024, float64(memO)/float64(memC))
	}
	return nil
}

// writeConfs writes the device's configuration, and one in which a peer in the
// middle has another keepalive.
func (b *bench) writeConfs(conf, changed string) error {
	text, err := exec.Command(b.ours, "showconf", "wg0").Output()
	if err != nil {
		return err
	}
	if err := os.WriteFile(conf, text, 0o600); err != nil {
		return err
	}
	i := len(text) / 2
	i += max(bytes.Index(text[i:], []byte("[Peer]\n")), 0)
	if j := bytes.Index(text[i:], []byte("PersistentKeepalive")); j >= 0 {
		i += j
	}
	end := i + bytes.IndexByte(text[i:], '\n')
	line := []byte("PersistentKeepalive = 77\n")
	if bytes.HasPrefix(text[i:], []byte("[Peer]")) {
		line = append([]byte("[Peer]\n"), line...)
	}
	return os.WriteFile(changed, slices.Concat(text[:i], line, text[end+1:]), 0o600)
}

// interleave runs the commands in turns, n times each, and returns the wall
// time of every run.
func interleave(n int, commands [][]string) ([][]time.Duration, error) {
	times := make([][]time.Duration, len(commands))
	for round := range n + 1 {
		for i, args := range commands {
			took, err := timed(args)
			if err != nil {
				return nil, err
			}
			if round > 0 { // the first run fills the caches
				times[i] = append(times[i], took)
			}
		}
	}
	return times, nil
}

func timed(args []string) (time.Duration, error) {
	cmd := exec.Command(args[0], args[1:]...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return took, nil
}

// peak returns the greatest resident size of a command in KiB. GNU time starts
// it, since what a large process starts inherits the large process's peak.
func peak(program string, args []string) (int, error) {
	cmd := exec.Command("/usr/bin/time", slices.Concat([]string{"-f", "%M", program}, args)...)
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.Discard, &stderr
	if err := cmd.Run(); err != nil {
		return 0, fmt.Errorf("%s: %w: %s", cmd, err, stderr.String())
	}
	text := strings.TrimSpace(stderr.String()) // the last line is time's
	return strconv.Atoi(text[strings.LastIndexByte(text, '\n')+1:])
}

func quantile(times []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[int(q*float64(len(sorted)-1))]
}

func median(times []time.Duration) time.Duration { return quantile(times, 0.5) }

func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }
