// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
	"wgtools/internal/plan/plantest"
)

func prefixes(list ...string) (ps []netip.Prefix) {
	for _, s := range list {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

// tunnel is a transaction on a link that is there already, where each step has
// an undo of its own.
func tunnel() []plan.Step {
	address := netip.MustParsePrefix("10.9.0.2/24")
	routes := plan.RouteSet{Dev: "wg0", Dst: prefixes("192.0.2.0/24", "2001:db8::/32")}
	table := plan.RouteSet{Dev: "wg0", Table: 51820, Dst: prefixes("0.0.0.0/0")}
	return []plan.Step{
		{Do: plan.AddLink{Dev: "wg0"}, Undo: plan.DelLink{Dev: "wg0"}},
		{Do: plan.Hook{Script: "true before"}},
		{Do: plan.Configure{Dev: "wg0", Change: &device.Change{PrivateKey: device.Some(keys.Key{8, 31: 64})}}},
		{Do: plan.AddAddr{Dev: "wg0", Addr: address}, Undo: plan.DelAddr{Dev: "wg0", Addr: address}},
		{Do: plan.SetLink{Dev: "wg0", MTU: 1420, Up: true}, Undo: plan.SetLink{Dev: "wg0", MTU: 1500}},
		{Do: plan.AddRoutes{RouteSet: routes}, Undo: plan.DelRoutes{RouteSet: routes}},
		{Do: plan.AddRoutes{RouteSet: table}, Undo: plan.DelRoutes{RouteSet: table}},
		{Do: plan.Hook{Script: "true after"}},
	}
}

const (
	forward = `ip link add dev wg0 type wireguard
true before
wg addconf wg0 /dev/fd/63
ip -4 address add 10.9.0.2/24 dev wg0
ip link set mtu 1420 up dev wg0
ip -4 route add 192.0.2.0/24 dev wg0
ip -6 route add 2001:db8::/32 dev wg0
ip -4 route add 0.0.0.0/0 dev wg0 table 51820
true after`

	// backward are the undos; the number says how many forward lines must
	// have been done for the line to be run.
	backward = `8 ip -4 route delete 0.0.0.0/0 dev wg0 table 51820
7 ip -4 route delete 192.0.2.0/24 dev wg0
7 ip -6 route delete 2001:db8::/32 dev wg0
5 ip link set mtu 1500 dev wg0
4 ip -4 address delete 10.9.0.2/24 dev wg0
1 ip link delete dev wg0`
)

// undone returns the lines that take back the first n lines of forward.
func undone(n int) (lines []string) {
	for line := range strings.Lines(backward) {
		var need int
		if _, err := fmt.Sscan(line, &need); err != nil {
			panic(err)
		}
		if need <= n {
			lines = append(lines, strings.TrimSpace(line[2:]))
		}
	}
	return lines
}

func TestEveryStepFails(t *testing.T) {
	lines := strings.Split(forward, "\n")
	for i, line := range append(lines, "none") {
		t.Run(line, func(t *testing.T) {
			host := &plantest.Recorder{Fail: map[string]error{line: syscall.EPERM}}
			var traced []string
			tx := plan.Tx{Host: host.Host(), Trace: func(op plan.Op) { traced = slices.AppendSeq(traced, op.Lines()) }}
			err := tx.Apply(t.Context(), tunnel()...)
			if line == "none" {
				if err != nil {
					t.Fatalf("Apply: %v", err)
				}
			} else {
				if want := line + ": operation not permitted"; err == nil || err.Error() != want || !errors.Is(err, syscall.EPERM) {
					t.Fatalf("Apply: %v, want %q", err, want)
				}
			}
			done := len(host.Lines)
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatalf("Rollback: %v", err)
			}
			if got, want := host.Lines[done:], undone(i); !slices.Equal(got, want) {
				t.Errorf("rollback after %q failed:\n got %q\nwant %q", line, got, want)
			}
			if left := host.Left(); left != nil {
				t.Errorf("left behind: %q", left)
			}
			// A batch is traced as a whole before its first change.
			for _, line := range host.Lines {
				if !slices.Contains(traced, line) {
					t.Errorf("%q was done without a trace", line)
				}
			}
		})
	}
}

// Ctrl-C before any change stops the plan there, and doesn't stop the clean-up.
func TestCancelled(t *testing.T) {
	lines := strings.Split(forward, "\n")
	for i, line := range lines {
		t.Run(line, func(t *testing.T) {
			interrupted := errors.New("interrupted")
			ctx, cancel := context.WithCancelCause(t.Context())
			host := &plantest.Recorder{}
			host.Before = func(l string) {
				if l == line {
					cancel(interrupted)
				}
			}
			tx := plan.Tx{Host: host.Host()}
			if err := tx.Apply(ctx, tunnel()...); !errors.Is(err, interrupted) {
				t.Fatalf("Apply: %v, want %v", err, interrupted)
			}
			done := len(host.Lines)
			if done != i {
				t.Errorf("done when interrupted: %q, want the first %d lines", host.Lines, i)
			}
			if err := tx.Rollback(ctx); err != nil {
				t.Fatalf("Rollback: %v", err)
			}
			if left := host.Left(); left != nil {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

func TestRollbackGoesOn(t *testing.T) {
	host := &plantest.Recorder{Fail: map[string]error{
		"ip -4 route delete 0.0.0.0/0 dev wg0 table 51820": syscall.EIO,
		"ip link set mtu 1500 dev wg0":                     syscall.EBUSY,
	}}
	tx := plan.Tx{Host: host.Host()}
	if err := tx.Apply(t.Context(), tunnel()...); err != nil {
		t.Fatal(err)
	}
	err := tx.Rollback(t.Context())
	want := "undo: ip -4 route delete 0.0.0.0/0 dev wg0 table 51820: input/output error\n" +
		"undo: ip link set mtu 1500 dev wg0: device or resource busy"
	if err == nil || err.Error() != want {
		t.Errorf("Rollback: %v\nwant %s", err, want)
	}
	if left := host.Left(); left != nil {
		t.Errorf("left behind: %q", left)
	}
	done := len(host.Lines)
	if err := tx.Rollback(t.Context()); err != nil || len(host.Lines) != done {
		t.Errorf("a second rollback did %q, %v; want nothing", host.Lines[done:], err)
	}
}

// What somebody else removed meanwhile is no failure of a rollback.
func TestRollbackOfWhatIsGone(t *testing.T) {
	host := &plantest.Recorder{}
	tx := plan.Tx{Host: host.Host()}
	if err := tx.Apply(t.Context(), tunnel()...); err != nil {
		t.Fatal(err)
	}
	if err := host.DelLink(t.Context(), "wg0"); err != nil {
		t.Fatal(err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Errorf("Rollback: %v", err)
	}
}

func TestFailingRouteIsNamed(t *testing.T) {
	host := &plantest.Recorder{Fail: map[string]error{"ip -6 route add 2001:db8::/32 dev wg0": syscall.EEXIST}}
	tx := plan.Tx{Host: host.Host()}
	err := tx.Apply(t.Context(), tunnel()...)
	if want := "ip -6 route add 2001:db8::/32 dev wg0: file exists"; err == nil || err.Error() != want {
		t.Errorf("Apply: %v, want %s", err, want)
	}
	if left := host.Left(); slices.ContainsFunc(left, func(s string) bool { return strings.HasPrefix(s, "route") }) {
		t.Errorf("a batch that failed left %q", left)
	}
}

// The firewall's lines are those of the program that the original would call.
func TestFirewallLines(t *testing.T) {
	rules := func(v6 bool) plan.FirewallRules { return plan.FirewallRules{Dev: "wg0", Mark: 51820, V6: v6} }
	tests := map[string]struct {
		op   plan.Op
		want []string
	}{
		"add, nft":           {plan.AddFirewall{FirewallRules: rules(false), Kind: plan.NFT}, []string{"nft -f /dev/fd/63"}},
		"add, nft, IPv6":     {plan.AddFirewall{FirewallRules: rules(true), Kind: plan.NFT}, []string{"nft -f /dev/fd/63"}},
		"add, iptables":      {plan.AddFirewall{FirewallRules: rules(false), Kind: plan.IPTables}, []string{"iptables-restore -n"}},
		"add, iptables, v6":  {plan.AddFirewall{FirewallRules: rules(true), Kind: plan.IPTables}, []string{"ip6tables-restore -n"}},
		"delete, nft":        {plan.DelFirewall{Dev: "wg0", Programs: []string{plan.NFT}}, []string{"nft -f /dev/fd/63"}},
		"delete, every kind": {plan.DelFirewall{Dev: "wg0", Programs: []string{plan.NFT, plan.IPTables, plan.IP6Tables}}, []string{"nft -f /dev/fd/63", "iptables-restore -n", "ip6tables-restore -n"}},
		"delete, none":       {plan.DelFirewall{Dev: "wg0"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := slices.Collect(tt.op.Lines()); !slices.Equal(got, tt.want) {
				t.Errorf("lines %q, want %q", got, tt.want)
			}
		})
	}
}

// What may be gone is no failure, and is put back all the same.
func TestGone(t *testing.T) {
	host := &plantest.Recorder{}
	tx := plan.Tx{Host: host.Host()}
	d := plan.DefaultRoute{Dev: "wg0", Table: 51820, Rules: []plan.Rule{{Mark: 51820, Not: true, Table: 51820}}}
	if err := tx.Apply(t.Context(), plan.Step{Do: plan.AddLink{Dev: "wg0"}}); err != nil {
		t.Fatal(err)
	}
	step := plan.Step{Do: plan.DelDefault{DefaultRoute: d}, Undo: plan.AddDefault{DefaultRoute: d}}
	if err := tx.Apply(t.Context(), step); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Apply: %v, want %v", err, fs.ErrNotExist)
	}
	step.Gone = true
	if err := tx.Apply(t.Context(), step); err != nil {
		t.Errorf("Apply of what may be gone: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil || len(host.Left()) != 3 {
		t.Errorf("Rollback: %v, left %q, want the link, the default route and its rule", err, host.Left())
	}
}

// Both families' rules go with one deletion, and what isn't there is no
// failure of a rollback.
func TestFirewallUndo(t *testing.T) {
	for _, kind := range []string{plan.NFT, plan.IPTables} {
		t.Run(kind, func(t *testing.T) {
			host := &plantest.Recorder{FirewallKind: kind}
			tx := plan.Tx{Host: host.Host()}
			v4 := plan.AddFirewall{FirewallRules: plan.FirewallRules{Dev: "wg0", Mark: 51820}, Kind: kind}
			v6 := v4
			v6.V6 = true
			undo := plan.DelFirewall{Dev: "wg0"}
			other := v4
			other.Dev = "wg1"
			err := tx.Apply(t.Context(), plan.Step{Do: other}, plan.Step{Do: v6, Undo: undo}, plan.Step{Do: v4, Undo: undo})
			if err != nil {
				t.Fatal(err)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Errorf("Rollback: %v", err)
			}
			if got, want := host.Left(), []string{"firewall rules ip wg1"}; !slices.Equal(got, want) {
				t.Errorf("left %q, want %q", got, want)
			}
		})
	}
}

// The lines of every change that concerns a key are free of it.
func TestLinesHaveNoKeys(t *testing.T) {
	key := keys.Key{8, 31: 64}
	op := plan.Configure{Dev: "wg0", Change: &device.Change{
		PrivateKey: device.Some(key),
		Peers:      []device.PeerChange{{PublicKey: key.Public(), PresharedKey: device.Some(key)}},
	}}
	text := fmt.Sprintf("%v %+v %#v %q", op, op, op, slices.Collect(op.Lines()))
	if strings.Contains(text, key.Base64()) {
		t.Errorf("the private key is in %q", text)
	}
}
