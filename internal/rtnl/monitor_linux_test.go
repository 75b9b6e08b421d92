// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The kernel's changes that matter are told, each of them.
func TestMonitor(t *testing.T) {
	run(t, func(*Kernel) {
		ip(t, "link set wg0 up")
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		changes, err := Monitor(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, args := range []string{
			"link set wg0 mtu 1300", "link set wg0 down", "link set wg0 up",
			"address add 10.8.0.2/24 dev wg0", "address delete 10.8.0.2/24 dev wg0",
			"rule add not fwmark 51820 table 51820", "rule delete not fwmark 51820 table 51820",
			"-6 rule add not fwmark 51820 table 51820",
			"route add default dev wg0", "route delete default dev wg0", "route add default dev wg0 table 51820",
		} {
			for len(changes) > 0 {
				<-changes
			}
			ip(t, args)
			select {
			case <-changes:
			case <-time.After(10 * time.Second):
				t.Errorf("nothing is told of ip %s", args)
			}
		}
	})
}

func TestMatters(t *testing.T) {
	message := func(kind uint16, body ...byte) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
		b = binary.NativeEndian.AppendUint16(b, kind)
		b = append(b, make([]byte, unix.SizeofNlMsghdr-len(b))...)
		return append(b, body...)
	}
	route := func(bits, table byte) []byte {
		return append([]byte{unix.AF_INET, bits, 0, 0, table}, make([]byte, 7)...)
	}
	link := func(family byte) []byte { return append([]byte{family}, make([]byte, 15)...) }
	tests := map[string]struct {
		messages []byte
		want     bool
	}{
		"nothing":                    {nil, false},
		"a default route":            {message(unix.RTM_NEWROUTE, route(0, unix.RT_TABLE_MAIN)...), true},
		"one that goes":              {message(unix.RTM_DELROUTE, route(0, 0)...), true},
		"a route":                    {message(unix.RTM_NEWROUTE, route(24, unix.RT_TABLE_MAIN)...), false},
		"the host's own":             {message(unix.RTM_NEWROUTE, route(0, unix.RT_TABLE_LOCAL)...), false},
		"a link":                     {message(unix.RTM_NEWLINK, link(unix.AF_UNSPEC)...), true},
		"a bridge's port":            {message(unix.RTM_NEWLINK, link(unix.AF_BRIDGE)...), false},
		"a rule":                     {message(unix.RTM_DELRULE, make([]byte, 12)...), true},
		"an address":                 {message(unix.RTM_NEWADDR, make([]byte, 8)...), true},
		"a route, then a rule":       {append(message(unix.RTM_NEWROUTE, route(24, 0)...), message(unix.RTM_NEWRULE, make([]byte, 12)...)...), true},
		"a route that is cut short":  {message(unix.RTM_NEWROUTE, 2), true},
		"a message that is cut":      {message(unix.RTM_NEWROUTE, route(24, 0)...)[:20], true},
		"less than a header":         {make([]byte, 5), true},
		"a length below a header's":  {make([]byte, 16), true},
		"a route and something else": {append(message(unix.RTM_NEWROUTE, route(24, 0)...), 1, 2), true},
	}
	for name, tt := range tests {
		if got := matters(tt.messages); got != tt.want {
			t.Errorf("%s: %t, want %t", name, got, tt.want)
		}
	}
}
