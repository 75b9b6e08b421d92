// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device

import (
	"net/netip"
	"slices"

	"wgtools/internal/keys"
)

// Apply returns the peers of a device that had these once c is made, as the
// kernel does it: an allowed IP belongs to one peer only, the last that it was
// given to. peers stays as it is.
func Apply(peers []Peer, c *Change) []Peer {
	var all []*Peer
	index := map[keys.Key]*Peer{}
	owner := map[netip.Prefix]*Peer{} // of what is in AllowedIPs, some may be another peer's by now
	give := func(p *Peer, ip netip.Prefix) {
		p.AllowedIPs = append(p.AllowedIPs, ip)
		owner[ip] = p
	}
	if !c.ReplacePeers {
		for i := range peers {
			p := peers[i]
			p.AllowedIPs = nil
			all, index[p.PublicKey] = append(all, &p), &p
			for _, ip := range peers[i].AllowedIPs {
				give(&p, ip.Masked())
			}
		}
	}
	for i := range c.Peers {
		change := &c.Peers[i]
		p := index[change.PublicKey]
		if change.Remove {
			delete(index, change.PublicKey)
			continue
		}
		if p == nil && change.UpdateOnly {
			continue
		}
		if p == nil {
			p = &Peer{PublicKey: change.PublicKey}
			all, index[change.PublicKey] = append(all, p), p
		}
		if change.PresharedKey.Set {
			p.PresharedKey = change.PresharedKey.Value
		}
		if change.PersistentKeepalive.Set {
			p.PersistentKeepalive = change.PersistentKeepalive.Value
		}
		if change.Endpoint.IsValid() {
			p.Endpoint = change.Endpoint
		}
		if change.ReplaceAllowedIPs {
			p.AllowedIPs = nil
		}
		for _, ip := range change.AllowedIPs {
			if masked := ip.Masked(); !ip.Remove {
				give(p, masked)
			} else if owner[masked] == p {
				delete(owner, masked)
			}
		}
	}
	list := make([]Peer, 0, len(index))
	for _, p := range all {
		if index[p.PublicKey] != p {
			continue
		}
		p.AllowedIPs = slices.DeleteFunc(p.AllowedIPs, func(ip netip.Prefix) bool {
			own := owner[ip] == p
			if own {
				delete(owner, ip) // one that was given twice counts once
			}
			return !own
		})
		list = append(list, *p)
	}
	return list
}
