// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/netns"
)

// pair makes two sites with a tunnel each to the other: near, 10.9.0.1, knows
// the endpoint of far, 10.9.0.2. The files are returned, of which the first is
// near's.
func pair(t *testing.T, ownNear, ownFar, allowedNear, allowedFar string) (near, far site, paths [2]string) {
	t.Helper()
	near, far = newSite(t, "near"), newSite(t, "far")
	cable(near, far, 1)
	paths[0] = near.conf("wg0", "Address = 10.9.0.1/24\n"+ownNear, peer("far", "Endpoint = 198.18.1.2:51820\nAllowedIPs = 10.9.0.2/32"+allowedNear))
	paths[1] = far.conf("wg0", "Address = 10.9.0.2/24\nListenPort = 51820\n"+ownFar, peer("near", "AllowedIPs = 10.9.0.1/32"+allowedFar))
	return near, far, paths
}

// edit replaces a part of a file.
func edit(t *testing.T, path, old, by string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil && !strings.Contains(string(text), old) {
		err = errors.New("there is no " + old)
	}
	if err == nil {
		err = os.WriteFile(path, []byte(strings.Replace(string(text), old, by, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// said checks that what wg-quick says has these parts.
func said(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s says\n%s\nwant %q", what, text, p)
		}
	}
}

// TestQuickReload changes a tunnel in use, tells what others changed, and leaves
// a peer where it roamed to. A plan is what is done then, and status says what
// there is.
func TestQuickReload(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		near, far, paths := pair(t, "", "", ", 10.50.0.0/16, 10.51.0.0/16", "\nEndpoint = 198.18.1.1:51821\n")
		edit(t, paths[0], "Address", "ListenPort = 51821\nAddress")
		// asPlanned runs a command, which must do what its plan says.
		asPlanned := func(verb string) string {
			t.Helper()
			plan := near.quick(ourQuick(), "plan", verb, paths[0])
			did := near.must(ourQuick(), verb, paths[0])
			var steps strings.Builder
			for line := range strings.Lines(did) {
				if strings.HasPrefix(line, "[#] ") {
					steps.WriteString(line)
				}
			}
			if plan.exit != 0 || plan.stdout == "" && steps.Len() > 0 {
				t.Errorf("plan %s: %+v", verb, plan)
			}
			same(t, "the plan of "+verb, plan.stdout, steps.String())
			return did
		}
		status := func(exit int, parts ...string) {
			t.Helper()
			got := near.quick(ourQuick(), "status", paths[0])
			if got.exit != exit {
				t.Errorf("status: exit %d, want %d", got.exit, exit)
			}
			said(t, "status", got.stdout, parts...)
		}
		status(4, "wg0: not up\n")
		asPlanned("up")
		far.up(paths[1])
		near.ping("10.9.0.2")
		status(0, "handshake ")
		was := near.peer()
		unchanged := func(what string) {
			t.Helper()
			near.ping("10.9.0.2")
			if is := near.peer(); is.handshake != was.handshake || is.endpoint != was.endpoint || is.received < was.received {
				t.Errorf("%s: %+v, before %+v", what, is, was)
			}
		}

		edit(t, paths[0], "10.51.0.0/16", "10.52.0.0/16")
		said(t, "reload", asPlanned("reload"), "[#] wg syncconf wg0 ", "[#] ip -4 route add 10.52.0.0/16 dev wg0\n", "[#] ip -4 route delete 10.51.0.0/16 dev wg0\n")
		if got := near.do(*debianWG, "show", "wg0", "allowed-ips"); strings.Contains(got, "10.51.") || !strings.Contains(got, "10.50.0.0/16") || !strings.Contains(got, "10.52.0.0/16") {
			t.Errorf("the allowed IPs are %s", got)
		}
		unchanged("other allowed IPs")

		near.do(*debianWG, "set", "wg0", "peer", public("far"), "allowed-ips", "10.9.0.2/32,10.50.0.0/16,10.66.0.0/16")
		near.do(*debianWG, "set", "wg0", "peer", public("third"), "allowed-ips", "10.67.0.0/16")
		const drift = "Changed by others: "
		status(3, drift+"peer "+public("far")+", other settings.", drift+"peer "+public("third")+", added.")
		said(t, "reload", asPlanned("reload"), drift+"peer "+public("far")+", other settings. Put right.\n", drift+"peer "+public("third")+", added. Put right.\n")
		near.do("ip", "route", "delete", "10.50.0.0/16", "dev", "wg0")
		near.do("ip", "link", "set", "wg0", "mtu", "1300")
		said(t, "reload", asPlanned("reload"), drift+"route 10.50.0.0/16, removed. Put right.\n", drift+"the MTU, 1300 instead of 1420. Put right.\n")
		near.has(*debianWG+" show wg0 allowed-ips", "10.50.0.0/16")
		if got := near.do(*debianWG, "show", "wg0", "dump"); strings.Contains(got, public("third")) || strings.Contains(got, "10.66.") {
			t.Error("what others changed is still there")
		}
		near.has("ip -4 route show dev wg0", "10.50.0.0/16")
		near.has("ip -o link show wg0", " mtu 1420 ")
		unchanged("put right")
		status(0)

		near.do("ip", "address", "delete", "198.18.1.1/24", "dev", "cable1")
		near.do("ip", "address", "add", "198.18.1.77/24", "dev", "cable1")
		near.ping("10.9.0.2")
		await(t, "the endpoint follows", func() bool { return far.peer().endpoint == "198.18.1.77:51821" })
		edit(t, paths[1], "AllowedIPs = ", "AllowedIPs = 10.70.0.0/16, ")
		if got := far.must(ourQuick(), "reload", paths[1]); strings.Contains(got, drift) {
			t.Errorf("after roaming, reload says\n%s", got)
		}
		if got := far.peer().endpoint; got != "198.18.1.77:51821" {
			t.Errorf("after the reload, the endpoint is %s", got)
		}
		asPlanned("down")
		status(4)
		far.down(paths[1])
	})
}

// udp opens a socket at a site.
func (s site) udp(at string) *net.UDPConn {
	s.t.Helper()
	ns, err := netns.Open(s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer ns.Close()
	var c net.PacketConn
	if err := netns.Do(ns, func() error {
		c, err = net.ListenPacket("udp", at)
		return err
	}); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c.(*net.UDPConn)
}

// A stream sends packets to an echo, at most 1,000 in a second. Only a few are
// on their way at a time, as many as any queue takes: how fast the machine is
// doesn't matter.
type stream struct {
	t             *testing.T
	conn          *net.UDPConn
	to            *net.UDPAddr
	sent, back    atomic.Uint32 // the next ones
	lost, swapped atomic.Uint32
	stop, done    chan struct{}
}

const onTheirWay = 32

func (st *stream) receive() {
	b := make([]byte, 100)
	for {
		if _, _, err := st.conn.ReadFromUDP(b); err != nil {
			return
		}
		n, due := binary.BigEndian.Uint32(b), st.back.Load()
		if n < due { // it was counted as lost
			st.swapped.Add(1)
			continue
		}
		st.lost.Add(n - due)
		st.back.Store(n + 1)
	}
}

func (st *stream) send() {
	defer close(st.done)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	b := make([]byte, 100)
	moved, last := time.Now(), uint32(0)
	for {
		select {
		case <-st.stop:
			return
		case <-tick.C:
		}
		n, back := st.sent.Load(), st.back.Load()
		if back != last {
			moved, last = time.Now(), back
		}
		// Where all that are on their way got lost, it goes on.
		if n-back >= onTheirWay && time.Since(moved) < 20*time.Second {
			continue
		}
		binary.BigEndian.PutUint32(b, n)
		// Where allowed IPs are replaced, the peer has none for a moment: that
		// packet is lost.
		if _, err := st.conn.WriteToUDP(b, st.to); err != nil && (*incremental || !errors.Is(err, unix.ENOKEY)) {
			st.t.Errorf("packet %d: %v", n, err)
			return
		}
		st.sent.Add(1)
	}
}

// end waits for the last ones.
func (st *stream) end() {
	close(st.stop)
	<-st.done
	for begun := time.Now(); st.back.Load() < st.sent.Load() && time.Since(begun) < 20*time.Second; {
		time.Sleep(10 * time.Millisecond)
	}
	st.lost.Add(st.sent.Load() - st.back.Load())
}

// TestQuickReloadStream reloads a tunnel to one file after the other while
// packets flow both ways: none comes before an earlier one, and the session
// stays the same. None is lost, but where a kernel can't take single allowed IPs
// from the flow's own peer, which then has none for a moment.
func TestQuickReloadStream(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		near, far, paths := pair(t, "", "", "", "")
		text, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		first := string(text)
		own := func(line string) string { return strings.Replace(first, "Address", line+"\nAddress", 1) }
		files := []struct {
			what, text string
			taken      bool // allowed IPs from the flow's peer
		}{
			{"a peer more", first + peer("third", "AllowedIPs = 10.60.0.0/16, 10.61.0.0/16"), false},
			{"fewer allowed IPs of it", first + peer("third", "AllowedIPs = 10.61.0.0/16"), false},
			{"a peer less", first, false},
			{"more allowed IPs of the flow's peer", strings.Replace(first, "10.9.0.2/32", "10.9.0.2/32, 10.50.0.0/16, 10.51.0.0/16", 1), false},
			{"other ones", strings.Replace(first, "10.9.0.2/32", "10.9.0.0/24, 10.52.0.0/16", 1), true},
			{"a full tunnel", strings.Replace(first, "10.9.0.2/32", "0.0.0.0/0", 1), true},
			{"another mark", strings.Replace(own("FwMark = 4242"), "10.9.0.2/32", "0.0.0.0/0", 1), false},
			{"none", first, true},
			{"another MTU", own("MTU = 1380"), false},
			{"another address", own("Address = 10.78.0.1/16"), false},
			{"all as before", first, false},
		}
		far.up(paths[1])
		near.up(paths[0])
		near.ping("10.9.0.2")
		was := near.peer()
		echo := far.udp("10.9.0.2:7007")
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
		st := &stream{t: t, conn: near.udp("10.9.0.1:7008"), to: &net.UDPAddr{IP: net.IPv4(10, 9, 0, 2), Port: 7007}, stop: make(chan struct{}), done: make(chan struct{})}
		go st.receive()
		go st.send()
		begun, reloads, lost := time.Now(), 0, uint32(0)
		for reloads == 0 || time.Since(begun) < 8*time.Second {
			for _, f := range files {
				if err := os.WriteFile(paths[0], []byte(f.text), 0o600); err != nil {
					t.Fatal(err)
				}
				near.must(ourQuick(), "reload", paths[0])
				reloads++
				// What is lost is seen when a later one comes back.
				seen := st.sent.Load()
				await(t, "packets come back", func() bool { return st.back.Load() > seen })
				if n := st.lost.Load(); n > lost {
					t.Logf("%d packets were lost by the reload to %s", n-lost, f.what)
					if !f.taken || *incremental {
						t.Errorf("%d packets lost by the reload to %s", n-lost, f.what)
					}
					lost = n
				}
			}
		}
		took := time.Since(begun)
		st.end()
		t.Logf("%d packets there and back in %v (%.0f a second), %d reloads: %d lost, %d in a wrong place", st.sent.Load(), took.Round(time.Millisecond),
			float64(st.sent.Load())/took.Seconds(), reloads, st.lost.Load(), st.swapped.Load())
		if n := st.lost.Load() - lost; n > 0 || st.swapped.Load() > 0 {
			t.Errorf("%d packets lost at the end, %d in a wrong place", n, st.swapped.Load())
		}
		// After two minutes the device itself renews it.
		if is := near.peer(); is.handshake != was.handshake && is.handshake < was.handshake+120 || is.endpoint != was.endpoint {
			t.Errorf("the session is %+v, was %+v", is, was)
		}
		near.down(paths[0])
		far.down(paths[1])
	})
}
