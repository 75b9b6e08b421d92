// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wgtools/internal/cli"
	"wgtools/internal/fakedevice"
	"wgtools/internal/netlinkwg"
)

var (
	originalWG = flag.String("original", "/usr/bin/wg", "the original `program` to compare with")
	howMany    = flag.Int("files", 1500, "how many files to generate")
	seed       = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what the files follow from")
)

// TestSetconfLikeOriginal generates files, well formed and not, gives each to
// the original's setconf and to ours, and compares: the same request, byte by
// byte, or the same lines for the failure.
//
// Debian 12's wg is older than the incremental allowed IPs, so no file has them.
func TestSetconfLikeOriginal(t *testing.T) {
	if _, err := exec.LookPath(*originalWG); err != nil {
		t.Skip("the original isn't installed (package wireguard-tools):", err)
	}
	if os.Getenv(corpusWorker) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^TestSetconfLikeOriginal$", "-test.v", "-test.timeout=60m",
			"-original="+*originalWG, fmt.Sprintf("-files=%d", *howMany), fmt.Sprintf("-seed=%d", *seed))
		cmd.Env = append(os.Environ(), corpusWorker+"=0/1")
		cmd.SysProcAttr = namespaces()
		out, err := cmd.CombinedOutput()
		switch {
		case cmd.Process == nil:
			t.Skip("no namespaces here (needs root, or unprivileged user namespaces):", err)
		case err != nil:
			t.Errorf("with -seed=%d: %v\n%s", *seed, err, out)
		default:
			t.Logf("%s", out)
		}
		return
	}
	w, err := newWorker(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(w.sockets, 0o755); err != nil {
		t.Fatal(err)
	}
	server, err := fakedevice.Serve(w.sockets, "wg0", fakedevice.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	path := filepath.Join(w.dir, "wg0.conf")
	rng := rand.New(rand.NewPCG(*seed, 0))
	accepted, differences := 0, 0
	for n := range *howMany {
		src := generate(rng)
		for signed.Match(src) {
			src = generate(rng)
		}
		if err := os.WriteFile(path, src, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(*originalWG, "setconf", "wg0", path)
		cmd.Env = []string{"LC_ALL=C", "WG_ENDPOINT_RESOLUTION_RETRIES=0"}
		var theirs, ours bytes.Buffer
		cmd.Stderr = &theirs
		theirExit := 0
		if err := cmd.Run(); err != nil {
			theirExit = 1
		}
		theirRequest := strings.Join(server.Device.Requests(), "---\n")
		env := &cli.Env{Out: &ours, Err: &ours, Prog: "wg", Now: time.Now, LookupEnv: func(name string) (string, bool) {
			return "0", name == "WG_ENDPOINT_RESOLUTION_RETRIES"
		}}
		ourExit := run(context.Background(), env, netlinkwg.New(), []string{"setconf", "wg0", path})
		ourRequest := strings.Join(server.Device.Requests(), "---\n")
		if theirExit == 0 {
			accepted++
		}
		if ourExit != theirExit || ourRequest != theirRequest || !saysAsMuch(hide(theirs.String()), hide(ours.String())) {
			differences++
			t.Errorf("file %d: %q\noriginal: exit %d, says %q, sends\n%s\nours: exit %d, says %q, sends\n%s",
				n, src, theirExit, theirs.String(), theirRequest, ourExit, ours.String(), ourRequest)
			if differences == 5 {
				break
			}
		}
	}
	if accepted < *howMany/20 || accepted > *howMany*19/20 {
		t.Errorf("the original takes %d of %d files: they say little", accepted, *howMany)
	}
	t.Logf("%d files, %d of them taken by the original: the same requests and messages (seed %d)", *howMany, accepted, *seed)
}

// signed finds what only a newer original understands.
var signed = regexp.MustCompile(`(?i)ips\s*=[^\n#]*[+-]`)

// hide makes lines about unknown text and wrong keys equal where ours hides a
// key in them.
func hide(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Key is not the correct length or format") {
			lines[i] = "Key is not the correct length or format"
		}
		if strings.HasPrefix(line, "Line unrecognized") && (strings.Contains(line, "(hidden)") || strings.Contains(line, "=")) {
			lines[i] = "Line unrecognized"
		}
	}
	return strings.Join(lines, "\n")
}

// generate makes a configuration file, mostly a sound one with a few faults.
func generate(rng *rand.Rand) []byte {
	pick := func(list ...string) string { return list[rng.IntN(len(list))] }
	key := func() string {
		if rng.IntN(30) == 0 {
			return pick("short", fakedevice.Fill("{key}", 1)[:43], fakedevice.Fill("{key}", 2)+"=", strings.Repeat("/", 43)+"=", strings.Repeat("A", 43)+"=")
		}
		return fakedevice.Fill("{key}", rng.IntN(5))
	}
	ip := func() string {
		if rng.IntN(25) == 0 {
			return pick("", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%lo", "[::1]", "1.2.3.4.5", ":::", "::1:2:3:4:5:6:7:8", "1::2::3", "::ffff:1.2.3", "a", "1.2.3.4/", "::/129", "1.2.3.4/33", "1.2.3.4/x", "1.2.3.4/8/8")
		}
		address := pick("10.0.0.1", "0.0.0.0", "255.255.255.255", "192.168.1.2", "::", "::1", "::1:0", "::ffff:1.2.3.4", "::1.2.3.4", "fd00::1", "2001:DB8:0:0:1::1", "1:2:3:4:5:6:7:8", "64:ff9b::1.2.3.4", "1:2:3:4:5:6:7::")
		limit := 32
		if strings.Contains(address, ":") {
			limit = 128
		}
		switch rng.IntN(4) {
		case 0:
			return address
		case 1:
			return fmt.Sprintf("%s/0%d", address, rng.IntN(limit+1))
		}
		return fmt.Sprintf("%s/%d", address, rng.IntN(limit+1))
	}
	ips := func() string {
		list := make([]string, 1+rng.IntN(3))
		for i := range list {
			list[i] = ip()
		}
		return strings.Join(list, pick(",", ", ", " , "))
	}
	endpoint := func() string {
		return pick("192.0.2.1:51820", "[::1]:1", "[2001:db8::1]:51820", "::1:80", "10:80", "1.2.3:80", "0x7f.1:80", "localhost:80", "vpn.example.org:domain",
			"[fe80::1%lo]:5", "[fe80::1%1]:5", "[fe80::1%77]:5", "1.2.3.4:65536", "1.2.3.4:+80", "1.2.3.4:070", "*:80",
			"nowhere:1", "1.2.3.4", "1.2.3.4:", ":80", "[::1]", "[::1", "[]:80", "1.2.3.4:http", "256.1.1.1:1", "[::1%lo]:5", "[fe80::1%]:5", "2001:db8::1", "1.2.3.4.:80", "[192.0.2.1]:7", "0177.1:9")
	}
	number := func() string {
		return pick("0", "1", "25", "51820", "65535", "65536", "70000", "010", "0x10", "0xca6c", "0XCA6C", "off", "OFF", "-1", "+7", "4294967295", "4294967296", "99999999999999999999", "x", "5x", "domain", "http", "2147483648")
	}
	var b bytes.Buffer
	section := ""
	for range 1 + rng.IntN(10) {
		name, value := "", ""
		switch n := rng.IntN(12); {
		case n == 0 || section == "" && rng.IntN(20) > 0:
			section = pick("[Interface]", "[Peer]", "[Peer]", "[peer]", "[INTERFACE]", "[ Peer ]")
			if rng.IntN(40) == 0 {
				section = pick("[Peers]", "[Peer", "Peer]", "[]", "[Peer] x", "[Interface]]")
			}
			name = section
			if strings.EqualFold(strings.ReplaceAll(section, " ", ""), "[peer]") && rng.IntN(15) > 0 {
				name += "\nPublicKey = " + key()
			}
		case n == 1:
			name, value = pick("PrivateKey", "ListenPort", "FwMark", "PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive", "Address", "DNS", "AllowedIP", "listen-port", "X", ""), pick(number(), key(), ip(), "")
			if rng.IntN(3) > 0 {
				continue
			}
		case n == 2:
			name = pick("", "# comment", "#", "   ", "\t# = x", ";", "x", "\x00", "=", "\xff")
			if rng.IntN(2) > 0 {
				name = pick("", "# comment", " \t ")
			}
		case strings.EqualFold(strings.ReplaceAll(section, " ", ""), "[interface]"):
			switch rng.IntN(3) {
			case 0:
				name, value = "PrivateKey", key()
			case 1:
				name, value = "ListenPort", number()
			default:
				name, value = "FwMark", number()
			}
		default:
			switch rng.IntN(5) {
			case 0:
				name, value = "PublicKey", key()
			case 1:
				name, value = "PresharedKey", key()
			case 2:
				name, value = "AllowedIPs", ips()
			case 3:
				name, value = "Endpoint", endpoint()
			default:
				name, value = "PersistentKeepalive", number()
			}
		}
		line := name
		if value != "" {
			line += pick("=", " = ", " =", "= ", "\t=\t", "==") + value
			if strings.Contains(line, "==") && rng.IntN(8) > 0 {
				line = name + "=" + value
			}
		}
		switch rng.IntN(12) {
		case 0:
			line = pick(" ", "\t", "\v", "\f") + line
		case 1:
			line += pick(" ", "\r", " # x", "#x", "\x00junk", " \t")
		case 2:
			line = strings.ToLower(name) + line[len(name):]
		case 3: // a blank somewhere
			i := rng.IntN(len(line) + 1)
			line = line[:i] + " " + line[i:]
		case 4:
			if rng.IntN(6) == 0 && line != "" { // a wrong byte somewhere
				i := rng.IntN(len(line))
				line = line[:i] + string([]byte{byte(rng.IntN(256))}) + line[i+1:]
			}
		}
		b.WriteString(line)
		if rng.IntN(30) > 0 {
			b.WriteString(pick("\n", "\n", "\n", "\r\n"))
		}
	}
	return b.Bytes()
}
