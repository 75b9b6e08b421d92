// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"errors"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// closeGate sets kill switches.
func closeGate(t *testing.T, f *Firewall, list ...plan.KillSwitch) {
	t.Helper()
	for _, k := range list {
		if err := f.SetKillSwitch(t.Context(), k); err != nil {
			t.Fatalf("SetKillSwitch(%+v): %v", k, err)
		}
	}
}

// What is set is what nft makes of this text, and is found again as it is.
func TestKillSwitch(t *testing.T) {
	need(t, "nft")
	const basics = `
		oifname "lo" accept
		meta nfproto ipv4 udp sport 68 udp dport 67 accept
		meta nfproto ipv6 udp sport 546 udp dport 547 accept
		icmpv6 type nd-router-solicit accept
		icmpv6 type nd-neighbor-solicit accept
		icmpv6 type nd-neighbor-advert accept
		icmpv6 type mld-listener-report accept
		icmpv6 type mld-listener-done accept
		icmpv6 type mld2-listener-report accept`
	const lan = `
		udp dport 53 return
		udp dport 853 return
		tcp dport 53 return
		tcp dport 853 return
		ip daddr 10.0.0.0/8 accept
		ip daddr 172.16.0.0/12 accept
		ip daddr 192.168.0.0/16 accept
		ip daddr 169.254.0.0/16 accept
		ip daddr 224.0.0.0/24 accept
		ip daddr 239.255.0.0/16 accept
		ip daddr 255.255.255.255 accept
		ip6 daddr fe80::/10 accept
		ip6 daddr fc00::/7 accept
		ip6 daddr ff02::/16 accept
		ip6 daddr ff05::/16 accept`
	chain := func(dev, mark, more string) string {
		return "chain for-" + dev + " {\noifname \"" + dev + "\" accept\niifname \"" + dev + "\" ct state established,related accept\n" +
			"meta mark " + mark + " meta l4proto udp accept" + more + "\n}\n"
	}
	hook := func(name, rules string, devs ...string) string {
		text := "chain " + name + " {\ntype filter hook " + name + " priority filter; policy drop;" + rules + "\n"
		for _, dev := range devs {
			text += "jump for-" + dev + "\n"
		}
		return text + "reject with icmpx admin-prohibited\n}\n"
	}
	tests := map[string]struct {
		set  []plan.KillSwitch
		want string
	}{
		"one": {[]plan.KillSwitch{{Dev: "wg0", Mark: 51820}}, chain("wg0", "0x0000ca6c", "") + hook("output", basics, "wg0") + hook("forward", "", "wg0")},
		"lan": {[]plan.KillSwitch{{Dev: "wg0", Mark: 1, LAN: true}}, chain("wg0", "0x00000001", lan) + hook("output", basics, "wg0") + hook("forward", "", "wg0")},
		"lan, inner": {[]plan.KillSwitch{{Dev: "wg0", Mark: 1, LAN: true, Inner: []netip.Prefix{netip.MustParsePrefix("10.7.0.0/24"), netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("fd07::/64")}}},
			chain("wg0", "0x00000001", strings.Replace(lan, "		ip daddr 10.0", "		ip daddr 10.7.0.0/24 return\n		ip daddr 10.8.0.1 return\n		ip6 daddr fd07::/64 return\n		ip daddr 10.0", 1)) + hook("output", basics, "wg0") + hook("forward", "", "wg0")},
		"replaced":      {[]plan.KillSwitch{{Dev: "wg0", Mark: 1, LAN: true}, {Dev: "wg0", Mark: 51820}}, chain("wg0", "0x0000ca6c", "") + hook("output", basics, "wg0") + hook("forward", "", "wg0")},
		"odd name":      {[]plan.KillSwitch{{Dev: "output", Mark: 0xfedcba98}}, chain("output", "0xfedcba98", "") + hook("output", basics, "output") + hook("forward", "", "output")},
		"of two":        {[]plan.KillSwitch{{Dev: "wg1", Mark: 51821}, {Dev: "wg0", Mark: 51820}}, chain("wg1", "0x0000ca6d", "") + hook("output", basics, "wg0", "wg1") + hook("forward", "", "wg0", "wg1") + chain("wg0", "0x0000ca6c", "")},
		"of two, again": {[]plan.KillSwitch{{Dev: "wg0", Mark: 51820}, {Dev: "wg1", Mark: 51821}, {Dev: "wg0", Mark: 51820}}, chain("wg0", "0x0000ca6c", "") + hook("output", basics, "wg0", "wg1") + hook("forward", "", "wg0", "wg1") + chain("wg1", "0x0000ca6d", "")},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func() {
				f := New()
				closeGate(t, f, tt.set...)
				words := func(s string) string { return strings.Join(strings.Fields(s), " ") }
				if got, want := words(tool(t, "", "nft list ruleset")), words("table inet wg-killswitch {\n"+tt.want+"}"); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				last := map[string]plan.KillSwitch{}
				for _, k := range tt.set {
					last[k.Dev] = k
				}
				for dev, k := range last {
					s, err := f.Standing(t.Context(), dev)
					if err != nil || s.KillSwitch == nil || !s.KillSwitch.Equal(k) || !s.Whole {
						t.Errorf("Standing(%s) = %+v, %+v, %v; want all of %+v", dev, s, s.KillSwitch, err, k)
					}
				}
				for dev := range last {
					if err := f.DelKillSwitch(t.Context(), dev); err != nil {
						t.Errorf("DelKillSwitch(%s): %v", dev, err)
					}
					for other := range last {
						s, err := f.Standing(t.Context(), other)
						if there := s.KillSwitch != nil; err != nil || there == (other == dev) || there && !s.Whole {
							t.Errorf("after that of %s is gone, Standing(%s) = %+v, %v", dev, other, s, err)
						}
					}
					delete(last, dev)
				}
				if got := tool(t, "", "nft list ruleset"); got != "" {
					t.Errorf("left:\n%s", got)
				}
			})
		})
	}
}

// What others change of a kill switch shows.
func TestKillSwitchChanged(t *testing.T) {
	need(t, "nft")
	for _, change := range []string{
		"insert rule inet wg-killswitch output accept",
		"add rule inet wg-killswitch for-wg0 accept",
		"flush chain inet wg-killswitch forward",
		"flush chain inet wg-killswitch for-wg0",
		"delete chain inet wg-killswitch output",
	} {
		t.Run(change, func(t *testing.T) {
			run(t, func() {
				f := New()
				k := plan.KillSwitch{Dev: "wg0", Mark: 51820}
				closeGate(t, f, k)
				tool(t, change+"\n", "nft -f -")
				if s, err := f.Standing(t.Context(), "wg0"); err != nil || s.KillSwitch == nil || s.Whole {
					t.Errorf("Standing = %+v, %v; want a kill switch that isn't whole", s, err)
				}
				closeGate(t, f, k)
				if s, err := f.Standing(t.Context(), "wg0"); err != nil || s.KillSwitch == nil || !s.KillSwitch.Equal(k) || !s.Whole {
					t.Errorf("set anew, Standing = %+v, %v; want all of it", s, err)
				}
			})
		})
	}
}

// There is nothing in a namespace without rules, and removing it says so.
func TestGateEmpty(t *testing.T) {
	run(t, func() {
		f := New()
		if s, err := f.Standing(t.Context(), "wg0"); err != nil || s != (plan.Standing{}) {
			t.Errorf("Standing = %+v, %v; want nothing", s, err)
		}
		if err := f.DelKillSwitch(t.Context(), "wg0"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("DelKillSwitch: %v, want %v", err, fs.ErrNotExist)
		}
		if err := f.DelMasquerade(t.Context(), "wg0"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("DelMasquerade: %v, want %v", err, fs.ErrNotExist)
		}
		if err := f.SetKillSwitch(t.Context(), plan.KillSwitch{Dev: "wg0"}); err == nil {
			t.Error("a kill switch without a mark lets through what has none")
		}
		if err := f.SetKillSwitch(t.Context(), plan.KillSwitch{Dev: "a b", Mark: 1}); err == nil {
			t.Error("a name with a blank was taken")
		}
		if names, err := f.KillSwitches(t.Context()); err != nil || len(names) > 0 {
			t.Errorf("KillSwitches = %q, %v; want none", names, err)
		}
	})
}

// Where the kernel has no nf_tables, nothing is set and nothing stands; the
// error says what to do.
func TestGateWithoutTables(t *testing.T) {
	f := New()
	f.probed, f.noTables = true, unix.EPROTONOSUPPORT
	err := f.SetKillSwitch(t.Context(), plan.KillSwitch{Dev: "wg0", Mark: 51820})
	var told interface{ Advice() []string }
	if !errors.Is(err, errors.ErrUnsupported) || !errors.As(err, &told) || !strings.Contains(told.Advice()[0], "modprobe") {
		t.Errorf("SetKillSwitch: %v, want advice", err)
	}
	if err := f.SetMasquerade(t.Context(), plan.Masquerade{Dev: "wg0"}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("SetMasquerade: %v", err)
	}
	if err := f.DelKillSwitch(t.Context(), "wg0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("DelKillSwitch: %v, want %v", err, fs.ErrNotExist)
	}
	if s, err := f.Standing(t.Context(), "wg0"); err != nil || s != (plan.Standing{}) {
		t.Errorf("Standing = %+v, %v", s, err)
	}
	if names, err := f.KillSwitches(t.Context()); err != nil || names != nil {
		t.Errorf("KillSwitches = %q, %v", names, err)
	}
}

// The original's down, and ours, of a tunnel of any name leave the gates of
// others alone.
func TestGateBesideRules(t *testing.T) {
	need(t, "nft")
	run(t, func() {
		f := New()
		closeGate(t, f, plan.KillSwitch{Dev: "wg0", Mark: 51820})
		before := tool(t, "", "nft list ruleset")
		add(t, f, wg0(), wg0v6())
		if err := f.DelRules(t.Context(), "wg0"); err != nil {
			t.Fatal(err)
		}
		if got := tool(t, "", "nft list ruleset"); got != before {
			t.Errorf("got\n%s\nwant\n%s", got, before)
		}
	})
}

func TestMasquerade(t *testing.T) {
	need(t, "nft")
	for out, want := range map[string]string{
		"":     `iifname "wg0" oifname != "wg0" masquerade`,
		"eth0": `iifname "wg0" oifname "eth0" masquerade`,
		"wg0":  `iifname != "wg0" oifname "wg0" masquerade`,
	} {
		run(t, func() {
			f := New()
			for range 2 { // in place of the first one
				if err := f.SetMasquerade(t.Context(), plan.Masquerade{Dev: "wg0", Out: out}); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.Join(strings.Fields(tool(t, "", "nft list ruleset")), " ")
			want := `table inet wg-masquerade-wg0 { chain postrouting { type nat hook postrouting priority srcnat; policy accept; ` + want + ` } }`
			if got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if s, err := f.Standing(t.Context(), "wg0"); err != nil || !s.Masquerade || s.KillSwitch != nil {
				t.Errorf("Standing = %+v, %v", s, err)
			}
			if err := f.DelMasquerade(t.Context(), "wg0"); err != nil {
				t.Error(err)
			}
			if got := tool(t, "", "nft list ruleset"); got != "" {
				t.Errorf("left:\n%s", got)
			}
		})
	}
}

// Who drops what is forwarded is known, but for the kill switch.
func TestDropping(t *testing.T) {
	need(t, "nft")
	run(t, func() {
		f := New()
		closeGate(t, f, plan.KillSwitch{Dev: "wg0", Mark: 51820})
		tool(t, `table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; chain INPUT { type filter hook input priority 0; policy drop; }; }
table inet mine { chain f { type filter hook forward priority 0; policy accept; }; }
table inet other { chain way { type filter hook forward priority 0; policy drop; }; }
`, "nft -f -")
		got, err := f.Dropping(t.Context())
		slices.Sort(got)
		if want := []string{"chain FORWARD of table ip filter", "chain way of table inet other"}; err != nil || !slices.Equal(got, want) {
			t.Errorf("Dropping = %q, %v; want %q", got, err, want)
		}
	})
}
