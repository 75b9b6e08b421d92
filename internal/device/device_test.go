// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package device_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

func TestAppendAddr(t *testing.T) {
	// Spellings of glibc's inet_ntop.
	tests := map[string]string{
		"10.0.0.1":          "10.0.0.1",
		"::":                "::",
		"::1":               "::1",
		"::ffff":            "::ffff",
		"::1:0":             "::0.1.0.0",
		"::1.2.3.4":         "::1.2.3.4",
		"::ffff:1.2.3.4":    "::ffff:1.2.3.4",
		"64:ff9b::102:304":  "64:ff9b::102:304",
		"1:2:3:4:5:6:7:0":   "1:2:3:4:5:6:7:0",
		"2001:DB8:0:0:1::1": "2001:db8::1:0:0:1",
		"fe80::1%eth0":      "fe80::1%eth0",
	}
	for in, want := range tests {
		if got := string(device.AppendAddr(nil, netip.MustParseAddr(in))); got != want {
			t.Errorf("AppendAddr(%s) = %s, want %s", in, got, want)
		}
	}
}

func TestAppendEndpoint(t *testing.T) {
	tests := map[string]string{
		"192.0.2.1:51820":      "192.0.2.1:51820",
		"[2001:db8::1]:1":      "[2001:db8::1]:1",
		"[fe80::1%eth0]:7":     "[fe80::1%eth0]:7",
		"[::ffff:192.0.2.1]:9": "[::ffff:192.0.2.1]:9",
		"[::1:0]:9":            "[::0.1.0.0]:9",
	}
	for in, want := range tests {
		if got := string(device.AppendEndpoint(nil, netip.MustParseAddrPort(in))); got != want {
			t.Errorf("AppendEndpoint(%s) = %s, want %s", in, got, want)
		}
	}
}

func key(n byte) keys.Key { return keys.Key{n, 31: 1} }

func ip(s string) device.AllowedIP { return device.AllowedIP{Prefix: netip.MustParsePrefix(s)} }

func sync(want *device.Change, have ...device.Peer) *device.Change {
	s := device.NewSync(want)
	for i := range have {
		s.Peer(&have[i])
	}
	return s.Change()
}

func describe(c *device.Change) (lines []string) {
	if c.ReplacePeers {
		lines = append(lines, "replace peers")
	}
	for _, p := range c.Peers {
		line := fmt.Sprintf("peer %d", p.PublicKey[0])
		if p.Remove {
			line += " remove"
		}
		if p.PresharedKey.Set {
			line += fmt.Sprintf(" psk %d", p.PresharedKey.Value[0])
		}
		if p.PersistentKeepalive.Set {
			line += fmt.Sprintf(" keepalive %d", p.PersistentKeepalive.Value)
		}
		lines = append(lines, line)
	}
	return lines
}

func TestSync(t *testing.T) {
	file := func(peers ...device.PeerChange) *device.Change { return &device.Change{Peers: peers} }
	peer := func(n byte, ips ...device.AllowedIP) device.PeerChange {
		return device.PeerChange{PublicKey: key(n), ReplaceAllowedIPs: true, AllowedIPs: ips}
	}
	a, b, c := ip("10.0.0.1/32"), ip("10.0.0.2/32"), ip("10.0.0.3/32")
	have := []device.Peer{
		{PublicKey: key(1), AllowedIPs: []netip.Prefix{a.Prefix}},
		{PublicKey: key(2), AllowedIPs: []netip.Prefix{b.Prefix}, PresharedKey: key(9), PersistentKeepalive: 25},
		{PublicKey: key(3), AllowedIPs: []netip.Prefix{c.Prefix}},
	}
	full2 := peer(2, b)
	full2.PresharedKey, full2.PersistentKeepalive = device.Some(key(9)), device.Some[uint16](25)
	endpoint := peer(1, a)
	endpoint.Endpoint = netip.MustParseAddrPort("192.0.2.1:1")
	tests := map[string]struct {
		want *device.Change
		send []string
	}{
		"nothing changed":               {file(peer(1, a), full2, peer(3, c)), nil},
		"the other way round":           {file(peer(3, c), full2, peer(1, a)), nil},
		"key and keepalive are gone":    {file(peer(1, a), peer(2, b), peer(3, c)), []string{"peer 2 psk 0 keepalive 0"}},
		"surplus, descending":           {file(full2), []string{"peer 3 remove", "peer 1 remove"}},
		"a new peer":                    {file(peer(1, a), full2, peer(3, c), peer(4)), []string{"peer 4"}},
		"a new endpoint":                {file(endpoint, full2, peer(3, c)), []string{"peer 1"}},
		"host bits don't count":         {file(peer(1, a), full2, peer(3, ip("10.0.0.3/32"))), nil},
		"an allowed IP twice":           {file(peer(1, a, a), full2, peer(3, c)), nil},
		"an allowed IP moves":           {file(peer(1), full2, peer(3, c, a)), []string{"peer 1", "peer 3"}},
		"an equal peer that would lose": {file(peer(1, a), full2, peer(3, c), peer(4, a)), []string{"peer 1", "peer 4"}},
		"a peer twice: all is sent":     {file(peer(1, a), full2, peer(3, c), peer(1, a)), []string{"peer 1", "peer 2 psk 9 keepalive 25", "peer 3", "peer 1"}},
		"no peers":                      {file(), []string{"replace peers"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := describe(sync(tt.want, have...)); !slices.Equal(got, tt.send) {
				t.Errorf("sends %q, want %q", got, tt.send)
			}
		})
	}
	t.Run("device without peers", func(t *testing.T) {
		if got, want := describe(sync(file(peer(1, a)))), []string{"replace peers", "peer 1"}; !slices.Equal(got, want) {
			t.Errorf("sends %q, want %q", got, want)
		}
	})
}

// An allowed IP that a peer keeps is its own all the time, and one that covers
// another is there before that goes.
func TestSyncGently(t *testing.T) {
	want := &device.Change{Peers: []device.PeerChange{
		{PublicKey: key(1), ReplaceAllowedIPs: true, AllowedIPs: []device.AllowedIP{ip("0.0.0.0/0"), ip("10.1.0.0/16")}},
		{PublicKey: key(2), ReplaceAllowedIPs: true, AllowedIPs: []device.AllowedIP{ip("10.2.0.0/16")}},
	}}
	s := device.NewSync(want)
	s.Gentle = true
	s.Peer(&device.Peer{PublicKey: key(1), AllowedIPs: []netip.Prefix{ip("10.0.0.0/24").Prefix, ip("10.1.0.0/16").Prefix, ip("10.2.0.0/16").Prefix}})
	s.Peer(&device.Peer{PublicKey: key(2)})
	tell := func(c *device.Change) (words []string) {
		for _, p := range c.Peers {
			words = append(words, fmt.Sprintf("peer %d", p.PublicKey[0]))
			if p.ReplaceAllowedIPs {
				words = append(words, "all")
			}
			for _, ip := range p.AllowedIPs {
				words = append(words, map[bool]string{true: "-", false: "+"}[ip.Remove]+ip.String())
			}
		}
		return words
	}
	got := strings.Join(tell(s.Change()), " ")
	if want := "peer 1 +0.0.0.0/0 +10.1.0.0/16 peer 2 +10.2.0.0/16 peer 1 -10.0.0.0/24 -10.2.0.0/16"; got != want {
		t.Errorf("gently: %s, want %s", got, want)
	}
	got = strings.Join(tell(s.Change().Replacing()), " ")
	if want := "peer 1 all +0.0.0.0/0 +10.1.0.0/16 peer 2 +10.2.0.0/16"; got != want {
		t.Errorf("replacing: %s, want %s", got, want)
	}
}

// world is a device as far as it concerns a sync: what a peer has, and who
// owns an allowed IP.
type world struct {
	peers map[keys.Key]device.PeerChange
	owner map[netip.Prefix]keys.Key
}

func (w *world) apply(c *device.Change) {
	if c.ReplacePeers {
		*w = world{map[keys.Key]device.PeerChange{}, map[netip.Prefix]keys.Key{}}
	}
	for _, p := range c.Peers {
		drop := func() {
			maps.DeleteFunc(w.owner, func(_ netip.Prefix, k keys.Key) bool { return k == p.PublicKey })
		}
		if p.Remove {
			delete(w.peers, p.PublicKey)
			drop()
			continue
		}
		have := w.peers[p.PublicKey]
		if p.PresharedKey.Set {
			have.PresharedKey.Value = p.PresharedKey.Value
		}
		if p.PersistentKeepalive.Set {
			have.PersistentKeepalive.Value = p.PersistentKeepalive.Value
		}
		if p.Endpoint.IsValid() {
			have.Endpoint = p.Endpoint
		}
		w.peers[p.PublicKey] = have
		if p.ReplaceAllowedIPs {
			drop()
		}
		for _, a := range p.AllowedIPs {
			if !a.Remove {
				w.owner[a.Masked()] = p.PublicKey
			} else if w.owner[a.Masked()] == p.PublicKey {
				delete(w.owner, a.Masked())
			}
		}
	}
}

func (w *world) list() (peers []device.Peer) {
	for k, p := range w.peers {
		peer := device.Peer{PublicKey: k, PresharedKey: p.PresharedKey.Value, PersistentKeepalive: p.PersistentKeepalive.Value, Endpoint: p.Endpoint}
		for prefix, owner := range w.owner {
			if owner == k {
				peer.AllowedIPs = append(peer.AllowedIPs, prefix)
			}
		}
		peers = append(peers, peer)
	}
	return peers
}

// all is the request that leaves nothing out, as the original makes it.
func all(want *device.Change, have []device.Peer) *device.Change {
	c := *want
	c.Peers = nil
	if len(have) == 0 || len(want.Peers) == 0 {
		c.ReplacePeers = true
	}
	told := map[keys.Key]device.Peer{}
	for _, p := range have {
		told[p.PublicKey] = p
		if !c.ReplacePeers && !slices.ContainsFunc(want.Peers, func(q device.PeerChange) bool { return q.PublicKey == p.PublicKey }) {
			c.Peers = append(c.Peers, device.PeerChange{PublicKey: p.PublicKey, Remove: true})
		}
	}
	for _, p := range want.Peers {
		if h, ok := told[p.PublicKey]; ok {
			if !h.PresharedKey.IsZero() && !p.PresharedKey.Set {
				p.PresharedKey = device.Some(keys.Key{})
			}
			if h.PersistentKeepalive != 0 && !p.PersistentKeepalive.Set {
				p.PersistentKeepalive = device.Some[uint16](0)
			}
			delete(told, p.PublicKey)
		}
		c.Peers = append(c.Peers, p)
	}
	return &c
}

// randomChange returns a change of a few peers who have allowed IPs in common.
func randomChange(rng *rand.Rand) *device.Change {
	c := &device.Change{}
	for range rng.IntN(7) {
		p := device.PeerChange{PublicKey: key(byte(rng.IntN(8))), ReplaceAllowedIPs: rng.IntN(20) > 0}
		if rng.IntN(4) == 0 {
			p.PresharedKey = device.Some(key(byte(rng.IntN(2))))
		}
		if rng.IntN(4) == 0 {
			p.PersistentKeepalive = device.Some(uint16(rng.IntN(2)))
		}
		if rng.IntN(4) == 0 {
			p.Endpoint = netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(rng.IntN(2)))
		}
		for range rng.IntN(4) {
			a := ip(fmt.Sprintf("10.0.0.%d/%d", rng.IntN(6), 31+rng.IntN(2)))
			a.Remove = !p.ReplaceAllowedIPs && rng.IntN(2) == 0
			p.AllowedIPs = append(p.AllowedIPs, a)
		}
		c.Peers = append(c.Peers, p)
	}
	return c
}

// However little a Sync sends, the device ends as if everything had been sent.
func TestSyncEndsAsIfAllWereSent(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func() *device.Change { return randomChange(rng) }
	spared := 0
	for round := range 10_000 {
		var ours, theirs world
		start := random()
		start.ReplacePeers = true
		ours.apply(start)
		theirs.apply(start)
		want := random()
		if rng.IntN(2) == 0 { // often the file changes little
			want = &device.Change{Peers: slices.Clone(start.Peers)}
			if n := len(want.Peers); n > 0 {
				want.Peers[rng.IntN(n)].AllowedIPs = []device.AllowedIP{ip(fmt.Sprintf("10.0.0.%d/32", rng.IntN(6)))}
			}
		}
		have := ours.list()
		change := sync(want, have...)
		ours.apply(change)
		reference := all(want, have)
		theirs.apply(reference)
		if !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("round %d: device\n%+v\nfile\n%+v\nsent\n%+v\nended as\n%+v\nwant\n%+v", round, have, want, change, ours, theirs)
		}
		if len(change.Peers) < len(reference.Peers) {
			spared++
		}
		// So it does if single allowed IPs are taken away, on any device.
		gently := device.NewSync(want)
		gently.Gentle = true
		for i := range have {
			gently.Peer(&have[i])
		}
		changes := map[string]*device.Change{"gently": gently.Change()}
		if !slices.ContainsFunc(want.Peers, func(p device.PeerChange) bool { return !p.ReplaceAllowedIPs }) {
			changes["replacing"] = gently.Change().Replacing()
		}
		for how, change := range changes {
			var w world
			w.apply(start)
			w.apply(change)
			if !reflect.DeepEqual(w, theirs) {
				t.Fatalf("round %d, %s: device\n%+v\nfile\n%+v\nsent\n%+v\nended as\n%+v\nwant\n%+v", round, how, have, want, change, w, theirs)
			}
		}
	}
	if spared < 500 {
		t.Errorf("only %d of 10000 syncs sent less than everything", spared)
	}
}

// An Undo leaves the device as it was before a sync, but for endpoints that
// peers had none of: devices can't forget one.
func TestUndo(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for round := range 5_000 {
		var w world
		start, want := randomChange(rng), randomChange(rng)
		start.ReplacePeers = true
		w.apply(start)
		before := w.list()
		change := sync(want, before...)
		undo := device.NewUndo(change)
		undo.Device(&device.Device{})
		for i := range before {
			undo.Peer(&before[i])
		}
		w.apply(change)
		w.apply(undo.Change())
		after := w.list()
		for _, list := range [][]device.Peer{before, after} {
			slices.SortFunc(list, func(a, b device.Peer) int { return slices.Compare(a.PublicKey[:], b.PublicKey[:]) })
			for i := range list {
				slices.SortFunc(list[i].AllowedIPs, netip.Prefix.Compare)
			}
		}
		for i := range min(len(before), len(after)) {
			if !before[i].Endpoint.IsValid() {
				after[i].Endpoint = netip.AddrPort{}
			}
		}
		if !reflect.DeepEqual(after, before) {
			t.Fatalf("round %d: device\n%+v\nchange\n%+v\nundo\n%+v\nended as\n%+v", round, before, change, undo.Change(), after)
		}
	}
}

// Of the device itself an Undo puts back what the change sets, and only that.
func TestUndoOfDevice(t *testing.T) {
	have := device.Device{PrivateKey: device.Some(key(1)), ListenPort: 7, Fwmark: 9}
	for name, tt := range map[string]struct{ change, want device.Change }{
		"nothing": {},
		"all": {device.Change{PrivateKey: device.Some(key(2)), ListenPort: device.Some[uint16](8), Fwmark: device.Some[uint32](0)},
			device.Change{PrivateKey: device.Some(key(1)), ListenPort: device.Some[uint16](7), Fwmark: device.Some[uint32](9)}},
		"the port": {device.Change{ListenPort: device.Some[uint16](8)}, device.Change{ListenPort: device.Some[uint16](7)}},
	} {
		undo := device.NewUndo(&tt.change)
		undo.Device(&have)
		if got := undo.Change(); !reflect.DeepEqual(*got, tt.want) {
			t.Errorf("%s: %+v, want %+v", name, *got, tt.want)
		}
		tt.change.Omit(&have)
		if name == "nothing" != tt.change.IsEmpty() {
			t.Errorf("%s: what is left of the change is %+v", name, tt.change)
		}
		same := tt.want
		if same.Omit(&have); !same.IsEmpty() {
			t.Errorf("%s: what is there already is left: %+v", name, same)
		}
	}
}
