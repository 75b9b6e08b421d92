// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"fmt"
	"net/netip"
	"slices"

	"wgtools/internal/device"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

func allowedIPs(f *Facts, t *Tunnel) (list []Finding) {
	for i := range t.Peers {
		p := &t.Peers[i]
		if len(p.AllowedIPs) == 0 {
			list = append(list, Finding{
				Severity: Warning, Code: "allowed-ips-none", Peer: p.PublicKey, What: fmt.Sprintf("%s has no allowed IPs: nothing is sent to it, and what it sends is dropped", t.label(i)),
				Why: "its file gives it none, or the same ones to another peer too: the last one has them", Mend: []string{"give each peer AllowedIPs of its own, then: " + t.command("reload")},
			})
		}
	}
	if t.Up {
		list = append(list, t.missingRoutes()...)
		list = append(list, t.unclaimed()...)
	}
	if n := t.RefusedSources; n > 0 {
		list = append(list, Finding{
			Severity: Warning, Code: "source-refused", What: fmt.Sprintf("%d packets were dropped that came in from addresses which aren't among their peer's allowed IPs", n),
			Why: "a peer sends more than AllowedIPs here lets it", Mend: []string{"wg set " + t.Dev + " peer KEY allowed-ips +NETWORK # what the peer may send from; and in its file"},
		})
	}
	if e := t.Echo; e != nil && e.Peer >= 0 && e.Err == nil && !e.Answered {
		p := &t.Peers[e.Peer]
		if age := f.Now.Unix() - p.LatestHandshake.Sec; !p.LatestHandshake.IsZero() && age <= int64(Session.Seconds()) {
			var own []string
			for _, a := range t.Addresses {
				own = append(own, netip.PrefixFrom(a.Addr(), a.Addr().BitLen()).String())
			}
			list = append(list, Finding{
				Severity: Warning, Code: "one-way", Peer: p.PublicKey, What: fmt.Sprintf("there was a handshake with %s, but %v doesn't answer through the tunnel", t.label(e.Peer), e.To),
				Why:  fmt.Sprintf("the peer's AllowedIPs for us may lack our addresses %v, or it has no way back to them; or that address answers no pings", own),
				Mend: []string{fmt.Sprintf("on the peer: wg set INTERFACE peer %s allowed-ips +%s", ownKey(t), first(own, "OUR_ADDRESS")), "or ask an address that answers: wg-quick doctor " + t.Dev + " --probe ADDRESS"},
			})
		}
	}
	if !t.Up {
		return orWell(list, "each peer has allowed IPs; routes come with the link")
	}
	return orWell(list, "routes and allowed IPs fit each other")
}

func first(list []string, otherwise string) string {
	if len(list) == 0 {
		return otherwise
	}
	return list[0]
}

// missingRoutes are about allowed IPs that the main table sends elsewhere for
// want of a route of the tunnel's.
func (t *Tunnel) missingRoutes() (list []Finding) {
	if t.Table.Off() {
		return nil
	}
	for _, a := range t.Answers {
		if a.Network.IsValid() || a.Way.Dev == t.Dev || !t.lacksRoute(a) {
			continue
		}
		where := "nowhere: " + a.Way.Refusal
		if a.Way.Goes() {
			where = "to " + uplink(a.Way) + ": " + decision(a.Way)
		}
		list = append(list, Finding{
			Severity: Problem, Code: "route-missing", What: fmt.Sprintf("packets for the allowed IPs %v don't go into the tunnel, but %s", a.Allowed, where),
			Why: "the route over the link is gone, or was never there", Mend: []string{t.command("reload")},
		})
		if t.ByHand { // it may be meant so
			f := &list[len(list)-1]
			f.Severity, f.Mend = Warning, []string{fmt.Sprintf("ip route add %v dev %s", a.Allowed, t.Dev)}
		}
	}
	return list
}

// lacksRoute reports whether a packet went astray because the tunnel's own
// route or rule isn't there, rather than because another one comes first.
func (t *Tunnel) lacksRoute(a Answer) bool {
	if !a.Way.Goes() {
		return a.Way.Kind == ""
	}
	return a.Way.Table == plan.MainTable && a.Way.Route.Bits() == 0
}

// unclaimed are about routes over the link for networks that no peer has a
// part of.
func (t *Tunnel) unclaimed() (list []Finding) {
	allowed := map[netip.Prefix]bool{}
	for _, p := range t.Peers {
		for _, ip := range p.AllowedIPs {
			allowed[ip.Masked()] = true
		}
	}
	for _, a := range t.Addresses {
		allowed[a.Masked()] = true // that one came with an address
	}
	for _, r := range t.Routes {
		if allowed[r.Dst] || isLinkLocal(r.Dst) || r.Dst.Bits() == 0 || t.anyOverlaps(r.Dst) {
			continue // mostly it is one of them
		}
		list = append(list, Finding{
			Severity: Warning, Code: "route-unclaimed", What: fmt.Sprintf("the route %v leads into the tunnel, but no peer has any of that in its allowed IPs: such packets are dropped", r.Dst),
			Mend: []string{fmt.Sprintf("wg set %s peer KEY allowed-ips +%v # of the peer that they are for; and in its file", t.Dev, r.Dst)},
		})
	}
	return list
}

func (t *Tunnel) anyOverlaps(p netip.Prefix) bool {
	return slices.ContainsFunc(t.Peers, func(peer device.Peer) bool {
		return slices.ContainsFunc(peer.AllowedIPs, p.Overlaps)
	})
}

// The rules and the table of Tailscale.
const (
	tailscaleFirst, tailscaleLast = 5210, 5270
	tailscaleTable                = 52
)

func clash(f *Facts, t *Tunnel) (list []Finding) {
	mark := t.Device.Fwmark
	if mark == 0 && (t.full(false) || t.full(true)) {
		mark = routing.FirstMark // which up would take
	}
	for _, r := range f.Rules {
		if mark == 0 || t.Apart || r.Mask == 0 || r.Not || !r.ByMark(mark) || r.Table == plan.MainTable {
			continue
		}
		list = append(list, Finding{
			Severity: Problem, Code: "clash-mark", What: fmt.Sprintf("%s takes the tunnel's own packets, for their mark %#x: %q", whose(r.Priority, r.Table), mark, r.Text),
			Why: "packets with the mark have to leave by the uplink", Mend: []string{fmt.Sprintf("in [Interface] of its file, a mark without the bits %#x: FwMark = NUMBER; then: %s; %s", r.Mask, t.command("down"), t.command("up"))},
		})
		break // the first one decides
	}
	list = append(list, t.clashingTables(f)...)
	for i := range t.Outer {
		o := &t.Outer[i]
		if kind := f.Kinds[o.Way.Dev]; !t.Apart && o.Way.Dev != t.Dev && (kind == "wireguard" || kind == "tun" || kind == "tuntap") {
			list = append(list, Finding{
				Severity: Warning, Code: "clash-nested", Peer: t.Peers[o.Peer].PublicKey, What: fmt.Sprintf("what is sent to the endpoint of %s goes through another tunnel, `%s': %s", t.label(o.Peer), o.Way.Dev, decision(o.Way)),
				Why: "unless it is meant so, the other one takes more than it should", Mend: []string{t.command("reload") + " # full tunnels then lead past each other"},
			})
		}
	}
	for _, a := range t.Answers {
		if found := t.clashing(f, a); found.Code != "" {
			list = append(list, found)
		}
	}
	return orWell(list, "nothing of others comes before it")
}

// clashingTables are about default routes of others in the tunnel's own table.
func (t *Tunnel) clashingTables(f *Facts) (list []Finding) {
	if f.Policy == nil || t.Device.Fwmark == 0 {
		return nil
	}
	for _, r := range f.Policy.Rules {
		if !routing.IsDiversion(r) || r.Mark != t.Device.Fwmark {
			continue
		}
		for _, d := range f.Policy.Defaults {
			if d.V6 == r.V6 && d.Table == r.Table && d.Dev != t.Dev {
				list = append(list, Finding{
					Severity: Problem, Code: "clash-table", What: fmt.Sprintf("the tunnel's own table %d has a default route over `%s', too", d.Table, d.Dev),
					Mend: []string{fmt.Sprintf("ip %s route delete default dev %s table %d", familyFlag(d.V6), d.Dev, d.Table)},
				})
			}
		}
	}
	return list
}

// clashing is about a packet for the tunnel that another one's rule or network
// takes; its code is "" if none does.
func (t *Tunnel) clashing(f *Facts, a Answer) Finding {
	w := a.Way
	if w.Dev == t.Dev || t.Table.Off() || w.Kind == "local" {
		return Finding{}
	}
	if a.Network.IsValid() {
		if !w.Goes() || w.Route != a.Network {
			return Finding{}
		}
		kind := ""
		if f.Kinds[w.Dev] == "bridge" {
			kind = ", a bridge, as Docker and others make them"
		}
		found := Finding{
			Severity: Warning, Code: "clash-network", What: fmt.Sprintf("of the allowed IPs %v, %v goes to `%s'%s: it is that link's own network", a.Allowed, a.Network, w.Dev, kind),
			Mend: []string{"give that network other addresses (Docker: default-address-pools in /etc/docker/daemon.json), or the tunnel's"},
		}
		if a.Network == a.Allowed {
			found.Why = "both are the same network: with the automatic table the tunnel can't come up beside it"
			found.Severity = Problem
		}
		return found
	}
	if !t.Up || t.lacksRoute(a) {
		return Finding{}
	}
	where := "nowhere"
	if w.Goes() {
		where = "to `" + w.Dev + "'"
	}
	found := Finding{Severity: Problem, Code: "clash-rule", What: fmt.Sprintf("%s comes before the tunnel: packets for %v go %s: %s", whose(w.Rule.Priority, w.Table), a.Allowed, where, decision(w))}
	if w.Table == plan.MainTable {
		found.What = fmt.Sprintf("another route comes before the tunnel's: packets for %v go %s: %s", a.Allowed, where, decision(w))
		found.Mend = []string{fmt.Sprintf("ip %s route show %v # whose is it? Then remove it, or leave that network out of AllowedIPs", familyFlag(w.Route.Addr().Is6()), w.Route)}
		return found
	}
	if rule := w.Rule; rule.Not && rule.Mask == ^uint32(0) {
		found.Severity, found.Code = Warning, "clash-full-tunnel"
		found.What = fmt.Sprintf("another full tunnel, `%s', comes before this one: packets for %v go there", w.Dev, a.Allowed)
		found.Why = "of several, the one that came up last has the traffic"
		found.Mend = []string{fmt.Sprintf("wg-quick down %s", w.Dev)}
		return found
	}
	found.Mend = []string{fmt.Sprintf("ip %s rule delete priority %d # if nobody needs it", familyFlag(w.Rule.V6), w.Rule.Priority)}
	if isTailscale(w.Rule.Priority, w.Table) {
		found.Mend = []string{"tailscale set --exit-node= # or: tailscale set --accept-routes=false; tailscale down"}
	}
	return found
}

func isTailscale(priority, table uint32) bool {
	return table == tailscaleTable || priority >= tailscaleFirst && priority <= tailscaleLast
}

func whose(priority, table uint32) string {
	if isTailscale(priority, table) {
		return "a rule of Tailscale"
	}
	return "another's rule"
}

func reversePath(f *Facts, t *Tunnel) (list []Finding) {
	const strict = 1
	effective := func(dev string) int { return max(f.RPFilter["all"], f.RPFilter[dev]) }
	if !t.Up {
		return well("it isn't up")
	}
	for i := range t.Outer {
		w := t.Outer[i].Way
		if f.SrcValidMark || t.Apart || t.Device.Fwmark == 0 || !t.full(false) || !w.To.Is4() || !w.Goes() || effective(w.Dev) != strict {
			continue
		}
		list = append(list, Finding{
			Severity: Problem, Code: "reverse-path", What: fmt.Sprintf("the answers of %s are dropped at `%s': its reverse path filter is strict, and looks past the mark", t.label(t.Outer[i].Peer), w.Dev),
			Why: "net.ipv4.conf.all.src_valid_mark is 0, so that the way back seems to lead through the tunnel", Mend: []string{"sysctl -w net.ipv4.conf.all.src_valid_mark=1"},
		})
		break
	}
	if effective(t.Dev) == strict {
		for _, a := range t.Answers {
			if !a.Allowed.Addr().Is4() || a.Network.IsValid() || a.Way.Dev == t.Dev {
				continue
			}
			list = append(list, Finding{
				Severity: Problem, Code: "reverse-path-inside", What: fmt.Sprintf("packets that come out of the tunnel from %v are dropped: the way back to them isn't through it, and its reverse path filter is strict", a.Allowed),
				Why: "the way back is by " + uplink(a.Way), Mend: []string{"sysctl -w net.ipv4.conf." + t.Dev + ".rp_filter=2", "or a route for them: ip route add " + a.Allowed.String() + " dev " + t.Dev},
			})
		}
	}
	return orWell(list, "it lets the packets in")
}
