// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"wgtools/internal/keys"
	"wgtools/internal/routing"
)

func file(_ *Facts, t *Tunnel) []Finding {
	if t.FileError == "" {
		return well("nothing is against its file")
	}
	return []Finding{{Severity: Problem, Code: "file-bad", What: "its file can't be used: " + t.FileError, Mend: []string{t.command("check") + " # tells all that is wrong in it"}}}
}

func link(_ *Facts, t *Tunnel) []Finding {
	switch {
	case t.Up:
		return well("its link is up")
	case !t.Exists:
		return well("it isn't up: what its file says is examined")
	}
	return []Finding{{Severity: Problem, Code: "link-down", What: "its link is there, but down: nothing goes through", Mend: []string{"ip link set up dev " + t.Dev, t.command("reload") + " # the routes went with it"}}}
}

func port(f *Facts, t *Tunnel) (list []Finding) {
	own := t.Device.ListenPort
	if t.Exists || own == 0 {
		if own == 0 {
			return well("it takes any port that is free")
		}
		return well("it has UDP port %d", own)
	}
	who := ""
	for dev, n := range f.Ports {
		if n == own && dev != t.Dev {
			who = "the tunnel `" + dev + "'"
		}
	}
	for _, s := range f.Sockets {
		switch {
		case s.Port != own || who != "":
		case s.Process != "":
			who = fmt.Sprintf("%s (process %d)", s.Process, s.PID)
		default:
			who = "the kernel, or a process in another container"
		}
	}
	if who == "" {
		return well("UDP port %d is free", own)
	}
	return []Finding{{Severity: Problem, Code: "port-taken", What: fmt.Sprintf("UDP port %d, its ListenPort, is taken by %s", own, who),
		Mend: []string{fmt.Sprintf("ss -ulpn 'sport = :%d' # shows who has it: end that, or change ListenPort here and Endpoint at the peers", own)}}}
}

func endpoint(_ *Facts, t *Tunnel) (list []Finding) {
	for _, u := range t.Unresolved {
		list = append(list, Finding{
			Severity: Problem, Code: "endpoint-name", What: fmt.Sprintf("the endpoint %s can't be looked up: %s", u.Name, u.Reason),
			Mend: []string{"getent ahosts " + hostOf(u.Name) + " # is the name right, and does any other one resolve?"},
		})
	}
	for i := range t.Outer {
		o := &t.Outer[i]
		p := &t.Peers[o.Peer]
		at := fmt.Sprintf("the endpoint %v of %s", p.Endpoint, t.label(o.Peer))
		found := Finding{Severity: Problem, Peer: p.PublicKey}
		switch {
		case !o.Way.Goes():
			found.Code, found.What = "endpoint-no-route", fmt.Sprintf("there is no way to %s: %s", at, o.Way.Refusal)
			found.Why = refusedBy(o.Way)
			found.Mend = []string{fmt.Sprintf("ip %s route add %v via GATEWAY", familyFlag(p.Endpoint.Addr().Is6()), p.Endpoint.Addr())}
			if p.Endpoint.Addr().Is6() {
				found.Mend = append(found.Mend, "or, without IPv6 to the Internet, give its IPv4 address as Endpoint")
			}
		case t.Loops(o.Way):
			found.Code, found.What = "endpoint-loop", fmt.Sprintf("the way to %s leads through the tunnel itself: %s", at, decision(o.Way))
			found.Why = "a tunnel's own packets have to leave by another link"
			if t.full(p.Endpoint.Addr().Is6()) {
				found.Mend = []string{t.command("reload") + " # sets the mark and the rules that lead past the tunnel"}
			} else {
				found.Mend = []string{fmt.Sprintf("ip %s route add %v via GATEWAY # of the uplink; or take that address out of AllowedIPs", familyFlag(p.Endpoint.Addr().Is6()), p.Endpoint.Addr())}
			}
		case errors.Is(o.Refusal, syscall.ECONNREFUSED):
			found.Code, found.What = "endpoint-refused", "the machine at "+at+" answers that nobody listens at that port"
			found.Mend = []string{"on the peer: wg show all listen-port # is the port that belongs in Endpoint; wg-quick up, if it has none"}
		case errors.Is(o.Refusal, syscall.EPERM):
			found.Code, found.What = "endpoint-forbidden", "a packet filter of this host forbids what is sent to "+at
			found.Mend = []string{fmt.Sprintf("nft list ruleset # or iptables -S OUTPUT: let UDP to %v out", p.Endpoint)}
		case o.Refusal != nil:
			found.Code, found.What = "endpoint-unreachable", fmt.Sprintf("%s can't be reached: %v", at, o.Refusal)
			found.Why = "by " + uplink(o.Way)
			found.Mend = []string{fmt.Sprintf("ip neighbour show dev %s # FAILED: nobody has that address there; is the cable in, the gateway right, the peer on?", o.Way.Dev)}
		default:
			continue
		}
		list = append(list, found)
	}
	if len(t.Outer) == 0 {
		return orWell(list, "no peer has an endpoint: all of them have to call")
	}
	return orWell(list, "there is a way to each endpoint that was looked at: %d", len(t.Outer))
}

func hostOf(endpoint string) string {
	host, _, err := net.SplitHostPort(endpoint)
	if err != nil {
		return endpoint
	}
	return host
}

// Session is how long a handshake's keys hold (WireGuard's REJECT_AFTER_TIME).
const Session = 180 * time.Second

func handshake(f *Facts, t *Tunnel) (list []Finding) {
	if !t.Self.IsZero() {
		list = append(list, Finding{
			Severity: Problem, Code: "handshake-self", Peer: t.Self, What: fmt.Sprintf("the peer %s has the tunnel's own public key: it is left out, and there is never a handshake", labelOf(t.Self, t.Names)),
			Mend: []string{"on the peer: wg show all public-key # is what belongs in PublicKey"},
		})
	}
	if !t.Exists {
		return orWell(list, "it isn't up")
	}
	if !t.Device.PrivateKey.Set || t.Device.PrivateKey.Value.IsZero() {
		return append(list, Finding{Severity: Problem, Code: "handshake-no-key", What: "it has no private key: there can be no handshake", Mend: []string{"wg set " + t.Dev + " private-key FILE", "or put PrivateKey into its file, then: " + t.command("reload")}})
	}
	cutOff := map[keys.Key]bool{} // a way is missing: there is no need to look for more
	for _, found := range endpoint(f, t) {
		cutOff[found.Peer] = true
	}
	answered, waiting, untried := 0, 0, 0
	for i := range t.Peers {
		p := &t.Peers[i]
		age := f.Now.Sub(time.Unix(p.LatestHandshake.Sec, p.LatestHandshake.Nsec))
		echoed := t.Echo != nil && t.Echo.Peer == i && !t.Echo.Answered && t.Echo.Err == nil
		found := Finding{Severity: Problem, Peer: p.PublicKey}
		switch {
		case p.LatestHandshake.IsZero() && p.ReceivedBytes > 0:
			found.Code, found.What = "handshake-unfinished", fmt.Sprintf("%s calls, but there was never a handshake", t.label(i))
			found.Why = "either the two sides' PresharedKey differ, or our answers don't reach it"
			found.Mend = []string{"compare PresharedKey on both sides", "on the peer's side, let UDP from here in"}
		case cutOff[p.PublicKey] && p.ReceivedBytes == 0:
			untried++
			continue
		case p.LatestHandshake.IsZero() && p.Endpoint.IsValid() && p.SentBytes > 0:
			found.Code, found.What = "handshake-unanswered", fmt.Sprintf("%s has never answered: %d bytes were sent to %v, none came back", t.label(i), p.SentBytes, p.Endpoint)
			found.Why = "the peer doesn't know our key, or has another one than PublicKey says, or PresharedKey differs; or the address or port is wrong, or a firewall is in between; or our clock went back"
			found.Mend = []string{
				"on the peer: wg show # has it a peer with our key " + ownKey(t) + ", and is its own key the PublicKey here?",
				fmt.Sprintf("on the peer: tcpdump -ni any udp port %d # does anything arrive?", p.Endpoint.Port()),
			}
		case p.LatestHandshake.IsZero() && !p.Endpoint.IsValid():
			waiting++
			continue
		case p.LatestHandshake.IsZero():
			untried++
			continue
		case age > Session && (p.PersistentKeepalive > 0 || echoed):
			found.Code, found.What = "handshake-old", fmt.Sprintf("%s answers no more: the last handshake was %s ago", t.label(i), age.Round(time.Second))
			found.Why = "packets are sent to it meanwhile"
			found.Mend = []string{
				"is the peer on, and its address still " + endpointText(p.Endpoint.IsValid(), p.Endpoint.String()) + "? A name is looked up again by: " + t.command("reload"),
				fmt.Sprintf("on the peer: tcpdump -ni any udp port %d # does anything arrive?", p.Endpoint.Port()),
			}
		default:
			answered++
			continue
		}
		list = append(list, found)
	}
	return orWell(list, "peers that answered: %d; that have to call first: %d; that nothing is sent to yet: %d", answered, waiting, untried)
}

func endpointText(known bool, text string) string {
	if known {
		return text
	}
	return "the one it had"
}

func ownKey(t *Tunnel) string {
	if t.Device.PublicKey.Set {
		return t.Device.PublicKey.Value.Base64()
	}
	return t.Device.PrivateKey.Value.Public().Base64()
}

func mtu(_ *Facts, t *Tunnel) (list []Finding) {
	if !t.Up {
		return well("it isn't up")
	}
	set := func(n int) []string {
		return []string{fmt.Sprintf("ip link set mtu %d dev %s", n, t.Dev), fmt.Sprintf("and in [Interface] of its file: MTU = %d", n)}
	}
	const least = 1280 // of a link with IPv6
	v6 := false
	for _, p := range t.Peers {
		for _, ip := range p.AllowedIPs {
			v6 = v6 || ip.Addr().Is6()
		}
	}
	if t.MTU < least && v6 {
		list = append(list, Finding{Severity: Problem, Code: "mtu-below-ipv6", What: fmt.Sprintf("its MTU is %d: a link needs %d for IPv6, and loses its IPv6 addresses below that", t.MTU, least), Mend: set(least)})
	}
	tightest := t.tightest()
	e := t.Echo
	switch {
	case e != nil && e.Answered && e.Largest < e.Asked:
		fits := e.Largest
		if tightest != nil {
			fits = min(fits, tightest.Way.MTU-overhead(tightest.Way))
		}
		list = append(list, Finding{
			Severity: Problem, Code: "mtu-black-hole", What: fmt.Sprintf("packets of more than %d bytes get lost, up to the link's %d: the way to or from %v is a black hole", e.Largest, e.Asked, e.To),
			Why: "something on the way drops large packets without a word, so that connections begin and then hang", Mend: set(fits),
		})
	case tightest != nil:
		fits := tightest.Way.MTU - overhead(tightest.Way)
		list = append(list, Finding{
			Severity: Warning, Code: "mtu-fragments", Peer: t.Peers[tightest.Peer].PublicKey,
			What: fmt.Sprintf("its MTU of %d is too large for the way to %s: packets over %d bytes are sent in fragments, which many networks drop", t.MTU, t.label(tightest.Peer), fits),
			Why:  fmt.Sprintf("that way carries %d bytes, %d of which are WireGuard's", tightest.Way.MTU, overhead(tightest.Way)), Mend: set(fits),
		})
	}
	if len(list) == 0 && t.Echo != nil && t.Echo.Answered {
		return well("packets of %d bytes come through, to %v and back", t.Echo.Largest, t.Echo.To)
	}
	return orWell(list, "its MTU of %d fits the ways to the peers; nothing inside the tunnel was asked, or answered", t.MTU)
}

// tightest returns the way to an endpoint that is the most too small for the
// link's MTU, nil if none is.
func (t *Tunnel) tightest() (found *Outer) {
	smallest := t.MTU
	for i := range t.Outer {
		o := &t.Outer[i]
		if fits := o.Way.MTU - overhead(o.Way); o.Way.Goes() && !t.Loops(o.Way) && o.Way.MTU != 0 && fits < smallest {
			found, smallest = o, fits
		}
	}
	return found
}

// overhead is what WireGuard adds to a packet that goes that way, in bytes.
func overhead(w *routing.Way) int {
	if w.To.Is4() {
		return routing.Overhead - 20
	}
	return routing.Overhead
}

func familyFlag(v6 bool) string {
	if v6 {
		return "-6"
	}
	return "-4"
}

// decision says which rule and route decide about a way.
func decision(w *routing.Way) string {
	text := ""
	if w.Route.IsValid() {
		text = "the route " + w.Route.String() + " of the table " + routing.TableName(w.Table)
	} else if w.Table != 0 {
		text = "the table " + routing.TableName(w.Table)
	}
	if w.Rule.Text != "" {
		if text != "" {
			text += ", "
		}
		text += "by the rule " + strconv.Quote(w.Rule.Text)
	}
	return text
}

// refusedBy says why a way leads nowhere.
func refusedBy(w *routing.Way) string {
	if w.Kind == "" {
		return "no table has a route for it"
	}
	return "it is " + w.Kind + ": " + decision(w)
}

// uplink says by which link a way leaves.
func uplink(w *routing.Way) string {
	text := w.Dev
	if w.Gateway.IsValid() {
		text += " via " + w.Gateway.String()
	}
	if w.Source.IsValid() {
		text += " from " + w.Source.String()
	}
	return text
}
