// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// What a sync sends to the kernel depends on what changes, not on how many
// peers there are.
func TestSyncSendsTheDifference(t *testing.T) {
	for change, want := range map[string]int{"nothing": 0, "one peer": 1, "a peer more": 1, "a peer less": 1, "ten peers": 1} {
		var sizes []int
		for _, n := range []int{20, 1_000, 100_000} {
			file := &device.Change{}
			for i := range n {
				key := keys.Key{}
				binary.BigEndian.PutUint32(key[:], uint32(i))
				ip := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
				file.Peers = append(file.Peers, device.PeerChange{PublicKey: key, ReplaceAllowedIPs: true,
					AllowedIPs: []device.AllowedIP{{Prefix: netip.PrefixFrom(ip, 32)}}})
			}
			there := device.Apply(nil, file)
			switch change {
			case "one peer":
				file.Peers[7].PersistentKeepalive = device.Some[uint16](25)
			case "ten peers":
				for i := range 10 {
					file.Peers[i].AllowedIPs = append(file.Peers[i].AllowedIPs, device.AllowedIP{Prefix: netip.MustParsePrefix(fmt.Sprintf("fd00::%d/128", i))})
				}
			case "a peer more":
				there = there[1:]
			case "a peer less":
				file.Peers = file.Peers[1:]
			}
			s := device.NewSync(file)
			for i := range there {
				s.Peer(&there[i])
			}
			c := s.Change()
			c.Omit(&device.Device{})
			if c.IsEmpty() {
				sizes = append(sizes, 0)
				continue
			}
			all := messages("wg0", c, 4096)
			if len(all) != want {
				t.Errorf("%s of %d: %d messages, want %d", change, n, len(all), want)
			}
			sizes = append(sizes, len(all[0]))
		}
		if sizes[0] != sizes[1] || sizes[1] != sizes[2] {
			t.Errorf("%s: of 20, 1,000 and 100,000 peers the messages have %d bytes", change, sizes)
		}
	}
}
