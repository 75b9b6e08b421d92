// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"

	"wgtools/internal/device"
)

// A Config is a file with all values parsed.
type Config struct {
	device.Change              // what concerns the device; ReplacePeers is false
	Quick         QuickOptions // in the Quick dialect
	Name          string       // the interface's, from a comment
	PeerInfo      []PeerInfo   // beside Peers, if it was asked for
}

// PeerInfo is what a file says about a peer besides its configuration.
type PeerInfo struct {
	Name     string // from a comment, "" if there is none
	Pos      Pos    // of its [Peer]
	Endpoint Value  // as it is written
}

// A Value is a text of a file and its place.
type Value struct {
	Text string
	Pos  Pos
}

// A Resolver resolves what isn't a plain number. Its errors may have the
// methods Original and Advice of a problem that is printed, and Environment,
// which reports that the fault is not the file's.
type Resolver interface {
	Port(s string) (uint16, error)
	Endpoint(s string) (netip.AddrPort, error)
}

// Options say how a file is decoded.
type Options struct {
	Dialect  Dialect
	Resolver Resolver      // without one, ports are numbers and endpoints stay text in PeerInfo
	Warn     func(Warning) // may be nil
	PeerInfo bool          // fill Config.PeerInfo
	Program  string        // in the Quick dialect: what its own messages begin with
	OwnKeys  bool          // in the Quick dialect: read wg-quick's own keys only; mistakes in the rest don't count
}

// DecodeReader decodes what r holds. Reading stops quietly at an error, as the
// original does: a directory is an empty file.
func DecodeReader(file string, r io.Reader, o Options) (*Config, error) {
	var buf bytes.Buffer
	if f, ok := r.(*os.File); ok {
		if st, err := f.Stat(); err == nil && st.Mode().IsRegular() && st.Size() < 1<<30 {
			buf.Grow(int(st.Size()) + bytes.MinRead)
		}
	}
	buf.ReadFrom(r)
	return Decode(file, buf.Bytes(), o)
}

// Decode decodes a file. Names are resolved in the order of the file, up to
// the first problem; the error is an [*Error] with all problems, or what the
// Resolver says of its environment.
func Decode(file string, src []byte, o Options) (*Config, error) {
	d := decoder{file: file, options: o, config: &Config{}}
	d.config.Peers = make([]device.PeerChange, 0, bytes.Count(src, []byte("[")))
	for len(src) > 0 && d.environment == nil {
		line := src
		if i := bytes.IndexByte(src, '\n'); i >= 0 {
			line, src = src[:i], src[i+1:]
		} else {
			src = nil
		}
		d.number++
		d.raw = line
		if o.Dialect == Quick {
			d.quickLine(line)
		} else {
			d.line(line)
		}
	}
	if d.environment != nil {
		return nil, d.environment
	}
	d.finish()
	if d.err != nil {
		return nil, d.err
	}
	return d.config, nil
}

// A decoder is at one line of a file.
type decoder struct {
	file    string
	options Options
	config  *Config

	number  int     // of the line
	raw     []byte  // the line
	value   []byte  // of the line's key, as it stands in raw
	section section // as wg sees it
	quick   bool    // in [Interface], as wg-quick sees it
	keyed   bool    // the peer has its public key
	keyless []int   // the lines of the peers that have none
	header  int     // the line of the last [Peer]

	names       commentNames
	chunk       []device.AllowedIP // room for the allowed IPs of many peers
	scratch     []byte
	err         *Error
	environment error
}

// line decodes a line as wg does: it ends at a NUL or "#", and white space
// doesn't count wherever it stands.
func (d *decoder) line(line []byte) {
	if i := bytes.IndexByte(line, 0); i >= 0 {
		line = line[:i]
	}
	code := line
	if i := bytes.IndexByte(line, '#'); i >= 0 {
		code = line[:i]
	}
	body := trim(code)
	if len(body) > 0 {
		d.statement(body)
	}
	if d.options.PeerInfo {
		switch {
		case len(code) < len(line):
			d.names.comment(line[len(code):], len(body) == 0)
		case len(body) == 0:
			d.names.blank()
		}
	}
}

// statement decodes a line that says something.
func (d *decoder) statement(line []byte) {
	name, value, assigns := bytes.Cut(line, []byte("="))
	if !assigns {
		d.headerLine(line)
		return
	}
	if d.options.PeerInfo {
		d.names.key()
	}
	d.value = trim(value)
	name, value = d.squeezed(name), d.value
	k := lookup(name, d.section, WG)
	if k == nil || len(value) == 0 {
		d.unrecognized(line)
		return
	}
	if hasSpace(value) {
		d.scratch = squeeze(d.scratch[:0], value)
		value = d.scratch
	}
	if err := k.decode(d, value); err != nil {
		d.valueError(k, err)
	}
}

// squeezed returns b without white space, b itself if there is none inside.
func (d *decoder) squeezed(b []byte) []byte {
	b = trim(b)
	if hasSpace(b) {
		return squeeze(nil, b)
	}
	return b
}

func hasSpace(b []byte) bool {
	for _, c := range b {
		if isSpace(c) {
			return true
		}
	}
	return false
}

// headerLine decodes a line that assigns nothing, which must be a section's header.
func (d *decoder) headerLine(line []byte) {
	switch name := d.squeezed(line); {
	case foldEqual(name, "[Interface]"):
		d.endPeer()
		d.section = interfaceSection
		d.names.header(interfaceSection)
	case foldEqual(name, "[Peer]"):
		d.endPeer()
		d.section, d.header, d.keyed = peerSection, d.number, false
		d.names.header(peerSection)
		d.config.Peers = append(d.config.Peers, device.PeerChange{ReplaceAllowedIPs: true})
		if d.options.PeerInfo {
			d.config.PeerInfo = append(d.config.PeerInfo, PeerInfo{Pos: d.pos(0)})
		}
	default:
		d.unrecognized(line)
	}
}

// endPeer ends the section before a header or the end of the file.
func (d *decoder) endPeer() {
	if d.section == peerSection && !d.keyed {
		d.keyless = append(d.keyless, d.header)
	}
	if !d.options.PeerInfo {
		return
	}
	switch name := d.names.end(); {
	case name == "":
	case d.section == peerSection:
		d.config.PeerInfo[len(d.config.PeerInfo)-1].Name = name
	case d.section == interfaceSection:
		d.config.Name = name
	}
}

func (d *decoder) finish() {
	d.endPeer()
	for _, line := range d.keyless {
		d.problem([]string{"A peer is missing a public key", "Invalid configuration"}, Problem{
			Pos:    Pos{d.file, line, 1},
			Reason: "this peer has no PublicKey",
			Hint:   "every [Peer] needs the line PublicKey = KEY",
		})
	}
}

// problem adds a problem; the first decides what the original would print.
func (d *decoder) problem(original []string, p Problem) {
	if d.err == nil {
		d.err = &Error{original: original}
	}
	if d.enough() {
		d.err.More++
		return
	}
	d.err.Problems = append(d.err.Problems, p)
}

// enough reports whether another problem would only be counted.
func (d *decoder) enough() bool { return d.err != nil && len(d.err.Problems) == maxProblems }

// parsing are the lines that the original prints for a mistake in a line.
func parsing(line string) []string { return []string{line, "Configuration parsing error"} }

// pos returns a place in the line, by its offset from the first character
// that isn't white space.
func (d *decoder) pos(offset int) Pos {
	indent := len(d.raw) - len(trimLeft(d.raw))
	return Pos{d.file, d.number, indent + offset + 1}
}

// valuePos returns a place in the line's value, by its offset once the white
// space is gone.
func (d *decoder) valuePos(offset int) Pos {
	start := cap(d.raw) - cap(d.value) // value is a part of raw
	for _, c := range d.value {
		if !isSpace(c) {
			if offset == 0 {
				break
			}
			offset--
		}
		start++
	}
	return Pos{d.file, d.number, start + 1}
}

func trimLeft(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	return b
}

// unrecognized notes a line that is neither a section nor a known key with a
// value. line is trimmed and without its comment.
func (d *decoder) unrecognized(line []byte) {
	if d.enough() {
		d.err.More++
		return
	}
	text := squeeze(nil, line)
	reason, hint, offset := d.explain(text)
	at := d.pos(0)
	if offset > 0 {
		at = d.pos(offset)
	}
	d.problem(parsing(fmt.Sprintf("Line unrecognized: `%s'", hideSecret(text))), Problem{Pos: at, Reason: reason, Hint: hint})
}

// valueError notes a mistake in a value.
func (d *decoder) valueError(k *key, err error) {
	p := Problem{Pos: d.valuePos(0)}
	original := err.Error()
	var v *ValueError
	if errors.As(err, &v) {
		p.Pos, p.Reason, p.Hint = d.valuePos(v.Offset), fmt.Sprintf("%s: %s", k.name, v.Reason), v.Hint
	} else {
		var env interface{ Environment() bool }
		if errors.As(err, &env) && env.Environment() {
			if d.err == nil {
				d.environment = err
			}
			return
		}
		p.Reason = fmt.Sprintf("%s: expected %s", k.name, k.expects)
		var told interface{ Advice() []string }
		if errors.As(err, &told) {
			for _, line := range told.Advice() {
				p.Hint = string(bytes.TrimPrefix([]byte(line), []byte("hint: ")))
			}
		}
	}
	d.problem(parsing(original), p)
}

// peer returns the peer that the line belongs to.
func (d *decoder) peer() *device.PeerChange { return &d.config.Peers[len(d.config.Peers)-1] }

func (d *decoder) privateKey(value []byte) error {
	k, err := parseKey(value, true)
	d.config.PrivateKey = device.Some(k)
	return err
}

func (d *decoder) listenPort(value []byte) error {
	port, err := d.port(value)
	d.config.ListenPort = device.Some(port)
	return err
}

func (d *decoder) port(value []byte) (uint16, error) {
	if d.options.Resolver != nil {
		return d.options.Resolver.Port(string(value))
	}
	n, ok := number(string(value), 10, 65535)
	if !ok {
		return 0, &ValueError{
			Line:   fmt.Sprintf("Servname not supported for ai_socktype: `%s'", value),
			Reason: "not a port", Hint: "a port is a number from 0 to 65535",
		}
	}
	return uint16(n), nil
}

func (d *decoder) fwmark(value []byte) error {
	mark, err := ParseFwmark(string(value))
	d.config.Fwmark = device.Some(mark)
	return err
}

func (d *decoder) publicKey(value []byte) (err error) {
	d.keyed = true // if it is a wrong one, that is said already
	d.peer().PublicKey, err = parseKey(value, false)
	return err
}

func (d *decoder) presharedKey(value []byte) error {
	k, err := parseKey(value, true)
	d.peer().PresharedKey = device.Some(k)
	return err
}

func (d *decoder) allowedIPs(value []byte) (err error) {
	p := d.peer()
	if p.AllowedIPs == nil {
		p.AllowedIPs = d.room(bytes.Count(value, []byte(",")) + 1)
	}
	p.AllowedIPs, p.ReplaceAllowedIPs, err = appendAllowedIPs(p.AllowedIPs, value, d.warn)
	return err
}

// room returns an empty list with room for n, cut off a larger one: a file of
// many peers makes few allocations.
func (d *decoder) room(n int) []device.AllowedIP {
	if cap(d.chunk)-len(d.chunk) < n {
		d.chunk = make([]device.AllowedIP, 0, max(n, min(4096, 2*cap(d.chunk)), 16))
	}
	at := len(d.chunk)
	d.chunk = d.chunk[:at+n]
	return d.chunk[at : at : at+n]
}

func (d *decoder) warn(offset int, w Warning) {
	if d.options.Warn != nil && d.err == nil { // the original has stopped by then
		w.Pos = d.valuePos(offset)
		d.options.Warn(w)
	}
}

func (d *decoder) endpoint(value []byte) (err error) {
	if d.options.PeerInfo {
		d.config.PeerInfo[len(d.config.PeerInfo)-1].Endpoint = Value{string(value), d.valuePos(0)}
	}
	if d.options.Resolver == nil || d.err != nil { // names are resolved no more
		return nil
	}
	d.peer().Endpoint, err = d.options.Resolver.Endpoint(string(value))
	return err
}

func (d *decoder) keepalive(value []byte) error {
	seconds, err := ParseKeepalive(string(value))
	d.peer().PersistentKeepalive = device.Some(seconds)
	return err
}
