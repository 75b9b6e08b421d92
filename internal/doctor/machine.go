// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"wgtools/internal/machine"
	"wgtools/internal/plan"
)

func module(f *Facts) []Finding {
	if f.HasWireGuard {
		return well("the kernel %s has WireGuard", f.Kernel)
	}
	found := Finding{Severity: Warning, Code: "module-absent", What: fmt.Sprintf("the kernel %s has no WireGuard: tunnels run on the embedded device, which is slower", f.Kernel)}
	switch f.Module {
	case machine.ModuleThere:
		found.Why = "its module is there, but the kernel doesn't load it by itself"
		found.Mend = []string{"modprobe wireguard"}
	case machine.ModuleUnseen:
		found.Why = fmt.Sprintf("there is no /lib/modules/%s here, as in a container: only the host can load the module", f.Kernel)
		found.Mend = []string{"on the host: modprobe wireguard"}
	default:
		found.Why = fmt.Sprintf("/lib/modules/%s has no module of that name", f.Kernel)
		found.Mend = []string{"install this kernel's package of further modules, or a kernel of 5.6 or later with CONFIG_WIREGUARD"}
	}
	return []Finding{found}
}

func tun(f *Facts) []Finding {
	if f.HasWireGuard {
		return well("not needed: the kernel has WireGuard")
	}
	if f.TUN == nil {
		return well("/dev/net/tun can be opened, for the embedded device")
	}
	return []Finding{{Severity: Problem, Code: "tun-unusable", What: fmt.Sprintf("no tunnel can be made: the kernel has no WireGuard, and %v", f.TUN), Mend: advice(f.TUN)}}
}

func permission(f *Facts) []Finding {
	if f.Permission == nil {
		return well("links, addresses and routes may be changed")
	}
	return []Finding{{
		Severity: Problem, Code: "no-net-admin",
		What: fmt.Sprintf("links, addresses and routes may not be changed: %v", f.Permission),
		Why:  "the capability CAP_NET_ADMIN is missing in this network namespace",
		Mend: []string{"become root: sudo wg-quick doctor", "in a container: docker run --cap-add NET_ADMIN"},
	}}
}

func sysctl(f *Facts) []Finding {
	const set = "net.ipv4.conf.all.src_valid_mark=1"
	switch {
	case f.SysctlReadOnly == nil:
		return well("parameters of the kernel can be set")
	case f.SrcValidMark:
		return well("parameters of the kernel can't be set (%v), and needn't be: src_valid_mark is 1", f.SysctlReadOnly)
	}
	found := Finding{
		Severity: Warning, Code: "sysctl-read-only", What: fmt.Sprintf("a full IPv4 tunnel can't come up: /proc/sys can't be written to: %v", f.SysctlReadOnly),
		Why:  "it needs " + set + ", and that is 0; tunnels without default routes work",
		Mend: []string{"docker run --sysctl " + set, "kubernetes: spec.securityContext.sysctls: [{name: net.ipv4.conf.all.src_valid_mark, value: \"1\"}]"},
	}
	for i := range f.Tunnels {
		if f.Tunnels[i].full(false) {
			found.Severity = Problem
		}
	}
	return []Finding{found}
}

func resolver(f *Facts) []Finding {
	if f.ResolverErr == nil {
		return well("name servers of tunnels go to %s", f.backend())
	}
	found := Finding{
		Severity: Warning, Code: "resolver-broken", What: fmt.Sprintf("name servers of tunnels can't be set: %v", f.ResolverErr),
		Why: "DNS= of a tunnel goes to " + f.backend(), Mend: advice(f.ResolverErr),
	}
	for i := range f.Tunnels {
		if f.Tunnels[i].DNS {
			found.Severity = Problem
		}
	}
	return []Finding{found}
}

// backend says where name servers go.
func (f *Facts) backend() string {
	switch f.Resolver {
	case plan.Resolvconf:
		return "resolvconf"
	case plan.Resolved:
		return "systemd-resolved"
	}
	return f.ResolvConf
}

func firewall(f *Facts) []Finding {
	if f.FirewallErr == nil {
		kind := "nftables, over netlink"
		if f.Firewall == plan.IPTables {
			kind = "iptables"
		}
		return well("rules of full tunnels go to %s", kind)
	}
	found := Finding{Severity: Warning, Code: "firewall-absent", What: fmt.Sprintf("a full tunnel can't come up: %v", f.FirewallErr), Mend: advice(f.FirewallErr)}
	for i := range f.Tunnels {
		if t := &f.Tunnels[i]; t.full(false) || t.full(true) {
			found.Severity = Problem
		}
	}
	return []Finding{found}
}

// earliest is a time before which this program wasn't there.
var earliest = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// future is how far ahead of the clock a handshake may seem to be.
const future = 5 * time.Second

func clock(f *Facts) []Finding {
	mend := []string{"timedatectl set-ntp true", "or: date --set=TIME"}
	const why = "a peer refuses a handshake that says an earlier time than the last one it took"
	if f.Now.Before(earliest) {
		return []Finding{{Severity: Problem, Code: "clock-early", What: fmt.Sprintf("the clock is wrong: it says %s", f.Now.UTC().Format(time.DateTime)), Why: why, Mend: mend}}
	}
	unanswered := false
	for i := range f.Tunnels {
		t := &f.Tunnels[i]
		for j, p := range t.Peers {
			unanswered = unanswered || p.LatestHandshake.IsZero() && p.SentBytes > 0 && p.ReceivedBytes == 0
			last := time.Unix(p.LatestHandshake.Sec, p.LatestHandshake.Nsec)
			if ahead := last.Sub(f.Now); !p.LatestHandshake.IsZero() && ahead > future {
				return []Finding{{
					Severity: Problem, Code: "clock-back", Dev: t.Dev, Peer: p.PublicKey,
					What: fmt.Sprintf("the clock went back: it says %s, and the last handshake with %s was at %s", f.Now.UTC().Format(time.DateTime), t.label(j), last.UTC().Format(time.DateTime)),
					Why:  why + fmt.Sprintf(": there won't be one for %s", ahead.Round(time.Second)), Mend: mend,
				}}
			}
		}
	}
	if unanswered && !f.Synchronised {
		return []Finding{{Severity: Warning, Code: "clock-unsynchronised", What: fmt.Sprintf("the clock says %s; no time service keeps it, as far as the kernel knows, and a peer doesn't answer", f.Now.UTC().Format(time.DateTime)), Why: why, Mend: mend}}
	}
	return well("the clock says %s UTC", f.Now.UTC().Format(time.DateTime))
}

func record(f *Facts) (list []Finding) {
	for _, dev := range f.Interrupted {
		list = append(list, Finding{Severity: Problem, Code: "left-over", Dev: dev, What: fmt.Sprintf("`%s' came to a sudden end while it went up or down: something of it is left", dev),
			Mend: []string{"wg-quick down " + dev}})
	}
	return orWell(list, "nothing is left of tunnels that are gone")
}

func killSwitch(f *Facts) (list []Finding) {
	for _, dev := range f.KillSwitches {
		if _, there := f.Kinds[dev]; !there {
			list = append(list, Finding{Severity: Problem, Code: "kill-switch-alone", Dev: dev,
				What: fmt.Sprintf("nothing leaves this host: the kill switch of `%s' stands, and its tunnel isn't there", dev),
				Mend: []string{"wg-quick up " + dev, "wg-quick unlock " + dev + " opens the net without it"}})
		}
	}
	return orWell(list, "none stands alone")
}

func killSwitchOther(f *Facts, t *Tunnel) (list []Finding) {
	if t.Exists && !slices.Contains(f.KillSwitches, t.Dev) {
		for _, dev := range f.KillSwitches {
			list = append(list, Finding{Severity: Problem, Code: "kill-switch-other",
				What: fmt.Sprintf("the kill switch of `%s' blocks this tunnel", dev),
				Mend: []string{"give this one a KillSwitch, too, and wg-quick reload " + t.Dev, "wg-quick unlock " + dev}})
		}
	}
	return orWell(list, "none of another tunnel is in its way")
}

// advice returns what an error says is to be done about it.
func advice(err error) (mend []string) {
	adviser, ok := err.(interface{ Advice() []string })
	if !ok {
		return nil
	}
	for _, line := range adviser.Advice() {
		mend = append(mend, strings.TrimSpace(strings.TrimPrefix(line, "hint:")))
	}
	return slices.Clip(mend)
}
