// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"testing"
	"testing/fstest"
)

func TestTableNumber(t *testing.T) {
	root := fstest.MapFS{
		"etc/iproute2/rt_tables":            {Data: []byte("# names\n255\tlocal\n0x64 hex # a comment\n7 x y\n42 vpn\nabc bad\n")},
		"etc/iproute2/rt_tables.d/a.conf":   {Data: []byte("43 more")},
		"etc/iproute2/rt_tables.d/a.txt":    {Data: []byte("44 hidden")},
		"usr/share/iproute2/rt_tables":      {Data: []byte("1 vpn\n2 vendor\n")},
		"usr/lib/iproute2/rt_tables.d/conf": {Data: []byte("3 no")},
	}
	tests := map[string]uint32{
		"vpn": 42, "hex": 100, "more": 43, "vendor": 2, "local": 255, "main": 254, "default": 253,
		"x": 0, "bad": 0, "hidden": 0, "no": 0, "VPN": 0, "": 0, "42": 0,
	}
	for name, want := range tests {
		if n, ok := tableNumber(root, name); n != want || ok != (want != 0) {
			t.Errorf("tableNumber(%q) = %d, %t; want %d", name, n, ok, want)
		}
	}
}
