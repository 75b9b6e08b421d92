// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// Strip returns what is left for wg once wg-quick has taken its own keys out,
// as `wg-quick strip' prints it: lines without the blanks at their ends, and an
// empty line at the end (wg-quick(8)).
func (d *Document) Strip() []byte {
	s := stripper{}
	s.file(d)
	return append(s.text, '\n')
}

// IsExtended reports whether there are keys in the file that the original
// refuses: what it says isn't all in its other lines.
func (d *Document) IsExtended() bool {
	for i := range d.Lines {
		l := &d.Lines[i]
		if k := exactly(string(squeeze(nil, l.Key.Of(l.Text)))); k != nil && k.ours {
			return true
		}
	}
	return false
}

// StripExtended is [Document.Strip] for a file that [Decode] made c of, with
// PeerInfo: keys that the original refuses give way to those that it knows,
// with all that they stand for, and the peers of included files follow.
func StripExtended(file string, src []byte, c *Config) []byte {
	s := stripper{config: c, peers: make(map[Pos]int, len(c.PeerInfo))}
	for i, p := range c.PeerInfo {
		s.peers[Pos{File: p.Pos.File, Line: p.Pos.Line}] = i
	}
	s.excluding = make(map[int]bool, len(c.Excluding))
	for _, e := range c.Excluding {
		s.excluding[e.Peer] = true
	}
	s.file(Scan(file, src))
	for _, f := range c.Included {
		s.text = append(s.text, '\n')
		s.file(Scan(f.Name, f.Text))
	}
	return append(s.text, '\n')
}

// A stripper writes what is left for wg.
type stripper struct {
	text []byte

	config    *Config     // nil: our own keys aren't replaced
	peers     map[Pos]int // by the line of their headers
	excluding map[int]bool
}

func (s *stripper) file(d *Document) {
	inside := false
	peer := stripped{index: noPeer}
	for i := range d.Lines {
		l := &d.Lines[i]
		text := bytes.TrimSuffix(l.Text, []byte("\n"))
		if bytes.IndexByte(text, 0) >= 0 {
			text = bytes.ReplaceAll(text, []byte{0}, nil)
			if len(text) == 0 && !bytes.HasSuffix(l.Text, []byte("\n")) {
				continue // for bash nothing is left of this last line
			}
		}
		q := splitQuick(text)
		inside = q.section(inside)
		k := q.key(inside)
		switch {
		case s.config == nil && k == nil:
			s.line(q.kept)
		case s.config == nil:
		case k != nil && k.name == "PrivateKeyFile" && l.Number == s.config.Quick.PrivateKeyFile.Pos.Line:
			s.key("PrivateKey", s.config.PrivateKey)
		case k != nil:
		case !s.replaced(d.File, l.Number, q.kept, &peer):
			s.line(q.kept)
		}
	}
}

func (s *stripper) line(text []byte) { s.text = append(append(s.text, text...), '\n') }

// key writes a key that is there.
func (s *stripper) key(name string, k device.Optional[keys.Key]) {
	if k.Set {
		s.text = append(s.text, name+" = "...)
		s.text = append(k.Value.AppendBase64(s.text), '\n')
	}
}

// stripped is a section as far as it has been written.
type stripped struct {
	index   int // of the peer
	allowed bool
}

// The sections that aren't peers.
const (
	noPeer = -1 // another section
	myself = -2 // this node's own entry
)

// replaced writes what takes the place of a line, of which kept is left by
// wg-quick's rules; false if the line stays.
func (s *stripper) replaced(file string, number int, kept []byte, in *stripped) bool {
	code, _, _ := bytes.Cut(kept, []byte("#"))
	name, _, assigns := bytes.Cut(code, []byte("="))
	name = squeezed(name)
	if !assigns {
		if len(name) == 0 {
			return in.index == myself
		}
		*in = stripped{index: noPeer} // a header, in a file without mistakes
		if i, ok := s.peers[Pos{File: file, Line: number}]; ok {
			in.index = i
		} else if foldEqual(name, "[Peer]") {
			in.index = myself
		}
		return in.index == myself
	}
	switch {
	case in.index == myself:
		return true
	case in.index == noPeer:
		return false
	case foldEqual(name, "PresharedKeyFile"):
		s.key("PresharedKey", s.config.Peers[in.index].PresharedKey)
		return true
	case foldEqual(name, "ExcludedIPs"):
		return true
	case foldEqual(name, "AllowedIPs") && s.excluding[in.index]:
		if !in.allowed {
			in.allowed = true
			s.allowedIPs(s.config.Peers[in.index].AllowedIPs)
		}
		return true
	}
	return false
}

func (s *stripper) allowedIPs(list []device.AllowedIP) {
	for i, ip := range list {
		if i == 0 {
			s.text = append(s.text, "AllowedIPs = "...)
		} else {
			s.text = append(s.text, ", "...)
		}
		s.text = device.AppendPrefix(s.text, ip.Prefix)
	}
	if len(list) > 0 {
		s.text = append(s.text, '\n')
	}
}
