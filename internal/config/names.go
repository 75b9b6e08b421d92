// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"wgtools/internal/keys"
)

// commentNames finds the name that comments give to a section. People and
// generators write it in several ways, here from the surest to the least sure:
//
//	# Name = laptop            in the section, or right above it; also
//	                           friendly_name, and ":" instead of "="
//	# BEGIN_PEER laptop        right above it; also "### Client laptop"
//	[Peer] # laptop            on the header's line
//	# laptop                   right above the header, or right below it
type commentNames struct {
	name, above         string
	rank, aboveRank     int
	separate            bool // a blank line was before: comments belong to what follows
	started, underTitle bool
}

const (
	plainName = iota + 1
	titleName
	markedName
	explicitName
)

// comment takes a comment, from its "#" on; alone if nothing else is on its line.
func (n *commentNames) comment(text []byte, alone bool) {
	name, rank := nameIn(text)
	switch {
	case rank == 0:
		n.separate = n.separate || alone && bytes.Contains(text, []byte("END_PEER"))
	case !alone && n.underTitle: // on the header's own line
		n.offer(name, max(rank, titleName))
	case !alone:
		if rank == explicitName {
			n.offer(name, rank)
		}
	case n.separate || !n.started:
		if rank >= n.aboveRank {
			n.above, n.aboveRank = name, rank
		}
	case rank == explicitName || n.underTitle:
		n.offer(name, rank)
	}
}

func (n *commentNames) offer(name string, rank int) {
	if rank > n.rank {
		n.name, n.rank = name, rank
	}
}

func (n *commentNames) blank() {
	n.separate, n.underTitle = true, false
	n.above, n.aboveRank = "", 0
}

// key notes a line with a setting: what stood above it in a block of its own
// was about this section after all.
func (n *commentNames) key() {
	if n.aboveRank == explicitName {
		n.offer(n.above, n.aboveRank)
	}
	n.above, n.aboveRank, n.separate, n.underTitle = "", 0, false, false
}

// end returns the name of the section that ends.
func (n *commentNames) end() string { return n.name }

// header starts a section.
func (n *commentNames) header() {
	*n = commentNames{name: n.above, rank: n.aboveRank, started: true, underTitle: true}
}

// nameIn returns the name that a comment gives, and how sure it is; 0 for none.
func nameIn(comment []byte) (string, int) {
	text := printable(string(comment))
	if !strings.ContainsFunc(text, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }) ||
		text[0] == '[' || looksSecret([]byte(text)) {
		return "", 0
	}
	word, rest := text, ""
	if i := strings.IndexAny(text, "=: "); i >= 0 {
		word, rest = text[:i], strings.TrimSpace(text[i:])
	}
	assigned, isAssigned := rest, false
	if rest != "" && (rest[0] == '=' || rest[0] == ':') {
		assigned, isAssigned = strings.TrimSpace(rest[1:]), true
	}
	switch strings.ToLower(word) {
	case "name", "friendly_name", "friendlyname":
		if isAssigned && assigned != "" {
			return assigned, explicitName
		}
	case "begin_peer", "begin":
		if assigned != "" {
			return assigned, markedName
		}
	case "end_peer", "end":
		return "", 0
	case "client", "peer":
		if assigned == "" {
			return "", 0 // that it is one is no news
		}
		if strings.Trim(assigned, "0123456789") == "" {
			return text, markedName // a number alone is no name
		}
		return assigned, markedName
	}
	if isAssigned && (rest[0] == '=' || exactly(word) != nil) {
		return "", 0 // a setting that is switched off, or a note of its own
	}
	// Web front ends write "laptop / anna@example.org / Updated: …".
	text, _, _ = strings.Cut(text, " / ")
	if len(text) > longestName || hasDate(text) {
		return "", 0
	}
	return text, plainName
}

// longestName is how many bytes a comment may have that is a name and says
// nothing else. Longer ones explain something.
const longestName = 48

// printable returns a comment's text without control characters, and without
// the rulers that frame it.
func printable(comment string) string {
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == utf8.RuneError {
			return ' '
		}
		return r
	}, comment)
	return strings.TrimSpace(strings.TrimRight(strings.TrimLeft(text, "#-=*~ "), "#-=*~ "))
}

// hasDate reports whether s has a date such as 2026-02-23 in it, as the notes of
// generators have.
func hasDate(s string) bool {
	const form = "dddd-dd-dd"
	for i := 0; i+len(form) <= len(s); i++ {
		j := 0
		for j < len(form) && (s[i+j] == form[j] || form[j] == 'd' && '0' <= s[i+j] && s[i+j] <= '9') {
			j++
		}
		if j == len(form) {
			return true
		}
	}
	return false
}

// PeerNames returns the names that comments of a file give to its peers. It
// takes any text and skips what it doesn't understand.
func PeerNames(src []byte) map[keys.Key]string {
	names := map[keys.Key]string{}
	d := decoder{options: Options{PeerInfo: true}, config: &Config{}}
	var current keys.Key
	end := func() {
		if name := d.names.end(); name != "" && !current.IsZero() {
			names[current] = name
		}
		current = keys.Key{}
	}
	for line := range bytes.Lines(src) {
		before, comment := line, []byte(nil)
		if i := bytes.IndexByte(line, '#'); i >= 0 {
			before, comment = line[:i], line[i:]
		}
		before = trim(before)
		name, value, assigns := bytes.Cut(before, []byte("="))
		switch {
		case len(before) == 0 && comment == nil:
			d.names.blank()
		case len(before) == 0:
		case assigns:
			d.names.key()
			if foldEqual(squeezed(name), "PublicKey") {
				if k, err := keys.Parse(squeeze(nil, value)); err == nil {
					current = k
				}
			}
		case before[0] == '[':
			end()
			d.names.header()
		}
		if comment != nil {
			d.names.comment(comment, len(before) == 0)
		}
	}
	end()
	return names
}
