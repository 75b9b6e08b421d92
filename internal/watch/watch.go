// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package watch keeps tunnels that are up in touch with their peers. It decides
// when a name is looked up anew, which of its addresses a peer gets, and when
// it is time to see whether others took something away from a tunnel. What there
// is, and what changes it, is behind [Host].
//
// A peer whose latest handshake is fresh is left alone, wherever it is: it may
// have roamed. Each tunnel has one goroutine, which decides; look-ups have their
// own, so that a name server that doesn't answer holds up nothing else.
package watch

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// A Host is what is watched, and what can be done about it.
type Host interface {
	// Tunnels returns the tunnels that are up and to be watched.
	Tunnels(ctx context.Context) ([]string, error)
	// Named returns the peers of dev's file whose endpoints are names. It is asked
	// often: who implements it reads the file only if that has changed.
	Named(ctx context.Context, dev string) ([]Named, error)
	// Contacts returns what the device dev tells of those of the peers that it has.
	Contacts(ctx context.Context, dev string, peers []Named) (map[keys.Key]Contact, error)
	// Lookup returns all addresses that an endpoint's name stands for now, the best
	// first. It is called from several goroutines.
	Lookup(ctx context.Context, dev, endpoint string) ([]netip.AddrPort, error)
	// SetEndpoint tells the device dev where a peer is that it has.
	SetEndpoint(ctx context.Context, dev string, peer keys.Key, endpoint netip.AddrPort) error
	// Repair puts back what others took from the tunnel dev or, if its uplink may
	// have changed, adapts it to that. It fails with [ErrBusy] while another
	// process works on the tunnel.
	Repair(ctx context.Context, dev string, moved bool) (Repair, error)
}

// ErrBusy says that another process works on a tunnel.
var ErrBusy = errors.New("another process works on the tunnel")

// A Named is a peer whose endpoint is a name.
type Named struct {
	Key      keys.Key
	Name     string // of the peer, by the file's comments; "" if there is none
	Endpoint string // as in the file
}

// A Contact is what a device tells of a peer.
type Contact struct {
	Endpoint  netip.AddrPort // invalid: none
	Handshake device.Time    // the latest one
	Sent      uint64         // bytes
	Keepalive bool           // it is sent to always
}

// A Repair is what was done to a tunnel, in the words of wg-quick.
type Repair struct {
	Notes []string // what had changed
	Steps []string
}

// Times are how long a watch waits for what.
type Times struct {
	Stale        time.Duration // a handshake that is older doesn't count
	Patience     time.Duration // how long an address may take to answer
	FirstPause   time.Duration // before a name is looked up again in vain; it doubles
	LongestPause time.Duration
	Tick         time.Duration // how often the state of a peer out of touch is read
	Settle       time.Duration // how long changes of the network are collected
	Check        time.Duration // how often it is seen to what the kernel doesn't tell of
}

// DefaultTimes are those of the well-known script where it has some: a peer that
// sends has a handshake every two minutes, and tries again every 5 seconds.
var DefaultTimes = Times{
	Stale: 135 * time.Second, Patience: 15 * time.Second,
	FirstPause: 5 * time.Second, LongestPause: 5 * time.Minute, Tick: 30 * time.Second,
	Settle: 50 * time.Millisecond, Check: time.Minute,
}

// A Kind is what an event is about.
type Kind string

// The kinds of events.
const (
	Watching   Kind = "watching"   // a tunnel is watched from now on
	Gone       Kind = "gone"       // it isn't up any more
	Endpoint   Kind = "endpoint"   // a peer was given an address
	Answered   Kind = "answered"   // a peer is in touch again
	Silent     Kind = "silent"     // no address of a name answers
	Unresolved Kind = "unresolved" // a name can't be looked up
	Repaired   Kind = "repaired"   // something was put right
	Contested  Kind = "contested"  // others undo that again and again
	Failed     Kind = "failed"     // something could not be done
)

// An Event is something that was done, or found out.
type Event struct {
	Time   time.Time
	Tunnel string
	Kind   Kind
	Text   string // for people, without the tunnel's name

	Peer     *Named         // nil: it isn't about one
	Endpoint netip.AddrPort // of Endpoint and Answered
	Repair   Repair         // of Repaired
}

// A Watch watches tunnels.
type Watch struct {
	Host  Host
	Say   func(Event) // called by one goroutine at a time
	Times Times
	// Jitter returns a number from 0 to 1: by that much of a fifth a pause is
	// longer, so that not all peers of a name server ask at once.
	Jitter func() float64

	events  chan Event
	lookups chan struct{} // as many at once as it has room
}

// mostLookups is how many names are looked up at once.
const mostLookups = 8

// Run watches the tunnels that there are. come tells that some may have come or
// gone, moved that the network has changed. It returns when ctx is done or, with
// ends, once no tunnel is left.
func (w *Watch) Run(ctx context.Context, ends bool, come, moved <-chan struct{}) error {
	w.events, w.lookups = make(chan Event), make(chan struct{}, mostLookups)
	running := map[string]*running{}
	defer func() {
		for _, r := range running {
			r.cancel()
		}
		for _, r := range running {
			w.drain(r.done)
		}
	}()
	told := ""
	for first := true; ; first = false {
		there, err := w.Host.Tunnels(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil: // an unreadable record: those that are watched go on
			if text := err.Error(); text != told {
				told = text
				w.Say(Event{Time: time.Now(), Kind: Failed, Text: text})
			}
		default:
			told = ""
			w.follow(ctx, there, running)
			if ends && len(running) == 0 {
				return nil
			}
		}
		if !w.wait(ctx, running, come, moved) {
			return nil
		}
	}
}

// A running is the goroutine of a tunnel.
type running struct {
	cancel context.CancelFunc
	moved  chan struct{} // has room for one
	done   chan struct{}
}

// follow starts and ends goroutines for the tunnels that there are.
func (w *Watch) follow(ctx context.Context, there []string, all map[string]*running) {
	for dev, r := range all {
		if slices.Contains(there, dev) {
			continue
		}
		r.cancel()
		w.drain(r.done)
		delete(all, dev)
		w.Say(Event{Time: time.Now(), Tunnel: dev, Kind: Gone, Text: "not up any more, and no longer watched"})
	}
	for _, dev := range there {
		if all[dev] != nil {
			continue
		}
		own, cancel := context.WithCancel(ctx)
		r := &running{cancel, make(chan struct{}, 1), make(chan struct{})}
		all[dev] = r
		w.Say(Event{Time: time.Now(), Tunnel: dev, Kind: Watching, Text: "watched"})
		go func() {
			defer close(r.done)
			newTunnel(w, dev).run(own, r.moved)
		}()
	}
}

// drain says what there is to say until done is closed.
func (w *Watch) drain(done <-chan struct{}) {
	for {
		select {
		case e := <-w.events:
			w.Say(e)
		case <-done:
			return
		}
	}
}

// wait says what there is to say until it is time to see which tunnels there
// are. It reports false when ctx is done.
func (w *Watch) wait(ctx context.Context, all map[string]*running, come, moved <-chan struct{}) bool {
	for {
		select {
		case <-ctx.Done():
			return false
		case e := <-w.events:
			w.Say(e)
		case <-come:
			return true
		case <-moved:
			for _, r := range all {
				select {
				case r.moved <- struct{}{}:
				default: // it has yet to hear of the one before
				}
			}
			return true
		}
	}
}
