// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"fmt"
	"strings"
)

// maxProblems is how many problems of one file are told; the rest is counted.
const maxProblems = 10

// An Error is what is wrong in a file: the first problem, as the original
// tells it, then all of them with their places.
type Error struct {
	Problems []Problem // the first ones, at least one, in the order of the file
	More     int       // how many there are besides
	original []string
}

// A Problem is one mistake in a file. Neither text contains a private or
// preshared key.
type Problem struct {
	Pos    Pos
	Reason string // what is wrong
	Hint   string // what to do, or ""
}

// Error returns the first problem and its place.
func (e *Error) Error() string {
	return fmt.Sprintf("%v: %s", e.Problems[0].Pos, e.Problems[0].Reason)
}

// Original returns the lines that the original prints for the first problem.
func (e *Error) Original() []string { return e.original }

// Advice returns the place, reason and hint of every problem.
func (e *Error) Advice() (lines []string) {
	for _, p := range e.Problems {
		lines = append(lines, fmt.Sprintf("%v: %s", p.Pos, p.Reason))
		if p.Hint != "" {
			lines = append(lines, "hint: "+p.Hint)
		}
	}
	if e.More > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", e.More))
	}
	return lines
}

// A ValueError says what is wrong with one value, wherever it comes from.
type ValueError struct {
	Line   string // what the original prints
	Reason string
	Hint   string
	Offset int // where in the value, once its white space is gone
}

// Error returns the line that the original prints.
func (e *ValueError) Error() string { return e.Line }

// Original returns the line that the original prints.
func (e *ValueError) Original() []string { return []string{e.Line} }

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

// looksSecret reports whether s has what looks like a key in it.
func looksSecret(s []byte) bool {
	run := 0
	for _, c := range s {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '+', c == '/':
			run++
		case c == '=' && run >= 40:
			return true
		default:
			run = 0
		}
	}
	return false
}

// hideSecret returns the line NAME=VALUE fit to be printed: the value of what
// is, or was meant to be, a private or preshared key is hidden, and so is
// whatever else has a key in it that isn't a public one.
func hideSecret(line []byte) string {
	name, value, assigns := strings.Cut(string(line), "=")
	k := nearest(name)
	public := k != nil && !k.secret && k.name == "PublicKey"
	switch {
	case public || !looksSecret(line) && (k == nil || !k.secret || value == ""):
		return string(line)
	case !assigns || looksSecret([]byte(name+"=")):
		return "(hidden)"
	}
	return name + "=(hidden)"
}
