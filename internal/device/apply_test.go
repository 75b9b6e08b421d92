// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// What Apply makes of peers is told as "peer: allowed IPs; …".
func TestApply(t *testing.T) {
	key := func(n byte) keys.Key { return keys.Key{n} }
	ips := func(list ...string) (all []device.AllowedIP) {
		for _, s := range list {
			s, remove := strings.CutPrefix(s, "-")
			all = append(all, device.AllowedIP{Prefix: netip.MustParsePrefix(s), Remove: remove})
		}
		return all
	}
	tests := map[string]struct {
		change device.Change
		want   string
	}{
		"nothing":  {device.Change{}, "1: 10.0.0.1/32 10.1.0.0/16; 2: fd00::/64"},
		"all anew": {device.Change{ReplacePeers: true, Peers: []device.PeerChange{{PublicKey: key(3)}}}, "3:"},
		"one goes": {device.Change{Peers: []device.PeerChange{{PublicKey: key(1), Remove: true}}}, "2: fd00::/64"},
		"one goes and comes": {device.Change{Peers: []device.PeerChange{
			{PublicKey: key(1), Remove: true}, {PublicKey: key(1), AllowedIPs: ips("10.0.0.9/24")}}}, "2: fd00::/64; 1: 10.0.0.0/24"},
		"one more":          {device.Change{Peers: []device.PeerChange{{PublicKey: key(1), AllowedIPs: ips("10.2.0.1/16")}}}, "1: 10.0.0.1/32 10.1.0.0/16 10.2.0.0/16; 2: fd00::/64"},
		"only if there":     {device.Change{Peers: []device.PeerChange{{PublicKey: key(3), UpdateOnly: true, AllowedIPs: ips("10.0.0.1/32")}}}, "1: 10.0.0.1/32 10.1.0.0/16; 2: fd00::/64"},
		"others":            {device.Change{Peers: []device.PeerChange{{PublicKey: key(1), ReplaceAllowedIPs: true, AllowedIPs: ips("10.2.0.0/16")}}}, "1: 10.2.0.0/16; 2: fd00::/64"},
		"one twice":         {device.Change{Peers: []device.PeerChange{{PublicKey: key(1), AllowedIPs: ips("10.2.0.0/16", "10.2.0.0/16")}}}, "1: 10.0.0.1/32 10.1.0.0/16 10.2.0.0/16; 2: fd00::/64"},
		"one is taken away": {device.Change{Peers: []device.PeerChange{{PublicKey: key(1), AllowedIPs: ips("-10.1.0.0/16", "-fd00::/64")}}}, "1: 10.0.0.1/32; 2: fd00::/64"},
		"to another peer":   {device.Change{Peers: []device.PeerChange{{PublicKey: key(2), AllowedIPs: ips("10.1.0.0/16")}}}, "1: 10.0.0.1/32; 2: fd00::/64 10.1.0.0/16"},
		"there and back": {device.Change{Peers: []device.PeerChange{
			{PublicKey: key(2), AllowedIPs: ips("10.1.0.0/16")}, {PublicKey: key(1), AllowedIPs: ips("10.1.0.0/16")}}}, "1: 10.0.0.1/32 10.1.0.0/16; 2: fd00::/64"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			before := []device.Peer{
				{PublicKey: key(1), AllowedIPs: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32"), netip.MustParsePrefix("10.1.0.0/16")}},
				{PublicKey: key(2), AllowedIPs: []netip.Prefix{netip.MustParsePrefix("fd00::/64")}},
			}
			var peers []string
			for _, p := range device.Apply(before, &tt.change) {
				peer := fmt.Sprintf("%d:", p.PublicKey[0])
				for _, ip := range p.AllowedIPs {
					peer += " " + ip.String()
				}
				peers = append(peers, peer)
			}
			if got := strings.Join(peers, "; "); got != tt.want {
				t.Errorf("peers are %q, want %q", got, tt.want)
			}
		})
	}
}
