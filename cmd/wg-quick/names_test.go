// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"wgtools/internal/cli"
	"wgtools/internal/keys"
	watching "wgtools/internal/watch"
)

// impatientName is the program as it is, but that its watch waits for less.
const impatientName = "wg-quick-impatient"

// The variables of its environment: how old a handshake may be, and how long an
// address has to answer.
const (
	staleVariable    = "STALE"
	patienceVariable = "PATIENCE"
)

func impatientMain() {
	times := watching.DefaultTimes
	times.Patience, times.FirstPause, times.LongestPause, times.Tick, times.Check = time.Second, time.Second, time.Second, time.Second, time.Second
	for name, value := range map[string]*time.Duration{staleVariable: &times.Stale, patienceVariable: &times.Patience} {
		if text := os.Getenv(name); text != "" {
			*value = must(time.ParseDuration(text))
		}
	}
	a := &app{Env: cli.OS(), prog: "wg-quick", times: &times}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}

// A nameServer is one of the test's own, whose answers change.
type nameServer struct {
	mu      sync.Mutex
	names   map[string][]netip.Addr // without any, it doesn't answer
	queries int
}

// withNames gives the site a name server, which only answers what it is told to.
func (s *site) withNames() *nameServer {
	s.t.Helper()
	const path = "/etc/resolv.conf"
	file := filepath.Join(s.t.TempDir(), "resolv.conf")
	if err := os.WriteFile(file, []byte("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	if target, err := os.Readlink(path); err == nil {
		s.t.Skipf("%s is a link to %s here", path, target)
	}
	if err := syscall.Mount(file, path, "", syscall.MS_BIND, ""); err != nil {
		s.t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.1:53")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	n := &nameServer{names: map[string][]netip.Addr{}}
	go n.serve(conn)
	return n
}

// say sets what a name stands for.
func (n *nameServer) say(name string, addrs ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[name+"."] = nil
	for _, a := range addrs {
		n.names[name+"."] = append(n.names[name+"."], netip.MustParseAddr(a))
	}
}

func (n *nameServer) serve(conn net.PacketConn) {
	for b := make([]byte, 1500); ; {
		size, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		if reply := n.answer(b[:size]); reply != nil {
			conn.WriteTo(reply, from)
		}
	}
}

// answer returns the answer to a query, nil if there is none.
func (n *nameServer) answer(query []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(query)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.queries++
	addrs := n.names[q.Name.String()]
	if len(addrs) == 0 {
		return nil
	}
	header.Response, header.RecursionAvailable = true, true
	b := dnsmessage.NewBuilder(nil, header)
	b.StartQuestions()
	b.Question(q)
	b.StartAnswers()
	r := dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET}
	for _, a := range addrs {
		switch {
		case a.Is4() && q.Type == dnsmessage.TypeA:
			b.AResource(r, dnsmessage.AResource{A: a.As4()})
		case a.Is6() && q.Type == dnsmessage.TypeAAAA:
			b.AAAAResource(r, dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	reply, err := b.Finish()
	if err != nil {
		return nil
	}
	return reply
}

// The keys of the far end of tunnels.
const farPrivate = "6JyxoOi2Rk5jbQk2ahlhbNVpeRcmDsmvkQ0iLOeLd2c="

// farther returns the name of the namespace in which the far end of the uplink is
// now, with 192.0.2.1 as its address, and a tunnel to this one's. 10.9.0.1 is in it.
func (s *site) farther() string {
	s.t.Helper()
	if _, err := exec.LookPath("ping"); err != nil {
		s.t.Skip("ping isn't installed (Debian: iputils-ping)")
	}
	s.ip("netns add there")
	s.ip("link set far netns there")
	for _, args := range []string{"link set lo up", "address add 192.0.2.1/24 dev far", "link set far up", "route add default dev far"} {
		s.ip("-n there " + args)
	}
	near, err := keys.Parse([]byte("oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc="))
	if err != nil {
		s.t.Fatal(err)
	}
	path := filepath.Join(s.dir, "wgfar.conf")
	text := fmt.Sprintf("[Interface]\nPrivateKey = %s\nListenPort = 51820\nAddress = 10.9.0.1/24\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.9.0.2/32\n", farPrivate, near.Public().Base64())
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.sh("ip netns exec there wg-quick up " + path)
	return "there"
}

// farKey is the far end's public key.
func farKey(t *testing.T) string {
	t.Helper()
	k, err := keys.Parse([]byte(farPrivate))
	if err != nil {
		t.Fatal(err)
	}
	return k.Public().Base64()
}

// toFar writes the file of a tunnel to the far end by this name.
func (s *site) toFar(name, more string) string {
	s.t.Helper()
	path := s.file("wg0", "Address = 10.9.0.2/24", "10.9.0.1/32\nPersistentKeepalive = 1\nEndpoint = "+name+":51820"+more)
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), firstKey, farKey(s.t), 1)), 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// eventually fails the test if cond doesn't come true.
func (s *site) eventually(what string, cond func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !cond(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s", what)
		}
	}
}

// pings reports whether the far end answers through the tunnel.
func (s *site) pings() bool {
	return exec.Command("ping", "-c1", "-W1", "10.9.0.1").Run() == nil
}

// endpoint returns where the device believes a peer to be.
func (s *site) endpoint(key string) string {
	s.t.Helper()
	for line := range strings.Lines(s.sh("wg show wg0 endpoints")) {
		if peer, at, _ := strings.Cut(strings.TrimSpace(line), "\t"); peer == key {
			return at
		}
	}
	return ""
}

// listenUnixgram returns a socket that is read from.
func listenUnixgram(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(30 * time.Second))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A watcher is a wg-quick that watches.
type watcher struct {
	s   *site
	cmd *exec.Cmd

	mu    sync.Mutex
	lines []string
	done  chan struct{} // there will be no more
}

// watching starts "PROGRAM watch ARGS", and returns once it watches.
func (s *site) watching(env []string, program string, args ...string) *watcher {
	s.t.Helper()
	w := s.startWatch(env, program, args...)
	w.await("watched")
	return w
}

func (s *site) startWatch(env []string, program string, args ...string) *watcher {
	s.t.Helper()
	w := &watcher{s: s, cmd: exec.Command(program, append([]string{"watch"}, args...)...), done: make(chan struct{})}
	w.cmd.Dir, w.cmd.Env = s.dir, append(append(os.Environ(), s.env...), env...)
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	w.cmd.Stderr = w.cmd.Stdout
	if err := w.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { w.cmd.Process.Kill() })
	go func() {
		defer close(w.done)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			w.mu.Lock()
			w.lines = append(w.lines, sc.Text())
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *watcher) said() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.lines...)
}

// count returns how many lines have all of the texts.
func (w *watcher) count(texts ...string) (n int) {
	for _, line := range w.said() {
		has := true
		for _, text := range texts {
			has = has && strings.Contains(line, text)
		}
		if has {
			n++
		}
	}
	return n
}

// await waits for a line with all of the texts.
func (w *watcher) await(texts ...string) {
	w.s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); w.count(texts...) == 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.s.t.Fatalf("it never said %q; it said\n%s", texts, strings.Join(w.said(), "\n"))
		}
	}
}

// ends waits for its end, with that exit status.
func (w *watcher) ends(status int) {
	w.s.t.Helper()
	select {
	case <-w.done:
	case <-time.After(30 * time.Second):
		w.s.t.Fatalf("it doesn't end; it said\n%s", strings.Join(w.said(), "\n"))
	}
	w.cmd.Wait()
	if got := w.cmd.ProcessState.ExitCode(); got != status {
		w.s.t.Errorf("it ended with %d, want %d; it said\n%s", got, status, strings.Join(w.said(), "\n"))
	}
}

// stop ends it as systemd does.
func (w *watcher) stop() {
	w.s.t.Helper()
	w.cmd.Process.Signal(syscall.SIGTERM)
	w.ends(0)
}
