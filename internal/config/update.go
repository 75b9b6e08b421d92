// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// Live is a tunnel as it is, for writing it into its file. What is absent or
// zero is not known or not there.
type Live struct {
	PrivateKey device.Optional[keys.Key]
	ListenPort uint16
	Fwmark     uint32
	MTU        int            // bytes
	Addresses  []netip.Prefix // those that are worth keeping: not what the system gives by itself
	DNS        []string       // name servers
	Peers      []device.Peer
}

// Update makes the file say what is live, and changes nothing else: comments,
// order, spacing, hooks and unknown keys stay, and a value that says the same
// as before stays as it is written. A listen port, a mark and an MTU that the
// file doesn't name were chosen at run time and are left out; so are addresses
// in place of an endpoint's host name, keys that a hook sets, and what is
// borrowed from elsewhere.
//
// parse reads an address of an Address line. What was changed is returned, and
// what else is otherwise and isn't for this file.
func (d *Document) Update(live Live, b Borrowed, parse func(string) (netip.Prefix, error)) (edits []Edit, elsewhere []string) {
	e := editor{doc: d, borrowed: b, parse: parse, drop: make([]bool, len(d.Lines)), after: map[int][][]byte{}}
	before := make([][]byte, len(d.Lines))
	for i := range d.Lines {
		before[i] = d.Lines[i].Text
	}
	e.sections()
	e.iface(live)
	e.peers(live.Peers, live.PrivateKey.Value)
	edits = e.edits(before)
	e.finish()
	slices.Sort(e.elsewhere)
	return edits, e.elsewhere
}

// An editor collects changes of lines and makes them all at the end.
type editor struct {
	doc       *Document
	borrowed  Borrowed
	parse     func(string) (netip.Prefix, error)
	drop      []bool
	after     map[int][][]byte // new lines behind a line; -1: at the start
	parts     []part
	hooks     []string // lines of those that run at up
	elsewhere []string // what is otherwise and isn't for this file
}

// A part is a section of the file: its header's line and those up to the next.
type part struct {
	kind        section
	header, end int
	quick       bool // wg-quick takes it for [Interface] too, which is stricter
}

func (e *editor) sections() {
	for i, l := range e.doc.Lines {
		if !l.Header {
			continue
		}
		if n := len(e.parts); n > 0 {
			e.parts[n-1].end = i
		}
		p := part{header: i, end: len(e.doc.Lines)}
		switch name := squeeze(nil, []byte(l.Section)); {
		case foldEqual(name, "Interface"):
			q := splitQuick(bytes.TrimRight(l.Text, "\r\n"))
			p.kind, p.quick = interfaceSection, q.section(false)
		case foldEqual(name, "Peer"):
			p.kind = peerSection
		}
		e.parts = append(e.parts, p)
	}
	for _, name := range []string{"PreUp", "PostUp"} { // once: there may be very many peers
		for _, i := range e.lines(e.parts, name) {
			e.hooks = append(e.hooks, string(e.doc.Lines[i].Text))
		}
	}
}

// lines returns the lines of the parts that set the key name.
func (e *editor) lines(parts []part, name string) (list []int) {
	for _, p := range parts {
		for i := p.header + 1; i < p.end; i++ {
			l := &e.doc.Lines[i]
			if !l.Key.IsEmpty() && foldEqual(squeeze(nil, l.Key.Of(l.Text)), name) {
				list = append(list, i)
			}
		}
	}
	return list
}

// value returns the value of a line without white space.
func (e *editor) value(i int) string {
	l := &e.doc.Lines[i]
	return string(squeeze(nil, l.Value.Of(l.Text)))
}

// replace gives a line another value.
func (e *editor) replace(i int, value string) {
	l := &e.doc.Lines[i]
	l.Text = slices.Concat(l.Text[:l.Value.Start], []byte(value), l.Text[l.Value.End:])
}

// add puts "name = value" behind the last line of the first part that sets
// anything, or behind its header.
func (e *editor) add(p part, name, value string) {
	at := p.header
	for i := p.header + 1; i < p.end; i++ {
		if !e.doc.Lines[i].Key.IsEmpty() {
			at = i
		}
	}
	e.after[at] = append(e.after[at], []byte(name+" = "+value+e.ending(p.header)))
}

// ending is how lines end near line i.
func (e *editor) ending(i int) string {
	if i >= 0 && i < len(e.doc.Lines) && bytes.HasSuffix(e.doc.Lines[i].Text, []byte("\r\n")) {
		return "\r\n"
	}
	return "\n"
}

// set makes the last of the lines that set name say value, unless it does so
// already in other words, and adds one if there is none. An empty value takes
// the lines away.
func (e *editor) set(parts []part, name, value string, same func(old string) bool) {
	lines := e.lines(parts, name)
	switch {
	case len(lines) > 0 && same(e.value(lines[len(lines)-1])):
	case value == "":
		for _, i := range lines {
			e.drop[i] = true
		}
	case len(lines) == 0:
		e.add(parts[0], name, value)
	default:
		e.replace(lines[len(lines)-1], value)
	}
}

func (e *editor) iface(live Live) {
	var parts, quick []part
	for _, p := range e.parts {
		if p.kind == interfaceSection {
			parts = append(parts, p)
		}
		if p.quick {
			quick = append(quick, p)
		}
	}
	if len(quick) > 0 {
		e.addresses(quick, live.Addresses)
		if len(live.DNS) > 0 {
			e.servers(quick, live.DNS)
		}
	} else if len(live.Addresses) > 0 || len(parts) == 0 && live.PrivateKey.Set {
		e.start("[Interface]")
		for _, a := range live.Addresses {
			e.start("Address = " + a.String())
		}
	}
	if len(parts) == 0 {
		if live.PrivateKey.Set {
			e.start("PrivateKey = " + live.PrivateKey.Value.Base64())
		}
		return
	}
	if live.PrivateKey.Set && !e.keepsPrivateKey(parts, live.PrivateKey.Value) && (len(e.lines(parts, "PrivateKey")) > 0 || !e.hookSays("private-key")) {
		e.set(parts, "PrivateKey", live.PrivateKey.Value.Base64(), func(old string) bool {
			k, err := keys.Parse(old)
			return err == nil && k.Clamp() == live.PrivateKey.Value.Clamp() // devices clamp
		})
	}
	named := func(name, value string, same func(string) bool) {
		if len(e.lines(parts, name)) > 0 {
			e.set(parts, name, value, same)
		}
	}
	if live.ListenPort != 0 {
		port := fmt.Sprint(live.ListenPort)
		named("ListenPort", port, func(old string) bool { return strings.TrimLeft(old, "+0") == port })
	}
	mark := "off"
	if live.Fwmark != 0 {
		mark = fmt.Sprintf("0x%x", live.Fwmark)
	}
	named("FwMark", mark, func(old string) bool {
		n, err := ParseFwmark(old)
		return err == nil && n == live.Fwmark
	})
	if live.MTU != 0 {
		named("MTU", fmt.Sprint(live.MTU), func(old string) bool { return old == fmt.Sprint(live.MTU) })
	}
}

// hookSays reports whether a hook that runs at up has all of these words: what
// it sets is not for the file, a key least of all.
func (e *editor) hookSays(words ...string) bool {
	return slices.ContainsFunc(e.hooks, func(hook string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(hook, w) })
	})
}

// start adds a line to those before the first.
func (e *editor) start(line string) {
	e.after[-1] = append(e.after[-1], []byte(line+e.ending(0)))
}

// list takes out of the lines that set name, a list, what isn't live, and adds
// what is new. canonical returns how a word of the file stands in live, "" for
// one that stays in any case.
func (e *editor) list(parts []part, name string, live []string, canonical func(word string) string) {
	known := map[string]bool{}
	there := make(map[string]bool, len(live))
	for _, text := range live {
		there[text] = true
	}
	last := -1
	for _, i := range e.lines(parts, name) {
		l := &e.doc.Lines[i]
		var kept []string
		gone := false
		for _, w := range words(Value{Text: string(l.Value.Of(l.Text))}) {
			text := canonical(w.Text)
			if text != "" && !there[text] {
				gone = true
				continue
			}
			known[text] = true
			kept = append(kept, w.Text)
		}
		switch {
		case gone && len(kept) == 0:
			e.drop[i] = true
		case gone:
			e.replace(i, strings.Join(kept, ", "))
		}
		if len(kept) > 0 {
			last = i
		}
	}
	if last < 0 {
		last = parts[0].header
	}
	for _, text := range live {
		if !known[text] {
			e.after[last] = append(e.after[last], []byte(name+" = "+text+e.ending(last)))
		}
	}
}

// addresses brings the Address lines up to date.
func (e *editor) addresses(parts []part, live []netip.Prefix) {
	texts := make([]string, len(live))
	for i, p := range live {
		texts[i] = p.String()
	}
	e.list(parts, "Address", texts, func(word string) string {
		p, err := e.parse(word)
		if err != nil {
			return ""
		}
		return p.String()
	})
}

// servers brings the name servers of the DNS lines up to date. Search domains
// stay.
func (e *editor) servers(parts []part, live []string) {
	e.list(parts, "DNS", live, func(word string) string {
		if !isServer(word) {
			return ""
		}
		return word
	})
}

// peers brings the sections of peers up to date: those of peers that are gone
// go, with the comments that belong to them, and new ones come at the end. self
// is the device's own private key.
func (e *editor) peers(live []device.Peer, self keys.Key) {
	byKey := make(map[keys.Key]*device.Peer, len(live))
	for i := range live {
		byKey[live[i].PublicKey] = &live[i]
	}
	written := make(map[keys.Key]bool, len(live))
	for n, p := range e.parts {
		if p.kind != peerSection {
			continue
		}
		lines := e.lines([]part{p}, "PublicKey")
		if len(lines) == 0 {
			continue
		}
		key, err := keys.Parse(e.value(lines[len(lines)-1]))
		if err != nil {
			continue
		}
		peer := byKey[key]
		if peer == nil || written[key] { // gone, or said already
			e.remove(n)
			continue
		}
		written[key] = true
		e.peer(p, peer)
	}
	for i := range live {
		if !written[live[i].PublicKey] && !e.borrowedPeer(&live[i]) {
			e.appendPeer(&live[i])
		}
	}
	e.missing(byKey, self)
}

func (e *editor) peer(p part, peer *device.Peer) {
	parts := []part{p}
	psk := ""
	if !peer.PresharedKey.IsZero() {
		psk = peer.PresharedKey.Base64()
	}
	if !e.keepsPresharedKey(p, peer) && (len(e.lines(parts, "PresharedKey")) > 0 || !e.hookSays("preshared-key", peer.PublicKey.Base64())) {
		e.set(parts, "PresharedKey", psk, func(old string) bool { return old == psk })
	}
	if peer.Endpoint.IsValid() {
		text := string(device.AppendEndpoint(nil, peer.Endpoint))
		e.set(parts, "Endpoint", text, func(old string) bool {
			at, err := netip.ParseAddrPort(old)
			return err != nil || at == peer.Endpoint // a host name stays
		})
	}
	keepalive := ""
	if peer.PersistentKeepalive != 0 {
		keepalive = fmt.Sprint(peer.PersistentKeepalive)
	}
	e.set(parts, "PersistentKeepalive", keepalive, func(old string) bool {
		n, err := ParseKeepalive(old)
		return err == nil && n == peer.PersistentKeepalive
	})
	e.allowedIPs(p, peer.AllowedIPs)
}

func (e *editor) allowedIPs(p part, live []netip.Prefix) {
	lines, excluding := e.lines([]part{p}, "AllowedIPs"), e.lines([]part{p}, "ExcludedIPs")
	have := e.listed(lines)
	if len(excluding) > 0 {
		have = Exclude(have, e.listed(excluding))
	}
	if samePrefixes(have, live) {
		return
	}
	for _, i := range excluding {
		e.drop[i] = true
	}
	var b []byte
	for i, ip := range live {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = device.AppendPrefix(b, ip)
	}
	for n, i := range lines {
		if n > 0 || len(live) == 0 {
			e.drop[i] = true
		}
	}
	switch {
	case len(live) == 0:
	case len(lines) == 0:
		e.add(p, "AllowedIPs", string(b))
	default:
		e.replace(lines[0], string(b))
	}
}

// listed returns the allowed IPs that lines have, none if one has a mistake.
func (e *editor) listed(lines []int) (list []netip.Prefix) {
	for _, i := range lines {
		ips, _, err := AppendAllowedIPs(nil, e.value(i), nil)
		if err != nil {
			return nil
		}
		for _, ip := range ips {
			if !ip.Remove {
				list = append(list, ip.Masked())
			}
		}
	}
	return list
}

// remove takes a section away, from the comments above its header that belong
// to it up to those that belong to the next one.
func (e *editor) remove(n int) {
	p := e.parts[n]
	end := p.end
	if n+1 < len(e.parts) {
		end = e.lead(e.parts[n+1].header)
	}
	first := e.lead(p.header)
	for end == len(e.doc.Lines) && first > 0 && len(trim(e.doc.Lines[first-1].Text)) == 0 {
		first-- // no blank lines are left at the end
	}
	for i := first; i < end; i++ {
		e.drop[i] = true
	}
}

// lead returns the first of the comment lines right above a header that belong
// to it: up to a blank line, a setting, or the mark of another peer's end. What
// stands right below a setting belongs to that section, unless it is marked.
func (e *editor) lead(header int) int {
	first := header
	for i := header - 1; i >= 0; i-- {
		l := &e.doc.Lines[i]
		if len(trim(l.Text)) == 0 {
			return first
		}
		if l.Comment.IsEmpty() || !l.Key.IsEmpty() || l.Header {
			if first < header {
				if _, rank := nameIn(e.doc.Lines[first].Comment.Of(e.doc.Lines[first].Text)); rank < markedName {
					return header
				}
			}
			return first
		}
		if bytes.Contains(l.Text, []byte("END_PEER")) {
			return first
		}
		first = i
	}
	return first
}

func (e *editor) appendPeer(p *device.Peer) {
	last := len(e.doc.Lines) - 1
	end := e.ending(last)
	var b []byte
	line := func(name, value string) { b = append(b, name+" = "+value+end...) }
	b = append(b, end+"[Peer]"+end...)
	line("PublicKey", p.PublicKey.Base64())
	if !p.PresharedKey.IsZero() {
		line("PresharedKey", p.PresharedKey.Base64())
	}
	if len(p.AllowedIPs) > 0 {
		var list []byte
		for i, ip := range p.AllowedIPs {
			if i > 0 {
				list = append(list, ", "...)
			}
			list = device.AppendPrefix(list, ip)
		}
		line("AllowedIPs", string(list))
	}
	if p.Endpoint.IsValid() {
		line("Endpoint", string(device.AppendEndpoint(nil, p.Endpoint)))
	}
	if p.PersistentKeepalive != 0 {
		line("PersistentKeepalive", fmt.Sprint(p.PersistentKeepalive))
	}
	e.after[last] = append(e.after[last], b)
}

// finish makes the changes.
func (e *editor) finish() {
	var lines []Line
	add := func(texts [][]byte) {
		for _, text := range texts {
			for line := range bytes.Lines(text) {
				lines = append(lines, Line{Text: line})
			}
		}
	}
	add(e.after[-1])
	for i := range e.doc.Lines {
		l := e.doc.Lines[i]
		if !e.drop[i] {
			if more := e.after[i]; more != nil && !bytes.HasSuffix(l.Text, []byte("\n")) {
				l.Text = append(slices.Clip(l.Text), e.ending(i-1)...)
			}
			lines = append(lines, l)
		}
		add(e.after[i])
	}
	var b []byte
	for i := range lines {
		b = append(b, lines[i].Text...)
	}
	*e.doc = *Scan(e.doc.File, b)
}
