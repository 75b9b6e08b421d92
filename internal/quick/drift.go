// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"fmt"
	"net/netip"
	"slices"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
)

// A drift is what others changed about a tunnel since it was last as its file
// wanted it.
type drift struct {
	base *Baseline // nil: not known, so nothing is said
	now  *device.Snapshot
	keep bool // leave it so
	say  func(string)
	// names are those of peers.
	names map[keys.Key]string
	said  int
	kept  map[keys.Key]bool // peers that were left so
	// loose are the allowed IPs of peers that have drifted, now and by the file:
	// of the routes to them nothing is said.
	loose map[netip.Prefix]struct{}
}

// mostDrift is how many changes are told one by one.
const mostDrift = 20

// note says what has changed, and what becomes of it.
func (d *drift) note(what string, keep bool) {
	if d.base == nil {
		return // another program's tunnel: what of it was otherwise once, isn't known
	}
	d.said++
	becomes := "Put right."
	if keep {
		becomes = "Kept."
	}
	if d.said <= mostDrift {
		d.say(fmt.Sprintf("[!] Changed by others: %s. %s", what, becomes))
	}
}

// noteMark notes another mark, which is put right in any case.
func (d *drift) noteMark(now, before uint32) {
	d.note(fmt.Sprintf("the fwmark, %#x instead of %#x", now, before), false)
}

// finish says how much was left out.
func (d *drift) finish() {
	if more := d.said - mostDrift; more > 0 {
		d.say(fmt.Sprintf("[!] Changed by others: %d more.", more))
	}
}

// peer returns how a peer has drifted, "" if it hasn't.
func (d *drift) peer(key keys.Key) string {
	before, had := d.base.Peers[key]
	now, has := d.now.Peers[key]
	switch {
	case had && !has:
		return "removed"
	case has && !had:
		return "added"
	case has && before.Settings != now.Settings:
		return "other settings"
	}
	return ""
}

// named returns how a peer is told.
func (d *drift) named(key keys.Key) string {
	if name := d.names[key]; name != "" {
		return name + " " + key.Base64()
	}
	return key.Base64()
}

// settle tells what of the device has drifted that change would put right. If
// it is to be kept, it leaves it out of change, and of undo.
func (d *drift) settle(change, undo *device.Change) {
	if d.base == nil {
		return
	}
	if change.PrivateKey.Set && d.base.PublicKey != d.now.PublicKey {
		d.note("the private key", d.keep)
		change.PrivateKey.Set = change.PrivateKey.Set && !d.keep
	}
	if change.ListenPort.Set && d.base.ListenPort != d.now.ListenPort {
		d.note(fmt.Sprintf("the port, %d instead of %d", d.now.ListenPort, d.base.ListenPort), d.keep)
		change.ListenPort.Set = !d.keep
	}
	if d.base.Fwmark != d.now.Fwmark {
		d.noteMark(d.now.Fwmark, d.base.Fwmark)
	}
	drifted := map[keys.Key]bool{}
	for i := range change.Peers {
		key := change.Peers[i].PublicKey
		if how := d.peer(key); how != "" && !drifted[key] {
			drifted[key] = true
			d.note(fmt.Sprintf("peer %s, %s", d.named(key), how), d.keep)
		}
	}
	if change.ReplacePeers && len(change.Peers) == 0 {
		for key := range d.now.Peers {
			if how := d.peer(key); how != "" {
				drifted[key] = true
				d.note(fmt.Sprintf("peer %s, %s", d.named(key), how), d.keep)
			}
		}
	}
	d.loose = map[netip.Prefix]struct{}{}
	for _, p := range slices.Concat(change.Peers, undo.Peers) {
		if drifted[p.PublicKey] {
			for _, ip := range p.AllowedIPs {
				d.loose[ip.Masked()] = struct{}{}
			}
		}
	}
	if !d.keep {
		return
	}
	if change.ReplacePeers && len(drifted) > 0 {
		d.keepAll(change, drifted)
	}
	d.kept = drifted
	is := func(p device.PeerChange) bool { return drifted[p.PublicKey] }
	change.Peers = slices.DeleteFunc(slices.Clone(change.Peers), is)
	undo.Peers = slices.DeleteFunc(slices.Clone(undo.Peers), is)
	undo.PrivateKey.Set = undo.PrivateKey.Set && change.PrivateKey.Set
	undo.ListenPort.Set = undo.ListenPort.Set && change.ListenPort.Set
}

// keepAll makes change remove peers one by one, so that some stay.
func (d *drift) keepAll(change *device.Change, drifted map[keys.Key]bool) {
	change.ReplacePeers = false
	for key := range d.now.Peers {
		if !drifted[key] {
			change.Peers = append(change.Peers, device.PeerChange{PublicKey: key, Remove: true})
		}
	}
}

// settleAddresses returns the addresses that the link shall have, out of those
// that are wanted, and those that others gave it and are to go. there are those
// that it has, ours those that its file had.
func (d *drift) settleAddresses(want, there, ours []netip.Prefix) (wanted, gone []netip.Prefix) {
	if d.base == nil {
		return want, nil
	}
	for _, a := range want {
		missing := slices.Contains(ours, a) && !slices.Contains(there, a)
		if missing {
			d.note(fmt.Sprintf("address %v, removed", a), d.keep)
		}
		if !missing || !d.keep {
			wanted = append(wanted, a)
		}
	}
	for _, a := range withoutLinkLocal(but(there, ours), nil) {
		if slices.Contains(d.base.Addresses, a) || slices.Contains(want, a) {
			continue
		}
		d.note(fmt.Sprintf("address %v, added", a), d.keep)
		if !d.keep {
			gone = append(gone, a)
		}
	}
	return wanted, gone
}

// settleRoutes returns the routes of want that the link shall have: to some it
// had routes before, by old, and has them no more, by have.
func (d *drift) settleRoutes(want, old, have plan.RouteSet) plan.RouteSet {
	if d.base == nil || !sameTable(want, old) {
		return want
	}
	missing := routesBut(want, have)                      // to come
	missing = routesBut(missing, routesBut(missing, old)) // that were there
	d.noteRoutes(missing, "removed")
	if d.keep {
		return routesBut(want, missing)
	}
	return want
}

// settleForeign returns the routes that others added and are to go.
func (d *drift) settleForeign(foreign []plan.RouteSet) []plan.RouteSet {
	if d.base == nil {
		return nil
	}
	more := setsBut(foreign, d.base.Routes)
	for _, set := range more {
		d.noteRoutes(set, "added")
	}
	if d.keep {
		return nil
	}
	return more
}

// noteRoutes notes routes, but not those to peers that have drifted themselves.
func (d *drift) noteRoutes(set plan.RouteSet, how string) {
	for _, dst := range set.Dst {
		if _, ok := d.loose[dst]; !ok {
			d.note(fmt.Sprintf("route %v, %s", dst, how), d.keep)
		}
	}
}
