// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// problem is what an error that is printed has.
type problem interface {
	Original() []string
	Advice() []string
}

func TestValues(t *testing.T) {
	tests := map[string]struct{ own, want string }{
		"nothing":               {"", "[] auto"},
		"several addresses":     {"Address = 10.7.0.2/24,fd07::2/64 10.8.0.1\nAddress=10.9.0.1/32", "[10.7.0.2/24 fd07::2/64 10.8.0.1/32 10.9.0.1/32] auto"},
		"short forms":           {"Address = 10.7/16, 10", "[10.7.0.0/16 10.0.0.0/32] auto"},
		"a mask":                {"Address = 10.7.0.2/255.255.255.0, 10.0.0.1/0.0.0.0", "[10.7.0.2/24 10.0.0.1/0] auto"},
		"octal and hexadecimal": {"Address = 010.0x10.0.1/0x18, 10.0.0.1/010", "[8.16.0.1/24 10.0.0.1/8] auto"},
		"default":               {"Address = default", "[0.0.0.0/0] auto"},
		"mapped":                {"Address = ::ffff:10.0.0.1", "[::ffff:10.0.0.1/128] auto"},
		"MTU":                   {"MTU = 1300", "[] 1300"},
		"MTU in hexadecimal":    {"MTU = 0x500", "[] 1280"},
		"MTU 0":                 {"MTU = 0", "[] 0"},
		"the last MTU":          {"MTU = 1300\nMTU = 1400", "[] 1400"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tunnel := mustParse(t, "wg0", file(tt.own, "10.50.0.0/16"))
			mtu := "auto"
			if tunnel.MTU.Set {
				mtu = fmt.Sprint(tunnel.MTU.Value)
			}
			if got := fmt.Sprintf("%v %s", tunnel.Addresses, mtu); got != tt.want {
				t.Errorf("%s: got %s, want %s", tt.own, got, tt.want)
			}
		})
	}
}

func TestValueErrors(t *testing.T) {
	inet := func(s string) string { return `Error: inet prefix is expected rather than "` + s + `".` }
	inet6 := func(s string) string { return `Error: inet6 prefix is expected rather than "` + s + `".` }
	tests := map[string]struct{ own, original, at string }{
		"length":        {"Address = 10.0.0.1/24, 10.0.0.2/33", inet("10.0.0.2/33"), "wg0.conf:4:24: Address: "},
		"no length":     {"Address = 10.7.0.2/", inet("10.7.0.2/"), "wg0.conf:4:11: Address: "},
		"name":          {"Address = any", inet("any"), "wg0.conf:4:11: Address: "},
		"five numbers":  {"Address = 10.0.0.0.1", inet("10.0.0.0.1"), "wg0.conf:4:11: Address: "},
		"large number":  {"Address = 10.0.0.256", inet("10.0.0.256"), "wg0.conf:4:11: Address: "},
		"a mask's hole": {"Address = 10.0.0.1/255.0.255.0", inet("10.0.0.1/255.0.255.0"), "wg0.conf:4:11: Address: "},
		"Go's numbers":  {"Address = 1_0.0.0.1", inet("1_0.0.0.1"), "wg0.conf:4:11: Address: "},
		"zone":          {"Address = fe80::1%eth0/64", inet6("fe80::1%eth0/64"), "wg0.conf:4:11: Address: "},
		"IPv6 length":   {"Address = fd00::1/129", inet6("fd00::1/129"), "wg0.conf:4:11: Address: "},
		"MTU":           {"MTU = auto", `Error: argument "auto" is wrong: Invalid "mtu" value`, "wg0.conf:4:7: MTU: "},
		"two MTUs":      {"MTU = 1300 1400", `Error: argument "1300 1400" is wrong: Invalid "mtu" value`, "wg0.conf:4:7: MTU: "},
		"negative MTU":  {"MTU = -1", `Error: argument "-1" is wrong: Invalid "mtu" value`, "wg0.conf:4:7: MTU: "},
		"table":         {"Table = OFF", `Error: argument "OFF" is wrong: "table" value is invalid`, "wg0.conf:4:9: Table: "},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := parse("wg0", file(tt.own, "10.50.0.0/16"))
			var p problem
			if !errors.As(err, &p) {
				t.Fatalf("%s: %v, want a problem", tt.own, err)
			}
			if got := strings.Join(p.Original(), "\n"); got != tt.original {
				t.Errorf("original lines %q, want %q", got, tt.original)
			}
			if got := p.Advice(); len(got) != 2 || !strings.HasPrefix(got[0], tt.at) || !strings.HasPrefix(got[1], "hint: ") {
				t.Errorf("advice %q, want one at %q and a hint", got, tt.at)
			}
		})
	}
}

// All problems of a file are told at once; the original's line is the first's.
func TestSeveralValueErrors(t *testing.T) {
	_, err := parse("wg0", file("Address = x\nMTU = y\nTable = z", "10.50.0.0/16"))
	var p problem
	if !errors.As(err, &p) {
		t.Fatal(err)
	}
	if got := p.Advice(); len(got) != 6 {
		t.Errorf("advice %q, want three problems", got)
	}
	if got := p.Original(); len(got) != 1 || !strings.Contains(got[0], `"x"`) {
		t.Errorf("original %q, want that of the first", got)
	}
}
