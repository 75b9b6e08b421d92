// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix

package netlinkwg

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"wgtools/internal/device"
)

// A server is a device at a socket that does as handle says.
type server struct {
	mu          sync.Mutex
	requests    []string // those that said something
	connections int
}

// serve starts a device called name. Its handler is called for every connection.
func serve(t *testing.T, dir, name string, handle func(s *server, c net.Conn)) *server {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(dir, name+".sock"))
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.connections++
			s.mu.Unlock()
			running.Go(func() {
				defer c.Close()
				handle(s, c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait()
	})
	return s
}

// answer is a handler that hears a request and says reply.
func answer(reply string) func(*server, net.Conn) {
	return func(s *server, c net.Conn) {
		request := hear(c)
		if request == "" {
			return // a trial
		}
		s.mu.Lock()
		s.requests = append(s.requests, request)
		s.mu.Unlock()
		io.WriteString(c, reply)
	}
}

// hear reads a request up to its empty line.
func hear(r io.Reader) string {
	var b strings.Builder
	for lines := bufio.NewReader(r); ; {
		line, err := lines.ReadString('\n')
		b.WriteString(line)
		if err != nil || line == "\n" {
			return b.String()
		}
	}
}

func (s *server) heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// socketDir returns a directory whose path is short enough for sockets.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "wg")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func userspaceAt(dirs ...string) *userspace {
	u := newUserspace()
	u.dirs = dirs
	return u
}

// large is a request that no socket's buffer takes.
func large() *device.Change { return peers(200_000) }

func TestConfigureDeviceHangsUp(t *testing.T) {
	tests := map[string]struct {
		handle func(*server, net.Conn)
		want   []error // one of them
	}{
		"after an answer": {func(_ *server, c net.Conn) {
			c.Read(make([]byte, 10))
			io.WriteString(c, "errno=-22\n\n")
		}, []error{syscall.EINVAL}},
		"after half an answer": {func(_ *server, c net.Conn) {
			c.Read(make([]byte, 10))
			io.WriteString(c, "errno=-2")
		}, []error{syscall.EPIPE, syscall.ECONNRESET}},
		"after an answer that can't be": {func(_ *server, c net.Conn) {
			c.Read(make([]byte, 10))
			io.WriteString(c, "errno=0\n\n")
		}, []error{syscall.EPIPE, syscall.ECONNRESET}},
		"at once":  {func(*server, net.Conn) {}, []error{syscall.EPIPE, syscall.ECONNRESET}},
		"silently": {func(_ *server, c net.Conn) { io.Copy(io.Discard, io.LimitReader(c, 1<<20)) }, []error{syscall.EPIPE, syscall.ECONNRESET}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := socketDir(t)
			serve(t, dir, "wg0", tt.handle)
			err := userspaceAt(dir).configure(t.Context(), socketPath(dir, "wg0"), large())
			for _, want := range tt.want {
				if errors.Is(err, want) {
					return
				}
			}
			t.Errorf("got %v, want one of %v", err, tt.want)
		})
	}
}

// isSilence fails the test unless err says that nothing came for d.
func isSilence(t *testing.T, err error, d time.Duration) {
	t.Helper()
	var silence *SilenceError
	if !errors.As(err, &silence) || !silence.Timeout() || !errors.Is(err, syscall.ETIMEDOUT) || silence.After != d {
		t.Errorf("got %v, want a SilenceError after %v", err, d)
	}
}

// Time is a test's own here: these take no time.
func TestSilence(t *testing.T) {
	u := newUserspace()
	pipe := func() (*conn, net.Conn) {
		ours, theirs := net.Pipe()
		return &conn{ours, t.Context(), u.silence}, theirs
	}
	t.Run("a device that never answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, device := pipe()
			defer device.Close()
			go hear(device)
			begin := time.Now()
			isSilence(t, readDevice(t.Context(), c, "wg0", &collector{}), u.silence)
			if d := time.Since(begin); d != u.silence {
				t.Errorf("ended after %v, want %v", d, u.silence)
			}
		})
	})
	t.Run("a slow device", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, device := pipe()
			go func() {
				defer device.Close()
				hear(device)
				for _, b := range []byte("errno=0\n\n") {
					time.Sleep(u.silence - time.Second)
					device.Write([]byte{b})
				}
			}()
			if err := readDevice(t.Context(), c, "wg0", &collector{}); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	})
	t.Run("a device that reads slowly", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, device := pipe()
			go func() {
				defer device.Close()
				b := make([]byte, 4096)
				for n := 0; n < 2 || !bytes.HasSuffix(b[:n], []byte("\n\n")); {
					time.Sleep(u.silence - time.Second)
					n, _ = device.Read(b)
				}
				io.WriteString(device, "errno=0\n\n")
			}()
			if err := configureDevice(c, peers(200)); err != nil {
				t.Errorf("got %v, want nil", err)
			}
		})
	})
	t.Run("a device that stops to read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, device := pipe()
			defer device.Close()
			begin := time.Now()
			isSilence(t, configureDevice(c, large()), u.silence)
			if d := time.Since(begin); d != u.silence+lastGlance {
				t.Errorf("ended after %v, want %v", d, u.silence+lastGlance)
			}
		})
	})
	t.Run("a device that answers and stops to read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, device := pipe()
			defer device.Close()
			go io.WriteString(device, "errno=-22\n\n")
			if err := configureDevice(c, large()); err != syscall.EINVAL {
				t.Errorf("got %v, want %v", err, syscall.EINVAL)
			}
		})
	})
}

// A request of many peers may take a device long.
func TestSilenceGrowsWithPeers(t *testing.T) {
	dir := socketDir(t)
	done := make(chan struct{})
	defer close(done)
	serve(t, dir, "wg0", func(_ *server, c net.Conn) {
		if hear(c) != "" {
			<-done
		}
	})
	u := userspaceAt(dir)
	u.silence, u.perPeer = 20*time.Millisecond, time.Millisecond
	err := u.configure(t.Context(), socketPath(dir, "wg0"), peers(30))
	isSilence(t, err, 50*time.Millisecond)
}

func TestCancel(t *testing.T) {
	dir := socketDir(t)
	reached, done := make(chan struct{}), make(chan struct{})
	defer close(done)
	serve(t, dir, "wg0", func(_ *server, c net.Conn) {
		if hear(c) != "" {
			close(reached)
			<-done
		}
	})
	reason := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-reached
		cancel(reason)
	}()
	u := userspaceAt(dir)
	if err := u.read(ctx, socketPath(dir, "wg0"), "wg0", &collector{}); err != reason {
		t.Errorf("got %v, want %v", err, reason)
	}
}
