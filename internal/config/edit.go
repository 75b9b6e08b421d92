// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import "bytes"

// An Edit is a change of lines that stand together: what [Document.Update] put
// in the place of old ones. Both are without their ends, and without secrets.
type Edit struct {
	Line     int // of the first old line, or the one that the new ones come before
	Old, New []string
}

// edits returns what the editor is about to do. before are the lines' texts as
// they were.
func (e *editor) edits(before [][]byte) (list []Edit) {
	var now Edit
	flush := func(next int) {
		if len(now.Old)+len(now.New) > 0 {
			list = append(list, now)
		}
		now = Edit{Line: next}
	}
	add := func(texts [][]byte) {
		for _, text := range texts {
			for line := range bytes.Lines(text) {
				if line = trim(line); len(line) > 0 {
					now.New = append(now.New, withoutSecret(line))
				}
			}
		}
	}
	now.Line = 1
	add(e.after[-1])
	for i, old := range before {
		text := e.doc.Lines[i].Text
		switch {
		case e.drop[i]:
			now.Old = append(now.Old, withoutSecret(trim(old)))
		case !bytes.Equal(text, old):
			now.Old = append(now.Old, withoutSecret(trim(old)))
			now.New = append(now.New, withoutSecret(trim(text)))
		default:
			flush(i + 2)
		}
		add(e.after[i])
	}
	flush(0)
	return list
}

// withoutSecret returns a line with its value hidden if that is a secret.
func withoutSecret(line []byte) string {
	name, _, ok := bytes.Cut(line, []byte("="))
	name = squeezed(name)
	for i := range keyTable {
		if k := &keyTable[i]; ok && k.secret && foldEqual(name, k.name) {
			return k.name + " = (hidden)"
		}
	}
	return string(line)
}
