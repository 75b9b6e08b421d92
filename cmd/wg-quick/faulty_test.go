// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"wgtools/internal/cli"
	"wgtools/internal/device"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/userspace"
)

// faultyName is the program as it is, but that it fails where it is told to.
const faultyName = "wg-quick-faulty"

// The variables of its environment.
const (
	// faultsVariable is what goes wrong, such as "error 7,kill 9": the kind of
	// a fault, and the step that it happens at. They are counted from 1.
	faultsVariable = "FAULTS"
	// stepsVariable is a file that gets the name of each step.
	stepsVariable = "FAULT_STEPS"
)

// The kinds of faults.
const (
	fails     = "fails"     // the step isn't made
	failsLate = "failslate" // it is made, and fails all the same
	breaks    = "breaks"    // as fails, and so do all later ones of its name
	kills     = "kills"     // the program is killed after it; 0 is before the first
	tears     = "tears"     // the program is killed when half of it is made
)

// The faults of a userspace device's process; they have no step.
const (
	orphans = "orphans" // it kills the one that started it
	lates   = "lates"   // so too, and goes on once its link is gone
	dies    = "dies"    // it kills both
)

// faultyMain is main with faults.
func faultyMain() {
	f := newFaults(os.Getenv(faultsVariable), os.Getenv(stepsVariable))
	a := &app{Env: cli.OS(), prog: "wg-quick", tamper: func(s *quick.Session) {
		if f.at[0] == kills {
			kill(os.Getpid())
		}
		h := s.Tx.Host
		w := &faulty{h.Links, h.Devices, h.Userspace, h.Routes, h.Firewall, h.Gate, h.DNS, h.Shell, h.Files, h.Sysctl, s.Journal, f}
		s.Tx.Host, s.Journal = &plan.Host{
			Links: w, Devices: w, Userspace: w, Routes: w, Firewall: w, Gate: w, DNS: w, Shell: w, Files: w, Sysctl: w,
		}, w
	}}
	os.Exit(a.run(context.Background(), os.Args[1:]))
}

// faultyDevice is the main function of a device's process with faults.
func faultyDevice() {
	switch os.Getenv(faultsVariable) {
	case orphans:
		kill(os.Getppid())
	case lates:
		kill(os.Getppid())
		for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
			if _, err := net.InterfaceByName(os.Args[1]); err != nil {
				break
			}
		}
	case dies:
		kill(os.Getppid())
		kill(os.Getpid())
	}
	os.Exit(userspace.Main(os.Args))
}

func kill(pid int) {
	syscall.Kill(pid, syscall.SIGKILL)
	if pid == os.Getpid() {
		select {} // for as long as that takes
	}
}

// errFault is the error of a fault.
var errFault = errors.New("a fault of the test")

// faults are those that a process has, and the steps that it has made. A step
// is a call of the host or the journal that changes something.
type faults struct {
	at     map[int]string // the kinds by step
	made   int
	broken string // the name of steps that fail from now on
	names  *os.File
}

func newFaults(spec, path string) *faults {
	f := &faults{at: map[int]string{}}
	for _, one := range strings.FieldsFunc(spec, func(c rune) bool { return c == ',' }) {
		kind, at, ok := strings.Cut(one, " ")
		if !ok { // a device's
			continue
		}
		n, err := strconv.Atoi(at)
		if err != nil {
			panic(err)
		}
		f.at[n] = kind
	}
	if path != "" {
		var err error
		if f.names, err = os.Create(path); err != nil {
			panic(err)
		}
	}
	return f
}

// step makes a step of that name, with do, unless a fault happens; half makes
// half of it. Records have no context.
func (f *faults) step(ctx context.Context, name string, do func() error, half func()) error {
	f.made++
	if f.names != nil {
		fmt.Fprintln(f.names, name)
	}
	signals := map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM, "SIGHUP": syscall.SIGHUP}
	kind := f.at[f.made]
	switch {
	case kind == breaks:
		f.broken = name
	case kind == tears:
		if half != nil {
			half()
		}
		kill(os.Getpid())
	case signals[kind] != 0:
		syscall.Kill(os.Getpid(), signals[kind])
		if ctx.Done() != nil {
			<-ctx.Done() // it has been heard
		}
	}
	if kind == fails || f.broken == name {
		return errFault
	}
	err := do()
	switch {
	case kind == kills:
		kill(os.Getpid())
	case kind == failsLate && err == nil:
		err = errFault
	}
	return err
}

// faulty is a host and a journal with faults.
type faulty struct {
	plan.Links
	plan.Devices
	plan.Userspace
	plan.Routes
	plan.Firewall
	plan.Gate
	plan.DNS
	plan.Shell
	plan.Files
	plan.Sysctl
	quick.Journal
	*faults
}

func (w *faulty) AddLink(ctx context.Context, dev string) error {
	return w.step(ctx, "AddLink", func() error { return w.Links.AddLink(ctx, dev) }, nil)
}

func (w *faulty) DelLink(ctx context.Context, dev string) error {
	return w.step(ctx, "DelLink", func() error { return w.Links.DelLink(ctx, dev) }, nil)
}

func (w *faulty) AddAddr(ctx context.Context, dev string, a netip.Prefix) error {
	return w.step(ctx, "AddAddr", func() error { return w.Links.AddAddr(ctx, dev, a) }, nil)
}

func (w *faulty) DelAddr(ctx context.Context, dev string, a netip.Prefix) error {
	return w.step(ctx, "DelAddr", func() error { return w.Links.DelAddr(ctx, dev, a) }, nil)
}

func (w *faulty) SetLink(ctx context.Context, dev string, mtu int, up bool) error {
	return w.step(ctx, "SetLink", func() error { return w.Links.SetLink(ctx, dev, mtu, up) }, nil)
}

func (w *faulty) Configure(ctx context.Context, dev string, c *device.Change) error {
	name := "Configure"
	if c.Fwmark.Set && len(c.Peers) == 0 {
		name = "SetMark"
	}
	return w.step(ctx, name, func() error { return w.Devices.Configure(ctx, dev, c) }, nil)
}

func (w *faulty) Start(ctx context.Context, dev, program string) error {
	return w.step(ctx, "StartDevice", func() error { return w.Userspace.Start(ctx, dev, program) }, nil)
}

func (w *faulty) AddRoutes(ctx context.Context, r plan.RouteSet) error {
	return w.step(ctx, "AddRoutes", func() error { return w.Routes.AddRoutes(ctx, r) }, func() {
		r.Dst = r.Dst[:len(r.Dst)/2]
		w.Routes.AddRoutes(ctx, r)
	})
}

func (w *faulty) DelRoutes(ctx context.Context, r plan.RouteSet) error {
	return w.step(ctx, "DelRoutes", func() error { return w.Routes.DelRoutes(ctx, r) }, func() {
		r.Dst = r.Dst[len(r.Dst)/2:]
		w.Routes.DelRoutes(ctx, r)
	})
}

func (w *faulty) AddDefault(ctx context.Context, d plan.DefaultRoute) error {
	return w.step(ctx, "AddDefault", func() error { return w.Routes.AddDefault(ctx, d) }, func() {
		d.Rules = d.Rules[:len(d.Rules)/2]
		w.Routes.AddDefault(ctx, d)
	})
}

func (w *faulty) DelDefault(ctx context.Context, d plan.DefaultRoute) error {
	return w.step(ctx, "DelDefault", func() error { return w.Routes.DelDefault(ctx, d) }, func() {
		d.Rules = d.Rules[len(d.Rules)/2:]
		w.Routes.DelDefault(ctx, d)
	})
}

func (w *faulty) AddRules(ctx context.Context, r plan.FirewallRules) error {
	return w.step(ctx, "AddFirewall", func() error { return w.Firewall.AddRules(ctx, r) }, nil)
}

func (w *faulty) DelRules(ctx context.Context, dev string) error {
	return w.step(ctx, "DelFirewall", func() error { return w.Firewall.DelRules(ctx, dev) }, nil)
}

func (w *faulty) SetKillSwitch(ctx context.Context, k plan.KillSwitch) error {
	return w.step(ctx, "SetKillSwitch", func() error { return w.Gate.SetKillSwitch(ctx, k) }, nil)
}

func (w *faulty) DelKillSwitch(ctx context.Context, dev string) error {
	return w.step(ctx, "DelKillSwitch", func() error { return w.Gate.DelKillSwitch(ctx, dev) }, nil)
}

func (w *faulty) SetMasquerade(ctx context.Context, m plan.Masquerade) error {
	return w.step(ctx, "SetMasquerade", func() error { return w.Gate.SetMasquerade(ctx, m) }, nil)
}

func (w *faulty) DelMasquerade(ctx context.Context, dev string) error {
	return w.step(ctx, "DelMasquerade", func() error { return w.Gate.DelMasquerade(ctx, dev) }, nil)
}

func (w *faulty) SetDNS(ctx context.Context, s plan.DNSSettings) error {
	return w.step(ctx, "SetDNS", func() error { return w.DNS.SetDNS(ctx, s) }, nil)
}

func (w *faulty) UnsetDNS(ctx context.Context, s plan.DNSSettings) error {
	return w.step(ctx, "UnsetDNS", func() error { return w.DNS.UnsetDNS(ctx, s) }, nil)
}

func (w *faulty) SetSysctl(ctx context.Context, name, value string) error {
	last := strings.FieldsFunc(name, func(c rune) bool { return c == '.' || c == '/' })
	return w.step(ctx, last[len(last)-1], func() error { return w.Sysctl.SetSysctl(ctx, name, value) }, nil)
}

func (w *faulty) Run(ctx context.Context, h plan.Hook) error {
	key := h.Origin[strings.LastIndexByte(h.Origin, ' ')+1:]
	return w.step(ctx, key, func() error { return w.Shell.Run(ctx, h) }, nil)
}

func (w *faulty) Replace(ctx context.Context, path string, text []byte) error {
	return w.step(ctx, "SaveConfig", func() error { return w.Files.Replace(ctx, path, text) }, func() {
		os.WriteFile(path+".tmp", text[:len(text)/2], 0o600)
	})
}

// The steps of the journal.
const (
	notes   = "record"
	forgets = "forget"
)

func (w *faulty) Write(r *quick.Record) error {
	return w.step(context.Background(), notes, func() error { return w.Journal.Write(r) }, func() {
		if err := os.MkdirAll(runDir, 0o755); err == nil {
			os.WriteFile(newJournal(runDir).path(r.Dev)+".tmp", []byte("{"), 0o600)
		}
	})
}

func (w *faulty) Remove(dev string) error {
	return w.step(context.Background(), forgets, func() error { return w.Journal.Remove(dev) }, nil)
}

// torn are the steps that tears does half of. From others it keeps the program.
var torn = []string{"AddRoutes", "DelRoutes", "AddDefault", "DelDefault", "SaveConfig", notes}

// ofHost reports whether the step of a name is one of the host's.
func ofHost(name string) bool { return !slices.Contains([]string{notes, forgets}, name) }
