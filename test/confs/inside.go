// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// An outcome is what a wg-quick made of a file.
type outcome struct {
	Fault string // why that isn't known

	Strip, Up, Down answer
	Check           []finding         // of ours, in the file as it is
	Errors          int               // that check finds in the file that is brought up
	State           map[string]string // what there is while it is up, by part
	Left            []string          // lines of the state after it, with "+" or "-", that differ from the one before
}

// An answer is what a command printed and how it ended.
type answer struct {
	Status   int
	Out, Err string
}

// A finding is one of wg-quick check's.
type finding struct {
	Line, Column   int
	Severity, Code string
}

// limit is for a command that would never end.
const limit = 2 * time.Minute

// A place is the namespaces that a file is tried in.
type place struct {
	wg, wgQuick string
	dir         string // for files
}

// try runs a file in the namespaces that this process is the first one of;
// with the original if that isn't "".
func try(bin, original, path string) (o outcome) {
	p := &place{wg: filepath.Join(bin, "wg"), wgQuick: original, dir: "/run/confs"}
	if original == "" {
		p.wgQuick = filepath.Join(bin, "wg-quick")
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = p.set(hosts(text))
	}
	file := filepath.Join(p.dir, "wg0.conf")
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	if err != nil {
		return outcome{Fault: err.Error()}
	}
	o.Strip = p.run("strip", file)
	if original == "" {
		if o.Check, err = p.check(file); err != nil {
			return outcome{Fault: err.Error()}
		}
	}
	// From here on without its hooks.
	if err := os.WriteFile(file, harmless(text), 0o600); err != nil {
		return outcome{Fault: err.Error()}
	}
	if original == "" {
		list, err := p.check(file)
		if err != nil {
			return outcome{Fault: err.Error()}
		}
		for _, f := range list {
			if f.Severity == "error" {
				o.Errors++
			}
		}
	}
	before := p.everything()
	if o.Up = p.run("up", file); o.Up.Status == 0 {
		o.State = p.present(text)
		o.Down = p.run("down", file)
	}
	o.Left = differences(before, p.everything())
	if original != "" { // whose device ends a moment after it
		for deadline := time.Now().Add(5 * time.Second); len(o.Left) > 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			o.Left = differences(before, p.everything())
		}
	}
	return o
}

// set makes the surroundings: nothing of the machine's can be changed from
// here.
func (p *place) set(hosts string) error {
	if err := unix.MountSetattr(-1, "/", unix.AT_RECURSIVE, &unix.MountAttr{
		Attr_set: unix.MOUNT_ATTR_RDONLY, Propagation: unix.MS_PRIVATE,
	}); err != nil {
		return fmt.Errorf("make the file system read-only: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	for _, dir := range []string{"/run", "/var/run"} {
		if real, err := filepath.EvalSymlinks(dir); err != nil || real != dir {
			continue
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	if err := os.MkdirAll(filepath.Join(p.dir, "bin"), 0o700); err != nil {
		return err
	}
	stub := filepath.Join(p.dir, "bin", "resolvconf")
	resolvconf := `#!/bin/sh
case $1 in
-a) mkdir -p /run/resolvconf && cat >"/run/resolvconf/$2" ;;
-d) rm -f "/run/resolvconf/$2" && { rmdir /run/resolvconf 2>/dev/null || true; } ;;
-l) cat "/run/resolvconf/$2" ;;
esac
`
	covers := map[string]string{"/etc/hosts": hosts, "/etc/resolv.conf": "nameserver 127.0.0.1\n", stub: resolvconf}
	if path, err := exec.LookPath("resolvconf"); err == nil { // the original finds it before any other
		covers[path] = resolvconf
	}
	for path, text := range covers {
		with := filepath.Join(p.dir, "bin", filepath.Base(path))
		if err := os.WriteFile(with, []byte(text), 0o755); err != nil {
			return err
		}
		real, err := filepath.EvalSymlinks(path)
		if err != nil || real == with {
			continue // there is nothing to cover
		}
		if err := unix.Mount(with, real, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", real, err)
		}
	}
	os.Clearenv()
	for _, v := range []string{
		"PATH=" + filepath.Dir(stub) + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TMPDIR=/run", "LC_ALL=C",
		"WG_ENDPOINT_RESOLUTION_RETRIES=0", "WG_HIDE_KEYS=never",
	} {
		name, value, _ := strings.Cut(v, "=")
		os.Setenv(name, value)
	}
	return uplink()
}

func uplink() error {
	for _, args := range []string{
		"link set lo up",
		"link add uplink type veth peer name beyond",
		"link set uplink addrgenmode none up",
		"link set beyond addrgenmode none up",
		// None that examples are full of.
		"address add 192.168.77.2/24 dev uplink",
		"address add fd77::2/64 dev uplink nodad",
		"-4 route add default via 192.168.77.1",
		"-6 route add default via fd77::1",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			return fmt.Errorf("ip %s: %w\n%s", args, err, out)
		}
	}
	// The state of a link that was just made settles by itself, and so does
	// what goes with its addresses.
	settled := func() bool {
		return strings.Count(ask("ip -o link show type veth"), "state UP") == 2 && strings.Contains(ask("ip -6 route show table local"), "local fd77::2 ")
	}
	for deadline := time.Now().Add(limit); !settled(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("the uplink does not come up")
		}
	}
	return nil
}

// run runs wg-quick. The file's path is left out of what it says.
func (p *place) run(args ...string) (a answer) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, p.wgQuick, args...)
	cmd.Dir = p.dir
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = time.Second // daemons may keep them open
	err := cmd.Run()
	if cmd.ProcessState == nil {
		return answer{Status: -1, Err: err.Error()}
	}
	a.Status = cmd.ProcessState.ExitCode()
	if ctx.Err() != nil {
		errs.WriteString("\nit did not end\n")
	}
	a.Out, a.Err = out.String(), strings.ReplaceAll(errs.String(), p.dir+"/", "")
	return a
}

// check returns what our check finds in a file, apart from the names in hooks:
// the interface has another one here.
func (p *place) check(file string) ([]finding, error) {
	a := p.run("check", "--json", "--ignore", "hook-interface", file)
	var doc struct{ Findings []finding }
	if err := json.Unmarshal([]byte(a.Out), &doc); err != nil {
		return nil, fmt.Errorf("check: %w: %s", err, a.Err)
	}
	return doc.Findings, nil
}

// ask returns what a command prints.
func ask(command string) string {
	words := strings.Fields(command)
	out, _ := exec.Command(words[0], words[1:]...).Output()
	return string(out)
}

// everything is all that a tunnel could change.
func (p *place) everything() string {
	var b strings.Builder
	for _, command := range []string{
		"ip -d link show", "ip address show", "ip -4 rule show", "ip -6 rule show", "ip -4 route show table all", "ip -6 route show table all",
		"nft list ruleset", "iptables-save", "ip6tables-save",
	} {
		text := ask(command)
		if strings.HasSuffix(command, "-save") { // a chain stays once it was used, and there are dates
			text = strings.Join(slices.DeleteFunc(strings.SplitAfter(text, "\n"), func(l string) bool { return !strings.HasPrefix(l, "-A") }), "")
		}
		b.WriteString(text)
	}
	mark, _ := os.ReadFile(validMark)
	fmt.Fprintf(&b, "%s is %s", validMark, mark)
	filepath.WalkDir("/run", func(path string, d os.DirEntry, _ error) error {
		if path == p.dir {
			return filepath.SkipDir
		}
		if path != "/run/wireguard" { // where sockets are, which stays
			fmt.Fprintln(&b, path)
		}
		if strings.HasSuffix(path, ".log") {
			text, _ := os.ReadFile(path)
			b.Write(text)
		}
		return nil
	})
	processes, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range processes {
		if line, _ := os.ReadFile(path); len(line) > 0 { // else it has ended
			fmt.Fprintf(&b, "process %s\n", bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
		}
	}
	return b.String()
}

const validMark = "/proc/sys/net/ipv4/conf/all/src_valid_mark"

// present is what there is of the tunnel, by part, without what two devices
// never have in common.
func (p *place) present(text []byte) map[string]string {
	mark, _ := os.ReadFile(validMark)
	state := map[string]string{
		"link":           links(ask("ip -o link show")),
		"addresses":      lines(ask("ip -o address show"), func(f []string) string { return f[1] + " " + f[3] }),
		"rules":          ask("ip -4 rule show") + ask("ip -6 rule show"),
		"routes":         lines(ask("ip -4 route show table all")+ask("ip -6 route show table all"), nil),
		"packet filter":  lines(ask("nft list ruleset"), nil),
		"src_valid_mark": string(mark),
		"WireGuard":      device(ask(p.wg+" showconf wg0"), text),
		"name servers":   "",
	}
	names, _ := filepath.Glob("/run/resolvconf/*")
	for _, path := range names {
		b, _ := os.ReadFile(path)
		state["name servers"] += filepath.Base(path) + ":\n" + string(b)
	}
	return state
}

// lines returns lines in order without those of the link-local addresses that
// a TUN link gets by itself; f, if not nil, picks what of the words counts.
func lines(text string, f func(words []string) string) string {
	var list []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "fe80:") || strings.Contains(line, "ff00::/8") {
			continue
		}
		words := strings.Fields(line)
		if f != nil {
			list = append(list, f(words))
		} else {
			list = append(list, strings.Join(words, " "))
		}
	}
	if f != nil {
		slices.Sort(list)
	}
	return strings.Join(list, "\n")
}

// links returns the name, flags and MTU of links.
func links(text string) string {
	return lines(text, func(w []string) string { return strings.Join(w[1:5], " ") })
}

// device puts what wg showconf prints into an order, without a port that the
// device chose.
func device(conf string, file []byte) string {
	hasPort := slices.ContainsFunc(bytes.Split(file, []byte("\n")), func(l []byte) bool { return key(l) == "listenport" })
	sections := strings.Split(conf, "\n\n")
	for i, s := range sections {
		var list []string
		for line := range strings.Lines(s) {
			words := strings.Fields(strings.ReplaceAll(line, ",", " "))
			switch {
			case len(words) == 0, words[0] == "ListenPort" && !hasPort:
				continue
			case words[0] == "AllowedIPs":
				slices.Sort(words)
			}
			list = append(list, strings.Join(words, " "))
		}
		sections[i] = strings.Join(list, "\n")
	}
	slices.Sort(sections)
	return strings.Join(sections, "\n")
}

// differences returns the lines that one of two texts hasn't.
func differences(before, after string) (list []string) {
	a, b := strings.Split(before, "\n"), strings.Split(after, "\n")
	for _, line := range b {
		if !slices.Contains(a, line) {
			list = append(list, "+ "+line)
		}
	}
	for _, line := range a {
		if !slices.Contains(b, line) {
			list = append(list, "- "+line)
		}
	}
	return list
}
