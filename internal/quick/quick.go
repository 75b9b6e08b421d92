// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package quick brings tunnels up and down as wg-quick(8) does. It decides
// which steps that takes, in which order; package plan's transaction takes
// them, and takes them back if one fails.
//
// A configuration file becomes a [Tunnel], all values checked. What a decision
// needs to know of the host is read through an [Observer], between the steps,
// since hooks may have changed it. What stands, or shall stand, is a [State],
// and steps are the difference of two.
package quick

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// An Observer reads what decisions depend on.
type Observer interface {
	// LinkExists reports whether a link of any kind has the name dev.
	LinkExists(ctx context.Context, dev string) (bool, error)
	// Devices returns the names of all WireGuard devices.
	Devices(ctx context.Context) ([]string, error)
	// Peers returns what the peers of the device dev mean for routing.
	Peers(ctx context.Context, dev string) (Peers, error)
	// Live returns the tunnel dev as it is, for its file.
	Live(ctx context.Context, dev string) (config.Live, error)
	// OnLink returns the destinations of the main table's routes over dev.
	OnLink(ctx context.Context, dev string) ([]netip.Prefix, error)
	// PathMTU returns the MTU, in bytes, of the way to dst; 0: not known.
	PathMTU(ctx context.Context, dst netip.Addr) int
	// DefaultMTU returns the MTU, in bytes, of the default route; 0: not known.
	DefaultMTU(ctx context.Context) int
}

// Peers are all peers of a device, as far as routing goes.
type Peers struct {
	AllowedIPs []netip.Prefix
	Endpoints  []netip.Addr
}

// A Session does one thing to one tunnel.
type Session struct {
	Tx   *plan.Tx
	Look Observer
	// Say prints a line of wg-quick's own that isn't an error.
	Say func(line string)
	// Userspace is the program that makes the link where the kernel has no
	// WireGuard; "" is the one that is built in.
	Userspace string
}

// A Refusal says why something isn't done. Nothing was changed.
type Refusal struct {
	Text string // follows the name of the program
	Hint string
}

// Error returns the text.
func (e *Refusal) Error() string { return e.Text }

// fallback is what scripts know.
const fallback = "[!] Missing WireGuard kernel module. Falling back to slow userspace implementation."

// Up brings t up. If a step fails or ctx is done before the last one, all is
// taken back that was done.
func (s *Session) Up(ctx context.Context, t *Tunnel) (err error) {
	exists, err := s.Look.LinkExists(ctx, t.Dev)
	if err != nil {
		return err
	}
	if exists {
		return alreadyExists(t.Dev)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Tx.Rollback(ctx))
		}
	}()
	if err := s.makeLink(ctx, t.Dev); err != nil {
		return err
	}
	if err := s.Tx.Apply(ctx, hooks("PreUp", t.PreUp, t.Dev)...); err != nil {
		return err
	}
	if err := s.Tx.Apply(ctx, plan.Step{Do: plan.Configure{Dev: t.Dev, Change: &t.Device}}); err != nil {
		return err
	}
	if err := s.network(ctx, t); err != nil {
		return err
	}
	return s.Tx.Apply(ctx, hooks("PostUp", t.PostUp, t.Dev)...)
}

func alreadyExists(dev string) error {
	return &Refusal{
		Text: fmt.Sprintf("`%s' already exists", dev),
		Hint: fmt.Sprintf("`wg-quick down %s' takes it down, if it is a tunnel; `ip link show dev %[1]s' tells what it is", dev),
	}
}

// makeLink makes the kernel's link or, where the kernel has no WireGuard, a
// userspace device.
func (s *Session) makeLink(ctx context.Context, dev string) error {
	undo := plan.DelLink{Dev: dev}
	err := s.Tx.Apply(ctx, plan.Step{Do: plan.AddLink{Dev: dev}, Undo: undo})
	if errors.Is(err, errors.ErrUnsupported) {
		s.Say(fallback)
		err = s.Tx.Apply(ctx, plan.Step{Do: plan.StartDevice{Dev: dev, Program: s.Userspace}, Undo: undo})
	}
	if errors.Is(err, fs.ErrExist) {
		// Somebody was faster. Else it is only the socket that is there, of a
		// device in another namespace.
		if exists, e := s.Look.LinkExists(ctx, dev); e == nil && exists {
			return alreadyExists(dev)
		}
	}
	return err
}

// network sets up all that isn't the device itself: addresses, then the MTU,
// then routes. Each is decided from what the steps before it brought about.
func (s *Session) network(ctx context.Context, t *Tunnel) error {
	d := difference{dev: t.Dev, fresh: true}
	var have State
	advance := func(want State) error {
		if err := s.Tx.Apply(ctx, d.steps(have, want)...); err != nil {
			return err
		}
		have = want
		return nil
	}

	want := have
	want.Addresses = t.Addresses
	if err := advance(want); err != nil {
		return err
	}
	peers, err := s.Look.Peers(ctx, t.Dev)
	if err != nil {
		return err
	}
	want.MTU, want.Up = s.mtu(ctx, t, peers), true
	if err := advance(want); err != nil {
		return err
	}
	if p, ok := routing.DefaultRoute(t.Table, peers.AllowedIPs); ok { // a hook's peer
		return &Refusal{Text: fmt.Sprintf("a peer of `%s' has the allowed IP %v, and default routes are beyond this version", t.Dev, p)}
	}
	onLink, err := s.Look.OnLink(ctx, t.Dev)
	if err != nil {
		return err
	}
	want.Routes = routing.Routes(t.Table, t.Dev, peers.AllowedIPs, onLink)
	return advance(want)
}

// mtu returns the MTU that the file states, or else the one that fits the
// ways to the peers.
func (s *Session) mtu(ctx context.Context, t *Tunnel, peers Peers) int {
	if t.MTU.Set {
		return t.MTU.Value
	}
	var paths []int
	asked := map[netip.Addr]bool{}
	for _, a := range peers.Endpoints {
		if a.Zone() != "" || asked[a] { // wg-quick passes over scoped addresses
			continue
		}
		asked[a] = true
		paths = append(paths, s.Look.PathMTU(ctx, a))
	}
	return routing.LinkMTU(paths, s.Look.DefaultMTU(ctx))
}

// Down takes t down, whoever brought it up. A failing PreDown hook leaves it
// up, and so does a file that can't be saved. Once the link is to be deleted, that isn't stopped by ctx.
func (s *Session) Down(ctx context.Context, t *Tunnel) error {
	if err := s.requireDevice(ctx, t.Dev); err != nil {
		return err
	}
	peers, err := s.Look.Peers(ctx, t.Dev)
	if err != nil {
		return err
	}
	if p, ok := routing.DefaultRoute(t.Table, peers.AllowedIPs); ok {
		return &Refusal{
			Text: fmt.Sprintf("`%s' is a tunnel for %v, and the rules of default routes are beyond this version", t.Dev, p),
			Hint: "take it down with the program that brought it up",
		}
	}
	if err := s.Tx.Apply(ctx, hooks("PreDown", t.PreDown, t.Dev)...); err != nil {
		return err
	}
	if t.Save != nil {
		if err := s.Save(ctx, t.Dev, t.Save); err != nil {
			return err
		}
	}
	if err := s.Tx.Apply(context.WithoutCancel(ctx), plan.Step{Do: plan.DelLink{Dev: t.Dev}}); err != nil {
		return err
	}
	return s.Tx.Apply(ctx, hooks("PostDown", t.PostDown, t.Dev)...)
}

func (s *Session) requireDevice(ctx context.Context, dev string) error {
	names, err := s.Look.Devices(ctx)
	if err != nil {
		return err
	}
	refusal := &Refusal{Text: fmt.Sprintf("`%s' is not a WireGuard interface", dev)}
	if !slices.Contains(names, dev) {
		refusal.Hint = "`wg show interfaces' lists those that there are"
		return refusal
	}
	// The sockets of userspace devices may be shared between namespaces.
	exists, err := s.Look.LinkExists(ctx, dev)
	if err == nil && !exists {
		refusal.Hint = "a program serves a device of this name, but its link is not in this network namespace"
		return refusal
	}
	return err
}

func hooks(key string, list []config.Value, dev string) (steps []plan.Step) {
	var all []string // a hook sees its like as its arguments: some use that
	for _, v := range list {
		all = append(all, v.Text)
	}
	for _, v := range list {
		steps = append(steps, plan.Step{Do: plan.Hook{
			Script: strings.ReplaceAll(v.Text, "%i", dev),
			Args:   all,
			Origin: fmt.Sprintf("%v: %s", v.Pos, key),
		}})
	}
	return steps
}
