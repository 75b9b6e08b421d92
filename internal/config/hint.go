// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"fmt"
	"strings"
)

// foreign are keys of other programs, in lower case, and what to do about them.
var foreign = map[string]struct{ owner, hint string }{
	"includedapplications": android,
	"excludedapplications": android,
}

var (
	android = struct{ owner, hint string }{"the WireGuard app for Android", "leave it out here"}
	amnezia = struct{ owner, hint string }{"AmneziaWG", "such files are for awg and awg-quick"}
)

func init() {
	for _, name := range []string{"Jc", "Jmin", "Jmax", "S1", "S2", "S3", "S4", "H1", "H2", "H3", "H4", "I1", "I2", "I3", "I4", "I5"} {
		foreign[strings.ToLower(name)] = amnezia
	}
}

// otherNames are what people call a key whose spelling is not near to it.
var otherNames = map[string]string{
	"addresses":    "Address",
	"ip":           "Address",
	"nameserver":   "DNS",
	"nameservers":  "DNS",
	"port":         "ListenPort",
	"mark":         "FwMark",
	"psk":          "PresharedKey",
	"keepalive":    "PersistentKeepalive",
	"allowed":      "AllowedIPs",
	"allowedaddrs": "AllowedIPs",
}

// strange are characters that an editor, a web page or habit puts where they
// mean nothing, and what to do about them.
var strange = []struct{ char, name, hint string }{
	{"\u00a0", "a non-breaking space", plainSpace},
	{"\u2007", "a figure space", plainSpace},
	{"\u202f", "a narrow non-breaking space", plainSpace},
	{"\u3000", "an ideographic space", plainSpace},
	{"\u200b", "a zero-width space", "delete this invisible character"},
	{"\u200e", "a left-to-right mark", "delete this invisible character"},
	{"\u2060", "a word joiner", "delete this invisible character"},
	{"\ufeff", "a byte-order mark", "delete this invisible character"},
	{"\u201c", "a quotation mark", noQuotes},
	{"\u201d", "a quotation mark", noQuotes},
	{"\u201e", "a quotation mark", noQuotes},
	{"\u2018", "a quotation mark", noQuotes},
	{"\u2019", "a quotation mark", noQuotes},
	{`"`, "a quotation mark", noQuotes},
	{"'", "a quotation mark", noQuotes},
	{"\u2013", "a dash", "replace it by a plain -"},
	{"\u2014", "a dash", "replace it by a plain -"},
	{"\u2212", "a minus sign", "replace it by a plain -"},
	{"\uff0c", "a full-width comma", "replace it by a plain comma"},
	{"\uff1a", "a full-width colon", "replace it by a plain colon"},
	{"\uff1d", "a full-width equals sign", "replace it by a plain ="},
}

const (
	lineEndings = "end lines in LF, or in CR and LF"
	plainSpace  = "replace it by a plain space"
	noQuotes    = "names and values stand without quotation marks"
)

// stranger finds the first strange character in text; ok is false if there is none.
func stranger(text []byte) (reason, hint string, offset int, ok bool) {
	offset = len(text)
	for _, s := range strange {
		if i := bytes.Index(text, []byte(s.char)); i >= 0 && i < offset {
			reason, hint, offset, ok = s.name+" does not belong here", s.hint, i, true
		}
	}
	return reason, hint, offset, ok
}

// FindStray finds the first character in text that an editor or a web page may
// have put there in place of a plain one, and says what to do about it.
func FindStray(text string) (reason, hint string, offset int, ok bool) { return stranger([]byte(text)) }

// explain says why a line is neither a section nor a known key with a value,
// what to do, and where in the line the fault is. The line has no comment and
// no white space at its ends.
func (d *decoder) explain(line []byte) (code, reason, hint string, offset int) {
	s := string(squeeze(nil, line))
	name, _, assigns := strings.Cut(s, "=")
	rawName, _, _ := bytes.Cut(line, []byte("="))
	if i := bytes.IndexByte(line, '\r'); i >= 0 {
		return StrayCharacter, "a carriage return inside the line", lineEndings, i
	}
	switch {
	case strings.HasPrefix(s, "\ufeff"):
		return StrayCharacter, "a byte-order mark stands before the text", "save the file as UTF-8 without a byte-order mark", 0
	case strings.HasPrefix(s, "\xff\xfe"), strings.HasPrefix(s, "\xfe\xff"), bytes.IndexByte(d.raw, 0) >= 0:
		return StrayCharacter, "the file is not plain text", "save it as UTF-8 without a byte-order mark", 0
	case s[0] == ';' || strings.HasPrefix(s, "//"):
		return NotASetting, "not a comment", "comments begin with #", 0
	case s[0] == '[':
		return d.explainSection(line)
	}
	if reason, hint, offset, ok := stranger(rawName); ok {
		return StrayCharacter, reason, hint, offset
	}
	if k, rest := leadingKey(line); k != nil && rest > 0 {
		return NotASetting, fmt.Sprintf("after %s comes =", k.name), usage(k), rest
	}
	k := exactly(name)
	switch {
	case k == nil && !assigns && isList(s):
		return NotASetting, "a value does not go on in the next line", "repeat the key: AllowedIPs = LIST", 0
	case k == nil:
		return d.explainName(name)
	case !assigns:
		return NoValue, fmt.Sprintf("%s has no value", k.name), usage(k), 0
	case d.included && k.section == interfaceSection:
		return WrongSection, fmt.Sprintf("an included file has peers only, and %s belongs to %v", k.name, k.section), "move it into the file that includes this one", 0
	case k.dialect == Quick && d.options.Dialect != Quick:
		return OtherProgram, fmt.Sprintf("%s is a key of wg-quick, not of wg", k.name), d.quickHint(k), 0
	case k.dialect == Quick && k.section == interfaceSection && d.section == interfaceSection: // as wg sees it
		return WrongSection, fmt.Sprintf("%s is a key of wg-quick, not of wg", k.name), d.quickHint(k), 0
	case d.section == noSection:
		return WrongSection, fmt.Sprintf("%s stands before any section", k.name), fmt.Sprintf("put the line %v above it", k.section), 0
	case k.section != d.section:
		return WrongSection, fmt.Sprintf("%s belongs to %v, this is %v", k.name, k.section, d.section), fmt.Sprintf("move it below %v", k.section), 0
	}
	return NoValue, fmt.Sprintf("%s has no value", k.name), fmt.Sprintf("give it %s, or leave the line out", k.expects), len(line)
}

func usage(k *key) string { return fmt.Sprintf("%s takes %s: %[1]s = …", k.name, k.expects) }

// leadingKey returns the key whose name a line begins with, and where what
// follows stands; 0 if nothing, or the "=" that should, follows it.
func leadingKey(line []byte) (*key, int) {
	end := 0
	for end < len(line) && 'a' <= line[end]|0x20 && line[end]|0x20 <= 'z' {
		end++
	}
	k := exactly(string(line[:end]))
	if k == nil {
		return nil, 0
	}
	for end < len(line) && isSpace(line[end]) {
		end++
	}
	if end == len(line) || line[end] == '=' {
		return k, 0
	}
	return k, end
}

// isList reports whether s is a list of allowed IPs, perhaps cut off.
func isList(s string) bool {
	ips, _, err := AppendAllowedIPs(nil, strings.Trim(s, `,\`), nil)
	return err == nil && len(ips) > 0
}

func (d *decoder) explainSection(line []byte) (code, reason, hint string, offset int) {
	end := bytes.IndexByte(line, ']')
	if end < 0 {
		return UnknownSection, "the section's ] is missing", "sections are [Interface] and [Peer]", len(line)
	}
	switch name := squeezed(line[:end+1]); {
	case end < len(line)-1 && (foldEqual(name, "[Interface]") || foldEqual(name, "[Peer]")):
		return NotASetting, "text after a section's ]", fmt.Sprintf("put it into a comment: %s # …", name), end + 1
	case guessSection(line) != strangeSection:
		return UnknownSection, "unknown section", fmt.Sprintf("did you mean %v?", guessSection(line)), 0
	}
	return UnknownSection, "unknown section", "sections are [Interface] and [Peer]", 0
}

// guessSection returns the section that a line is perhaps meant to begin.
func guessSection(line []byte) section {
	text := string(bytes.ToLower(line))
	switch {
	case strings.Contains(text, "peer"):
		return peerSection
	case strings.Contains(text, "interface"), strings.Contains(text, "[wireguard]"):
		return interfaceSection
	}
	return strangeSection
}

// explainName says why a key is unknown.
func (d *decoder) explainName(name string) (code, reason, hint string, offset int) {
	if f := foreign[strings.ToLower(name)]; f.owner != "" {
		return OtherProgram, fmt.Sprintf("%s is a key of %s", name, f.owner), f.hint, 0
	}
	k := nearest(name)
	switch {
	case name == "":
		reason = "the key is missing"
	case looksSecret([]byte(name + "=")):
		reason = "unknown key (hidden)"
	default:
		reason = "unknown key " + shown(name)
	}
	switch {
	case k != nil && k.dialect == Quick && d.options.Dialect != Quick:
		return UnknownKey, reason, fmt.Sprintf("did you mean %s? It is a key of wg-quick", k.name), 0
	case k != nil:
		return UnknownKey, reason, fmt.Sprintf("did you mean %s?", k.name), 0
	}
	var names []string
	for _, k := range keyTable {
		if k.section == d.section && k.dialect <= d.options.Dialect {
			names = append(names, k.name)
		}
	}
	if names == nil {
		return UnknownKey, reason, "sections are [Interface] and [Peer]", 0
	}
	return UnknownKey, reason, fmt.Sprintf("%v takes %s", d.section, strings.Join(names, ", ")), 0
}

func (d *decoder) quickHint(k *key) string {
	if d.options.Dialect == Quick {
		return fmt.Sprintf("%s belongs into [Interface], whose line has no blank inside the brackets", k.name)
	}
	return "bring the file up with wg-quick, or take such keys out with `wg-quick strip'"
}

// exactly returns the key of that name, whatever its section.
func exactly(name string) *key {
	for i := range keyTable {
		if foldEqual([]byte(name), keyTable[i].name) {
			return &keyTable[i]
		}
	}
	return nil
}

// separators are what other programs have between the words of a key.
var separators = strings.NewReplacer("-", "", "_", "")

// nearest returns the key whose name is nearest to name, nil if none is near.
func nearest(name string) *key {
	if len(name) > 64 {
		return nil
	}
	plain := separators.Replace(strings.ToLower(name))
	if other := otherNames[plain]; other != "" {
		return exactly(other)
	}
	var best *key
	least := len(plain)/3 + 1
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
	var before []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		next := make([]int, len(b)+1)
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
