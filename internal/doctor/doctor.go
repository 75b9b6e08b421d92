// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package doctor says what is the matter with a machine and its tunnels, from
// facts that others read: which way a packet takes ([Trace]), and what is
// wrong, why, and the command that mends it ([Examine]). It reads nothing and
// changes nothing.
package doctor

import (
	"fmt"
	"slices"

	"wgtools/internal/keys"
)

// A Severity says how bad a finding is.
type Severity string

// The severities there are.
const (
	OK      Severity = "ok"
	Warning Severity = "warning" // it may be meant so
	Problem Severity = "problem" // something doesn't work, or won't
	Unknown Severity = "unknown" // it couldn't be looked at
)

// A Finding is what one check found.
type Finding struct {
	Severity Severity
	Check    string   // its name
	Code     string   // of what is wrong, as docs/doctor.md has it; "" if nothing is
	Dev      string   // the tunnel's; "" for the machine
	Peer     keys.Key // whom it is about; zero: nobody
	What     string
	Why      string   // "" if What says all
	Mend     []string // commands, or what to do elsewhere
}

// A Check looks for one kind of fault.
type Check struct {
	Name  string
	Asks  string   // what it asks
	Codes []string // of its findings

	machine func(f *Facts) []Finding
	tunnel  func(f *Facts, t *Tunnel) []Finding
}

// Checks are all that there are, in their order.
var Checks = []Check{
	{"module", "does the kernel have WireGuard?", []string{"module-absent"}, module, nil},
	{"tun", "can the embedded device make its link, where the kernel has no WireGuard?", []string{"tun-unusable"}, tun, nil},
	{"permission", "may links, addresses and routes be changed?", []string{"no-net-admin"}, permission, nil},
	{"sysctl", "can parameters of the kernel be set, as full tunnels need?", []string{"sysctl-read-only"}, sysctl, nil},
	{"resolver", "which back end takes the name servers of tunnels, and does it work?", []string{"resolver-broken"}, resolver, nil},
	{"firewall", "which packet filter takes the rules of full tunnels?", []string{"firewall-absent"}, firewall, nil},
	{"clock", "is the clock right? Peers refuse handshakes of an earlier time than the last one's", []string{"clock-early", "clock-back", "clock-unsynchronised"}, clock, nil},
	{"record", "is something left of a tunnel that came to a sudden end?", []string{"left-over"}, record, nil},
	{"kill-switch", "does a kill switch block the net?", []string{"kill-switch-alone", "kill-switch-other"}, killSwitch, killSwitchOther},
	{"file", "can the tunnel's file be understood?", []string{"file-bad"}, nil, file},
	{"link", "is the tunnel's link up?", []string{"link-down"}, nil, link},
	{"port", "is the ListenPort free, for a tunnel that isn't up?", []string{"port-taken"}, nil, port},
	{"endpoint", "is there a way to the peers' endpoints, and does anybody there refuse?",
		[]string{"endpoint-name", "endpoint-no-route", "endpoint-loop", "endpoint-refused", "endpoint-unreachable", "endpoint-forbidden"}, nil, endpoint},
	{"handshake", "do the peers answer?",
		[]string{"handshake-no-key", "handshake-self", "handshake-unanswered", "handshake-unfinished", "handshake-old"}, nil, handshake},
	{"allowed-ips", "do routes and allowed IPs fit each other, on both sides?",
		[]string{"route-missing", "route-unclaimed", "allowed-ips-none", "source-refused", "one-way"}, nil, allowedIPs},
	{"clash", "do rules, tables, marks or networks of others come before the tunnel's?",
		[]string{"clash-mark", "clash-table", "clash-nested", "clash-full-tunnel", "clash-rule", "clash-network"}, nil, clash},
	{"reverse-path", "does the kernel's reverse path filter let the packets in?", []string{"reverse-path", "reverse-path-inside"}, nil, reversePath},
	{"mtu", "do packets of the link's size come through?", []string{"mtu-black-hole", "mtu-fragments", "mtu-below-ipv6"}, nil, mtu},
}

// Examine makes all checks, the machine's first, and returns what they found:
// at least one finding for each.
func Examine(f *Facts) (list []Finding) {
	for i := range Checks {
		if c := &Checks[i]; c.machine != nil {
			list = append(list, c.label("", c.machine(f))...)
		}
	}
	for i := range f.Tunnels {
		t := &f.Tunnels[i]
		for j := range Checks {
			if c := &Checks[j]; c.tunnel != nil {
				list = append(list, c.label(t.Dev, limited(c.tunnel(f, t)))...)
			}
		}
	}
	for _, text := range f.Unread {
		list = append(list, Finding{Severity: Unknown, Check: "facts", What: text})
	}
	return list
}

func (c *Check) label(dev string, list []Finding) []Finding {
	for i := range list {
		list[i].Check = c.Name
		if list[i].Dev == "" {
			list[i].Dev = dev
		}
	}
	return list
}

// most is how many findings of one code a tunnel may have: a hub can have very
// many peers with the same fault.
const most = 5

// limited leaves out what goes beyond that, and says so.
func limited(list []Finding) (kept []Finding) {
	count := map[string]int{}
	for _, f := range list {
		if count[f.Code]++; f.Code == "" || count[f.Code] <= most {
			kept = append(kept, f)
		}
	}
	for i := range kept {
		code := kept[i].Code
		last := !slices.ContainsFunc(kept[i+1:], func(f Finding) bool { return f.Code == code })
		if n := count[code] - most; code != "" && n > 0 && last {
			kept[i].What += fmt.Sprintf("; and %d more such", n)
		}
	}
	return kept
}

// Count returns how many findings have that severity.
func Count(list []Finding, s Severity) (n int) {
	for _, f := range list {
		if f.Severity == s {
			n++
		}
	}
	return n
}

func well(format string, args ...any) []Finding {
	return []Finding{{Severity: OK, What: fmt.Sprintf(format, args...)}}
}

// orWell is list, or if nothing was found that all is well.
func orWell(list []Finding, format string, args ...any) []Finding {
	if len(list) > 0 {
		return list
	}
	return well(format, args...)
}
