// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
)

// A Baseline is what up or the last reload left, hooks included. What differs
// from it since, somebody else changed. It has no secrets.
type Baseline struct {
	Link int // the link's index
	device.Snapshot
	// Endpoints are the peers' by the file, as text: to what they resolve, or
	// whereto the peer roams, doesn't count.
	Endpoints map[keys.Key]device.Digest
	MTU       int
	Addresses []netip.Prefix  // beside those of the file
	Routes    []plan.RouteSet // over the link, beside those of ours
	Hooks     map[string]device.Digest
}

// baseline returns what the tunnel is now that it is up. endpoints are those of
// its file.
func (r *transition) baseline(ctx context.Context, endpoints map[keys.Key]device.Digest) (*Baseline, error) {
	dev := r.t.Dev
	snapshot, err := r.Look.Snapshot(ctx, dev)
	if err != nil {
		return nil, err
	}
	b := &Baseline{Link: r.record.Link, Snapshot: *snapshot, Endpoints: endpoints, Hooks: r.t.hookDigests()}
	var addresses []netip.Prefix
	if addresses, b.MTU, err = r.Look.Addresses(ctx, dev); err != nil {
		return nil, err
	}
	b.Addresses = but(addresses, r.t.Addresses)
	if len(r.t.PreUp)+len(r.t.PostUp) == 0 {
		return b, nil // nobody but we ourselves added routes
	}
	_, added, err := r.Look.OnLink(ctx, dev)
	if err != nil {
		return nil, err
	}
	b.Routes = r.foreign(added)
	return b, nil
}

// foreign returns the routes of added that aren't ours, in the table that is.
func (r *transition) foreign(added []plan.RouteSet) []plan.RouteSet {
	if r.t.Table.Off() {
		return nil // they are all others' business
	}
	ours := []plan.RouteSet{r.have.Routes, r.old}
	added = slices.DeleteFunc(slices.Clone(added), func(set plan.RouteSet) bool { return !sameTable(set, r.have.Routes) })
	return setsBut(added, ours)
}

// setsBut returns the routes of a that aren't in b.
func setsBut(a, b []plan.RouteSet) (rest []plan.RouteSet) {
	for _, set := range a {
		for _, other := range b {
			set = routesBut(set, other)
		}
		if len(set.Dst) > 0 {
			rest = append(rest, set)
		}
	}
	return rest
}

// but returns the elements of a that aren't in b.
func but[T comparable](a, b []T) (rest []T) {
	for _, one := range a {
		if !slices.Contains(b, one) {
			rest = append(rest, one)
		}
	}
	return rest
}

// An endpoint is a peer's as the file has it.
type endpoint struct {
	peer keys.Key
	text string
}

func (e endpoint) digest() device.Digest { return device.DigestOf([]byte(e.text)) }

// endpoints returns those of the file whose names aren't resolved yet.
func (t *Tunnel) endpoints() (all []endpoint) {
	for i := range t.Device.Peers {
		if p := &t.Device.Peers[i]; p.Endpoint.IsValid() {
			all = append(all, endpoint{p.PublicKey, p.Endpoint.String()})
		}
	}
	for _, n := range t.Names {
		all = append(all, endpoint{t.Device.Peers[n.Peer].PublicKey, n.Text})
	}
	return all
}

func (t *Tunnel) endpointDigests() map[keys.Key]device.Digest {
	all := map[keys.Key]device.Digest{}
	for _, e := range t.endpoints() {
		all[e.peer] = e.digest()
	}
	return all
}

// The keys of hooks.
var hookKeys = []string{"PreUp", "PostUp", "PreDown", "PostDown"}

func (t *Tunnel) hookLists() [][]config.Value {
	return [][]config.Value{t.PreUp, t.PostUp, t.PreDown, t.PostDown}
}

func (t *Tunnel) hookDigests() map[string]device.Digest {
	all := map[string]device.Digest{}
	for i, list := range t.hookLists() {
		if len(list) > 0 {
			all[hookKeys[i]] = device.DigestOf([]byte(strings.Join(texts(list), "\n")))
		}
	}
	return all
}

// The size of a peer in a baseline's text, in bytes: its key, the digests of
// its settings and of its endpoint, and whether it has had one.
const peerSize = 32 + 16 + 16 + 1

// baselineText is a baseline as text. Many peers are one value.
type baselineText struct {
	Link       int
	PublicKey  []byte
	ListenPort uint16
	Fwmark     uint32
	Peers      []byte
	MTU        int
	Addresses  []netip.Prefix
	Routes     []plan.RouteSet
	Hooks      map[string]device.Digest
}

// MarshalJSON implements [json.Marshaler].
func (b *Baseline) MarshalJSON() ([]byte, error) {
	t := baselineText{b.Link, b.PublicKey[:], b.ListenPort, b.Fwmark, make([]byte, 0, peerSize*len(b.Peers)), b.MTU, b.Addresses, b.Routes, b.Hooks}
	for key, p := range b.Peers {
		endpoint := b.Endpoints[key]
		t.Peers = append(append(append(t.Peers, key[:]...), p.Settings[:]...), endpoint[:]...)
		t.Peers = append(t.Peers, map[bool]byte{true: 1}[p.HasEndpoint])
	}
	return json.Marshal(t)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (b *Baseline) UnmarshalJSON(text []byte) error {
	var t baselineText
	if err := json.Unmarshal(text, &t); err != nil {
		return err
	}
	if len(t.PublicKey) != keys.Len || len(t.Peers)%peerSize != 0 {
		return errors.New("it is cut short")
	}
	*b = Baseline{Link: t.Link, MTU: t.MTU, Addresses: t.Addresses, Routes: t.Routes, Hooks: t.Hooks, Endpoints: map[keys.Key]device.Digest{},
		Snapshot: device.Snapshot{PublicKey: keys.Key(t.PublicKey), ListenPort: t.ListenPort, Fwmark: t.Fwmark,
			Peers: make(map[keys.Key]device.PeerState, len(t.Peers)/peerSize)}}
	for p := range slices.Chunk(t.Peers, peerSize) {
		key := keys.Key(p[:32])
		b.Peers[key] = device.PeerState{Settings: device.Digest(p[32:48]), HasEndpoint: p[64] == 1}
		if endpoint := device.Digest(p[48:64]); endpoint != (device.Digest{}) {
			b.Endpoints[key] = endpoint
		}
	}
	return nil
}
