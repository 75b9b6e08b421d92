// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"fmt"
	"slices"

	"wgtools/internal/plan"
)

// The kernel's parameters that tunnels need, by name.
const (
	// SrcValidMark makes the reverse path filter look at a packet's mark. Only
	// IPv4 has such a filter.
	SrcValidMark = "net.ipv4.conf.all.src_valid_mark"
	forwarding4  = "net.ipv4.ip_forward"
	forwarding6  = "net.ipv6.conf.all.forwarding"
)

// sysctl returns list, what is to be put back, with the parameter of that name
// if it is needed and it is ours to put back; else without it.
func (r *transition) sysctl(ctx context.Context, list []Sysctl, name, value string, needed bool) ([]Sysctl, error) {
	i := indexOf(list, name)
	if !needed && i < 0 {
		return list, nil
	}
	if r.d.settled == nil {
		r.d.settled = map[string]bool{}
	}
	list = slices.Clone(list)
	now, err := r.Look.Sysctl(ctx, name)
	r.d.settled[name] = err == nil && now == value
	switch {
	case err != nil && needed:
		return nil, err
	case !needed:
		r.d.settled[name] = r.needed(ctx, r.t.Dev, name, r.have.Defaults) // another one puts it back
		return slices.Delete(list, i, i+1), nil
	case i >= 0:
		if now != value {
			r.drift.note(fmt.Sprintf("%s, no longer %s", name, value), false)
			r.have.Sysctls = slices.DeleteFunc(slices.Clone(r.have.Sysctls), func(p Sysctl) bool { return p.Name == name })
		}
		return list, nil
	case now != value:
		return append(list, Sysctl{name, value, now}), nil
	}
	others, err := r.Journal.Others(r.t.Dev)
	if err != nil {
		return nil, err
	}
	for _, o := range others {
		if i := indexOf(o.Sysctls, name); i >= 0 {
			return append(list, o.Sysctls[i]), nil
		}
	}
	return list, nil
}

// needed reports whether a tunnel beside dev, whose default routes are own,
// needs a parameter, be it ours or the original's.
func (s *Session) needed(ctx context.Context, dev, name string, own []plan.DefaultRoute) bool {
	others, err := s.Journal.Others(dev)
	if err != nil {
		return true
	}
	for _, r := range others {
		if indexOf(r.Sysctls, name) >= 0 {
			return true
		}
	}
	if name != SrcValidMark {
		return false
	}
	p, err := s.Look.Policy(ctx)
	if err != nil {
		return true
	}
	return hasDiversion(p, own)
}
