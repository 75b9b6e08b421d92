// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path/filepath"

	"wgtools/internal/config"
	"wgtools/internal/netns"
	"wgtools/internal/quick"
	"wgtools/internal/routing"
	"wgtools/internal/rtnl"
	"wgtools/internal/userspace"
)

// A home is another network namespace than the one that wg-quick was started
// in: the tunnel's link is there, with all that belongs to it, while the packets
// to its peers go by the namespace of its birth. The goroutine of the command is
// in it, all others aren't.
type home struct {
	birth  *os.File
	etc    string // what is in /etc for it; "" if it has no name
	mortal bool   // it ends with this process
}

// enter moves into the namespace of that name, or at that path.
func (a *app) enter(name string) error {
	birth, err := netns.Current()
	if err != nil {
		return err
	}
	ns, err := netns.Open(name)
	if err != nil {
		p := &problem{line: fmt.Sprintf("%s: the network namespace `%s': %v", a.prog, name, err), cause: err}
		if errors.Is(err, fs.ErrNotExist) {
			p.hint(fmt.Sprintf("`ip netns add %s' makes it, `ip netns' lists those that there are", name))
		}
		return p
	}
	defer ns.Close()
	if err := netns.Enter(ns); err != nil {
		return err
	}
	a.home = &home{birth: birth, etc: netns.Etc(name)}
	return nil
}

// atBirth calls f in the namespace of birth, where the net can be reached without
// the tunnel. h may be nil.
func (h *home) atBirth(f func() error) error {
	if h == nil {
		return f()
	}
	return netns.Do(h.birth, f)
}

// openBirth returns the kernel's part of the namespace of birth.
func (h *home) openBirth() (k *rtnl.Kernel, err error) {
	err = h.atBirth(func() error {
		k, err = rtnl.Open()
		return err
	})
	return k, err
}

// resolvConf returns the file of its name servers.
func (h *home) resolvConf() string { return filepath.Join(h.etc, "resolv.conf") }

// errNameless is why there can be no name servers.
var errNameless = &quick.Refusal{
	Text: "DNS: a network namespace that only has a path has no resolv.conf of its own",
	Hint: "give it a name, as `ip netns attach NAME PID' does",
}

// deviceOptions returns those of a userspace device. h may be nil.
func (h *home) deviceOptions() userspace.Options {
	if h == nil {
		return userspace.Options{}
	}
	return userspace.Options{Birth: h.birth, Mortal: h.mortal}
}

// errForeignElsewhere is why another program than ours can't make the device.
var errForeignElsewhere = errors.New("only the built-in userspace device can have its sockets in another network namespace than its link")

// An outside resolver resolves by the namespace of birth: all goroutines but
// the command's are there.
type outside struct{ config.Resolver }

// Endpoint implements [config.Resolver].
func (o outside) Endpoint(s string) (at netip.AddrPort, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		at, err = o.Resolver.Endpoint(s)
	}()
	<-done
	return at, err
}

// AddLink implements [plan.Links].
func (h host) AddLink(ctx context.Context, dev string) error {
	if h.app.home == nil {
		return h.Kernel.AddLink(ctx, dev)
	}
	ns, err := netns.Current()
	if err != nil {
		return err
	}
	defer ns.Close()
	return h.birth.AddLinkIn(ctx, dev, ns)
}

// Policy implements [quick.Observer]. A number that is a table in the namespace
// of birth is taken: it may be the mark of a tunnel there, past whose rules and
// kill switch packets with that mark go.
func (h host) Policy(ctx context.Context) (*routing.Policy, error) {
	p, err := h.Kernel.Policy(ctx)
	if err != nil || h.app.home == nil {
		return p, err
	}
	birth, err := h.birth.Policy(ctx)
	if err != nil {
		return nil, err
	}
	maps.Copy(p.Used, birth.Used)
	return p, nil
}

// PathMTU implements [quick.Observer].
func (h host) PathMTU(ctx context.Context, dst netip.Addr, mark uint32) int {
	return h.birth.PathMTU(ctx, dst, mark)
}

// DefaultMTU implements [quick.Observer].
func (h host) DefaultMTU(ctx context.Context) int { return h.birth.DefaultMTU(ctx) }
