// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

// Package kernel_test runs wg on a kernel that has WireGuard: `make
// test-kernel` starts one in an emulated machine. Elsewhere all of it is
// skipped. What wg did is seen by Debian's wg and by packets.
package kernel_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wgtools/internal/keys"
	"wgtools/internal/netnstest"
)

var (
	bin         = flag.String("bin", "../../bin", "the `directory` of the wg and wg-quick to test")
	debianWG    = flag.String("debian", "/usr/bin/wg", "the wg of wireguard-tools, a `program`")
	incremental = flag.Bool("incremental", false, "the kernel is known to take allowed IPs away one by one")
)

// ourWG is the wg to test.
func ourWG() string { return filepath.Join(*bin, "wg") }

// patience is for things that take no time, but for emulation under load.
const patience = 90 * time.Second

// inKernel runs f in namespaces of its own (see [netnstest.Run]) on a kernel
// with WireGuard, and skips the test on others.
func inKernel(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	if _, err := os.Stat(ourWG()); err != nil && os.Getenv("KERNEL_LAB") != "" {
		t.Fatalf("-bin: %v", err)
	}
	netnstest.Run(t, func() error {
		if out, err := exec.Command("ip", "link", "add", "probe", "type", "wireguard").CombinedOutput(); err != nil {
			if os.Getenv("KERNEL_LAB") != "" {
				return fmt.Errorf("the lab's kernel has no WireGuard: %s", out)
			}
			t.Skip("this kernel has no WireGuard; make test-kernel brings one that has")
		}
		do(t, "ip", "link", "del", "probe")
		f(t)
		return nil
	})
}

// A result is what a program left behind.
type result struct {
	stdout, stderr string
	exit           int
}

// try runs a program with that standard input.
func try(t *testing.T, stdin, program string, args ...string) result {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C", "WG_COLOR_MODE=never", "WG_HIDE_KEYS=never")
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", program, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// do runs a program that must succeed and returns what it prints.
func do(t *testing.T, program string, args ...string) string {
	t.Helper()
	r := try(t, "", program, args...)
	if r.exit != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", program, strings.Join(args, " "), r.exit, r.stdout, r.stderr)
	}
	return r.stdout
}

// wg runs the wg under test, which must succeed without a word on standard error.
func wg(t *testing.T, args ...string) string {
	t.Helper()
	r := try(t, "", ourWG(), args...)
	if r.exit != 0 || r.stderr != "" {
		t.Fatalf("wg %s: exit %d\n%s%s", strings.Join(args, " "), r.exit, r.stdout, r.stderr)
	}
	return r.stdout
}

// wgLink makes a WireGuard link of the kernel.
func wgLink(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		do(t, "ip", "link", "add", name, "type", "wireguard")
	}
}

// write writes a file of its own for the test and returns its path.
func write(t *testing.T, content string) string {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f.Name()
}

// same fails the test, showing where they part, unless both texts are equal.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			t.Errorf("%s: line %d is %q, want %q", what, i+1, g[i], w[i])
			return
		}
	}
	t.Errorf("%s: %d lines, want %d", what, len(g), len(w))
}

// await calls f until it reports true.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// key makes a private key from a word, the same for the same word.
func key(word string) keys.Key {
	var k keys.Key
	copy(k[:], strings.Repeat(word+"-", keys.Len))
	return k.Clamp()
}

// private and public return the text of the keys of a word.
func private(word string) string { return key(word).Base64() }
func public(word string) string  { return key(word).Public().Base64() }

// demo is the script of `make demo`.
var demo = filepath.Join("..", "demo.sh")

// TestDemo brings the tunnel of `make demo` up on the kernel's device.
func TestDemo(t *testing.T) {
	if os.Getenv("KERNEL_LAB") == "" {
		t.Skip("make demo runs it on this machine; make test-kernel on a kernel with WireGuard")
	}
	if _, err := os.Stat(demo); err != nil {
		t.Skip(err)
	}
	out, err := exec.Command("bash", demo, *bin).CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Error(err)
	}
}
