// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"wgtools/internal/config"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
)

// resolveNames gives t's peers the endpoints that names stand for. With
// DeferNames those that can't be resolved are told, and left out.
func (s *Session) resolveNames(t *Tunnel, names config.Resolver) error {
	if !s.DeferNames {
		return config.ResolveNames(t.Device.Peers, t.Names, names)
	}
	for i := range t.Names {
		err := config.ResolveNames(t.Device.Peers, t.Names[i:i+1], names)
		if err == nil {
			continue
		}
		bad, ok := errors.AsType[*config.Error](err)
		if !ok {
			return err
		}
		s.Say(fmt.Sprintf("[!] %v (%s). The peer has no endpoint until `wg-quick watch' or `wg-quick reresolve' finds one.", bad, bad.Original()[0]))
	}
	return nil
}

// StaleTime is how old the latest handshake with a peer has to be for its
// endpoint to be looked up anew, as the well-known script has it: a peer that
// sends has one every two minutes.
const StaleTime = 135 * time.Second

// Reresolve sets the endpoints of the file's peers anew whose latest handshake is
// old, or that never had one. One that can't be resolved keeps none of the others
// from it.
func (s *Session) Reresolve(ctx context.Context, t *Tunnel, now time.Time) error {
	if err := s.RequireDevice(ctx, t.Dev); err != nil {
		return err
	}
	peers := slices.Clone(t.Device.Peers)
	names := map[int]config.Name{}
	for _, n := range t.Names {
		names[n.Peer] = n
	}
	wanted := map[keys.Key]bool{}
	for i := range peers {
		if _, named := names[i]; named || peers[i].Endpoint.IsValid() {
			wanted[peers[i].PublicKey] = true
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	there, err := s.Look.Some(ctx, t.Dev, wanted)
	if err != nil {
		return err
	}
	var failed []error
	for i := range peers {
		p := &peers[i]
		has, ok := there[p.PublicKey]
		if latest := has.LatestHandshake; !ok || !latest.IsZero() && now.Sub(time.Unix(latest.Sec, latest.Nsec)) <= StaleTime {
			continue
		}
		if n, named := names[i]; named {
			if err := config.ResolveNames(peers, []config.Name{n}, s.Names); err != nil {
				failed = append(failed, err)
				continue
			}
		}
		if !p.Endpoint.IsValid() || p.Endpoint == has.Endpoint {
			continue
		}
		step := plan.Step{Do: plan.SetEndpoint{Dev: t.Dev, Peer: p.PublicKey, Endpoint: p.Endpoint}}
		if err := s.Tx.Apply(ctx, step); err != nil {
			return errors.Join(append(failed, err)...)
		}
	}
	return errors.Join(failed...)
}
