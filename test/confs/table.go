// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A verdict is what is to be said of a file.
type verdict struct {
	file         string
	ours, theirs outcome
	differ       []string // the parts of the state that differ while it is up
	strip        bool     // the two strip it differently
}

func compare(file string, ours, theirs outcome) verdict {
	v := verdict{file: file, ours: ours, theirs: theirs}
	v.strip = ours.Strip.Out != theirs.Strip.Out || (ours.Strip.Status == 0) != (theirs.Strip.Status == 0)
	if ours.State != nil && theirs.State != nil {
		for _, part := range slices.Sorted(maps.Keys(ours.State)) {
			if ours.State[part] != theirs.State[part] {
				v.differ = append(v.differ, part)
			}
		}
	}
	return v
}

// The kinds of outcomes, in the order of the table. The first two need no word.
const (
	fine       = "up and down, afterwards as before"
	fineAlike  = "up as by the original and down, afterwards as before"
	differs    = "up and down, but while up not as by the original"
	theirAlone = "up and down; the original refuses"
	refused    = "refused"
	bothRefuse = "refused, as by the original"
	oursAlone  = "refused; the original doesn't"
	downFails  = "down fails"
	leftOver   = "not as before afterwards"
)

var kinds = []string{fine, fineAlike, differs, theirAlone, refused, bothRefuse, oursAlone, downFails, leftOver}

// What is counted beside these.
const (
	stripped       = "stripped differently by the original"
	leftByOriginal = "not as before after the original"
	clean          = "check finds nothing"
	onlyNotes      = "check finds warnings or notes only"
	hasErrors      = "check finds errors"
	disagree       = "check finds errors, and it comes up; or none, and it doesn't"
)

// kind returns what came of a file.
func (v verdict) kind(withOriginal bool) string {
	up, theirs := v.ours.Up.Status == 0, v.theirs.Up.Status == 0
	switch {
	case len(v.ours.Left) > 0:
		return leftOver
	case v.ours.Down.Status != 0:
		return downFails
	case up && !withOriginal:
		return fine
	case !withOriginal:
		return refused
	case up && theirs && len(v.differ) == 0:
		return fineAlike
	case up && theirs:
		return differs
	case up:
		return theirAlone
	case theirs:
		return oursAlone
	}
	return bothRefuse
}

// report prints the counts, then a row for each file that needs a word.
func report(w io.Writer, verdicts []verdict, withOriginal bool) error {
	count := map[string]int{}
	var rows, found strings.Builder
	for _, v := range verdicts {
		kind := v.kind(withOriginal)
		count[kind]++
		if v.strip {
			count[stripped]++
		}
		if len(v.theirs.Left) > 0 {
			count[leftByOriginal]++
		}
		if len(v.ours.Check) > 0 {
			fmt.Fprintf(&found, "| %s | %s |\n", cell(v.file), v.found())
		}
		count[v.checked()]++
		if (v.ours.Errors > 0) != (v.ours.Up.Status != 0) {
			count[disagree]++
			fmt.Fprintf(&rows, "| %s | %s | %s | |\n", cell(v.file), disagree, cell(v.word()))
		}
		if v.strip || kind != fine && kind != fineAlike {
			fmt.Fprintf(&rows, "| %s | %s | %s | %s |\n", cell(v.file), kind, cell(v.word()), cell(v.originals()))
		}
	}
	fmt.Fprintf(w, "| of %d files | number |\n| --- | --- |\n", len(verdicts))
	for _, k := range slices.Concat(kinds, []string{stripped, leftByOriginal, clean, onlyNotes, hasErrors, disagree}) {
		if count[k] > 0 {
			fmt.Fprintf(w, "| %s | %d |\n", k, count[k])
		}
	}
	if rows.Len() > 0 {
		fmt.Fprintf(w, "\n| file | outcome | ours | the original |\n| --- | --- | --- | --- |\n%s", rows.String())
	}
	if found.Len() > 0 {
		fmt.Fprintf(w, "\n| file | what check finds |\n| --- | --- |\n%s", found.String())
	}
	if count[disagree] > 0 {
		return errors.New("check and up don't agree")
	}
	if count[leftOver]+count[downFails] > 0 {
		return errors.New("something was left behind")
	}
	return nil
}

// checked returns the worst of what check finds.
func (v verdict) checked() string {
	switch {
	case len(v.ours.Check) == 0:
		return clean
	case slices.ContainsFunc(v.ours.Check, func(f finding) bool { return f.Severity == "error" }):
		return hasErrors
	}
	return onlyNotes
}

// found says what check finds, and in which lines.
func (v verdict) found() string {
	var list []string
	for _, f := range v.ours.Check {
		list = append(list, fmt.Sprintf("%s `%s` %d:%d", f.Severity, f.Code, f.Line, f.Column))
	}
	return strings.Join(list, ", ")
}

// word says what ours did.
func (v verdict) word() string {
	words := append(failures(v.ours), v.ours.Left...)
	for _, part := range v.differ {
		words = append(words, part+": "+strings.Join(differences(v.theirs.State[part], v.ours.State[part]), ", "))
	}
	return strings.Join(slices.Compact(words), "\n")
}

// originals says what the original did.
func (v verdict) originals() string {
	return strings.Join(slices.Compact(append(failures(v.theirs), v.theirs.Left...)), "\n")
}

func failures(o outcome) (words []string) {
	for _, a := range []answer{o.Strip, o.Up, o.Down} {
		if a.Status != 0 {
			words = append(words, said(a.Err))
		}
	}
	return words
}

// noise are lines that say nothing of the file: the steps, and what is told of
// kernels without WireGuard.
var noise = regexp.MustCompile(`^(\[#\]|\[!\] Missing|Error: Unknown device type|RTNETLINK answers: Operation not supported|[┌│└]|INFO: |WARNING: )`)

// said returns what was said that isn't noise.
func said(text string) string {
	var list []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && !noise.MatchString(line) {
			list = append(list, line)
		}
	}
	return strings.Join(list, "\n")
}

// keyLike is what could be a secret key, whole or damaged, which the original
// prints, but no path.
var keyLike = regexp.MustCompile(`[A-Za-z0-9+/]{20,}=|[A-Za-z0-9+]{20,}`)

// cell makes a text one for a table.
func cell(text string) string {
	text = keyLike.ReplaceAllString(text, "(hidden)")
	if all := strings.Split(text, "\n"); len(all) > 6 {
		text = strings.Join(append(all[:6], fmt.Sprintf("and %d lines more", len(all)-6)), "\n")
	}
	text = strings.ReplaceAll(text, "|", `\|`)
	return strings.ReplaceAll(text, "\n", "<br>")
}
