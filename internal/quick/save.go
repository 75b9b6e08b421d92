// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"wgtools/internal/config"
	"wgtools/internal/plan"
)

// Save writes the tunnel dev, as it is now, into its file, which doc is the
// text of. All stays in the file that still holds, and what is borrowed from
// elsewhere stays there.
func (s *Session) Save(ctx context.Context, dev string, doc *config.Document, borrowed config.Borrowed) error {
	if err := s.RequireDevice(ctx, dev); err != nil {
		return err
	}
	live, err := s.Look.Live(ctx, dev)
	if err != nil {
		return err
	}
	named := addressesOf(doc)
	live.Addresses = withoutLinkLocal(live.Addresses, named)
	live.Addresses = append(live.Addresses, s.leftOut(ctx, dev, named, live.Addresses)...)
	if _, elsewhere := doc.Update(live, borrowed, parseAddress); len(elsewhere) > 0 {
		line := "[!] Not saved: " + elsewhere[0]
		if more := len(elsewhere) - 1; more > 0 {
			line += fmt.Sprintf("; and %d more such", more)
		}
		s.Say(line + ".")
	}
	return s.Tx.Apply(ctx, plan.Step{Do: plan.SaveConfig{Dev: dev, Path: doc.File, Text: doc.Bytes()}})
}

// addressesOf returns the addresses that a file names.
func addressesOf(doc *config.Document) (list []netip.Prefix) {
	c, err := config.Decode(doc.File, doc.Bytes(), config.Options{Dialect: config.Quick, OwnKeys: true})
	if err != nil {
		return nil
	}
	for _, v := range c.Quick.Addresses {
		if p, err := parseAddress(v.Text); err == nil {
			list = append(list, p)
		}
	}
	return list
}

// withoutLinkLocal returns the addresses without those that a link gives itself: a TUN
// link a new one each time. named are those that its file names.
func withoutLinkLocal(addresses, named []netip.Prefix) []netip.Prefix {
	return slices.DeleteFunc(addresses, func(p netip.Prefix) bool {
		return p.Addr().IsLinkLocalUnicast() && p.Addr().Is6() && !slices.Contains(named, p)
	})
}
