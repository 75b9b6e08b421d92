// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/wgctrl"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/netnstest"
)

// These tests are about real devices, of the kernel and of wireguard-go. The
// witness is wgctrl, which reads them with code of its own.

// addLink makes a link of a kind in the network namespace of the thread.
func addLink(name, kind string) error {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_NEWLINK, Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl},
		Data: link(func(e *netlink.AttributeEncoder) {
			e.String(linkName, name)
			e.Nested(linkInfo, func(e *netlink.AttributeEncoder) error { e.String(linkInfoKind, kind); return nil })
		}),
	})
	return err
}

// onKernel calls f in a network namespace of its own in which there is the
// kernel's WireGuard device wg0.
func onKernel(t *testing.T, f func(c Client)) {
	t.Helper()
	netnstest.Run(t, func() error {
		if err := addLink("wg0", "wireguard"); errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this kernel has no WireGuard")
		} else if err != nil {
			return err
		}
		f(New())
		return nil
	})
}

// mustRead reads wg0 and puts it into words.
func mustRead(t *testing.T, c Client) string {
	t.Helper()
	d, peers, err := ReadAll(t.Context(), c, "wg0")
	if err != nil {
		t.Fatal(err)
	}
	return describe(d, peers)
}

func mustConfigure(t *testing.T, c Client, change *device.Change) {
	t.Helper()
	if err := c.Configure(t.Context(), "wg0", change); err != nil {
		t.Fatal(err)
	}
}

// witness is what wgctrl reads of wg0, in the same words. It doesn't know zones.
func witness(t *testing.T) string {
	t.Helper()
	c, err := wgctrl.New()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := c.Device("wg0")
	if err != nil {
		t.Fatal(err)
	}
	head := device.Device{Name: d.Name, ListenPort: uint16(d.ListenPort), Fwmark: uint32(d.FirewallMark)}
	if k := keys.Key(d.PrivateKey); !k.IsZero() {
		head.PrivateKey, head.PublicKey = device.Some(k), device.Some(keys.Key(d.PublicKey))
	}
	var peers []device.Peer
	for _, p := range d.Peers {
		q := device.Peer{
			PublicKey: keys.Key(p.PublicKey), PresharedKey: keys.Key(p.PresharedKey),
			ReceivedBytes: uint64(p.ReceiveBytes), SentBytes: uint64(p.TransmitBytes),
			PersistentKeepalive: uint16(p.PersistentKeepaliveInterval / time.Second),
		}
		if p.Endpoint != nil {
			e := p.Endpoint.AddrPort()
			q.Endpoint = netip.AddrPortFrom(e.Addr().Unmap(), e.Port())
		}
		if !p.LastHandshakeTime.IsZero() {
			q.LatestHandshake = device.Time{Sec: p.LastHandshakeTime.Unix(), Nsec: int64(p.LastHandshakeTime.Nanosecond())}
		}
		for _, ip := range p.AllowedIPs {
			addr, _ := netip.AddrFromSlice(ip.IP)
			ones, bits := ip.Mask.Size()
			if bits == 32 {
				addr = addr.Unmap()
			}
			q.AllowedIPs = append(q.AllowedIPs, netip.PrefixFrom(addr, ones))
		}
		peers = append(peers, q)
	}
	return describe(&head, peers)
}

// same fails the test if two devices in words differ, with the first line that does.
func same(t *testing.T, what, got, want string) {
	t.Helper()
	if got == want {
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(gotLines), len(wantLines)) {
		if gotLines[i] != wantLines[i] {
			t.Errorf("%s, line %d:\n%.2000s\nwant\n%.2000s", what, i+1, gotLines[i], wantLines[i])
			return
		}
	}
	t.Errorf("%s: %d lines, want %d", what, len(gotLines), len(wantLines))
}

// roundTrip is what can be said to any device, and how it is read then.
func roundTrip() (change *device.Change, want string) {
	private := mustKey(hexB).Clamp()
	change = &device.Change{
		PrivateKey: device.Some(private), ListenPort: device.Some[uint16](51820), Fwmark: device.Some[uint32](0xca6c),
		Peers: []device.PeerChange{
			{PublicKey: numbered(1)},
			{
				PublicKey: numbered(2), PresharedKey: device.Some(mustKey(hexA)), PersistentKeepalive: device.Some[uint16](65535),
				Endpoint: netip.MustParseAddrPort("192.0.2.1:65535"), AllowedIPs: allowed("10.0.0.5/24", "0.0.0.0/0", "::/0"),
			},
			{PublicKey: numbered(3), Endpoint: netip.MustParseAddrPort("[2001:db8::1]:1"), AllowedIPs: allowed("fd00::1/64")},
			{PublicKey: numbered(4), Endpoint: netip.MustParseAddrPort("[fe80::1%lo]:7")},
		},
	}
	want = "wg0 private " + private.Base64() + " public " + private.Public().Base64() + " port 51820 fwmark 51820" +
		"\npeer " + numbered(1).Base64() +
		"\npeer " + numbered(2).Base64() + " preshared " + textA + " endpoint 192.0.2.1:65535 keepalive 65535 ::/0 0.0.0.0/0 10.0.0.0/24" +
		"\npeer " + numbered(3).Base64() + " endpoint [2001:db8::1]:1 fd00::/64" +
		"\npeer " + numbered(4).Base64() + " endpoint [fe80::1%lo]:7"
	return change, want
}

// sorted sorts what each device is free to order: peers, and allowed IPs.
func sorted(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		words := strings.Fields(line)
		if first := slices.IndexFunc(words, func(w string) bool { return strings.Contains(w, "/") && len(w) < 44 }); first > 0 {
			last := first
			for last < len(words) && strings.Contains(words[last], "/") {
				last++
			}
			slices.Sort(words[first:last])
		}
		lines[i] = strings.Join(words, " ")
	}
	slices.Sort(lines[1:])
	return strings.Join(lines, "\n")
}

func withoutZones(text string) string { return strings.ReplaceAll(text, "%lo]", "]") }

func TestKernelRoundTrip(t *testing.T) {
	onKernel(t, func(c Client) {
		same(t, "a new device", mustRead(t, c), "wg0")
		same(t, "a new device, by the witness", witness(t), "wg0")

		change, want := roundTrip()
		mustConfigure(t, c, change)
		got := mustRead(t, c)
		same(t, "configured", sorted(got), sorted(want))
		same(t, "by the witness", witness(t), withoutZones(got))

		mustConfigure(t, c, &device.Change{
			PrivateKey: device.Some(keys.Key{}), ListenPort: device.Some[uint16](0), Fwmark: device.Some[uint32](0), ReplacePeers: true,
			Peers: []device.PeerChange{{PublicKey: numbered(9)}},
		})
		// A device that is down has no port of its own choice yet.
		same(t, "all settings taken", mustRead(t, c), "wg0\npeer "+numbered(9).Base64())
		same(t, "all settings taken, by the witness", witness(t), "wg0\npeer "+numbered(9).Base64())
	})
}

func TestKernelPeers(t *testing.T) {
	onKernel(t, func(c Client) {
		step := func(what string, change device.PeerChange, want string) {
			t.Helper()
			mustConfigure(t, c, &device.Change{Peers: []device.PeerChange{change}})
			got := mustRead(t, c)
			same(t, what, sorted(got), sorted("wg0\n"+want))
			same(t, what+", by the witness", witness(t), got)
		}
		key := numbered(1)
		name := "peer " + key.Base64()
		step("a peer", device.PeerChange{PublicKey: key, AllowedIPs: allowed("10.0.0.1/32")}, name+" 10.0.0.1/32")
		step("more allowed IPs", device.PeerChange{PublicKey: key, AllowedIPs: allowed("10.0.0.2/32")}, name+" 10.0.0.1/32 10.0.0.2/32")
		step("other allowed IPs", device.PeerChange{PublicKey: key, ReplaceAllowedIPs: true, AllowedIPs: allowed("10.0.0.3/32")}, name+" 10.0.0.3/32")
		step("no allowed IPs", device.PeerChange{PublicKey: key, ReplaceAllowedIPs: true}, name)
		step("a preshared key", device.PeerChange{PublicKey: key, PresharedKey: device.Some(mustKey(hexA))}, name+" preshared "+textA)
		step("no preshared key", device.PeerChange{PublicKey: key, PresharedKey: device.Some(keys.Key{})}, name)
		step("keepalive", device.PeerChange{PublicKey: key, PersistentKeepalive: device.Some[uint16](25)}, name+" keepalive 25")
		step("no keepalive", device.PeerChange{PublicKey: key, PersistentKeepalive: device.Some[uint16](0)}, name)
		step("an endpoint", device.PeerChange{PublicKey: key, Endpoint: netip.MustParseAddrPort("192.0.2.1:5")}, name+" endpoint 192.0.2.1:5")
		mustConfigure(t, c, &device.Change{Peers: []device.PeerChange{{PublicKey: numbered(2)}, {PublicKey: key, Remove: true}}})
		same(t, "one came, one went", mustRead(t, c), "wg0\npeer "+numbered(2).Base64())
		mustConfigure(t, c, &device.Change{ReplacePeers: true})
		same(t, "none", mustRead(t, c), "wg0")
	})
}

func TestKernelIncrementalAllowedIPs(t *testing.T) {
	onKernel(t, func(c Client) {
		key := numbered(1)
		mustConfigure(t, c, &device.Change{Peers: []device.PeerChange{{PublicKey: key, AllowedIPs: allowed("10.0.0.1/32", "fd00::/64")}}})
		err := c.Configure(t.Context(), "wg0", &device.Change{Peers: []device.PeerChange{{PublicKey: key, AllowedIPs: allowed("10.0.0.2/32", "-10.0.0.1/32", "-fd00::/64")}}})
		if errors.Is(err, unix.EINVAL) {
			var r *RemoveError
			if !errors.As(err, &r) || len(r.Advice()) == 0 {
				t.Errorf("refused by %v, without advice", err)
			}
			t.Skip("this kernel can't take single allowed IPs from a peer")
		}
		if err != nil {
			t.Fatal(err)
		}
		same(t, "one added, two taken", mustRead(t, c), "wg0\npeer "+key.Base64()+" 10.0.0.2/32")
	})
}

// many is a request for n peers with 8 allowed IPs each, and what is read then.
func many(n int) (change *device.Change, want string) {
	change = &device.Change{ReplacePeers: true}
	var b strings.Builder
	b.WriteString("wg0")
	for i := range n {
		p := device.PeerChange{PublicKey: numbered(i), ReplaceAllowedIPs: true, PersistentKeepalive: device.Some[uint16](25)}
		fmt.Fprintf(&b, "\npeer %s keepalive 25", p.PublicKey.Base64())
		for j := range 8 {
			ip := fmt.Sprintf("10.%d.%d.%d/32", i>>5, i&31, j)
			if j%4 == 3 {
				ip = fmt.Sprintf("fd00:%x:%x::/64", i+1, j)
			}
			p.AllowedIPs = append(p.AllowedIPs, allowed(ip)...)
			b.WriteString(" " + ip)
		}
		change.Peers = append(change.Peers, p)
	}
	return change, b.String()
}

func TestKernelManyPeers(t *testing.T) {
	onKernel(t, func(c Client) {
		change, want := many(4096)
		begin := time.Now()
		mustConfigure(t, c, change)
		set := time.Since(begin)
		begin = time.Now()
		got := mustRead(t, c)
		t.Logf("4096 peers with 8 allowed IPs: configured in %v, read in %v", set, time.Since(begin))
		same(t, "configured", sorted(got), sorted(want))
		same(t, "by the witness", witness(t), got)
	})
}

// A peer of more allowed IPs than a message holds comes and goes in parts.
func TestKernelManyAllowedIPs(t *testing.T) {
	onKernel(t, func(c Client) {
		want := "wg0"
		change := &device.Change{}
		for n, key := range []keys.Key{numbered(1), numbered(2), numbered(3)} {
			p := device.PeerChange{PublicKey: key, PersistentKeepalive: device.Some[uint16](25), ReplaceAllowedIPs: true}
			want += "\npeer " + key.Base64() + " keepalive 25"
			for i := range 2000 {
				ip := fmt.Sprintf("10.%d.%d.%d/32", n, i>>8, i&255)
				p.AllowedIPs = append(p.AllowedIPs, allowed(ip)...)
				want += " " + ip
			}
			change.Peers = append(change.Peers, p)
		}
		mustConfigure(t, c, change)
		got := mustRead(t, c)
		same(t, "configured", sorted(got), sorted(want))
		same(t, "by the witness", witness(t), got)

		for i := range change.Peers {
			change.Peers[i].Remove = true
		}
		mustConfigure(t, c, change)
		same(t, "all removed", mustRead(t, c), "wg0")
	})
}

// A meddler is a sink that changes the device while it is read.
type meddler struct {
	printer
	ctx  context.Context
	c    Client
	at   int // how many peers before each change
	left int // changes to make
}

func (m *meddler) Peer(p *device.Peer) error {
	if m.left > 0 && len(m.peers) == m.at {
		m.left--
		err := m.c.Configure(m.ctx, "wg0", &device.Change{Peers: []device.PeerChange{
			{PublicKey: numbered(10_000 + m.left)},
			{PublicKey: numbered(m.at - 1), Remove: true}, // one that was told
			{PublicKey: numbered(3000 + m.left), Remove: true},
		}})
		if err != nil {
			return err
		}
	}
	return m.printer.Peer(p)
}

func TestKernelInterruptedDump(t *testing.T) {
	onKernel(t, func(c Client) {
		change, _ := many(4096)
		for _, mayRestart := range []bool{true, false} {
			mustConfigure(t, c, change)
			m := meddler{ctx: t.Context(), c: c, at: 100, left: 1, printer: printer{mayRestart: mayRestart}}
			if err := c.Read(t.Context(), "wg0", &m); err != nil {
				t.Fatal(err)
			}
			want := slices.DeleteFunc(append(numbers(0, 4096), 10_000), func(n int) bool { return n == 3000 || n == 99 && mayRestart })
			if m.restarts != 1 || !slices.Equal(m.peers, want) || m.devices != 1 {
				t.Errorf("may restart %t: %d restarts, %d peers, the device %d times; want 1, %d, once", mayRestart, m.restarts, len(m.peers), m.devices, len(want))
			}
		}
	})
}

func TestKernelSinkFails(t *testing.T) {
	onKernel(t, func(c Client) {
		change, _ := many(4096)
		mustConfigure(t, c, change)
		s := brokenSink{at: 5, err: errors.New("standard output is closed")}
		if err := c.Read(t.Context(), "wg0", &s); err != s.err || len(s.peers) != 5 {
			t.Errorf("got %v after %d peers, want %v after 5", err, len(s.peers), s.err)
		}
	})
}

func TestKernelErrors(t *testing.T) {
	onKernel(t, func(c Client) {
		fails := func(what string, err error, want syscall.Errno) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		ctx := t.Context()
		fails("read what isn't there", c.Read(ctx, "wg9", &collector{}), unix.ENODEV)
		fails("configure what isn't there", c.Configure(ctx, "wg9", &device.Change{}), unix.ENODEV)
		fails("read another link", c.Read(ctx, "lo", &collector{}), unix.EOPNOTSUPP)
		fails("configure another link", c.Configure(ctx, "lo", &device.Change{}), unix.EOPNOTSUPP)
		fails("read a long name", c.Read(ctx, "sixteen-letters-", &collector{}), unix.ENAMETOOLONG)
		fails("configure a long name", c.Configure(ctx, "sixteen-letters-", &device.Change{}), unix.ENODEV)
		fails("read a path", c.Read(ctx, "../wg0", &collector{}), unix.ENODEV)

		var none [2]unix.CapUserData // of this thread only
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
			t.Fatal(err)
		}
		fails("read without the right", c.Read(ctx, "wg0", &collector{}), unix.EPERM)
		fails("configure without the right", c.Configure(ctx, "wg0", &device.Change{}), unix.EPERM)
		if names, err := c.List(ctx); err != nil || !slices.Equal(names, []string{"wg0"}) {
			t.Errorf("list without the right: %q, %v; want wg0", names, err)
		}
	})
}

func TestKernelList(t *testing.T) {
	onKernel(t, func(c Client) {
		for _, name := range []string{"wg7", "alpha"} {
			if err := addLink(name, "wireguard"); err != nil {
				t.Fatal(err)
			}
		}
		addLink("dummy0", "dummy") // which not every kernel has
		names, err := c.List(t.Context())
		if want := []string{"wg0", "wg7", "alpha"}; err != nil || !slices.Equal(names, want) {
			t.Errorf("List = %q, %v; want %q", names, err, want)
		}
	})
}

// Where the kernel has no WireGuard that is said, and no device is listed.
func TestNoKernelWireguard(t *testing.T) {
	netnstest.Run(t, func() error {
		if err := addLink("wg0", "wireguard"); !errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this kernel has WireGuard")
		}
		c := New()
		if err := c.Read(t.Context(), "wg0", &collector{}); !errors.Is(err, unix.EPROTONOSUPPORT) {
			t.Errorf("Read: %v, want %v", err, unix.EPROTONOSUPPORT)
		}
		if err := c.Configure(t.Context(), "wg0", &device.Change{}); !errors.Is(err, unix.EPROTONOSUPPORT) {
			t.Errorf("Configure: %v, want %v", err, unix.EPROTONOSUPPORT)
		}
		if names, err := c.List(t.Context()); err != nil || names != nil {
			t.Errorf("List = %q, %v; want nothing", names, err)
		}
		return nil
	})
}

// wireguard-go is another program's idea of the userspace protocol.
func TestWireguardGo(t *testing.T) {
	program, err := exec.LookPath("wireguard-go")
	if err != nil {
		t.Skip(err)
	}
	netnstest.Run(t, func() error {
		runtime.LockOSThread()
		cmd := exec.Command(program, "-f", "wg0")
		cmd.Env = append(os.Environ(), "WG_PROCESS_FOREGROUND=1")
		logs, err := cmd.StderrPipe()
		if err != nil {
			return err
		}
		cmd.Stdout = cmd.Stderr
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() {
			cmd.Process.Kill()
			io.Copy(io.Discard, logs)
			cmd.Wait()
		}()
		c := New()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if names, err := c.List(t.Context()); err == nil && slices.Contains(names, "wg0") {
				break
			}
			if time.Now().After(deadline) {
				t.Skip("wireguard-go doesn't start here")
			}
		}
		change, want := roundTrip()
		mustConfigure(t, c, change)
		got := mustRead(t, c)
		// Some versions of wireguard-go lose zones.
		same(t, "configured", sorted(withoutZones(got)), sorted(withoutZones(want)))
		same(t, "by the witness", sorted(withoutZones(witness(t))), sorted(withoutZones(got)))
		return nil
	})
}
