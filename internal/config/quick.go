// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"fmt"
	"strings"
)

// QuickOptions are wg-quick's own keys (wg-quick(8)), unexpanded and as they
// are written. The last of a key that may stand once counts; an absent one is
// the zero Value.
type QuickOptions struct {
	Addresses []Value
	DNS       []Value // name servers
	Search    []Value // search domains
	MTU       Value
	Table     Value
	PreUp     []Value
	PostUp    []Value
	PreDown   []Value
	PostDown  []Value

	PrivateKeyFile    Value
	PrivateKeyCommand Value
	Include           []Value

	SaveConfig Value // "true" or "false" in any case, or absent

	// These the original doesn't know.
	KillSwitch Value
	Masquerade Value
	Forward    Value
}

// Saves reports whether the file is to be written again when the tunnel goes down.
func (q *QuickOptions) Saves() bool { return foldEqual([]byte(q.SaveConfig.Text), "true") }

// quickLine decodes a line as wg-quick does: it takes its own keys out while
// it reads the file, and wg reads what is left after that.
func (d *decoder) quickLine(line []byte) {
	if d.nul && bytes.IndexByte(line, 0) >= 0 { // bash never sees these
		line = bytes.ReplaceAll(line, []byte{0}, nil)
		d.raw = line
	}
	kept := bytes.Trim(line, " \t")
	var k *key
	if start := trim(kept); d.quick || len(start) > 0 && start[0] == '[' { // elsewhere nothing is wg-quick's
		q := splitQuick(line)
		d.quick = q.section(d.quick)
		if k = q.key(d.quick); k != nil {
			d.value = q.value
		}
	}
	switch {
	case d.own && k != nil:
		d.quickValue(k)
	case d.own:
	case k == nil:
		d.line(kept)
	case d.options.PeerInfo:
		d.names.key()
	}
}

// quickValue decodes the value of a key of wg-quick's.
func (d *decoder) quickValue(k *key) {
	d.setting(k)
	v := Value{Text: string(d.value), Pos: d.place(d.value, 0)}
	if k.name == "SaveConfig" && !foldEqual(d.value, "true") && !foldEqual(d.value, "false") {
		line := fmt.Sprintf("%s: `%.200s' is neither true nor false", d.options.Program, v.Text)
		if looksSecret(d.value) {
			line = fmt.Sprintf("%s: `(hidden)' is neither true nor false", d.options.Program)
		}
		d.problem([]string{line}, Problem{
			Pos: v.Pos, Code: BadValue, Reason: "SaveConfig: neither true nor false",
		})
		return
	}
	if k.ours && (len(d.value) == 0 || foldEqual(d.value, k.name)) { // the name alone is its own value
		d.problem(nil, Problem{Pos: d.place(trim(d.raw), 0), Code: NoValue, Reason: k.name + " has no value", Hint: usage(k)})
		return
	}
	if k.list {
		if d.words += countWords(d.value); d.words > maxWords {
			d.problem([]string{fmt.Sprintf("%s: %s: too many", d.options.Program, k.name)}, Problem{
				Pos: v.Pos, Code: BadValue, Reason: fmt.Sprintf("%s: more than %d addresses and names in this file", k.name, maxWords),
				Hint: "an interface has a few; those of its peers are AllowedIPs",
			})
			return
		}
	}
	k.quick(&d.config.Quick, v)
}

// maxWords is how many addresses, name servers and search domains a file may
// have: far more than a link can, and far fewer than fill the memory.
const maxWords = 1 << 16

// quickParts is a line in the parts that wg-quick sees.
type quickParts struct {
	kept  []byte // without blanks and tabs at its ends
	name  []byte
	value []byte // with the comment's text, if the key is a hook's
}

func splitQuick(line []byte) quickParts {
	kept := bytes.Trim(line, " \t")
	stripped := kept
	if i := bytes.IndexByte(kept, '#'); i >= 0 {
		stripped = kept[:i]
	}
	q := quickParts{kept: kept}
	if i := bytes.IndexByte(stripped, '='); i >= 0 {
		q.name, q.value = trim(stripped[:i]), trim(stripped[i+1:])
	} else {
		q.name, q.value = trim(stripped), trim(stripped)
	}
	if isHook(q.name) {
		q.value = trim(kept)
		if i := bytes.IndexByte(kept, '='); i >= 0 {
			q.value = trim(kept[i+1:])
		}
	}
	return q
}

// section reports whether the lines from here on belong to [Interface], which
// they did before if inside is true.
func (q *quickParts) section(inside bool) bool {
	if len(q.name) > 0 && q.name[0] == '[' {
		return foldEqual(q.name, "[Interface]")
	}
	return inside
}

// key returns the key of wg-quick's that the line sets, nil if it sets none.
func (q *quickParts) key(inside bool) *key {
	if !inside {
		return nil
	}
	return lookup(q.name, interfaceSection, Quick)
}

// words splits a list at commas and white space.
func words(v Value) (list []Value) {
	separates := func(c byte) bool { return c == ',' || isSpace(c) }
	text := v.Text
	for i := 0; i < len(text); {
		if separates(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && !separates(text[i]) {
			i++
		}
		pos := v.Pos
		pos.Col += start
		list = append(list, Value{text[start:i], pos})
	}
	return list
}

// countWords returns how many words a list has.
func countWords(list []byte) (n int) {
	inside := false
	for _, c := range list {
		separates := c == ',' || isSpace(c)
		if !separates && !inside {
			n++
		}
		inside = !separates
	}
	return n
}

func addAddresses(q *QuickOptions, v Value) { q.Addresses = append(q.Addresses, words(v)...) }

// addDNS tells name servers from search domains.
func addDNS(q *QuickOptions, v Value) {
	for _, w := range words(v) {
		if isServer(w.Text) {
			q.DNS = append(q.DNS, w)
		} else {
			q.Search = append(q.Search, w)
		}
	}
}

// isServer reports whether a word of DNS is a name server: digits and dots, or
// with a colon in it.
func isServer(word string) bool {
	return strings.Contains(word, ":") || strings.Trim(word, "0123456789.") == ""
}
