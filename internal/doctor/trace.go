// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package doctor

import (
	"fmt"
	"net/netip"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/routing"
)

// A Trace is how a packet of this host's goes to an address by a tunnel, or
// past it.
type Trace struct {
	Dev   string
	Apart bool         // the tunnel's own packets go by another network namespace
	Inner *routing.Way // of the packet itself
	Claim              // whose packet it is inside the tunnel
	Mark  uint32       // of the tunnel's own packets
	Outer *routing.Way // of these, to the peer's endpoint; nil if they go to none
}

// A Claim finds the peer whose allowed IPs an address is in: it is a sink for
// a client of devices.
type Claim struct {
	To       netip.Addr
	Found    bool
	Key      keys.Key
	Name     string // from a comment of its file, "" if there is none
	Allowed  netip.Prefix
	Endpoint netip.AddrPort // invalid: none
	mark     uint32
}

// Device notes the device's mark.
func (c *Claim) Device(d *device.Device) error { c.mark = d.Fwmark; return nil }

// Peer looks at a peer.
func (c *Claim) Peer(p *device.Peer) error {
	for _, ip := range p.AllowedIPs {
		if ip.Contains(c.To.WithZone("")) && (!c.Found || ip.Bits() > c.Allowed.Bits()) {
			c.Found, c.Key, c.Allowed, c.Endpoint = true, p.PublicKey, ip.Masked(), p.Endpoint
		}
	}
	return nil
}

// Restart forgets all.
func (c *Claim) Restart() bool { *c = Claim{To: c.To}; return true }

// NewTrace returns the trace of a packet to c.To by the tunnel dev, whose
// peers c was told. inner asks the kernel for the way of the packet, outer for
// that of the tunnel's own.
func NewTrace(dev string, c Claim, names map[keys.Key]string, inner, outer func(to netip.Addr, mark uint32) (*routing.Way, error)) (t *Trace, err error) {
	t = &Trace{Dev: dev, Claim: c, Mark: c.mark}
	t.Name = names[c.Key]
	if t.Inner, err = inner(c.To, 0); err != nil {
		return nil, err
	}
	if c.Found && c.Endpoint.IsValid() {
		t.Outer, err = outer(c.Endpoint.Addr(), c.mark)
	}
	return t, err
}

// In reports whether the packet goes into the tunnel.
func (t *Trace) In() bool { return t.Inner.Dev == t.Dev }

// Arrives reports whether it goes into the tunnel and on to a peer.
func (t *Trace) Arrives() bool {
	return t.In() && t.Outer != nil && t.Outer.Goes() && !t.loops()
}

func (t *Trace) loops() bool { return !t.Apart && t.Outer.Dev == t.Dev }

// MTU returns the size, in bytes, of the largest packet that goes this way
// whole: fits is what the way to the endpoint leaves of its own, 0 if that
// isn't known.
func (t *Trace) MTU() (largest, fits int) {
	if !t.In() {
		return t.Inner.MTU, 0
	}
	if t.Outer == nil || t.Outer.MTU == 0 {
		return t.Inner.MTU, 0
	}
	fits = t.Outer.MTU - overhead(t.Outer)
	return min(t.Inner.MTU, fits), fits
}

// Result says what becomes of the packet.
func (t *Trace) Result() string {
	w := t.Inner
	switch {
	case !w.Goes():
		return fmt.Sprintf("it goes nowhere: %s (%s)", refusedBy(w), w.Refusal)
	case !t.In() && w.Kind == "local":
		return fmt.Sprintf("not through %s: %v is an address of this host", t.Dev, t.To)
	case !t.In():
		return fmt.Sprintf("not through %s but %s: %s", t.Dev, w.Dev, decision(w))
	case !t.Found:
		return fmt.Sprintf("it is dropped (ENOKEY): no peer of %s has %v in its allowed IPs", t.Dev, t.To)
	case t.Outer == nil:
		return "it is dropped (EDESTADDRREQ): the peer has no endpoint before it has called"
	case !t.Outer.Goes():
		return fmt.Sprintf("it is dropped: there is no way to the endpoint: %s (%s)", refusedBy(t.Outer), t.Outer.Refusal)
	case t.loops():
		return fmt.Sprintf("it is dropped (ELOOP): the way to the endpoint leads through %s itself: %s", t.Dev, decision(t.Outer))
	}
	return fmt.Sprintf("through %s to %s", t.Dev, labelOf(t.Key, map[keys.Key]string{t.Key: t.Name}))
}

// A Line is a label and what stands beside it.
type Line struct{ Label, Text string }

// Lines returns the trace for people, from the packet to the uplink.
func (t *Trace) Lines() (list []Line) {
	add := func(label, format string, args ...any) {
		list = append(list, Line{label, fmt.Sprintf(format, args...)})
	}
	w := t.Inner
	if w.Rule.Text != "" {
		add("rule", "%s", w.Rule.Text)
	}
	if w.Table != 0 {
		add("table", "%s", routing.TableName(w.Table))
	}
	if w.Route.IsValid() {
		add("route", "%s", routeText(w))
	}
	if w.Goes() {
		add("device", "%s", uplink(w))
	}
	if t.In() && t.Found {
		add("peer", "%s, by its allowed IPs %v", labelOf(t.Key, map[keys.Key]string{t.Key: t.Name}), t.Allowed)
		if t.Endpoint.IsValid() {
			add("endpoint", "%v", t.Endpoint)
		}
	}
	if t.In() && t.Outer != nil {
		mark := ""
		if t.Mark != 0 {
			mark = fmt.Sprintf(" with mark %#x", t.Mark)
		}
		if t.Outer.Goes() {
			add("uplink", "%s%s: %s", uplink(t.Outer), mark, decision(t.Outer))
		} else {
			add("uplink", "none%s: %s", mark, t.Outer.Refusal)
		}
	}
	if w.Goes() {
		add("MTU", "%s", t.mtuText())
	}
	add("result", "%s", t.Result())
	return list
}

func (t *Trace) mtuText() string {
	largest, fits := t.MTU()
	switch {
	case fits == 0:
		return fmt.Sprintf("%d bytes", largest)
	case fits < t.Inner.MTU:
		return fmt.Sprintf("%d bytes: the uplink's %d less WireGuard's %d; larger packets, up to the link's %d, go in fragments", largest, t.Outer.MTU, t.Outer.MTU-fits, t.Inner.MTU)
	}
	return fmt.Sprintf("%d bytes, the link's; the uplink's %d would take %d", largest, t.Outer.MTU, fits)
}

func routeText(w *routing.Way) string {
	text := w.Route.String()
	if w.Route.Bits() == 0 {
		text = "default"
	}
	if w.Kind != "unicast" {
		text = w.Kind + " " + text
	}
	return text
}
