// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package watch

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"wgtools/internal/device"
)

// A peer is what is known of one with a name: it decides, and does nothing.
// All times are by the monotonic clock, so that a host whose clock is set, as
// after boot, takes no peer for silent.
type peer struct {
	Named
	times  *Times
	jitter func() float64

	handshake device.Time // as the device had it
	fresh     time.Time   // when that was at the latest; zero: never
	read      time.Time   // when the device was read last; zero: never
	sent      uint64      // then
	sentAt    time.Time   // when that was seen to grow; zero: never
	tried     bool        // the device sends to it, or does always

	known    []netip.AddrPort // what the name stood for, the best first
	answered netip.AddrPort   // where the latest handshake was, be it one of these or not
	rest     []netip.AddrPort // of those known, what is yet to be tried
	asked    time.Time        // when the name was last looked up; zero: never
	asking   bool             // it is being looked up
	heard    bool             // it has been, because the peer is out of touch
	trying   bool             // an address has time to answer until next
	told     bool             // that it is out of touch
	silent   bool             // that no address answers
	rounds   int              // how often all was tried in vain
	next     time.Time        // when something may have to be done
	failure  string           // of the look-up, as last told
}

// A decision is what is to be done about a peer.
type decision struct {
	lookUp bool
	set    netip.AddrPort // invalid: nothing
	say    []Event        // without time, tunnel and peer
}

func (d *decision) note(kind Kind, endpoint netip.AddrPort, format string, args ...any) {
	d.say = append(d.say, Event{Kind: kind, Endpoint: endpoint, Text: fmt.Sprintf(format, args...)})
}

// look decides by what the device tells now.
func (p *peer) look(now time.Time, c Contact) (d decision) {
	first := p.read.IsZero()
	p.note(now, c)
	if p.inTouch(now) {
		if p.told {
			d.note(Answered, c.Endpoint, "answers at %v", c.Endpoint)
		}
		p.rest, p.heard, p.trying, p.told, p.silent, p.rounds = nil, false, false, false, false, 0
		p.next = p.fresh.Add(p.times.Stale + 1)
		// Once all is dead there may be nobody left to ask.
		d.lookUp = p.asked.IsZero()
		return d
	}
	if first && p.handshake.IsZero() && c.Endpoint.IsValid() {
		p.next = now.Add(p.times.Patience) // it may be up since a moment only
	}
	switch {
	case p.asking:
	case p.heard:
		p.heard = false
		p.begin(now, c, &d)
	case now.Before(p.next):
	case p.trying:
		p.try(now, c, &d)
	default:
		d.lookUp = true
	}
	return d
}

// note takes over what the device tells.
func (p *peer) note(now time.Time, c Contact) {
	first := p.read.IsZero()
	if c.Handshake != p.handshake {
		age := max(now.Sub(time.Unix(c.Handshake.Sec, c.Handshake.Nsec)), 0)
		if !first && age > now.Sub(p.read) {
			age = 0 // it is newer than that: the clock was set
		}
		p.handshake, p.fresh, p.answered = c.Handshake, now.Add(-age), c.Endpoint
		if c.Handshake.IsZero() {
			p.fresh = time.Time{}
		}
	}
	before := p.tried
	if !first && c.Sent > p.sent {
		p.sentAt = now
	}
	p.tried = c.Keepalive || !p.sentAt.IsZero() && now.Sub(p.sentAt) <= p.times.Tick
	if soon := now.Add(p.times.Patience); p.tried && !before && !first && !p.trying && soon.Before(p.next) {
		p.rounds, p.next = 0, soon // somebody has begun to send
	}
	p.sent, p.read = c.Sent, now
}

func (p *peer) inTouch(now time.Time) bool {
	return !p.fresh.IsZero() && now.Sub(p.fresh) <= p.times.Stale
}

// began notes that the name is being looked up.
func (p *peer) began(now time.Time) { p.asked, p.asking = now, true }

// found takes over what a look-up found. Without an answer, the one of before
// counts.
func (p *peer) found(now time.Time, all []netip.AddrPort, err error) (d decision) {
	p.asking = false
	learning := p.inTouch(now)
	switch {
	case err == nil:
		p.known, p.failure = all, ""
	case learning:
		return d
	default:
		if text := err.Error(); text != p.failure {
			p.failure, p.told = text, true
			d.note(Unresolved, netip.AddrPort{}, "%s", text)
		}
		if len(p.known) == 0 {
			p.wait(now)
			return d
		}
	}
	p.heard = !learning
	return d
}

// begin begins a round: the name was looked up.
func (p *peer) begin(now time.Time, c Contact, d *decision) {
	is := slices.Contains(p.known, c.Endpoint)
	if !p.tried {
		// Nothing is sent, so nothing can answer. It only mustn't be too late when
		// something is.
		if !is {
			p.set(p.home(), c, d)
		}
		p.wait(now)
		return
	}
	p.rest = nil
	if slices.Contains(p.known, p.answered) {
		p.rest = append(p.rest, p.answered)
	}
	for _, a := range p.known {
		if a != p.answered {
			p.rest = append(p.rest, a)
		}
	}
	// The one that it has had its time.
	p.rest = slices.DeleteFunc(p.rest, func(a netip.AddrPort) bool { return a == c.Endpoint })
	p.try(now, c, d)
}

// try tries the next address. After the last one the peer gets the most likely
// one, until all are tried again.
func (p *peer) try(now time.Time, c Contact, d *decision) {
	p.trying = len(p.rest) > 0
	if p.trying {
		p.set(p.rest[0], c, d)
		p.rest = p.rest[1:]
		p.next = now.Add(p.times.Patience)
		return
	}
	p.set(p.home(), c, d)
	p.wait(now)
	if soon := now.Add(p.times.Patience); p.next.Before(soon) {
		p.next = soon
	}
	if !p.silent {
		p.silent, p.told = true, true
		all := fmt.Sprintf("%v, which is all that %s stands for, doesn't answer", p.known[0], p.Named.Endpoint)
		if n := len(p.known); n > 1 {
			all = fmt.Sprintf("none of the %d addresses of %s answers", n, p.Named.Endpoint)
		}
		d.note(Silent, netip.AddrPort{}, "%s; it is looked up again and again, every %v at the latest", all, p.times.LongestPause)
	}
}

// home is the address that is the most likely one to answer.
func (p *peer) home() netip.AddrPort {
	if slices.Contains(p.known, p.answered) {
		return p.answered
	}
	return p.known[0]
}

func (p *peer) set(a netip.AddrPort, c Contact, d *decision) {
	if a == c.Endpoint {
		return
	}
	d.set, p.told = a, true
	why := "no handshake yet"
	if !c.Endpoint.IsValid() {
		why = "no endpoint yet"
	} else if !p.fresh.IsZero() {
		why = fmt.Sprintf("no handshake for %v", p.read.Sub(p.fresh).Round(time.Second))
	}
	d.note(Endpoint, a, "%s: now at %v (%s)", why, a, p.Named.Endpoint)
}

// wait ends a round in vain.
func (p *peer) wait(now time.Time) {
	pause := p.times.FirstPause
	for range p.rounds {
		if pause *= 2; pause >= p.times.LongestPause {
			pause = p.times.LongestPause
			break
		}
	}
	p.rounds++
	p.trying = false
	p.next = now.Add(pause + time.Duration(p.jitter()*float64(pause)/5))
}

// moved is told that the network has changed: what failed before may not now.
func (p *peer) moved(now time.Time) {
	if p.rounds == 0 || p.trying || p.asking {
		return
	}
	p.rounds = 0
	if soon := p.asked.Add(p.times.FirstPause); soon.Before(p.next) {
		p.next = soon
	}
}

// due returns when the device has to be read for this peer; zero: not before a
// look-up has ended.
func (p *peer) due(now time.Time) time.Time {
	switch {
	case p.read.IsZero(), p.heard:
		return now
	case p.inTouch(now), p.trying:
		return p.next
	case p.asking:
		return time.Time{}
	}
	return earlier(p.next, now.Add(p.times.Tick))
}

// earlier returns the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// label is how a peer is called.
func (n *Named) label() string { return cmp.Or(n.Name, n.Key.Base64()) }
