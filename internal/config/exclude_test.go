// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/config"
)

// list reads prefixes, separated by blanks.
func list(s string) (prefixes []netip.Prefix) {
	for _, word := range strings.Fields(s) {
		prefixes = append(prefixes, netip.MustParsePrefix(word))
	}
	return prefixes
}

func TestExclude(t *testing.T) {
	tests := map[string]struct{ allowed, excluded, want string }{
		"the local network": {"0.0.0.0/0", "192.168.0.0/16", "0.0.0.0/1 128.0.0.0/2 192.0.0.0/9 192.128.0.0/11 192.160.0.0/13 192.169.0.0/16 192.170.0.0/15 " +
			"192.172.0.0/14 192.176.0.0/12 192.192.0.0/10 193.0.0.0/8 194.0.0.0/7 196.0.0.0/6 200.0.0.0/5 208.0.0.0/4 224.0.0.0/3"},
		"both families":     {"::/0 0.0.0.0/0", "8000::/1 0.0.0.0/1", "128.0.0.0/1 ::/1"},
		"the other family":  {"0.0.0.0/0", "::/0", "0.0.0.0/0"},
		"all":               {"10.0.0.0/8 fd00::/8", "0.0.0.0/0 ::/0", ""},
		"nothing":           {"10.0.0.0/8", "", "10.0.0.0/8"},
		"halves become one": {"10.128.0.0/9 10.0.0.0/9", "11.0.0.0/8", "10.0.0.0/8"},
		"host bits":         {"10.1.2.3/30", "10.1.2.2/31", "10.1.2.0/31"},
		"the first and last": {"0.0.0.0/0", "0.0.0.0/32 255.255.255.255/32 128.0.0.0/1", "0.0.0.1/32 0.0.0.2/31 0.0.0.4/30 0.0.0.8/29 0.0.0.16/28 0.0.0.32/27 0.0.0.64/26 0.0.0.128/25 " +
			"0.0.1.0/24 0.0.2.0/23 0.0.4.0/22 0.0.8.0/21 0.0.16.0/20 0.0.32.0/19 0.0.64.0/18 0.0.128.0/17 0.1.0.0/16 0.2.0.0/15 0.4.0.0/14 0.8.0.0/13 0.16.0.0/12 0.32.0.0/11 " +
			"0.64.0.0/10 0.128.0.0/9 1.0.0.0/8 2.0.0.0/7 4.0.0.0/6 8.0.0.0/5 16.0.0.0/4 32.0.0.0/3 64.0.0.0/2"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := config.Exclude(list(tt.allowed), list(tt.excluded)); !slices.Equal(got, list(tt.want)) {
				t.Errorf("Exclude = %v", got)
			}
		})
	}
}

// What is left has exactly the addresses that it should, in the fewest
// prefixes: no two of them are one, and they are sorted.
func FuzzExclude(f *testing.F) {
	f.Add([]byte{0, 10, 0, 0, 0, 8, 1, 10, 9, 0, 0, 16, 2, 10, 9, 9, 9, 0})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255, 32, 1, 0, 0, 0, 0, 32})
	f.Fuzz(func(t *testing.T, b []byte) {
		var allowed, excluded []netip.Prefix
		var asked []netip.Addr
		// Six bytes are a prefix, IPv4 or the end of an IPv6 one, or an address to ask for.
		for ; len(b) >= 6; b = b[6:] {
			a := netip.AddrFrom4([4]byte(b[1:5]))
			bits := int(b[5]) % 33
			if b[0]&4 != 0 {
				a, bits = netip.AddrFrom16([16]byte{0: 0xfd, 12: b[1], 13: b[2], 14: b[3], 15: b[4]}), 96+bits
			}
			switch p := netip.PrefixFrom(a, bits); b[0] & 3 {
			case 0:
				allowed = append(allowed, p)
			case 1:
				excluded = append(excluded, p)
			}
			asked = append(asked, a, netip.PrefixFrom(a, bits).Masked().Addr(), a.Next(), a.Prev())
		}
		in := func(list []netip.Prefix, a netip.Addr) bool {
			return slices.ContainsFunc(list, func(p netip.Prefix) bool { return p.Contains(a) })
		}
		got := config.Exclude(allowed, excluded)
		for _, a := range asked {
			if a.IsValid() && in(got, a) != (in(allowed, a) && !in(excluded, a)) {
				t.Errorf("%v without %v: %v is wrong in %v", allowed, excluded, a, got)
			}
		}
		for i, p := range got {
			if i == 0 {
				continue
			}
			before := got[i-1]
			if before.Overlaps(p) || before.Addr().Compare(p.Addr()) >= 0 {
				t.Errorf("%v without %v: %v before %v", allowed, excluded, before, p)
			}
			if before.Bits() == p.Bits() && before.Bits() > 0 {
				if whole, _ := before.Addr().Prefix(before.Bits() - 1); whole.Contains(p.Addr()) {
					t.Errorf("%v without %v: %v and %v are one", allowed, excluded, before, p)
				}
			}
		}
		outside := config.Outside(allowed, excluded)
		for _, p := range excluded {
			want := !slices.ContainsFunc(allowed, p.Overlaps)
			if got := slices.Contains(outside, p); got != want {
				t.Errorf("Outside(%v, %v) has %v: %v", allowed, excluded, p, got)
			}
		}
	})
}

// manyExcluded is a peer without n single addresses.
func manyExcluded(n int) []byte {
	b := []byte("[Interface]\n[Peer]\nPublicKey = " + key + "\nAllowedIPs = 0.0.0.0/0\n")
	for i := range n {
		var a [4]byte
		binary.BigEndian.PutUint32(a[:], uint32(i)*2654435761)
		b = fmt.Appendf(b, "ExcludedIPs = %v\n", netip.AddrFrom4(a))
	}
	return b
}

func BenchmarkExclude(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		src := manyExcluded(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if _, err := config.Decode("f", src, config.Options{Dialect: config.Quick}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
