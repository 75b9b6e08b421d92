// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// messages returns all messages that a change makes, without netlink's header.
func messages(name string, c *device.Change, limit int) (all [][]byte) {
	for e := newEncoder(name, c, limit); e.next(); {
		all = append(all, slices.Clone(e.data))
	}
	return all
}

// outline puts the attributes of b into words, as the netlink package reads
// them: NUMBER=HEX, nested ones in brackets.
func outline(t testing.TB, b []byte) string {
	t.Helper()
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		t.Fatalf("attributes: %v", err)
	}
	var words []string
	for ad.Next() {
		if ad.TypeFlags()&netlink.Nested != 0 {
			words = append(words, fmt.Sprintf("%d=[%s]", ad.Type(), outline(t, ad.Bytes())))
		} else {
			words = append(words, fmt.Sprintf("%d=%s", ad.Type(), hex.EncodeToString(ad.Bytes())))
		}
	}
	if err := ad.Err(); err != nil {
		t.Fatalf("attributes: %v", err)
	}
	return strings.Join(words, " ")
}

func allowed(list ...string) (ips []device.AllowedIP) {
	for _, s := range list {
		s, remove := strings.CutPrefix(s, "-")
		ips = append(ips, device.AllowedIP{Prefix: netip.MustParsePrefix(s), Remove: remove})
	}
	return ips
}

// native turns numbers of 16 or 32 bits into the hexadecimal text of their
// bytes on this machine.
func native[T uint16 | uint32](n T) string {
	b, err := binary.Append(nil, binary.NativeEndian, n)
	if err != nil {
		panic(err)
	}
	return hex.EncodeToString(b)
}

func TestEncode(t *testing.T) {
	a, b := mustKey(hexA), mustKey(hexB)
	const name = "2=77673000" // wg0 and a NUL byte
	tests := map[string]struct {
		change device.Change
		want   string
	}{
		"nothing": {device.Change{}, name},
		"the device": {
			device.Change{PrivateKey: device.Some(b), ListenPort: device.Some[uint16](51820), Fwmark: device.Some[uint32](7), ReplacePeers: true},
			name + " 3=" + hexB + " 6=" + native[uint16](51820) + " 7=" + native[uint32](7) + " 5=" + native[uint32](1)},
		"zero is not nothing": {
			device.Change{PrivateKey: device.Some(keys.Key{}), ListenPort: device.Some[uint16](0), Fwmark: device.Some[uint32](0)},
			name + " 3=" + hex0 + " 6=0000 7=00000000"},
		"peers": {
			device.Change{Peers: []device.PeerChange{{PublicKey: a}, {PublicKey: b}}},
			name + " 8=[0=[1=" + hexA + "] 0=[1=" + hexB + "]]"},
		"a whole peer": {
			device.Change{Peers: []device.PeerChange{{
				PublicKey: a, PresharedKey: device.Some(b), PersistentKeepalive: device.Some[uint16](25), ReplaceAllowedIPs: true,
				Endpoint: netip.MustParseAddrPort("192.0.2.1:258"), AllowedIPs: allowed("10.0.0.1/8", "fd00::1/64"),
			}}},
			name + " 8=[0=[1=" + hexA + " 2=" + hexB + " 4=" + native[uint16](2) + "0102c00002010000000000000000 5=" + native[uint16](25) + " 3=" + native[uint32](2) +
				" 9=[0=[1=" + native[uint16](2) + " 2=0a000001 3=08] 0=[1=" + native[uint16](10) + " 2=fd000000000000000000000000000001 3=40]]]]"},
		"an IPv6 endpoint with a zone": {
			device.Change{Peers: []device.PeerChange{{PublicKey: a, Endpoint: netip.MustParseAddrPort("[fe80::1%4242]:258")}}},
			name + " 8=[0=[1=" + hexA + " 4=" + native[uint16](10) + "010200000000fe800000000000000000000000000001" + native[uint32](4242) + "]]"},
		"a mapped endpoint is IPv6": {
			device.Change{Peers: []device.PeerChange{{PublicKey: a, Endpoint: netip.MustParseAddrPort("[::ffff:192.0.2.1]:258")}}},
			name + " 8=[0=[1=" + hexA + " 4=" + native[uint16](10) + "01020000000000000000000000000000ffffc000020100000000]]"},
		"a removal keeps its settings": {
			device.Change{Peers: []device.PeerChange{{PublicKey: a, Remove: true, PersistentKeepalive: device.Some[uint16](0), AllowedIPs: allowed("10.0.0.1/32")}}},
			name + " 8=[0=[1=" + hexA + " 5=0000 3=" + native[uint32](1) + " 9=[0=[1=" + native[uint16](2) + " 2=0a000001 3=20]]]]"},
		"only if it is there": {
			device.Change{Peers: []device.PeerChange{{PublicKey: a, UpdateOnly: true, PersistentKeepalive: device.Some[uint16](0)}}},
			name + " 8=[0=[1=" + hexA + " 5=0000 3=" + native[uint32](4) + "]]"},
		"incremental allowed IPs": {
			device.Change{Peers: []device.PeerChange{{PublicKey: a, AllowedIPs: allowed("10.0.0.1/32", "-10.0.0.2/32")}}},
			name + " 8=[0=[1=" + hexA + " 9=[0=[1=" + native[uint16](2) + " 2=0a000001 3=20] 0=[1=" + native[uint16](2) + " 2=0a000002 3=20 4=" + native[uint32](1) + "]]]]"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := messages("wg0", &tt.change, 4096)
			if len(got) != 1 {
				t.Fatalf("%d messages, want 1", len(got))
			}
			if want := "01010000"; hex.EncodeToString(got[0][:genlHeader]) != want {
				t.Errorf("header %x, want %s: set device, version 1", got[0][:genlHeader], want)
			}
			if text := outline(t, got[0][genlHeader:]); text != tt.want {
				t.Errorf("got\n%s\nwant\n%s", text, tt.want)
			}
		})
	}
}

func TestAppendGet(t *testing.T) {
	got := appendGet(nil, "wg0")
	if want := "00010000"; hex.EncodeToString(got[:genlHeader]) != want {
		t.Errorf("header %x, want %s: get device, version 1", got[:genlHeader], want)
	}
	if text, want := outline(t, got[genlHeader:]), "2=77673000"; text != want {
		t.Errorf("got %s, want %s", text, want)
	}
}

func mustKey(s string) keys.Key {
	k, err := keys.ParseHex(s)
	if err != nil {
		panic(err)
	}
	return k
}

// A part is what one message says of a peer.
type part struct {
	key              keys.Key
	flags            uint32
	preshared, timed bool
	endpoint         int // its size in bytes
	ips              []device.AllowedIP
}

// parts reads the peers of a message, independently of decode.
func parts(t testing.TB, message []byte) (list []part) {
	t.Helper()
	nested := func(b []byte, kind uint16, f func(*netlink.AttributeDecoder)) {
		ad, err := netlink.NewAttributeDecoder(b)
		if err != nil {
			t.Fatal(err)
		}
		for ad.Next() {
			if ad.Type() == kind {
				f(ad)
			}
		}
		if ad.Err() != nil {
			t.Fatal(ad.Err())
		}
	}
	nested(message[genlHeader:], devicePeers, func(ad *netlink.AttributeDecoder) {
		nested(ad.Bytes(), 0, func(ad *netlink.AttributeDecoder) {
			var p part
			peer := ad.Bytes()
			nested(peer, peerPublicKey, func(ad *netlink.AttributeDecoder) { p.key = keys.Key(ad.Bytes()) })
			nested(peer, peerFlags, func(ad *netlink.AttributeDecoder) { p.flags = ad.Uint32() })
			nested(peer, peerPresharedKey, func(*netlink.AttributeDecoder) { p.preshared = true })
			nested(peer, peerEndpoint, func(ad *netlink.AttributeDecoder) { p.endpoint = len(ad.Bytes()) })
			nested(peer, peerKeepalive, func(*netlink.AttributeDecoder) { p.timed = true })
			nested(peer, peerAllowedIPs, func(ad *netlink.AttributeDecoder) {
				nested(ad.Bytes(), 0, func(ad *netlink.AttributeDecoder) {
					var ip device.AllowedIP
					var addr netip.Addr
					entry := ad.Bytes()
					nested(entry, ipAddress, func(ad *netlink.AttributeDecoder) { addr, _ = netip.AddrFromSlice(ad.Bytes()) })
					nested(entry, ipCIDR, func(ad *netlink.AttributeDecoder) { ip.Prefix = netip.PrefixFrom(addr, int(ad.Uint8())) })
					nested(entry, ipFlags, func(ad *netlink.AttributeDecoder) { ip.Remove = ad.Uint32() == ipRemove })
					p.ips = append(p.ips, ip)
				})
			})
			list = append(list, p)
		})
	})
	return list
}

// As measured of the original: at a limit of 4096 bytes the first message
// holds a whole device, a whole peer and 138 IPv4 entries, and 143 the others.
func TestEncodeSplitsLikeTheOriginal(t *testing.T) {
	p := device.PeerChange{
		PublicKey: mustKey(hexA), PresharedKey: device.Some(mustKey(hexB)), PersistentKeepalive: device.Some[uint16](25),
		Endpoint: netip.MustParseAddrPort("192.0.2.1:5"), ReplaceAllowedIPs: true,
	}
	for i := range 138 + 143 + 143 + 10 {
		p.AllowedIPs = append(p.AllowedIPs, device.AllowedIP{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 32)})
	}
	c := &device.Change{
		PrivateKey: device.Some(mustKey(hexB)), ListenPort: device.Some[uint16](5), Fwmark: device.Some[uint32](5), ReplacePeers: true,
		Peers: []device.PeerChange{p},
	}
	var got []int
	for i, m := range messages("wg0", c, 4096) {
		for _, part := range parts(t, m) {
			got = append(got, len(part.ips))
			if first := i == 0; part.preshared != first || part.endpoint > 0 != first || part.timed != first || (part.flags != 0) != first {
				t.Errorf("message %d: preshared key %t, endpoint of %d bytes, keepalive %t, flags %d; want all in the first and none later",
					i, part.preshared, part.endpoint, part.timed, part.flags)
			}
		}
	}
	if want := []int{138, 143, 143, 10}; !slices.Equal(got, want) {
		t.Errorf("entries per message %d, want %d", got, want)
	}
}

func TestEncodeSplitsRemoval(t *testing.T) {
	p := device.PeerChange{PublicKey: mustKey(hexA), Remove: true, ReplaceAllowedIPs: true}
	for i := range 200 {
		p.AllowedIPs = append(p.AllowedIPs, device.AllowedIP{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)})
	}
	var flags []uint32
	for _, m := range messages("wg0", &device.Change{Peers: []device.PeerChange{p}}, 4096) {
		for _, part := range parts(t, m) {
			flags = append(flags, part.flags)
		}
	}
	if want := []uint32{peerRemove | peerReplaceIPs, peerRemove}; !slices.Equal(flags, want) {
		t.Errorf("flags %d, want %d: the removal is repeated, the replacement is not", flags, want)
	}
}

// Whatever is cut: no message is past the limit, none could take what the next
// one starts with, and together they say what the change says.
func TestEncodeFillsMessages(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 500 {
		limit := 300 + 4*rng.IntN(500)
		c := &device.Change{}
		if rng.IntN(2) == 0 {
			c.PrivateKey, c.ReplacePeers = device.Some(mustKey(hexB)), true
		}
		for i := range 1 + rng.IntN(30) {
			p := device.PeerChange{PublicKey: keys.Key{byte(i), 1}, ReplaceAllowedIPs: rng.IntN(2) == 0, Remove: rng.IntN(8) == 0}
			if rng.IntN(2) == 0 {
				p.PresharedKey = device.Some(mustKey(hexA))
			}
			if rng.IntN(2) == 0 {
				p.Endpoint = netip.MustParseAddrPort([]string{"192.0.2.1:5", "[2001:db8::1]:5"}[rng.IntN(2)])
			}
			if rng.IntN(2) == 0 {
				p.PersistentKeepalive = device.Some[uint16](25)
			}
			for j := range rng.IntN(30) {
				ip := device.AllowedIP{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j)}), 32), Remove: rng.IntN(4) == 0}
				if rng.IntN(2) == 0 {
					ip.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0xfd, 0, byte(i), byte(j)}), 128)
				}
				p.AllowedIPs = append(p.AllowedIPs, ip)
			}
			c.Peers = append(c.Peers, p)
		}

		var together []part
		var sizes []int
		for _, m := range messages("wg0", c, limit) {
			list := parts(t, m)
			if nlHeader+len(m) > limit {
				t.Fatalf("round %d: a message of %d bytes, the limit is %d", round, nlHeader+len(m), limit)
			}
			if len(sizes) > 0 {
				before, first := sizes[len(sizes)-1], list[0]
				last := &together[len(together)-1]
				next := 0
				if last.key == first.key && last.flags&^peerReplaceIPs == first.flags {
					next = ipSize(first.ips[0]) // another entry of the last peer
				} else {
					next = headSize(first)
				}
				if before+next <= limit {
					t.Fatalf("round %d: a message of %d bytes had room for %d more, the limit is %d", round, before, next, limit)
				}
				if last.key == first.key {
					last.ips = append(last.ips, first.ips...)
					list = list[1:]
				}
			}
			sizes = append(sizes, nlHeader+len(m))
			together = append(together, list...)
		}
		var want []part
		for _, p := range c.Peers {
			w := part{key: p.PublicKey, preshared: p.PresharedKey.Set, timed: p.PersistentKeepalive.Set, ips: p.AllowedIPs}
			switch {
			case p.Endpoint.Addr().Is4():
				w.endpoint = 16 // struct sockaddr_in
			case p.Endpoint.IsValid():
				w.endpoint = 28 // struct sockaddr_in6
			}
			if p.Remove {
				w.flags |= peerRemove
			}
			if p.ReplaceAllowedIPs {
				w.flags |= peerReplaceIPs
			}
			want = append(want, w)
		}
		if !reflect.DeepEqual(together, want) {
			t.Fatalf("round %d: the messages say\n%v\nwant\n%v", round, together, want)
		}
	}
}

// ipSize and headSize are what an entry and a peer without entries take.
func ipSize(ip device.AllowedIP) int {
	n := 4 + 8 + 4 + ip.Addr().BitLen()/8 + 8
	if ip.Remove {
		n += 8
	}
	return n
}

func headSize(p part) int {
	n := 4 + 36
	if p.preshared {
		n += 36
	}
	if p.endpoint > 0 {
		n += 4 + p.endpoint
	}
	if p.timed {
		n += 8
	}
	if p.flags != 0 {
		n += 8
	}
	if len(p.ips) > 0 {
		n += 4
	}
	return n
}
