// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"slices"
)

// A Document is a file as text: its lines, with every byte kept, and the parts
// of each at their places. Changing a line's Text changes what [Document.Bytes]
// returns, and nothing else.
type Document struct {
	File  string
	Lines []Line
}

// A Line is one line of a file.
type Line struct {
	Text    []byte // all of it, with its line ending
	Number  int    // from 1
	Section string // the header it is under, without brackets and as written: "Interface", "Peer" …; "" above the first
	Header  bool   // it is a header
	Key     Span   // empty if it sets nothing
	Value   Span   // with white space inside, without any around it
	Comment Span   // from "#" on
}

// A Span is a part of a line's Text, by offsets.
type Span struct{ Start, End int }

// Of returns the part of text.
func (s Span) Of(text []byte) []byte { return text[s.Start:s.End] }

// IsEmpty reports whether the span holds nothing.
func (s Span) IsEmpty() bool { return s.Start == s.End }

// Scan takes a file apart. It never fails: a line that means nothing is kept
// like any other.
func Scan(file string, src []byte) *Document {
	d := &Document{File: file, Lines: make([]Line, 0, bytes.Count(src, []byte("\n"))+1)}
	section := ""
	for text := range bytes.Lines(src) {
		l := Line{Text: text, Number: len(d.Lines) + 1}
		code := text
		q := splitQuick(bytes.TrimRight(text, "\r\n"))
		hook := isHook(q.name)
		if i := bytes.IndexByte(text, '#'); i >= 0 && !hook {
			code = text[:i]
			l.Comment = span(text, bytes.TrimRight(text[i:], "\r\n"))
		}
		body := trim(code)
		switch i := bytes.IndexByte(body, '='); {
		case len(body) > 1 && body[0] == '[' && body[len(body)-1] == ']':
			l.Header = true
			section = string(trim(body[1 : len(body)-1]))
		case i >= 0:
			l.Key, l.Value = span(text, trim(body[:i])), span(text, trim(body[i+1:]))
		}
		l.Section = section
		d.Lines = append(d.Lines, l)
	}
	return d
}

// span returns where part stands in text, of which it is a slice.
func span(text, part []byte) Span {
	start := cap(text) - cap(part)
	return Span{start, start + len(part)}
}

// HasInterface reports whether there is an [Interface].
func (d *Document) HasInterface() bool {
	return slices.ContainsFunc(d.Lines, func(l Line) bool { return l.Header && foldEqual([]byte(l.Section), "Interface") })
}

// Bytes returns the text of the file.
func (d *Document) Bytes() []byte {
	var b []byte
	for i := range d.Lines {
		b = append(b, d.Lines[i].Text...)
	}
	return b
}
