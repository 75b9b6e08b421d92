// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"encoding/binary"
	"flag"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/netns"
)

var streamTime = flag.Duration("stream", 6*time.Second, "how long packets flow through a tunnel that is reloaded again and again")

// udp opens a socket in a namespace.
func udp(ns *os.File, at string) (c *net.UDPConn, err error) {
	err = netns.Do(ns, func() error {
		listen := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			return raw.Control(func(fd uintptr) {
				// A machine under load may run nothing of ours for a second.
				_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUFFORCE, 16<<20)
			})
		}}
		p, err := listen.ListenPacket(context.Background(), "udp", at)
		if err == nil {
			c = p.(*net.UDPConn)
		}
		return err
	})
	return c, err
}

// Packets flow both ways, a thousand in a second, while the tunnel is reloaded
// to one file after the other: none is lost, none comes before an earlier one,
// and the session stays the same.
func TestReloadStream(t *testing.T) {
	const peer = "\n[Peer]\nPublicKey = " + secondKey + "\nAllowedIPs = "
	t.Setenv("LOG_LEVEL", "verbose") // for handshakes
	apart(t, func(s *site, path string) {
		ns, err := netns.Open("app")
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		here, err := netns.Current()
		if err != nil {
			t.Fatal(err)
		}
		defer here.Close()
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		first := string(text)
		files := []struct{ what, text string }{
			{"a peer more", first + peer + "10.60.0.0/16, fd60::/32\n"},
			{"other allowed IPs of it", first + peer + "10.61.0.0/16\nPersistentKeepalive = 25\n"},
			{"a peer less", first},
			{"an address more", strings.Replace(first, "10.9.0.1/24", "10.9.0.1/24, 10.77.0.1/24", 1)},
			{"another address", strings.Replace(first, "10.9.0.1/24", "10.9.0.1/24, 10.78.0.1/16", 1)},
			{"another MTU", strings.Replace(first, "DNS =", "MTU = 1380\nDNS =", 1)},
			{"other name servers", strings.Replace(first, "DNS = 10.9.0.2", "DNS = 10.9.0.3, corp.example", 1)},
			{"no full tunnel", strings.Replace(first, "0.0.0.0/0, ::/0", "10.9.0.0/24, 10.50.0.0/16", 1)},
			{"a full tunnel", first},
			{"another mark", strings.Replace(first, "DNS =", "FwMark = 4242\nDNS =", 1)},
			{"all as before", first},
		}
		if got := s.wgQuick("--netns", "app", "up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		echo, err := udp(here, "10.9.0.2:7007")
		if err != nil {
			t.Fatal(err)
		}
		defer echo.Close()
		go func() {
			b := make([]byte, 100)
			for {
				n, from, err := echo.ReadFrom(b)
				if err != nil {
					return
				}
				echo.WriteTo(b[:n], from)
			}
		}()
		flow, err := udp(ns, "10.9.0.1:7008")
		if err != nil {
			t.Fatal(err)
		}
		defer flow.Close()
		s.sh("ip netns exec app ping -n -c 1 -W 5 10.9.0.2")
		handshake := func() string { return s.sh("wg show wg0 latest-handshakes") }
		before, endpoint := handshake(), s.sh("wg show wg0 endpoints")

		stop, sent := make(chan struct{}), make(chan uint32, 1)
		var next atomic.Uint32 // to come back
		go func() {
			b := make([]byte, 100)
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			began := time.Now()
			for n := uint32(0); ; {
				select {
				case <-stop:
					sent <- n
					return
				case <-tick.C:
				}
				// A tick may come late: then there is more than one packet to send. But
				// on a busy machine more on their way than links hold would get lost.
				for ; n < uint32(time.Since(began)/time.Millisecond) && n < next.Load()+200; n++ {
					binary.BigEndian.PutUint32(b, n)
					if _, err := flow.WriteToUDP(b, &net.UDPAddr{IP: net.IPv4(10, 9, 0, 2), Port: 7007}); err != nil {
						t.Errorf("packet %d: %v", n, err)
					}
				}
			}
		}()
		received, wrong := make(chan uint32, 1), 0
		var doing atomic.Value
		doing.Store("nothing")
		go func() {
			b := make([]byte, 100)
			for {
				if _, _, err := flow.ReadFromUDP(b); err != nil {
					received <- next.Load()
					return
				}
				n := binary.BigEndian.Uint32(b)
				if due := next.Load(); n != due {
					wrong++
					t.Logf("packet %d came where %d was due, during the reload to %s", n, due, doing.Load())
				}
				next.Store(max(next.Load(), n+1))
			}
		}()
		began, reloads := time.Now(), 0
		for time.Since(began) < *streamTime {
			for _, f := range files {
				if err := os.WriteFile(path, []byte(f.text), 0o600); err != nil {
					t.Fatal(err)
				}
				doing.Store(f.what)
				if got := s.wgQuick("--netns", "app", "reload", path); got.status != 0 {
					t.Errorf("reload to %s: %+v", f.what, got)
				}
				reloads++
			}
		}
		took := time.Since(began)
		close(stop)
		all := <-sent
		flow.SetReadDeadline(time.Now().Add(2 * time.Second))
		last := <-received
		if last != all || wrong > 0 {
			t.Errorf("of %d packets the last to come back was %d, and %d times one didn't follow the one before", all, last, wrong)
		}
		t.Logf("%d packets there and back in %v (%.0f a second), %d reloads: %d lost or in a wrong place", all, took.Round(time.Millisecond), float64(all)/took.Seconds(), reloads, wrong)
		if after := s.sh("wg show wg0 endpoints"); after != endpoint {
			t.Errorf("the endpoint was %sand is %s", endpoint, after)
		}
		tries, again := handshakes(before[:4])
		if after := handshake(); tries != 1+again || again == 0 && after != before {
			t.Errorf("the handshake was %sand is %s, %d were begun, %d of these again", before, after, tries, again)
		}
		if got := s.wgQuick("--netns", "app", "down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
	})
}

// handshakes returns how many handshakes with a peer the embedded device wg0 has
// begun, by its log, and how many of these because the one before seemed to have
// no answer: so it takes an answer that came faster than it began to wait for it,
// and begins another one after 5 seconds, whatever happens to the tunnel or not.
// Without a log, as of the kernel's device, there was one.
func handshakes(peer string) (began, again int) {
	log, err := os.ReadFile("/run/wgtools/wg0.log")
	if err != nil {
		return 1, 0
	}
	for line := range strings.Lines(string(log)) {
		switch {
		case !strings.Contains(line, " peer("+peer+"…"):
		case strings.Contains(line, "Sending handshake initiation"):
			began++
		case strings.Contains(line, "Handshake did not complete"):
			again++
		}
	}
	return began, again
}
