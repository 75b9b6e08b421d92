// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/keys"
)

// A room is another network namespace beside a site.
type room struct {
	s  *site
	ns *os.File
}

// room makes one, with the loopback link up.
func (s *site) room() *room {
	s.t.Helper()
	here := s.namespace()
	defer here.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		s.t.Fatal(err)
	}
	r := &room{s, s.namespace()}
	s.t.Cleanup(func() { r.ns.Close() })
	s.ip("link set lo up")
	s.enter(here)
	return r
}

func (s *site) namespace() *os.File {
	s.t.Helper()
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

func (s *site) enter(ns *os.File) {
	s.t.Helper()
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		s.t.Fatal(err)
	}
}

// in calls f in the room.
func (r *room) in(f func()) {
	r.s.t.Helper()
	here := r.s.namespace()
	defer here.Close()
	r.s.enter(r.ns)
	defer r.s.enter(here)
	f()
}

// cable connects the site with a room: links of these names, with addresses.
func (s *site) cable(dev string, addresses []string, r *room, peer string, peers []string) {
	s.t.Helper()
	s.ip(fmt.Sprintf("link add %s type veth peer name %s netns /proc/%d/fd/%d", dev, peer, os.Getpid(), r.ns.Fd()))
	setUp := func(dev string, addresses []string) {
		for _, a := range addresses {
			nodad := ""
			if strings.Contains(a, ":") {
				nodad = " nodad"
			}
			s.ip("address add " + a + " dev " + dev + nodad)
		}
		s.ip("link set " + dev + " up")
	}
	setUp(dev, addresses)
	r.in(func() { setUp(peer, peers) })
	for !strings.Contains(s.ip("-o link show dev "+dev), "state UP") || strings.Contains(s.ip("-6 -o address show dev "+dev), "tentative") {
		time.Sleep(time.Millisecond)
	}
	r.in(func() {
		for strings.Contains(s.ip("-6 -o address show dev "+peer), "tentative") {
			time.Sleep(time.Millisecond)
		}
	})
}

// An end is one of two tunnels' ends: what it is in its own file and in the
// other's.
type end struct{ private, public string }

func newEnd(t *testing.T) end {
	t.Helper()
	k, err := keys.NewPrivate()
	if err != nil {
		t.Fatal(err)
	}
	return end{k.Base64(), k.Public().Base64()}
}

// tunnel writes the file of an end.
func (s *site) tunnel(dev string, own end, options string, other end, peer string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, dev+".conf")
	text := fmt.Sprintf("[Interface]\nPrivateKey = %s\n%s\n[Peer]\nPublicKey = %s\n%s\n", own.private, options, other.public, peer)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

func (s *site) up(path string) {
	s.t.Helper()
	if got := s.wgQuick("up", path); got.status != 0 {
		s.t.Fatalf("up: %+v", got)
	}
}

func (s *site) down(path string) {
	s.t.Helper()
	if got := s.wgQuick("down", path); got.status != 0 {
		s.t.Errorf("down: %+v", got)
	}
}

// asks sends a datagram until the server gets one, and returns where from, and
// whether its answer came; an invalid address if it gets none in that time.
func (s *site) asks(server net.PacketConn, to string, patience time.Duration) (from netip.AddrPort, answered bool) {
	s.t.Helper()
	c, err := net.Dial("udp", to)
	if err != nil {
		return from, false
	}
	defer c.Close()
	b := make([]byte, 16)
	for begun := time.Now(); time.Since(begun) < patience; {
		_, _ = c.Write([]byte("ask"))
		server.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, addr, err := server.ReadFrom(b); err == nil && string(b[:n]) == "ask" {
			from = addr.(*net.UDPAddr).AddrPort()
			break
		}
	}
	if !from.IsValid() {
		return from, false
	}
	for begun := time.Now(); time.Since(begun) < patience; {
		if _, err := server.WriteTo([]byte("answer"), net.UDPAddrFromAddrPort(from)); err != nil {
			return from, false // it knows no way back
		}
		c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		if n, err := c.Read(b); err == nil && string(b[:n]) == "answer" {
			return from, true
		}
	}
	return from, false
}

const (
	patient   = 20 * time.Second // for what must come
	impatient = time.Second      // for what must not
)

// A client reaches a server behind the gateway by the gateway's address; down
// takes all of that back.
func TestMasqueradeGateway(t *testing.T) {
	for _, masquerade := range []string{"Masquerade = auto", "Masquerade = lan", "Forward = true", "Masquerade = auto\nForward = false", "Masquerade = uplink"} {
		t.Run(masquerade, func(t *testing.T) {
			t.Parallel()
			isolated(t, func(s *site) {
				client, server := s.room(), s.room()
				s.cable("wan", []string{"203.0.113.1/24"}, client, "wan", []string{"203.0.113.2/24"})
				s.cable("lan", []string{"10.60.0.1/24", "fd60::1/64"}, server, "lan", []string{"10.60.0.2/24", "fd60::2/64"})
				a, b := newEnd(t), newEnd(t)
				gate := s.tunnel("wg0", a, "Address = 10.8.0.1/24, fd08::1/64\nListenPort = 51821\n"+masquerade, b, "AllowedIPs = 10.8.0.2/32, fd08::2/128")
				far := s.tunnel("wg1", b, "Address = 10.8.0.2/24, fd08::2/64", a, "AllowedIPs = 10.8.0.0/24, fd08::/64, 10.60.0.0/16, fd60::/16\nEndpoint = 203.0.113.1:51821")
				client.in(func() { s.up(far) })
				before := s.state()
				s.up(gate)

				var conn4, conn6 net.PacketConn
				server.in(func() {
					// It knows no way to the tunnel's network: what it gets by its
					// own address, it gets by forwarding alone.
					var err error
					if conn4, err = net.ListenPacket("udp4", "10.60.0.2:7"); err != nil {
						t.Fatal(err)
					}
					if conn6, err = net.ListenPacket("udp6", "[fd60::2]:7"); err != nil {
						t.Fatal(err)
					}
				})
				defer conn4.Close()
				defer conn6.Close()
				want4, want6 := "10.60.0.1", "fd60::1"
				patience := patient
				switch masquerade {
				case "Forward = true", "Masquerade = uplink": // which isn't the way
					want4, want6 = "10.8.0.2", "fd08::2"
				case "Masquerade = auto\nForward = false":
					want4, want6, patience = "invalid IP", "invalid IP", impatient
				}
				for _, family := range []struct {
					conn     net.PacketConn
					to, want string
				}{{conn4, "10.60.0.2:7", want4}, {conn6, "[fd60::2]:7", want6}} {
					var from netip.AddrPort
					var answered bool
					client.in(func() { from, answered = s.asks(family.conn, family.to, patience) })
					if got := from.Addr().Unmap().String(); got != family.want {
						t.Errorf("the server is asked by %s, want %s", got, family.want)
					}
					if masqueraded := strings.HasPrefix(family.want, "10.60.") || strings.HasPrefix(family.want, "fd60:"); answered != masqueraded {
						t.Errorf("the client of %s is answered: %t, want %t", masquerade, answered, masqueraded)
					}
				}
				s.down(gate)
				s.same(before)
				client.in(func() { s.down(far) })
			})
		})
	}
}

// A link that has its IPv6 default route from a router keeps it while the host
// forwards.
func TestForwardKeepsAdvertisedRoute(t *testing.T) {
	isolated(t, func(s *site) {
		router := s.room()
		s.cable("wan", []string{"fe80::1/64"}, router, "wan", []string{"fe80::2/64"})
		const acceptRA, forwarding = "/proc/sys/net/ipv6/conf/wan/accept_ra", "/proc/sys/net/ipv6/conf/all/forwarding"
		if err := os.WriteFile(acceptRA, []byte("1"), 0); err != nil {
			t.Fatal(err)
		}
		has := func() bool { return strings.Contains(s.ip("-6 route show default"), " dev wan proto ra ") }
		for begun := time.Now(); !has(); {
			if time.Since(begun) > patient {
				t.Fatal("the router's advertisements make no route")
			}
			router.in(s.advertise)
			time.Sleep(10 * time.Millisecond)
		}
		path := s.file("wg0", ordinary+"\nForward = true", "10.50.0.0/16")
		for _, step := range []struct {
			do                   func(path string)
			acceptRA, forwarding string
		}{{s.up, "2", "1"}, {s.down, "1", "0"}} {
			step.do(path)
			if !has() {
				t.Error("the default route is gone")
			}
			if a, f := strings.TrimSpace(s.read(acceptRA)), strings.TrimSpace(s.read(forwarding)); a != step.acceptRA || f != step.forwarding {
				t.Errorf("accept_ra is %s, forwarding %s; want %s and %s", a, f, step.acceptRA, step.forwarding)
			}
		}
	})
}

// advertise sends a router's advertisement over the link wan.
func (s *site) advertise() {
	s.t.Helper()
	link, err := net.InterfaceByName("wan")
	if err != nil {
		s.t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMPV6)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255); err != nil {
		s.t.Fatal(err)
	}
	message := []byte{0: 134, 4: 64, 6: 7, 7: 8, 15: 0} // a default router for half an hour
	to := &unix.SockaddrInet6{Addr: netip.MustParseAddr("ff02::1").As16(), ZoneId: uint32(link.Index)}
	if err := unix.Sendto(fd, message, 0, to); err != nil {
		s.t.Fatal(err)
	}
}

// A gateway of another network into the tunnel: all behind it have its address
// there, and a kill switch lets them through.
func TestMasqueradeIntoTunnel(t *testing.T) {
	isolated(t, func(s *site) {
		other, behind := s.room(), s.room()
		s.cable("wan", []string{"203.0.113.1/24"}, other, "wan", []string{"203.0.113.2/24"})
		s.cable("lan", []string{"10.60.0.1/24", "fd60::1/64"}, behind, "lan", []string{"10.60.0.2/24", "fd60::2/64"})
		behind.in(func() {
			s.ip("route add default via 10.60.0.1")
			s.ip("-6 route add default via fd60::1")
		})
		a, b := newEnd(t), newEnd(t)
		gate := s.tunnel("wg0", a, "Address = 10.8.0.1/24, fd08::1/64\nMasquerade = wg0\nKillSwitch = true", b, "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 203.0.113.2:51821")
		far := s.tunnel("wg1", b, "Address = 10.8.0.2/24, fd08::2/64\nListenPort = 51821", a, "AllowedIPs = 10.8.0.1/32, fd08::1/128")
		other.in(func() { s.up(far) })
		before := s.state()
		s.up(gate)
		for to, want := range map[string]string{"10.8.0.2:7": "10.8.0.1", "[fd08::2]:7": "fd08::1"} {
			var conn net.PacketConn
			other.in(func() {
				var err error
				if conn, err = net.ListenPacket("udp", to); err != nil {
					t.Fatal(err)
				}
			})
			defer conn.Close()
			var from netip.AddrPort
			var answered bool
			behind.in(func() { from, answered = s.asks(conn, to, patient) })
			if got := from.Addr().Unmap().String(); got != want || !answered {
				t.Errorf("the other end is asked by %s, want %s; it answers: %t", got, want, answered)
			}
		}
		// But not past the tunnel.
		var conn net.PacketConn
		other.in(func() {
			var err error
			if conn, err = net.ListenPacket("udp4", "203.0.113.2:7"); err != nil {
				t.Fatal(err)
			}
		})
		defer conn.Close()
		var from netip.AddrPort
		behind.in(func() { from, _ = s.asks(conn, "203.0.113.2:7", impatient) })
		if from.IsValid() {
			t.Errorf("what is forwarded gets past the kill switch")
		}
		s.expect(s.wgQuick("unlock", "wg0"), result{err: "[#] nft -f /dev/fd/63 # KillSwitch = false\n[!] The kill switch of `wg0' is off.\n"})
		behind.in(func() { from, _ = s.asks(conn, "203.0.113.2:7", patient) })
		if !from.IsValid() {
			t.Errorf("nothing is forwarded there after unlock")
		}
		s.down(gate)
		s.same(before)
		other.in(func() { s.down(far) })
	})
}

// With the kill switch the tunnel works, by IPv6 with neighbours that have to be
// discovered, and DHCP too. Who is not let through is told at once. unlock
// opens the host, and leaves the tunnel alone.
func TestKillSwitchWorks(t *testing.T) {
	isolated(t, func(s *site) {
		other := s.room()
		s.cable("wan", []string{"203.0.113.1/24", "2001:db8:7::1/64"}, other, "wan", []string{"203.0.113.2/24", "2001:db8:7::2/64"})
		a, b := newEnd(t), newEnd(t)
		path := s.tunnel("wg0", a, "Address = 10.8.0.1/24, fd08::1/64", b, "AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = [2001:db8:7::2]:51821")
		far := s.tunnel("wg1", b, "Address = 10.8.0.2/24, fd08::2/64\nListenPort = 51821", a, "AllowedIPs = 10.8.0.1/32, fd08::1/128")
		other.in(func() { s.up(far) })
		before := s.state()
		if got := s.wgQuick("up", "--kill-switch", path); got.status != 0 {
			t.Fatalf("up --kill-switch: %+v", got)
		}

		servers := map[string]net.PacketConn{}
		other.in(func() {
			for _, at := range []string{"10.8.0.2:7", "[fd08::2]:7", "203.0.113.2:7", "[2001:db8:7::2]:7", "0.0.0.0:67", "[::]:547"} {
				network := "udp4"
				if at[0] == '[' {
					network = "udp6"
				}
				c, err := net.ListenPacket(network, at)
				if err != nil {
					t.Fatal(err)
				}
				servers[at] = c
			}
		})
		for _, c := range servers {
			defer c.Close()
		}
		s.ip("neigh flush dev wan")
		for _, to := range []string{"10.8.0.2:7", "[fd08::2]:7"} {
			if _, answered := s.asks(servers[to], to, patient); !answered {
				t.Errorf("%s is not reached through the tunnel", to)
			}
		}
		outside := []string{"203.0.113.2:7", "[2001:db8:7::2]:7"}
		for i, to := range outside {
			if from, _ := s.asks(servers[to], to, impatient); from.IsValid() {
				t.Errorf("%s is reached outside the tunnel", to)
			}
			want := []syscall.Errno{syscall.EHOSTUNREACH, syscall.EACCES}[i]
			if _, err := net.DialTimeout("tcp", to, patient); !errors.Is(err, want) {
				t.Errorf("a connection to %s: %v, want %v", to, err, want)
			}
		}
		s.dhcp(unix.AF_INET, &unix.SockaddrInet4{Port: 68}, &unix.SockaddrInet4{Port: 67, Addr: [4]byte{255, 255, 255, 255}}, servers["0.0.0.0:67"])
		s.dhcp(unix.AF_INET6, &unix.SockaddrInet6{Port: 546}, &unix.SockaddrInet6{Port: 547, Addr: netip.MustParseAddr("ff02::1").As16()}, servers["[::]:547"])

		// A reload of a file without the key keeps what was asked for.
		if got := s.wgQuick("reload", path); got.status != 0 || strings.Contains(got.err, "KillSwitch") {
			t.Errorf("reload: %+v", got)
		}
		during := s.state()
		got := s.wgQuick("unlock", "wg1")
		s.expect(got, result{status: 1, err: "wg-quick: `wg1' has no kill switch\nhint: these have one: wg0\n"})
		s.same(during)
		got = s.wgQuick("unlock", "--dry-run", "wg0")
		if want := "[#] nft -f /dev/fd/63 # KillSwitch = false\n"; got != (result{out: want}) {
			t.Errorf("unlock --dry-run: %+v, want %q", got, want)
		}
		s.same(during)
		s.expect(s.wgQuick("unlock", "wg0"), result{err: "[#] nft -f /dev/fd/63 # KillSwitch = false\n[!] The kill switch of `wg0' is off.\n"})
		for _, to := range append(outside, "10.8.0.2:7", "[fd08::2]:7") {
			if _, answered := s.asks(servers[to], to, patient); !answered {
				t.Errorf("after unlock, %s is not reached", to)
			}
		}
		s.expect(s.wgQuick("unlock", "wg0"), result{status: 1, err: "wg-quick: `wg0' has no kill switch\nhint: nor has any other tunnel: what blocks the net is something else\n"})
		s.down(path)
		s.same(before)
		other.in(func() { s.down(far) })
	})
}

// The original refuses what it doesn't know: no file with a kill switch comes up
// without one.
func TestOriginalRefusesOurKeys(t *testing.T) {
	needOriginal(t)
	for _, key := range []string{"KillSwitch = true", "Masquerade = auto", "Forward = true"} {
		isolated(t, func(s *site) {
			before := s.state()
			path := s.file("wg0", ordinary+"\n"+key, "10.50.0.0/16")
			if got := s.theirs("up", path); got.status == 0 || !strings.Contains(got.err, "Line unrecognized: `"+strings.ReplaceAll(key, " ", "")+"'") {
				t.Errorf("%s: the original says %+v", key, got)
			}
			s.same(before)
		})
	}
}

// dhcp checks that what a client of DHCP sends gets to a server.
func (s *site) dhcp(family int, from, to unix.Sockaddr, server net.PacketConn) {
	s.t.Helper()
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, err := range []error{
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
		unix.BindToDevice(fd, "wan"), unix.Bind(fd, from),
	} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	if err := unix.Sendto(fd, []byte("dhcp"), 0, to); err != nil {
		s.t.Errorf("to a server of DHCP: %v", err)
		return
	}
	b := make([]byte, 16)
	server.SetReadDeadline(time.Now().Add(patient))
	if n, _, err := server.ReadFrom(b); err != nil || string(b[:n]) != "dhcp" {
		s.t.Errorf("a server of DHCP got %q, %v", b[:n], err)
	}
}
