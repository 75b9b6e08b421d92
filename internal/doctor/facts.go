// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/machine"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// Facts are what is known of a machine and its tunnels.
type Facts struct {
	Now    time.Time
	Unread []string // what couldn't be read, and why

	Kernel       string         // its release
	HasWireGuard bool           // the kernel; if need be it loads the module when asked
	Module       machine.Module // for the kernel; only if it has no WireGuard
	TUN          error          // why the embedded device can't make a link; only asked where it is needed
	Permission   error          // why nothing may be changed; nil if it may

	SysctlReadOnly error // why parameters of the kernel can't be set; nil if they can
	SrcValidMark   bool
	RPFilter       map[string]int // of each link, and of "all", as the files have it

	Resolver     plan.DNSBackend
	ResolverErr  error  // why it doesn't work
	ResolvConf   string // the file, if that is the back end
	Firewall     string
	FirewallErr  error
	Synchronised bool // the clock, by a time service, as far as the kernel knows

	Rules        []routing.Rule
	Policy       *routing.Policy
	Kinds        map[string]string // of all links: "bridge"
	Sockets      []machine.Socket  // bound to ports that tunnels which aren't up want
	Ports        map[string]uint16 // of all WireGuard devices
	KillSwitches []string          // tunnels whose kill switch stands
	Interrupted  []string          // tunnels that came to a sudden end

	Tunnels []Tunnel // those to be examined
}

// A Tunnel is one to be examined: as it is, or if it isn't up as its file has it.
type Tunnel struct {
	Dev        string
	Arg        string       // what wg-quick knows it by: its name, or its file's path
	Exists     bool         // its link
	Up         bool         // its link is
	FileError  string       // why its file can't be used
	Unresolved []Unresolved // endpoints in its file, if it isn't up
	Self       keys.Key     // its own public key, if its file gives that to a peer; else zero
	Device     device.Device
	Peers      []device.Peer
	Names      map[keys.Key]string // of peers, from comments of the file
	Addresses  []netip.Prefix
	MTU        int // bytes
	Table      routing.Table
	ByHand     bool // it is there without a file and without a record of wg-quick
	Apart      bool // its packets to peers go by another network namespace than its link is in
	DNS        bool // name servers come with it

	Routes  []routing.Route // over its link
	Answers []Answer        // where its allowed IPs lead
	Outer   []Outer         // the ways to its endpoints
	Echo    *Echo           // nil: nothing was sent

	RefusedSources uint64 // packets that came in from addresses that aren't their peer's
}

// A Question is about where packets for a part of the allowed IPs go.
type Question struct {
	Allowed netip.Prefix
	Network netip.Prefix // of another link, within Allowed; invalid: all of Allowed
	Address netip.Addr   // in it, whose way tells
}

// An Answer is the kernel's to a Question.
type Answer struct {
	Question
	Way *routing.Way
}

// An Outer is the way to a peer's endpoint.
type Outer struct {
	Peer    int // its index
	Way     *routing.Way
	Refusal error // what came back against a datagram; nil: nothing, or none was sent
}

// An Unresolved is an endpoint whose name can't be looked up.
type Unresolved struct{ Name, Reason string }

// An Echo is what became of echo requests through the tunnel.
type Echo struct {
	To       netip.Addr
	Peer     int   // whose allowed IPs that is in; -1: nobody's
	Err      error // why they couldn't be sent
	Answered bool
	Asked    int // bytes, of the largest
	Largest  int // bytes, of the largest that was answered
}

// most Questions that are asked about a tunnel, and endpoints.
const (
	MostQuestions = 1000
	MostEndpoints = 64
)

// Any addresses of the Internet: nothing is sent there.
var (
	somewhere4 = netip.MustParseAddr("1.1.1.1")
	somewhere6 = netip.MustParseAddr("2606:4700:4700::1111")
)

// Questions returns what to ask about a tunnel's allowed IPs, at most
// [MostQuestions]; routes are those of other links.
func (t *Tunnel) Questions(routes []routing.Route) (list []Question) {
	allowed := map[netip.Prefix]bool{}
	var lengths [2][]int
	for _, p := range t.Peers {
		for _, ip := range p.AllowedIPs {
			ip = ip.Masked()
			if allowed[ip] {
				continue
			}
			allowed[ip] = true
			if f := familyIndex(ip.Addr()); !slices.Contains(lengths[f], ip.Bits()) {
				lengths[f] = append(lengths[f], ip.Bits())
			}
			if t.Up && len(list) < MostQuestions {
				list = append(list, Question{Allowed: ip, Address: t.within(ip)})
			}
		}
	}
	seen := map[netip.Prefix]bool{}
	for _, r := range routes {
		for _, bits := range lengths[familyIndex(r.Dst.Addr())] {
			ip, err := r.Dst.Addr().Prefix(bits)
			if bits == 0 || bits > r.Dst.Bits() || err != nil || !allowed[ip] || r.Dev == t.Dev || seen[r.Dst] || isLinkLocal(r.Dst) {
				continue
			}
			seen[r.Dst] = true
			if len(list) < 2*MostQuestions {
				list = append(list, Question{Allowed: ip, Network: r.Dst, Address: t.within(r.Dst)})
			}
		}
	}
	return list
}

// within returns an address of p that isn't the tunnel's own.
func (t *Tunnel) within(p netip.Prefix) netip.Addr {
	if p.Bits() == 0 {
		if p.Addr().Is4() {
			return somewhere4
		}
		return somewhere6
	}
	a := p.Masked().Addr()
	if p.Addr().BitLen()-p.Bits() > 1 { // the first one is the network's
		a = a.Next()
	}
	own := func(a netip.Addr) bool {
		return slices.ContainsFunc(t.Addresses, func(o netip.Prefix) bool { return o.Addr() == a })
	}
	for b := a; p.Contains(b); b = b.Next() {
		if !own(b) {
			return b
		}
	}
	return a
}

// Candidates returns addresses that may answer echoes through the tunnel:
// those that are most likely a peer's own first, at most four.
func (t *Tunnel) Candidates() (list []netip.Addr) {
	add := func(hosts bool) {
		for _, p := range t.Peers {
			for _, ip := range p.AllowedIPs {
				if ip.Bits() > 0 && (ip.Bits() == ip.Addr().BitLen()) == hosts && len(list) < 4 {
					list = append(list, t.within(ip))
				}
			}
		}
	}
	add(true)
	// What the link's own network has at its beginning is mostly the hub.
	for _, a := range t.Addresses {
		if a.Addr().BitLen()-a.Bits() > 1 && t.Claims(t.within(a)) >= 0 && len(list) < 4 {
			list = append(list, t.within(a))
		}
	}
	add(false)
	unique := list[:0]
	for _, a := range list {
		if !slices.Contains(unique, a) {
			unique = append(unique, a)
		}
	}
	return unique
}

// Claims returns the index of the peer whose allowed IPs an address is in, -1
// if it is in nobody's.
func (t *Tunnel) Claims(a netip.Addr) int {
	peer, bits := -1, -1
	for i, p := range t.Peers {
		for _, ip := range p.AllowedIPs {
			if ip.Contains(a.WithZone("")) && ip.Bits() > bits {
				peer, bits = i, ip.Bits()
			}
		}
	}
	return peer
}

// Loops reports whether a way to an endpoint leads through the tunnel itself.
func (t *Tunnel) Loops(w *routing.Way) bool { return !t.Apart && w.Dev == t.Dev }

// label returns what a peer is called: its name, or else its key.
func (t *Tunnel) label(peer int) string { return labelOf(t.Peers[peer].PublicKey, t.Names) }

func labelOf(k keys.Key, names map[keys.Key]string) string {
	if name := names[k]; name != "" {
		return name + " (" + k.Base64() + ")"
	}
	return k.Base64()
}

// command returns the command line that does something to the tunnel.
func (t *Tunnel) command(verb string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-/"
	arg := t.Arg
	if strings.Trim(arg, plain) != "" {
		arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
	}
	return "wg-quick " + verb + " " + arg
}

// full reports whether default routes of a family belong in the tunnel.
func (t *Tunnel) full(v6 bool) bool {
	for _, p := range t.Peers {
		for _, ip := range p.AllowedIPs {
			if t.Table.Auto() && ip.Bits() == 0 && ip.Addr().Is6() == v6 {
				return true
			}
		}
	}
	return false
}

func familyIndex(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

func isLinkLocal(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() || p.Addr().IsMulticast() }
