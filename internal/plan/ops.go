// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"fmt"
	"iter"
	"net/netip"
	"regexp"
	"strconv"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// The changes that there are. Their fields are those of the [Host] method that
// they call.
type (
	// AddLink makes a WireGuard link.
	AddLink struct{ Dev string }
	// DelLink deletes a link.
	DelLink struct{ Dev string }
	// StartDevice starts a userspace device.
	StartDevice struct{ Dev, Program string }
	// Configure makes one request to a WireGuard device.
	Configure struct {
		Dev    string
		Change *device.Change
		Sync   bool // it is the difference to a file, for the line only
	}
	// SetEndpoint tells a WireGuard device where a peer is that it has.
	SetEndpoint struct {
		Dev      string
		Peer     keys.Key
		Endpoint netip.AddrPort
	}
	// AddAddr gives an address to a link.
	AddAddr struct {
		Dev  string
		Addr netip.Prefix
	}
	// DelAddr takes an address from a link.
	DelAddr struct {
		Dev  string
		Addr netip.Prefix
	}
	// SetLink sets a link's MTU and, with Up, puts it up.
	SetLink struct {
		Dev string
		MTU int // bytes
		Up  bool
	}
	// AddRoutes adds routes.
	AddRoutes struct{ RouteSet }
	// DelRoutes removes routes.
	DelRoutes struct{ RouteSet }
	// Hook runs a command of the configuration file.
	Hook struct {
		Script string
		Args   []string // what $1, $2 … are in it
		// Variables are set in its shell, and not in the environment.
		Variables []Variable
		Origin    string // where it stands, for errors: "wg0.conf:5:10: PostUp"
	}
	// A Variable is one of a shell; a List is an array where the shell has such.
	Variable struct {
		Name  string
		Value []string
		List  bool
	}
)

// BuiltIn is how the lines name the userspace device that is built in. Its
// process has this name too.
const BuiltIn = "wg-quick-userspace"

func (o AddLink) Apply(ctx context.Context, h *Host) error { return h.Links.AddLink(ctx, o.Dev) }
func (o DelLink) Apply(ctx context.Context, h *Host) error { return h.Links.DelLink(ctx, o.Dev) }
func (o StartDevice) Apply(ctx context.Context, h *Host) error {
	return h.Userspace.Start(ctx, o.Dev, o.Program)
}
func (o Configure) Apply(ctx context.Context, h *Host) error {
	return h.Devices.Configure(ctx, o.Dev, o.Change)
}
func (o SetEndpoint) Apply(ctx context.Context, h *Host) error {
	return h.Devices.Configure(ctx, o.Dev, &device.Change{Peers: []device.PeerChange{{PublicKey: o.Peer, UpdateOnly: true, Endpoint: o.Endpoint}}})
}
func (o AddAddr) Apply(ctx context.Context, h *Host) error {
	return h.Links.AddAddr(ctx, o.Dev, o.Addr)
}
func (o DelAddr) Apply(ctx context.Context, h *Host) error {
	return h.Links.DelAddr(ctx, o.Dev, o.Addr)
}
func (o SetLink) Apply(ctx context.Context, h *Host) error {
	return h.Links.SetLink(ctx, o.Dev, o.MTU, o.Up)
}
func (o AddRoutes) Apply(ctx context.Context, h *Host) error {
	return h.Routes.AddRoutes(ctx, o.RouteSet)
}
func (o DelRoutes) Apply(ctx context.Context, h *Host) error {
	return h.Routes.DelRoutes(ctx, o.RouteSet)
}
func (o Hook) Apply(ctx context.Context, h *Host) error { return h.Shell.Run(ctx, o) }

func (o AddLink) Lines() iter.Seq[string] { return one("ip link add dev " + o.Dev + " type wireguard") }
func (o DelLink) Lines() iter.Seq[string] { return one("ip link delete dev " + o.Dev) }
func (o StartDevice) Lines() iter.Seq[string] {
	if o.Program == "" {
		return one(BuiltIn + " " + o.Dev)
	}
	return one(o.Program + " " + o.Dev)
}

// The file that the original passes is a pipe of this name, and people know
// the line so.
func (o Configure) Lines() iter.Seq[string] {
	verb := "addconf"
	if o.Sync {
		verb = "syncconf"
	}
	return one("wg " + verb + " " + o.Dev + " /dev/fd/63")
}
func (o SetEndpoint) Lines() iter.Seq[string] {
	return one("wg set " + o.Dev + " peer " + o.Peer.Base64() + " endpoint " + string(device.AppendEndpoint(nil, o.Endpoint)))
}
func (o AddAddr) Lines() iter.Seq[string] { return one(addrLine("add", o.Dev, o.Addr)) }
func (o DelAddr) Lines() iter.Seq[string] { return one(addrLine("delete", o.Dev, o.Addr)) }
func (o SetLink) Lines() iter.Seq[string] {
	up := ""
	if o.Up {
		up = " up"
	}
	return one(fmt.Sprintf("ip link set mtu %d%s dev %s", o.MTU, up, o.Dev))
}
func (o AddRoutes) Lines() iter.Seq[string] { return o.lines("add") }
func (o DelRoutes) Lines() iter.Seq[string] { return o.lines("delete") }

// Lines implements [Op]. What could be a key is left out: lines land in logs.
func (o Hook) Lines() iter.Seq[string] { return one(key.ReplaceAllString(o.Script, "$1(hidden)")) }

// key matches what has the form of a WireGuard key: 32 bytes in base64.
var key = regexp.MustCompile(`(^|[^A-Za-z0-9+/])[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=`)

func one(line string) iter.Seq[string] { return func(yield func(string) bool) { yield(line) } }

func addrLine(verb, dev string, a netip.Prefix) string {
	return fmt.Sprintf("ip %s address %s %s dev %s", family(a), verb, device.AppendPrefix(nil, a), dev)
}

func (r RouteSet) lines(verb string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, dst := range r.Dst {
			if !yield(r.line(verb, dst)) {
				return
			}
		}
	}
}

func (r RouteSet) line(verb string, dst netip.Prefix) string {
	b := make([]byte, 0, 96)
	b = append(b, "ip "+family(dst)+" route "+verb+" "...)
	b = device.AppendPrefix(b, dst)
	b = append(b, " dev "+r.Dev...)
	if r.Table != 0 {
		b = strconv.AppendUint(append(b, " table "...), uint64(r.Table), 10)
	}
	return string(b)
}

// line returns the command line of the route of op that failed.
func (e *RouteError) line(op Op) string {
	switch o := op.(type) {
	case AddRoutes:
		return o.RouteSet.line("add", e.Dst)
	case DelRoutes:
		return o.RouteSet.line("delete", e.Dst)
	}
	return firstLine(op)
}

func family(p netip.Prefix) string {
	if p.Addr().Is4() {
		return "-4"
	}
	return "-6"
}
