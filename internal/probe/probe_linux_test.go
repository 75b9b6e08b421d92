// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package probe

import (
	"errors"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/netnstest"
)

// The largest size is found, with few packets, however small.
func TestLargest(t *testing.T) {
	for _, limit := range []int{84, 85, 100, 576, 1279, 1280, 1419, 1420, 9000, 65535} {
		for _, full := range []int{1280, 1420, 65535} {
			asked := 0
			got, err := Largest(Small, full, func(sizes []int) (answered []int, err error) {
				asked += len(sizes)
				for _, n := range sizes {
					if n <= Small || n > full {
						t.Errorf("limit %d of %d: asks with %d", limit, full, n)
					}
					if n <= limit {
						answered = append(answered, n)
					}
				}
				return answered, nil
			})
			if want := min(limit, full); got != want || err != nil || asked > 150 {
				t.Errorf("limit %d of %d: %d, %v, after %d packets; want %d", limit, full, got, err, asked, want)
			}
		}
	}
}

// A packet that is lost once is sent again.
func TestLargestLost(t *testing.T) {
	seen := map[int]bool{}
	got, err := Largest(Small, 1420, func(sizes []int) (answered []int, err error) {
		for _, n := range sizes {
			if n <= 1300 && seen[n] {
				answered = append(answered, n)
			}
			seen[n] = true
		}
		return answered, nil
	})
	if got != 1300 || err != nil {
		t.Errorf("%d, %v, want 1300", got, err)
	}
	// One in the middle is lost for good.
	never := 0
	got, err = Largest(Small, 1420, func(sizes []int) (answered []int, err error) {
		if len(sizes) == rungs && never == 0 {
			never = sizes[2]
		}
		for _, n := range sizes {
			if n <= 1300 && n != never {
				answered = append(answered, n)
			}
		}
		return answered, nil
	})
	if got != 1300 || err != nil {
		t.Errorf("%d, %v, want 1300", got, err)
	}
	failed := errors.New("no")
	if _, err := Largest(Small, 1420, func([]int) ([]int, error) { return nil, failed }); err != failed {
		t.Errorf("error %v, want what asking returned", err)
	}
}

func run(t *testing.T, f func()) {
	t.Helper()
	for _, program := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s isn't installed", program)
		}
	}
	netnstest.Run(t, func() error { f(); return nil })
}

func command(t *testing.T, line string) {
	t.Helper()
	words := strings.Fields(line)
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
}

// The kernel answers echoes; a packet filter loses the large ones.
func TestEcho(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		t.Run(address, func(t *testing.T) {
			run(t, func() {
				command(t, "nft add table inet x")
				command(t, "nft add chain inet x in { type filter hook input priority 0 ; }")
				command(t, "nft add rule inet x in meta length > 1301 drop")
				e, err := NewEcho("lo", netip.MustParseAddr(address))
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				got, err := e.Ask(t.Context(), []int{84, 1301, 1302, 1420}, time.Second)
				slices.Sort(got)
				if want := []int{84, 1301}; !slices.Equal(got, want) || err != nil {
					t.Errorf("%v were answered, %v; want %v", got, err, want)
				}
				if got, err := e.Ask(t.Context(), []int{1300}, time.Minute); err != nil || len(got) != 1 || got[0] != 1300 {
					t.Errorf("%v, %v, want 1300 at once", got, err)
				}
			})
		})
	}
}

// Only the answer to one's own request counts, and once.
func TestAnswer(t *testing.T) {
	for name, tt := range map[string]struct {
		message string
		ok      bool
	}{
		"an answer":       {"\x81\x00\x00\x00\x12\x34\x00\x01", true},
		"another's":       {"\x81\x00\x00\x00\x12\x35\x00\x01", false},
		"of another time": {"\x81\x00\x00\x00\x12\x34\x00\x02", false},
		"a request":       {"\x80\x00\x00\x00\x12\x34\x00\x01", false},
		"half of one":     {"\x81\x00\x00", false},
	} {
		e := &Echo{v6: true, id: 0x1234, sent: map[uint16]int{1: 84}}
		if size, ok := e.answer([]byte(tt.message)); ok != tt.ok || ok && size != 84 {
			t.Errorf("%s: %d, %t", name, size, ok)
		}
	}
}

// Messages that aren't answers to ours are passed over.
func FuzzAnswer(f *testing.F) {
	f.Add(false, []byte("\x45\x00\x00\x1c\x00\x00\x00\x00\x40\x01\x00\x00\x7f\x00\x00\x01\x7f\x00\x00\x01\x00\x00\x00\x00\x12\x34\x00\x01"))
	f.Add(true, []byte("\x81\x00\x00\x00\x12\x34\x00\x01"))
	f.Add(false, []byte{0x4f})
	f.Fuzz(func(t *testing.T, v6 bool, b []byte) {
		e := &Echo{v6: v6, id: 0x1234, sent: map[uint16]int{1: 84}}
		size, ok := e.answer(b)
		if ok && size != 84 {
			t.Errorf("answers %d", size)
		}
		if _, twice := e.answer(b); twice {
			t.Error("one packet is answered twice")
		}
	})
}

func TestRefusals(t *testing.T) {
	run(t, func() {
		command(t, "ip link add veth0 type veth peer name veth1")
		command(t, "ip link set veth0 up")
		command(t, "ip link set veth1 up")
		command(t, "ip address add 192.0.2.1/24 dev veth0")
		command(t, "nft add table inet x")
		command(t, "nft add chain inet x out { type filter hook output priority 0 ; }")
		command(t, "nft add rule inet x out meta mark 7 ip daddr 127.0.0.3 drop")
		command(t, "nft add rule inet x out ip daddr 127.0.0.2 drop")
		listener, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		to := []netip.AddrPort{
			listener.LocalAddr().(*net.UDPAddr).AddrPort(),
			netip.MustParseAddrPort("127.0.0.1:9"),
			netip.MustParseAddrPort("127.0.0.2:9"),
			netip.MustParseAddrPort("192.0.2.9:9"),
			netip.MustParseAddrPort("203.0.113.1:9"),
			netip.MustParseAddrPort("[::1]:9"),
			netip.MustParseAddrPort("127.0.0.3:9"),
		}
		want := []error{nil, unix.ECONNREFUSED, unix.EPERM, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.ECONNREFUSED, unix.EPERM}
		got := Refusals(t.Context(), to, 7, 5*time.Second)
		for i := range to {
			if !errors.Is(got[i], want[i]) {
				t.Errorf("%v: %v, want %v", to[i], got[i], want[i])
			}
		}
		if n, _, err := listener.ReadFromUDP(make([]byte, 9)); n != 0 || err != nil {
			t.Errorf("the listener got %d bytes, %v; want an empty datagram", n, err)
		}
	})
}
