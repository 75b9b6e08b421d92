// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package check finds in a configuration file what breaks or surprises. It
// only computes: what it knows of the host and of other files is given to it,
// and nothing of the file is run or looked up.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/netip"
	"slices"

	"wgtools/internal/config"
	"wgtools/internal/quick"
)

// A Severity says what a finding means for who brings the file up.
type Severity int

const (
	// Note is what is as it should be on some hosts and not on others.
	Note Severity = iota
	// Warning is what works, but hardly as it was meant.
	Warning
	// Error is what makes up, or down, fail.
	Error
)

func (s Severity) String() string { return [...]string{"note", "warning", "error"}[s] }

// A Finding is one thing that is wrong in a file. No text of it contains a
// private or preshared key.
type Finding struct {
	Severity Severity
	Code     string // of its rule
	Pos      config.Pos
	Reason   string // what is wrong
	Hint     string // what to do
	Related  []config.Pos
}

// A Host is what a file is looked at for: what is there besides it. What isn't
// known is zero, and rules that need it find nothing.
type Host struct {
	Interface string          // the link's name, by the file's
	Links     []string        // names of the links that there are
	Networks  []Network       // of the links that there are, apart from the tunnel's own
	IPv6      bool            // there is a default route for IPv6, apart from the tunnel's own
	NAT       bool            // all IPv4 addresses are private ones
	PathMTU   int             // of the default route, in bytes
	Others    []Port          // ListenPorts of other files
	Readers   bool            // all users may read the file
	Writable  string          // the file or its directory, if all users may write to it
	Sources   config.Sources  // of what the file has from elsewhere; runs no command
	Names     config.Resolver // for names of ports; endpoints are never asked for
	Tables    func(name string) (uint32, bool)
	Syntax    func(hook string) (mistake string) // what a shell says that only reads; "" if nothing
}

// A Network is one that a link of the host is in.
type Network struct {
	Prefix netip.Prefix // with the host's own address
	Link   string
}

// A Port is a ListenPort in another file.
type Port struct {
	Number uint16
	Pos    config.Pos
}

// A Rule finds one kind of mistake.
type Rule struct {
	Code     string
	Severity Severity
	Doc      string // what it finds, in a line
	quick    bool   // it is about files of wg-quick only
	find     func(s *subject, report func(Finding))
}

// most is how many mistakes of one file are told that it is refused for.
const most = 1000

// File returns what is wrong in the text of the file called name, sorted by place.
func File(name string, text []byte, d config.Dialect, h Host) []Finding {
	if h.Tables == nil {
		h.Tables = func(string) (uint32, bool) { return 0, false }
	}
	c, err := config.Decode(name, text, config.Options{
		Dialect: d, Program: "wg-quick", Resolver: h.Names, Sources: h.Sources, Later: true, Settings: true, Problems: most,
	})
	var found []Finding
	refused := func(list []config.Problem) {
		for _, p := range list {
			if i := slices.IndexFunc(found, func(f Finding) bool { return joined(f, p, c.Headers) }); i >= 0 {
				found[i].Related = append(found[i].Related, p.Pos)
				continue
			}
			found = append(found, Finding{Severity: Error, Code: p.Code, Pos: p.Pos, Reason: p.Reason, Hint: p.Hint})
		}
	}
	if bad, ok := errors.AsType[*config.Error](err); ok {
		refused(once(bad.Problems, c.Headers))
		if bad.More > 0 {
			found = append(found, Finding{
				Severity: Error, Code: tooMany, Pos: bad.Problems[len(bad.Problems)-1].Pos,
				Reason: fmt.Sprintf("and %d mistakes more", bad.More), Hint: "is this a configuration file at all?",
			})
		}
	} else if err != nil {
		return []Finding{{Severity: Error, Code: config.BadValue, Pos: config.Pos{File: name, Line: 1, Col: 1}, Reason: err.Error()}}
	}
	t := &quick.Tunnel{}
	if d == config.Quick {
		t, err = quick.NewTunnel(h.Interface, name, c, h.Tables)
		if bad, ok := errors.AsType[*quick.Error](err); ok {
			refused(bad.Problems())
		}
	}
	s := newSubject(name, c, t, h)
	s.garbled = slices.ContainsFunc(found, func(f Finding) bool { return slices.Contains(hides, f.Code) })
	for _, r := range rules {
		if r.find == nil || r.quick && d != config.Quick {
			continue
		}
		r.find(s, func(f Finding) {
			f.Severity, f.Code = r.Severity, r.Code
			found = append(found, f)
		})
	}
	return sorted(found)
}

// hides are the kinds of mistakes behind which there may be what seems to be missing.
var hides = []string{config.UnknownKey, config.WrongSection, config.UnknownSection, config.StrayCharacter, config.NotASetting, config.NoValue}

// once leaves out what comes of another mistake: a peer has no PublicKey that
// is misspelt there, and below a section that is none all is in the wrong one.
func once(list []config.Problem, headers []config.Header) []config.Problem {
	return slices.DeleteFunc(slices.Clone(list), func(p config.Problem) bool {
		section, end := config.Header{}, math.MaxInt
		for _, h := range headers {
			if h.Pos.File != p.Pos.File {
				continue
			}
			if h.Pos.Line <= p.Pos.Line {
				section = h
			} else {
				end = min(end, h.Pos.Line)
			}
		}
		switch p.Code {
		case config.WrongSection:
			return section.Wrong
		case config.NoPublicKey:
			return slices.ContainsFunc(list, func(q config.Problem) bool {
				return slices.Contains(hides, q.Code) && q.Pos.File == p.Pos.File && q.Pos.Line >= p.Pos.Line && q.Pos.Line < end
			})
		}
		return false
	})
}

// joined reports whether p only repeats f: another key of another program, or
// another one of the same lines that stand in the wrong section.
func joined(f Finding, p config.Problem, headers []config.Header) bool {
	if f.Code != p.Code {
		return false
	}
	switch p.Code {
	case config.OtherProgram:
		return f.Hint == p.Hint
	case config.WrongSection:
		return f.Pos.File == p.Pos.File && !slices.ContainsFunc(headers, func(h config.Header) bool {
			return h.Pos.File == p.Pos.File && h.Pos.Line > f.Pos.Line && h.Pos.Line < p.Pos.Line
		})
	}
	return false
}

// sorted sorts findings by their places, what is worse first.
func sorted(list []Finding) []Finding {
	slices.SortStableFunc(list, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Pos.File, b.Pos.File), cmp.Compare(a.Pos.Line, b.Pos.Line), cmp.Compare(a.Pos.Col, b.Pos.Col), cmp.Compare(b.Severity, a.Severity))
	})
	return list
}

// Unnamed returns the finding about a file that is called otherwise than up
// takes it.
func Unnamed(name string) Finding {
	return Finding{
		Severity: Warning, Code: fileName, Pos: config.Pos{File: name, Line: 1, Col: 1},
		Reason: "up takes no file of this name",
		Hint:   "call it INTERFACE.conf, of 1 to 15 letters, digits and _=+.-",
	}
}

// Unreadable returns the finding about a file that can't be read.
func Unreadable(name string, err error) Finding {
	f := Finding{
		Severity: Error, Code: unreadable, Pos: config.Pos{File: name, Line: 1, Col: 1},
		Reason: fmt.Sprintf("can't be read: %v", err),
		Hint:   "name a file, or an interface for its file in /etc/wireguard",
	}
	if errors.Is(err, fs.ErrPermission) {
		f.Hint = "only root may read it: run this with sudo"
	}
	return f
}
