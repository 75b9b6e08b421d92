// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"encoding/binary"
	"errors"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/device"
)

// allowedIPs is the rule as it is told, step by step, without any speed: the
// list, what it does to the peer's other ones, and the original's line, "" if
// it takes the list.
func allowedIPs(list string) (ips []device.AllowedIP, replace bool, line string) {
	list = strings.NewReplacer(" ", "", "\t", "", "\n", "", "\v", "", "\f", "", "\r", "").Replace(list)
	if list == "" {
		return nil, true, ""
	}
	replace = true
	for _, item := range strings.Split(list, ",") {
		var ip device.AllowedIP
		switch {
		case strings.HasPrefix(item, "+"):
			replace, item = false, item[1:]
		case strings.HasPrefix(item, "-"):
			replace, item, ip.Remove = false, item[1:], true
		}
		address, length, given := strings.Cut(item, "/")
		addr, ok := inetPton(address)
		if !ok {
			return ips, replace, "Unable to parse IP address: `" + address + "'"
		}
		n := big.NewInt(int64(addr.BitLen()))
		if given {
			if length == "" || strings.Trim(length, "0123456789") != "" {
				return ips, replace, "AllowedIP is not in the correct format: `" + item + "'"
			}
			n.SetString(length, 10)
			if n.Cmp(big.NewInt(int64(addr.BitLen()))) > 0 {
				return ips, replace, "AllowedIP is not in the correct format: `" + item + "'"
			}
		}
		ip.Prefix = netip.PrefixFrom(addr, int(n.Int64()))
		ips = append(ips, ip)
	}
	return ips, replace, ""
}

// inetPton is inet_pton(3): IPv6 if there is a colon, IPv4 otherwise.
func inetPton(s string) (netip.Addr, bool) {
	if !strings.Contains(s, ":") {
		a, ok := inetPton4(s)
		return netip.AddrFrom4(a), ok
	}
	// Groups on either side of the one "::" that there may be.
	left, right, gap := strings.Cut(s, "::")
	if strings.Contains(right, "::") || strings.HasPrefix(right, ":") {
		return netip.Addr{}, false
	}
	head, ok1 := groups(left, !gap)
	tail, ok2 := groups(right, true)
	n := len(head) + len(tail)
	if !ok1 || !ok2 || !gap && n != 8 || gap && n > 7 {
		return netip.Addr{}, false
	}
	var b []byte
	for _, g := range slices.Concat(head, make([]uint16, 8-n), tail) {
		b = binary.BigEndian.AppendUint16(b, g)
	}
	return netip.AddrFrom16([16]byte(b)), true
}

// groups reads what stands between colons; last if it may end in a dotted quad.
func groups(s string, last bool) (list []uint16, ok bool) {
	if s == "" {
		return nil, true
	}
	parts := strings.Split(s, ":")
	for i, p := range parts {
		if last && i == len(parts)-1 && strings.Contains(p, ".") {
			a, ok := inetPton4(p)
			return append(list, binary.BigEndian.Uint16(a[:2]), binary.BigEndian.Uint16(a[2:])), ok
		}
		if len(p) < 1 || len(p) > 4 || strings.Trim(p, "0123456789abcdefABCDEF") != "" {
			return nil, false
		}
		g, _ := new(big.Int).SetString(p, 16)
		list = append(list, uint16(g.Uint64()))
	}
	return list, true
}

func inetPton4(s string) (a [4]byte, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return a, false
	}
	for i, p := range parts {
		if len(p) < 1 || len(p) > 3 || strings.Trim(p, "0123456789") != "" || len(p) > 1 && p[0] == '0' {
			return a, false
		}
		n, _ := new(big.Int).SetString(p, 10)
		if n.Uint64() > 255 {
			return a, false
		}
		a[i] = byte(n.Uint64())
	}
	return a, true
}

// A list means what the rule says, whatever short cuts are taken.
func FuzzAllowedIPs(f *testing.F) {
	for _, s := range []string{
		"", "10.0.0.1", "10.0.0.0/8, +fd00::/16,-::1", "1 0.0.0.1/ 0 8", "::1.2.3.4/127,::ffff:1.2.3.4", "1:2:3:4:5:6:7::", "1::2:3:4:5:6:7:8",
		"00.0.0.0", "1.2.3.4/032", "0001::/0", "00001::", "::1:", ":::", "1.2.3.4/4294967328", "fe80::1%lo/64", ",", "++1.2.3.4", "1.2.3.4//",
		"::1.2.3", "::1.2.3.4:5", "1.2.3.4\r\n", "1.2.3.4/", "256.1.1.1", "1.2.3.4/33", "::/129", "١.2.3.4",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, list string) {
		var warned []string
		got, replace, err := config.AppendAllowedIPs(nil, list, func(w config.Warning) { warned = append(warned, w.Text) })
		want, wantReplace, line := allowedIPs(list)
		if line != "" {
			var v *config.ValueError
			if !errors.As(err, &v) || v.Line != line || v.Offset < 0 || v.Offset > len(list) {
				t.Errorf("AppendAllowedIPs(%q): err = %#v, want %q", list, err, line)
			}
			return
		}
		if err != nil || replace != wantReplace || !slices.Equal(got, want) {
			t.Errorf("AppendAllowedIPs(%q) = %v, %v, %v; want %v, %v", list, got, replace, err, want, wantReplace)
		}
		hosts := 0
		for _, ip := range got {
			if ip.Masked() != ip.Prefix {
				hosts++
			}
		}
		if hosts != len(warned) {
			t.Errorf("AppendAllowedIPs(%q) warned %q, want %d", list, warned, hosts)
		}
	})
}

// The list of the command line grows what is there, and without anybody to
// warn nothing is said.
func TestAppendAllowedIPsAppends(t *testing.T) {
	first, _, err := config.AppendAllowedIPs(nil, "10.0.0.1/8", nil)
	if err != nil {
		t.Fatal(err)
	}
	both, replace, err := config.AppendAllowedIPs(first, "+::1", nil)
	if err != nil || replace || len(both) != 2 || both[0] != first[0] {
		t.Errorf("AppendAllowedIPs = %v, %v, %v", both, replace, err)
	}
}

// What is wrong with a value is told without a place; on the command line
// there is none.
func TestValueErrorSays(t *testing.T) {
	_, err := config.ParseKeepalive("25s")
	e, ok := err.(*config.ValueError)
	if !ok {
		t.Fatalf("err = %v", err)
	}
	got := strings.Join(append(e.Original(), e.Advice()...), "\n")
	want := "Persistent keepalive interval is neither 0/off nor 1-65535: `25s'\nnot a number of seconds\nhint: say 25 to keep a connection open through NAT, or off"
	if got != want {
		t.Errorf("it says:\n%s\nwant:\n%s", got, want)
	}
}

func TestParseKey(t *testing.T) {
	for _, secret := range []bool{false, true} {
		if k, err := config.ParseKey(key, secret); err != nil || k.Base64() != key {
			t.Errorf("ParseKey(%q, %v): %v", key, secret, err)
		}
		for _, in := range []string{"", "x", key[:43], key + "=", " " + key, key[:42] + "9=", strings.ReplaceAll(key2, "+", "-")} {
			shown := in
			if secret {
				shown = "(hidden)"
			}
			if _, err := config.ParseKey(in, secret); err == nil || err.Error() != "Key is not the correct length or format: `"+shown+"'" {
				t.Errorf("ParseKey(%q, %v): err = %v", in, secret, err)
			}
		}
	}
}

func TestWarningSays(t *testing.T) {
	w := config.Warning{Text: "text", Hint: "do this"}
	if got := strings.Join(w.Advice(), "\n"); got != "hint: do this" {
		t.Errorf("on the command line: %q", got)
	}
	w.Pos = config.Pos{File: "f", Line: 3, Col: 4}
	if got := strings.Join(w.Advice(), "\n"); got != "f:3:4: hint: do this" {
		t.Errorf("in a file: %q", got)
	}
}
