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
	// by its own rules, the rest goes by those of WG.
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
)

func (s section) String() string {
	return [...]string{"no section", "[Interface]", "[Peer]"}[s]
}

// A key is one that files may have.
type key struct {
	name    string
	section section
	dialect Dialect
	secret  bool   // its value must not be printed
	expects string // for people
	decode  func(d *decoder, value []byte) error
	quick   func(q *QuickOptions, v Value)
}

// keys are all that the two dialects know; the order is that of hints.
var keyTable []key

func init() {
	keyTable = []key{
		{name: "PrivateKey", section: interfaceSection, secret: true, decode: (*decoder).privateKey, expects: "a key of 44 characters"},
		{name: "ListenPort", section: interfaceSection, decode: (*decoder).listenPort, expects: "a port"},
		{name: "FwMark", section: interfaceSection, decode: (*decoder).fwmark, expects: "a number, or off"},
		{name: "PublicKey", section: peerSection, decode: (*decoder).publicKey, expects: "a key of 44 characters"},
		{name: "PresharedKey", section: peerSection, secret: true, decode: (*decoder).presharedKey, expects: "a key of 44 characters"},
		{name: "AllowedIPs", section: peerSection, decode: (*decoder).allowedIPs, expects: "a list of IP/CIDR"},
		{name: "Endpoint", section: peerSection, decode: (*decoder).endpoint, expects: "HOST:PORT"},
		{name: "PersistentKeepalive", section: peerSection, decode: (*decoder).keepalive, expects: "seconds, or off"},
		{name: "Address", section: interfaceSection, dialect: Quick, quick: addAddresses},
		{name: "DNS", section: interfaceSection, dialect: Quick, quick: addDNS},
		{name: "MTU", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.MTU = v }},
		{name: "Table", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.Table = v }},
		{name: "PreUp", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.PreUp = append(q.PreUp, v) }},
		{name: "PostUp", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.PostUp = append(q.PostUp, v) }},
		{name: "PreDown", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.PreDown = append(q.PreDown, v) }},
		{name: "PostDown", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.PostDown = append(q.PostDown, v) }},
		{name: "SaveConfig", section: interfaceSection, dialect: Quick, quick: func(q *QuickOptions, v Value) { q.SaveConfig = v }},
	}
}

// isHook reports whether a key's value is a command, in which "#" is no comment.
func isHook(name []byte) bool {
	return foldEqual(name, "PreUp") || foldEqual(name, "PostUp") || foldEqual(name, "PreDown") || foldEqual(name, "PostDown")
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
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func trim(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}
