// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/routing"
)

// The peer with the longest prefix gets the packet.
func TestClaim(t *testing.T) {
	peers := []device.Peer{
		{PublicKey: keys.Key{1}, AllowedIPs: prefixes("0.0.0.0/0", "::/0")},
		{PublicKey: keys.Key{2}, AllowedIPs: prefixes("10.0.0.9/8", "10.50.1.0/24")},
		{PublicKey: keys.Key{3}, AllowedIPs: prefixes("10.50.0.0/16")},
	}
	for address, want := range map[string]string{"10.50.1.7": "2 10.50.1.0/24", "10.50.2.7": "3 10.50.0.0/16", "10.1.1.1": "2 10.0.0.0/8", "192.0.2.1": "1 0.0.0.0/0", "fe80::1%eth0": "1 ::/0"} {
		c := Claim{To: netip.MustParseAddr(address)}
		for range 2 { // the device changed while it was read
			c.Device(&device.Device{Fwmark: 7})
			for i := range peers {
				c.Peer(&peers[i])
			}
			if got := string('0'+c.Key[0]) + " " + c.Allowed.String(); got != want || !c.Found || c.mark != 7 {
				t.Errorf("%s: %s, want %s", address, got, want)
			}
			if !c.Restart() || c.Found || c.To.String() != address {
				t.Errorf("%s: after a restart it is %+v", address, c)
			}
		}
	}
}

func TestTrace(t *testing.T) {
	inner := func() *routing.Way {
		w := mainWay("10.50.0.1", "10.50.0.0/16", "wg0")
		w.MTU, w.Source = 1420, netip.MustParseAddr("10.7.0.2")
		return w
	}
	outer := func() *routing.Way {
		w := mainWay("203.0.113.7", "0.0.0.0/0", "eth0")
		w.Gateway = netip.MustParseAddr("192.0.2.1")
		return w
	}
	tests := []struct {
		name    string
		change  func(inner, outer *routing.Way, c *Claim)
		result  string // its beginning
		arrives bool
		mtu     int
	}{
		{"well", func(_, _ *routing.Way, _ *Claim) {}, "through wg0 to office (", true, 1420},
		{"a small uplink", func(_, o *routing.Way, _ *Claim) { o.MTU = 1400 }, "through wg0 to office (", true, 1340},
		{"an IPv6 uplink", func(_, o *routing.Way, _ *Claim) { o.To, o.MTU = netip.MustParseAddr("2001:db8::1"), 1400 }, "through wg0 to office (", true, 1320},
		{"past it", func(i, _ *routing.Way, _ *Claim) { i.Dev = "docker0" }, `not through wg0 but docker0: the route 10.50.0.0/16 of the table main, by the rule "32766: from all lookup main"`, false, 1420},
		{"this host", func(i, _ *routing.Way, _ *Claim) { i.Dev, i.Kind = "lo", "local" }, "not through wg0: 10.50.0.1 is an address of this host", false, 1420},
		{"nowhere", func(i, _ *routing.Way, _ *Claim) {
			*i = routing.Way{To: i.To, Refusal: "network is unreachable"}
		}, "it goes nowhere: no table has a route for it (network is unreachable)", false, 0},
		{"refused", func(i, _ *routing.Way, _ *Claim) { i.Dev, i.Kind, i.Refusal = "", "blackhole", "invalid argument" }, "it goes nowhere: it is blackhole: the route 10.50.0.0/16", false, 1420},
		{"no peer", func(_, _ *routing.Way, c *Claim) { c.Found = false }, "it is dropped (ENOKEY): no peer of wg0 has 10.50.0.1 in its allowed IPs", false, 1420},
		{"no endpoint", func(_, _ *routing.Way, c *Claim) { c.Endpoint = netip.AddrPort{} }, "it is dropped (EDESTADDRREQ): ", false, 1420},
		{"no uplink", func(_, o *routing.Way, _ *Claim) { *o = routing.Way{To: o.To, Refusal: "network is unreachable"} }, "it is dropped: there is no way to the endpoint: ", false, 1420},
		{"a loop", func(_, o *routing.Way, _ *Claim) { o.Dev = "wg0" }, "it is dropped (ELOOP): ", false, 1420},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			i, o := inner(), outer()
			c := Claim{To: i.To, Found: true, Key: keys.Key{2}, Allowed: prefixes("10.50.0.0/16")[0], Endpoint: netip.MustParseAddrPort("203.0.113.7:51820"), mark: 51820}
			tt.change(i, o, &c)
			trace, err := NewTrace("wg0", c, map[keys.Key]string{{2}: "office"}, func(to netip.Addr, mark uint32) (*routing.Way, error) {
				if to != c.To || mark != 0 {
					t.Errorf("asks for the way to %v with mark %d", to, mark)
				}
				return i, nil
			}, func(to netip.Addr, mark uint32) (*routing.Way, error) {
				if to != c.Endpoint.Addr() || mark != 51820 {
					t.Errorf("asks for the way to %v with mark %d", to, mark)
				}
				return o, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			mtu, _ := trace.MTU()
			if got := trace.Result(); !strings.HasPrefix(got, tt.result) || trace.Arrives() != tt.arrives || mtu != tt.mtu {
				t.Errorf("%q, %t, MTU %d; want %q, %t, %d", got, trace.Arrives(), mtu, tt.result, tt.arrives, tt.mtu)
			}
			lines := trace.Lines()
			if last := lines[len(lines)-1]; last.Label != "result" || last.Text != trace.Result() {
				t.Errorf("the last line is %+v", last)
			}
			r := trace.Report()
			if r.Arrives != tt.arrives || r.Through != (i.Dev == "wg0") || (r.Peer != nil) != (r.Through && c.Found) || (r.Uplink != nil) != (r.Through && trace.Outer != nil) {
				t.Errorf("the document is %+v", r)
			}
		})
	}
	failed := errors.New("no")
	if _, err := NewTrace("wg0", Claim{}, nil, func(netip.Addr, uint32) (*routing.Way, error) { return nil, failed }, nil); err != failed {
		t.Errorf("error %v, want the kernel's", err)
	}
}
