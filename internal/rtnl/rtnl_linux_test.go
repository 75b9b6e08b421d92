// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"wgtools/internal/netnstest"
	"wgtools/internal/plan"
)

// ip runs ip(8), the witness of what is in the kernel.
func ip(t *testing.T, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// run calls f in a namespace that has the links wg0 and peer0, two ends of a
// cable: not every kernel has dummy links, and veth is where namespaces are.
func run(t *testing.T, f func(k *Kernel)) {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip isn't installed (Debian: iproute2)")
	}
	netnstest.Run(t, func() error {
		ip(t, "link add wg0 type veth peer name peer0")
		ip(t, "link set wg0 addrgenmode none")
		ip(t, "link set peer0 addrgenmode none")
		ip(t, "link set peer0 up")
		k, err := Open()
		if err != nil {
			return err
		}
		defer k.Close()
		f(k)
		return nil
	})
}

func prefix1(s string) netip.Prefix { return netip.MustParsePrefix(s) }

func TestSetLink(t *testing.T) {
	run(t, func(k *Kernel) {
		if err := k.SetLink(t.Context(), "wg0", 1380, true); err != nil {
			t.Fatal(err)
		}
		if got := ip(t, "link show dev wg0"); !strings.Contains(got, "mtu 1380 ") || !strings.Contains(got, ",UP") {
			t.Errorf("after SetLink(1380, up): %s", got)
		}
		if err := k.SetLink(t.Context(), "wg0", 1400, false); err != nil {
			t.Fatal(err)
		}
		if got := ip(t, "link show dev wg0"); !strings.Contains(got, "mtu 1400 ") || !strings.Contains(got, ",UP") {
			t.Errorf("after SetLink(1400): %s, want it up as before", got)
		}
		err := k.SetLink(t.Context(), "wg0", 20, true)
		if e, ok := errors.AsType[*Error](err); !ok || e.Errno != unix.EINVAL || e.Message != "mtu less than device minimum" {
			t.Errorf("SetLink(20) = %v, want the kernel's explanation", err)
		}
		if err := k.SetLink(t.Context(), "none0", 1400, true); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("SetLink of no link: %v, want ErrNotExist", err)
		}
	})
}

func TestLinks(t *testing.T) {
	run(t, func(k *Kernel) {
		ctx := t.Context()
		ip(t, "link property add dev wg0 altname tunnel-to-somewhere-else")
		for name, want := range map[string]bool{"wg0": true, "tunnel-to-somewhere-else": true, "wg1": false} {
			if l, err := k.Link(ctx, name); (l.Index != 0) != want || (l.Kind != "") != want || err != nil {
				t.Errorf("Link(%s) = %d, %q, %v; want one: %t", name, l.Index, l.Kind, err, want)
			}
		}
		if err := k.AddLink(ctx, "wg0"); !errors.Is(err, fs.ErrExist) && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("AddLink of what is there: %v, want ErrExist", err)
		}
		if err := k.DelLink(ctx, "wg0"); err != nil {
			t.Errorf("DelLink: %v", err)
		}
		if err := k.DelLink(ctx, "wg0"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("DelLink again: %v, want ErrNotExist", err)
		}
		switch err := k.AddLink(ctx, "wg0"); {
		case errors.Is(err, errors.ErrUnsupported):
			t.Logf("the kernel has no WireGuard: %v", err)
		case err != nil:
			t.Errorf("AddLink: %v", err)
		default:
			if got := ip(t, "-d link show dev wg0"); !strings.Contains(got, "wireguard") {
				t.Errorf("AddLink made %s", got)
			}
		}
	})
}

func TestAwaitGone(t *testing.T) {
	run(t, func(k *Kernel) {
		ip(t, "link add other type veth peer name peer1")
		ip(t, "link add gone0 type veth peer name peer2")
		if gone, err := k.AwaitGone("gone0", func() bool { return false }); gone || err != nil {
			t.Errorf("nobody ends it: %v, %v", gone, err)
		}
		gone, err := k.AwaitGone("gone0", func() bool {
			ip(t, "link delete other") // not what is waited for
			ip(t, "link delete gone0")
			return true
		})
		if !gone || err != nil {
			t.Errorf("AwaitGone: %v, %v", gone, err)
		}
		if _, err := k.AwaitGone("gone0", func() bool { return true }); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a link that isn't there: %v", err)
		}
		ip(t, "link add stays0 type veth peer name peer3")
		if gone, err := k.AwaitGone("stays0", func() bool { return true }); gone || err != nil {
			t.Errorf("nobody deletes it: %v, %v", gone, err)
		}
	})
}

func TestAddresses(t *testing.T) {
	run(t, func(k *Kernel) {
		ctx := t.Context()
		ip(t, "link set wg0 up")
		for _, s := range []string{"10.7.0.2/24", "127.1.0.1/32", "fd07::2/64", "::ffff:10.0.0.1/128"} {
			a := prefix1(s)
			if err := k.AddAddr(ctx, "wg0", a); err != nil {
				t.Errorf("AddAddr(%v): %v", a, err)
			}
			if err := k.AddAddr(ctx, "wg0", a); !errors.Is(err, fs.ErrExist) {
				t.Errorf("AddAddr(%v) again: %v, want ErrExist", a, err)
			}
		}
		got := ip(t, "-o addr show dev wg0")
		for _, want := range []string{
			`inet 10.7.0.2/24 scope global wg0\`, // no broadcast address
			`inet 127.1.0.1/32 scope host wg0\`,
			"inet6 fd07::2/64 scope global",
			"inet6 ::ffff:10.0.0.1/128 scope global",
		} {
			if !strings.Contains(got, want) {
				t.Errorf("addresses:\n%s\nhave no %q", got, want)
			}
		}
		if err := k.DelAddr(ctx, "wg0", prefix1("10.7.0.2/24")); err != nil {
			t.Errorf("DelAddr: %v", err)
		}
		if err := k.DelAddr(ctx, "wg0", prefix1("10.7.0.2/24")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("DelAddr again: %v, want ErrNotExist", err)
		}
	})
}

// set is a set of routes over wg0.
func set(table uint32, dst ...string) plan.RouteSet {
	r := plan.RouteSet{Dev: "wg0", Table: table}
	for _, s := range dst {
		r.Dst = append(r.Dst, prefix1(s))
	}
	return r
}

// routes returns the routes over wg0, of all tables but local's, sorted.
func routes(t *testing.T) []string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(ip(t, "-4 route show table all dev wg0") + "\n" + ip(t, "-6 route show table all dev wg0")) {
		if line = strings.Join(strings.Fields(line), " "); line != "" && !strings.Contains(line, "table local") {
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

func TestRoutes(t *testing.T) {
	run(t, func(k *Kernel) {
		ctx := t.Context()
		ip(t, "link set wg0 up")
		main := set(0, "192.0.2.0/24", "2001:db8::/32", "::ffff:10.0.0.0/104")
		small, large := set(77, "0.0.0.0/0", "::/0"), set(51820, "0.0.0.0/0", "::/0")
		for _, r := range []plan.RouteSet{main, small, large} {
			if err := k.AddRoutes(ctx, r); err != nil {
				t.Fatalf("AddRoutes(%v): %v", r, err)
			}
		}
		want := []string{
			"192.0.2.0/24 scope link",
			"2001:db8::/32 metric 1024 pref medium",
			"::ffff:10.0.0.0/104 metric 1024 pref medium",
			"default table 51820 metric 1024 pref medium",
			"default table 51820 scope link",
			"default table 77 metric 1024 pref medium",
			"default table 77 scope link",
		}
		if got := routes(t); !slices.Equal(got, want) {
			t.Errorf("routes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		for _, r := range []plan.RouteSet{main, small, large} {
			if err := k.DelRoutes(ctx, r); err != nil {
				t.Errorf("DelRoutes(%v): %v", r, err)
			}
			err := k.DelRoutes(ctx, r)
			if e, ok := errors.AsType[*plan.RouteError](err); !ok || e.Dst != r.Dst[0] || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("DelRoutes(%v) again: %v, want ErrNotExist of its first", r, err)
			}
		}
		if got := routes(t); got != nil {
			t.Errorf("routes left: %q", got)
		}
		gone := set(0, "192.0.2.0/24")
		gone.Dev = "gone"
		if err := k.AddRoutes(ctx, gone); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("AddRoutes on no link: %v, want ErrNotExist", err)
		}
	})
}

func many(n int) plan.RouteSet {
	r := plan.RouteSet{Dev: "wg0"}
	for i := range n {
		if i%2 == 0 {
			r.Dst = append(r.Dst, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
		} else {
			r.Dst = append(r.Dst, netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 13: byte(i >> 16), 14: byte(i >> 8), 15: byte(i)}), 128))
		}
	}
	return r
}

func TestManyRoutes(t *testing.T) {
	run(t, func(k *Kernel) {
		ctx := t.Context()
		ip(t, "link set wg0 up")
		r := many(10*batchSize + 1)
		if err := k.AddRoutes(ctx, r); err != nil {
			t.Fatal(err)
		}
		if got := routes(t); len(got) != len(r.Dst) {
			t.Errorf("%d routes, want %d", len(got), len(r.Dst))
		}
		// All fail: every answer is read, and none of what was there goes.
		err := k.AddRoutes(ctx, r)
		if e, ok := errors.AsType[*plan.RouteError](err); !ok || e.Dst != r.Dst[0] || !errors.Is(err, fs.ErrExist) {
			t.Errorf("AddRoutes again: %v, want ErrExist of the first", err)
		}
		if got := routes(t); len(got) != len(r.Dst) {
			t.Errorf("%d routes after a refused batch, want %d", len(got), len(r.Dst))
		}
		if err := k.DelRoutes(ctx, r); err != nil {
			t.Error(err)
		}
		if got := routes(t); got != nil {
			t.Errorf("%d routes left", len(got))
		}
	})
}

// One route that is there makes the whole set fail, by name; the others go again.
func TestRoutesAllOrNone(t *testing.T) {
	for _, at := range []int{0, 1, batchSize - 1, batchSize, 2*batchSize + 17, 3*batchSize - 1} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			run(t, func(k *Kernel) {
				ip(t, "link set wg0 up")
				r := many(3 * batchSize)
				there := r
				there.Dst = r.Dst[at : at+1]
				if err := k.AddRoutes(t.Context(), there); err != nil {
					t.Fatal(err)
				}
				before := routes(t)
				err := k.AddRoutes(t.Context(), r)
				if e, ok := errors.AsType[*plan.RouteError](err); !ok || e.Dst != r.Dst[at] || !errors.Is(err, fs.ErrExist) {
					t.Errorf("AddRoutes: %v, want ErrExist of %v", err, r.Dst[at])
				}
				if after := routes(t); !slices.Equal(after, before) {
					t.Errorf("routes afterwards:\n%s\nwant those of before:\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
				}
			})
		})
	}
}

// stopAfter is a context that is done once it was asked n times.
type stopAfter struct {
	context.Context
	n int
}

func (c *stopAfter) Err() error {
	if c.n--; c.n < 0 {
		return context.Canceled
	}
	return nil
}

func TestRoutesInterrupted(t *testing.T) {
	run(t, func(k *Kernel) {
		ip(t, "link set wg0 up")
		ctx, cancel := context.WithCancelCause(t.Context())
		interrupted := errors.New("interrupted")
		cancel(interrupted)
		if err := k.AddRoutes(&stopAfter{ctx, 2}, many(5*batchSize)); !errors.Is(err, interrupted) {
			t.Errorf("AddRoutes: %v, want %v", err, interrupted)
		}
		if left := routes(t); left != nil {
			t.Errorf("%d routes left", len(left))
		}
	})
}

func TestOnLink(t *testing.T) {
	run(t, func(k *Kernel) {
		ip(t, "link set wg0 up")
		for _, a := range []string{"10.7.0.2/24", "10.8.0.1/32", "fd07::2/64"} {
			if err := k.AddAddr(t.Context(), "wg0", prefix1(a)); err != nil {
				t.Fatal(err)
			}
		}
		ip(t, "route add 198.51.100.0/24 dev wg0")
		ip(t, "route add 203.0.113.0/24 dev wg0 table 99")
		ip(t, "route add 192.0.2.0/24 dev peer0")
		ip(t, "route add 198.51.101.0/24 via 10.7.0.9 dev wg0")
		got, added, err := k.OnLink(t.Context(), "wg0")
		if err != nil {
			t.Fatal(err)
		}
		want := []netip.Prefix{prefix1("10.7.0.0/24"), prefix1("198.51.100.0/24"), prefix1("198.51.101.0/24"), prefix1("fd07::/64")}
		slices.SortFunc(got, netip.Prefix.Compare)
		if !slices.Equal(got, want) {
			t.Errorf("OnLink = %v, want %v", got, want)
		}
		wantAdded := []plan.RouteSet{{Dev: "wg0", Table: 99, Dst: want[:0:0]}, {Dev: "wg0", Dst: want[1:2]}}
		wantAdded[0].Dst = append(wantAdded[0].Dst, prefix1("203.0.113.0/24"))
		slices.SortFunc(added, func(a, b plan.RouteSet) int { return cmp.Compare(b.Table, a.Table) })
		if !reflect.DeepEqual(added, wantAdded) {
			t.Errorf("OnLink has the added routes %v, want %v", added, wantAdded)
		}
	})
}

func TestMTU(t *testing.T) {
	run(t, func(k *Kernel) {
		ctx := t.Context()
		if got := k.DefaultMTU(ctx); got != 0 {
			t.Errorf("DefaultMTU without a default route = %d, want 0", got)
		}
		ip(t, "link set wg0 mtu 1400 up")
		ip(t, "address add 192.0.2.2/24 dev wg0")
		ip(t, "address add 2001:db8::2/64 dev wg0 nodad")
		ip(t, "route add default via 192.0.2.1")
		ip(t, "route add 10.0.0.0/8 via 192.0.2.1 mtu 1350")
		ip(t, "route add 10.1.0.0/16 via 192.0.2.1 mtu lock 1300")
		ip(t, "route add blackhole 10.2.0.0/16")
		ip(t, "route add unreachable 10.3.0.0/16")
		for dst, want := range map[string]int{
			"203.0.113.1": 1400, "10.0.0.1": 1350, "10.1.0.1": 1400, "10.2.0.1": 0, "10.3.0.1": 0,
			"127.0.0.1": 65536, "192.0.2.2": 65536, "2001:db8::1": 1400, "2001:db9::1": 0,
		} {
			if got := k.PathMTU(ctx, netip.MustParseAddr(dst), 0); got != want {
				t.Errorf("PathMTU(%s) = %d, want %d", dst, got, want)
			}
		}
		if got := k.DefaultMTU(ctx); got != 1400 {
			t.Errorf("DefaultMTU = %d, want the link's 1400", got)
		}
		ip(t, "route replace default via 192.0.2.1 mtu 1444")
		if got := k.DefaultMTU(ctx); got != 1444 {
			t.Errorf("DefaultMTU = %d, want the route's 1444", got)
		}
		ip(t, "route replace default nexthop via 192.0.2.1 dev wg0 nexthop via 192.0.2.3 dev wg0")
		if got := k.DefaultMTU(ctx); got != 0 {
			t.Errorf("DefaultMTU with two next hops = %d, want 0", got)
		}
	})
}

// A listing that the kernel interrupted is made again, but not for ever.
func TestDumpInterrupted(t *testing.T) {
	k := &Kernel{}
	for _, times := range []int{0, 1, dumps - 1, dumps + 5} {
		calls := 0
		err := k.dump(func() error {
			if calls++; calls <= times {
				return netlink.ErrDumpInterrupted
			}
			return nil
		})
		if want := min(times+1, dumps); err != nil || calls != want {
			t.Errorf("interrupted %d times: %d calls, %v; want %d", times, calls, err, want)
		}
	}
	if err := k.dump(func() error { return syscall.EPERM }); err != syscall.EPERM {
		t.Errorf("dump = %v, want EPERM", err)
	}
}

// Whatever the kernel sends, answers doesn't read past it.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xef, 0xff, 0xff, 0xff, 44, 0, 0, 0, 24, 0, 5, 6, 1, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{48, 0, 0, 0, 2, 0, 0, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0xef, 0xff, 0xff, 0xff, 44, 0, 0, 0, 24, 0, 5, 6, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0, 1, 0, 'n', 'o', 0, 0, 4, 0, 0, 0})
	f.Fuzz(func(_ *testing.T, b []byte) {
		_ = answers(b, func(uint32, error) {})
	})
}
