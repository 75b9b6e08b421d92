// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/doctor"
	"wgtools/internal/machine"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/netns"
	"wgtools/internal/probe"
	"wgtools/internal/quick"
	"wgtools/internal/resolve"
	"wgtools/internal/routing"
	"wgtools/internal/rtnl"
	"wgtools/internal/userspace"
)

// How long is waited for answers: for those to pings, for that of a name
// server, and for what the network says against a datagram. The kernel looks
// for a neighbour for three seconds before it gives up.
const (
	pings       = 2
	pingTime    = time.Second
	nameTime    = 5 * time.Second
	refusalTime = 4 * time.Second
)

// An examination reads the facts that the doctor judges by.
type examination struct {
	*app
	host  host
	arg   string     // the tunnel that was asked for; "": all
	probe netip.Addr // what to ping through it; invalid: what is likely to answer
	now   time.Time
	facts doctor.Facts
}

// read reads all. What can't be read is noted, but for the tunnel itself that
// was asked for.
func (e *examination) read(ctx context.Context) error {
	e.facts = doctor.Facts{Now: e.now}
	e.readMachine(ctx)
	if err := e.readTunnels(ctx); err != nil {
		return err
	}
	e.readRouting(ctx)
	for i := range e.facts.Tunnels {
		t := &e.facts.Tunnels[i]
		if t.Exists || t.Device.ListenPort == 0 {
			continue
		}
		err := e.outside(func() error {
			sockets, err := machine.SocketsAt(os.DirFS("/"), t.Device.ListenPort)
			e.facts.Sockets = append(e.facts.Sockets, sockets...)
			return err
		})
		e.unread("the UDP sockets", err)
	}
	return context.Cause(ctx)
}

// outside calls f in the namespace by which packets to peers go.
func (e *examination) outside(f func() error) error {
	if e.home == nil {
		return f()
	}
	return netns.Do(e.home.birth, f)
}

// unread notes what couldn't be read.
func (e *examination) unread(what string, err error) {
	if err != nil {
		e.facts.Unread = append(e.facts.Unread, fmt.Sprintf("%s can't be looked at: %v", what, err))
	}
}

func (e *examination) readMachine(ctx context.Context) {
	f, h, root := &e.facts, e.host, os.DirFS("/")
	f.Kernel, f.HasWireGuard = machine.Release(), h.HasWireGuard(ctx)
	if !f.HasWireGuard {
		f.Module = machine.FindModule(root, f.Kernel, "wireguard")
		if err := userspace.CanMakeTUN(); err != nil {
			f.TUN = err
		}
	}
	f.Permission = h.Permitted(ctx)
	f.SysctlReadOnly = unix.Access(sysctlPath(quick.SrcValidMark), unix.W_OK)
	value, err := h.Sysctl(ctx, quick.SrcValidMark)
	e.unread("a parameter of the kernel", err)
	f.SrcValidMark, f.RPFilter = value == "1", machine.RPFilters(root)
	settings, err := h.DNS(ctx, "wg0", []string{"192.0.2.1"}, nil) // any name server, of any tunnel
	if f.Resolver = settings.Backend; err == nil {
		err = h.Resolver.Works(ctx, settings.Backend)
	}
	f.ResolverErr, f.ResolvConf = err, "/etc/resolv.conf"
	if e.home != nil {
		f.ResolvConf = e.home.resolvConf()
	}
	f.Firewall, f.FirewallErr = h.FirewallKind(ctx), h.Firewall.Works(ctx)
	f.Synchronised = machine.ClockKept()
	f.Kinds, err = h.Kinds(ctx)
	e.unread("the links", err)
	f.KillSwitches, err = h.KillSwitches(ctx)
	e.unread("the kill switches", err)
	e.facts.Interrupted, err = newJournal(runDir).interrupted(ctx, h)
	e.unread("the records of tunnels", err)
}

// readTunnels reads the tunnel that was asked for, or all that are up.
func (e *examination) readTunnels(ctx context.Context) error {
	devices, err := e.host.Devices(ctx)
	e.unread("the WireGuard devices", err)
	e.facts.Ports = map[string]uint16{}
	for _, dev := range devices {
		var head portSink
		if err := e.host.client.Read(ctx, dev, &head); err == nil || errors.Is(err, errEnough) {
			e.facts.Ports[dev] = head.port
		}
	}
	if e.arg != "" {
		t, err := e.tunnel(ctx, e.arg)
		if err == nil && t.Exists {
			err = (&quick.Session{Look: e.host}).RequireDevice(ctx, t.Dev)
		}
		if err == nil {
			err = e.readDevice(ctx, t)
		}
		if err != nil {
			return err
		}
		e.ask(ctx, t)
		e.facts.Tunnels = append(e.facts.Tunnels, *t)
		return nil
	}
	for _, dev := range devices {
		if e.facts.Kinds[dev] == "" {
			continue // its socket is there, its link in another namespace
		}
		t, err := e.tunnel(ctx, dev)
		if err == nil {
			err = e.readDevice(ctx, t)
		}
		if e.unread("`"+dev+"'", err); err == nil {
			e.facts.Tunnels = append(e.facts.Tunnels, *t)
		}
	}
	return nil
}

// tunnel returns what the file of a tunnel says and whether its link is there.
func (e *examination) tunnel(ctx context.Context, arg string) (*doctor.Tunnel, error) {
	dev, path := e.tunnelOf(arg)
	l, err := e.host.Kernel.Link(ctx, dev)
	if err != nil {
		return nil, err
	}
	t := &doctor.Tunnel{Dev: dev, Arg: dev, Exists: l.Index != 0, Up: l.Up, ByHand: true, Apart: e.home != nil}
	if path != filepath.Join(configDir, dev+".conf") {
		t.Arg = path
	}
	if t.Exists {
		arg = path
	}
	f, err := e.open(ctx, arg)
	switch {
	case err != nil && !t.Exists:
		return nil, err
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		t.FileError = fmt.Sprintf("%s: %v", path, err)
	default:
		t.Names = config.PeerNames(f.text)
		if wanted, err := e.decode(ctx, f); err != nil {
			t.FileError = err.Error()
		} else {
			e.planned(ctx, t, wanted)
		}
	}
	if r, err := newJournal(runDir).Read(dev); err == nil && r != nil && t.Exists {
		if table, err := routing.ParseTable(r.Table, rtnl.TableNumber); err == nil {
			t.Table, t.ByHand = table, false
		}
	}
	return t, nil
}

// planned fills in what a file wants, its endpoints' addresses too if they
// can be looked up in a short time.
func (e *examination) planned(ctx context.Context, t *doctor.Tunnel, wanted *quick.Tunnel) {
	t.Table, t.DNS, t.ByHand = wanted.Table, len(wanted.DNS) > 0, false
	d := &wanted.Device
	for _, p := range d.Peers {
		if d.PrivateKey.Set && p.PublicKey == d.PrivateKey.Value.Public() {
			t.Self = p.PublicKey
		}
	}
	if t.Exists {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, nameTime)
	defer cancel()
	once := func(name string) (string, bool) {
		if name == resolve.RetriesVariable {
			return "0", true
		}
		return e.LookupEnv(name)
	}
	names := e.names(ctx, once)
	for _, n := range wanted.Names {
		if err := config.ResolveNames(wanted.Device.Peers, []config.Name{n}, names); err != nil {
			t.Unresolved = append(t.Unresolved, doctor.Unresolved{Name: n.Text, Reason: err.Error()})
		}
	}
	t.Device = device.Device{Name: t.Dev, PrivateKey: d.PrivateKey, ListenPort: d.ListenPort.Value, Fwmark: d.Fwmark.Value}
	t.Addresses, t.MTU = wanted.Addresses, wanted.MTU.Value
	for _, p := range d.Peers {
		q := device.Peer{PublicKey: p.PublicKey, Endpoint: p.Endpoint}
		for _, ip := range p.AllowedIPs {
			q.AllowedIPs = append(q.AllowedIPs, ip.Prefix)
		}
		t.Peers = append(t.Peers, q)
	}
}

// readDevice reads the device and the link of a tunnel that is there.
func (e *examination) readDevice(ctx context.Context, t *doctor.Tunnel) error {
	if !t.Exists {
		return nil
	}
	d, peers, err := netlinkwg.ReadAll(ctx, e.host.client, t.Dev)
	if err != nil {
		return fmt.Errorf("read the device %s: %w", t.Dev, err)
	}
	t.Device, t.Peers = *d, peers
	t.Addresses, t.MTU, err = e.host.AddressesAndMTU(ctx, t.Dev)
	if err == nil && e.facts.Kinds[t.Dev] == "wireguard" {
		t.RefusedSources, err = e.host.RefusedSources(ctx, t.Dev)
	}
	return err
}

// readRouting reads the rules and routes, and asks the kernel for the ways of
// the tunnels' packets.
func (e *examination) readRouting(ctx context.Context) {
	f := &e.facts
	var err error
	f.Rules, err = e.host.Rules(ctx)
	e.unread("the policy rules", err)
	f.Policy, err = e.host.Policy(ctx)
	e.unread("the routing tables", err)
	ours := map[string]*doctor.Tunnel{}
	for i := range f.Tunnels {
		ours[f.Tunnels[i].Dev] = &f.Tunnels[i]
	}
	others, err := e.host.Routes(ctx, func(r routing.Route) bool {
		if t := ours[r.Dev]; t != nil {
			t.Routes = append(t.Routes, r)
		}
		return r.Dst.Bits() > 0
	})
	e.unread("the routes", err)
	for i := range f.Tunnels {
		t := &f.Tunnels[i]
		for _, q := range t.Questions(others) {
			way, err := e.host.Way(ctx, q.Address, 0)
			for n := 0; n < 4 && err == nil && way.Kind == "local"; n++ { // this host's own
				q.Address = q.Address.Next()
				way, err = e.host.Way(ctx, q.Address, 0)
			}
			if err != nil {
				e.unread("the way to "+q.Address.String(), err)
				return
			}
			t.Answers = append(t.Answers, doctor.Answer{Question: q, Way: way})
		}
		if len(t.Outer) == 0 {
			e.unread("the ways to endpoints", e.outer(ctx, t))
		}
	}
}

// outer asks for the ways to the endpoints of a tunnel's peers.
func (e *examination) outer(ctx context.Context, t *doctor.Tunnel) error {
	asked := map[netip.AddrPort]bool{}
	for i := range t.Peers {
		at := t.Peers[i].Endpoint
		if !at.IsValid() || asked[at] || len(t.Outer) == doctor.MostEndpoints {
			continue
		}
		asked[at] = true
		way, err := e.host.birth.Way(ctx, at.Addr(), t.Device.Fwmark)
		if err != nil {
			return err
		}
		t.Outer = append(t.Outer, doctor.Outer{Peer: i, Way: way})
	}
	return nil
}

// ask sends packets: through the tunnel, and to the endpoints of which no
// answer is known.
func (e *examination) ask(ctx context.Context, t *doctor.Tunnel) {
	if t.Up {
		t.Echo = e.ping(ctx, t)
		if t.Echo != nil && (errors.Is(t.Echo.Err, unix.EPERM) || errors.Is(t.Echo.Err, unix.EACCES)) { // no CAP_NET_RAW
			e.unread("the inside of `"+t.Dev+"'", t.Echo.Err)
		}
		e.unread("`"+t.Dev+"'", e.readDevice(ctx, t)) // the pings may have brought a handshake about
		e.now = e.Now()
		e.facts.Now = e.now
	}
	if err := e.outer(ctx, t); err != nil {
		e.unread("the ways to endpoints", err)
		return
	}
	var silent []int
	var endpoints []netip.AddrPort
	for i, o := range t.Outer {
		p := &t.Peers[o.Peer]
		if o.Way.Goes() && !t.Loops(o.Way) && e.now.Unix()-p.LatestHandshake.Sec > int64(doctor.Session.Seconds()) {
			silent, endpoints = append(silent, i), append(endpoints, p.Endpoint)
		}
	}
	err := e.outside(func() error {
		for i, refusal := range probe.Refusals(ctx, endpoints, t.Device.Fwmark, refusalTime) {
			t.Outer[silent[i]].Refusal = refusal
		}
		return nil
	})
	e.unread("the endpoints", err)
}

// ping asks for echoes through the tunnel, of a few addresses at once, and for
// large ones of the first that answers; nil if there is no address to ask.
func (e *examination) ping(ctx context.Context, t *doctor.Tunnel) *doctor.Echo {
	list := t.Candidates()
	if e.probe.IsValid() {
		list = []netip.Addr{e.probe}
	}
	if len(list) == 0 {
		return nil
	}
	results := make([]doctor.Echo, len(list))
	echoes := make([]*probe.Echo, len(list))
	for i, to := range list {
		r := &results[i]
		*r = doctor.Echo{To: to, Peer: t.Claims(to), Asked: max(t.MTU, probe.Small)}
		if echoes[i], r.Err = probe.NewEcho(t.Dev, to); r.Err == nil {
			defer echoes[i].Close()
		}
	}
	for range pings { // the first one waits for a handshake
		for i, echo := range echoes {
			r := &results[i]
			if r.Err != nil {
				continue
			}
			var answered []int
			answered, r.Err = echo.Ask(ctx, []int{probe.Small}, pingTime/time.Duration(len(list)))
			if r.Answered = len(answered) > 0; r.Answered {
				r.Largest, r.Err = probe.Largest(probe.Small, r.Asked, func(sizes []int) ([]int, error) { return echo.Ask(ctx, sizes, pingTime) })
				return r
			}
		}
	}
	return &results[0]
}

// interrupted returns the tunnels of which something is left, though nobody is
// at work on them: they came to a sudden end on their way, or their link is gone.
func (j *journal) interrupted(ctx context.Context, h host) (list []string, err error) {
	records, err := j.Others("")
	for _, r := range records {
		l, failed := h.Kernel.Link(ctx, r.Dev)
		if failed == nil && (r.Phase != quick.Up || l.Index == 0) && !j.Busy(r.Dev) {
			list = append(list, r.Dev)
		}
	}
	return list, err
}

// errEnough ends a reading.
var errEnough = errors.New("enough")

// A portSink reads a device's port only.
type portSink struct{ port uint16 }

func (s *portSink) Device(d *device.Device) error { s.port = d.ListenPort; return errEnough }
func (s *portSink) Peer(*device.Peer) error       { return errEnough }
func (s *portSink) Restart() bool                 { return true }
