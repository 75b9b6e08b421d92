// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/plan"
)

// upFull brings up a full tunnel, and empties the screen.
func upFull(t *testing.T, own, allowed string) *world {
	t.Helper()
	w := newWorld()
	w.paths = map[string]int{"192.0.2.1": 1500}
	if err := w.session().Up(t.Context(), mustParse(t, "wg0", file(own, allowed+"\nEndpoint = 192.0.2.1:51820"))); err != nil {
		t.Fatal(err)
	}
	w.screen = nil
	return w
}

// What others took is put back; what is whole isn't touched, and what isn't ours
// to decide neither.
func TestRepair(t *testing.T) {
	tests := map[string]struct {
		own, allowed string
		others       func(w *world)
		moved        bool
		want         string
	}{
		"nothing":                         {own: everything, allowed: both, moved: true},
		"nothing, with excluded networks": {own: everything, allowed: both + "\nExcludedIPs = 203.0.113.0/24", moved: true},
		"a rule goes": {own: everything, allowed: both, others: func(w *world) { w.without(true) }, want: `[!] Changed by others: the rules of the default route, removed. Put right.
[#] ip -6 route add ::/0 dev wg0 table 51821
[#] ip -6 rule add table main suppress_prefixlength 0
[#] ip -6 rule add not fwmark 51820 table 51821
[#] ip -4 route add 0.0.0.0/0 dev wg0 table 51821
[#] ip -4 rule add table main suppress_prefixlength 0
[#] ip -4 rule add not fwmark 51820 table 51821
[#] ip -4 rule delete not fwmark 51820 table 51820 priority 32765
[#] ip -4 rule delete table main suppress_prefixlength 0 priority 32764
[#] ip -4 route delete 0.0.0.0/0 dev wg0 table 51820
[#] ip -6 rule delete not fwmark 51820 table 51820 priority 32765
[#] ip -6 route delete ::/0 dev wg0 table 51820
`},
		"the firewall": {own: everything, allowed: both, others: func(w *world) { w.DelRules(t.Context(), "wg0") }, want: `[!] Changed by others: the packet filter's rules, removed. Put right.
[#] nft -f /dev/fd/63
[#] nft -f /dev/fd/63
`},
		"the parameter": {own: everything, allowed: both, others: func(w *world) { w.Sysctls["net.ipv4.conf.all.src_valid_mark"] = "0" }, want: `[!] Changed by others: net.ipv4.conf.all.src_valid_mark, no longer 1. Put right.
[#] sysctl -q net.ipv4.conf.all.src_valid_mark=1
`},
		"the kill switch": {own: "Address = 10.7.0.2/24\nKillSwitch = lan", allowed: "10.50.0.0/16", others: func(w *world) { delete(w.Closed, "wg0") }, want: `[!] Changed by others: the kill switch, removed. Put right.
[#] nft -f /dev/fd/63 # KillSwitch = lan
`},
		"forwarding": {own: "Address = 10.7.0.2/24\nForward = true\nMasquerade = true", allowed: "10.50.0.0/16",
			others: func(w *world) { w.Sysctls["net.ipv4.ip_forward"] = "0"; w.DelMasquerade(t.Context(), "wg0") }, want: `[!] Changed by others: net.ipv4.ip_forward, no longer 1. Put right.
[!] Changed by others: the masquerade, removed. Put right.
[#] sysctl -q net.ipv4.ip_forward=1
[#] nft -f /dev/fd/63 # Masquerade = true
`},
		"the way gets narrower": {own: "Address = 10.7.0.2/24", allowed: "10.50.0.0/16", moved: true,
			others: func(w *world) { w.paths["192.0.2.1"] = 1400 }, want: `[!] The way to the peers has changed: the MTU is 1320 instead of 1420.
[#] ip link set mtu 1320 dev wg0
`},
		"nobody says that it does":  {own: "Address = 10.7.0.2/24", allowed: "10.50.0.0/16", others: func(w *world) { w.paths["192.0.2.1"] = 1400 }},
		"the file says which":       {own: "Address = 10.7.0.2/24\nMTU = 1420", allowed: "10.50.0.0/16", moved: true, others: func(w *world) { w.paths["192.0.2.1"] = 1400 }},
		"somebody has chosen":       {own: "Address = 10.7.0.2/24", allowed: "10.50.0.0/16", moved: true, others: func(w *world) { w.paths["192.0.2.1"] = 1400; w.live.MTU = 1300 }},
		"there is no way any more":  {own: "Address = 10.7.0.2/24", allowed: "10.50.0.0/16", moved: true, others: func(w *world) { w.paths, w.defMTU = nil, 0; w.live.MTU = 1320; w.baselines["wg0"].MTU = 1320 }},
		"it came to a sudden end":   {own: everything, allowed: both, others: func(w *world) { w.without(true); w.records["wg0"].Phase = "going" }},
		"another link of that name": {own: everything, allowed: both, others: func(w *world) { w.without(true); w.index++ }},
		"it is another program's":   {own: everything, allowed: both, others: func(w *world) { w.without(true); delete(w.records, "wg0") }},
		"the link was set down":     {own: everything, allowed: both, others: func(w *world) { w.without(true); w.linkDown = true }},
		"routes of split tunnels may go": {own: "Address = 10.7.0.2/24", allowed: "10.50.0.0/16", moved: true, others: func(w *world) {
			w.DelRoutes(t.Context(), plan.RouteSet{Dev: "wg0", Dst: []netip.Prefix{netip.MustParsePrefix("10.50.0.0/16")}})
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := upFull(t, tt.own, tt.allowed)
			if tt.others != nil {
				tt.others(w)
			}
			w.screen = nil
			planned := w.session().Rehearsal()
			if err := planned.Repair(t.Context(), "wg0", tt.moved); err != nil {
				t.Errorf("planned: %v", err)
			}
			would := strings.Join(w.screen, "\n")
			w.screen = nil
			if err := w.session().Repair(t.Context(), "wg0", tt.moved); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(w.screen, "\n"); got != strings.TrimSpace(tt.want) || got != would {
				t.Errorf("it printed\n%s\nwant\n%s\nplanned was\n%s", got, tt.want, would)
			}
			w.screen = nil
			if tt.moved {
				return // the model's link has its MTU of before
			}
			if err := w.session().Repair(t.Context(), "wg0", tt.moved); err != nil || len(w.screen) > 0 {
				t.Errorf("a second time: %v, it printed\n%s", err, strings.Join(w.screen, "\n"))
			}
		})
	}
}

// without takes the rules of a family's default route away, as others do.
func (w *world) without(v6 bool) {
	for _, d := range w.records["wg0"].Defaults {
		if d.V6 == v6 {
			if err := w.DelDefault(context.Background(), d); err != nil {
				panic(err)
			}
		}
	}
}

// Each step of a repair fails in turn: all is as it was.
func TestRepairIsAllOrNothing(t *testing.T) {
	w := upFull(t, everything, both)
	w.without(true)
	w.Lines = nil
	if err := w.session().Repair(t.Context(), "wg0", false); err != nil {
		t.Fatal(err)
	}
	steps := w.Lines
	if len(steps) < 5 {
		t.Fatalf("steps %q", steps)
	}
	for _, line := range steps {
		t.Run(line, func(t *testing.T) {
			w := upFull(t, everything, both)
			w.without(true)
			before, record := w.Left(), *w.records["wg0"]
			w.Fail = map[string]error{line: syscall.EIO}
			err := w.session().Repair(t.Context(), "wg0", false)
			// What removes isn't tried when it undoes.
			if !errors.Is(err, syscall.EIO) {
				t.Errorf("Repair: %v, want EIO", err)
			}
			if got := w.Left(); !slices.Equal(got, before) {
				t.Errorf("there is %q\nbefore there was %q", got, before)
			}
			if got := w.records["wg0"]; got.Phase != record.Phase {
				t.Errorf("on record is %v, before it was %v", got, record)
			}
		})
	}
}
