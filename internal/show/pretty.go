// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package show is the text of WireGuard devices: for people, for scripts, as a
// configuration file and as JSON. The forms for scripts are written while a
// device is read, so that one of a million peers takes no more memory than
// one of ten.
package show

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"strings"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// A Style says how devices are shown to people.
type Style struct {
	Color    bool
	ShowKeys bool                // private and preshared ones too
	Now      int64               // seconds since 1970, for ages
	Names    map[keys.Key]string // of peers; nil shows none

	// What a live view adds; nil elsewhere.
	Rate  func(p *device.Peer) (received, sent float64) // bytes a second
	Stale func(p *device.Peer) bool
}

// Escape sequences, as terminals know them (ECMA-48, SGR).
const (
	reset = "\x1b[0m"
	bold  = "\x1b[1m"
	red   = "\x1b[31m"
	green = "\x1b[32m"
	amber = "\x1b[33m"
	cyan  = "\x1b[36m"
)

// A page is text for people in the making.
type page struct {
	b []byte
	Style
}

// Pretty appends a device as `wg show' shows it: peers with the latest
// handshake first.
func Pretty(b []byte, d *device.Device, peers []device.Peer, style Style) []byte {
	p := page{b, style}
	p.device(d)
	if len(peers) > 0 {
		p.text("\n")
	}
	sorted := slices.SortedStableFunc(slices.Values(indexes(peers)), func(i, j int) int {
		return peers[j].LatestHandshake.Compare(peers[i].LatestHandshake)
	})
	for n, i := range sorted {
		if n > 0 {
			p.text("\n")
		}
		p.peer(&peers[i])
	}
	return p.b
}

func indexes(peers []device.Peer) []int {
	list := make([]int, len(peers))
	for i := range list {
		list[i] = i
	}
	return list
}

func (p *page) text(s string) { p.b = append(p.b, s...) }

func (p *page) color(code string) {
	if p.Color {
		p.text(code)
	}
}

func (p *page) colored(code, s string) {
	p.color(code)
	p.text(s)
	p.color(reset)
}

func (p *page) title(color, word string) {
	p.color(color)
	p.color(bold)
	p.text(word)
	p.color(reset)
	p.text(": ")
}

func (p *page) label(word string) {
	p.text("  ")
	p.colored(bold, word)
	p.text(": ")
}

func (p *page) number(n uint64) { p.b = strconv.AppendUint(p.b, n, 10) }

func (p *page) device(d *device.Device) {
	p.color(reset)
	p.title(green, "interface")
	name := d.Name
	if !p.Color {
		name = withoutEscapes(name)
	}
	p.colored(green, name)
	p.text("\n")
	if d.PublicKey.Set {
		p.label("public key")
		p.b = d.PublicKey.Value.AppendBase64(p.b)
		p.text("\n")
	}
	if d.PrivateKey.Set {
		p.label("private key")
		p.secret(&d.PrivateKey.Value)
	}
	if d.ListenPort != 0 {
		p.label("listening port")
		p.number(uint64(d.ListenPort))
		p.text("\n")
	}
	if d.Fwmark != 0 {
		p.label("fwmark")
		p.b = appendMark(p.b, d.Fwmark)
		p.text("\n")
	}
}

func (p *page) secret(k *keys.Key) {
	if p.ShowKeys {
		p.b = k.AppendBase64(p.b)
	} else {
		p.text("(hidden)")
	}
	p.text("\n")
}

func (p *page) peer(peer *device.Peer) {
	p.title(amber, "peer")
	p.color(amber)
	p.b = peer.PublicKey.AppendBase64(p.b)
	p.color(reset)
	if name := p.Names[peer.PublicKey]; name != "" {
		p.text(" (")
		p.text(printable(name))
		p.text(")")
	}
	p.text("\n")
	if !peer.PresharedKey.IsZero() {
		p.label("preshared key")
		p.secret(&peer.PresharedKey)
	}
	if peer.Endpoint.IsValid() {
		p.label("endpoint")
		p.b = device.AppendEndpoint(p.b, peer.Endpoint)
		p.text("\n")
	}
	p.label("allowed ips")
	if len(peer.AllowedIPs) == 0 {
		p.text("(none)")
	}
	for i, ip := range peer.AllowedIPs {
		if i > 0 {
			p.text(", ")
		}
		p.b = device.AppendAddr(p.b, ip.Addr())
		p.colored(cyan, "/")
		p.number(uint64(ip.Bits()))
	}
	p.text("\n")
	if peer.LatestHandshake.Sec != 0 {
		p.label("latest handshake")
		p.ago(peer.LatestHandshake.Sec)
		if p.Stale != nil && p.Stale(peer) {
			p.text(" ")
			p.colored(red, "(stale)")
		}
		p.text("\n")
	}
	if peer.ReceivedBytes != 0 || peer.SentBytes != 0 {
		p.label("transfer")
		p.bytes(peer.ReceivedBytes)
		p.text(" received, ")
		p.bytes(peer.SentBytes)
		p.text(" sent\n")
	}
	if p.Rate != nil {
		received, sent := p.Rate(peer)
		p.label("rate")
		p.bytes(uint64(received))
		p.text("/s received, ")
		p.bytes(uint64(sent))
		p.text("/s sent\n")
	}
	if peer.PersistentKeepalive != 0 {
		p.label("persistent keepalive")
		p.text("every ")
		p.duration(uint64(peer.PersistentKeepalive))
		p.text("\n")
	}
}

// ago appends how long ago a moment was.
func (p *page) ago(when int64) {
	switch {
	case when == p.Now:
		p.text("Now")
	case when > p.Now:
		p.text("(")
		p.colored(red, "System clock wound backward; connection problems may ensue.")
		p.text(")")
	default:
		p.duration(uint64(p.Now - when))
		p.text(" ago")
	}
}

// units are those of durations, in seconds.
var units = []struct {
	name    string
	seconds uint64
}{{"year", 365 * 24 * 3600}, {"day", 24 * 3600}, {"hour", 3600}, {"minute", 60}, {"second", 1}}

// duration appends a number of seconds, more than none, in words.
func (p *page) duration(seconds uint64) {
	first := true
	for _, u := range units {
		n := seconds / u.seconds
		seconds %= u.seconds
		if n == 0 {
			continue
		}
		if !first {
			p.text(", ")
		}
		first = false
		p.number(n)
		p.text(" ")
		name := u.name
		if n != 1 {
			name += "s"
		}
		p.colored(cyan, name)
	}
}

var byteUnits = []string{"B", "KiB", "MiB", "GiB", "TiB"}

// bytes appends a number of bytes with two decimals in the largest unit up to
// TiB of which there is at least one.
func (p *page) bytes(n uint64) {
	unit := 0
	for unit < len(byteUnits)-1 && n>>(10*(unit+1)) > 0 {
		unit++
	}
	if unit == 0 {
		p.number(n)
	} else {
		p.b = strconv.AppendFloat(p.b, float64(n)/math.Ldexp(1, 10*unit), 'f', 2, 64)
	}
	p.text(" ")
	p.colored(cyan, byteUnits[unit])
}

// appendMark appends a mark as scripts know it: 0xca6c, or off.
func appendMark(b []byte, mark uint32) []byte {
	if mark == 0 {
		return append(b, "off"...)
	}
	return strconv.AppendUint(append(b, "0x"...), uint64(mark), 16)
}

// withoutEscapes returns s without colour sequences, which a name may hold.
func withoutEscapes(s string) string {
	b := []byte(s)
	for {
		i := bytes.Index(b, []byte("\x1b["))
		if i < 0 {
			return string(b)
		}
		end := i + 2
		for end < len(b) && (b[end] == ';' || '0' <= b[end] && b[end] <= '9') {
			end++
		}
		if end == len(b) || b[end] != 'm' {
			return string(b)
		}
		b = slices.Delete(b, i, end+1)
	}
}

// printable returns a name without control characters: comments are anybody's text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || 0x7f <= r && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
