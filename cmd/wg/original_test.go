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
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wgtools/internal/cli"
	"wgtools/internal/fakedevice"
	"wgtools/internal/netlinkwg"
)

var (
	originalWG = flag.String("original", "/usr/bin/wg", "the original `program` to compare with")
	howMany    = flag.Int("files", 1500, "how much to generate")
	seed       = flag.Uint64("seed", uint64(time.Now().UnixNano()), "what is generated follows from it")
)

// TestSetconfLikeOriginal generates files, well formed and not, gives each to
// the original's setconf and to ours, and compares: the same request, byte by
// byte, or the same lines for the failure.
//
// Debian 12's wg is older than the incremental allowed IPs, so no file has them.
func TestSetconfLikeOriginal(t *testing.T) {
	likeOriginal(t, func(g generator) ([]string, error) {
		src := g.conf()
		for signed.Match(src) {
			src = g.conf()
		}
		return []string{"setconf", "wg0", "wg0.conf"}, os.WriteFile("wg0.conf", src, 0o600)
	})
}

// TestSetLikeOriginal does the same with the words of "wg set".
func TestSetLikeOriginal(t *testing.T) {
	likeOriginal(t, func(g generator) ([]string, error) {
		words := g.words()
		for slices.ContainsFunc(words, func(w string) bool { return strings.ContainsAny(w, "+-") && strings.ContainsAny(w, "./:") }) {
			words = g.words()
		}
		return append([]string{"set", "wg0"}, words...), nil
	})
}

// likeOriginal gives what generate makes to the original and to ours, in
// namespaces, and compares. The working directory is one of its own.
func likeOriginal(t *testing.T, generate func(g generator) (args []string, err error)) {
	if _, err := exec.LookPath(*originalWG); err != nil {
		t.Skip("the original isn't installed (package wireguard-tools):", err)
	}
	if os.Getenv(corpusWorker) == "" {
		cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60m",
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
	t.Chdir(w.dir)
	for name, text := range keyFiles() {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server, err := fakedevice.Serve(w.sockets, "wg0", fakedevice.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	g := generator{rand.New(rand.NewPCG(*seed, 0))}
	accepted, differences := 0, 0
	for n := range *howMany {
		args, err := generate(g)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(*originalWG, args...)
		cmd.Env = []string{"LC_ALL=C", "WG_ENDPOINT_RESOLUTION_RETRIES=0"}
		var theirs, ours bytes.Buffer
		cmd.Stderr = &theirs
		theirExit := 0
		if err := cmd.Run(); err != nil {
			theirExit = 1
		}
		theirRequest := strings.Join(server.Device.Requests(), "---\n")
		env := &cli.Env{Out: &ours, Err: &ours, Prog: *originalWG, Now: time.Now, LookupEnv: func(name string) (string, bool) {
			return "0", name == "WG_ENDPOINT_RESOLUTION_RETRIES"
		}}
		ourExit := run(context.Background(), env, netlinkwg.New(), args)
		ourRequest := strings.Join(server.Device.Requests(), "---\n")
		if theirExit == 0 {
			accepted++
		}
		if strings.HasPrefix(theirs.String(), "Usage: ") { // its words have grown since
			theirs.Reset()
			ours.Reset()
		}
		if ourExit != theirExit || ourRequest != theirRequest || !saysAsMuch(hide(hideAs(theirs.String(), ours.String())), hide(ours.String())) {
			differences++
			file, _ := os.ReadFile("wg0.conf")
			t.Errorf("%d: %q (wg0.conf: %q)\noriginal: exit %d, says %q, sends\n%s\nours: exit %d, says %q, sends\n%s",
				n, args, file, theirExit, theirs.String(), theirRequest, ourExit, ours.String(), ourRequest)
			if differences == 5 {
				break
			}
		}
	}
	if accepted < *howMany/20 || accepted > *howMany*19/20 {
		t.Errorf("the original takes %d of %d: they say little", accepted, *howMany)
	}
	t.Logf("%d tried, %d of them taken by the original: the same requests and messages (seed %d)", *howMany, accepted, *seed)
}

// signed finds what only a newer original understands.
var signed = regexp.MustCompile(`(?i)ips\s*=[^\n#]*[+-]`)

// hideAs hides in the original's lines what ours hide in theirs: a value with a
// key in it, as when two settings have become one.
func hideAs(theirs, ours string) string {
	lines := strings.Split(theirs, "\n")
	for line := range strings.Lines(ours) {
		text, hidden := strings.CutSuffix(line, "(hidden)'\n")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, text) })
		if hidden && i >= 0 && !badKey.MatchString(line) { // hide does those
			lines[i] = text + "(hidden)'"
		}
	}
	return strings.Join(lines, "\n")
}

// hide makes lines about unknown text and wrong keys equal where ours hides a
// key in them.
func hide(s string) string {
	lines := strings.Split(badKey.ReplaceAllString(s, "${1}(hidden)'"), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "Key is not the correct length or format") { // one with a ' in it
			lines[i] = "Key is not the correct length or format"
		}
		if strings.HasPrefix(line, "Line unrecognized") && (strings.Contains(line, "(hidden)") || strings.Contains(line, "=")) {
			lines[i] = "Line unrecognized"
		}
	}
	return strings.Join(lines, "\n")
}
