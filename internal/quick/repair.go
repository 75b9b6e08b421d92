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

// Repair puts back what others took from the tunnel dev of what keeps its packets
// inside, or serves others: default routes and their rules, the mark, the packet
// filter's rules, the kill switch, name servers, a masquerade, the kernel's
// parameters. With moved, since its uplink may have changed, it
// also adapts an MTU that was chosen for the way to the peers.
//
// It goes by the record alone. The file may have been edited since, and isn't
// wanted yet; peers, addresses and other routes are the business of who changes
// them. A tunnel that isn't up, or whose link somebody has set down, stays as it
// is. If a step fails, all is as it was.
func (s *Session) Repair(ctx context.Context, dev string, moved bool) (err error) {
	record, err := s.Journal.Read(dev)
	if err != nil || record == nil || record.Phase != Up {
		return err
	}
	link, err := s.Look.Link(ctx, dev)
	if err != nil || !record.made(link) || !link.Up {
		return err
	}
	full, marked, adapts := len(record.Defaults) > 0, record.KillSwitch != nil, moved && record.AutoMTU
	if !full && !marked && !adapts && record.DNS == nil && record.Masquerade == nil && len(record.Sysctls) == 0 {
		return nil
	}
	base, err := s.Journal.Baseline(dev)
	if err != nil {
		return err
	}
	table, err := record.table()
	if err != nil {
		return err
	}
	before := *record
	r := &transition{
		Session: s, d: difference{dev: dev}, record: record, up: true, dns: record.DNS, drift: &drift{base: base, say: s.Say},
		t:    &Tunnel{Dev: dev, Config: record.Config, Table: table, Addresses: record.Addresses},
		have: State{Up: true, Beyond: record.Beyond},
	}
	if r.have.Addresses, r.have.MTU, err = s.Look.Addresses(ctx, dev); err != nil {
		return err
	}
	mtu := r.have.MTU
	if err := r.readBeyond(ctx); err != nil {
		return err
	}
	var peers Peers
	if full || marked || adapts {
		if peers, err = s.Look.Peers(ctx, dev); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			if undo := s.revert(ctx, before, record); undo != nil {
				err = errors.Join(err, undo)
			}
		}
	}()
	if adapts {
		if err := r.adaptMTU(ctx, peers); err != nil {
			return err
		}
	}
	if marked {
		if err := r.putBackKillSwitch(ctx, peers.Mark); err != nil {
			return err
		}
		peers.Mark = record.KillSwitch.Mark
	}
	if full {
		if err := r.putBackDefaults(ctx, peers.Mark); err != nil {
			return err
		}
	}
	if err := r.putBackService(ctx); err != nil {
		return err
	}
	want := r.have
	want.DNS = r.dns
	if err := r.advance(ctx, want); err != nil {
		return err
	}
	if ctx.Err() != nil { // during the last step
		return context.Cause(ctx)
	}
	record.Beyond = r.have.Beyond
	s.note(record)
	r.drift.finish()
	r.rebase(mtu)
	return nil
}

// putBackKillSwitch goes on to the kill switch that is on record, and to the mark
// that it lets through.
func (r *transition) putBackKillSwitch(ctx context.Context, mark uint32) error {
	dev, want := r.t.Dev, r.have.KillSwitch
	return r.Journal.Exclusive(ctx, func() error {
		standing, err := r.Look.Standing(ctx, dev)
		if err != nil {
			return err
		}
		if !standing.Is(want) {
			r.drift.note("the kill switch, removed", false)
			if err := r.setKillSwitch(ctx, standing.KillSwitch, want); err != nil {
				return err
			}
		}
		if mark == want.Mark {
			return nil
		}
		r.drift.noteMark(mark, want.Mark)
		return r.Tx.Apply(ctx, plan.Step{Do: plan.SetMark{Dev: dev, Mark: want.Mark}, Undo: plan.SetMark{Dev: dev, Mark: mark}})
	})
}

// putBackService goes on to the masquerade and the parameters that are on record,
// but for what default routes need, which putBackDefaults does.
func (r *transition) putBackService(ctx context.Context) error {
	if r.have.Masquerade == nil && len(r.have.Sysctls) == 0 {
		return nil
	}
	return r.Journal.Exclusive(ctx, func() error {
		want := r.have
		for _, p := range r.record.Sysctls {
			if p.Name == SrcValidMark {
				continue
			}
			list, err := r.sysctl(ctx, want.Sysctls, p.Name, p.Value, true)
			if errors.Is(err, fs.ErrNotExist) {
				continue // its link is gone
			}
			if err != nil {
				return err
			}
			want.Sysctls = list
		}
		if want.Masquerade != nil {
			standing, err := r.Look.Standing(ctx, r.t.Dev)
			if err != nil {
				return err
			}
			if !standing.Masquerade {
				r.drift.note("the masquerade, removed", false)
				r.have.Masquerade = nil
			}
		}
		return r.advance(ctx, want)
	})
}

// putBackDefaults goes on to the default routes that are on record.
func (r *transition) putBackDefaults(ctx context.Context, mark uint32) error {
	if had := markOf(r.have.Defaults); mark != had {
		r.drift.noteMark(mark, had)
	}
	var v4, v6 bool
	var except []netip.Prefix
	for _, d := range r.have.Defaults {
		v4, v6 = v4 || !d.V6, v6 || d.V6
		except = append(except, d.Except...)
	}
	return r.Journal.Exclusive(ctx, func() error { return r.full(ctx, mark, v4, v6, except) })
}

// adaptMTU goes on to the MTU that fits the way to the peers now, unless somebody
// has chosen another one since. Where no way is known, as while there is no
// uplink, it stays.
func (r *transition) adaptMTU(ctx context.Context, peers Peers) error {
	if r.drift.base == nil || r.have.MTU != r.drift.base.MTU {
		return nil
	}
	paths, fallback := r.paths(ctx, peers), r.Look.DefaultMTU(ctx)
	if len(paths) == 0 && fallback == 0 {
		return nil
	}
	want := r.have
	want.MTU = routing.LinkMTU(paths, fallback)
	if want.MTU != r.have.MTU {
		r.Say(fmt.Sprintf("[!] The way to the peers has changed: the MTU is %d instead of %d.", want.MTU, r.have.MTU))
	}
	return r.advance(ctx, want)
}

// rebase takes what a repair changed over into the baseline: it is no drift. mtu
// is what the link had before.
func (r *transition) rebase(mtu int) {
	if r.drift.base == nil {
		return
	}
	base := *r.drift.base
	if r.have.MTU != mtu {
		base.MTU = r.have.MTU
	}
	if len(r.have.Defaults) > 0 {
		base.Fwmark = markOf(r.have.Defaults)
	}
	if base.MTU != r.drift.base.MTU || base.Fwmark != r.drift.base.Fwmark {
		r.noteBaseline(r.t.Dev, &base)
	}
}
