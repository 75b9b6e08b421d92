// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"errors"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/machine"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

var now = time.Date(2026, time.December, 1, 12, 0, 0, 0, time.UTC)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func ago(d time.Duration) device.Time { return device.Time{Sec: now.Add(-d).Unix()} }

// main is a way by the main table.
func mainWay(to, dst, dev string) *routing.Way {
	return &routing.Way{
		To: netip.MustParseAddr(to), Rule: routing.Rule{Priority: 32766, Table: plan.MainTable, Text: "32766: from all lookup main"}, Table: plan.MainTable,
		Route: netip.MustParsePrefix(dst), Kind: "unicast", Dev: dev, MTU: 1500,
	}
}

// healthy returns facts with nothing wrong: a tunnel with one peer.
func healthy() *Facts {
	private, public := keys.Key{1}, keys.Key{2}
	return &Facts{
		Now: now, Kernel: "6.12.0", HasWireGuard: true, SrcValidMark: true, Synchronised: true, Resolver: plan.ResolvFile, Firewall: plan.NFT,
		RPFilter: map[string]int{"all": 0, "wg0": 0, "eth0": 2}, Kinds: map[string]string{"wg0": "wireguard", "eth0": "device", "docker0": "bridge", "tun7": "tun"},
		Policy: &routing.Policy{},
		Tunnels: []Tunnel{{
			Dev: "wg0", Arg: "wg0", Exists: true, Up: true, MTU: 1420, Addresses: prefixes("10.7.0.2/24"),
			Device: device.Device{Name: "wg0", ListenPort: 51820, PrivateKey: device.Some(private), PublicKey: device.Some(private.Public())},
			Peers: []device.Peer{{
				PublicKey: public, Endpoint: netip.MustParseAddrPort("203.0.113.7:51820"), AllowedIPs: prefixes("10.50.0.0/16"),
				LatestHandshake: ago(10 * time.Second), ReceivedBytes: 1, SentBytes: 1,
			}},
			Routes:  []routing.Route{{Table: plan.MainTable, Dst: prefixes("10.50.0.0/16")[0], Dev: "wg0"}, {Table: plan.MainTable, Dst: prefixes("10.7.0.0/24")[0], Dev: "wg0"}},
			Answers: []Answer{{Question{Allowed: prefixes("10.50.0.0/16")[0], Address: netip.MustParseAddr("10.50.0.1")}, mainWay("10.50.0.1", "10.50.0.0/16", "wg0")}},
			Outer:   []Outer{{Peer: 0, Way: mainWay("203.0.113.7", "0.0.0.0/0", "eth0")}},
			Echo:    &Echo{To: netip.MustParseAddr("10.50.0.1"), Peer: 0, Answered: true, Asked: 1420, Largest: 1420},
		}},
	}
}

// advised is an error that says what to do.
type advised struct{ error }

func (advised) Advice() []string { return []string{"hint: do it"} }

// full makes the tunnel a full one.
func full(t *Tunnel) {
	t.Peers[0].AllowedIPs = prefixes("0.0.0.0/0")
	t.Device.Fwmark = 51820
	w := mainWay("1.1.1.1", "0.0.0.0/0", "wg0")
	w.Table, w.Rule = 51820, routing.Rule{Priority: 32765, Not: true, Mark: 51820, Mask: ^uint32(0), Table: 51820}
	t.Answers = []Answer{{Question{Allowed: prefixes("0.0.0.0/0")[0], Address: w.To}, w}}
	t.Outer[0].Way.Mark = 51820
}

func TestExamine(t *testing.T) {
	answer := func(t *Tunnel, network string, w *routing.Way) {
		q := Question{Allowed: prefixes("10.50.0.0/16")[0], Address: w.To}
		if network != "" {
			q.Network = prefixes(network)[0]
		}
		t.Answers = append(t.Answers, Answer{q, w})
	}
	noWay := &routing.Way{To: netip.MustParseAddr("203.0.113.7"), Refusal: "network is unreachable"}
	tests := []struct {
		name   string
		change func(f *Facts, t *Tunnel)
		want   string // codes of what isn't well
	}{
		{"all is well", func(*Facts, *Tunnel) {}, ""},
		{"a full tunnel", func(_ *Facts, t *Tunnel) { full(t) }, ""},
		{"not up", func(_ *Facts, t *Tunnel) { t.Exists, t.Up, t.Echo, t.Answers, t.Routes = false, false, nil, nil, nil }, ""},

		{"no module, none seen", func(f *Facts, _ *Tunnel) { f.HasWireGuard, f.Module = false, machine.ModuleUnseen }, "!module-absent"},
		{"no module, but there", func(f *Facts, _ *Tunnel) { f.HasWireGuard, f.Module = false, machine.ModuleThere }, "!module-absent"},
		{"no module at all", func(f *Facts, _ *Tunnel) { f.HasWireGuard, f.Module = false, machine.ModuleAbsent }, "!module-absent"},
		{"nor TUN", func(f *Facts, _ *Tunnel) { f.HasWireGuard, f.TUN = false, advised{syscall.ENOENT} }, "!module-absent !!tun-unusable"},
		{"no TUN, but the kernel's", func(f *Facts, _ *Tunnel) { f.TUN = advised{syscall.ENOENT} }, ""},
		{"no capability", func(f *Facts, _ *Tunnel) { f.Permission = syscall.EPERM }, "!!no-net-admin"},
		{"read-only sysctl", func(f *Facts, _ *Tunnel) { f.SysctlReadOnly, f.SrcValidMark = syscall.EROFS, false }, "!sysctl-read-only"},
		{"read-only sysctl, full", func(f *Facts, t *Tunnel) { f.SysctlReadOnly, f.SrcValidMark = syscall.EROFS, false; full(t) }, "!!sysctl-read-only"},
		{"read-only sysctl, set from outside", func(f *Facts, t *Tunnel) { f.SysctlReadOnly = syscall.EROFS; full(t) }, ""},
		{"resolver", func(f *Facts, _ *Tunnel) { f.ResolverErr = advised{errors.New("x")} }, "!resolver-broken"},
		{"resolver, wanted", func(f *Facts, t *Tunnel) { f.ResolverErr, t.DNS = advised{errors.New("x")}, true }, "!!resolver-broken"},
		{"firewall", func(f *Facts, _ *Tunnel) { f.FirewallErr = advised{errors.New("x")} }, "!firewall-absent"},
		{"firewall, full", func(f *Facts, t *Tunnel) { f.FirewallErr = advised{errors.New("x")}; full(t) }, "!!firewall-absent"},
		{"early", func(f *Facts, t *Tunnel) { f.Now = time.Unix(0, 0) }, "!!clock-early"},
		{"back", func(f *Facts, t *Tunnel) { t.Peers[0].LatestHandshake = ago(-time.Minute) }, "!!clock-back"},
		{"a little back", func(f *Facts, t *Tunnel) { t.Peers[0].LatestHandshake = ago(-time.Second) }, ""},
		{"unsynchronised", func(f *Facts, t *Tunnel) { f.Synchronised = false }, ""},
		{"unsynchronised, unanswered", func(f *Facts, t *Tunnel) {
			f.Synchronised = false
			t.Peers[0].LatestHandshake, t.Peers[0].ReceivedBytes, t.Echo = device.Time{}, 0, nil
		}, "!clock-unsynchronised !!handshake-unanswered"},
		{"a kill switch alone", func(f *Facts, t *Tunnel) { f.KillSwitches = []string{"wg7"} }, "!!kill-switch-alone !!kill-switch-other"},
		{"another's kill switch", func(f *Facts, t *Tunnel) { f.KillSwitches, f.Kinds["wg7"] = []string{"wg7"}, "wireguard" }, "!!kill-switch-other"},
		{"its own kill switch", func(f *Facts, t *Tunnel) { f.KillSwitches, f.Kinds[t.Dev] = []string{t.Dev}, "wireguard" }, ""},
		{"left over", func(f *Facts, t *Tunnel) { f.Interrupted = []string{"wg7"} }, "!!left-over"},

		{"bad file", func(_ *Facts, t *Tunnel) { t.FileError = "x" }, "!!file-bad"},
		{"link down", func(_ *Facts, t *Tunnel) { t.Up = false }, "!!link-down"},
		{"port free", func(f *Facts, t *Tunnel) { t.Exists, t.Up = false, false; f.Sockets = []machine.Socket{{Port: 1}} }, ""},
		{"port taken", func(f *Facts, t *Tunnel) {
			t.Exists, t.Up = false, false
			f.Sockets = []machine.Socket{{Port: 51820, Process: "dnsmasq", PID: 7}}
		}, "!!port-taken"},
		{"port taken by the kernel", func(f *Facts, t *Tunnel) {
			t.Exists, t.Up = false, false
			f.Sockets = []machine.Socket{{Port: 51820}}
		}, "!!port-taken"},
		{"port of another tunnel", func(f *Facts, t *Tunnel) {
			t.Exists, t.Up = false, false
			f.Ports = map[string]uint16{"wg1": 51820}
		}, "!!port-taken"},
		{"own port", func(f *Facts, t *Tunnel) {
			f.Ports = map[string]uint16{"wg0": 51820}
			f.Sockets = []machine.Socket{{Port: 51820}}
		}, ""},

		{"name", func(_ *Facts, t *Tunnel) { t.Unresolved = []Unresolved{{"vpn.example:51820", "no such host"}} }, "!!endpoint-name"},
		{"no route", func(_ *Facts, t *Tunnel) { t.Outer[0].Way = noWay }, "!!endpoint-no-route"},
		{"loop", func(_ *Facts, t *Tunnel) { t.Outer[0].Way.Dev, t.Outer[0].Way.MTU = "wg0", 1420 }, "!!endpoint-loop"},
		{"loop, full", func(_ *Facts, t *Tunnel) { full(t); t.Outer[0].Way.Dev = "wg0" }, "!!endpoint-loop"},
		{"refused", func(_ *Facts, t *Tunnel) { t.Outer[0].Refusal = syscall.ECONNREFUSED }, "!!endpoint-refused"},
		{"unreachable", func(_ *Facts, t *Tunnel) { t.Outer[0].Refusal = syscall.EHOSTUNREACH }, "!!endpoint-unreachable"},
		{"forbidden", func(_ *Facts, t *Tunnel) { t.Outer[0].Refusal = syscall.EPERM }, "!!endpoint-forbidden"},
		{"refused, so unanswered", func(_ *Facts, t *Tunnel) {
			t.Outer[0].Refusal = syscall.ECONNREFUSED
			t.Peers[0].LatestHandshake, t.Peers[0].ReceivedBytes, t.Echo.Answered = device.Time{}, 0, false
		}, "!!endpoint-refused"},

		{"no key", func(_ *Facts, t *Tunnel) { t.Device.PrivateKey = device.Optional[keys.Key]{} }, "!!handshake-no-key"},
		{"zero key", func(_ *Facts, t *Tunnel) { t.Device.PrivateKey.Value = keys.Key{} }, "!!handshake-no-key"},
		{"self", func(_ *Facts, t *Tunnel) { t.Self = keys.Key{9} }, "!!handshake-self"},
		{"unanswered", func(_ *Facts, t *Tunnel) {
			t.Peers[0].LatestHandshake, t.Peers[0].ReceivedBytes, t.Echo.Answered = device.Time{}, 0, false
		}, "!!handshake-unanswered"},
		{"unfinished", func(_ *Facts, t *Tunnel) { t.Peers[0].LatestHandshake, t.Echo.Answered = device.Time{}, false }, "!!handshake-unfinished"},
		{"untried", func(_ *Facts, t *Tunnel) {
			t.Peers[0].LatestHandshake, t.Peers[0].ReceivedBytes, t.Peers[0].SentBytes, t.Echo = device.Time{}, 0, 0, nil
		}, ""},
		{"waits to be called", func(_ *Facts, t *Tunnel) {
			t.Peers[0] = device.Peer{PublicKey: keys.Key{2}, AllowedIPs: prefixes("10.50.0.0/16")}
			t.Outer, t.Echo = nil, nil
		}, ""},
		{"idle", func(_ *Facts, t *Tunnel) { t.Peers[0].LatestHandshake, t.Echo = ago(time.Hour), nil }, ""},
		{"old, with keepalive", func(_ *Facts, t *Tunnel) {
			t.Peers[0].LatestHandshake, t.Peers[0].PersistentKeepalive, t.Echo = ago(time.Hour), 25, nil
		}, "!!handshake-old"},
		{"old, and pinged", func(_ *Facts, t *Tunnel) { t.Peers[0].LatestHandshake, t.Echo.Answered = ago(time.Hour), false }, "!!handshake-old"},
		{"many unanswered", func(_ *Facts, t *Tunnel) {
			for i := range 10 {
				t.Peers = append(t.Peers, device.Peer{PublicKey: keys.Key{3, byte(i)}, Endpoint: t.Peers[0].Endpoint, AllowedIPs: prefixes("10.51.0.0/32"), SentBytes: 1})
			}
		}, strings.TrimSpace(strings.Repeat("!!handshake-unanswered ", most))},

		{"no allowed IPs", func(_ *Facts, t *Tunnel) {
			t.Peers = append(t.Peers, device.Peer{PublicKey: keys.Key{3}})
		}, "!allowed-ips-none"},
		{"a route is missing", func(_ *Facts, t *Tunnel) { t.Answers[0].Way = mainWay("10.50.0.1", "0.0.0.0/0", "eth0") }, "!!route-missing"},
		{"no route at all", func(_ *Facts, t *Tunnel) { t.Answers[0].Way = noWay }, "!!route-missing"},
		{"a route is missing, by hand", func(_ *Facts, t *Tunnel) {
			t.ByHand = true
			t.Answers[0].Way = mainWay("10.50.0.1", "0.0.0.0/0", "eth0")
		}, "!route-missing"},
		{"no routes wanted", func(_ *Facts, t *Tunnel) {
			t.Table, _ = routing.ParseTable("off", nil)
			t.Answers[0].Way = mainWay("10.50.0.1", "0.0.0.0/0", "eth0")
		}, ""},
		{"an unclaimed route", func(_ *Facts, t *Tunnel) {
			t.Routes = append(t.Routes, routing.Route{Dst: prefixes("10.99.0.0/16")[0], Dev: "wg0"}, routing.Route{Dst: prefixes("10.50.1.0/24")[0], Dev: "wg0"}, routing.Route{Dst: prefixes("fe80::/64")[0], Dev: "wg0"})
		}, "!route-unclaimed"},
		{"refused sources", func(_ *Facts, t *Tunnel) { t.RefusedSources = 7 }, "!source-refused"},
		{"one way", func(_ *Facts, t *Tunnel) { t.Echo.Answered = false }, "!one-way"},
		{"pinged nobody's address", func(_ *Facts, t *Tunnel) { t.Echo.Answered, t.Echo.Peer = false, -1 }, ""},

		{"a mark of Tailscale's", func(f *Facts, t *Tunnel) {
			full(t)
			t.Device.Fwmark = 0x80001
			f.Rules = []routing.Rule{{Priority: 5210, Mark: 0x80000, Mask: 0xff0000, Table: plan.MainTable}, {Priority: 5250, Mark: 0x80000, Mask: 0xff0000}}
		}, "!!clash-mark"},
		{"Tailscale, another mark", func(f *Facts, t *Tunnel) {
			full(t)
			f.Rules = []routing.Rule{{Priority: 5250, Mark: 0x80000, Mask: 0xff0000}, {Priority: 32765, Not: true, Mark: 51820, Mask: ^uint32(0), Table: 51820},
				{Priority: 32763, Not: true, Mark: 51821, Mask: ^uint32(0), Table: 51821}, {Priority: 9, Mark: 51820, Mask: ^uint32(0), Table: plan.MainTable}}
		}, ""},
		{"the mark that up would take", func(f *Facts, t *Tunnel) {
			full(t)
			t.Device.Fwmark, t.Exists, t.Up, t.Answers = 0, false, false, nil
			f.Rules = []routing.Rule{{Priority: 9, Mark: 0xca00, Mask: 0xff00, Table: 7}}
		}, "!!clash-mark"},
		{"a default route in the table", func(f *Facts, t *Tunnel) {
			full(t)
			f.Policy.Rules = []plan.Rule{{Not: true, Mark: 51820, Table: 51820, Priority: 32765}}
			f.Policy.Defaults = []routing.Default{{Table: 51820, Dev: "wg0"}, {Table: 51820, Dev: "eth0"}, {V6: true, Table: 51820, Dev: "eth0"}}
		}, "!!clash-table"},
		{"nested", func(_ *Facts, t *Tunnel) { t.Outer[0].Way.Dev = "tun7" }, "!clash-nested"},
		{"another full tunnel", func(_ *Facts, t *Tunnel) {
			full(t)
			w := t.Answers[0].Way
			w.Dev, w.Table, w.Rule.Table, w.Rule.Mark = "tun7", 51821, 51821, 51821
		}, "!clash-full-tunnel"},
		{"an exit node", func(_ *Facts, t *Tunnel) {
			full(t)
			w := t.Answers[0].Way
			w.Dev, w.Table, w.Rule = "tailscale0", 52, routing.Rule{Priority: 5270, Table: 52}
		}, "!!clash-rule"},
		{"a refusing rule", func(_ *Facts, t *Tunnel) {
			t.Answers[0].Way = &routing.Way{To: t.Answers[0].Address, Rule: routing.Rule{Priority: 9}, Kind: "prohibit", Refusal: "permission denied"}
		}, "!!clash-rule"},
		{"a narrower route of another's", func(_ *Facts, t *Tunnel) { t.Answers[0].Way = mainWay("10.50.0.1", "10.50.0.0/24", "eth0") }, "!!clash-rule"},
		{"Docker's network", func(_ *Facts, t *Tunnel) { answer(t, "10.50.3.0/24", mainWay("10.50.3.2", "10.50.3.0/24", "docker0")) }, "!clash-network"},
		{"the same network", func(_ *Facts, t *Tunnel) {
			t.Exists, t.Up, t.Answers = false, false, nil
			answer(t, "10.50.0.0/16", mainWay("10.50.0.2", "10.50.0.0/16", "docker0"))
		}, "!!clash-network"},
		{"a network that loses", func(_ *Facts, t *Tunnel) { answer(t, "10.50.3.0/24", mainWay("10.50.3.2", "10.50.0.0/16", "wg0")) }, ""},

		{"reverse path", func(f *Facts, t *Tunnel) { full(t); f.SrcValidMark, f.RPFilter["eth0"] = false, 1 }, "!!reverse-path"},
		{"reverse path, by all", func(f *Facts, t *Tunnel) {
			full(t)
			f.SrcValidMark, f.RPFilter["all"], f.RPFilter["eth0"] = false, 1, 0
		}, "!!reverse-path"},
		{"reverse path that looks at marks", func(f *Facts, t *Tunnel) { full(t); f.RPFilter["eth0"] = 1 }, ""},
		{"loose reverse path", func(f *Facts, t *Tunnel) { full(t); f.SrcValidMark, f.RPFilter["all"], f.RPFilter["wg0"] = false, 1, 2 }, ""},
		{"reverse path, not full", func(f *Facts, t *Tunnel) { f.SrcValidMark, f.RPFilter["eth0"] = false, 1 }, ""},
		{"reverse path inside", func(f *Facts, t *Tunnel) {
			t.Table, _ = routing.ParseTable("off", nil)
			f.RPFilter["wg0"] = 1
			t.Answers[0].Way = mainWay("10.50.0.1", "0.0.0.0/0", "eth0")
		}, "!!reverse-path-inside"},
		{"reverse path inside, with a route", func(f *Facts, t *Tunnel) { f.RPFilter["wg0"] = 1 }, ""},

		{"black hole", func(_ *Facts, t *Tunnel) { t.Echo.Largest = 1300 }, "!!mtu-black-hole"},
		{"fragments", func(_ *Facts, t *Tunnel) { t.Outer[0].Way.MTU, t.Echo = 1479, nil }, "!mtu-fragments"},
		{"no fragments", func(_ *Facts, t *Tunnel) { t.Outer[0].Way.MTU, t.Echo = 1480, nil }, ""},
		{"no IPv6", func(_ *Facts, t *Tunnel) {
			t.MTU, t.Echo, t.Peers[0].AllowedIPs = 1279, nil, prefixes("10.50.0.0/16", "fd50::/32")
		}, "!!mtu-below-ipv6"},
		{"small without IPv6", func(_ *Facts, t *Tunnel) { t.MTU, t.Echo = 1279, nil }, ""},
		{"unread", func(f *Facts, _ *Tunnel) { f.Unread = []string{"x"} }, "??"},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := healthy()
			tt.change(f, &f.Tunnels[0])
			var got []string
			list := Examine(f)
			for _, found := range list {
				mark := map[Severity]string{Warning: "!", Problem: "!!", Unknown: "??"}[found.Severity]
				if found.Severity != OK {
					got = append(got, mark+found.Code)
				}
				seen[found.Code] = true
				if found.What == "" || found.Check == "" || (found.Code == "") != (found.Severity == OK || found.Severity == Unknown) || found.Code != "" && len(found.Mend) == 0 {
					t.Errorf("not whole: %+v", found)
				}
				c := slices.IndexFunc(Checks, func(c Check) bool { return c.Name == found.Check })
				if found.Code != "" && !slices.Contains(Checks[c].Codes, found.Code) {
					t.Errorf("the check %s doesn't own up to %s", found.Check, found.Code)
				}
				if strings.Contains(found.What+found.Why+strings.Join(found.Mend, ""), (keys.Key{1}).Base64()) {
					t.Errorf("the private key is in %+v", found)
				}
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("found %q, want %q", text, tt.want)
			}
			for _, c := range Checks {
				if !slices.ContainsFunc(list, func(f Finding) bool { return f.Check == c.Name }) {
					t.Errorf("the check %s says nothing", c.Name)
				}
			}
		})
	}
	for _, c := range Checks {
		for _, code := range c.Codes {
			if !seen[code] {
				t.Errorf("nothing here brings about %s", code)
			}
		}
	}
}

// What is said about many peers is cut, and says so.
func TestLimited(t *testing.T) {
	list := make([]Finding, most+3)
	for i := range list {
		list[i] = Finding{Code: "a", What: "x"}
	}
	got := limited(append(list, Finding{Code: "b", What: "y"}, Finding{What: "well"}))
	if len(got) != most+2 || got[most-1].What != "x; and 3 more such" || got[0].What != "x" || got[most].What != "y" {
		t.Errorf("%+v", got)
	}
}

// Every check and code has its row in docs/doctor.md, and no other has.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, c := range Checks {
		want = append(want, "check "+c.Name+": "+c.Asks)
		for _, code := range c.Codes {
			want = append(want, c.Name+" "+code)
		}
	}
	check := ""
	for _, m := range regexp.MustCompile("(?m)^(?:## `([a-z-]+)`: (.*)|\\| `([a-z0-9-]+)` \\|.*)$").FindAllStringSubmatch(string(text), -1) {
		if m[1] != "" {
			check = m[1]
			got = append(got, "check "+check+": "+m[2])
		} else {
			got = append(got, check+" "+m[3])
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/doctor.md has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestQuestions(t *testing.T) {
	tunnel := Tunnel{Dev: "wg0", Up: true, Addresses: prefixes("10.7.0.1/24", "fd07::1/64"), Peers: []device.Peer{
		{AllowedIPs: prefixes("10.7.0.0/24", "0.0.0.0/0", "10.9.9.9/32")}, {AllowedIPs: prefixes("fd07::/64", "::/0", "10.7.0.0/24", "fe80::/64")},
	}}
	route := func(dst, dev string) routing.Route { return routing.Route{Dst: prefixes(dst)[0], Dev: dev} }
	var got []string
	for _, q := range tunnel.Questions([]routing.Route{
		route("10.7.0.128/25", "docker0"), route("10.7.0.0/24", "wg0"), route("10.0.0.0/8", "eth0"), route("10.7.0.0/16", "eth0"), route("192.0.2.0/24", "eth0"), route("fe80::/64", "eth0"), route("fd07::/96", "eth0"),
	}) {
		text := q.Allowed.String() + " " + q.Address.String()
		if q.Network.IsValid() {
			text += " in " + q.Network.String()
		}
		got = append(got, text)
	}
	want := []string{
		"10.7.0.0/24 10.7.0.2", "0.0.0.0/0 1.1.1.1", "10.9.9.9/32 10.9.9.9", "fd07::/64 fd07::2", "::/0 2606:4700:4700::1111", "fe80::/64 fe80::1",
		"10.7.0.0/24 10.7.0.129 in 10.7.0.128/25", "fd07::/64 fd07::2 in fd07::/96",
	}
	if !slices.Equal(got, want) {
		t.Errorf("questions:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	tunnel.Up = false
	if got := tunnel.Questions(nil); len(got) != 0 {
		t.Errorf("of a tunnel that isn't up: %v", got)
	}
}

// Hosts are asked before networks, and never the tunnel itself.
func TestCandidates(t *testing.T) {
	tunnel := Tunnel{Addresses: prefixes("10.7.0.2/24"), Peers: []device.Peer{
		{AllowedIPs: prefixes("0.0.0.0/0", "10.50.0.0/16", "10.9.9.9/32")}, {AllowedIPs: prefixes("10.7.0.0/24", "10.60.0.0/16", "10.61.0.0/16")},
	}}
	var got []string
	for _, a := range tunnel.Candidates() {
		got = append(got, a.String())
	}
	if want := "10.9.9.9 10.7.0.1 10.50.0.1"; strings.Join(got, " ") != want {
		t.Errorf("candidates %q, want %s", got, want)
	}
	for address, want := range map[string]int{"10.7.0.9": 1, "10.50.1.1": 0, "192.0.2.1": 0, "fd00::1": -1} {
		if got := tunnel.Claims(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s is claimed by %d, want %d", address, got, want)
		}
	}
}

// A command can be pasted into a shell.
func TestCommand(t *testing.T) {
	for arg, want := range map[string]string{"wg0": "wg-quick down wg0", "/etc/x/wg0.conf": "wg-quick down /etc/x/wg0.conf", "/my dir/it's/wg0.conf": `wg-quick down '/my dir/it'\''s/wg0.conf'`} {
		if got := (&Tunnel{Arg: arg}).command("down"); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
