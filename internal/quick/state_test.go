// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/plan"
	"wgtools/internal/plan/plantest"
)

func state(mtu int, up bool, addresses, routes string) State {
	s := State{MTU: mtu, Up: up, Routes: plan.RouteSet{Dev: "wg0"}}
	for _, a := range strings.Fields(addresses) {
		s.Addresses = append(s.Addresses, netip.MustParsePrefix(a))
	}
	for _, r := range strings.Fields(routes) {
		s.Routes.Dst = append(s.Routes.Dst, netip.MustParsePrefix(r))
	}
	return s
}

// The difference of two states is what differs, in an order that works, with
// an undo that leads back.
func TestDifference(t *testing.T) {
	tests := map[string]struct {
		have, want State
		lines      string
	}{
		"none": {state(1420, true, "10.0.0.1/24", "10.1.0.0/16"), state(1420, true, "10.0.0.1/24", "10.1.0.0/16"), ""},
		"all":  {State{}, state(1420, true, "10.0.0.1/24", "10.1.0.0/16"), "ip -4 address add 10.0.0.1/24 dev wg0\nip link set mtu 1420 up dev wg0\nip -4 route add 10.1.0.0/16 dev wg0"},
		"another MTU": {state(1420, true, "", ""), state(1380, true, "", ""),
			"ip link set mtu 1380 dev wg0"},
		"routes come and go": {state(1420, true, "", "10.1.0.0/16 10.2.0.0/16"), state(1420, true, "", "10.2.0.0/16 10.3.0.0/16"),
			"ip -4 route add 10.3.0.0/16 dev wg0\nip -4 route delete 10.1.0.0/16 dev wg0"},
		"another address": {state(1420, true, "10.0.0.1/24 fd00::1/64", ""), state(1420, true, "10.0.0.2/24 fd00::1/64", ""),
			"ip -4 address add 10.0.0.2/24 dev wg0\nip -4 address delete 10.0.0.1/24 dev wg0"},
		"an address twice": {State{}, state(0, false, "10.0.0.1/24 10.0.0.1/24", ""),
			"ip -4 address add 10.0.0.1/24 dev wg0\nip -4 address add 10.0.0.1/24 dev wg0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			steps := difference{dev: "wg0"}.steps(tt.have, tt.want)
			var lines []string
			for _, s := range steps {
				lines = slices.AppendSeq(lines, s.Do.Lines())
				if s.Undo == nil {
					t.Errorf("%v has no undo", s.Do)
				}
			}
			if got := strings.Join(lines, "\n"); got != tt.lines {
				t.Errorf("steps:\n%s\nwant:\n%s", got, tt.lines)
			}
			for _, s := range (difference{dev: "wg0", fresh: true}).steps(tt.have, tt.want) {
				if s.Undo != nil {
					t.Errorf("%v of a new link has the undo %v", s.Do, s.Undo)
				}
			}
		})
	}
}

func TestDifferenceIsUndone(t *testing.T) {
	host := &plantest.Recorder{}
	tx := plan.Tx{Host: host.Host()}
	if err := host.AddLink(t.Context(), "wg0"); err != nil {
		t.Fatal(err)
	}
	d := difference{dev: "wg0"}
	first := state(1420, true, "10.0.0.1/24 fd00::1/64", "10.1.0.0/16 10.2.0.0/16")
	second := state(1380, true, "10.0.0.2/24 fd00::1/64", "10.2.0.0/16 fd50::/32")
	if err := tx.Apply(t.Context(), d.steps(State{}, first)...); err != nil {
		t.Fatal(err)
	}
	before := host.Left()
	tx = plan.Tx{Host: host.Host()}
	if err := tx.Apply(t.Context(), d.steps(first, second)...); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(host.Left(), before) {
		t.Error("nothing changed")
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := host.Left(); !slices.Equal(after, before) {
		t.Errorf("after the rollback:\n%q\nwant\n%q", after, before)
	}
}
