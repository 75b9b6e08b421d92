// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A name that is taken, by a link that is no tunnel.
func TestTakenName(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("uplink", ordinary, "10.50.0.0/16")
		s.expect(s.wgQuick("up", path), result{status: 1, err: "wg-quick: `uplink' already exists\n" +
			"hint: `wg-quick down uplink' takes it down, if it is a tunnel; `ip link show dev uplink' tells what it is\n"})
		s.expect(s.wgQuick("down", path), result{status: 1, err: "wg-quick: `uplink' is not a WireGuard interface\n" +
			"hint: `wg show interfaces' lists those that there are\n"})
		s.same(before)
	})
}

// Root without the capability, as in a container.
func TestNoCapability(t *testing.T) {
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv isn't installed (Debian: util-linux)")
	}
	isolated(t, func(s *site) {
		before := s.state()
		ours, err := exec.LookPath("wg-quick")
		if err != nil {
			t.Fatal(err)
		}
		c := exec.Command(setpriv, "--bounding-set", "-net_admin", "--inh-caps", "-net_admin", ours, "up", s.file("wg0", ordinary, "10.50.0.0/16"))
		out, _ := c.CombinedOutput()
		want := "RTNETLINK answers: Operation not permitted\n" +
			"wg-quick: ip link add dev wg0 type wireguard: operation not permitted\n" +
			"hint: this needs the capability CAP_NET_ADMIN in the network namespace\n"
		if c.ProcessState.ExitCode() != 1 || !strings.HasSuffix(string(out), want) {
			t.Errorf("exit status %d:\n%s\nwant 1, and at the end:\n%s", c.ProcessState.ExitCode(), out, want)
		}
		s.same(before)
	})
}

// A file that isn't the user's to read.
func TestUnreadable(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "wg0.conf")
	if err := os.WriteFile(path, []byte("[Interface]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "wg-quick")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(program, "strip", path)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, _ := c.CombinedOutput()
	if want := "wg-quick: open " + path + ": permission denied\n"; string(out) != want || c.ProcessState.ExitCode() != 1 {
		t.Errorf("exit status %d, printed %q; want 1, %q", c.ProcessState.ExitCode(), out, want)
	}
}

// A pipe that nobody writes to is no reason to stay: Ctrl-C ends the reading.
func TestPipe(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGINT) // one that is ignored here would be there too
	defer signal.Stop(ours)
	isolated(t, func(s *site) {
		path := filepath.Join(s.dir, "wg0.conf")
		if err := syscall.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		before := s.state()
		for _, verb := range []string{"up", "down", "save", "strip"} {
			var errs strings.Builder
			c := s.command(verb, path)
			c.Stderr = &errs
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
			var w *os.File
			if err := await(func() (opened bool) { // once it reads, a writer can come
				var err error
				w, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
				return err == nil
			}); err != nil {
				t.Fatal(err)
			}
			c.Process.Signal(syscall.SIGINT)
			c.Wait()
			timer.Stop()
			w.Close()
			if want := "wg-quick: interrupt signal received\n"; c.ProcessState.ExitCode() != 1 || errs.String() != want {
				t.Errorf("%s: exit status %d, printed %q; want 1, %q", verb, c.ProcessState.ExitCode(), errs.String(), want)
			}
		}
		s.same(before)
	})
}

// Files at the ends of what there can be.
func TestEmptyAndGigantic(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := filepath.Join(s.dir, "wg0.conf")
		for name, text := range map[string]string{
			"an empty file":           "",
			"1 MB of comments":        "[Interface]\n" + strings.Repeat("# x\n", 1<<20/4),
			"a comment line of 10 MB": "[Interface]\n#" + strings.Repeat("x", 10<<20),
		} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, verb := range []string{"up", "down"} {
				if got := s.wgQuick(verb, path); got.status != 0 {
					t.Errorf("%s: %s: %+v", name, verb, got)
				}
			}
			s.same(before)
		}
		if err := os.WriteFile(path, []byte("[Interface]\n"+strings.Repeat("foo\n", 100_000)), 0o600); err != nil {
			t.Fatal(err)
		}
		got := s.wgQuick("up", path)
		if lines := strings.Count(got.err, "\n"); got.status != 1 || lines > 20 || !strings.HasSuffix(got.err, "\nand 99990 more\n") {
			t.Errorf("exit status %d, %d lines:\n%.2000s", got.status, lines, got.err)
		}
		s.same(before)
	})
}

// What hooks print goes through as it is, and in front of nothing else.
func TestBinaryHook(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("wg0", `PreUp = printf '\000\377\n'; printf '\000\376' >&2; exit 9`, "10.50.0.0/16")
		s.expect(s.wgQuick("up", path), result{status: 9, out: "\x00\xff\n",
			err: "[#] ip link add dev wg0 type wireguard\n[#] printf '\\000\\377\\n'; printf '\\000\\376' >&2; exit 9\n\x00\xfe" +
				"[#] ip link delete dev wg0\nDIR/wg0.conf:3:9: PreUp: exit status 9\n"})
		s.same(before)
	})
}

// An endpoint that nobody knows: before anything is there.
func TestUnknownEndpoint(t *testing.T) {
	isolated(t, func(s *site) {
		hosts := filepath.Join(s.dir, "resolv.conf")
		if err := os.WriteFile(hosts, []byte("nameserver 127.0.0.1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Mount(hosts, "/etc/resolv.conf", "", syscall.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		before := s.state()
		s.env = []string{"WG_ENDPOINT_RESOLUTION_RETRIES=0"}
		path := s.file("wg0", ordinary, "10.50.0.0/16\nEndpoint = nosuch.invalid:51820")
		s.expect(s.wgQuick("up", path), result{status: 1, err: "Temporary failure in name resolution: `nosuch.invalid:51820'\n" +
			"Configuration parsing error\nDIR/wg0.conf:8:12: Endpoint: can't be resolved\n" +
			"hint: no name server answered for \"nosuch.invalid\": is the network up, and is /etc/resolv.conf right?\n"})
		s.same(before)
	})
}
