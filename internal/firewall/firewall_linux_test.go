// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"wgtools/internal/netnstest"
	"wgtools/internal/plan"
)

// run calls f in a namespace without rules.
func run(t *testing.T, f func()) {
	t.Helper()
	netnstest.Run(t, func() error { f(); return nil })
}

// need skips the test unless the programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
}

// tool runs a program, a witness of what is in the kernel.
func tool(t *testing.T, input, command string) string {
	t.Helper()
	args := strings.Fields(command)
	c := exec.Command(args[0], args[1:]...)
	c.Stdin = strings.NewReader(input)
	var complaint strings.Builder
	c.Stderr = &complaint
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s\ninput:\n%s", command, err, &complaint, input)
	}
	return string(out)
}

func addrs(list ...string) (as []netip.Addr) {
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

// originalNFT is what the original feeds to nft.
func originalNFT(r plan.FirewallRules) string {
	ip := "ip"
	if r.V6 {
		ip = "ip6"
	}
	var b strings.Builder
	say := func(format string, args ...any) {
		fmt.Fprintf(&b, strings.ReplaceAll(format, "TABLE", ip+" wg-quick-"+r.Dev)+"\n", args...)
	}
	say("add table TABLE")
	say("add chain TABLE preraw { type filter hook prerouting priority -300; }")
	say("add chain TABLE premangle { type filter hook prerouting priority -150; }")
	say("add chain TABLE postmangle { type filter hook postrouting priority -150; }")
	for _, a := range r.Addresses {
		say("add rule TABLE preraw iifname != %q %s daddr %v fib saddr type != local drop", r.Dev, ip, a)
	}
	say("add rule TABLE postmangle meta l4proto udp mark %d ct mark set mark", r.Mark)
	say("add rule TABLE premangle meta l4proto udp meta mark set ct mark")
	return b.String()
}

// originalIPTables is what the original feeds to iptables-restore.
func originalIPTables(r plan.FirewallRules) string {
	var b strings.Builder
	comment := fmt.Sprintf(`-m comment --comment "wg-quick(8) rule for %s"`, r.Dev)
	fmt.Fprintln(&b, "*raw")
	for _, a := range r.Addresses {
		fmt.Fprintf(&b, "-I PREROUTING ! -i %s -d %v -m addrtype ! --src-type LOCAL -j DROP %s\n", r.Dev, a, comment)
	}
	fmt.Fprintf(&b, "COMMIT\n*mangle\n-I POSTROUTING -m mark --mark %d -p udp -j CONNMARK --save-mark %s\n", r.Mark, comment)
	fmt.Fprintf(&b, "-I PREROUTING -p udp -j CONNMARK --restore-mark %s\nCOMMIT\n", comment)
	return b.String()
}

// saved is what iptables-save prints, without dates and without the tables and
// chains, which stay once they were used.
func saved(t *testing.T, program string) (rules string) {
	t.Helper()
	for line := range strings.Lines(tool(t, "", program+"-save")) {
		if strings.HasPrefix(line, "-A ") || strings.HasPrefix(line, "*") && rules != "" {
			rules += line
		}
	}
	return rules
}

// A set of rules as they are in use.
func wg0() plan.FirewallRules {
	return plan.FirewallRules{Dev: "wg0", Mark: 51820, Addresses: addrs("10.7.0.2", "10.7.0.3")}
}

func wg0v6() plan.FirewallRules {
	return plan.FirewallRules{Dev: "wg0", Mark: 51820, V6: true, Addresses: addrs("fd07::2", "fe80::c39b:30c5:54ae:6caf", "::ffff:10.0.0.1")}
}

func add(t *testing.T, f *Firewall, rules ...plan.FirewallRules) {
	t.Helper()
	for _, r := range rules {
		if err := f.AddRules(t.Context(), r); err != nil {
			t.Fatalf("AddRules(%+v): %v", r, err)
		}
	}
}

// The kernel has the same from us as from nft, which shows in what nft lists
// and in the instructions beneath.
func TestNFT(t *testing.T) {
	need(t, "nft")
	tests := map[string][]plan.FirewallRules{
		"IPv4":            {wg0()},
		"IPv6":            {wg0v6()},
		"both":            {wg0v6(), wg0()},
		"no address":      {{Dev: "wg0", Mark: 51820}},
		"two tunnels":     {wg0(), {Dev: "wg-1_x.2", Mark: 51821, Addresses: addrs("10.8.0.2")}},
		"a mark's extent": {{Dev: "wg0", Mark: 0xfedcba98}},
		"the longest":     {{Dev: "w23456789012345", Mark: 1, Addresses: addrs("192.0.2.1")}},
	}
	for name, rules := range tests {
		t.Run(name, func(t *testing.T) {
			var want, wantCode string
			run(t, func() {
				for _, r := range rules {
					tool(t, originalNFT(r), "nft -f -")
				}
				want, wantCode = tool(t, "", "nft list ruleset"), tool(t, "", "nft --debug=netlink list ruleset")
			})
			run(t, func() {
				f := New()
				if got := f.Kind(t.Context()); got != plan.NFT {
					t.Errorf("Kind() = %s, want %s", got, plan.NFT)
				}
				add(t, f, rules...)
				if got := tool(t, "", "nft list ruleset"); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if got := tool(t, "", "nft --debug=netlink list ruleset"); got != wantCode {
					t.Errorf("got\n%s\nwant\n%s", got, wantCode)
				}
			})
		})
	}
}

// The original's nft stumbles over these names.
func TestNFTNames(t *testing.T) {
	need(t, "nft")
	for _, dev := range []string{"wg+", "a=b", "+", "=x", "1", ".-._", "-x"} {
		t.Run(dev, func(t *testing.T) {
			run(t, func() {
				r := wg0()
				r.Dev = dev
				f := New()
				add(t, f, r)
				got := tool(t, "", "nft list ruleset")
				for _, want := range []string{"table ip wg-quick-" + dev + " {", fmt.Sprintf("iifname != %q ip daddr 10.7.0.2", dev)} {
					if !strings.Contains(got, want) {
						t.Errorf("%q is not in\n%s", want, got)
					}
				}
				if err := f.DelRules(t.Context(), dev); err != nil {
					t.Errorf("DelRules: %v", err)
				}
				if got := tool(t, "", "nft list ruleset"); got != "" {
					t.Errorf("left:\n%s", got)
				}
			})
		})
	}
}

// What an earlier tunnel of the name left is replaced, another's is not.
func TestReplace(t *testing.T) {
	need(t, "nft")
	run(t, func() {
		f := New()
		old := plan.FirewallRules{Dev: "wg0", Mark: 7, Addresses: addrs("10.99.0.1")}
		other := plan.FirewallRules{Dev: "wg01", Mark: 8, Addresses: addrs("10.98.0.1")}
		v6 := wg0v6()
		add(t, f, old, other, v6)
		add(t, f, wg0())
		want := tool(t, "", "nft list ruleset")
		if strings.Contains(want, "10.99.0.1") || !strings.Contains(want, "10.98.0.1") || !strings.Contains(want, "fd07::2") {
			t.Errorf("after another AddRules:\n%s", want)
		}
		add(t, f, wg0())
		if got := tool(t, "", "nft list ruleset"); got != want {
			t.Errorf("a second time gives\n%s\nwant\n%s", got, want)
		}
		// The original doubles its rules.
		tool(t, originalNFT(wg0()), "nft -f -")
		add(t, f, wg0())
		if got := tool(t, "", "nft list ruleset"); got != want {
			t.Errorf("over the original's:\n%s\nwant\n%s", got, want)
		}
	})
}

// Every kind of rules that there can be for a tunnel goes, and nothing else.
func TestDelRules(t *testing.T) {
	need(t, "nft", "iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy")
	others := []plan.FirewallRules{
		{Dev: "wg", Mark: 1, Addresses: addrs("10.1.0.1")},
		{Dev: "wg00", Mark: 2, V6: true, Addresses: addrs("fd01::1")},
	}
	const foreign = "*mangle\n-A PREROUTING -p udp -m comment --comment \"not a wg-quick(8) rule for wg0\" -j ACCEPT\n" +
		"-A PREROUTING -p udp -j ACCEPT\n-A FORWARD -p udp -j ACCEPT\nCOMMIT\n"
	type commands [][2]string // input and command
	nft4, nft6 := [2]string{originalNFT(wg0()), "nft -f -"}, [2]string{originalNFT(wg0v6()), "nft -f -"}
	of := func(variant string) commands {
		return commands{{originalIPTables(wg0()), "iptables-" + variant + "-restore -n"}, {originalIPTables(wg0v6()), "ip6tables-" + variant + "-restore -n"}}
	}
	tests := map[string]struct {
		have commands
		want []string
	}{
		"nft":             {commands{nft6, nft4}, []string{"nft"}},
		"doubled":         {commands{nft4, nft4}, []string{"nft"}},
		"of any family":   {commands{{"add table inet wg-quick-wg0", "nft -f -"}, {"add table arp wg-quick-wg0", "nft -f -"}}, []string{"nft"}},
		"iptables-nft":    {of("nft"), []string{"iptables", "ip6tables"}},
		"iptables-legacy": {of("legacy"), []string{"iptables", "ip6tables"}},
		"IPv4 alone":      {of("legacy")[:1], []string{"iptables"}},
		"IPv6 alone":      {of("nft")[1:], []string{"ip6tables"}},
		"everywhere":      {slices.Concat(commands{nft4, nft6}, of("nft"), of("legacy"), of("nft")), []string{"nft", "iptables", "ip6tables"}},
		"none":            {nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			run(t, func() {
				for _, r := range others {
					tool(t, originalNFT(r), "nft -f -")
				}
				for _, variant := range []string{"iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"} {
					tool(t, foreign, variant+"-restore -n")
					v6 := strings.HasPrefix(variant, "ip6")
					for _, r := range others {
						if r.V6 == v6 {
							tool(t, originalIPTables(r), variant+"-restore -n")
						}
					}
				}
				state := func() (all string) {
					all = tool(t, "", "nft list tables")
					for _, table := range []string{"ip wg-quick-wg", "ip6 wg-quick-wg00"} {
						all += tool(t, "", "nft list table "+table)
					}
					for _, p := range []string{"iptables-nft", "iptables-legacy", "ip6tables-nft", "ip6tables-legacy"} {
						all += saved(t, p)
					}
					return all
				}
				want := state()
				for _, c := range tt.have {
					tool(t, c[0], c[1])
				}
				f := New()
				if got, err := f.Programs(t.Context(), "wg0"); err != nil || !slices.Equal(got, tt.want) {
					t.Errorf("Programs() = %q, %v; want %q", got, err, tt.want)
				}
				err := f.DelRules(t.Context(), "wg0")
				if gone := errors.Is(err, fs.ErrNotExist); gone != (tt.want == nil) || !gone && err != nil {
					t.Errorf("DelRules: %v", err)
				}
				if got := state(); got != want {
					t.Errorf("after it:\n%s\nwant\n%s", got, want)
				}
				if got, err := f.Programs(t.Context(), "wg0"); err != nil || got != nil {
					t.Errorf("then Programs() = %q, %v; want none", got, err)
				}
				if err := f.DelRules(t.Context(), "wg0"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("DelRules again: %v, want ErrNotExist", err)
				}
			})
		})
	}
}

// A user may have tables of these names that iptables can't read.
func TestDelRulesAmongForeignTables(t *testing.T) {
	need(t, "nft")
	run(t, func() {
		tool(t, `add table ip raw
add chain ip raw PREROUTING { type filter hook prerouting priority 7; }
add set ip raw s { type ipv4_addr; flags interval; }
add rule ip raw PREROUTING ip saddr @s log prefix "y" ct state vmap { established : accept, new : drop } comment "mine"
add table ip6 mangle
`, "nft -f -")
		want := tool(t, "", "nft list ruleset")
		f := New()
		add(t, f, wg0())
		if err := f.DelRules(t.Context(), "wg0"); err != nil {
			t.Errorf("DelRules: %v", err)
		}
		if got := tool(t, "", "nft list ruleset"); got != want {
			t.Errorf("after it:\n%s\nwant\n%s", got, want)
		}
	})
}

// withoutNFT is the firewall of a kernel whose nf_tables won't do.
func withoutNFT(variants ...string) *Firewall {
	f := New()
	f.probed, f.noRules, f.variants = true, unix.EOPNOTSUPP, variants
	return f
}

func TestIPTables(t *testing.T) {
	for _, variant := range []string{"-nft", "-legacy"} {
		t.Run("iptables"+variant, func(t *testing.T) {
			v4, v6 := "iptables"+variant, "ip6tables"+variant
			need(t, v4, v6)
			other := plan.FirewallRules{Dev: "wg01", Mark: 9, Addresses: addrs("10.9.0.1")}
			plus := plan.FirewallRules{Dev: "a+b=c", Mark: 10, Addresses: addrs("10.10.0.1")}
			var want4, want6 string
			run(t, func() {
				for _, r := range []plan.FirewallRules{other, plus, wg0()} {
					tool(t, originalIPTables(r), v4+"-restore -n")
				}
				tool(t, originalIPTables(wg0v6()), v6+"-restore -n")
				want4, want6 = saved(t, v4), saved(t, v6)
			})
			run(t, func() {
				f := withoutNFT(variant)
				if got := f.Kind(t.Context()); got != plan.IPTables {
					t.Errorf("Kind() = %s, want %s", got, plan.IPTables)
				}
				add(t, f, other, plus)
				before := saved(t, v4)
				for range 2 { // the second one replaces
					add(t, f, wg0(), wg0v6())
					if got := saved(t, v4); got != want4 {
						t.Errorf("got\n%s\nwant\n%s", got, want4)
					}
					if got := saved(t, v6); got != want6 {
						t.Errorf("got\n%s\nwant\n%s", got, want6)
					}
				}
				if err := f.DelRules(t.Context(), "wg0"); err != nil {
					t.Errorf("DelRules: %v", err)
				}
				if got := saved(t, v4) + saved(t, v6); got != before {
					t.Errorf("after DelRules:\n%s\nwant\n%s", got, before)
				}
			})
		})
	}
}

// A variant that isn't there, or can't, is passed over for the next.
func TestIPTablesVariants(t *testing.T) {
	need(t, "iptables-nft")
	run(t, func() {
		add(t, withoutNFT("-none", "-nft"), wg0())
		if got := saved(t, "iptables-nft"); !strings.Contains(got, "10.7.0.3") {
			t.Errorf("got\n%s", got)
		}
	})
}

// stub makes a variant of iptables of two scripts.
func stub(t *testing.T, main, restore string) (variant string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("iptables-stub", main)
	write("iptables-stub-restore", restore)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return "-stub"
}

// Each table is a transaction of its own; when the second fails, the first is
// taken back.
func TestIPTablesAllOrNothing(t *testing.T) {
	need(t, "iptables-nft")
	variant := stub(t, `exec iptables-nft "$@"`, `sed 's/CONNMARK --save-mark/NOSUCHTARGET/' | iptables-nft-restore "$@"`)
	run(t, func() {
		other := plan.FirewallRules{Dev: "wg1", Mark: 9, Addresses: addrs("10.9.0.1")}
		tool(t, originalIPTables(other), "iptables-nft-restore -n")
		want := saved(t, "iptables-nft")
		err := withoutNFT(variant).AddRules(t.Context(), wg0())
		if err == nil || !strings.Contains(err.Error(), "NOSUCHTARGET") {
			t.Errorf("AddRules: %v, want the complaint of iptables-restore", err)
		}
		if got := saved(t, "iptables-nft"); got != want {
			t.Errorf("left\n%s\nwant\n%s", got, want)
		}
		failed, ok := errors.AsType[*UnavailableError](err)
		if !ok || len(failed.Original()) == 0 || !strings.Contains(failed.Original()[0], "NOSUCHTARGET") {
			t.Errorf("%#v has no words of iptables-restore", err)
		}
	})
}

// What iptables complains about when it shall list is what is reported, by
// AddRules and by DelRules.
func TestIPTablesComplains(t *testing.T) {
	variant := stub(t, `case "$*" in *-S*) echo "iptables: the table is upside down" >&2; exit 3;; esac; echo iptables v1.8.9`, `exit 1`)
	run(t, func() {
		f := withoutNFT(variant)
		const want = "iptables: the table is upside down"
		if err := f.AddRules(t.Context(), wg0()); err == nil || !strings.HasSuffix(err.Error(), "; "+want) {
			t.Errorf("AddRules: %v, want %q", err, want)
		}
		f.legacy, f.inUse = []string{variant}, func(v6 bool) []string { return map[bool][]string{false: {"raw"}}[v6] }
		if err := f.DelRules(t.Context(), "wg0"); err == nil || err.Error() != want {
			t.Errorf("DelRules: %v, want %q", err, want)
		}
		if _, err := f.Programs(t.Context(), "wg0"); err == nil || err.Error() != want {
			t.Errorf("Programs: %v, want %q", err, want)
		}
	})
}

// Where neither will do, the error says what to do.
func TestUnavailable(t *testing.T) {
	run(t, func() {
		err := withoutNFT("-none").AddRules(t.Context(), wg0v6())
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("AddRules: %v, want ErrUnsupported", err)
		}
		failed, ok := errors.AsType[*UnavailableError](err)
		if !ok {
			t.Fatalf("AddRules: %#v, want an *UnavailableError", err)
		}
		if want := "no packet filter for the rules: nf_tables: operation not supported; ip6tables-none: executable file not found in $PATH"; err.Error() != want {
			t.Errorf("error %q, want %q", err, want)
		}
		want := []string{"hint: load the kernel's nf_tables with what the rules need: `modprobe -a nf_tables nft_ct nft_fib_ipv6'", "hint: or install the package iptables"}
		if got := failed.Advice(); !slices.Equal(got, want) {
			t.Errorf("Advice() = %q, want %q", got, want)
		}
		if got := failed.Original(); got != nil {
			t.Errorf("Original() = %q, want nothing", got)
		}
	})
	failed := &UnavailableError{NFT: syscall.EPROTONOSUPPORT, IPTables: newRestoreError("/sbin/iptables-restore", "", errors.New("exit status 2"))}
	if want := "no packet filter for the rules: nf_tables: protocol not supported; iptables-restore: exit status 2"; failed.Error() != want {
		t.Errorf("error %q, want %q", failed, want)
	}
	if got, want := failed.Advice()[1], "hint: or, for iptables: `modprobe -a iptable_raw iptable_mangle xt_addrtype xt_connmark xt_mark xt_comment'"; got != want {
		t.Errorf("Advice()[1] = %q, want %q", got, want)
	}
}

// Names and addresses that could mean more than they say are refused before
// anything is done.
func TestBadRules(t *testing.T) {
	need(t, "nft", "iptables-nft")
	bad := map[string]plan.FirewallRules{
		"no name":         {},
		"a long name":     {Dev: "w234567890123456"},
		"a new line":      {Dev: "w\nCOMMIT"},
		"a quote":         {Dev: `w" -j DROP`},
		"a blank":         {Dev: "w -j DROP"},
		"a backslash":     {Dev: `w\`},
		"NUL":             {Dev: "wg0\x00"},
		"a slash":         {Dev: "../wg0"},
		"not ASCII":       {Dev: "wgé"},
		"not UTF-8":       {Dev: "wg\xff"},
		"no address":      {Dev: "wg0", Addresses: []netip.Addr{{}}},
		"IPv6 among IPv4": {Dev: "wg0", Addresses: addrs("10.0.0.1", "fd00::1")},
		"IPv4 among IPv6": {Dev: "wg0", V6: true, Addresses: addrs("10.0.0.1")},
	}
	for name, r := range bad {
		t.Run(name, func(t *testing.T) {
			run(t, func() {
				for _, f := range []*Firewall{New(), withoutNFT("-nft")} {
					if err := f.AddRules(t.Context(), r); err == nil {
						t.Errorf("AddRules(%+v) went well", r)
					}
					if r.Addresses == nil {
						if err := f.DelRules(t.Context(), r.Dev); err == nil || errors.Is(err, fs.ErrNotExist) {
							t.Errorf("DelRules(%q): %v", r.Dev, err)
						}
						if _, err := f.Programs(t.Context(), r.Dev); err == nil {
							t.Errorf("Programs(%q) went well", r.Dev)
						}
					}
				}
				if got := tool(t, "", "nft list ruleset"); got != "" {
					t.Errorf("left:\n%s", got)
				}
			})
		})
	}
}

func TestZone(t *testing.T) {
	need(t, "nft")
	run(t, func() {
		r := wg0v6()
		r.Addresses = []netip.Addr{netip.MustParseAddr("fe80::1%wg0")}
		add(t, New(), r)
		add(t, withoutNFT("-nft", ""), r)
		if got := tool(t, "", "nft list ruleset"); strings.Count(got, "ip6 daddr fe80::1 ") != 2 {
			t.Errorf("got\n%s", got)
		}
	})
}

func TestDone(t *testing.T) {
	need(t, "nft")
	interrupted := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(interrupted)
	run(t, func() {
		f := New()
		if err := f.AddRules(ctx, wg0()); !errors.Is(err, interrupted) {
			t.Errorf("AddRules: %v, want %v", err, interrupted)
		}
		if err := f.DelRules(ctx, "wg0"); !errors.Is(err, interrupted) {
			t.Errorf("DelRules: %v, want %v", err, interrupted)
		}
		if _, err := f.Programs(ctx, "wg0"); !errors.Is(err, interrupted) {
			t.Errorf("Programs: %v, want %v", err, interrupted)
		}
		if got := tool(t, "", "nft list ruleset"); got != "" {
			t.Errorf("left:\n%s", got)
		}
	})
}

// One transaction and its answers are as big as the addresses are many.
func TestManyAddresses(t *testing.T) {
	need(t, "nft")
	run(t, func() {
		r := plan.FirewallRules{Dev: "wg0", Mark: 51820, V6: true}
		a := netip.MustParseAddr("fd00::1")
		for range 3000 {
			r.Addresses = append(r.Addresses, a)
			a = a.Next()
		}
		f := New()
		add(t, f, r)
		if got := strings.Count(tool(t, "", "nft list ruleset"), " ip6 daddr "); got != len(r.Addresses) {
			t.Errorf("%d rules, want %d", got, len(r.Addresses))
		}
		add(t, f, wg0())
		if err := f.DelRules(t.Context(), "wg0"); err != nil {
			t.Errorf("DelRules: %v", err)
		}
		// Too many for any buffer.
		for range 60000 {
			r.Addresses = append(r.Addresses, a)
		}
		err := f.AddRules(t.Context(), r)
		if err == nil || !strings.HasPrefix(err.Error(), "nftables table ip6 wg-quick-wg0: ") {
			t.Errorf("AddRules of %d addresses: %v", len(r.Addresses), err)
		}
		if got := tool(t, "", "nft list ruleset"); got != "" {
			t.Errorf("left:\n%.500s", got)
		}
	})
}

// In a user namespace of its own, a user who is nobody outside can do it all.
func TestUserNamespace(t *testing.T) {
	const inside = "FIREWALL_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		c := exec.Command("/proc/self/exe", "-test.run=^TestUserNamespace$", "-test.v")
		c.Env = append(os.Environ(), inside+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		out, err := c.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.ENOSYS) {
			t.Skipf("no user namespaces here: %v", err)
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	f := New()
	if got := f.Kind(t.Context()); got != plan.NFT {
		t.Skipf("the kernel has no nf_tables: %v", f.noTables)
	}
	add(t, f, wg0(), wg0v6())
	if got, err := f.Programs(t.Context(), "wg0"); err != nil || !slices.Equal(got, []string{plan.NFT}) {
		t.Errorf("Programs() = %q, %v", got, err)
	}
	// With the buffers that anybody may have, still a failure leaves nothing.
	r := plan.FirewallRules{Dev: "wg1", Mark: 1}
	for range 3000 {
		r.Addresses = append(r.Addresses, netip.MustParseAddr("10.0.0.1"))
	}
	err := f.AddRules(t.Context(), r)
	t.Logf("3000 addresses: %v", err)
	if have, found := f.Programs(t.Context(), "wg1"); found != nil || (have != nil) != (err == nil) {
		t.Errorf("AddRules: %v, but then Programs() = %q, %v", err, have, found)
	}
	if err := f.DelRules(t.Context(), "wg0"); err != nil {
		t.Errorf("DelRules: %v", err)
	}
	if err := f.DelRules(t.Context(), "wg0"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("DelRules again: %v, want ErrNotExist", err)
	}
}

// Without the right to, nothing is taken for missing.
func TestNotPermitted(t *testing.T) {
	const inside = "FIREWALL_TEST_INSIDE"
	if os.Getenv(inside) == "" {
		if os.Geteuid() != 0 {
			t.Skip("giving up rights needs root")
		}
		c := exec.Command("/proc/self/exe", "-test.run=^TestNotPermitted$", "-test.v")
		c.Env = append(os.Environ(), inside+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := c.CombinedOutput()
		if errors.Is(err, syscall.EPERM) {
			t.Skip("there is no other user in this user namespace")
		}
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	f := New()
	if err := f.AddRules(t.Context(), wg0()); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("AddRules: %v, want ErrPermission", err)
	}
	if err := f.DelRules(t.Context(), "wg0"); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("DelRules: %v, want ErrPermission", err)
	}
}

// Without nf_tables it takes an iptables.
func TestWorks(t *testing.T) {
	f := New()
	f.probed, f.noRules, f.variants = true, unix.EPROTONOSUPPORT, []string{"-of-nobody"}
	err := f.Works(t.Context())
	if u, ok := errors.AsType[*UnavailableError](err); !ok || !errors.Is(u.IPTables, exec.ErrNotFound) || u.NFT != unix.EPROTONOSUPPORT {
		t.Errorf("without either: %v", err)
	}
	f.noRules = nil
	if err := f.Works(t.Context()); err != nil {
		t.Errorf("with nf_tables: %v", err)
	}
	if _, err := find("", false); err == nil {
		f.noRules, f.variants = unix.EPROTONOSUPPORT, []string{"-of-nobody", ""}
		if err := f.Works(t.Context()); err != nil {
			t.Errorf("with iptables: %v", err)
		}
	}
}
