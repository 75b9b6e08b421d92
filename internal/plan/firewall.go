// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"net/netip"
	"slices"
)

// Firewall keeps the rules of full tunnels, wherever the host has its packet
// filter.
type Firewall interface {
	// AddRules adds the rules of one family, all or none, in place of those
	// that are there for that link and family.
	AddRules(ctx context.Context, r FirewallRules) error
	// DelRules removes the rules for the link dev, of both families and of
	// every kind, those made by the original wg-quick too. It fails with
	// [fs.ErrNotExist] if there are none. The link needn't be there.
	DelRules(ctx context.Context, dev string) error
	// Kind is where AddRules puts rules: [NFT] or [IPTables].
	Kind(ctx context.Context) string
}

// The programs that people know the kinds of rules by.
const (
	NFT       = "nft"
	IPTables  = "iptables"
	IP6Tables = "ip6tables"
)

// FirewallRules are what a full tunnel needs in the packet filter, in one
// family: nothing from elsewhere may be sent to the link's addresses, and the
// answers to the tunnel's own packets get the mark back that those have, so
// that a strict reverse path filter lets them in.
type FirewallRules struct {
	Dev       string
	Mark      uint32
	V6        bool
	Addresses []netip.Addr // the link's in this family, without a zone
}

type (
	// AddFirewall adds the rules of one family.
	AddFirewall struct {
		FirewallRules
		Kind string // as [Firewall] has it; for the line only
	}
	// DelFirewall removes the rules of a link.
	DelFirewall struct {
		Dev      string
		Programs []string // of the kinds that there are; for the lines only
	}
)

// SetFirewall replaces the rules of a link, of both families.
type SetFirewall struct {
	Dev       string
	Had, Want []FirewallRules // at most one for each family
	Kind      string          // as [Firewall] has it; for the lines only
	Programs  []string        // where Had is; for the lines only
}

// Undo returns what takes o back.
func (o SetFirewall) Undo() SetFirewall {
	back := SetFirewall{Dev: o.Dev, Had: o.Want, Want: o.Had, Kind: o.Kind}
	for _, r := range o.Want {
		if p := (AddFirewall{r, o.Kind}).Program(); !slices.Contains(back.Programs, p) {
			back.Programs = append(back.Programs, p)
		}
	}
	return back
}

// removes reports whether a family's rules are to go without others in their
// place; then all go first.
func (o SetFirewall) removes() bool {
	return slices.ContainsFunc(o.Had, func(r FirewallRules) bool {
		return !slices.ContainsFunc(o.Want, func(w FirewallRules) bool { return w.V6 == r.V6 })
	})
}

func (o SetFirewall) parts() (ops []Op) {
	if o.removes() {
		ops = append(ops, DelFirewall{Dev: o.Dev, Programs: o.Programs})
	}
	for _, r := range o.Want {
		ops = append(ops, AddFirewall{FirewallRules: r, Kind: o.Kind})
	}
	return ops
}

// Apply implements [Op].
func (o SetFirewall) Apply(ctx context.Context, h *Host) error {
	for i, op := range o.parts() {
		err := op.Apply(ctx, h)
		if err == nil {
			continue
		}
		if _, removes := op.(DelFirewall); removes && len(o.Want) > 0 && errors.Is(err, fs.ErrNotExist) {
			continue // others flushed them; those that are wanted are set all the same
		}
		if i > 0 {
			// All or none.
			back := o.Undo()
			err = errors.Join(err, back.Apply(context.WithoutCancel(ctx), h))
		}
		return err
	}
	return nil
}

// Lines implements [Op].
func (o SetFirewall) Lines() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, op := range o.parts() {
			for line := range op.Lines() {
				if !yield(line) {
					return
				}
			}
		}
	}
}

// Apply implements [Op].
func (o AddFirewall) Apply(ctx context.Context, h *Host) error {
	return h.Firewall.AddRules(ctx, o.FirewallRules)
}

// Apply implements [Op].
func (o DelFirewall) Apply(ctx context.Context, h *Host) error {
	return h.Firewall.DelRules(ctx, o.Dev)
}

// Lines implements [Op].
func (o AddFirewall) Lines() iter.Seq[string] { return one(firewallLine(o.Program())) }

// Program returns the program of the rules' kind and family.
func (o AddFirewall) Program() string {
	if o.Kind == IPTables && o.V6 {
		return IP6Tables
	}
	return o.Kind
}

// Lines implements [Op].
func (o DelFirewall) Lines() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, p := range o.Programs {
			if !yield(firewallLine(p)) {
				return
			}
		}
	}
}

// The original passes the rules by a pipe of this name or by standard input.
func firewallLine(program string) string {
	if program == NFT {
		return "nft -f /dev/fd/63"
	}
	return program + "-restore -n"
}
