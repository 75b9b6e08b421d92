// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"fmt"
	"strings"
)

// amnezia are the keys of AmneziaWG, a variant that other programs speak.
var amnezia = []string{"Jc", "Jmin", "Jmax", "S1", "S2", "S3", "S4", "H1", "H2", "H3", "H4", "I1", "I2", "I3", "I4", "I5"}

// explain says why a line, once its white space is gone, is neither a
// section nor a known key with a value, what to do, and where in the line the
// fault is.
func (d *decoder) explain(line []byte) (reason, hint string, offset int) {
	s := string(line)
	name, value, assigns := strings.Cut(s, "=")
	switch {
	case strings.HasPrefix(s, "\ufeff"):
		return "a byte-order mark stands before the text", "save the file as UTF-8 without a byte-order mark", 0
	case strings.Contains(name, "\u00a0"):
		return "a non-breaking space, which is no white space here", "replace it by a plain space", strings.Index(s, "\u00a0")
	case strings.HasPrefix(s, ";") || strings.HasPrefix(s, "//"):
		return "not a comment", "comments begin with #", 0
	case strings.Contains(s, "\r"):
		return "the lines end in CR alone", "end them in LF", 0
	case strings.HasPrefix(s, "["):
		return d.explainSection(s)
	}
	k := exactly(name)
	switch {
	case k == nil:
		if nearest(name) == nil && looksSecret(line) {
			name = "(hidden)"
		}
		return d.explainName(name)
	case !assigns:
		return fmt.Sprintf("`%s' has no value", k.name), fmt.Sprintf("say %s = %s", k.name, example(k)), 0
	case k.dialect == Quick:
		return fmt.Sprintf("%s is a key of wg-quick, not of wg", k.name), quickHint(k, d), 0
	case d.section == noSection:
		return fmt.Sprintf("%s stands before any section", k.name), fmt.Sprintf("put the line %v above it", k.section), 0
	case k.section != d.section:
		return fmt.Sprintf("%s belongs to %v, this is %v", k.name, k.section, d.section), fmt.Sprintf("move it below %v", k.section), 0
	case value == "":
		return fmt.Sprintf("%s has no value", k.name), fmt.Sprintf("give it %s, or leave the line out", example(k)), 0
	}
	return "not understood", "", 0
}

func (d *decoder) explainSection(s string) (reason, hint string, offset int) {
	end := strings.IndexByte(s, ']')
	switch {
	case end < 0:
		return "the section's ] is missing", "sections are [Interface] and [Peer]", len(s) - 1
	case end < len(s)-1 && (strings.EqualFold(s[:end+1], "[Interface]") || strings.EqualFold(s[:end+1], "[Peer]")):
		return "text after a section's ]", "put it into a comment: " + s[:end+1] + " # …", 0
	case strings.EqualFold(s, "[Peers]"), strings.EqualFold(s, "[WireGuardPeer]"):
		return "unknown section", "did you mean [Peer]?", 0
	}
	return "unknown section", "sections are [Interface] and [Peer]", 0
}

func (d *decoder) explainName(name string) (reason, hint string, offset int) {
	for _, a := range amnezia {
		if strings.EqualFold(name, a) {
			return fmt.Sprintf("%s is a key of AmneziaWG", a), "such files are for awg and awg-quick", 0
		}
	}
	reason = fmt.Sprintf("unknown key `%s'", name)
	k := nearest(name)
	switch {
	case strings.Contains(name, ":"):
		hint = "a key and its value are separated by ="
		if before, _, _ := strings.Cut(name, ":"); exactly(before) == nil {
			hint = ""
		}
	case k == nil:
	case k.dialect == Quick:
		hint = fmt.Sprintf("did you mean %s? It is a key of wg-quick", k.name)
	default:
		hint = fmt.Sprintf("did you mean %s?", k.name)
	}
	if hint == "" {
		var names []string
		for _, k := range keyTable {
			if k.dialect == WG && k.section == d.section {
				names = append(names, k.name)
			}
		}
		if hint = "sections are [Interface] and [Peer]"; names != nil {
			hint = fmt.Sprintf("%v takes %s", d.section, strings.Join(names, ", "))
		}
	}
	return reason, hint, 0
}

func quickHint(k *key, d *decoder) string {
	if d.options.Dialect == Quick {
		return fmt.Sprintf("%s belongs into [Interface], whose line has no blank inside the brackets", k.name)
	}
	return "bring the file up with wg-quick, or take such keys out with `wg-quick strip'"
}

func example(k *key) string {
	if k.expects != "" {
		return k.expects
	}
	return "a value"
}

// exactly returns the key of that name, whatever its section.
func exactly(name string) *key {
	for i := range keyTable {
		if strings.EqualFold(keyTable[i].name, name) {
			return &keyTable[i]
		}
	}
	return nil
}

// separators are what other programs have between the words of a key.
var separators = strings.NewReplacer("-", "", "_", "")

// nearest returns the key whose name is nearest to name, nil if none is near.
func nearest(name string) *key {
	var best *key
	least := len(name)/3 + 1
	if len(name) > 64 {
		return nil
	}
	plain := separators.Replace(strings.ToLower(name))
	for i := range keyTable {
		k := &keyTable[i]
		if n := distance(plain, strings.ToLower(k.name)); n < least {
			best, least = k, n
		}
	}
	return best
}

// distance returns how many letters have to be put in, taken out, replaced or
// swapped with their neighbour to make b of a.
func distance(a, b string) int {
	var before, row, next []int
	row = make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next = make([]int, len(b)+1)
		next[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			next[j] = min(row[j]+1, next[j-1]+1, row[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				next[j] = min(next[j], before[j-2]+1)
			}
		}
		before, row = row, next
	}
	return row[len(b)]
}
