// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package routing

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func prefixes(list string) (ps []netip.Prefix) {
	for _, s := range strings.Fields(list) {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}

func tables(name string) (uint32, bool) {
	n, ok := map[string]uint32{"main": 254, "vpn": 42, "7": 100}[name]
	return n, ok
}

func TestRoutes(t *testing.T) {
	tests := map[string]struct {
		table, allowed, onLink string
		want                   string // "" is no route; the number is the table
	}{
		"long prefixes first, both families mixed, ties by descending text": {
			allowed: "10.7.0.9/32 10.0.0.0/8 9.0.0.0/8 10.50.0.0/16 100.64.0.0/10 10.50.1.0/24 " +
				"fd50::/32 fd50:1::/48 172.16.0.0/12 192.168.0.0/16 fd51::1/128",
			onLink: "10.7.0.0/24",
			want: "fd51::1/128 fd50:1::/48 fd50::/32 10.50.1.0/24 192.168.0.0/16 10.50.0.0/16 " +
				"172.16.0.0/12 100.64.0.0/10 9.0.0.0/8 10.0.0.0/8 table 0",
		},
		"10.2 before 10.1":                    {allowed: "10.1.0.0/16 10.2.0.0/16", want: "10.2.0.0/16 10.1.0.0/16 table 0"},
		"letters before digits":               {allowed: "fd5::/32 fdab::/32", want: "fdab::/32 fd5::/32 table 0"},
		"covered by an address's route":       {allowed: "10.7.0.0/24 10.7.0.5/32", onLink: "10.7.0.0/24"},
		"not covered by a host address":       {allowed: "10.7.0.0/24 10.7.0.5/32", want: "10.7.0.5/32 10.7.0.0/24 table 0"},
		"not covered by a longer one":         {allowed: "10.7.0.0/16", onLink: "10.7.0.0/24", want: "10.7.0.0/16 table 0"},
		"not covered by the other family":     {allowed: "::/1", onLink: "0.0.0.0/1", want: "::/1 table 0"},
		"one network of two peers":            {allowed: "10.0.0.0/8 10.0.0.0/8", want: "10.0.0.0/8 table 0"},
		"host bits count as the network":      {allowed: "10.1.2.3/8", want: "10.0.0.0/8 table 0"},
		"off":                                 {table: "off", allowed: "10.0.0.0/8 0.0.0.0/0"},
		"auto":                                {table: "auto", allowed: "10.0.0.0/8", want: "10.0.0.0/8 table 0"},
		"a table takes all, covered ones too": {table: "1234", allowed: "10.7.0.0/24 0.0.0.0/0 ::/0", onLink: "10.7.0.0/24", want: "10.7.0.0/24 ::/0 0.0.0.0/0 table 1234"},
		"a table in hexadecimal":              {table: "0x4d2", allowed: "10.0.0.0/8", want: "10.0.0.0/8 table 1234"},
		"a table by name":                     {table: "vpn", allowed: "10.0.0.0/8", want: "10.0.0.0/8 table 42"},
		"a name wins over a number":           {table: "7", allowed: "10.0.0.0/8", want: "10.0.0.0/8 table 100"},
		"table 0 is main":                     {table: "0", allowed: "10.0.0.0/8", want: "10.0.0.0/8 table 0"},
		"the largest table":                   {table: "4294967295", allowed: "10.0.0.0/8", want: "10.0.0.0/8 table 4294967295"},
		"default routes are another matter":   {allowed: "10.0.0.0/8 0.0.0.0/0 ::/0", want: "10.0.0.0/8 table 0"},
		"halves of the internet are ordinary": {allowed: "0.0.0.0/1 128.0.0.0/1", want: "128.0.0.0/1 0.0.0.0/1 table 0"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			table, err := ParseTable(tt.table, tables)
			if err != nil {
				t.Fatal(err)
			}
			set := Routes(table, "wg0", prefixes(tt.allowed), prefixes(tt.onLink))
			got := ""
			if len(set.Dst) > 0 {
				got = fmt.Sprintf("%s table %d", strings.Trim(fmt.Sprint(set.Dst), "[]"), set.Table)
			}
			if got != tt.want {
				t.Errorf("Routes(%q):\n got %s\nwant %s", tt.allowed, got, tt.want)
			}
		})
	}
}

func TestParseTableErrors(t *testing.T) {
	for _, s := range []string{"Off", "OFF", "Auto", "-1", "99999999999", "all", "1_000", "12x", " 1"} {
		if table, err := ParseTable(s, tables); err == nil {
			t.Errorf("ParseTable(%q) = %+v, want an error", s, table)
		}
	}
}

func TestDefaultRoutes(t *testing.T) {
	tests := []struct {
		table, allowed string
		v4, v6         bool
	}{
		{"", "10.0.0.0/8 0.0.0.0/0 ::/0", true, true},
		{"auto", "::/0", false, true},
		{"", "0.0.0.0/0 10.0.0.0/8", true, false},
		{"", "0.0.0.0/1 128.0.0.0/1", false, false},
		{"off", "0.0.0.0/0", false, false},
		{"254", "0.0.0.0/0", false, false},
	}
	for _, tt := range tests {
		table, err := ParseTable(tt.table, tables)
		if err != nil {
			t.Fatal(err)
		}
		if v4, v6 := DefaultRoutes(table, prefixes(tt.allowed)); v4 != tt.v4 || v6 != tt.v6 {
			t.Errorf("DefaultRoutes(table %q, %s) = %t, %t; want %t, %t", tt.table, tt.allowed, v4, v6, tt.v4, tt.v6)
		}
	}
}

func TestLinkMTU(t *testing.T) {
	tests := []struct {
		paths    []int
		fallback int
		want     int
	}{
		{nil, 1500, 1420},
		{nil, 1492, 1412},
		{nil, 0, 1420},
		{[]int{1400}, 1500, 1320},
		{[]int{1400, 9000, 1500}, 1500, 1320},
		{[]int{9000}, 1500, 8920},
		{[]int{0, 9000}, 1500, 8920},
		{[]int{0}, 1492, 1412},
		{[]int{65536}, 1500, 65456},
		{nil, 140, 60},
	}
	for _, tt := range tests {
		if got := LinkMTU(tt.paths, tt.fallback); got != tt.want {
			t.Errorf("LinkMTU(%v, %d) = %d, want %d", tt.paths, tt.fallback, got, tt.want)
		}
	}
}

// Many allowed IPs take time in proportion, not its square.
func TestManyRoutes(t *testing.T) {
	var allowed []netip.Prefix
	for i := range 100_000 {
		allowed = append(allowed, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32))
	}
	set := Routes(Table{}, "wg0", allowed, allowed[:50_000])
	if len(set.Dst) != 50_000 || slices.ContainsFunc(set.Dst, func(p netip.Prefix) bool { return p.Compare(allowed[50_000]) < 0 }) {
		t.Errorf("%d routes, want the 50000 that aren't there", len(set.Dst))
	}
}
