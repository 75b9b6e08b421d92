// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"fmt"
	"math"
	"net/netip"
	"strings"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// ParseKey reads a key of 44 characters. The text of a secret one never gets
// into the error, a [*ValueError].
func ParseKey(s string, secret bool) (keys.Key, error) { return parseKey([]byte(s), secret) }

func parseKey(s []byte, secret bool) (keys.Key, error) {
	k, err := keys.Parse(s)
	if err == nil {
		return k, nil
	}
	shown := quote(s)
	if secret {
		shown = "`(hidden)'"
	}
	e := &ValueError{Line: "Key is not the correct length or format: " + shown}
	switch {
	case len(s) != keys.TextLen:
		e.Reason = fmt.Sprintf("a key has %d characters, this has %d", keys.TextLen, len(s))
	case s[len(s)-1] != '=':
		e.Reason = "a key ends in ="
	default:
		e.Reason = "not base64 of 32 bytes"
	}
	e.Hint = "keys are 44 characters as `wg genkey' and `wg pubkey' print them"
	return k, e
}

// ParseFwmark reads a mark: a decimal or 0x-hexadecimal number of 32 bits, or
// "off" for 0. The error is a [*ValueError].
func ParseFwmark(s string) (uint32, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	digits, base := s, uint64(10)
	if len(s) > 2 && strings.HasPrefix(s, "0x") {
		digits, base = s[2:], 16
	}
	n, ok := number(digits, base, math.MaxUint32)
	if !ok {
		return 0, &ValueError{
			Line:   fmt.Sprintf("Fwmark is neither 0/off nor 0-0xffffffff: `%s'", s),
			Reason: "not a mark",
			Hint:   "a mark is off, a decimal number, or a hexadecimal one such as 0xca6c",
		}
	}
	return uint32(n), nil
}

// ParseKeepalive reads an interval in seconds, up to 65535, or "off" for 0.
// The error is a [*ValueError].
func ParseKeepalive(s string) (uint16, error) {
	if strings.EqualFold(s, "off") {
		return 0, nil
	}
	n, ok := number(s, 10, math.MaxUint16)
	if !ok {
		return 0, &ValueError{
			Line:   fmt.Sprintf("Persistent keepalive interval is neither 0/off nor 1-65535: `%s'", s),
			Reason: "not a number of seconds",
			Hint:   "say 25 to keep a connection open through NAT, or off",
		}
	}
	return uint16(n), nil
}

// number reads digits only, up to limit.
func number(s string, base, limit uint64) (uint64, bool) {
	var n uint64
	for i := range len(s) {
		var d uint64
		switch c := lower(s[i]); {
		case '0' <= c && c <= '9':
			d = uint64(c - '0')
		case 'a' <= c && c <= 'f':
			d = uint64(c-'a') + 10
		default:
			return 0, false
		}
		if d >= base {
			return 0, false
		}
		if n = n*base + d; n > limit {
			return 0, false
		}
	}
	return n, s != ""
}

// AppendAllowedIPs reads one list of allowed IPs, separated by commas, each
// ADDRESS or ADDRESS/BITS; a "+" or "-" before one adds it to what the peer
// has or takes it away. White space doesn't count. replace reports whether the
// list takes the place of what the peer has: always, but for a sign in it.
//
// warn, which may be nil, hears of host bits, which devices drop. The error is
// a [*ValueError].
func AppendAllowedIPs(dst []device.AllowedIP, list string, warn func(Warning)) (ips []device.AllowedIP, replace bool, err error) {
	return appendAllowedIPs(dst, squeeze(nil, []byte(list)), func(_ int, w Warning) {
		if warn != nil {
			warn(w)
		}
	})
}

// squeeze appends b without its white space to dst.
func squeeze(dst, b []byte) []byte {
	for _, c := range b {
		if !isSpace(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

// appendAllowedIPs is [AppendAllowedIPs] for a list without white space; warn
// also gets the offset in the list.
func appendAllowedIPs(dst []device.AllowedIP, list []byte, warn func(int, Warning)) ([]device.AllowedIP, bool, error) {
	replace := true
	if len(list) == 0 {
		return dst, replace, nil
	}
	for start := 0; ; {
		item, rest := list[start:], false
		if i := bytes.IndexByte(item, ','); i >= 0 {
			item, rest = item[:i], true
		}
		var ip device.AllowedIP
		at := start
		if len(item) > 0 && (item[0] == '+' || item[0] == '-') {
			ip.Remove = item[0] == '-'
			replace = false
			item, at = item[1:], at+1
		}
		var err *ValueError
		if ip.Prefix, err = parseAllowedIP(item); err != nil {
			err.Offset += at
			if len(item) == 0 {
				err.Reason = "an address is missing"
				err.Hint = "allowed IPs are separated by single commas, with none at the end"
			}
			return dst, replace, err
		}
		if !ip.IsSingleIP() && ip.Masked() != ip.Prefix {
			warn(at, Warning{
				Text: "Warning: AllowedIP has nonzero host part: " + string(item),
				Hint: fmt.Sprintf("it counts as %s", device.AppendPrefix(nil, ip.Masked())),
			})
		}
		dst = append(dst, ip)
		if !rest {
			return dst, replace, nil
		}
		start = at + len(item) + 1
	}
}

// parseAllowedIP reads ADDRESS or ADDRESS/BITS, as strictly as inet_pton(3).
func parseAllowedIP(item []byte) (netip.Prefix, *ValueError) {
	if p, ok := device.ParsePrefix4(item); ok {
		return p, nil
	}
	address, bits, given := strings.Cut(string(item), "/")
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" || strings.ContainsRune(address, '%') {
		return netip.Prefix{}, badAddress(address)
	}
	n := uint64(addr.BitLen())
	if given {
		var ok bool
		if n, ok = number(bits, 10, n); !ok {
			return netip.Prefix{}, &ValueError{
				Line:   "AllowedIP is not in the correct format: " + quote(item),
				Reason: fmt.Sprintf("%q is no length of a prefix", bits),
				Hint:   fmt.Sprintf("after the / comes a number from 0 to %d", addr.BitLen()),
				Offset: len(address) + 1,
			}
		}
	}
	return netip.PrefixFrom(addr, int(n)), nil
}

func badAddress(s string) *ValueError {
	e := &ValueError{
		Line:   fmt.Sprintf("Unable to parse IP address: `%s'", s),
		Reason: fmt.Sprintf("%q is no IP address", s),
		Hint:   "an allowed IP is an address such as 10.0.0.2 or fd00::2, with a length if it is a network: 10.0.0.0/24",
	}
	switch {
	case strings.Contains(s, "%"):
		e.Hint = "allowed IPs have no zone"
	case strings.HasPrefix(s, "["):
		e.Hint = "allowed IPs have no brackets"
	case strings.ContainsAny(s, ";"):
		e.Hint = "allowed IPs are separated by commas; comments begin with #"
	case strings.Count(s, ".") == 3 && !strings.Contains(s, ":") && strings.ContainsAny(s, "0"):
		e.Hint = "the four numbers go from 0 to 255 and have no leading zeros"
	}
	return e
}
