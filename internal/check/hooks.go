// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"wgtools/internal/config"
	"wgtools/internal/keys"
)

// A hook is a command of the file's.
type hook struct {
	config.Value
	up       bool // it runs when the tunnel comes up
	commands []command
}

func hooksOf(q *config.QuickOptions) (list []hook) {
	add := func(values []config.Value, up bool) {
		for _, v := range values {
			list = append(list, hook{v, up, commandsOf(v.Text)})
		}
	}
	add(q.PreUp, true)
	add(q.PostUp, true)
	add(q.PreDown, false)
	add(q.PostDown, false)
	return list
}

// at is the place of a byte of the hook.
func (h *hook) at(offset int) config.Pos {
	pos := h.Pos
	pos.Col += offset
	return pos
}

// mentions reports whether a hook has one of the words in it, in any form.
func (s *subject) mentions(words ...string) bool {
	return slices.ContainsFunc(s.hooks, func(h hook) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(h.Text, w) })
	})
}

func writableHooks(s *subject, report func(Finding)) {
	if s.host.Writable != "" && len(s.hooks) > 0 {
		first := slices.MinFunc(s.hooks, func(a, b hook) int { return a.Pos.Line - b.Pos.Line })
		report(Finding{
			Pos:    first.Pos,
			Reason: fmt.Sprintf("hooks are not run: all users may write to `%s'", s.host.Writable),
			Hint:   fmt.Sprintf("make sure that they are what you want to run as root, then `chmod o-w %s'", s.host.Writable),
		})
	}
}

func hookSyntax(s *subject, report func(Finding)) {
	if s.host.Syntax == nil {
		return
	}
	known := map[string]string{}
	for _, h := range s.hooks {
		mistake, ok := known[h.Text]
		if !ok {
			mistake = s.host.Syntax(strings.ReplaceAll(h.Text, "%i", "wg0"))
			known[h.Text] = mistake
		}
		if mistake != "" {
			for at := range keysIn(mistake) {
				mistake = mistake[:at] + "(hidden)"
				break
			}
			report(Finding{Pos: h.Pos, Reason: "the shell doesn't understand this hook: " + mistake, Hint: "each hook is a script of its own, on one line"})
		}
	}
}

// hookStray finds quotation marks and blanks that are none for a shell.
func hookStray(s *subject, report func(Finding)) {
	for _, h := range s.hooks {
		for start := 0; start < len(h.Text); {
			reason, hint, offset, ok := config.FindStray(h.Text[start:])
			if !ok {
				break
			}
			at := start + offset
			start = at + 1
			if h.Text[at] < 0x80 || quoted(h.Text, at) { // the shell's own, or part of a text
				continue
			}
			if strings.Contains(reason, "quotation") {
				hint = `replace it by a plain ' or "`
			}
			report(Finding{Pos: h.at(at), Reason: reason, Hint: hint})
			break
		}
	}
}

// hookPercent finds what was to be %i.
func hookPercent(s *subject, report func(Finding)) {
	for _, h := range s.hooks {
		i := strings.Index(h.Text, "%I")
		if i < 0 || strings.Contains(h.Text, "date") || strings.Contains(h.Text, "strftime") {
			continue
		}
		report(Finding{Pos: h.at(i), Reason: "%I stays as it is: only %i becomes the interface's name", Hint: "write %i"})
	}
}

// linkOptions are what comes before the name of a link in rules and commands.
var linkOptions = []string{"-i", "-o", "dev", "iif", "oif", "iifname", "oifname", "--in-interface", "--out-interface"}

var tunnelName = regexp.MustCompile(`^wg[0-9]+$`)

// hookInterface finds the name of another tunnel in hooks.
func hookInterface(s *subject, report func(Finding)) {
	if s.host.Interface == "" {
		return
	}
	var first *Finding
	for _, h := range s.hooks {
		for _, c := range h.commands {
			for i := 1; i < len(c); i++ {
				name := strings.Trim(c[i].text, `"'`)
				if !slices.Contains(linkOptions, c[i-1].text) || !tunnelName.MatchString(name) ||
					name == s.host.Interface || slices.Contains(s.host.Links, name) {
					continue
				}
				pos := h.at(c[i].offset)
				if first == nil {
					first = &Finding{Pos: pos, Reason: fmt.Sprintf("this file is for %s, the hook is about %s, which there is not", s.host.Interface, name), Hint: "write %i for the interface"}
				} else {
					first.Related = append(first.Related, pos)
				}
			}
		}
	}
	if first != nil {
		report(*first)
	}
}

// chains are those that iptables has from the start.
var chains = []string{"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING"}

// hookChain finds misspelt chains.
func hookChain(s *subject, report func(Finding)) {
	if s.mentions(" -N ", "--new-chain") {
		return
	}
	for _, h := range s.hooks {
		for _, c := range h.commands {
			ch, change, at := chainOf(c)
			if change == 0 || slices.Contains(chains, ch.name) {
				continue
			}
			for _, name := range chains {
				if strings.EqualFold(name, ch.name) || oneAway(name, ch.name) {
					report(Finding{Pos: h.at(at), Reason: fmt.Sprintf("there is no chain %s", ch.name), Hint: fmt.Sprintf("did you mean %s?", name)})
				}
			}
		}
	}
}

// oneAway reports whether a letter put in, taken out or replaced makes b of a.
func oneAway(a, b string) bool {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return b != "" && a != b && (strings.HasSuffix(b, a[min(i+1, len(a)):]) && len(b) == len(a) || a[min(i+1, len(a)):] == b[i:] || b[min(i+1, len(b)):] == a[i:])
}

// A chain is one of a packet filter's, to which a hook adds.
type chain struct{ program, table, name string }

// chainOf returns the chain that a command of iptables changes, and how: 'A'
// for adding a rule, 'D' for deleting one, 'C' for looking for one, 'F' for
// more than that, 0 for anything else; and where the chain's name stands.
func chainOf(c command) (ch chain, change byte, at int) {
	program, words := c.program()
	program = strings.TrimSuffix(strings.TrimSuffix(program[strings.LastIndexByte(program, '/')+1:], "-legacy"), "-nft")
	if program != "iptables" && program != "ip6tables" {
		return chain{}, 0, 0
	}
	ch = chain{program: program, table: "filter"}
	for i, w := range words {
		var next word
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch w.text {
		case "-t", "--table":
			ch.table = next.text
		case "-A", "--append", "-I", "--insert":
			ch.name, at, change = next.text, next.offset, 'A'
		case "-D", "--delete":
			ch.name, at, change = next.text, next.offset, 'D'
		case "-C", "--check": // then it is added only once
			ch.name, at, change = next.text, next.offset, 'C'
		case "-F", "--flush", "-X", "--delete-chain":
			change = 'F'
		}
	}
	return ch, change, at
}

// hookNotUndone finds rules of the packet filter that hooks add when the
// tunnel comes up, and none deletes when it goes down.
func hookNotUndone(s *subject, report func(Finding)) {
	deleted := map[chain]int{}
	for _, h := range s.hooks {
		for _, c := range h.commands {
			switch ch, change, _ := chainOf(c); {
			case change == 'F' || c.isScript():
				return // who knows
			case change == 'D' && !h.up || change == 'C':
				deleted[ch]++
			}
		}
	}
	for _, h := range s.hooks {
		for _, c := range h.commands {
			ch, change, _ := chainOf(c)
			if change != 'A' || !h.up {
				continue
			}
			if deleted[ch]--; deleted[ch] == -1 {
				report(Finding{
					Pos:    h.at(c[0].offset),
					Reason: fmt.Sprintf("nothing deletes this rule when the tunnel goes down: each up adds another one to %s of table %s", ch.name, ch.table),
					Hint:   fmt.Sprintf("PostDown = %s … -D %s …, with the same words", ch.program, ch.name),
				})
			}
		}
	}
}

// hookKey finds secret keys in hooks.
func hookKey(s *subject, report func(Finding)) {
	secret := map[keys.Key]bool{}
	if s.PrivateKey.Set {
		secret[s.PrivateKey.Value] = !s.PrivateKey.Value.IsZero()
	}
	for i := range s.Peers {
		if k := s.Peers[i].PresharedKey; k.Set && !k.Value.IsZero() {
			secret[k.Value] = true
		}
	}
	for _, h := range s.hooks {
		sets := strings.Contains(h.Text, "private-key") || strings.Contains(h.Text, "preshared-key")
		for at, k := range keysIn(h.Text) {
			if isPeer := strings.HasSuffix(strings.TrimRight(h.Text[:at], ` "'`), "peer"); secret[k] || sets && !isPeer {
				report(Finding{Pos: h.at(at), Reason: "a secret key in a hook: logs and lists of processes may show it", Hint: "give it by PrivateKey or PresharedKey, or have the hook read a file"})
				break
			}
		}
	}
}

// keysIn yields the keys in a text, with their places.
func keysIn(text string) iter.Seq2[int, keys.Key] {
	return func(yield func(int, keys.Key) bool) {
		for end := keys.TextLen; end <= len(text); end++ {
			start := end - keys.TextLen
			if text[end-1] != '=' || start > 0 && isBase64(text[start-1]) {
				continue
			}
			if k, err := keys.Parse(text[start:end]); err == nil && !yield(start, k) {
				return
			}
		}
	}
}

func isBase64(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '+' || c == '/'
}
