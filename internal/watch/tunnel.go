// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package watch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"wgtools/internal/keys"
)

// A tunnel is the state of one that is watched.
type tunnel struct {
	w     *Watch
	dev   string
	peers []*peer // in the order of the file
	found chan answer

	lookAt   time.Time // when the device may have to be read
	rest     time.Time // and not before
	repairAt time.Time // when the tunnel is compared with its record
	quiet    time.Time // and not before
	moved    bool      // the network has changed since that was done last
	fight    fight
	failure  map[string]string // by what is done: the last error of that, as told
}

// An answer is the end of a look-up.
type answer struct {
	key      keys.Key
	endpoint string
	all      []netip.AddrPort
	err      error
}

func newTunnel(w *Watch, dev string) *tunnel {
	now := time.Now()
	return &tunnel{w: w, dev: dev, found: make(chan answer), lookAt: now, repairAt: now, failure: map[string]string{}}
}

// share is which part of the time the reading of a device may take: one with a
// million peers isn't read without end. What a repair reads may take more, since
// it is what keeps packets inside.
const share, repairShare = 100, 10

// run watches until ctx is done.
func (t *tunnel) run(ctx context.Context, moved <-chan struct{}) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-moved:
			t.moved = true
			t.repairAt = earlier(t.repairAt, later(time.Now().Add(t.w.Times.Settle), t.quiet))
		case a := <-t.found:
			t.heard(ctx, a)
		case <-timer.C:
		}
		if !time.Now().Before(t.repairAt) {
			t.repair(ctx)
		}
		if !time.Now().Before(t.lookAt) {
			t.look(ctx)
		}
		timer.Reset(time.Until(earlier(t.lookAt, t.repairAt)))
	}
}

func (t *tunnel) say(ctx context.Context, e Event) {
	e.Time, e.Tunnel = time.Now(), t.dev
	select {
	case t.w.events <- e:
	case <-ctx.Done():
	}
}

// fail says once what could not be done. It reports whether there is an error.
func (t *tunnel) fail(ctx context.Context, what string, err error) bool {
	text := ""
	if err != nil && ctx.Err() == nil {
		text = fmt.Sprintf("%s: %v", what, err)
	}
	if text != "" && text != t.failure[what] {
		t.say(ctx, Event{Kind: Failed, Text: text})
	}
	t.failure[what] = text
	return err != nil
}

// look reads the device, if it has peers with names, and does what is due.
func (t *tunnel) look(ctx context.Context) {
	begun := time.Now()
	t.lookAt = begun.Add(t.w.Times.Check)
	named, err := t.w.Host.Named(ctx, t.dev)
	if !t.fail(ctx, "the names of its file", err) { // else those of before count
		t.take(named)
	}
	if len(t.peers) == 0 {
		return
	}
	all := make([]Named, len(t.peers))
	for i, p := range t.peers {
		all[i] = p.Named
	}
	contacts, err := t.w.Host.Contacts(ctx, t.dev, all)
	now := time.Now()
	if t.fail(ctx, "read the device", err) {
		return
	}
	for _, p := range t.peers {
		// What isn't on the device isn't the file's last word, or not yet.
		if c, ok := contacts[p.Key]; ok {
			t.carryOut(ctx, p, p.look(now, c))
		}
	}
	t.lookAt = t.due(now, contacts)
	t.rest = now.Add(share * now.Sub(begun))
	t.lookAt = later(t.lookAt, t.rest)
}

// due returns when the device has to be read again.
func (t *tunnel) due(now time.Time, there map[keys.Key]Contact) (at time.Time) {
	at = now.Add(t.w.Times.Stale) // the file may have changed
	for _, p := range t.peers {
		if _, ok := there[p.Key]; ok {
			at = earlier(at, p.due(now))
		}
	}
	return at
}

// take takes over the names of a file. What is known of those that stay, stays.
func (t *tunnel) take(named []Named) {
	if slices.EqualFunc(named, t.peers, func(n Named, p *peer) bool { return n == p.Named }) {
		return
	}
	had := map[Named]*peer{}
	for _, p := range t.peers {
		had[p.Named] = p
	}
	t.peers = nil
	for _, n := range named {
		p := had[n]
		if p == nil {
			p = &peer{Named: n, times: &t.w.Times, jitter: t.w.Jitter}
		}
		t.peers = append(t.peers, p)
	}
}

// carryOut does what was decided about a peer, and says so once it is done.
func (t *tunnel) carryOut(ctx context.Context, p *peer, d decision) {
	if d.lookUp {
		t.lookUp(ctx, p)
	}
	if d.set.IsValid() && t.fail(ctx, "set the endpoint of "+p.label(), t.w.Host.SetEndpoint(ctx, t.dev, p.Key, d.set)) {
		return
	}
	for _, e := range d.say {
		e.Peer, e.Text = &p.Named, "peer "+p.label()+": "+e.Text
		t.say(ctx, e)
	}
}

// lookUp looks up the name of p in a goroutine of its own.
func (t *tunnel) lookUp(ctx context.Context, p *peer) {
	p.began(time.Now())
	a := answer{key: p.Key, endpoint: p.Endpoint}
	go func() {
		select {
		case t.w.lookups <- struct{}{}:
			a.all, a.err = t.w.Host.Lookup(ctx, t.dev, a.endpoint)
			<-t.w.lookups
		case <-ctx.Done():
			return
		}
		select {
		case t.found <- a:
		case <-ctx.Done():
		}
	}()
}

// heard takes over the end of a look-up.
func (t *tunnel) heard(ctx context.Context, a answer) {
	for _, p := range t.peers {
		if p.Key == a.key && p.Endpoint == a.endpoint {
			now := time.Now()
			t.carryOut(ctx, p, p.found(now, a.all, a.err))
			t.lookAt = later(earlier(t.lookAt, p.due(now)), t.rest)
		}
	}
}

// repair compares the tunnel with its record, and puts it right.
func (t *tunnel) repair(ctx context.Context) {
	begun, moved := time.Now(), t.moved
	done, err := t.w.Host.Repair(ctx, t.dev, moved)
	now := time.Now()
	if errors.Is(err, ErrBusy) {
		t.repairAt = now.Add(busyPause)
		return
	}
	t.moved = false
	t.repairAt = now.Add(max(t.w.Times.Check, share*now.Sub(begun)))
	t.quiet = now.Add(repairShare * now.Sub(begun))
	if moved {
		for _, p := range t.peers {
			p.moved(now)
			t.lookAt = later(earlier(t.lookAt, p.due(now)), t.rest)
		}
	}
	if t.fail(ctx, "put right what others changed", err) {
		return
	}
	again := len(done.Steps) > 0
	if again {
		t.say(ctx, Event{Kind: Repaired, Text: "put right", Repair: done})
	}
	pause, news := t.fight.round(now, again, &t.w.Times)
	if pause > 0 {
		t.quiet, t.repairAt = now.Add(pause), now.Add(pause)
	}
	if news {
		t.say(ctx, Event{Kind: Contested, Text: fmt.Sprintf(
			"others undo again and again what is put right, %d times in a minute; it is tried again in %v, and until then packets may leave outside the tunnel", mostRepairs, pause)})
	}
}

// busyPause is how long a tunnel is left to another process before it is tried
// again.
const busyPause = time.Second

// A fight is with somebody who changes what was put right.
type fight struct {
	times []time.Time   // when something was put right in the last minute
	pause time.Duration // the last one; 0: there is no fight
}

// mostRepairs is how often something is put right in a minute.
const mostRepairs = 5

// round notes whether something had to be put right. It returns how long nothing
// is done from now on, and whether that is news.
func (f *fight) round(now time.Time, again bool, times *Times) (pause time.Duration, news bool) {
	if !again {
		f.pause = 0
		return 0, false
	}
	f.times = slices.DeleteFunc(append(f.times, now), func(at time.Time) bool { return now.Sub(at) > time.Minute })
	news = f.pause == 0
	if news && len(f.times) < mostRepairs {
		return 0, false
	}
	f.pause = min(max(2*f.pause, times.Check), times.LongestPause)
	return f.pause, news
}
