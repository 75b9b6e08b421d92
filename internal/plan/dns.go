// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"iter"
	"net/netip"
	"strings"
)

// DNS keeps the name servers and search domains that come with tunnels,
// wherever the host has its resolver's settings.
type DNS interface {
	// SetDNS makes s hold, in place of what SetDNS set for that link before:
	// all of it or nothing.
	SetDNS(ctx context.Context, s DNSSettings) error
	// UnsetDNS takes back what SetDNS did for s.Dev by s.Backend, and leaves
	// what others changed meanwhile. It fails with [fs.ErrNotExist] if there
	// is nothing of it any more. The link needn't be there.
	UnsetDNS(ctx context.Context, s DNSSettings) error
}

// A DNSBackend is where a host has its resolver's settings.
type DNSBackend string

// The backends that there are. Their names are those that users choose by.
const (
	Resolvconf DNSBackend = "resolvconf" // resolvconf(8), also the one of openresolv or systemd
	Resolved   DNSBackend = "resolved"   // systemd-resolved(8), over D-Bus
	ResolvFile DNSBackend = "file"       // /etc/resolv.conf itself
)

// DNSSettings are the settings that come with a link. With Servers, all names
// are looked up there, and nowhere else.
type DNSSettings struct {
	Dev     string
	Backend DNSBackend
	Record  string   `json:",omitempty"` // the name that resolvconf knows them by: "tun.wg0"
	Servers []string `json:",omitempty"` // as in the configuration file: mostly addresses
	Search  []string `json:",omitempty"` // domains
}

type (
	// SetDNS sets the name servers and search domains of a link.
	SetDNS struct{ DNSSettings }
	// UnsetDNS takes them back.
	UnsetDNS struct{ DNSSettings }
)

// Apply implements [Op].
func (o SetDNS) Apply(ctx context.Context, h *Host) error { return h.DNS.SetDNS(ctx, o.DNSSettings) }

// Apply implements [Op].
func (o UnsetDNS) Apply(ctx context.Context, h *Host) error {
	return h.DNS.UnsetDNS(ctx, o.DNSSettings)
}

// Lines implements [Op].
func (o SetDNS) Lines() iter.Seq[string] {
	switch o.Backend {
	case Resolvconf:
		line := "resolvconf -a " + o.Record + " -m 0"
		if len(o.Servers) > 0 {
			line += " -x" // exclusive: without servers it would leave none at all
		}
		return one(line)
	case Resolved:
		return func(yield func(string) bool) {
			domains := o.Search
			if len(o.Servers) > 0 {
				if !yield("resolvectl dns " + o.Dev + " " + strings.Join(o.Servers, " ")) {
					return
				}
				domains = append([]string{"~."}, domains...)
			}
			yield("resolvectl domain " + o.Dev + " " + strings.Join(domains, " "))
		}
	}
	var words []string
	for _, s := range o.Servers {
		words = append(words, "nameserver "+s)
	}
	if len(o.Search) > 0 {
		words = append(words, "search "+strings.Join(o.Search, " "))
	}
	return one("edit /etc/resolv.conf: " + strings.Join(words, ", "))
}

// Lines implements [Op].
func (o UnsetDNS) Lines() iter.Seq[string] {
	switch o.Backend {
	case Resolvconf:
		return one("resolvconf -d " + o.Record + " -f")
	case Resolved:
		return one("resolvectl revert " + o.Dev)
	}
	return one("edit /etc/resolv.conf: without what is " + o.Dev + "'s")
}

// ParseNameServer returns the address and port that a name server's text
// means: "1.1.1.1", "2001:db8::1", "fe80::1%eth0", "9.9.9.9:53" or
// "[2001:db8::1]:53". The port is 0 if none is given.
func ParseNameServer(s string) (netip.AddrPort, error) {
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap, nil
	}
	a, err := netip.ParseAddr(s)
	return netip.AddrPortFrom(a, 0), err
}
