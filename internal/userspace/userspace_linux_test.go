// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package userspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/netnstest"
)

// The test's own program is the device's, as a command's is.
func TestMain(m *testing.M) {
	if IsDevice(os.Args) {
		os.Exit(Main(os.Args))
	}
	// With the race detector every process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	os.Exit(m.Run())
}

func isolated(t *testing.T, f func()) {
	t.Helper()
	tun, err := os.OpenFile(tunPath, os.O_RDWR, 0)
	if err != nil {
		t.Skipf("no TUN links here: %v", openError(err))
	}
	tun.Close()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip isn't installed (Debian: iproute2)")
	}
	netnstest.Run(t, func() error { f(); return nil })
}

// ask sends a request of the userspace protocol and returns the answer.
func ask(t *testing.T, dev, request string) string {
	t.Helper()
	c, err := net.Dial("unix", socketPath(dev))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request+"\n\n"); err != nil {
		t.Fatal(err)
	}
	c.(*net.UnixConn).CloseWrite()
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// name returns a link's name that no other process has, so that pid finds
// ours.
func name(n int) string { return fmt.Sprintf("us%d.%d", os.Getpid(), n) }

// pid returns the process that serves dev, 0 if there is none.
func pid(dev string) int {
	want := ProcessName + "\x00" + dev + "\x00"
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && string(text) == want {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			return n
		}
	}
	return 0
}

func deleteLink(t *testing.T, dev string) {
	t.Helper()
	if out, err := exec.Command("ip", "link", "delete", "dev", dev).CombinedOutput(); err != nil {
		t.Fatalf("ip link delete: %v\n%s", err, out)
	}
}

func TestDevice(t *testing.T) {
	isolated(t, func() {
		dev := name(0)
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(socketPath(dev))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("socket has mode %v, want 0600", st.Mode())
		}
		if got := ask(t, dev, "set=1\nlisten_port=40123\nfwmark=7"); got != "errno=0\n\n" {
			t.Errorf("set: %q", got)
		}
		if got := ask(t, dev, "get=1"); !strings.Contains(got, "listen_port=40123\n") || !strings.Contains(got, "fwmark=7\n") {
			t.Errorf("get: %q", got)
		}

		p := pid(dev)
		if p == 0 {
			t.Fatalf("no process %s %s", ProcessName, dev)
		}
		if sid, err := unix.Getsid(p); err != nil || sid != p {
			t.Errorf("session of the device is %d, %v; want its own, %d", sid, err, p)
		}
		for fd := range 3 {
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", p, fd)); to != os.DevNull {
				t.Errorf("file %d of the device is %q, %v; want none of the caller's", fd, to, err)
			}
		}
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p)); string(bytes.TrimSpace(comm)) != ProcessName[:15] {
			t.Errorf("process is called %q", comm)
		}

		if err := Start(t.Context(), dev, Options{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Start again: %v, want ErrExist", err)
		}
		if got := ask(t, dev, "get=1"); !strings.Contains(got, "listen_port=40123\n") {
			t.Errorf("after a second Start: %q", got)
		}

		process := Find(dev)
		if process == nil {
			t.Fatal("Find found no process")
		}
		deleteLink(t, dev)
		process.Wait(t.Context())
		if _, err := os.Stat(socketPath(dev)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("socket after the link was deleted: %v", err)
		}
		if Find(dev) != nil {
			t.Error("Find found a process after its end")
		}
		// The way is free at once.
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Errorf("Start after the end: %v", err)
		}
		process = Find(dev)
		deleteLink(t, dev)
		process.Wait(t.Context())
	})
}

// A device that was killed takes its link with it and leaves its socket, which
// is no obstacle.
func TestStaleSocket(t *testing.T) {
	isolated(t, func() {
		dev := name(1)
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Fatal(err)
		}
		process := Find(dev)
		if err := unix.Kill(pid(dev), unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		process.Wait(t.Context())
		for { // the link goes with the last of the process
			if _, err := net.InterfaceByName(dev); err != nil {
				break
			}
			time.Sleep(time.Millisecond)
		}
		if _, err := os.Stat(socketPath(dev)); err != nil {
			t.Fatalf("the socket is gone by itself: %v", err)
		}
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Fatalf("Start: %v", err)
		}
		process = Find(dev)
		deleteLink(t, dev)
		process.Wait(t.Context())
	})
}

func TestTerminated(t *testing.T) {
	isolated(t, func() {
		dev := name(2)
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Fatal(err)
		}
		process, p := Find(dev), pid(dev)
		if err := unix.Kill(p, unix.SIGHUP); err != nil { // a terminal that closes
			t.Fatal(err)
		}
		if got := ask(t, dev, "get=1"); !strings.HasSuffix(got, "errno=0\n\n") {
			t.Errorf("after SIGHUP: %q", got)
		}
		if err := unix.Kill(p, unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
		process.Wait(t.Context())
		if _, err := os.Stat(socketPath(dev)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("socket after SIGTERM: %v", err)
		}
	})
}

// elsewhere calls f in another network namespace that shares the sockets.
func elsewhere(t *testing.T, f func()) {
	t.Helper()
	back, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	f()
	if err := unix.Setns(int(back.Fd()), unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
}

// What is asked to end is this package's, and in the same network namespace:
// the socket may be that of another one's device of the same name.
func TestEnd(t *testing.T) {
	isolated(t, func() {
		dev := name(4)
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Fatal(err)
		}
		elsewhere(t, func() {
			process := Find(dev)
			defer process.Close()
			if process == nil || process.End() {
				t.Errorf("process %v of another namespace: End would end it", process)
			}
		})
		other := name(5)
		l, err := net.Listen("unix", socketPath(other))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		foreign := Find(other)
		defer foreign.Close()
		if foreign == nil || foreign.End() {
			t.Errorf("process %v of another program: End would end it", foreign)
		}

		process := Find(dev)
		if !process.End() {
			t.Fatal("End does nothing")
		}
		process.Wait(t.Context())
		if _, err := os.Stat(socketPath(dev)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("socket after the end: %v", err)
		}
	})
}

func TestStartFails(t *testing.T) {
	isolated(t, func() {
		dev := name(3)
		if out, err := exec.Command("ip", "link", "add", dev, "type", "veth").CombinedOutput(); err != nil {
			t.Fatalf("ip link add: %v\n%s", err, out)
		}
		if err := Start(t.Context(), dev, Options{}); err == nil {
			t.Error("Start on another kind of link gave no error")
		}
		deleteLink(t, dev)

		// Somebody else serves the socket: no link is left behind.
		if err := os.MkdirAll(socketDir, 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", socketPath(dev))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if err := Start(t.Context(), dev, Options{}); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Start beside another device's socket: %v, want ErrExist", err)
		}
		if _, err := net.InterfaceByName(dev); err == nil {
			t.Error("the link is there")
		}

		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if err := Start(cancelled, name(4), Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("Start when interrupted: %v", err)
		}
	})
}

func TestNoTUN(t *testing.T) {
	isolated(t, func() {
		if err := unix.Mount("none", "/dev/net", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		err := Start(t.Context(), name(5), Options{})
		e, ok := errors.AsType[*TUNError](err)
		if !ok || e.Error() != "/dev/net/tun: no such file or directory" || !strings.Contains(e.Hint, "docker run --cap-add NET_ADMIN --device /dev/net/tun") {
			t.Errorf("without /dev/net/tun: %v", err)
		}
	})
}

func TestRun(t *testing.T) {
	var out bytes.Buffer
	dir := t.TempDir()
	script := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if err := Run(t.Context(), script("good", `echo "$# $1"`), "wg0", &out); err != nil || out.String() != "1 wg0\n" {
		t.Errorf("Run = %v, printed %q", err, out.String())
	}
	err := Run(t.Context(), script("bad", "exit 3"), "wg0", &out)
	if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != 3 {
		t.Errorf("Run of what fails: %v, want exit status 3", err)
	}
	if err := Run(t.Context(), "no-such-program", "wg0", &out); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("Run of nothing: %v, want ErrNotFound", err)
	}
}

// A program that stays in the foreground ends with the wait for it.
func TestRunInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "stays")
	if err := os.WriteFile(path, []byte("#!/bin/sh\necho here\nsleep 60\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		r.Read(make([]byte, 1))
		cancel()
	}()
	start := time.Now()
	if err := Run(ctx, path, "wg0", w); !errors.Is(err, context.Canceled) || time.Since(start) > 30*time.Second {
		t.Errorf("Run = %v after %v, want %v at once", err, time.Since(start), context.Canceled)
	}
	w.Close()
	// Who has the other end of the pipe is gone, too.
	if _, err := io.ReadAll(r); err != nil || time.Since(start) > 30*time.Second {
		t.Errorf("what it started ended after %v: %v", time.Since(start), err)
	}
}

func TestLog(t *testing.T) {
	isolated(t, func() {
		// /run is empty here, and so is there no system log.
		l := &logger{dev: "wg0"}
		l.device("").Verbosef("not told")
		if _, err := os.Stat(logDir); err == nil {
			t.Error("a log was made with nothing to say")
		}
		l.device("").Errorf("told %d", 1)
		l.device("silent").Errorf("not told")
		l.device("debug").Verbosef("told %d", 2)
		text, err := os.ReadFile(filepath.Join(logDir, "wg0.log"))
		if err != nil {
			t.Skipf("the system's log took it: %v", err)
		}
		lines := strings.Split(strings.TrimSpace(string(text)), "\n")
		if len(lines) != 2 || !strings.HasSuffix(lines[0], " told 1") || !strings.HasSuffix(lines[1], " told 2") {
			t.Errorf("log: %q", lines)
		}
	})
}

// A server with keepalives that waits for its clients has nothing to log.
func TestNoLogWithoutEndpoint(t *testing.T) {
	isolated(t, func() {
		dev := name(9)
		if err := Start(t.Context(), dev, Options{}); err != nil {
			t.Fatal(err)
		}
		defer deleteLink(t, dev)
		key := strings.Repeat("1", 64)
		if got := ask(t, dev, "set=1\nprivate_key="+key+"\nlisten_port=40123"); got != "errno=0\n\n" {
			t.Fatalf("set: %q", got)
		}
		if out, err := exec.Command("ip", "link", "set", dev, "up").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
			sockets, err := os.ReadFile("/proc/thread-self/net/udp")
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(sockets), fmt.Sprintf(":%04X ", 40123)) {
				break // the device is up
			}
			if time.Now().After(deadline) {
				t.Fatal("the device is not up after 20 seconds")
			}
		}
		// That it can't call the peer is found before the answer.
		if got := ask(t, dev, "set=1\npublic_key="+strings.Repeat("2", 64)+"\npersistent_keepalive_interval=25"); got != "errno=0\n\n" {
			t.Fatalf("set: %q", got)
		}
		if text, err := os.ReadFile(filepath.Join(logDir, dev+".log")); err == nil {
			t.Errorf("it logged: %s", text)
		}
	})
}
