// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"os"
	"slices"
	"strings"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// A Config is a file with all values parsed.
type Config struct {
	device.Change              // what concerns the device; ReplacePeers is false
	Quick         QuickOptions // in the Quick dialect
	Name          string       // the interface's, from a comment
	PeerInfo      []PeerInfo   // beside Peers, if it was asked for
	Names         []Name       // endpoints that are still to be resolved
	Excluding     []Exclusion  // of the peers that have ExcludedIPs
	Included      []File       // whose peers come after the file's own
	Settings      []Setting    // if they were asked for, in the order of the file
	Headers       []Header     // likewise

	borrows bool // not all is in the file itself
}

// A Setting is a line that gives a key a value, which may be a wrong one.
type Setting struct {
	Key   string // its name, as manuals write it
	Peer  int    // whose it is: the index among the peers, or -1
	Value        // without white space around it; of a secret key's there is no text
}

// A Header is a line that begins a section.
type Header struct {
	Pos   Pos
	Peer  int  // whose section it begins: the index among the peers, or -1
	Wrong bool // it isn't one as it is written
}

// An Exclusion is what a peer's ExcludedIPs took from its allowed IPs.
type Exclusion struct {
	Peer int            // whose it is: the index among the peers
	IPs  []netip.Prefix // what was taken
	// Default4 and Default6 say that all of a family was allowed before.
	Default4, Default6 bool
}

// A Name is an endpoint that takes a look-up, at its place in the file.
type Name struct {
	Peer int // whose it is: the index among the peers
	Value
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
	Settings bool          // fill Config.Settings and Config.Headers
	Problems int           // how many problems are told; 0: MaxProblems
	Sources  Sources       // in the Quick dialect: without them, what is elsewhere is left out
	Program  string        // in the Quick dialect: what its own messages begin with
	OwnKeys  bool          // in the Quick dialect: read wg-quick's own keys only; mistakes in the rest don't count
	Later    bool          // leave endpoints that take a look-up to [ResolveNames]
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
// Resolver says of its environment. With an [*Error] there is still a Config,
// of what could be read.
func Decode(file string, src []byte, o Options) (*Config, error) {
	d := decoder{file: file, options: o, config: &Config{}, nul: bytes.IndexByte(src, 0) >= 0}
	if o.Dialect == Quick {
		d.own = true
		d.lines(src, d.quickLine)
		if !o.OwnKeys {
			d.own, d.quick = false, false
			d.openIncluded()
			d.lines(src, d.quickLine)
		}
	} else {
		d.lines(src, d.line)
	}
	d.endSection()
	// wg-quick's own keys were read first.
	slices.SortStableFunc(d.config.Settings, func(a, b Setting) int { return cmp.Compare(a.Pos.Line, b.Pos.Line) })
	// Without the key that there should be, it isn't known which included peer is
	// this node itself.
	if !d.own && d.environment == nil && d.privateKeyFromElsewhere() {
		d.include()
	}
	if d.environment != nil {
		return nil, d.environment
	}
	d.finish()
	if d.err != nil {
		return d.config, d.err
	}
	return d.config, nil
}

// lines decodes line by line.
func (d *decoder) lines(src []byte, decode func([]byte)) {
	if !d.own {
		d.config.Peers = slices.Grow(d.config.Peers, bytes.Count(src, []byte("[Peer]")))
	}
	d.number = 0
	for len(src) > 0 && d.environment == nil {
		line := src
		if i := bytes.IndexByte(src, '\n'); i >= 0 {
			line, src = src[:i], src[i+1:]
		} else {
			src = nil
		}
		d.number++
		d.raw = line
		decode(line)
	}
}

// A decoder is at one line of a file.
type decoder struct {
	file    string
	options Options
	config  *Config
	nul     bool // there are NULs in the file
	own     bool // this time, wg-quick's own keys are read; the next time, the rest

	number  int     // of the line
	raw     []byte  // the line
	value   []byte  // of the line's key, as it stands in raw
	section section // as wg sees it
	quick   bool    // in [Interface], as wg-quick sees it
	keyed   bool    // the peer has its public key
	keyless []Pos   // of the peers that have none
	header  int     // the line of the last [Peer]

	privateKeyPos Pos
	pskPos        Pos   // of the peer's PresharedKey
	pskFile       Value // the peer's PresharedKeyFile
	excluded      []excludedIPs
	included      bool                      // this isn't the file itself
	self          device.Optional[keys.Key] // this node's own public key
	seen          map[keys.Key]Pos          // the peers so far

	words       int // in the lists of wg-quick's own keys
	names       commentNames
	chunk       []device.AllowedIP // room for the allowed IPs of many peers
	scratch     []byte
	err         *Error
	environment error
}

// line decodes a line as wg does: it ends at a NUL or "#", and white space
// doesn't count wherever it stands.
func (d *decoder) line(line []byte) {
	if d.nul {
		line, _, _ = bytes.Cut(line, []byte{0})
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
	i := bytes.IndexByte(line, '=')
	if i < 0 {
		d.headerLine(line)
		return
	}
	if d.options.PeerInfo {
		d.names.key()
	}
	d.value = trim(line[i+1:])
	name := squeezed(line[:i])
	k := lookup(name, d.section, WG)
	if k == nil && d.section == peerSection && d.options.Dialect == Quick {
		k = lookup(name, peerSection, Quick)
	}
	switch {
	case d.section == strangeSection:
	case k == nil || len(d.value) == 0:
		d.unrecognized(line)
	default:
		d.setting(k)
		value := d.value
		if !k.raw && hasSpace(value) {
			d.scratch = squeeze(d.scratch[:0], value)
			value = d.scratch
		}
		if err := k.decode(d, value); err != nil {
			d.valueError(k, err)
		}
	}
}

// setting notes a line that gives k a value.
func (d *decoder) setting(k *key) {
	if !d.options.Settings {
		return
	}
	s := Setting{k.name, -1, Value{Pos: d.place(d.value, 0)}}
	if k.section == peerSection {
		s.Peer = len(d.config.Peers) - 1
	}
	if !k.secret {
		s.Text = string(d.value)
	}
	d.config.Settings = append(d.config.Settings, s)
}

// headerLine decodes a line that assigns nothing, which must be a section's header.
func (d *decoder) headerLine(line []byte) {
	switch name := squeezed(line); {
	case foldEqual(name, "[Interface]") && d.included:
		d.problem(nil, Problem{d.place(line, 0), WrongSection, "an included file has peers only", "move what is in this section into the file that includes it"})
		d.enter(strangeSection, false)
	case foldEqual(name, "[Interface]"):
		d.enter(interfaceSection, false)
	case foldEqual(name, "[Peer]"):
		d.enter(peerSection, false)
	case d.section == strangeSection && line[0] != '[':
	default:
		d.unrecognized(line)
	}
}

// enter ends the section before and begins one; guessed, if its header isn't
// written as it should be.
func (d *decoder) enter(s section, guessed bool) {
	d.endSection()
	d.section = s
	d.names.header()
	if d.options.Settings {
		h := Header{d.place(trim(d.raw), 0), -1, guessed}
		if s == peerSection {
			h.Peer = len(d.config.Peers)
		}
		d.config.Headers = append(d.config.Headers, h)
	}
	if s != peerSection {
		return
	}
	d.header, d.keyed = d.number, false
	d.config.Peers = append(d.config.Peers, device.PeerChange{ReplaceAllowedIPs: true})
	if d.options.PeerInfo {
		d.config.PeerInfo = append(d.config.PeerInfo, PeerInfo{Pos: d.place(trim(d.raw), 0)})
	}
}

// endSection ends the section before a header or the end of a file.
func (d *decoder) endSection() {
	if d.section == peerSection && !d.keyed {
		d.keyless = append(d.keyless, Pos{d.file, d.header, 1})
	}
	if d.options.PeerInfo {
		d.nameSection()
	}
	if d.section == peerSection {
		d.endPeer()
	}
	d.section = noSection
}

// nameSection keeps the name of the section that ends.
func (d *decoder) nameSection() {
	switch name := d.names.end(); {
	case name == "":
	case d.section == peerSection:
		d.config.PeerInfo[len(d.config.PeerInfo)-1].Name = name
	case d.section == interfaceSection:
		d.config.Name = name
	}
}

func (d *decoder) finish() {
	for _, pos := range d.keyless {
		d.problem([]string{"A peer is missing a public key", "Invalid configuration"}, Problem{
			Pos:    pos,
			Code:   NoPublicKey,
			Reason: "this peer has no PublicKey",
			Hint:   "every [Peer] needs the line PublicKey = KEY",
		})
	}
}

// problem adds a problem; the first decides what the original would print.
func (d *decoder) problem(original []string, p Problem) {
	if d.surplus() {
		return
	}
	if d.err == nil {
		d.err = &Error{original: original}
	}
	d.err.Problems = append(d.err.Problems, p)
}

// surplus reports whether there are so many problems that another one need not
// be looked into, and counts it.
func (d *decoder) surplus() bool {
	if !d.enough() {
		return false
	}
	d.err.More++
	return true
}

// enough reports whether another problem would only be counted.
func (d *decoder) enough() bool {
	return d.err != nil && len(d.err.Problems) == cmp.Or(d.options.Problems, MaxProblems)
}

// parsing are the lines that the original prints for a mistake in a line.
func parsing(line string) []string { return []string{line, "Configuration parsing error"} }

// place returns the place of a byte in a part of the line.
func (d *decoder) place(part []byte, offset int) Pos {
	return Pos{d.file, d.number, cap(d.raw) - cap(part) + offset + 1} // part is cut out of raw
}

// unrecognized notes a line that is neither a section nor a known key with a
// value. line is trimmed and without its comment.
func (d *decoder) unrecognized(line []byte) {
	if d.surplus() {
		return
	}
	code, reason, hint, offset := d.explain(line)
	d.problem(parsing(fmt.Sprintf("Line unrecognized: `%s'", hideSecret(line))), Problem{d.place(line, offset), code, reason, hint})
	// What follows is best understood in the section that was meant.
	if header := bytes.TrimPrefix(line, []byte("\ufeff")); len(header) > 0 && header[0] == '[' {
		d.enter(guessSection(header), true)
	}
}

// valueError notes a mistake in a value.
func (d *decoder) valueError(k *key, err error) {
	var v *ValueError
	if !errors.As(err, &v) {
		if d.err == nil {
			d.environment = err
		}
		return
	}
	if d.surplus() {
		return
	}
	p := Problem{d.place(d.value, v.Offset), BadValue, v.Reason, v.Hint}
	original := v.Original()
	if i := bytes.IndexByte(d.value, '\r'); i >= 0 {
		p = Problem{d.place(d.value, i), StrayCharacter, "a carriage return inside the line", lineEndings}
	} else if reason, hint, offset, ok := stranger(d.value); ok {
		p = Problem{d.place(d.value, offset), StrayCharacter, reason, hint}
	} else if remark := trailingRemark(d.value); remark > 0 {
		p = Problem{d.place(d.value, remark), BadValue, "not a comment", "comments begin with #"}
	}
	if value := squeezed(d.value); !k.secret && looksSecret(value) && (!k.public || tellsMore(value)) {
		original = []string{hideQuoted(original[0])}
		if p.Hint != lineEndings {
			p.Reason, p.Hint = "a key stands here, or several lines in one", fmt.Sprintf("%s takes %s", k.name, k.expects)
		}
	}
	p.Reason = fmt.Sprintf("%s: %s", k.name, p.Reason)
	d.problem(append(original, "Configuration parsing error"), p)
}

// trailingRemark returns where in a value something begins that is a comment
// elsewhere; 0 if nowhere.
func trailingRemark(value []byte) int {
	for i := 1; i < len(value); i++ {
		if isSpace(value[i-1]) && (value[i] == ';' || bytes.HasPrefix(value[i:], []byte("//"))) {
			return i
		}
	}
	return 0
}

// hideQuoted hides what the original's line quotes at its end.
func hideQuoted(line string) string {
	before, _, _ := strings.Cut(line, "`")
	return before + "`(hidden)'"
}

// peer returns the peer that the line belongs to.
func (d *decoder) peer() *device.PeerChange { return &d.config.Peers[len(d.config.Peers)-1] }

func (d *decoder) privateKey(value []byte) error {
	k, err := spacedKey(value, true)
	d.config.PrivateKey, d.privateKeyPos = device.Some(k), d.place(d.value, 0)
	return err
}

// spacedKey reads a key that may have white space in it.
func spacedKey(value []byte, secret bool) (keys.Key, error) {
	if k, err := keys.Parse(value); err == nil { // as nearly always
		return k, nil
	}
	return parseKey(squeezed(value), secret)
}

func (d *decoder) listenPort(value []byte) error {
	if d.options.Resolver != nil && !d.enough() {
		port, err := d.options.Resolver.Port(string(value))
		d.config.ListenPort = device.Some(port)
		return refusal(err, "not a port")
	}
	n, ok := number(string(value), 10, math.MaxUint16)
	d.config.ListenPort = device.Some(uint16(n))
	if !ok {
		return &ValueError{
			Line:   "Servname not supported for ai_socktype: " + quote(value),
			Reason: "not a port", Hint: "a port is a number from 0 to 65535",
		}
	}
	return nil
}

// refusal makes a [*ValueError] of what a Resolver says about a value, unless
// the value is not to blame.
func refusal(err error, reason string) error {
	if err == nil || isEnvironment(err) {
		return err
	}
	v := &ValueError{Line: err.Error(), Reason: reason}
	var told interface{ Original() []string }
	if errors.As(err, &told) {
		v.Line = strings.Join(told.Original(), "\n")
	}
	var advises interface{ Advice() []string }
	if errors.As(err, &advises) {
		for _, line := range advises.Advice() {
			if hint, ok := strings.CutPrefix(line, "hint: "); ok {
				v.Hint = hint
			} else {
				v.Reason = line
			}
		}
	}
	return v
}

func (d *decoder) fwmark(value []byte) error {
	mark, err := ParseFwmark(string(value))
	d.config.Fwmark = device.Some(mark)
	return err
}

func (d *decoder) publicKey(value []byte) (err error) {
	d.keyed = true // if it is a wrong one, that is said already
	d.peer().PublicKey, err = spacedKey(value, false)
	return err
}

func (d *decoder) presharedKey(value []byte) error {
	k, err := spacedKey(value, true)
	d.peer().PresharedKey, d.pskPos = device.Some(k), d.place(d.value, 0)
	return err
}

func (d *decoder) allowedIPs(value []byte) (err error) {
	p := d.peer()
	if p.AllowedIPs == nil {
		p.AllowedIPs = d.room(min(bytes.Count(value, []byte(",")), 1<<16) + 1) // of commas alone there may be very many
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
		w.Pos = d.place(d.value, offset)
		d.options.Warn(w)
	}
}

func (d *decoder) endpoint(value []byte) error {
	if d.options.PeerInfo {
		d.config.PeerInfo[len(d.config.PeerInfo)-1].Endpoint = Value{string(value), d.place(d.value, 0)}
	}
	if d.options.Resolver == nil || d.err != nil { // names are resolved no more
		return checkEndpoint(value)
	}
	if d.options.Later {
		return d.endpointLater(value)
	}
	var err error
	if d.peer().Endpoint, err = d.options.Resolver.Endpoint(string(value)); err == nil {
		return nil
	}
	reason := "can't be resolved"
	if checkEndpoint(value) != nil {
		reason = "expected HOST:PORT"
	}
	return refusal(err, reason)
}

// endpointLater takes an endpoint that is numbers; of others only the form is
// looked at.
func (d *decoder) endpointLater(value []byte) error {
	peer := len(d.config.Peers) - 1
	// The last line of a peer's counts, be it a name or not.
	if n := len(d.config.Names); n > 0 && d.config.Names[n-1].Peer == peer {
		d.config.Names = d.config.Names[:n-1]
	}
	if e, err := netip.ParseAddrPort(string(value)); err == nil && e.Addr().Zone() == "" {
		d.peer().Endpoint = e
		return nil
	}
	if err := checkEndpoint(value); err != nil {
		return err
	}
	d.peer().Endpoint = netip.AddrPort{}
	d.config.Names = append(d.config.Names, Name{peer, Value{string(value), d.place(d.value, 0)}})
	return nil
}

// ResolveNames gives peers the endpoints that names stand for, in the order of
// the file. The error is an [*Error] for the first one that can't be resolved,
// or what the Resolver says of its environment.
func ResolveNames(peers []device.PeerChange, names []Name, r Resolver) error {
	for _, n := range names {
		e, err := r.Endpoint(n.Text)
		if err == nil {
			peers[n.Peer].Endpoint = e
			continue
		}
		err = refusal(err, "can't be resolved")
		v, ok := errors.AsType[*ValueError](err)
		if !ok {
			return err
		}
		return &Error{
			original: append(v.Original(), "Configuration parsing error"),
			Problems: []Problem{{n.Pos, BadValue, "Endpoint: " + v.Reason, v.Hint}},
		}
	}
	return nil
}

func (d *decoder) keepalive(value []byte) error {
	seconds, err := ParseKeepalive(string(value))
	d.peer().PersistentKeepalive = device.Some(seconds)
	return err
}
