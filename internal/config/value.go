// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"net/netip"
	"slices"
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

// checkEndpoint tells whether s has the form HOST:PORT, which it must have
// before anything is looked up. The error is a [*ValueError].
func checkEndpoint(s []byte) error {
	e := &ValueError{
		Reason: "expected HOST:PORT",
		Hint:   "an endpoint is HOST:PORT, such as vpn.example.org:51820 or [2001:db8::1]:51820",
	}
	if s[0] == '[' {
		end := bytes.IndexByte(s, ']')
		switch {
		case end < 0:
			e.Line = "Unable to find matching brace of endpoint: " + quote(s)
			return e
		case end+2 < len(s) && s[end+1] == ':':
			return nil
		}
	} else if i := bytes.LastIndexByte(s, ':'); i >= 0 && i < len(s)-1 {
		return nil
	}
	e.Line = "Unable to find port of endpoint: " + quote(s)
	return e
}

// AppendAllowedIPs reads one list of allowed IPs, separated by commas, each
// ADDRESS or ADDRESS/BITS; a "+" or "-" before one adds it to what the peer
// has or takes it away. White space doesn't count. replace reports whether the
// list takes the place of what the peer has: always, but for a sign in it.
//
// warn, which may be nil, hears of host bits, which devices drop. The error is
// a [*ValueError].
func AppendAllowedIPs(dst []device.AllowedIP, list string, warn func(Warning)) (ips []device.AllowedIP, replace bool, err error) {
	return appendAllowedIPs(dst, []byte(list), func(_ int, w Warning) {
		if warn != nil {
			warn(w)
		}
	})
}

// appendAllowedIPs is [AppendAllowedIPs]; warn also gets the offset in the list.
func appendAllowedIPs(dst []device.AllowedIP, list []byte, warn func(int, Warning)) ([]device.AllowedIP, bool, error) {
	replace := true
	if len(trim(list)) == 0 {
		return dst, replace, nil
	}
	for start := 0; start >= 0; {
		item, next := list[start:], -1
		if i := bytes.IndexByte(item, ','); i >= 0 {
			item, next = item[:i], start+i+1
		}
		item = trim(item)
		whole, at := item, cap(list)-cap(item)
		if hasSpace(item) {
			item = squeeze(nil, item)
		}
		var ip device.AllowedIP
		if len(item) > 0 && (item[0] == '+' || item[0] == '-') {
			ip.Remove = item[0] == '-'
			replace = false
			item, at = item[1:], at+1
		}
		var err *ValueError
		if ip.Prefix, err = parseAllowedIP(item); err != nil {
			switch {
			case len(item) == 0:
				err.Reason = "an address is missing"
				err.Hint = "allowed IPs are separated by single commas, with none at the end"
			case allAllowedIPs(whole):
				err.Hint, err.Offset = "allowed IPs are separated by commas", 0
			}
			err.Offset += at
			return dst, replace, err
		}
		if !ip.IsSingleIP() && ip.Masked() != ip.Prefix {
			warn(at, Warning{
				Text: "Warning: AllowedIP has nonzero host part: " + string(item),
				Hint: fmt.Sprintf("it counts as %s", device.AppendPrefix(nil, ip.Masked())),
			})
		}
		dst = append(dst, ip)
		start = next
	}
	return dst, replace, nil
}

// parseAllowedIP reads ADDRESS or ADDRESS/BITS, as strictly as inet_pton(3).
func parseAllowedIP(item []byte) (netip.Prefix, *ValueError) {
	if p, ok := device.ParsePrefix4(item); ok {
		return p, nil
	}
	address, length, given := strings.Cut(string(item), "/")
	addr, err := netip.ParseAddr(address)
	if err != nil || strings.Contains(address, "%") { // no zones here
		return netip.Prefix{}, badAddress(address)
	}
	n := uint64(addr.BitLen())
	if given {
		var ok bool
		if n, ok = number(length, 10, n); !ok {
			return netip.Prefix{}, badLength(item, addr, length)
		}
	}
	return netip.PrefixFrom(addr, int(n)), nil
}

// allAllowedIPs reports whether s is a list that lacks its commas.
func allAllowedIPs(s []byte) bool {
	words := bytes.Fields(s)
	return len(words) > 1 && !slices.ContainsFunc(words, func(word []byte) bool {
		_, err := parseAllowedIP(word)
		return err != nil
	})
}

func badLength(item []byte, addr netip.Addr, length string) *ValueError {
	e := &ValueError{
		Line:   "AllowedIP is not in the correct format: " + quote(item),
		Reason: shown(length) + " is no length of a prefix",
		Hint:   fmt.Sprintf("after the / comes a number from 0 to %d", addr.BitLen()),
		Offset: bytes.IndexByte(item, '/') + 1,
	}
	if mask, err := netip.ParseAddr(length); err == nil && mask.Is4() && addr.Is4() {
		m := binary.BigEndian.Uint32(mask.AsSlice())
		if ones := bits.LeadingZeros32(^m); m == ^uint32(0)<<(32-ones) {
			e.Hint = fmt.Sprintf("a netmask is written as its length here: /%d", ones)
		}
	}
	return e
}

func badAddress(s string) *ValueError {
	e := &ValueError{
		Line:   "Unable to parse IP address: " + quote([]byte(s)),
		Reason: shown(s) + " is no IP address",
		Hint:   "an allowed IP is an address such as 10.0.0.2 or fd00::2, with a length if it is a network: 10.0.0.0/24",
	}
	bare := strings.Trim(s, "[]")
	_, portErr := netip.ParseAddrPort(s)
	_, bracketErr := netip.ParseAddr(bare)
	first, last, _ := strings.Cut(s, "-")
	_, firstErr := netip.ParseAddr(first)
	_, lastErr := netip.ParseAddr(last)
	switch {
	case strings.Contains(s, `\`):
		e.Hint = "a line can't go on in the next one: repeat the key there"
	case strings.Contains(s, ";"):
		e.Hint = "allowed IPs are separated by commas; comments begin with #"
	case portErr == nil:
		e.Hint = "allowed IPs have no port"
	case bracketErr == nil && bare != s:
		e.Hint = "allowed IPs have no brackets"
	case strings.Contains(s, "%"):
		e.Hint = "allowed IPs have no zone"
	case firstErr == nil && lastErr == nil:
		e.Hint = "a range is written as networks, such as 10.0.0.0/24"
	case strings.Trim(s, "0123456789.") == "" && strings.Count(s, ".") == 3:
		e.Hint = "the four numbers go from 0 to 255 and have no leading zeros"
	case strings.Trim(s, "0123456789.") == "" && s != "":
		e.Hint = "an IPv4 address has four numbers"
	case !strings.Contains(s, ":") && strings.Trim(s, "0123456789.*") != "":
		e.Hint = "allowed IPs are addresses, not names"
	}
	return e
}
