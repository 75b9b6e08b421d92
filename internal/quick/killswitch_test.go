// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
)

const (
	switchOn  = "nft -f /dev/fd/63 # KillSwitch = true"
	switchLAN = "nft -f /dev/fd/63 # KillSwitch = lan"
	switchOff = "nft -f /dev/fd/63 # KillSwitch = false"
)

// locked is a full tunnel with a kill switch.
func locked(t *testing.T) *quick.Tunnel {
	return mustParse(t, "wg0", file(everything+"\nKillSwitch = true", both))
}

// watchSwitch fails the test if a step is made without the kill switch, once it
// was there. It goes with the last change of down.
func (w *world) watchSwitch(t *testing.T, context string) {
	was := false
	w.Before = func(line string) {
		_, is := w.Closed["wg0"]
		if was && !is {
			t.Errorf("%s: there is no kill switch before %q", context, line)
		}
		was = was || is
	}
}

// It is the first to come, before hooks and the link, and the last to go. The
// device has the mark from its first configuration on.
func TestKillSwitchOrder(t *testing.T) {
	w := newWorld()
	tunnel := locked(t)
	w.one(t, tunnel)
	up := w.Lines
	if up[0] != switchOn || up[1] != "ip link add dev wg0 type wireguard" || slices.ContainsFunc(up, func(l string) bool { return strings.HasPrefix(l, "wg set ") }) {
		t.Errorf("up did\n%s", strings.Join(up, "\n"))
	}
	if c := w.Configured[0]; c.Fwmark.Value != 51820 || !w.Closed["wg0"].Equal(plan.KillSwitch{Dev: "wg0", Mark: 51820}) {
		t.Errorf("the device got the mark %d first, the kill switch is %+v", c.Fwmark.Value, w.Closed["wg0"])
	}
	if tunnel.Device.Fwmark.Set {
		t.Error("the file's values are changed")
	}
	w.Lines = nil
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	if down := w.Lines; down[len(down)-1] != switchOff || down[len(down)-2] != "echo gone wg0" {
		t.Errorf("down did\n%s", strings.Join(down, "\n"))
	}
	w.nothingLeft(t)
}

// Which mark is let through: the file's, or one that nobody has.
func TestKillSwitchMark(t *testing.T) {
	for own, want := range map[string]uint32{
		"KillSwitch = true\nFwMark = 7":                   7,
		"KillSwitch = true\nFwMark = off":                 51820,
		"KillSwitch = true\nTable = off":                  51820,
		"KillSwitch = true\nTable = 1234\nFwMark = 0x100": 256,
	} {
		w := newWorld()
		w.one(t, mustParse(t, "wg0", file(own, both)))
		if got := w.Closed["wg0"].Mark; got != want || w.Configured[0].Fwmark.Value != want {
			t.Errorf("%q: %d is let through, the device has %d, want %d", own, got, w.Configured[0].Fwmark.Value, want)
		}
	}
	// Two of them, neither with a default route.
	w := newWorld()
	w.one(t, mustParse(t, "wg0", file("KillSwitch = true", "10.50.0.0/16")))
	w.one(t, mustParse(t, "wg1", file("KillSwitch = true", "10.60.0.0/16")))
	if a, b := w.Closed["wg0"].Mark, w.Closed["wg1"].Mark; a != 51820 || b != 51821 {
		t.Errorf("two tunnels have the marks %d and %d", a, b)
	}
}

// What is private behind the tunnel is no local network.
func TestKillSwitchInner(t *testing.T) {
	for allowed, want := range map[string]string{
		"0.0.0.0/0, ::/0":                              "[10.7.0.0/24 fd07::/64]",
		"0.0.0.0/1, 128.0.0.0/1, 8000::/1":             "[10.7.0.0/24 fd07::/64]",
		"10.0.0.0/8, 10.7.0.0/16, fd00::/8, 8.0.0.0/8": "[10.0.0.0/8 fd00::/8]",
		"192.168.7.9/32, 172.32.0.0/16, fe80::/64":     "[10.7.0.0/24 192.168.7.9/32 fd07::/64]",
	} {
		for _, value := range []string{"lan", "true"} {
			w := newWorld()
			w.one(t, mustParse(t, "wg0", file("Address = 10.7.0.2/24, fd07::2/64\nKillSwitch = "+value, allowed)))
			if value == "true" {
				want = "[]"
			}
			got := w.Closed["wg0"].Inner
			slices.SortFunc(got, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
			if fmt.Sprint(got) != want {
				t.Errorf("KillSwitch = %s, AllowedIPs = %s: inner are %v, want %s", value, allowed, got, want)
			}
		}
	}
	var many []string
	for i := range 1001 {
		many = append(many, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
	}
	w := newWorld()
	err := w.session().Up(t.Context(), mustParse(t, "wg0", file("KillSwitch = lan", strings.Join(many, ", "))))
	if _, ok := errors.AsType[*quick.Refusal](err); !ok {
		t.Errorf("1001 networks: %v, want a refusal", err)
	}
	w.nothingLeft(t)
}

// Each step of up fails in turn: all is as it was, without the kill switch, or
// with it if it stood before.
func TestKillSwitchAllOrNothing(t *testing.T) {
	tunnel := locked(t)
	up, _ := fullLines(t, tunnel)
	for _, line := range up {
		t.Run(line, func(t *testing.T) {
			w := newWorld()
			w.Fail = map[string]error{line: syscall.EIO}
			if err := w.session().Up(t.Context(), tunnel); !errors.Is(err, syscall.EIO) {
				t.Errorf("Up: %v, want EIO", err)
			}
			w.nothingLeft(t)

			if line == switchOn || line == "nft -f /dev/fd/63" {
				return // which what is left by the sudden end would meet first
			}
			w = newWorld()
			w.cut(t, "echo up wg0", false, func() error { return w.session().Up(t.Context(), tunnel) })
			w.watchSwitch(t, "a failing up after a sudden end")
			w.Fail = map[string]error{line: syscall.EIO}
			if err := w.session().Up(t.Context(), tunnel); !errors.Is(err, syscall.EIO) {
				t.Errorf("a second Up: %v, want EIO", err)
			}
			if left := w.Left(); !slices.Equal(left, []string{"kill switch of wg0"}) {
				t.Errorf("left is %q, want the kill switch", left)
			}
			if r := w.records["wg0"]; r == nil || r.KillSwitch == nil {
				t.Fatalf("on record is %+v, want the kill switch", r)
			}
			w.Fail, w.Before = nil, nil
			if err := w.session().Down(t.Context(), tunnel); err != nil {
				t.Errorf("Down: %v", err)
			}
			w.nothingLeft(t)
		})
	}
}

// A sudden end at any moment: the kill switch stays, also while another up
// cleans up, until down's last step.
func TestKillSwitchSuddenEnd(t *testing.T) {
	tunnel := locked(t)
	up, down := fullLines(t, tunnel)
	cut := func(verb, line string, after bool) *world {
		w := newWorld()
		f := func() error { return w.session().Up(t.Context(), tunnel) }
		if verb == "down" {
			w.one(t, tunnel)
			f = func() error { return w.session().Down(t.Context(), tunnel) }
		}
		w.watchSwitch(t, verb+" cut at "+line)
		w.cut(t, line, after, f)
		return w
	}
	for verb, lines := range map[string][]string{"up": up, "down": down} {
		for _, line := range lines {
			for _, after := range []bool{false, true} {
				w := cut(verb, line, after)
				_, stands := w.Closed["wg0"]
				gone := verb == "up" && line == switchOn && !after || verb == "down" && line == switchOff && after
				if stands == gone {
					t.Errorf("%s cut at %q (after: %t): there is a kill switch: %t", verb, line, after, stands)
				}
				if r := w.records["wg0"]; stands && (r == nil || r.KillSwitch == nil) {
					t.Errorf("%s cut at %q (after: %t): it is not on record", verb, line, after)
				}
				if gone {
					w.Before = nil
				}
				_, up := errors.AsType[*quick.Refusal](w.session().Up(t.Context(), tunnel))
				if whole := w.records["wg0"].Phase == quick.Up; up && !whole {
					t.Errorf("%s cut at %q (after: %t): no second up", verb, line, after)
				}
				if err := w.session().Down(t.Context(), tunnel); err != nil {
					t.Errorf("Down: %v", err)
				}
				w.nothingLeft(t)

				w = cut(verb, line, after)
				if err := w.session().Down(t.Context(), tunnel); err != nil && !gone {
					t.Errorf("%s cut at %q (after: %t), then Down: %v", verb, line, after, err)
				}
				w.nothingLeft(t)
			}
		}
	}
}

// The link is gone, by hand or with its process.
func TestKillSwitchWithoutLink(t *testing.T) {
	tunnel := locked(t)
	for _, verb := range []string{"up", "down"} {
		w := newWorld()
		w.one(t, tunnel)
		if err := w.DelLink(context.Background(), "wg0"); err != nil {
			t.Fatal(err)
		}
		w.watchSwitch(t, verb)
		if verb == "up" {
			w.one(t, tunnel)
		}
		if _, stands := w.Closed["wg0"]; !stands {
			t.Errorf("%s: the kill switch is gone", verb)
		}
		if err := w.session().Down(t.Context(), tunnel); err != nil {
			t.Errorf("Down: %v", err)
		}
		w.nothingLeft(t)
	}
}

// An up without the key, after a sudden end, removes it: the file says so. One
// that the command line asked for stays.
func TestKillSwitchEditedOut(t *testing.T) {
	without := mustParse(t, "wg0", file(everything, both))
	for _, asked := range []bool{false, true} {
		tunnel := locked(t)
		if asked {
			tunnel = mustParse(t, "wg0", file(everything, both))
			if err := tunnel.AskKillSwitch(quick.KillSwitchLAN); err != nil {
				t.Fatal(err)
			}
		}
		w := newWorld()
		w.cut(t, "echo up wg0", false, func() error { return w.session().Up(t.Context(), tunnel) })
		w.one(t, without)
		if k, stands := w.Closed["wg0"]; stands != asked || k.LAN != asked {
			t.Errorf("asked for: %t, the kill switch is %+v", asked, k)
		}
		// So does a reload.
		if err := w.session().Reload(t.Context(), without); err != nil {
			t.Error(err)
		}
		if k, stands := w.Closed["wg0"]; stands != asked || k.LAN != asked {
			t.Errorf("asked for: %t, after a reload the kill switch is %+v", asked, k)
		}
		if err := w.session().Down(t.Context(), without); err != nil {
			t.Error(err)
		}
		w.nothingLeft(t)
	}
}

// A reload switches it on, over, and off, all or nothing.
func TestKillSwitchReload(t *testing.T) {
	for _, allowed := range []string{both, "10.50.0.0/16"} {
		var versions []*quick.Tunnel
		for _, own := range []string{"", "KillSwitch = true", "KillSwitch = lan"} {
			versions = append(versions, mustParse(t, "wg0", file(own, allowed)))
		}
		lines := []string{switchOff, switchOn, switchLAN}
		for i, from := range versions {
			for j, to := range versions {
				w := newWorld()
				w.one(t, from)
				w.Lines = nil
				if err := w.session().Reload(t.Context(), to); err != nil {
					t.Error(err)
				}
				if slices.Contains(w.Lines, lines[j]) != (i != j) {
					t.Errorf("%s: from %d to %d it did\n%s", allowed, i, j, strings.Join(w.Lines, "\n"))
				}
				r := w.records["wg0"]
				if on := j > 0; on != (r.KillSwitch != nil) || on && r.KillSwitch.LAN != (j == 2) || on != (len(w.Closed) == 1) {
					t.Errorf("%s: from %d to %d: the record has %+v, there is %+v", allowed, i, j, r.KillSwitch, w.Closed)
				}
				if err := w.session().Down(t.Context(), to); err != nil {
					t.Error(err)
				}
				w.nothingLeft(t)
			}
		}
		for i, from := range versions {
			w := newWorld()
			w.one(t, from)
			before := w.Closed["wg0"]
			to := mustParse(t, "wg0", file([]string{"KillSwitch = lan", "KillSwitch = lan", ""}[i]+"\nDNS = 10.7.0.1", allowed))
			w.Fail = map[string]error{"resolvconf -a tun.wg0 -m 0 -x": syscall.EIO, switchOff: nil}
			if err := w.session().Reload(t.Context(), to); !errors.Is(err, syscall.EIO) {
				t.Errorf("Reload: %v, want EIO", err)
			}
			if after := w.Closed["wg0"]; !after.Equal(before) {
				t.Errorf("a failed reload made %+v of %+v", after, before)
			}
		}
	}
}

// A reload repairs what others took away.
func TestKillSwitchReloadRepairs(t *testing.T) {
	w := newWorld()
	w.one(t, locked(t))
	if err := w.DelKillSwitch(t.Context(), "wg0"); err != nil {
		t.Fatal(err)
	}
	if err := w.session().Reload(t.Context(), locked(t)); err != nil {
		t.Fatal(err)
	}
	if _, stands := w.Closed["wg0"]; !stands {
		t.Error("there is no kill switch after the reload")
	}
}

// book is a resolver that knows names as long as it is open.
type book struct {
	numbers
	open  bool
	asked int
}

var errBlocked = errors.New("blocked")

func (b *book) Endpoint(s string) (netip.AddrPort, error) {
	if e, err := netip.ParseAddrPort(s); err == nil {
		return e, nil
	}
	b.asked++
	if !b.open {
		return netip.AddrPort{}, errBlocked
	}
	return netip.MustParseAddrPort("192.0.2.9:51820"), nil
}

// named is a tunnel whose peer has a name.
func named(t *testing.T, name string) *quick.Tunnel {
	t.Helper()
	text := file("PreUp = true\nKillSwitch = true", both+"\nEndpoint = "+name+":51820")
	c, err := config.Decode("wg0.conf", []byte(text), config.Options{Dialect: config.Quick, Program: "wg-quick", Resolver: numbers{}, Later: true})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := quick.NewTunnel("wg0", "wg0.conf", c, tables)
	if err != nil {
		t.Fatal(err)
	}
	return tunnel
}

// Names are looked up before the kill switch stands, and after a sudden end are
// taken from the record. One that isn't there is an error that says what blocks.
func TestKillSwitchNames(t *testing.T) {
	b := &book{open: true}
	w := newWorld()
	session := func() *quick.Session {
		s := w.session()
		s.Names = b
		return s
	}
	w.Before = func(string) { b.open = false } // from the first change on
	w.cut(t, "wg addconf wg0 /dev/fd/63", true, func() error { return session().Up(t.Context(), named(t, "vpn.example")) })
	if b.asked != 1 {
		t.Errorf("the name was asked for %d times, want once", b.asked)
	}
	w.Configured = nil
	if err := session().Up(t.Context(), named(t, "vpn.example")); err != nil {
		t.Fatalf("a second Up: %v", err)
	}
	if got := w.Configured[0].Peers[0].Endpoint.String(); got != "192.0.2.9:51820" || b.asked != 1 {
		t.Errorf("the endpoint is %s, asked for %d times", got, b.asked)
	}

	w.watchSwitch(t, "an unknown name")
	w.DelLink(context.Background(), "wg0")
	err := session().Up(t.Context(), named(t, "other.example"))
	refusal, ok := errors.AsType[*quick.Refusal](err)
	if !ok || !strings.Contains(refusal.Text, "the kill switch of `wg0' blocks") || !strings.Contains(refusal.Hint, "`wg-quick unlock wg0'") {
		t.Errorf("an unknown name: %v, want what blocks it", err)
	}
	if _, stands := w.Closed["wg0"]; !stands {
		t.Error("the kill switch is gone")
	}
}

// unlock removes the kill switch alone.
func TestUnlock(t *testing.T) {
	tunnel := locked(t)
	for name, prepare := range map[string]func(w *world){
		"up":             func(w *world) { w.one(t, tunnel) },
		"without record": func(w *world) { w.one(t, tunnel); delete(w.records, "wg0") },
		"half up": func(w *world) {
			w.cut(t, "echo up wg0", false, func() error { return w.session().Up(t.Context(), tunnel) })
		},
		"all but gone": func(w *world) {
			w.one(t, tunnel)
			w.cut(t, "echo gone wg0", false, func() error { return w.session().Down(t.Context(), tunnel) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			prepare(w)
			before := w.Left()
			if err := w.session().Unlock(t.Context(), "wg0"); err != nil {
				t.Fatal(err)
			}
			before = slices.DeleteFunc(before, func(s string) bool { return s == "kill switch of wg0" })
			if left := w.Left(); !slices.Equal(left, before) {
				t.Errorf("left is %q, want %q", left, before)
			}
			if r := w.records["wg0"]; r != nil && r.KillSwitch != nil {
				t.Errorf("on record is %+v", r)
			}
			err := w.session().Unlock(t.Context(), "wg0")
			if _, ok := errors.AsType[*quick.Refusal](err); !ok {
				t.Errorf("a second time: %v, want a refusal", err)
			}
			if name == "all but gone" {
				w.nothingLeft(t)
				return
			}
			if err := w.session().Down(t.Context(), tunnel); err != nil {
				t.Errorf("Down: %v", err)
			}
			if name != "without record" { // src_valid_mark isn't known to be ours then
				w.nothingLeft(t)
			}
		})
	}
}

// Without a record, down finds it, be the link there or not.
func TestKillSwitchUnrecorded(t *testing.T) {
	tunnel := mustParse(t, "wg0", file("KillSwitch = true", "10.50.0.0/16"))
	for _, link := range []bool{true, false} {
		w := newWorld()
		w.readOnlyRun = true
		w.one(t, tunnel)
		if !link {
			if err := w.DelLink(t.Context(), "wg0"); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.session().Down(t.Context(), tunnel); err != nil {
			t.Errorf("with a link: %t: Down: %v", link, err)
		}
		w.nothingLeft(t)
	}
}

// What can't be reached is said.
func TestKillSwitchSays(t *testing.T) {
	for allowed, want := range map[string]string{
		"10.50.0.0/16": "of IPv4 and IPv6 out", "0.0.0.0/0": "of IPv6 out", "::/1, 8000::/1": "of IPv4 out", "0.0.0.0/0, ::/0": "",
	} {
		w := newWorld()
		w.one(t, mustParse(t, "wg0", file("KillSwitch = true", allowed)))
		text := strings.Join(w.screen, "\n")
		if has := strings.Contains(text, "[!] The kill switch lets nothing "+want); has == (want == "") {
			t.Errorf("AllowedIPs = %s: printed\n%s\nwant %q", allowed, text, want)
		}
	}
	w := newWorld()
	w.one(t, locked(t))
	w.one(t, mustParse(t, "wg1", file("", "10.60.0.0/16")))
	if want := "[!] The kill switch of `wg0' blocks `wg1', unless that gets one, too: KillSwitch = true."; !slices.Contains(w.screen, want) {
		t.Errorf("printed\n%s\nwant %s", strings.Join(w.screen, "\n"), want)
	}
}

// The gateway's keys: what is set, in its order, and put back.
func TestForward(t *testing.T) {
	for own, want := range map[string]string{
		"Forward = true": `[#] sysctl -q net.ipv4.ip_forward=1
[#] sysctl -q net.ipv6.conf.all.forwarding=1`,
		"Masquerade = auto": `[#] sysctl -q net.ipv4.ip_forward=1
[#] sysctl -q net.ipv6.conf.all.forwarding=1
[#] nft -f /dev/fd/63 # Masquerade = auto`,
		"Masquerade = eth0\nForward = false": `[#] nft -f /dev/fd/63 # Masquerade = eth0`,
		"Forward = true\nKillSwitch = true": `[#] sysctl -q net.ipv4.ip_forward=1
[#] sysctl -q net.ipv6.conf.all.forwarding=1`,
	} {
		w := newWorld()
		tunnel := mustParse(t, "wg0", file(own, "10.50.0.0/16"))
		w.one(t, tunnel)
		if text := strings.Join(w.screen, "\n"); !strings.HasSuffix(text, "dev wg0\n"+want) {
			t.Errorf("%q: printed\n%s\nwant at its end\n%s", own, text, want)
		}
		if err := w.session().Down(t.Context(), tunnel); err != nil {
			t.Error(err)
		}
		w.nothingLeft(t)
	}
}

// A link that has its default route from a router keeps it.
func TestForwardAdvertised(t *testing.T) {
	w := newWorld()
	w.advertised, w.dropping = []string{"eth0"}, []string{"chain FORWARD of table ip filter"}
	a, b := mustParse(t, "wg0", file("Forward = true", "10.50.0.0/16")), mustParse(t, "wg1", file("Forward = true", "10.60.0.0/16"))
	w.one(t, a)
	want := `[!] The packet filter drops what is forwarded unless a rule of its own lets it through: chain FORWARD of table ip filter. ` + "`wg0' needs one there." + `
[#] sysctl -q net/ipv6/conf/eth0/accept_ra=2
[#] sysctl -q net.ipv4.ip_forward=1
[#] sysctl -q net.ipv6.conf.all.forwarding=1`
	if text := strings.Join(w.screen, "\n"); !strings.HasSuffix(text, want) {
		t.Errorf("printed\n%s\nwant at its end\n%s", text, want)
	}
	// A second one needs the same, and the last one puts it back.
	w.one(t, b)
	w.Lines = nil
	if err := w.session().Down(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(w.Lines, func(l string) bool { return strings.HasPrefix(l, "sysctl") }) {
		t.Errorf("the first one's down did %q", w.Lines)
	}
	w.Lines = nil
	if err := w.session().Down(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if want := []string{"sysctl -q net.ipv6.conf.all.forwarding=0", "sysctl -q net.ipv4.ip_forward=0", "sysctl -q net/ipv6/conf/eth0/accept_ra=1"}; !slices.Equal(w.Lines[1:], want) {
		t.Errorf("the last one's down did %q, want %q", w.Lines[1:], want)
	}
	w.nothingLeft(t)
}

// What was set already is somebody else's, and stays.
func TestForwardBefore(t *testing.T) {
	w := newWorld()
	w.advertised = []string{"eth0"}
	for _, name := range []string{"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"} {
		w.Sysctls[name] = "1"
	}
	tunnel := mustParse(t, "wg0", file("Forward = true", "10.50.0.0/16"))
	w.one(t, tunnel)
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Error(err)
	}
	if text := strings.Join(w.screen, "\n"); strings.Contains(text, "sysctl") {
		t.Errorf("printed\n%s", text)
	}
}

// A reload takes the gateway's keys in and out, also where a link is gone.
func TestForwardReload(t *testing.T) {
	w := newWorld()
	w.advertised = []string{"eth0"}
	with, without := mustParse(t, "wg0", file("Masquerade = auto", both)), mustParse(t, "wg0", file("", both))
	w.one(t, without)
	before := w.Left()
	for range 2 {
		if err := w.session().Reload(t.Context(), with); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Contains(w.Left(), "masquerade for wg0") || w.Sysctls["net.ipv4.ip_forward"] != "1" || w.Sysctls["net/ipv6/conf/eth0/accept_ra"] != "2" {
		t.Errorf("there is %q, %q", w.Left(), w.Sysctls)
	}
	delete(w.Sysctls, "net/ipv6/conf/eth0/accept_ra")
	if err := w.session().Reload(t.Context(), without); err != nil {
		t.Fatal(err)
	}
	if after := w.Left(); !slices.Equal(after, before) || len(w.records["wg0"].Sysctls) != 1 || w.Sysctls["net.ipv4.ip_forward"] != "0" {
		t.Errorf("there is %q, want %q; on record is %+v", after, before, w.records["wg0"].Sysctls)
	}
}

// Values of these keys that mean nothing.
func TestGateValues(t *testing.T) {
	for own, at := range map[string]string{
		"KillSwitch = yes":                      "wg0.conf:4:14: KillSwitch: ",
		"Masquerade = eth0, eth1":               "wg0.conf:4:14: Masquerade: ",
		"Masquerade = a-name-that-is-too-long":  "wg0.conf:4:14: Masquerade: ",
		"Forward = 1":                           "wg0.conf:4:11: Forward: ",
		"KillSwitch = true\nMasquerade = eth0":  "wg0.conf:5:14: Masquerade: KillSwitch lets nothing out",
		"KillSwitch = true\nMasquerade = auto":  "wg0.conf:5:14: Masquerade: KillSwitch lets nothing out",
		"KillSwitch = maybe\nMasquerade = wg0 ": "wg0.conf:4:14: KillSwitch: ",
	} {
		_, err := parse("wg0", file(own, both))
		var p problem
		if !errors.As(err, &p) || len(p.Original()) > 0 {
			t.Fatalf("%q: %v, want a problem without lines of the original", own, err)
		}
		if got := p.Advice(); len(got) != 2 || !strings.HasPrefix(got[0], at) || !strings.HasPrefix(got[1], "hint: ") {
			t.Errorf("%q: advice %q, want one at %q and a hint", own, got, at)
		}
	}
	for own, want := range map[string]quick.KillSwitch{
		"": quick.KillSwitchOff, "KillSwitch = False": quick.KillSwitchOff, "KillSwitch = TRUE": quick.KillSwitchOn, "killswitch=LAN": quick.KillSwitchLAN,
		"KillSwitch = true\nMasquerade = wg0": quick.KillSwitchOn,
	} {
		if tunnel := mustParse(t, "wg0", file(own, both)); tunnel.KillSwitch != want {
			t.Errorf("%q: %v, want %v", own, tunnel.KillSwitch, want)
		}
	}
}
