// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"wgtools/internal/plan"
)

// acceptRA is the parameter of a link that has it take its router's
// advertisements. A host that forwards takes them only if it is 2.
func acceptRA(link string) string { return "net/ipv6/conf/" + link + "/accept_ra" }

func isAcceptRA(name string) bool { return strings.HasSuffix(name, "/accept_ra") }

// parseMasquerade reads the value of Masquerade in a configuration file of the
// link dev.
func parseMasquerade(dev, s string) (*plan.Masquerade, error) {
	switch {
	case s == "":
		return nil, nil
	case strings.EqualFold(s, "auto"):
		return &plan.Masquerade{Dev: dev}, nil
	case len(s) > 15 || strings.ContainsAny(s, "/, \t\"'") || s == "." || s == "..":
		return nil, fmt.Errorf("%.200q is not the name of a link", s)
	}
	return &plan.Masquerade{Dev: dev, Out: s}, nil
}

// parseForward reads the value of Forward in a configuration file. Without one,
// packets are forwarded if they are masqueraded, too.
func parseForward(s string, masquerades bool) (bool, error) {
	switch strings.ToLower(s) {
	case "":
		return masquerades, nil
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, fmt.Errorf("%.200q is neither true nor false", s)
}

// serve has the host forward packets for the tunnel, and masquerade them, or no
// more.
func (r *transition) serve(ctx context.Context) error {
	had := r.have.Masquerade != nil || slices.ContainsFunc(r.have.Sysctls, func(p Sysctl) bool { return p.Name != SrcValidMark })
	if !r.t.Forward && r.t.Masquerade == nil && !had {
		return nil
	}
	return r.Journal.Exclusive(ctx, func() error {
		want := r.have
		want.Masquerade = r.t.Masquerade
		list, err := r.forwarding(ctx, want.Sysctls)
		if err != nil {
			return err
		}
		want.Sysctls = list
		if r.t.Forward && !had {
			r.warnDropping(ctx)
		}
		return r.advance(ctx, want)
	})
}

// forwarding returns list with the parameters that forwarding takes, or without
// them.
func (r *transition) forwarding(ctx context.Context, list []Sysctl) ([]Sysctl, error) {
	// Links that have their default route from a router would lose it at once.
	var advertised []string
	note := func(list []Sysctl) {
		for _, p := range list {
			if isAcceptRA(p.Name) && !slices.Contains(advertised, p.Name) {
				advertised = append(advertised, p.Name)
			}
		}
	}
	note(list)
	if now, err := r.Look.Sysctl(ctx, forwarding6); r.t.Forward && err == nil && now != "1" {
		links, err := r.Look.Advertised(ctx)
		if err != nil {
			return nil, err
		}
		for _, link := range links {
			note([]Sysctl{{Name: acceptRA(link)}})
		}
	} else if r.t.Forward {
		others, err := r.Journal.Others(r.t.Dev)
		if err != nil {
			return nil, err
		}
		for _, o := range others {
			note(o.Sysctls)
		}
	}
	var err error
	set := func(name, value string) {
		if err != nil {
			return
		}
		with, failed := r.sysctl(ctx, list, name, value, r.t.Forward)
		if name == forwarding4 || !errors.Is(failed, fs.ErrNotExist) { // no IPv6, or the link is gone
			err = failed
		}
		if failed == nil {
			list = with
		}
	}
	for _, name := range advertised {
		set(name, "2")
	}
	set(forwarding4, "1")
	set(forwarding6, "1")
	return list, err
}

// warnDropping tells of what drops packets that are to be forwarded. That one
// filter lets a packet through doesn't help it past another one.
func (r *transition) warnDropping(ctx context.Context) {
	chains, err := r.Look.Dropping(ctx)
	if err != nil || len(chains) == 0 {
		return
	}
	r.Say(fmt.Sprintf("[!] The packet filter drops what is forwarded unless a rule of its own lets it through: %s. `%s' needs one there.",
		strings.Join(chains, ", "), r.t.Dev))
}
