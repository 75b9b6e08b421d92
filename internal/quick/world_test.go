// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
	"wgtools/internal/plan/plantest"
	"wgtools/internal/quick"
	"wgtools/internal/routing"
)

// A world is a model of a host, with a screen on which wg-quick prints.
type world struct {
	plantest.Recorder
	screen       []string
	paths        map[string]int // MTUs by destination
	defMTU       int
	foreign      []string // devices that another program made
	more         []netip.Prefix
	live         config.Live
	change       *device.Change // by which the device differs from its file
	noIPv6       string         // why
	dns          plan.DNSBackend
	used         map[uint32]bool // other tables with routes
	rules        []plan.Rule     // that were there before
	index        int             // of the link that was made last
	records      map[string]*quick.Record
	baselines    map[string]*quick.Baseline
	readOnlyRun  bool
	linkDown     bool                     // others set it down
	some         map[keys.Key]device.Peer // the device's peers, as far as Some is asked
	notWireGuard bool                     // the links that there are
	dropping     []string
	advertised   []string
}

func newWorld() *world {
	w := &world{defMTU: 1500, dns: plan.Resolvconf, records: map[string]*quick.Record{}, baselines: map[string]*quick.Baseline{}}
	w.Sysctls = sysctlsBefore()
	for _, v6 := range []bool{false, true} {
		w.rules = append(w.rules, plan.Rule{V6: v6, Table: 255}, plan.Rule{V6: v6, Priority: 32766, Table: plan.MainTable})
	}
	return w
}

// sysctlsBefore are the kernel's parameters of a world without a tunnel.
func sysctlsBefore() map[string]string {
	return map[string]string{
		"net.ipv4.conf.all.src_valid_mark": "0", "net.ipv4.ip_forward": "0", "net.ipv6.conf.all.forwarding": "0",
		"net/ipv6/conf/eth0/accept_ra": "1",
	}
}

func (w *world) session() *quick.Session {
	return &quick.Session{
		Tx: &plan.Tx{Host: w.Host(), Trace: func(op plan.Op) {
			for line := range op.Lines() {
				w.screen = append(w.screen, "[#] "+line)
			}
		}},
		Look:    w,
		Journal: w,
		Say:     func(line string) { w.screen = append(w.screen, line) },
	}
}

// noKernelDevice makes the model's kernel one without WireGuard.
func (w *world) noKernelDevice(dev string) *world {
	w.Fail = map[string]error{"ip link add dev " + dev + " type wireguard": syscall.EOPNOTSUPP}
	return w
}

func (w *world) Link(_ context.Context, dev string) (quick.Link, error) {
	if !w.has(dev) {
		return quick.Link{}, nil
	}
	return quick.Link{Index: w.index + len(dev), Tunnel: true, Up: !w.linkDown}, nil
}

func (w *world) HasWireGuard(context.Context) bool { return len(w.Fail) == 0 }

func (w *world) Snapshot(ctx context.Context, dev string) (*device.Snapshot, error) {
	p, err := w.Peers(ctx, dev)
	return &device.Snapshot{Fwmark: p.Mark}, err
}

func (w *world) Some(context.Context, string, map[keys.Key]bool) (map[keys.Key]device.Peer, error) {
	return w.some, nil
}

func (w *world) HasDNS(context.Context, plan.DNSSettings) bool { return true }

func (w *world) Baseline(dev string) (*quick.Baseline, error) { return w.baselines[dev], nil }

func (w *world) WriteBaseline(dev string, b *quick.Baseline) error {
	if w.readOnlyRun {
		return syscall.EROFS
	}
	w.baselines[dev] = b
	return nil
}

func (w *world) has(dev string) bool { return slices.Contains(w.Left(), "link "+dev) }

func (w *world) Live(context.Context, string) (config.Live, error) { return w.live, nil }

func (w *world) Devices(context.Context) ([]string, error) {
	names := w.foreign
	if w.notWireGuard {
		return names, nil
	}
	for _, what := range w.Left() {
		if dev, ok := strings.CutPrefix(what, "link "); ok {
			names = append(names, dev)
		}
	}
	return names, nil
}

func (w *world) Peers(context.Context, string) (p quick.Peers, err error) {
	for _, c := range w.Configured {
		if c.Fwmark.Set {
			p.Mark = c.Fwmark.Value
		}
		for _, peer := range c.Peers {
			for _, ip := range peer.AllowedIPs {
				p.AllowedIPs = append(p.AllowedIPs, ip.Prefix)
			}
			if peer.Endpoint.IsValid() {
				p.Endpoints = append(p.Endpoints, peer.Endpoint.Addr())
			}
		}
	}
	p.AllowedIPs = append(p.AllowedIPs, w.more...)
	return p, nil
}

func (w *world) Difference(_ context.Context, _ string, _ *device.Change, _ bool) (change, undo *device.Change, err error) {
	return w.change, &device.Change{}, nil
}

func (w *world) OnLink(_ context.Context, dev string) (on []netip.Prefix, added []plan.RouteSet, err error) {
	sets := map[uint32]*plan.RouteSet{}
	for _, what := range w.Left() {
		var dst string
		var table uint32
		if n, _ := fmt.Sscanf(what, "route %s table %d", &dst, &table); n == 2 && w.On(what) == dev {
			if sets[table] == nil {
				sets[table] = &plan.RouteSet{Dev: dev, Table: table}
			}
			sets[table].Dst = append(sets[table].Dst, netip.MustParsePrefix(dst))
			if table == 0 {
				on = append(on, netip.MustParsePrefix(dst))
			}
		}
	}
	for _, table := range slices.Sorted(maps.Keys(sets)) {
		added = append(added, *sets[table])
	}
	for _, what := range w.Left() {
		var address, name string
		if n, _ := fmt.Sscanf(what, "address %s dev %s", &address, &name); n == 2 && name == dev {
			if p := netip.MustParsePrefix(address); !p.IsSingleIP() { // as the kernel has it
				on = append(on, p.Masked())
			}
		}
	}
	return on, added, nil
}

func (w *world) PathMTU(_ context.Context, dst netip.Addr, _ uint32) int {
	return w.paths[dst.String()]
}
func (w *world) DefaultMTU(context.Context) int { return w.defMTU }

func (w *world) Addresses(_ context.Context, dev string) (list []netip.Prefix, mtu int, err error) {
	for _, what := range w.Left() {
		var address, name string
		if n, _ := fmt.Sscanf(what, "address %s dev %s", &address, &name); n == 2 && name == dev {
			list = append(list, netip.MustParsePrefix(address))
		}
	}
	return list, cmp.Or(w.live.MTU, w.defMTU-80), nil
}

func (w *world) Policy(context.Context) (*routing.Policy, error) {
	p := &routing.Policy{Used: maps.Clone(w.used), Rules: append(w.Rules(), w.rules...)}
	if p.Used == nil {
		p.Used = map[uint32]bool{}
	}
	for _, v6 := range []bool{false, true} {
		rules := p.Rules
		slices.SortStableFunc(rules, func(a, b plan.Rule) int { return cmp.Compare(a.Priority, b.Priority) })
		for _, r := range rules {
			dst := map[bool]string{false: "0.0.0.0/0", true: "::/0"}[v6]
			if dev := w.On(fmt.Sprintf("route %s table %d", dst, r.Table)); dev != "" && r.V6 == v6 {
				p.Used[r.Table] = true
				p.Defaults = append(p.Defaults, routing.Default{V6: v6, Table: r.Table, Dev: dev})
			}
		}
	}
	return p, nil
}

func (w *world) NoIPv6(context.Context, string) string { return w.noIPv6 }

func (w *world) Sysctl(_ context.Context, name string) (string, error) {
	v, ok := w.Sysctls[name]
	if !ok && strings.HasPrefix(name, "net/ipv6/") {
		return "", fs.ErrNotExist // the link is gone
	}
	return v, nil
}

func (w *world) FirewallKind(ctx context.Context) string { return w.Kind(ctx) }

func (w *world) FirewallPrograms(_ context.Context, dev string) (programs []string, err error) {
	for _, what := range w.Left() {
		if what == "firewall rules ip "+dev || what == "firewall rules ip6 "+dev {
			return []string{plan.NFT}, nil
		}
	}
	return nil, nil
}

func (w *world) Standing(_ context.Context, dev string) (s plan.Standing, err error) {
	if k, ok := w.Closed[dev]; ok {
		s.KillSwitch, s.Whole = &k, true
	}
	s.Masquerade = slices.Contains(w.Left(), "masquerade for "+dev)
	return s, nil
}

func (w *world) KillSwitches(context.Context) ([]string, error) {
	return slices.Sorted(maps.Keys(w.Closed)), nil
}

func (w *world) Dropping(context.Context) ([]string, error) { return w.dropping, nil }

func (w *world) Advertised(context.Context) ([]string, error) { return w.advertised, nil }

func (w *world) DNS(_ context.Context, dev string, servers, search []string) (plan.DNSSettings, error) {
	return plan.DNSSettings{Dev: dev, Backend: w.dns, Record: "tun." + dev, Servers: servers, Search: search}, nil
}

func (w *world) Read(dev string) (*quick.Record, error) {
	if r := w.records[dev]; r != nil {
		r2 := *r
		return &r2, nil
	}
	return nil, nil
}

func (w *world) Write(r *quick.Record) error {
	if w.readOnlyRun {
		return syscall.EROFS
	}
	r2 := *r
	w.records[r.Dev] = &r2
	return nil
}

func (w *world) Remove(dev string) error { delete(w.records, dev); return nil }

func (w *world) Others(dev string) (list []*quick.Record, err error) {
	for name, r := range w.records {
		if name != dev {
			list = append(list, r)
		}
	}
	return list, nil
}

func (w *world) Busy(string) bool { return false }

func (w *world) Exclusive(_ context.Context, f func() error) error { return f() }
