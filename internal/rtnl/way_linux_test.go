// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/routing"
)

// What decides about a packet is named as ip(8) would.
func TestWay(t *testing.T) {
	tests := []struct {
		name     string
		commands []string
		to       string
		mark     uint32
		want     string
	}{
		{"a route of the main table", nil, "10.50.1.1", 0,
			"32766: from all lookup main | main 10.50.0.0/16 unicast | dev wg0 via none from 10.7.0.2 mtu 1400 | "},
		{"the default route", nil, "203.0.113.7", 0,
			"32766: from all lookup main | main 0.0.0.0/0 unicast | dev eth0 via 192.0.2.1 from 192.0.2.2 mtu 1500 | "},
		{"a route's own MTU", []string{"route add 203.0.113.0/24 via 192.0.2.9 mtu 1300"}, "203.0.113.7", 0,
			"32766: from all lookup main | main 203.0.113.0/24 unicast | dev eth0 via 192.0.2.9 from 192.0.2.2 mtu 1300 | "},
		{"an address of the host's", nil, "10.7.0.2", 0,
			"0: from all lookup local | local 10.7.0.2/32 local | dev lo via none from 10.7.0.2 mtu 65536 | "},
		{"a full tunnel", []string{"route add default dev wg0 table 51820", "rule add not fwmark 51820 table 51820", "rule add table main suppress_prefixlength 0"}, "203.0.113.7", 0,
			"32765: not from all fwmark 0xca6c lookup 51820 | 51820 0.0.0.0/0 unicast | dev wg0 via none from 10.7.0.2 mtu 1400 | "},
		{"its own packets", []string{"route add default dev wg0 table 51820", "rule add not fwmark 51820 table 51820", "rule add table main suppress_prefixlength 0"}, "203.0.113.7", 51820,
			"32766: from all lookup main | main 0.0.0.0/0 unicast | dev eth0 via 192.0.2.1 from 192.0.2.2 mtu 1500 | "},
		{"the LAN beside it", []string{"route add default dev wg0 table 51820", "rule add not fwmark 51820 table 51820", "rule add table main suppress_prefixlength 0"}, "192.0.2.9", 0,
			"32764: from all lookup main suppress_prefixlength 0 | main 192.0.2.0/24 unicast | dev eth0 via none from 192.0.2.2 mtu 1500 | "},
		{"a masked mark", []string{"route add default dev wg0 table 52", "rule add priority 5210 fwmark 0x80000/0xff0000 table 52"}, "203.0.113.7", 0x80001,
			"5210: from all fwmark 0x80000/0xff0000 lookup 52 | 52 0.0.0.0/0 unicast | dev wg0 via none from 10.7.0.2 mtu 1400 | "},
		{"a rule that is jumped over", []string{"route add default dev wg0 table 52", "rule add priority 100 goto 300", "rule add priority 200 to 203.0.113.9 table 52", "rule add priority 300 table 52"}, "203.0.113.9", 0,
			"300: from all lookup 52 | 52 0.0.0.0/0 unicast | dev wg0 via none from 10.7.0.2 mtu 1400 | "},
		{"rules that are not for it", []string{"route add default dev wg0 table 52", "rule add priority 100 from 10.0.0.0/8 table 52", "rule add priority 101 iif wg0 table 52",
			"rule add priority 102 ipproto tcp table 52", "rule add priority 103 to 10.0.0.0/8 table 52"}, "203.0.113.9", 0,
			"32766: from all lookup main | main 0.0.0.0/0 unicast | dev eth0 via 192.0.2.1 from 192.0.2.2 mtu 1500 | "},
		{"another user's rule", []string{"rule add priority 104 uidrange 7-8 table 52", "route add default dev wg0 table 52"}, "203.0.113.9", 0,
			"32766: from all lookup main | main 0.0.0.0/0 unicast | dev eth0 via 192.0.2.1 from 192.0.2.2 mtu 1500 | "},
		{"an unreachable route", []string{"route add unreachable 203.0.113.0/24"}, "203.0.113.7", 0,
			"32766: from all lookup main | main 203.0.113.0/24 unreachable | dev  via none from none mtu 0 | no route to host"},
		{"a route that throws", []string{"route add throw 203.0.113.0/24", "route delete default"}, "203.0.113.7", 0,
			" |  none  | dev  via none from none mtu 0 | network is unreachable"},
		{"a rule that refuses", []string{"rule add priority 100 to 203.0.113.0/24 prohibit"}, "203.0.113.7", 0,
			"100: from all to 203.0.113.0/24 |  none prohibit | dev  via none from none mtu 0 | permission denied"},
		{"no route", []string{"route delete default"}, "203.0.113.7", 0,
			" |  none  | dev  via none from none mtu 0 | network is unreachable"},
		{"IPv6", nil, "fd50::1", 0,
			"32766: from all lookup main | main fd50::/32 unicast | dev wg0 via none from fd07::2 mtu 1400 | "},
		{"IPv6, refused", []string{"-6 route add unreachable fd60::/32"}, "fd60::1", 0,
			"32766: from all lookup main | main fd60::/32 unreachable | dev  via none from none mtu 0 | no route to host"},
		{"IPv6, none", nil, "2001:db8::1", 0,
			" |  none  | dev  via none from none mtu 0 | network is unreachable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.Contains(strings.Join(tt.commands, " "), "uidrange") && exec.Command("setpriv", "--reuid=7", "true").Run() != nil {
				t.Skip("there is no other user in this user namespace")
			}
			run(t, func(k *Kernel) {
				for _, c := range append([]string{
					"link add eth0 type veth peer name eth1", "link set eth0 addrgenmode none", "link set eth0 up", "link set eth1 up", "link set wg0 mtu 1400 up",
					"address add 192.0.2.2/24 dev eth0", "route add default via 192.0.2.1", "address add 10.7.0.2/24 dev wg0",
					"-6 address add fd07::2/64 dev wg0 nodad", "route add 10.50.0.0/16 dev wg0", "-6 route add fd50::/32 dev wg0",
				}, tt.commands...) {
					ip(t, c)
				}
				w, err := k.Way(t.Context(), netip.MustParseAddr(tt.to), tt.mark)
				if err != nil {
					t.Fatal(err)
				}
				table, route, orNone := "", "none", func(a netip.Addr) string {
					if a.IsValid() {
						return a.String()
					}
					return "none"
				}
				if w.Table != 0 {
					table = routing.TableName(w.Table)
				}
				if w.Route.IsValid() {
					route = w.Route.String()
				}
				got := fmt.Sprintf("%s | %s %s %s | dev %s via %s from %s mtu %d | %s", w.Rule.Text, table, route, w.Kind, w.Dev, orNone(w.Gateway), orNone(w.Source), w.MTU, w.Refusal)
				if got != tt.want {
					t.Errorf("the way is\n%s\nwant\n%s", got, tt.want)
				}
			})
		})
	}
}

// The permission to change something is told without a change.
func TestPermitted(t *testing.T) {
	run(t, func(k *Kernel) {
		if err := k.Permitted(t.Context()); err != nil {
			t.Errorf("as root of the namespace: %v", err)
		}
	})
}

// Rules of any form, routes and links are read as they are.
func TestRulesRoutesKinds(t *testing.T) {
	run(t, func(k *Kernel) {
		for _, c := range []string{"link set wg0 up", "link add br7 type bridge", "link set br7 addrgenmode none", "route add 10.50.0.0/16 dev wg0", "route add 10.51.0.0/16 dev wg0 table 77", "route add 10.53.0.0/16 dev peer0",
			"route add unreachable 10.52.0.0/16", "rule add priority 90 fwmark 0x80000/0xff0000 lookup 52", "rule add priority 91 not fwmark 7 lookup 77", "-6 rule add priority 92 from fd00::/8 lookup 77"} {
			ip(t, c)
		}
		rules, err := k.Rules(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := map[uint32]routing.Rule{
			90: {Priority: 90, Mark: 0x80000, Mask: 0xff0000, Table: 52, Text: "90: from all fwmark 0x80000/0xff0000 lookup 52"},
			91: {Priority: 91, Mark: 7, Mask: ^uint32(0), Not: true, Table: 77, Text: "91: not from all fwmark 0x7 lookup 77"},
			92: {V6: true, Priority: 92, Table: 77, Text: "92: from fd00::/8 lookup 77"},
		}
		for _, r := range rules {
			if w, ok := want[r.Priority]; ok && r != w {
				t.Errorf("rule %+v, want %+v", r, w)
			}
			delete(want, r.Priority)
		}
		if len(want) > 0 {
			t.Errorf("not read: %+v", want)
		}
		routes, err := k.Routes(t.Context(), func(r routing.Route) bool { return r.Dev == "wg0" && r.Dst.Addr().Is4() })
		for _, want := range []routing.Route{{Table: 254, Dst: prefix1("10.50.0.0/16"), Dev: "wg0"}, {Table: 77, Dst: prefix1("10.51.0.0/16"), Dev: "wg0"}} {
			if err != nil || len(routes) != 2 || !slices.Contains(routes, want) {
				t.Errorf("routes %+v, %v", routes, err)
			}
		}
		kinds, err := k.Kinds(t.Context())
		if err != nil || kinds["wg0"] != "veth" || kinds["br7"] != "bridge" {
			t.Errorf("kinds %v, %v", kinds, err)
		}
	})
}

func TestByMark(t *testing.T) {
	for _, tt := range []struct {
		rule routing.Rule
		mark uint32
		want bool
	}{
		{routing.Rule{Mark: 0x80000, Mask: 0xff0000}, 0x80001, true},
		{routing.Rule{Mark: 0x80000, Mask: 0xff0000}, 51820, false},
		{routing.Rule{Mark: 51820, Mask: ^uint32(0), Not: true}, 51820, false},
		{routing.Rule{Mark: 51820, Mask: ^uint32(0), Not: true}, 51821, true},
		{routing.Rule{}, 51820, false},
	} {
		if got := tt.rule.ByMark(tt.mark); got != tt.want {
			t.Errorf("%+v takes %#x: %t, want %t", tt.rule, tt.mark, got, tt.want)
		}
	}
}
