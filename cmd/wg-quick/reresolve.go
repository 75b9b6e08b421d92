// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"net/netip"
	"time"

	"wgtools/internal/quick"
	"wgtools/internal/resolve"
)

// reresolve sets endpoints anew whose peers are out of touch. It changes nothing
// that a tunnel's lock is for, and so waits for nobody, as wg(8) doesn't.
func (a *app) reresolve(ctx context.Context, arg string) error {
	if !a.dryRun {
		if err := a.needRoot(); err != nil {
			return err
		}
	}
	f, err := a.open(ctx, arg)
	if err != nil {
		return err
	}
	t, err := a.decode(ctx, f)
	if err != nil {
		return err
	}
	return a.session(ctx, func(s *quick.Session) error { return s.Reresolve(ctx, t, a.Now()) })
}

// hasteTime is how long a hasty resolver takes at the most.
const hasteTime = 5 * time.Second

// A hasty resolver looks each name up once, and all of them in a short time: who
// can do without doesn't wait for a network that isn't there yet.
type hasty struct {
	*resolve.Resolver
	ctx   context.Context // that of the command
	until time.Time       // zero: nothing was looked up yet
}

// Endpoint implements [config.Resolver].
func (h *hasty) Endpoint(s string) (netip.AddrPort, error) {
	if h.until.IsZero() {
		h.until = time.Now().Add(hasteTime)
	}
	ctx, cancel := context.WithDeadline(h.ctx, h.until)
	defer cancel()
	all, err := h.All(ctx, s)
	if h.ctx.Err() != nil {
		return h.Resolver.Endpoint(s) // which says so
	}
	if err != nil {
		return netip.AddrPort{}, err
	}
	return all[0], nil
}
