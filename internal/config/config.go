// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package config reads the configuration files of wg(8) and wg-quick(8).
//
// A file has two views. [Scan] makes a [Document]: lines, with every byte kept
// and every part at its place, for what edits or prints files. [Decode] makes
// a [Config]: all values parsed, with errors that say file, line, column, the
// reason and what to do. Both know the two dialects by the same table of keys.
package config

import "fmt"

// A Dialect says whose rules a file follows.
type Dialect int

const (
	// WG is what wg setconf takes: white space and comments anywhere, keys
	// that concern the device.
	WG Dialect = iota
	// Quick is what wg-quick takes: its own keys in [Interface] are taken out
	// by its own rules, the rest goes by those of WG, but for our own keys in
	// [Peer].
	Quick
)

// A Pos is a place in a file. Line and Col count from 1, Col in bytes.
type Pos struct {
	File      string
	Line, Col int
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col) }

// A section is what a line of a file belongs to.
type section uint8

const (
	noSection section = iota
	interfaceSection
	peerSection
	strangeSection // none that there is: what is in it isn't looked at
)

func (s section) String() string {
	return [...]string{"no section", "[Interface]", "[Peer]", "an unknown section"}[s]
}

// A key is one that files may have.
type key struct {
	name    string
	section section
	dialect Dialect
	secret  bool   // its value must not be printed
	public  bool   // its value is a key that may be printed
	raw     bool   // decode gets its value with the white space in it
	hook    bool   // its value is a command, in which "#" is no comment
	list    bool   // its value is a list of words
	ours    bool   // the original refuses it; so an empty value is a mistake, too
	expects string // its value, for people
	decode  func(d *decoder, value []byte) error
	quick   func(q *QuickOptions, v Value)
}

// keyTable holds all keys that the two dialects know, in the order of hints:
// decoding, stripping, hiding and hints go by it. It is filled by init, since
// decoding itself looks into it.
var keyTable []key

func init() {
	keyTable = []key{
		{name: "PrivateKey", section: interfaceSection, secret: true, raw: true, decode: (*decoder).privateKey, expects: "a key of 44 characters"},
		{name: "ListenPort", section: interfaceSection, decode: (*decoder).listenPort, expects: "a port"},
		{name: "FwMark", section: interfaceSection, decode: (*decoder).fwmark, expects: "a number, or off"},
		{name: "PublicKey", section: peerSection, public: true, raw: true, decode: (*decoder).publicKey, expects: "a key of 44 characters"},
		{name: "PresharedKey", section: peerSection, secret: true, raw: true, decode: (*decoder).presharedKey, expects: "a key of 44 characters"},
		{name: "AllowedIPs", section: peerSection, raw: true, decode: (*decoder).allowedIPs, expects: "a list of IP/CIDR"},
		{name: "Endpoint", section: peerSection, decode: (*decoder).endpoint, expects: "HOST:PORT"},
		{name: "PersistentKeepalive", section: peerSection, decode: (*decoder).keepalive, expects: "seconds, or off"},
		{name: "Address", section: interfaceSection, dialect: Quick, list: true, quick: addAddresses, expects: "a list of IP/CIDR"},
		{name: "DNS", section: interfaceSection, dialect: Quick, list: true, quick: addDNS, expects: "a list of name servers and search domains"},
		{name: "MTU", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.MTU = v }, expects: "bytes"},
		{name: "Table", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.Table = v }, expects: "auto, off or a routing table"},
		{name: "PreUp", section: interfaceSection, dialect: Quick, hook: true, quick: func(q *QuickOptions, v Value) { q.PreUp = append(q.PreUp, v) }, expects: "a command"},
		{name: "PostUp", section: interfaceSection, dialect: Quick, hook: true, quick: func(q *QuickOptions, v Value) { q.PostUp = append(q.PostUp, v) }, expects: "a command"},
		{name: "PreDown", section: interfaceSection, dialect: Quick, hook: true, quick: func(q *QuickOptions, v Value) { q.PreDown = append(q.PreDown, v) }, expects: "a command"},
		{name: "PostDown", section: interfaceSection, dialect: Quick, hook: true, quick: func(q *QuickOptions, v Value) { q.PostDown = append(q.PostDown, v) }, expects: "a command"},
		{name: "SaveConfig", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.SaveConfig = v }, expects: "true or false"},
		{name: "KillSwitch", section: interfaceSection, dialect: Quick, ours: true, quick: func(q *QuickOptions, v Value) { q.KillSwitch = v }, expects: "true, lan or false"},
		{name: "Masquerade", section: interfaceSection, dialect: Quick, ours: true, quick: func(q *QuickOptions, v Value) { q.Masquerade = v }, expects: "a link, or auto"},
		{name: "Forward", section: interfaceSection, dialect: Quick, ours: true, quick: func(q *QuickOptions, v Value) { q.Forward = v }, expects: "true or false"},
		{name: "PrivateKeyFile", section: interfaceSection, dialect: Quick, ours: true, secret: true, quick: func(q *QuickOptions, v Value) { q.PrivateKeyFile = v }, expects: "the path of a file"},
		{name: "PrivateKeyCommand", section: interfaceSection, dialect: Quick, ours: true, secret: true, hook: true, quick: func(q *QuickOptions, v Value) { q.PrivateKeyCommand = v }, expects: "a command that prints the key"},
		{name: "Include", section: interfaceSection, dialect: Quick, ours: true, quick: func(q *QuickOptions, v Value) { q.Include = append(q.Include, v) }, expects: "the path of a file with peers"},
		{name: "PresharedKeyFile", section: peerSection, dialect: Quick, ours: true, secret: true, decode: (*decoder).presharedKeyFile, expects: "the path of a file"},
		{name: "ExcludedIPs", section: peerSection, dialect: Quick, ours: true, raw: true, decode: (*decoder).excludedIPs, expects: "a list of IP/CIDR"},
	}
}

// isHook reports whether a key's value is a command, in which "#" is no comment.
func isHook(name []byte) bool {
	k := lookup(name, interfaceSection, Quick)
	return k != nil && k.hook
}

// lookup returns the key of that name, in any case, among those of a section
// and a dialect.
func lookup(name []byte, in section, of Dialect) *key {
	for i := range keyTable {
		k := &keyTable[i]
		if k.section == in && k.dialect == of && foldEqual(name, k.name) {
			return k
		}
	}
	return nil
}

// foldEqual compares as ASCII, ignoring case.
func foldEqual(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	if string(b) == s { // as nearly always
		return true
	}
	for i := range len(s) {
		if lower(b[i]) != lower(s[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// isSpace reports whether c is white space in the C locale.
func isSpace(c byte) bool { return spaces[c] }

var spaces = [256]bool{'\t': true, '\n': true, '\v': true, '\f': true, '\r': true, ' ': true}

func hasSpace(b []byte) bool {
	for _, c := range b {
		if isSpace(c) {
			return true
		}
	}
	return false
}

// squeeze appends b without its white space to dst.
func squeeze(dst, b []byte) []byte {
	for _, c := range b {
		if !isSpace(c) {
			dst = append(dst, c)
		}
	}
	return dst
}

// squeezed returns b without white space, a part of b if there is none inside.
func squeezed(b []byte) []byte {
	b = trim(b)
	if hasSpace(b) {
		return squeeze(nil, b)
	}
	return b
}

func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
