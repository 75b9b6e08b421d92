// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// manual returns a section of the manual page.
func manual(t *testing.T, title string) string {
	t.Helper()
	text, err := os.ReadFile("../../man/wg-quick.8")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n.Sh "+title+"\n")
	if !ok {
		t.Fatalf("there is no section %s", title)
	}
	section, _, _ = strings.Cut(section, "\n.Sh ")
	return section
}

var (
	manualFlag = regexp.MustCompile(`Fl -([a-z][a-z-]*)`)
	manualWord = regexp.MustCompile(`Ic ([a-z-]+)`)
)

// synopses are the subcommands of the manual page and how they are used.
func synopses(t *testing.T) map[string]string {
	list := map[string]string{}
	for _, item := range strings.Split(manual(t, "SUBCOMMANDS"), "\n.It ")[1:] {
		head, _, _ := strings.Cut(item, "\n")
		if head == "Xo" {
			head, _, _ = strings.Cut(item, "\n.Xc\n")
		}
		word := manualWord.FindStringSubmatch(head)
		if word == nil || list[word[1]] != "" {
			t.Fatalf("an item that is of no subcommand, or of one that was before: %q", head)
		}
		list[word[1]] = head
	}
	return list
}

func matches(pattern *regexp.Regexp, text string) (list []string) {
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// The manual page has all subcommands with all of their flags, and no others.
func TestManual(t *testing.T) {
	root, written := tree(), synopses(t)
	every := append(globalFlags(root), "help")
	if synopsis := manual(t, "SYNOPSIS"); !slices.Equal(matches(manualFlag, synopsis), slices.Sorted(slices.Values(every))) {
		t.Errorf("not the flags of all subcommands: %s", synopsis)
	}
	for _, c := range root.Commands() {
		head, ok := written[c.Name()]
		delete(written, c.Name())
		if c.Hidden {
			continue
		}
		if !ok {
			t.Errorf("%s isn't among the SUBCOMMANDS", c.Name())
			continue
		}
		flags := flagsOf(c)
		every = append(every, flags...)
		flags = slices.DeleteFunc(flags, func(name string) bool { return name == "help" })
		slices.Sort(flags)
		if got := matches(manualFlag, head); !slices.Equal(got, flags) {
			t.Errorf("%s has the flags %q, in the manual page %q", c.Name(), flags, got)
		}
		for _, sub := range c.Commands() { // those of plan are subcommands, too
			if !strings.Contains(head, sub.Name()) {
				t.Errorf("%s %s isn't in the manual page", c.Name(), sub.Name())
			}
		}
	}
	for name := range written {
		t.Errorf("there is no subcommand %s, but in the manual page", name)
	}
	slices.Sort(every)
	every = slices.Compact(every)
	var heads []string
	for _, item := range strings.Split(manual(t, "OPTIONS"), "\n.It ")[1:] {
		head, _, _ := strings.Cut(item, "\n")
		heads = append(heads, head)
	}
	if got := matches(manualFlag, strings.Join(heads, "\n")); !slices.Equal(got, every) {
		t.Errorf("there are the flags %q, among the OPTIONS %q", every, got)
	}
}

// Each subcommand has a section in docs/commands.md, with an example of a call,
// and there is no section of one that isn't there.
func TestCommandsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/commands.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, s := range strings.Split(string(text), "\n## ")[1:] {
		title, body, _ := strings.Cut(s, "\n")
		sections[title] = body
	}
	call := regexp.MustCompile(`(?m)^[#$] wg-quick (?:--netns [a-z]+ )?([a-z-]+)`)
	for _, c := range tree().Commands() {
		if c.Hidden {
			continue
		}
		body, ok := sections[c.Name()]
		delete(sections, c.Name())
		_, example, _ := strings.Cut(body, "```console\n")
		switch {
		case !ok:
			t.Errorf("docs/commands.md has no section %q", c.Name())
		case !slices.Contains(matches(call, example), c.Name()):
			t.Errorf("the section %q of docs/commands.md has no example", c.Name())
		}
	}
	delete(sections, "--netns")
	for title := range sections {
		t.Errorf("docs/commands.md has a section %q, which is no subcommand", title)
	}
}
