// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// Reload brings the tunnel, which is up, to what its file says now, by the
// difference alone: what is equal isn't touched, and sessions with peers that
// stay go on. What the file says nothing of (private key, port, mark) stays as
// it is. Hooks don't run. If a step fails or ctx is done before the last one,
// all is as it was.
func (s *Session) Reload(ctx context.Context, t *Tunnel) (err error) {
	record, link, err := s.found(ctx, t)
	if err != nil {
		return err
	}
	if link.Index == 0 || record.Phase != Up {
		return &Refusal{
			Text: fmt.Sprintf("`%s' is not up", t.Dev),
			Hint: fmt.Sprintf("what is left of it `wg-quick down %s' takes down; then bring it up", t.Dev),
		}
	}
	before := *record
	r := &transition{Session: s, t: t, d: difference{dev: t.Dev}, record: record, up: link.Up}
	if r.dns, err = s.wantedDNS(ctx, t); err != nil {
		return err
	}
	if err := config.ResolveNames(t.Device.Peers, t.Names, s.Names); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			if undo := s.Tx.Rollback(ctx); undo != nil {
				err = errors.Join(err, undo)
				before.Beyond = either(before.Beyond, record.Beyond)
			}
			s.note(&before)
		}
	}()
	if err := r.readState(ctx); err != nil {
		return err
	}
	change, undo, err := s.Look.Difference(ctx, t.Dev, &t.Device, t.hookSets("preshared-key"))
	if err != nil {
		return err
	}
	if change != nil {
		step := plan.Step{
			Do:   plan.Configure{Dev: t.Dev, Change: change, Sync: true},
			Undo: plan.Configure{Dev: t.Dev, Change: undo, Sync: true},
		}
		if err := s.Tx.Apply(ctx, step); err != nil {
			// The kernel takes a large request in parts: some may be done.
			return errors.Join(err, s.Tx.Apply(context.WithoutCancel(ctx), plan.Step{Do: step.Undo}))
		}
	}
	if err := r.network(ctx); err != nil {
		return err
	}
	if ctx.Err() != nil { // during the last step
		return context.Cause(ctx)
	}
	record.Beyond, record.Config, record.Table, record.Addresses = r.have.Beyond, t.Config, t.Table.String(), t.Addresses
	s.note(record)
	return nil
}

// Replace brings t up or, if it is up already, to what its file says now.
func (s *Session) Replace(ctx context.Context, t *Tunnel) error {
	link, err := s.Look.Link(ctx, t.Dev)
	if err != nil {
		return err
	}
	record, err := s.Journal.Read(t.Dev)
	if err != nil {
		return err
	}
	switch {
	case link.Index == 0, record != nil && record.Phase != Up && record.made(link):
		return s.Up(ctx, t)
	case record == nil || !record.made(link):
		if err := s.requireDevice(ctx, t.Dev); err != nil {
			return alreadyExists(t.Dev)
		}
	}
	return s.Reload(ctx, t)
}

// hookSets reports whether a hook that runs at up speaks of a setting of wg's:
// what it sets isn't in the file.
func (t *Tunnel) hookSets(word string) bool {
	return slices.ContainsFunc(slices.Concat(t.PreUp, t.PostUp), func(v config.Value) bool { return strings.Contains(v.Text, word) })
}

// readState reads what of the tunnel there is.
func (r *transition) readState(ctx context.Context) error {
	dev := r.t.Dev
	addresses, mtu, err := r.Look.Addresses(ctx, dev)
	if err != nil {
		return err
	}
	peers, err := r.Look.Peers(ctx, dev)
	if err != nil {
		return err
	}
	r.record.Addresses = slices.Concat(r.record.Addresses, r.t.Addresses)
	addresses = slices.DeleteFunc(addresses, func(p netip.Prefix) bool { return !slices.Contains(r.record.Addresses, p) })
	r.have = State{Addresses: addresses, MTU: mtu, Up: r.up, Beyond: r.record.Beyond}
	table, err := routing.ParseTable(r.record.Table, func(string) (uint32, bool) { return 0, false })
	if err != nil {
		return fmt.Errorf("the record of `%s': %w", dev, err)
	}
	r.old = routing.Routes(table, dev, peers.AllowedIPs, nil)
	return r.promote(ctx)
}

// promote makes the kernel keep a network's other addresses when its first one
// goes. Where that can't be set, they are added again.
func (r *transition) promote(ctx context.Context) error {
	goes := slices.ContainsFunc(r.have.Addresses, func(p netip.Prefix) bool {
		return p.Addr().Is4() && !slices.Contains(r.t.Addresses, p)
	})
	name := "net/ipv4/conf/" + r.t.Dev + "/promote_secondaries"
	now, err := r.Look.Sysctl(ctx, name)
	if !goes || err != nil || now == "1" {
		return nil
	}
	step := plan.Step{Do: plan.SetSysctl{Name: name, Value: "1"}, Undo: plan.SetSysctl{Name: name, Value: now}}
	if err := r.Tx.Apply(ctx, step); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}
