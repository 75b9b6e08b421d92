// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// A Tunnel is what a configuration file wants.
type Tunnel struct {
	Dev       string
	Config    string // its file's path
	Device    device.Change
	Names     []config.Name        // endpoints of Device's peers that are still to be resolved
	Excluding []config.Exclusion   // of those of Device's peers that have ExcludedIPs
	Addresses []netip.Prefix       // host bits are kept
	MTU       device.Optional[int] // bytes; absent: from the routes
	Table     routing.Table

	DNS, Search []string // name servers and search domains, as in the file

	PreUp, PostUp, PreDown, PostDown []config.Value // "%i" not yet expanded

	KillSwitch KillSwitch
	// Asked says that the kill switch is the command line's, whatever the file
	// says.
	Asked      bool
	Masquerade *plan.Masquerade // nil: none
	Forward    bool             // packets between links

	// Variables are what hooks find in their shell.
	Variables []plan.Variable

	PeerNames map[keys.Key]string // by the file's comments, if they were read

	Save     *config.Document // its file, if that is to be written when it goes down
	Borrowed config.Borrowed  // what of it isn't for that file
}

// CountHooks returns how many hooks there are.
func (t *Tunnel) CountHooks() int {
	return len(t.PreUp) + len(t.PostUp) + len(t.PreDown) + len(t.PostDown)
}

// DropHooks leaves the hooks out.
func (t *Tunnel) DropHooks() { t.PreUp, t.PostUp, t.PreDown, t.PostDown = nil, nil, nil, nil }

// loops says which endpoints would be reached through the tunnel itself: what
// is left of 0.0.0.0/0 gets ordinary routes, which its own packets take too.
func (t *Tunnel) loops() (lines []string) {
	if t.Table.Off() || t.Device.Fwmark.Value != 0 { // with a mark, it may be cared for
		return nil
	}
	for _, e := range t.Excluding {
		p := &t.Device.Peers[e.Peer]
		for _, ip := range p.AllowedIPs {
			addr := p.Endpoint.Addr()
			if t.Table.Auto() && (addr.Is4() && e.Default4 || addr.Is6() && e.Default6) {
				continue // a full tunnel's own packets have a mark
			}
			if ip.Contains(addr) {
				lines = append(lines, fmt.Sprintf("[!] The endpoint %v is among the allowed IPs of its peer, so the tunnel's own packets would go into the tunnel. Add %[1]v to its ExcludedIPs.", addr))
			}
		}
	}
	return lines
}

// An Error is what is wrong with wg-quick's own keys in a file.
type Error struct {
	file     config.Error
	original []string
}

// Error returns the first problem and its place.
func (e *Error) Error() string { return e.file.Error() }

// Advice returns the place, reason and hint of every problem.
func (e *Error) Advice() []string { return e.file.Advice() }

// Problems returns all of them.
func (e *Error) Problems() []config.Problem { return e.file.Problems }

// Original returns what the original prints for the first problem.
func (e *Error) Original() []string { return e.original }

// NewTunnel checks the values of c, the file at path, for the link dev. tables knows the names of routing tables. The error is an [*Error] with
// all problems; there is still a Tunnel then, in which what is wrong is zero.
func NewTunnel(dev, path string, c *config.Config, tables func(name string) (uint32, bool)) (*Tunnel, error) {
	q := &c.Quick
	t := &Tunnel{
		Dev: dev, Config: path, Device: c.Change, Names: c.Names, Excluding: c.Excluding,
		DNS: texts(q.DNS), Search: texts(q.Search), Variables: variables(dev, path, q),
		PreUp: q.PreUp, PostUp: q.PostUp, PreDown: q.PreDown, PostDown: q.PostDown,
	}
	if len(c.PeerInfo) == len(c.Peers) {
		t.Borrowed = c.Borrowed(path)
		t.PeerNames = map[keys.Key]string{}
		for i, info := range c.PeerInfo {
			if info.Name != "" {
				t.PeerNames[c.Peers[i].PublicKey] = info.Name
			}
		}
	}
	var bad Error
	note := func(key string, v config.Value, err error, original, hint string) {
		if err == nil {
			return
		}
		if bad.file.Problems == nil && original != "" {
			bad.original = []string{original}
		}
		bad.file.Problems = append(bad.file.Problems, config.Problem{Pos: v.Pos, Code: config.BadValue, Reason: fmt.Sprintf("%s: %v", key, err), Hint: hint})
	}
	for _, v := range q.Addresses {
		a, err := parseAddress(v.Text)
		family := "inet"
		if strings.Contains(v.Text, ":") {
			family = "inet6"
		}
		note("Address", v, err, fmt.Sprintf("Error: %s prefix is expected rather than %.200q.", family, v.Text),
			"an address is such as 10.0.0.2/24 or fd00::2/64; several are separated by commas")
		t.Addresses = append(t.Addresses, a)
	}
	if v := q.MTU; v.Text != "" {
		n, err := parseMTU(v.Text)
		note("MTU", v, err, fmt.Sprintf("Error: argument %.200q is wrong: Invalid \"mtu\" value", v.Text),
			"leave the line out for an MTU that fits the way to the peers")
		t.MTU = device.Optional[int]{Value: n, Set: err == nil}
	}
	var err error
	t.Table, err = routing.ParseTable(q.Table.Text, tables)
	note("Table", q.Table, err, fmt.Sprintf("Error: argument %.200q is wrong: \"table\" value is invalid", q.Table.Text),
		"a table is auto, off, a number, or a name in /etc/iproute2/rt_tables")
	t.KillSwitch, err = ParseKillSwitch(q.KillSwitch.Text)
	note("KillSwitch", q.KillSwitch, err, "", "true lets nothing out but the tunnel; lan lets local networks be reached too")
	t.Masquerade, err = parseMasquerade(dev, q.Masquerade.Text)
	note("Masquerade", q.Masquerade, err, "", "name the link that leads out, such as eth0, or say auto for any")
	t.Forward, err = parseForward(q.Forward.Text, t.Masquerade != nil)
	note("Forward", q.Forward, err, "", "leave the line out, or say true or false")
	if t.KillSwitch != KillSwitchOff && t.Masquerade != nil && t.Masquerade.Out != dev {
		note("Masquerade", q.Masquerade, errors.New("KillSwitch lets nothing out but by the tunnel"), "",
			fmt.Sprintf("leave one of them out; Masquerade = %s is for what goes into the tunnel", dev))
	}
	if bad.file.Problems != nil {
		return t, &bad
	}
	return t, nil
}

// NewTeardown returns the tunnel that q describes as far as taking it down
// goes: the rest may have changed since, or be wrong. text is that of the file at
// path.
func NewTeardown(dev, path string, text []byte, q *config.QuickOptions, tables func(name string) (uint32, bool)) *Tunnel {
	t := &Tunnel{
		Dev: dev, Config: path,
		DNS: texts(q.DNS), Search: texts(q.Search), Variables: variables(dev, path, q),
		PreUp: q.PreUp, PostUp: q.PostUp, PreDown: q.PreDown, PostDown: q.PostDown,
	}
	table, err := routing.ParseTable(q.Table.Text, tables)
	if err != nil {
		table = routing.Chosen(0) // anything but automatic
	}
	t.Table = table
	if q.Saves() {
		t.Save = config.Scan(path, text)
	}
	return t
}

func texts(values []config.Value) (list []string) {
	for _, v := range values {
		list = append(list, v.Text)
	}
	return list
}

// variables returns what the hooks of wg-quick(8) have always found in their
// shell, although no manual says so, in its names.
func variables(dev, file string, q *config.QuickOptions) []plan.Variable {
	one := func(name, value string) plan.Variable { return plan.Variable{Name: name, Value: []string{value}} }
	list := func(name string, values []config.Value) plan.Variable {
		return plan.Variable{Name: name, Value: texts(values), List: true}
	}
	saves := "0"
	if q.Saves() {
		saves = "1"
	}
	return []plan.Variable{
		one("INTERFACE", dev), one("CONFIG_FILE", file), list("ADDRESSES", q.Addresses), one("MTU", q.MTU.Text),
		list("DNS", q.DNS), list("DNS_SEARCH", q.Search), one("TABLE", q.Table.Text),
		list("PRE_UP", q.PreUp), list("POST_UP", q.PostUp), list("PRE_DOWN", q.PreDown), list("POST_DOWN", q.PostDown),
		one("SAVE_CONFIG", saves),
	}
}

// parseAddress reads an address as ip(8) does: in IPv4 the last numbers may be
// missing, numbers may be octal or hexadecimal, and the length may be a mask.
func parseAddress(s string) (netip.Prefix, error) {
	if s == "default" {
		s = "0.0.0.0/0" // of which the kernel makes nothing
	}
	text, length, given := strings.Cut(s, "/")
	parse := parseIPv4
	if strings.Contains(text, ":") {
		parse = parseIPv6
	}
	a, err := parse(text)
	if err != nil {
		return netip.Prefix{}, err
	}
	bits := a.BitLen()
	if given {
		if bits, err = parseLength(length, a.BitLen()); err != nil {
			return netip.Prefix{}, err
		}
	}
	return netip.PrefixFrom(a, bits), nil
}

var errAddress = errors.New("not an IP address")

func parseIPv6(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, errAddress
	}
	return a, nil
}

func parseIPv4(s string) (netip.Addr, error) {
	var a [4]byte
	for i, part := range strings.Split(s, ".") {
		n, err := parseNumber(part, 255)
		if err != nil || i == len(a) {
			return netip.Addr{}, errAddress
		}
		a[i] = byte(n)
	}
	return netip.AddrFrom4(a), nil
}

func parseLength(s string, limit int) (int, error) {
	if n, err := parseNumber(s, uint64(limit)); err == nil {
		return int(n), nil
	}
	if mask, err := netip.ParseAddr(s); err == nil && mask.Is4() && limit == 32 {
		b := mask.As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		for n := range 33 {
			if v == math.MaxUint32<<(32-n)&math.MaxUint32 {
				return n, nil
			}
		}
	}
	return 0, fmt.Errorf("after the / comes a number from 0 to %d", limit)
}

func parseMTU(s string) (int, error) {
	n, err := parseNumber(s, math.MaxInt32)
	if err != nil {
		return 0, errors.New("not a number of bytes")
	}
	return int(n), nil
}

// parseNumber reads a number in C's notation.
func parseNumber(s string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(s, 0, 64)
	// Go has forms that C hasn't: 1_000, 0b1, 0o7.
	goOnly := strings.Contains(s, "_") || len(s) > 1 && strings.ContainsRune("bBoO", rune(s[1]))
	if err != nil || n > limit || goOnly {
		return 0, strconv.ErrSyntax
	}
	return n, nil
}
