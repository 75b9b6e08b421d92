// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"encoding/binary"
	"fmt"
	"os/exec"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"wgtools/internal/netns"
)

// A tap sees what arrives at a site by a link.
type tap struct {
	mu         sync.Mutex
	clear, own int    // packets: of whatever, and of the tunnel
	last       string // of those in clear
}

// tap begins one. Packets of the tunnel are those for the UDP port 51820; ARP
// and neighbour discovery don't count.
func (s site) tap(dev string) *tap {
	s.t.Helper()
	ns, err := netns.Open(s.name)
	if err != nil {
		s.t.Fatal(err)
	}
	defer ns.Close()
	all := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	fd := -1
	if err := netns.Do(ns, func() error {
		var index int
		if _, err := fmt.Sscan(s.do("cat", "/sys/class/net/"+dev+"/ifindex"), &index); err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: index})
	}); err != nil {
		s.t.Fatal(err)
	}
	w, ended := &tap{}, make(chan struct{})
	wait := unix.NsecToTimeval(100_000_000)
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &wait); err != nil {
		s.t.Fatal(err)
	}
	stop := make(chan struct{})
	s.t.Cleanup(func() { close(stop); <-ended; unix.Close(fd) })
	go func() {
		defer close(ended)
		b := make([]byte, 2048)
		for {
			select {
			case <-stop:
				return
			default:
			}
			n, from, err := unix.Recvfrom(fd, b, 0)
			if ll, ok := from.(*unix.SockaddrLinklayer); err == nil && ok && ll.Pkttype != unix.PACKET_OUTGOING {
				w.note(b[:n])
			}
		}
	}()
	return w
}

// note counts a packet, which is without the link's header.
func (w *tap) note(p []byte) {
	const udp, icmp6 = 17, 58
	w.mu.Lock()
	defer w.mu.Unlock()
	var protocol byte
	var rest []byte
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		protocol, rest = p[9], p[min(len(p), int(p[0]&15)*4):]
	case len(p) >= 40 && p[0]>>4 == 6:
		protocol, rest = p[6], p[40:]
		if protocol == 0 && len(rest) >= 8 { // multicast listeners' reports have options
			protocol, rest = rest[0], rest[8:]
		}
	default:
		return // ARP
	}
	switch {
	case protocol == udp && len(rest) >= 4 && binary.BigEndian.Uint16(rest[2:]) == 51820:
		w.own++
	case protocol == icmp6 && len(rest) > 0 && rest[0] >= 130 && rest[0] != 144: // of the link alone
	default:
		w.clear++
		w.last = fmt.Sprintf("% x", p[:min(len(p), 60)])
	}
}

func (w *tap) counts() (clear, own int, last string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clear, w.own, w.last
}

// talk has the site send without end, by IPv4 and IPv6, to the world and to the
// next host.
func (s site) talk() {
	s.t.Helper()
	for _, to := range []string{world4, world6, "198.18.1.2", "fd18:1::2"} {
		c := exec.Command("ip", "netns", "exec", s.name, "ping", "-n", "-q", "-i", "0.3", to)
		if err := c.Start(); err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { c.Process.Kill(); c.Wait() })
	}
}

// TestQuickKillSwitch sees what leaves a host with a kill switch while link and
// wg-quick are taken away.
func TestQuickKillSwitch(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		needIPv6(t)
		client, exit := abroad(t)
		before := client.state()
		const hooks = "\nPreUp = %s\nPostUp = %s\nPreDown = %s\nPostDown = %s"
		conf := func(more string) string { return full(client, exit, 0, "198.51.100.1", "KillSwitch = true"+more) }
		path := conf("")
		w := exit.tap("cable1")
		client.talk()
		open := func(when string) {
			t.Helper()
			was, _, _ := w.counts()
			await(t, "packets leave "+when, func() bool { is, _, _ := w.counts(); return is > was+20 })
		}
		open("before up")
		client.up(path)
		was, _, _ := w.counts()
		closed := func(when string) {
			t.Helper()
			is, _, last := w.counts()
			if is > was {
				t.Errorf("%s: %d packets left in clear, such as %s", when, is-was, last)
			}
			was = is
		}
		// ends runs wg-quick, which must end so; an exit of -1 is of a signal.
		ends := func(exit int, verb, path string) {
			t.Helper()
			if got := client.quick(ourQuick(), verb, path); got.exit != exit {
				t.Errorf("%s of %s: %+v", verb, path, got)
			}
		}
		works := func(when string) {
			t.Helper()
			_, own, _ := w.counts()
			client.ping(world4)
			client.ping(world6)
			if _, is, _ := w.counts(); is == own {
				t.Errorf("%s: nothing of the tunnel was seen", when)
			}
			closed(when)
		}
		works("up")
		client.do("ip", "link", "delete", "wg0")
		for _, to := range []string{world4, world6, "198.18.1.2", "fd18:1::2"} {
			if got := client.try("ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", to); got.exit == 0 {
				t.Errorf("without the link, %s answers", to)
			}
		}
		closed("the link is deleted")
		if got := client.quick(ourQuick(), "status", path); got.exit != 4 {
			t.Errorf("status without the link: %+v", got)
		}
		ends(0, "up", path)
		works("up again")

		client.do("ip", "link", "delete", "wg0")
		ends(-1, "up", conf(fmt.Sprintf(hooks, "kill -9 $PPID", "true", "true", "true")))
		closed("up is killed before there is a link")
		ends(-1, "up", conf(fmt.Sprintf(hooks, "true", "kill -9 $PPID", "true", "true")))
		closed("up is killed at its end")
		client.do("ip", "link", "delete", "wg0")
		ends(0, "up", path)
		works("up after that")

		ends(1, "down", conf(fmt.Sprintf(hooks, "true", "true", "kill -TERM $PPID; exec sleep 1000", "true")))
		closed("down is interrupted")
		ends(-1, "down", conf(fmt.Sprintf(hooks, "true", "true", "true", "kill -9 $PPID")))
		closed("down is killed at its end")
		if got := client.try("ping", "-c", "1", "-W", "1", "198.18.1.2"); got.exit == 0 {
			t.Error("after down was killed, the next host answers")
		}
		closed("down was killed")
		ends(0, "up", path)
		works("the last up")
		client.must(ourQuick(), "reload", path)
		works("reload")
		client.down(path)
		open("after down")
		client.sameState("down", before)
	})
}
