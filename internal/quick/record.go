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

	Beyond
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

// recover takes back what an earlier run left that came to a sudden end. It
// refuses if the link is there and isn't such a left-over.
func (s *Session) recover(ctx context.Context, dev string) error {
	link, err := s.Look.Link(ctx, dev)
	if err != nil {
		return err
	}
	r, err := s.Journal.Read(dev)
	if err != nil {
		return err
	}
	if r == nil {
		if link.Index != 0 {
			return alreadyExists(dev)
		}
		return nil
	}
	if link.Index != 0 && (r.Phase == Up || !r.made(link)) {
		return alreadyExists(dev)
	}
	s.Say(fmt.Sprintf("[!] The tunnel `%s' came to a sudden end. What is left of it is removed first.", dev))
	return s.clear(ctx, r, link.Index != 0)
}

// made reports whether link is the one of the record. While its index isn't
// known, a link of that name is ours: there was none when we began.
func (r *Record) made(link Link) bool {
	return r.Link == link.Index || r.Link == 0 && link.Tunnel
}

// clear removes all that r tells, and the link with withLink, past failures
// and interrupts. What failed is tried a second time, when the rest is gone.
// Once all is gone, so is the record.
func (s *Session) clear(ctx context.Context, r *Record, withLink bool) error {
	ctx = context.WithoutCancel(ctx)
	var first error
	err := s.Journal.Exclusive(ctx, func() error {
		steps, err := s.removal(ctx, r, withLink)
		if err != nil {
			first = err
			return nil
		}
		var again []plan.Step
		for _, step := range steps {
			if err := s.Tx.Apply(ctx, step); err != nil && !errors.Is(err, fs.ErrNotExist) {
				first = errors.Join(first, err)
				again = append(again, step)
			}
		}
		for _, step := range again {
			if err := s.Tx.Apply(ctx, step); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("again: %w", err)
			}
		}
		return s.forget(r.Dev)
	})
	return errors.Join(first, err)
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
	if have.SrcValidMark != "" && s.needed(ctx, r.Dev, have.Defaults) {
		have.SrcValidMark = "" // another one puts it back
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

// needed reports whether a tunnel beside dev, whose default routes are own,
// needs src_valid_mark, be it ours or the original's.
func (s *Session) needed(ctx context.Context, dev string, own []plan.DefaultRoute) bool {
	others, err := s.Journal.Others(dev)
	if err != nil {
		return true
	}
	for _, r := range others {
		if r.SrcValidMark != "" {
			return true
		}
	}
	p, err := s.Look.Policy(ctx)
	if err != nil {
		return true
	}
	return hasDiversion(p, own)
}
