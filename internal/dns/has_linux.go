// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"context"
	"os"

	"github.com/godbus/dbus/v5"

	"wgtools/internal/plan"
)

// Has reports whether something is set for s.Dev by s.Backend, as SetDNS does
// it. Where that can't be told, it is taken to be there.
func (r *Resolver) Has(ctx context.Context, s plan.DNSSettings) bool {
	switch s.Backend {
	case plan.Resolvconf:
		return r.recorded(ctx, s.Record) != "" || !r.tellsRecords(ctx)
	case plan.Resolved:
		return hasLink(ctx, s.Dev)
	}
	text, err := os.ReadFile(r.resolvConf)
	return err != nil || parse(string(text)).find(s.Dev) >= 0
}

// hasLink reports whether systemd-resolved has domains for a link: SetDNS gives
// it some always.
func hasLink(ctx context.Context, dev string) bool {
	index, err := linkIndex(dev)
	if err != nil {
		return false
	}
	has := true
	_ = onBus(ctx, func(b *bus) error {
		var path dbus.ObjectPath
		if err := b.Object(resolvedName, resolvedPath).CallWithContext(b.ctx, resolvedManager+".GetLink", 0, index).Store(&path); err != nil {
			return err
		}
		v, err := b.Object(resolvedName, path).GetProperty("org.freedesktop.resolve1.Link.Domains")
		if err != nil {
			return err
		}
		var domains []linkDomain
		if err := v.Store(&domains); err == nil {
			has = len(domains) > 0
		}
		return nil
	})
	return has
}
