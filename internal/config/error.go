// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"wgtools/internal/keys"
)

// MaxProblems is how many problems of one file [Error.Advice] tells; the rest
// is counted.
const MaxProblems = 10

// An Error is what is wrong in a file: the first problem, as the original
// tells it, then all of them with their places.
type Error struct {
	Problems []Problem // the first ones, at least one, as the original would meet them
	More     int       // how many there are besides
	original []string
}

// A Problem is one mistake in a file. Neither text contains a private or
// preshared key.
type Problem struct {
	Pos    Pos
	Code   string // which kind of mistake it is, one of those below
	Reason string // what is wrong
	Hint   string // what to do, or ""
}

// The kinds of mistakes that a file is refused for.
const (
	UnknownKey     = "unknown-key"
	OtherProgram   = "other-program" // a key that another program has
	WrongSection   = "wrong-section"
	UnknownSection = "unknown-section"
	StrayCharacter = "stray-character"
	NotASetting    = "not-a-setting"
	NoValue        = "no-value"
	BadValue       = "bad-value"
	NoPublicKey    = "no-public-key"
	Elsewhere      = "elsewhere" // a file, credential or command that gives nothing
	Twice          = "twice"     // two things of which there may be one
)

// Error returns the first problem and its place.
func (e *Error) Error() string {
	return fmt.Sprintf("%v: %s", e.Problems[0].Pos, e.Problems[0].Reason)
}

// Original returns the lines that the original prints for the first problem.
func (e *Error) Original() []string { return e.original }

// Advice returns the place and reason of every problem, and each hint once.
func (e *Error) Advice() (lines []string) {
	shown := e.Problems[:min(len(e.Problems), MaxProblems)]
	for _, p := range shown {
		lines = append(lines, fmt.Sprintf("%v: %s", p.Pos, p.Reason))
		if hint := "hint: " + p.Hint; p.Hint != "" && !slices.Contains(lines, hint) {
			lines = append(lines, hint)
		}
	}
	if more := e.More + len(e.Problems) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return lines
}

// A ValueError says what is wrong with one value, wherever it comes from.
type ValueError struct {
	Line   string // what the original prints; may hold several lines
	Reason string
	Hint   string
	Offset int // where in the value, in bytes
}

// Error returns the line that the original prints.
func (e *ValueError) Error() string { return e.Line }

// Original returns what the original prints.
func (e *ValueError) Original() []string { return strings.Split(e.Line, "\n") }

// Advice returns the reason and the hint.
func (e *ValueError) Advice() (lines []string) {
	if e.Reason != "" {
		lines = append(lines, e.Reason)
	}
	if e.Hint != "" {
		lines = append(lines, "hint: "+e.Hint)
	}
	return lines
}

// A Warning is about a value that is taken all the same.
type Warning struct {
	Text string // what the original prints
	Pos  Pos    // the zero Pos for a value from the command line
	Hint string
}

// Advice returns the place and the hint.
func (w Warning) Advice() []string {
	if w.Pos.File == "" {
		return []string{"hint: " + w.Hint}
	}
	return []string{fmt.Sprintf("%v: hint: %s", w.Pos, w.Hint)}
}

// quote puts s between the original's quotation marks.
func quote(s []byte) string { return "`" + string(s) + "'" }

// shown is a piece of a file fit for our own lines: in quotation marks, short,
// and without characters that a terminal would obey.
func shown(s string) string {
	const most = 64
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	s = strconv.Quote(s)
	return "`" + strings.ReplaceAll(s[1:len(s)-1], `\"`, `"`) + "'"
}

// looksSecret reports whether s has what looks like a key in it: 43
// characters of base64 before a "=" or between others, or 64 hexadecimal digits.
func looksSecret(s []byte) bool {
	start, lower, upper, digits, hex := 0, 0, 0, 0, 0
	for i := 0; ; i++ {
		var c byte // 0 after the last
		if i < len(s) {
			c = s[i]
		}
		switch {
		case '0' <= c && c <= '9':
			digits++
			hex++
		case 'a' <= c && c <= 'z':
			lower++
			if c <= 'f' {
				hex++
			}
		case 'A' <= c && c <= 'Z':
			upper++
			if c <= 'F' {
				hex++
			}
		case c == '+' || c == '/':
		default:
			n := i - start
			mixed := lower > 0 && upper > 0 && digits > 0
			if c == '=' && n >= keys.TextLen-4 || mixed && n == keys.TextLen-1 || n == hex && n == keys.HexLen {
				return true
			}
			if i >= len(s) {
				return false
			}
			start, lower, upper, digits, hex = i+1, 0, 0, 0, 0
		}
	}
}

// hideSecret returns a line that isn't understood as the original shows it,
// without white space, but fit to be printed: the value of what is, or was
// meant to be, a private or preshared key is hidden, and so is whatever else
// has a key in it that isn't a public one.
func hideSecret(line []byte) string {
	text := squeeze(nil, line)
	before, value := []byte(nil), text
	var k *key
	if i := bytes.IndexByte(text, '='); i >= 0 {
		before, value = text[:i+1], text[i+1:]
		k = nearest(string(text[:i]))
	}
	if lead, at := leadingKey(line); at > 0 { // KEY VALUE, KEY: VALUE
		k, before = lead, text[:len(lead.name)]
		value = bytes.TrimPrefix(text[len(before):], []byte(":"))
		before = text[:len(text)-len(value)]
	}
	switch {
	case k != nil && k.public && !tellsMore(value):
	case looksSecret(before):
		return "(hidden)"
	case looksSecret(text), k != nil && k.secret && len(value) > 0:
		return string(before) + "(hidden)"
	}
	return string(text)
}

// tellsMore reports whether a public key's value has another key in it, as
// when several lines have become one.
func tellsMore(value []byte) bool {
	_, rest, _ := bytes.Cut(bytes.TrimLeft(value, "="), []byte("="))
	return looksSecret(rest)
}
