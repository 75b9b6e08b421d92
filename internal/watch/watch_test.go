// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package watch_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/watch"
)

// A town is a model of a host with tunnels, their peers and name servers. Its
// clock is the bubble's of the test.
type town struct {
	mu      sync.Mutex
	begun   time.Time
	tunnels map[string]bool
	file    []watch.Named
	noFile  error
	// noTunnels is why nobody can tell which tunnels there are.
	noTunnels error
	peers     map[keys.Key]*inhabitant
	names     map[string][]netip.AddrPort // what they stand for; none: they can't be looked up
	wait      time.Duration               // until a name server answers
	skew      time.Duration               // by how much the clock is wrong
	reading   time.Duration               // how long it takes to read the device
	taken     bool                        // somebody took the rules away
	busy      bool                        // another process works on the tunnel
	broken    error                       // why nothing can be put right

	reads, lookups, repairs, files int
	log                            []string

	come, moved chan struct{}
}

// An inhabitant is a peer as the device has it, and where it really is.
type inhabitant struct {
	watch.Contact
	lives   map[netip.AddrPort]bool // where it answers
	traffic bool                    // something is sent to it
	tried   time.Time               // the last handshake
}

var begin = netip.MustParseAddrPort("192.0.2.1:51820")

func at(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}), 51820)
}

func newTown(peers ...*inhabitant) *town {
	w := &town{
		begun: time.Now(), tunnels: map[string]bool{"wg0": true}, peers: map[keys.Key]*inhabitant{}, names: map[string][]netip.AddrPort{},
		come: make(chan struct{}, 1), moved: make(chan struct{}, 1),
	}
	for i, p := range peers {
		n := watch.Named{Key: keys.Key{byte(i + 1)}, Name: string(rune('a' + i)), Endpoint: fmt.Sprintf("%c.example:51820", 'a'+i)}
		w.file = append(w.file, n)
		w.peers[n.Key] = p
		w.names[n.Endpoint] = []netip.AddrPort{begin}
	}
	return w
}

// keeps is a peer with keepalive that lives there, and that the device believes
// to be at its endpoint.
func keeps(endpoint netip.AddrPort, lives ...netip.AddrPort) *inhabitant {
	p := &inhabitant{Contact: watch.Contact{Endpoint: endpoint, Keepalive: true}}
	p.moveTo(lives...)
	return p
}

func (p *inhabitant) moveTo(lives ...netip.AddrPort) {
	p.lives = map[netip.AddrPort]bool{}
	for _, a := range lives {
		p.lives[a] = true
	}
}

// live is the device: every 5 seconds it tries what has no session.
func (w *town) live(ctx context.Context) {
	for tick := time.NewTicker(5 * time.Second); ; {
		w.mu.Lock()
		for _, p := range w.peers {
			now := time.Now()
			if !p.Keepalive && !p.traffic || !p.Endpoint.IsValid() {
				continue
			}
			p.Sent += 148
			if p.lives[p.Endpoint] && now.Sub(p.tried) >= 2*time.Minute {
				p.tried, now = now, now.Add(w.skew)
				p.Handshake = device.Time{Sec: now.Unix(), Nsec: int64(now.Nanosecond())}
			}
		}
		w.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (w *town) Tunnels(context.Context) ([]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Sorted(maps.Keys(w.tunnels)), w.noTunnels
}

func (w *town) Named(context.Context, string) ([]watch.Named, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files++
	return slices.Clone(w.file), w.noFile
}

func (w *town) Contacts(_ context.Context, _ string, peers []watch.Named) (map[keys.Key]watch.Contact, error) {
	time.Sleep(w.reading)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reads++
	all := map[keys.Key]watch.Contact{}
	for _, n := range peers {
		if p := w.peers[n.Key]; p != nil {
			all[n.Key] = p.Contact
		}
	}
	return all, nil
}

func (w *town) Lookup(ctx context.Context, _, name string) ([]netip.AddrPort, error) {
	select {
	case <-time.After(w.wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lookups++
	if len(w.names[name]) == 0 {
		return nil, errors.New("no name server answered for " + name)
	}
	return slices.Clone(w.names[name]), nil
}

func (w *town) SetEndpoint(_ context.Context, _ string, key keys.Key, endpoint netip.AddrPort) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.peers[key].Endpoint = endpoint
	w.peers[key].tried = time.Time{}
	return nil
}

func (w *town) Repair(context.Context, string, bool) (watch.Repair, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.repairs++
	if w.busy {
		return watch.Repair{}, watch.ErrBusy
	}
	if w.broken != nil || !w.taken {
		return watch.Repair{}, w.broken
	}
	w.taken = false
	w.change() // the kernel tells of our own steps too
	return watch.Repair{Notes: []string{"the rules, removed"}, Steps: []string{"ip rule add"}}, nil
}

// change tells that the network has changed.
func (w *town) change() {
	select {
	case w.moved <- struct{}{}:
	default:
	}
}

// say notes an event with the time since the beginning.
func (w *town) say(e watch.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, fmt.Sprintf("%v %s %s: %s", e.Time.Sub(w.begun).Round(time.Second), e.Tunnel, e.Kind, e.Text))
}

// watched runs a watch in a bubble while the story is told.
func watched(t *testing.T, make func() *town, story func(w *town)) *town {
	t.Helper()
	var w *town
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w = make()
		// What the device, the watch and the story do is never at the same time.
		go w.live(ctx)
		time.Sleep(time.Millisecond)
		w.begun = time.Now()
		done := goRun(ctx, t, w, false)
		time.Sleep(100 * time.Millisecond)
		story(w)
		cancel()
		<-done
	})
	return w
}

func goRun(ctx context.Context, t *testing.T, w *town, ends bool) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		v := &watch.Watch{Host: w, Say: w.say, Times: watch.DefaultTimes, Jitter: func() float64 { return 0.5 }}
		if err := v.Run(ctx, ends, w.come, w.moved); err != nil {
			t.Errorf("Run: %v", err)
		}
	}()
	return done
}

// change makes a change of the town.
func (w *town) with(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// expect checks what was said, but for the first line.
func (w *town) expect(t *testing.T, want string) {
	t.Helper()
	got := strings.Join(w.log, "\n")
	want = "0s wg0 watching: watched\n" + strings.TrimSpace(strings.ReplaceAll(want, "\t", ""))
	if got != strings.TrimSpace(want) {
		t.Errorf("it said\n%s\nwant\n%s", got, want)
	}
}

const day = 24 * time.Hour

// What happens to names and peers, and what is done about it, when.
func TestPeers(t *testing.T) {
	tests := map[string]struct {
		make  func() *town
		story func(w *town, p *inhabitant)
		want  string
	}{
		"all is well for a day": {
			make:  func() *town { return newTown(keeps(begin, begin)) },
			story: func(*town, *inhabitant) { time.Sleep(day) },
		},
		"the name moves": {
			make: func() *town { return newTown(keeps(begin, begin)) },
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Hour)
				w.with(func() { p.moveTo(at(9)); w.names["a.example:51820"] = []netip.AddrPort{at(9)} })
				time.Sleep(day)
			},
			want: `1h2m15s wg0 endpoint: peer a: no handshake for 2m15s: now at 192.0.2.9:51820 (a.example:51820)
				1h2m30s wg0 answered: peer a: answers at 192.0.2.9:51820`,
		},
		"it roams happily, and its name is another's": {
			make: func() *town {
				w := newTown(keeps(at(77), at(77)))
				return w
			},
			story: func(*town, *inhabitant) { time.Sleep(day) },
		},
		"it roams meanwhile": {
			make: func() *town { return newTown(keeps(begin, begin)) },
			story: func(w *town, p *inhabitant) {
				for i := range 20 {
					time.Sleep(10 * time.Minute)
					w.with(func() { p.moveTo(at(50 + i)); p.Endpoint = at(50 + i) })
				}
			},
		},
		"the first address never answers": {
			make: func() *town {
				w := newTown(keeps(at(6), at(4)))
				w.names["a.example:51820"] = []netip.AddrPort{at(6), at(4)}
				return w
			},
			story: func(*town, *inhabitant) { time.Sleep(day) },
			want: `15s wg0 endpoint: peer a: no handshake yet: now at 192.0.2.4:51820 (a.example:51820)
				30s wg0 answered: peer a: answers at 192.0.2.4:51820`,
		},
		"the one that answered is tried first": {
			make: func() *town {
				w := newTown(keeps(at(4), at(4)))
				w.names["a.example:51820"] = []netip.AddrPort{at(6), at(7), at(4)}
				return w
			},
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Minute)
				w.with(func() { p.Endpoint = at(6) }) // somebody else's reload
				time.Sleep(10 * time.Minute)
			},
			want: `2m15s wg0 endpoint: peer a: no handshake for 2m15s: now at 192.0.2.4:51820 (a.example:51820)
				2m30s wg0 answered: peer a: answers at 192.0.2.4:51820`,
		},
		"none answers": {
			make: func() *town {
				w := newTown(keeps(at(1), at(1)))
				w.names["a.example:51820"] = []netip.AddrPort{at(1), at(2)}
				return w
			},
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Minute)
				w.with(func() { p.moveTo() })
				time.Sleep(14 * time.Minute)
				w.with(func() { p.moveTo(at(2)) })
				time.Sleep(10 * time.Minute)
			},
			// The other one, back to that which answered; 5, 10, 20 … seconds and a tenth.
			want: `2m15s wg0 endpoint: peer a: no handshake for 2m15s: now at 192.0.2.2:51820 (a.example:51820)
				2m30s wg0 endpoint: peer a: no handshake for 2m30s: now at 192.0.2.1:51820 (a.example:51820)
				2m30s wg0 silent: peer a: none of the 2 addresses of a.example:51820 answers; it is looked up again and again, every 5m0s at the latest
				2m45s wg0 endpoint: peer a: no handshake for 2m45s: now at 192.0.2.2:51820 (a.example:51820)
				3m0s wg0 endpoint: peer a: no handshake for 3m0s: now at 192.0.2.1:51820 (a.example:51820)
				3m15s wg0 endpoint: peer a: no handshake for 3m15s: now at 192.0.2.2:51820 (a.example:51820)
				3m30s wg0 endpoint: peer a: no handshake for 3m30s: now at 192.0.2.1:51820 (a.example:51820)
				3m52s wg0 endpoint: peer a: no handshake for 3m52s: now at 192.0.2.2:51820 (a.example:51820)
				4m7s wg0 endpoint: peer a: no handshake for 4m7s: now at 192.0.2.1:51820 (a.example:51820)
				4m51s wg0 endpoint: peer a: no handshake for 4m51s: now at 192.0.2.2:51820 (a.example:51820)
				5m6s wg0 endpoint: peer a: no handshake for 5m6s: now at 192.0.2.1:51820 (a.example:51820)
				6m34s wg0 endpoint: peer a: no handshake for 6m34s: now at 192.0.2.2:51820 (a.example:51820)
				6m49s wg0 endpoint: peer a: no handshake for 6m49s: now at 192.0.2.1:51820 (a.example:51820)
				9m45s wg0 endpoint: peer a: no handshake for 9m45s: now at 192.0.2.2:51820 (a.example:51820)
				10m0s wg0 endpoint: peer a: no handshake for 10m0s: now at 192.0.2.1:51820 (a.example:51820)
				15m30s wg0 endpoint: peer a: no handshake for 15m30s: now at 192.0.2.2:51820 (a.example:51820)
				15m45s wg0 answered: peer a: answers at 192.0.2.2:51820`,
		},
		"nothing else is known": {
			make: func() *town { return newTown(keeps(begin)) },
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Hour)
				w.with(func() { p.moveTo(begin) })
				time.Sleep(time.Minute)
			},
			want: `15s wg0 silent: peer a: 192.0.2.1:51820, which is all that a.example:51820 stands for, doesn't answer; it is looked up again and again, every 5m0s at the latest
				1h0m15s wg0 answered: peer a: answers at 192.0.2.1:51820`,
		},
		"a name that can't be looked up at boot": {
			make: func() *town {
				w := newTown(keeps(netip.AddrPort{}, at(9)))
				w.names = map[string][]netip.AddrPort{}
				return w
			},
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Minute)
				w.with(func() { w.names["a.example:51820"] = []netip.AddrPort{at(9)} })
				w.change() // the network is there
				time.Sleep(time.Minute)
			},
			want: `0s wg0 unresolved: peer a: no name server answered for a.example:51820
				1m0s wg0 endpoint: peer a: no endpoint yet: now at 192.0.2.9:51820 (a.example:51820)
				1m15s wg0 answered: peer a: answers at 192.0.2.9:51820`,
		},
		"so too, without news of the network": {
			make: func() *town {
				w := newTown(keeps(netip.AddrPort{}, at(9)))
				w.names = map[string][]netip.AddrPort{}
				return w
			},
			story: func(w *town, p *inhabitant) {
				time.Sleep(40 * time.Second) // tried at 0, 6, 17, 39, 83
				w.with(func() { w.names["a.example:51820"] = []netip.AddrPort{at(9)} })
				time.Sleep(time.Minute)
			},
			want: `0s wg0 unresolved: peer a: no name server answered for a.example:51820
				1m23s wg0 endpoint: peer a: no endpoint yet: now at 192.0.2.9:51820 (a.example:51820)
				1m38s wg0 answered: peer a: answers at 192.0.2.9:51820`,
		},
		"the name server is behind the dead tunnel": {
			make: func() *town {
				w := newTown(keeps(begin, begin))
				w.names["a.example:51820"] = []netip.AddrPort{begin, at(2)}
				return w
			},
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Minute)
				w.with(func() { p.moveTo(at(2)); w.names["a.example:51820"] = nil })
				time.Sleep(10 * time.Minute)
			},
			want: `2m15s wg0 unresolved: peer a: no name server answered for a.example:51820
				2m15s wg0 endpoint: peer a: no handshake for 2m15s: now at 192.0.2.2:51820 (a.example:51820)
				2m30s wg0 answered: peer a: answers at 192.0.2.2:51820`,
		},
		"nothing is sent to it, and its name moves": {
			make: func() *town {
				p := keeps(begin)
				p.Keepalive = false
				w := newTown(p)
				w.names["a.example:51820"] = []netip.AddrPort{at(6), at(2), begin}
				return w
			},
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Hour) // it stays where it is
				w.with(func() { w.names["a.example:51820"] = []netip.AddrPort{at(8), at(9)}; p.moveTo(at(9)) })
				time.Sleep(time.Hour)
				w.with(func() { p.traffic = true })
				time.Sleep(time.Hour)
			},
			want: `1h1m2s wg0 endpoint: peer a: no handshake yet: now at 192.0.2.8:51820 (a.example:51820)
				2h0m47s wg0 endpoint: peer a: no handshake yet: now at 192.0.2.9:51820 (a.example:51820)
				2h1m2s wg0 answered: peer a: answers at 192.0.2.9:51820`,
		},
		"it isn't on the device": {
			make: func() *town {
				w := newTown(keeps(begin))
				w.peers = map[keys.Key]*inhabitant{}
				return w
			},
			story: func(*town, *inhabitant) { time.Sleep(day) },
		},
		"the file gets another name, and then a fault": {
			make: func() *town { return newTown(keeps(begin, begin)) },
			story: func(w *town, p *inhabitant) {
				time.Sleep(time.Hour)
				w.with(func() { w.file[0].Endpoint = "b.example:51820"; w.names["b.example:51820"] = []netip.AddrPort{at(2)} })
				time.Sleep(time.Hour)
				w.with(func() { w.noFile = errors.New("wg0.conf:1:1: a fault"); p.moveTo(at(2)) })
				time.Sleep(time.Hour)
			},
			want: `2h0m15s wg0 failed: the names of its file: wg0.conf:1:1: a fault
				2h2m15s wg0 endpoint: peer a: no handshake for 2m15s: now at 192.0.2.2:51820 (b.example:51820)
				2h2m30s wg0 answered: peer a: answers at 192.0.2.2:51820`,
		},
		"the clock is set, by years": {
			make: func() *town { return newTown(keeps(begin, begin)) },
			story: func(w *town, p *inhabitant) {
				w.with(func() { w.names["a.example:51820"] = []netip.AddrPort{begin, at(2)} })
				for _, years := range []time.Duration{-50, 50, 0} {
					time.Sleep(time.Hour)
					w.with(func() { w.skew = years * 365 * day })
				}
				time.Sleep(time.Hour)
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := watched(t, tt.make, func(w *town) { tt.story(w, w.peers[keys.Key{1}]) })
			w.expect(t, tt.want)
		})
	}
}

// A name server that doesn't answer holds up no other peer.
func TestSlowNames(t *testing.T) {
	w := watched(t, func() *town {
		var all []*inhabitant
		for range 20 {
			all = append(all, keeps(begin))
		}
		all[0] = keeps(begin, begin)
		w := newTown(all...)
		w.wait = time.Hour
		return w
	}, func(w *town) {
		time.Sleep(time.Minute)
		w.with(func() { w.taken = true })
		w.change()
		time.Sleep(2 * time.Second)
		w.with(func() {
			if w.taken {
				t.Error("look-ups hold up repairs")
			}
		})
	})
	if w.lookups > 0 {
		t.Errorf("%d look-ups ended, want none", w.lookups)
	}
}

// A large device isn't read without end.
func TestLargeDevice(t *testing.T) {
	w := watched(t, func() *town {
		w := newTown(keeps(begin))
		w.reading = 2 * time.Second
		return w
	}, func(*town) { time.Sleep(time.Hour) })
	if w.reads > 20 { // each takes 2 s of 202
		t.Errorf("it was read %d times in an hour", w.reads)
	}
	w = watched(t, func() *town { return newTown() }, func(*town) { time.Sleep(day) })
	if w.reads > 0 {
		t.Errorf("without names it was read %d times", w.reads)
	}
}

// What was taken away is put back at once, and without news of it in a minute.
// With somebody who takes it away again and again there is no fight.
func TestRepair(t *testing.T) {
	take := func(w *town) { w.with(func() { w.taken = true }) }
	w := watched(t, func() *town { return newTown() }, func(w *town) {
		time.Sleep(time.Hour)
		take(w)
		w.change()
		time.Sleep(201 * time.Millisecond)
		w.with(func() {
			if w.taken {
				t.Error("not put back in time")
			}
		})
		time.Sleep(time.Minute)
		take(w)
		time.Sleep(61 * time.Second)
		w.with(func() {
			if w.taken {
				t.Error("without news not put back in a minute")
			}
		})
	})
	w.expect(t, `1h0m0s wg0 repaired: put right
		1h2m0s wg0 repaired: put right`)

	w = watched(t, func() *town { return newTown() }, func(w *town) {
		time.Sleep(time.Hour)
		for range 2 * 60 * 60 { // for two hours
			take(w)
			w.change()
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		for range 3 { // and a little later
			take(w)
			w.change()
			time.Sleep(time.Second)
		}
	})
	var told, contested int
	for _, line := range w.log {
		if strings.Contains(line, "repaired") {
			told++
		}
		if strings.Contains(line, "contested") {
			contested++
		}
	}
	if contested != 1 || told < 20 || told > 40 || w.repairs > 400 {
		t.Errorf("in two hours it was put right %d times, %d looks, said that there is a fight %d times:\n%s", told, w.repairs, contested, strings.Join(w.log, "\n"))
	}
	if last := w.log[len(w.log)-1]; !strings.HasPrefix(last, "4h0m2s wg0 repaired") {
		t.Errorf("after the fight: %s", last)
	}
}

// Another process is waited for, and a failure is told once.
func TestRepairFails(t *testing.T) {
	w := watched(t, func() *town { w := newTown(); w.busy = true; return w }, func(w *town) {
		time.Sleep(90 * time.Second)
		w.with(func() { w.taken, w.busy = true, false })
		time.Sleep(2 * time.Second)
		w.with(func() { w.broken = errors.New("ip rule add: no") })
		w.change()
		time.Sleep(time.Hour)
		w.with(func() { w.broken = nil; w.taken = true })
		time.Sleep(61 * time.Second)
	})
	w.expect(t, `1m31s wg0 repaired: put right
		1m32s wg0 failed: put right what others changed: ip rule add: no
		1h1m32s wg0 repaired: put right`)
}

// Tunnels come and go. Without any left it ends, if it is to.
func TestTunnels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTown()
		done := goRun(t.Context(), t, w, true)
		time.Sleep(time.Minute)
		w.with(func() { w.tunnels["wg1"] = true })
		w.come <- struct{}{}
		time.Sleep(time.Minute)
		w.with(func() { delete(w.tunnels, "wg0"); w.noTunnels = errors.New("half a record") })
		for range 3 {
			w.change()
			time.Sleep(time.Second)
		}
		w.with(func() { w.noTunnels = nil })
		w.change()
		time.Sleep(time.Minute)
		w.with(func() { delete(w.tunnels, "wg1") })
		w.come <- struct{}{}
		<-done
		w.expect(t, `1m0s wg1 watching: watched
			2m0s  failed: half a record
			2m3s wg0 gone: not up any more, and no longer watched
			3m3s wg1 gone: not up any more, and no longer watched`)
	})
}

// The cost of an hour with nothing to do.
func TestIdleHour(t *testing.T) {
	var before, after runtime.MemStats
	w := watched(t, func() *town { return newTown(keeps(begin, begin), keeps(begin, begin), keeps(begin, begin)) }, func(w *town) {
		time.Sleep(10 * time.Minute)
		w.with(func() { w.reads, w.repairs, w.files, w.lookups = 0, 0, 0, 0 })
		runtime.GC()
		runtime.ReadMemStats(&before)
		time.Sleep(time.Hour)
		runtime.ReadMemStats(&after)
	})
	t.Logf("an hour with three peers: %d reads of the device, %d of the record, %d looks at the file, %d look-ups; %d allocations, %d bytes in all",
		w.reads, w.repairs, w.files, w.lookups, after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc)
	if w.reads > 31 || w.repairs > 61 || w.files != w.reads || w.lookups > 0 {
		t.Errorf("%d reads of the device, %d repairs, %d looks at the file, %d look-ups", w.reads, w.repairs, w.files, w.lookups)
	}
	if n := after.Mallocs - before.Mallocs; n > 5000 {
		t.Errorf("%d allocations, want a few for each time that it wakes up", n)
	}
	w.expect(t, "")
}
