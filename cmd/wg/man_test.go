// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/show"
)

// showFlags are the options of show.
var showFlags = []string{"--json", "--names", "--show-keys", "--watch"}

// The manual page has all subcommands, options and fields of show, and words of
// set, and no others.
func TestManual(t *testing.T) {
	text, err := os.ReadFile("../../man/wg.8")
	if err != nil {
		t.Fatal(err)
	}
	section := func(title string) string {
		_, s, _ := strings.Cut(string(text), "\n.Sh "+title+"\n")
		s, _, _ = strings.Cut(s, "\n.Sh ")
		return s
	}
	same := func(what string, got, want []string) {
		slices.Sort(got)
		slices.Sort(want)
		if got = slices.Compact(got); !slices.Equal(got, want) {
			t.Errorf("%s are %q, in the manual page %q", what, want, got)
		}
	}
	find := func(pattern, in string) (list []string) {
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(in, -1) {
			list = append(list, strings.Split(m[1], " , ")...)
		}
		return list
	}
	var words []string
	for _, c := range commands {
		words = append(words, c.name)
	}
	same("subcommands", find(`(?m)^\.(?:It )?Ic ([a-z]+)(?: (?:Ar|Cm) .*)?$`, heads(section("SUBCOMMANDS"))), words)
	_, shown, _ := strings.Cut(section("SUBCOMMANDS"), "\nThe fields are\n")
	shown, _, _ = strings.Cut(shown, "\n.El\n")
	same("fields of show", find(`(?m)^\.It Cm (.*)$`, shown), slices.Clone(show.Fields))
	words = []string{"peer", "remove"}
	for _, s := range settings {
		words = append(words, s.word)
	}
	_, set, _ := strings.Cut(section("SUBCOMMANDS"), "\n.Ic set\n")
	set, _, _ = strings.Cut(set, "\n.El\n")
	same("words of set", find(`(?m)^\.It Cm ([a-z-]+)`, set), words)
	same("options of show", find(`(?m)^\.It Fl (-[a-z-]+)`, section("OPTIONS")), dashed(showFlags))
	for _, flag := range showFlags {
		if _, rest, err := parseShowOptions([]string{flag}); err != nil || len(rest) > 0 {
			t.Errorf("%s isn't an option of show", flag)
		}
	}
}

// heads are the lines of a section that begin an item of its first level.
func heads(section string) string {
	var b strings.Builder
	level, open := 0, false
	for line := range strings.Lines(section) {
		switch {
		case strings.HasPrefix(line, ".Bl "):
			level++
		case strings.HasPrefix(line, ".El"):
			level--
		case level == 1 && strings.HasPrefix(line, ".It Xo"):
			open = true
		case strings.HasPrefix(line, ".Xc"):
			open = false
		case open, level == 1 && strings.HasPrefix(line, ".It "):
			b.WriteString(line)
		}
	}
	return b.String()
}

// dashed returns flags as mdoc(7) writes them, with one dash less.
func dashed(flags []string) (list []string) {
	for _, f := range flags {
		list = append(list, f[1:])
	}
	return list
}
