// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package plantest has a host that models and records, and changes nothing.
package plantest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"

	"wgtools/internal/device"
	"wgtools/internal/plan"
)

// A Recorder is a small model of a host: links, their addresses and routes. It
// refuses what the kernel would refuse.
type Recorder struct {
	// Lines are the command lines of the changes that were asked for, those
	// that failed included.
	Lines []string
	// Fail makes the change of that line fail.
	Fail map[string]error
	// Before is called before each change is made; it may be nil.
	Before func(line string)
	// Configured are the requests that were made to devices.
	Configured []*device.Change

	// FirewallKind is where the rules of full tunnels go; "" is [plan.NFT].
	FirewallKind string

	// Closed are the kill switches that are set, by their links.
	Closed map[string]plan.KillSwitch

	// Sysctls are the kernel's parameters.
	Sysctls map[string]string

	// Saved are the files that were written, by their paths.
	Saved map[string]string

	rules []plan.Rule

	have map[string]string // what there is, and the link it goes with
}

// Host returns r as every part of a host.
func (r *Recorder) Host() *plan.Host {
	return &plan.Host{Links: r, Devices: r, Userspace: r, Routes: r, Firewall: r, Gate: r, DNS: r, Shell: r, Files: r, Sysctl: r}
}

// Left returns what there is on the host, sorted.
func (r *Recorder) Left() (left []string) {
	for what := range r.have {
		left = append(left, what)
	}
	slices.Sort(left)
	return left
}

// On returns the link that something goes with, "" if it isn't there.
func (r *Recorder) On(what string) string { return r.have[what] }

// Rules returns the policy rules that were added.
func (r *Recorder) Rules() []plan.Rule { return slices.Clone(r.rules) }

// note records the lines of op and returns the error that it shall fail with.
func (r *Recorder) note(ctx context.Context, op plan.Op) error {
	var failure error
	for line := range op.Lines() {
		if r.Before != nil {
			r.Before(line)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		r.Lines = append(r.Lines, line)
		if failure == nil {
			failure = r.Fail[line]
		}
	}
	return failure
}

func (r *Recorder) add(what, dev string) error {
	if _, ok := r.have[what]; ok {
		return fs.ErrExist
	}
	if r.have == nil {
		r.have = map[string]string{}
	}
	r.have[what] = dev
	return nil
}

func (r *Recorder) del(what string) error {
	if _, ok := r.have[what]; !ok {
		return fs.ErrNotExist
	}
	delete(r.have, what)
	return nil
}

// on fails if the link isn't there.
func (r *Recorder) on(dev string) error {
	if _, ok := r.have[link(dev)]; !ok {
		return fs.ErrNotExist
	}
	return nil
}

func link(dev string) string { return "link " + dev }

func addr(dev string, a netip.Prefix) string { return fmt.Sprintf("address %v dev %s", a, dev) }

func route(r plan.RouteSet, dst netip.Prefix) string {
	return fmt.Sprintf("route %v table %d", dst, r.Table)
}

func firewall(dev string, v6 bool) string {
	if v6 {
		return "firewall rules ip6 " + dev
	}
	return "firewall rules ip " + dev
}

// AddLink implements [plan.Links].
func (r *Recorder) AddLink(ctx context.Context, dev string) error {
	if err := r.note(ctx, plan.AddLink{Dev: dev}); err != nil {
		return err
	}
	return r.add(link(dev), dev)
}

// DelLink implements [plan.Links]: what is on the link goes with it.
func (r *Recorder) DelLink(ctx context.Context, dev string) error {
	if err := r.note(ctx, plan.DelLink{Dev: dev}); err != nil {
		return err
	}
	if err := r.on(dev); err != nil {
		return err
	}
	for what, on := range r.have {
		if on == dev {
			delete(r.have, what)
		}
	}
	return nil
}

// AddAddr implements [plan.Links].
func (r *Recorder) AddAddr(ctx context.Context, dev string, a netip.Prefix) error {
	if err := r.note(ctx, plan.AddAddr{Dev: dev, Addr: a}); err != nil {
		return err
	}
	if err := r.on(dev); err != nil {
		return err
	}
	return r.add(addr(dev, a), dev)
}

// DelAddr implements [plan.Links].
func (r *Recorder) DelAddr(ctx context.Context, dev string, a netip.Prefix) error {
	if err := r.note(ctx, plan.DelAddr{Dev: dev, Addr: a}); err != nil {
		return err
	}
	return r.del(addr(dev, a))
}

// SetLink implements [plan.Links].
func (r *Recorder) SetLink(ctx context.Context, dev string, mtu int, up bool) error {
	if err := r.note(ctx, plan.SetLink{Dev: dev, MTU: mtu, Up: up}); err != nil {
		return err
	}
	return r.on(dev)
}

// Configure implements [plan.Devices].
func (r *Recorder) Configure(ctx context.Context, dev string, c *device.Change) error {
	if err := r.note(ctx, plan.Configure{Dev: dev, Change: c}); err != nil {
		return err
	}
	r.Configured = append(r.Configured, c)
	return r.on(dev)
}

// Start implements [plan.Userspace].
func (r *Recorder) Start(ctx context.Context, dev, program string) error {
	if err := r.note(ctx, plan.StartDevice{Dev: dev, Program: program}); err != nil {
		return err
	}
	return r.add(link(dev), dev)
}

// AddRoutes implements [plan.Routes].
func (r *Recorder) AddRoutes(ctx context.Context, set plan.RouteSet) error {
	err := r.on(set.Dev)
	for i, dst := range set.Dst {
		one := set
		one.Dst = []netip.Prefix{dst}
		if err == nil {
			err = r.note(ctx, plan.AddRoutes{RouteSet: one})
		}
		if err == nil {
			err = r.add(route(set, dst), set.Dev)
		}
		if err != nil {
			for _, done := range set.Dst[:i] {
				delete(r.have, route(set, done))
			}
			return &plan.RouteError{Dst: dst, Err: err}
		}
	}
	return nil
}

// DelRoutes implements [plan.Routes].
func (r *Recorder) DelRoutes(ctx context.Context, set plan.RouteSet) error {
	var first error
	for _, dst := range set.Dst {
		one := set
		one.Dst = []netip.Prefix{dst}
		err := r.note(ctx, plan.DelRoutes{RouteSet: one})
		if err == nil {
			err = r.del(route(set, dst))
		}
		if err != nil && (first == nil || errors.Is(first, fs.ErrNotExist) && !errors.Is(err, fs.ErrNotExist)) {
			first = &plan.RouteError{Dst: dst, Err: err}
		}
	}
	return first
}

// AddDefault implements [plan.Routes].
func (r *Recorder) AddDefault(ctx context.Context, d plan.DefaultRoute) error {
	if err := r.note(ctx, plan.AddDefault{DefaultRoute: d}); err != nil {
		return err
	}
	if err := r.on(d.Dev); err != nil {
		return err
	}
	dst := d.Route()
	if err := r.add(route(dst, dst.Dst[0]), d.Dev); err != nil {
		return err
	}
	for _, p := range d.Except { // they don't go with the link
		if err := r.add("throw "+route(dst, p), ""); err != nil {
			return err
		}
	}
	for _, one := range d.Rules {
		if err := r.add(rule(one), ""); err != nil {
			return err
		}
		r.rules = append(r.rules, one)
	}
	return nil
}

// DelDefault implements [plan.Routes].
func (r *Recorder) DelDefault(ctx context.Context, d plan.DefaultRoute) error {
	if err := r.note(ctx, plan.DelDefault{DefaultRoute: d}); err != nil {
		return err
	}
	dst := d.Route()
	delete(r.have, route(dst, dst.Dst[0]))
	var missing error
	for _, p := range d.Except {
		missing = cmp.Or(missing, r.del("throw "+route(dst, p)))
	}
	for _, one := range d.Rules {
		missing = cmp.Or(missing, r.del(rule(one)))
		r.rules = slices.DeleteFunc(r.rules, func(have plan.Rule) bool { return have == one })
	}
	return missing
}

func rule(r plan.Rule) string { return fmt.Sprintf("rule %+v", r) }

// SetDNS implements [plan.DNS].
func (r *Recorder) SetDNS(ctx context.Context, s plan.DNSSettings) error {
	if err := r.note(ctx, plan.SetDNS{DNSSettings: s}); err != nil {
		return err
	}
	if r.have == nil {
		r.have = map[string]string{}
	}
	r.have["DNS of "+s.Dev] = "" // in place of what was set before
	return nil
}

// UnsetDNS implements [plan.DNS].
func (r *Recorder) UnsetDNS(ctx context.Context, s plan.DNSSettings) error {
	if err := r.note(ctx, plan.UnsetDNS{DNSSettings: s}); err != nil {
		return err
	}
	return r.del("DNS of " + s.Dev)
}

// SetSysctl implements [plan.Sysctl].
func (r *Recorder) SetSysctl(ctx context.Context, name, value string) error {
	if err := r.note(ctx, plan.SetSysctl{Name: name, Value: value}); err != nil {
		return err
	}
	if r.Sysctls == nil {
		r.Sysctls = map[string]string{}
	}
	r.Sysctls[name] = value
	return nil
}

// AddRules implements [plan.Firewall].
func (r *Recorder) AddRules(ctx context.Context, rules plan.FirewallRules) error {
	op := plan.AddFirewall{FirewallRules: rules, Kind: r.Kind(ctx)}
	if err := r.note(ctx, op); err != nil {
		return err
	}
	_ = r.del(firewall(rules.Dev, rules.V6)) // they are replaced
	return r.add(firewall(rules.Dev, rules.V6), "")
}

// DelRules implements [plan.Firewall].
func (r *Recorder) DelRules(ctx context.Context, dev string) error {
	op := plan.DelFirewall{Dev: dev}
	gone := error(fs.ErrNotExist)
	for _, v6 := range []bool{false, true} {
		if _, ok := r.have[firewall(dev, v6)]; ok {
			rules := plan.AddFirewall{FirewallRules: plan.FirewallRules{V6: v6}, Kind: r.Kind(ctx)}
			if p := rules.Program(); !slices.Contains(op.Programs, p) {
				op.Programs = append(op.Programs, p)
			}
			gone = nil
		}
	}
	if err := r.note(ctx, op); err != nil {
		return err
	}
	for _, v6 := range []bool{false, true} {
		delete(r.have, firewall(dev, v6))
	}
	return gone
}

func killSwitch(dev string) string { return "kill switch of " + dev }

// SetKillSwitch implements [plan.Gate].
func (r *Recorder) SetKillSwitch(ctx context.Context, k plan.KillSwitch) error {
	if err := r.note(ctx, plan.SetKillSwitch{Dev: k.Dev, Want: &k}); err != nil {
		return err
	}
	if r.Closed == nil {
		r.Closed = map[string]plan.KillSwitch{}
	}
	r.Closed[k.Dev] = k
	_ = r.del(killSwitch(k.Dev)) // it is replaced
	return r.add(killSwitch(k.Dev), "")
}

// DelKillSwitch implements [plan.Gate].
func (r *Recorder) DelKillSwitch(ctx context.Context, dev string) error {
	if err := r.note(ctx, plan.SetKillSwitch{Dev: dev}); err != nil {
		return err
	}
	delete(r.Closed, dev)
	return r.del(killSwitch(dev))
}

func masquerade(dev string) string { return "masquerade for " + dev }

// SetMasquerade implements [plan.Gate].
func (r *Recorder) SetMasquerade(ctx context.Context, m plan.Masquerade) error {
	if err := r.note(ctx, plan.SetMasquerade{Dev: m.Dev, Want: &m}); err != nil {
		return err
	}
	_ = r.del(masquerade(m.Dev)) // it is replaced
	return r.add(masquerade(m.Dev), "")
}

// DelMasquerade implements [plan.Gate].
func (r *Recorder) DelMasquerade(ctx context.Context, dev string) error {
	if err := r.note(ctx, plan.SetMasquerade{Dev: dev}); err != nil {
		return err
	}
	return r.del(masquerade(dev))
}

// Kind implements [plan.Firewall].
func (r *Recorder) Kind(context.Context) string { return cmp.Or(r.FirewallKind, plan.NFT) }

// Replace implements [plan.Files].
func (r *Recorder) Replace(ctx context.Context, path string, text []byte) error {
	if err := r.note(ctx, plan.SaveConfig{Path: path}); err != nil {
		return err
	}
	if r.Saved == nil {
		r.Saved = map[string]string{}
	}
	r.Saved[path] = string(text)
	return nil
}

// Run implements [plan.Shell].
func (r *Recorder) Run(ctx context.Context, h plan.Hook) error {
	return r.note(ctx, h)
}
