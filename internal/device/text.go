// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device

import (
	"net/netip"
	"strconv"
)

// AppendAddr appends a in the spelling of C's inet_ntop, which scripts compare
// with: as netip's, but an IPv6 address of 96 zero bits with something in the
// upper half of the last 32 ends in a dotted quad (::1.2.3.4, ::0.1.0.0).
// A zone follows after "%".
func AppendAddr(b []byte, a netip.Addr) []byte {
	if a.Is6() && !a.Is4In6() {
		s := a.As16()
		if [12]byte(s[:12]) == [12]byte{} && (s[12] != 0 || s[13] != 0) {
			b = append(b, "::"...)
			b = netip.AddrFrom4([4]byte(s[12:])).AppendTo(b)
			if zone := a.Zone(); zone != "" {
				b = append(append(b, '%'), zone...)
			}
			return b
		}
	}
	return a.AppendTo(b)
}

// AppendPrefix appends "ADDRESS/BITS", with [AppendAddr]'s spelling.
func AppendPrefix(b []byte, p netip.Prefix) []byte {
	b = AppendAddr(b, p.Addr())
	b = append(b, '/')
	return strconv.AppendInt(b, int64(p.Bits()), 10)
}

// AppendEndpoint appends "HOST:PORT", an IPv6 address in brackets.
func AppendEndpoint(b []byte, e netip.AddrPort) []byte {
	if e.Addr().Is4() {
		b = e.Addr().AppendTo(b)
	} else {
		b = append(b, '[')
		b = AppendAddr(b, e.Addr())
		b = append(b, ']')
	}
	b = append(b, ':')
	return strconv.AppendUint(b, uint64(e.Port()), 10)
}

// ParsePrefix4 is the short cut for the most frequent form of a prefix: four
// decimal numbers without leading zeros, and a length of one or two digits.
// Host bits stay. It is false for all else, right or wrong.
func ParsePrefix4(s []byte) (netip.Prefix, bool) {
	var a [4]byte
	i := 0
	for field := range 4 {
		n, start := 0, i
		for i < len(s) && '0' <= s[i] && s[i] <= '9' {
			n = n*10 + int(s[i]-'0')
			i++
			if n > 255 {
				return netip.Prefix{}, false
			}
		}
		if i == start || s[start] == '0' && i > start+1 || i == len(s) {
			return netip.Prefix{}, false
		}
		a[field] = byte(n)
		want := byte('.')
		if field == 3 {
			want = '/'
		}
		if s[i] != want {
			return netip.Prefix{}, false
		}
		i++
	}
	n, start := 0, i
	for ; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' || i > start+1 {
			return netip.Prefix{}, false
		}
		n = n*10 + int(s[i]-'0')
	}
	if i == start || n > 32 {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(netip.AddrFrom4(a), n), true
}
