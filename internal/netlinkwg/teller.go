// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"errors"

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
// they came, so that place is after the last peer told that is still there.
type teller struct {
	sink       Sink
	zones      zones
	head       device.Device // as the last message has it; the first one tells all
	deviceTold bool
	peer       device.Peer
	pending    bool // peer holds one that may still grow

	last  [remembered]keys.Key // the last peers told, a ring
	told  int                  // how many peers were told; the next one goes to last[told%remembered]
	marks map[keys.Key]bool    // while peers are skipped: those of last
	found bool                 // one of them was seen
}

// remembered is how many of the last peers mark the place to go on after. As
// long as one of them is still there the place is found.
const remembered = 64

// read reads a device with dump, as often as that is interrupted by a change
// of the device. dump passes each message of a dump that it makes to its argument.
func (t *teller) read(dump func(each func(message []byte) error) (interrupted bool, err error)) error {
	for {
		interrupted, err := dump(func(message []byte) error { return decode(message, t) })
		if err != nil {
			return err
		}
		if !interrupted {
			return t.finish()
		}
		t.restart()
	}
}

func (t *teller) device() error {
	if t.deviceTold {
		return nil
	}
	t.deviceTold = true
	return t.sink.Device(&t.head)
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
	if t.marks != nil {
		mark := t.marks[t.peer.PublicKey]
		t.found = t.found || mark
		if mark || !t.found {
			return nil
		}
		t.marks = nil // what is left is new
	}
	t.last[t.told%remembered] = t.peer.PublicKey
	t.told++
	return t.sink.Peer(&t.peer)
}

// restart prepares for the next dump after one that was interrupted.
func (t *teller) restart() {
	t.pending, t.found, t.marks = false, false, nil
	if t.sink.Restart() {
		t.deviceTold, t.told = false, 0
		return
	}
	if t.told > 0 {
		t.marks = map[keys.Key]bool{}
		for _, key := range t.last[:min(t.told, remembered)] {
			t.marks[key] = true
		}
	}
}

// finish tells the last peer of a dump that was whole.
func (t *teller) finish() error {
	if err := t.flush(); err != nil {
		return err
	}
	if t.marks != nil && !t.found {
		return ErrBusy
	}
	return nil
}
