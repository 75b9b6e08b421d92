// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"iter"
	"net/netip"
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
