// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package resolve

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
)

// retries is how often a failed look-up is repeated.
type retries int64

const (
	infinite       retries = -1
	defaultRetries retries = 15
)

// readRetries reads [RetriesVariable] once. C's strtoul decides what a number
// is: blanks and a sign may come first, and nothing at all is 0.
func (r *Resolver) readRetries() error {
	if r.read {
		return nil
	}
	value, set := r.lookupEnv(RetriesVariable)
	switch {
	case !set:
		r.retries = defaultRetries
	case value == "infinity":
		r.retries = infinite
	case value == "":
		r.retries = 0
	default:
		n, rest := strtoul(value)
		if rest != "" || n > math.MaxInt32 {
			return &Error{
				line: fmt.Sprintf("Unable to parse %s: `%s'", RetriesVariable, value),
				hint: "the variable is a number of repetitions, such as 15, or infinity",
				env:  true,
			}
		}
		r.retries = retries(n)
	}
	r.read = true
	return nil
}

// service returns the port of a service as getaddrinfo does for UDP: a number
// counts modulo 2^16, but one whose low 32 bits are negative is looked up as
// a name, as is all else.
func (r *Resolver) service(s string) (uint16, bool) {
	if n, rest := strtoul(s); rest == "" && int32(n) >= 0 {
		return uint16(n), true
	}
	return udpService(r.services, s)
}

// udpService looks up a service's name or alias in the services database at
// path, by the exact spelling (services(5)).
func udpService(path, name string) (uint16, bool) {
	f, err := os.Open(path)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		number, proto, _ := strings.Cut(fields[1], "/")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || proto != "udp" {
			continue
		}
		if fields[0] == name || slices.Contains(fields[2:], name) {
			return uint16(port), true
		}
	}
	return 0, false
}

// strtoul is C's strtoul in base 10 for a 64-bit long: it skips blanks, takes
// a sign (which negates modulo 2^64), sticks at the largest value, and returns
// what follows the number. Without any digit nothing is taken off s.
func strtoul(s string) (n uint64, rest string) {
	t := strings.TrimLeft(s, " \t\n\v\f\r")
	negative := false
	if t != "" && (t[0] == '+' || t[0] == '-') {
		negative = t[0] == '-'
		t = t[1:]
	}
	i := 0
	overflow := false
	for ; i < len(t) && '0' <= t[i] && t[i] <= '9'; i++ {
		d := uint64(t[i] - '0')
		if n > (math.MaxUint64-d)/10 {
			overflow = true
		}
		n = n*10 + d
	}
	switch {
	case i == 0:
		return 0, s
	case overflow:
		return math.MaxUint64, t[i:]
	case negative:
		n = -n
	}
	return n, t[i:]
}

// inetAton reads an IPv4 address in the forms of inet_aton(3): one to four
// parts in decimal, octal (0…) or hexadecimal (0x…), of which the last fills
// all bytes that are left.
func inetAton(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var value uint64
	for i, part := range parts {
		if part == "" || part[0] < '0' || part[0] > '9' {
			return netip.Addr{}, false
		}
		base, digits := 10, part
		if len(part) > 1 && part[0] == '0' {
			if base, digits = 8, part[1:]; digits[0] == 'x' || digits[0] == 'X' {
				base, digits = 16, digits[1:]
			}
		}
		n, err := strconv.ParseUint(digits, base, 32)
		if err != nil || strings.Contains(digits, "_") {
			return netip.Addr{}, false
		}
		if i < len(parts)-1 {
			if n > 255 {
				return netip.Addr{}, false
			}
			value |= n << (24 - 8*i)
			continue
		}
		if n > 1<<(32-8*i)-1 {
			return netip.Addr{}, false
		}
		value |= n
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(value))
	return netip.AddrFrom4(b), true
}
