// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package routing

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/plan"
)

// policy reads rules as ip-rule(8) prints them, much shortened:
// "32765 not 51820 lookup 51820", "32764 main nodefault", "100 other".
func policy(t *testing.T, v6 bool, lines ...string) *Policy {
	t.Helper()
	p := &Policy{Used: map[uint32]bool{}}
	for _, line := range lines {
		p.Rules = append(p.Rules, parseRule(t, v6, line))
	}
	return p
}

func parseRule(t *testing.T, v6 bool, line string) plan.Rule {
	t.Helper()
	r := plan.Rule{V6: v6}
	f := strings.Fields(line)
	number := func(s string) (n uint32) {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatalf("%q in %q: %v", s, line, err)
		}
		return n
	}
	r.Priority = number(f[0])
	for f = f[1:]; len(f) > 0; f = f[1:] {
		switch f[0] {
		case "not":
			r.Not, r.Mark, f = true, number(f[1]), f[1:]
		case "mark":
			r.Mark, f = number(f[1]), f[1:]
		case "lookup":
			r.Table, f = number(f[1]), f[1:]
		case "main":
			r.Table = plan.MainTable
		case "nodefault":
			r.NoDefault = true
		case "other":
		default:
			t.Fatalf("%q in %q", f[0], line)
		}
	}
	return r
}

// How the kernel has the rules of a new namespace.
var fresh = []string{"0 lookup 255", "32766 main", "32767 lookup 253"}

func TestChooseMark(t *testing.T) {
	over := func(dev string, table uint32, v6 bool) Default { return Default{V6: v6, Table: table, Dev: dev} }
	tests := map[string]struct {
		used        []uint32
		defaults    []Default
		current     uint32
		v4, v6      bool
		mark, table uint32
	}{
		"first":                                {v4: true, v6: true, mark: 51820, table: 51820},
		"taken in any family":                  {used: []uint32{51820, 51821}, v4: true, mark: 51822, table: 51822},
		"the file's":                           {used: []uint32{51820}, current: 0x1234, v4: true, mark: 0x1234, table: 0x1234},
		"the file's, whose table has routes":   {used: []uint32{99}, current: 99, v4: true, mark: 99, table: 99},
		"the file's, another tunnel's too":     {used: []uint32{99}, defaults: []Default{over("wg0", 99, false)}, current: 99, v4: true, mark: 99, table: 51820},
		"another tunnel's in the other family": {used: []uint32{99}, defaults: []Default{over("wg0", 99, true)}, current: 99, v4: true, mark: 99, table: 99},
		"the number of the main table":         {used: []uint32{254}, current: 254, v6: true, mark: 254, table: 51820},
		"the number of the local table":        {current: 255, v6: true, mark: 255, table: 51820},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := policy(t, false, fresh...)
			for _, n := range tt.used {
				p.Used[n] = true
			}
			p.Defaults = tt.defaults
			mark, table, err := ChooseMark(p, tt.current, tt.v4, tt.v6)
			if mark != tt.mark || table != tt.table || err != nil {
				t.Errorf("got mark %d, table %d, %v; want %d, %d", mark, table, err, tt.mark, tt.table)
			}
		})
	}
}

func TestDefaultOver(t *testing.T) {
	tests := map[string]struct {
		rules []string
		want  []string
	}{
		"alone": {fresh, []string{"32764 main nodefault", "32765 not 51825 lookup 51825"}},
		"below a rule of the user's": {[]string{"0 lookup 255", "100 other", "32766 main"},
			[]string{"98 main nodefault", "99 not 51825 lookup 51825"}},
		"beside another full tunnel, neither's packets go through the other": {
			[]string{"0 lookup 255", "32764 main nodefault", "32765 not 51820 lookup 51820", "32766 main"},
			[]string{"32760 mark 51825 main", "32761 mark 51820 main", "32762 main nodefault", "32763 not 51825 lookup 51825"}},
		"beside two": {
			[]string{"0 lookup 255", "10 mark 51821 main", "11 mark 51820 main", "12 main nodefault", "13 not 51821 lookup 51821", "32764 main nodefault", "32765 not 51820 lookup 51820", "32766 main"},
			[]string{"5 mark 51825 main", "6 mark 51821 main", "7 mark 51820 main", "8 main nodefault", "9 not 51825 lookup 51825"}},
		"beside one with the same mark": {
			[]string{"0 lookup 255", "32764 main nodefault", "32765 not 51825 lookup 99", "32766 main"},
			[]string{"32762 main nodefault", "32763 not 51825 lookup 51825"}},
		// At one priority the kernel has them in the order in which they were added.
		"no room":     {[]string{"0 lookup 255", "1 other", "32766 main"}, []string{"0 main nodefault", "0 not 51825 lookup 51825"}},
		"little room": {[]string{"0 lookup 255", "2 other", "32766 main"}, []string{"0 main nodefault", "1 not 51825 lookup 51825"}},
		"no rules":    {nil, []string{"0 main nodefault", "0 not 51825 lookup 51825"}},
	}
	for name, tt := range tests {
		for _, v6 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/v6 %t", name, v6), func(t *testing.T) {
				p := policy(t, v6, tt.rules...)
				p.Rules = append(p.Rules, policy(t, !v6, "5 not 7 lookup 7").Rules...) // the other family's
				want := plan.DefaultRoute{Dev: "wg5", V6: v6, Table: 51825, Rules: policy(t, v6, tt.want...).Rules}
				if got := DefaultOver(p, "wg5", v6, 51825, 51825); !reflect.DeepEqual(got, want) {
					t.Errorf("got %+v, want %+v", got, want)
				}
			})
		}
	}
}

// The rules of a tunnel that somebody else brought up are found by its mark,
// or by its routes; those of others stay.
func TestDefaultsOf(t *testing.T) {
	full := []string{"0 lookup 255", "32762 main nodefault", "32763 not 51821 lookup 51821", "32764 main nodefault", "32765 not 51820 lookup 51820", "32766 main"}
	tests := map[string]struct {
		rules  []string
		mark   uint32
		routes map[uint32]string // the devices of default routes, by table
		want   []string
	}{
		"none":                           {rules: fresh, mark: 51820},
		"by its mark":                    {rules: full, mark: 51820, want: full[3:5]},
		"the other one":                  {rules: full, mark: 51821, want: full[1:3]},
		"a number that begins like it":   {rules: full, mark: 5182},
		"by its route, the mark cleared": {rules: full, routes: map[uint32]string{51820: "wg0", 51821: "wg1"}, want: full[3:5]},
		"after another one took the common rule": {rules: []string{"0 lookup 255", "32763 not 51820 lookup 51820", "32766 main"}, mark: 51820,
			want: []string{"32763 not 51820 lookup 51820"}},
		"a user's rule to the table": {rules: append([]string{"0 lookup 255", "50 lookup 51820"}, full[3:]...), mark: 51820, want: full[3:5]},
		"a user's rule above":        {rules: []string{"0 lookup 255", "32764 mark 7 main nodefault", "32765 not 51820 lookup 51820"}, mark: 51820, want: []string{"32765 not 51820 lookup 51820"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := policy(t, true, tt.rules...)
			for table, dev := range tt.routes {
				p.Defaults = append(p.Defaults, Default{V6: true, Table: table, Dev: dev})
			}
			var got, want []plan.Rule
			for _, d := range DefaultsOf(p, "wg0", tt.mark) {
				got = append(got, d.Rules...)
			}
			want = policy(t, true, tt.want...).Rules
			if !slices.Equal(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
