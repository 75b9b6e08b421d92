// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"errors"
	"slices"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// ErrBusy says that a device changes faster than it can be read.
var ErrBusy = errors.New("the device changes faster than it can be read")

// A teller passes a dump of the kernel on to a sink, each peer when it is
// complete: one with many allowed IPs comes in several messages.
//
// When a dump is interrupted and the sink can't forget, the next dump goes on
// after the peers that were told. The kernel keeps peers in the order in which
// they came, so that place is found by the last peers told; they can't all
// have been removed meanwhile.
type teller struct {
	sink       Sink
	deviceTold bool
	peer       device.Peer
	pending    bool // peer holds one that may still grow

	last   []keys.Key // the last peers told
	resume []keys.Key // while peers are skipped: those that mark the place
	found  bool       // one of them was seen
}

// remembered is how many of the last peers mark the place to go on after.
const remembered = 64

func (t *teller) device(d *device.Device) error {
	if t.deviceTold {
		return nil
	}
	t.deviceTold = true
	return t.sink.Device(d)
}

// start returns where to put what comes of the peer of that key: a new peer,
// or the one before, if it has the same key and so goes on here.
func (t *teller) start(key keys.Key) (p *device.Peer, first bool, err error) {
	if t.pending && t.peer.PublicKey == key {
		return &t.peer, false, nil
	}
	if err := t.flush(); err != nil {
		return nil, false, err
	}
	t.peer = device.Peer{PublicKey: key, AllowedIPs: t.peer.AllowedIPs[:0]}
	t.pending = true
	return &t.peer, true, nil
}

// flush tells the peer that is complete now.
func (t *teller) flush() error {
	if !t.pending {
		return nil
	}
	t.pending = false
	if t.resume != nil {
		switch {
		case slices.Contains(t.resume, t.peer.PublicKey):
			t.found = true
			return nil
		case !t.found:
			return nil
		}
		t.resume = nil
	}
	if len(t.last) == remembered {
		t.last = append(t.last[:0], t.last[1:]...)
	}
	t.last = append(t.last, t.peer.PublicKey)
	return t.sink.Peer(&t.peer)
}

// restart prepares for the next dump after one that was interrupted.
func (t *teller) restart() {
	t.pending, t.found = false, false
	if t.sink.Restart() {
		t.deviceTold, t.last, t.resume = false, nil, nil
		return
	}
	t.resume = slices.Clone(t.last)
}

// finish tells the last peer of a dump that was whole.
func (t *teller) finish() error {
	if err := t.flush(); err != nil {
		return err
	}
	if len(t.resume) > 0 && !t.found {
		return ErrBusy
	}
	return nil
}
