// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// A Phase is how far a tunnel has come.
type Phase string

// The phases of a tunnel. One of which nothing is recorded is down, or another
// program's.
const (
	Coming Phase = "coming" // being brought up, or its end was sudden
	Up     Phase = "up"
	Going  Phase = "going" // being taken down, or its end was sudden
)

// A Record is what must be known of a tunnel to take it down exactly, after a
// crash or without its file. It is written before each step that it is about,
// and so may say more than there is, never less. It has no secrets.
type Record struct {
	Dev    string
	Phase  Phase
	Link   int    // the link's index; 0: not made yet, as far as is known
	Config string // the file's path
	Table  string // where its routes are, as [routing.Table] prints it
	// Addresses are the link's that its file had: others, as of hooks, a reload
	// leaves alone.
	Addresses []netip.Prefix `json:",omitempty"`
	// Asked says that the kill switch was asked for on the command line.
	Asked bool `json:",omitempty"`
	// Endpoints are what names stood for: a kill switch that is left by a
	// tunnel's sudden end lets nobody look them up.
	Endpoints map[string]netip.AddrPort `json:",omitempty"`
	// AutoMTU says that the link's MTU is the one that fits the way to the peers.
	AutoMTU bool `json:",omitempty"`

	Beyond
}

// table returns where the tunnel's routes are.
func (r *Record) table() (routing.Table, error) {
	t, err := routing.ParseTable(r.Table, func(string) (uint32, bool) { return 0, false })
	if err != nil {
		err = fmt.Errorf("the record of `%s': %w", r.Dev, err)
	}
	return t, err
}

// A Journal keeps the records of the tunnels of this network namespace.
type Journal interface {
	// Read returns the record of a tunnel, nil if there is none.
	Read(dev string) (*Record, error)
	Write(r *Record) error
	// Baseline returns what the tunnel dev was when it was last up as its file
	// wants it; nil if that isn't known. Remove removes it too.
	Baseline(dev string) (*Baseline, error)
	WriteBaseline(dev string, b *Baseline) error
	Remove(dev string) error
	// Others returns the records of the tunnels beside dev.
	Others(dev string) ([]*Record, error)
	// Busy reports whether somebody is at work on a tunnel.
	Busy(dev string) bool
	// Exclusive calls f while no other tunnel's f runs: what full tunnels have
	// in common is decided and set in one go.
	Exclusive(ctx context.Context, f func() error) error
}

// note writes the record. Without one the tunnel works all the same.
func (s *Session) note(r *Record) {
	if err := s.Journal.Write(r); err != nil && !s.unrecorded {
		s.unrecorded = true
		s.Say(fmt.Sprintf("[!] What is done can't be recorded: %v. After a crash, or without its file, `%s' can't be taken down exactly.", err, r.Dev))
	}
}

// revert takes back what was done to a tunnel that stays up, and notes the
// record of before, with what can't be taken back; now is the one of since.
func (s *Session) revert(ctx context.Context, before Record, now *Record) error {
	err := s.Tx.Rollback(ctx)
	if err != nil {
		before.Beyond = either(before.Beyond, now.Beyond)
	}
	s.note(&before)
	return err
}

// noteBaseline writes the baseline. Without one nothing can be told of what
// others change.
func (s *Session) noteBaseline(dev string, b *Baseline) {
	if err := s.Journal.WriteBaseline(dev, b); err != nil && !s.unrecorded {
		s.Say(fmt.Sprintf("[!] What the tunnel is can't be recorded: %v. A reload won't tell what others changed.", err))
	}
}

// forget removes the record of what is all gone. Where not all could be
// recorded, there may be an older one, or none.
func (s *Session) forget(dev string) error {
	if err := s.Journal.Remove(dev); err != nil && !s.unrecorded {
		return err
	}
	return nil
}

// recover takes back what an earlier run of t left that came to a sudden end,
// but for the kill switch if t has one too: it returns what is left then, else
// nil. It refuses if the link is there and isn't such a left-over.
func (s *Session) recover(ctx context.Context, t *Tunnel) (*Record, error) {
	dev := t.Dev
	link, err := s.Look.Link(ctx, dev)
	if err != nil {
		return nil, err
	}
	r, err := s.Journal.Read(dev)
	if err != nil {
		return nil, err
	}
	if r == nil {
		if link.Index != 0 {
			return nil, alreadyExists(dev)
		}
		return nil, nil
	}
	if link.Index != 0 && (r.Phase == Up || !r.made(link)) {
		return nil, alreadyExists(dev)
	}
	keep := r.KillSwitch != nil && (t.KillSwitch != KillSwitchOff || r.Asked && !t.Asked)
	rest := "What is left of it is removed first."
	if keep {
		rest = "What is left of it is removed first, but for its kill switch."
	}
	s.Say(fmt.Sprintf("[!] The tunnel `%s' came to a sudden end. %s", dev, rest))
	told, err := s.clear(ctx, r, link.Index != 0)
	if told != nil || err != nil {
		return nil, errors.Join(told, err)
	}
	if keep {
		return r, nil
	}
	return nil, s.endKillSwitch(ctx, r)
}

// made reports whether link is the one of the record. While its index isn't
// known, a link of that name is ours: there was none when we began.
func (r *Record) made(link Link) bool {
	return r.Link == link.Index || r.Link == 0 && link.Tunnel
}

// clear removes all that r tells, and the link with withLink, past failures
// and interrupts, but not the kill switch. What failed is told, and tried a
// second time when the rest is gone; err is what failed again. Once all is gone,
// so is the record.
func (s *Session) clear(ctx context.Context, r *Record, withLink bool) (told, err error) {
	ctx = context.WithoutCancel(ctx)
	err = s.Journal.Exclusive(ctx, func() error {
		steps, err := s.removal(ctx, r, withLink)
		if err != nil {
			return err
		}
		var again []plan.Step
		for _, step := range steps {
			if err := s.Tx.Apply(ctx, step); err != nil && !errors.Is(err, fs.ErrNotExist) {
				told = errors.Join(told, err)
				again = append(again, step)
			}
		}
		for _, step := range again {
			if err := s.Tx.Apply(ctx, step); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("again: %w", err)
			}
		}
		return s.forgetBut(r)
	})
	return told, err
}

// forgetBut forgets all of r but its kill switch.
func (s *Session) forgetBut(r *Record) error {
	r.Link, r.Addresses, r.Beyond = -1, nil, Beyond{KillSwitch: r.KillSwitch}
	if r.KillSwitch == nil {
		return s.forget(r.Dev)
	}
	s.note(r)
	return nil
}

// removal returns the steps that take down what r tells: DNS, then default
// routes, then the link, then what it needs no more.
func (s *Session) removal(ctx context.Context, r *Record, withLink bool) ([]plan.Step, error) {
	d := difference{dev: r.Dev}
	var err error
	if d.programs, err = s.Look.FirewallPrograms(ctx, r.Dev); err != nil {
		return nil, err
	}
	have := r.Beyond
	if have.Firewall = nil; len(d.programs) > 0 {
		have.Firewall = []plan.FirewallRules{{Dev: r.Dev}}
	}
	have.KillSwitch = nil
	d.settled = map[string]bool{}
	for _, p := range have.Sysctls {
		d.settled[p.Name] = s.needed(ctx, r.Dev, p.Name, have.Defaults) // another one puts it back
	}
	rest := have
	rest.DNS, rest.Defaults = nil, nil
	steps := d.steps(State{Beyond: have}, State{Beyond: rest})
	if withLink {
		steps = append(steps, plan.Step{Do: plan.DelLink{Dev: r.Dev}})
	}
	steps = append(steps, d.steps(State{Beyond: rest}, State{})...)
	for i := range steps {
		steps[i].Undo = nil // there is no way back
	}
	return steps, nil
}
