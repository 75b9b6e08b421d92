// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"slices"
	"strings"
)

// A command is one of those that a hook is made of, in words.
type command []word

// A word is a part of a command as it is written, quotation marks included.
type word struct {
	text   string
	offset int // in the hook
}

// commandsOf takes a hook apart at blanks and at what separates commands,
// outside of quotation marks. It is no shell: it finds the plain commands that
// hooks mostly are, also those inside of brackets and substitutions.
func commandsOf(script string) (list []command) {
	var c command
	start := -1 // of the word
	quote := byte(0)
	endWord := func(i int) {
		if start >= 0 {
			c = append(c, word{script[start:i], start})
			start = -1
		}
	}
	endCommand := func(i int) {
		endWord(i)
		if len(c) > 0 {
			list = append(list, c)
			c = nil
		}
	}
	for i := 0; i < len(script); i++ {
		b := script[i]
		switch {
		case quote != 0:
			if b == '\\' && quote == '"' {
				i++
			} else if b == quote {
				quote = 0
			}
			continue
		case b == '#' && start < 0:
			endCommand(i)
			return list
		case b == ' ' || b == '\t':
			endWord(i)
			continue
		case strings.IndexByte(";&|()`", b) >= 0:
			endCommand(i)
			continue
		}
		if start < 0 {
			start = i
		}
		switch b {
		case '\\':
			i++
		case '\'', '"':
			quote = b
		}
	}
	endCommand(len(script))
	return list
}

// before are words of a shell, and programs, that a command's program may follow.
var before = []string{"!", "{", "if", "elif", "then", "else", "do", "while", "until", "exec", "sudo"}

// program returns the command's program as it is written, and its arguments.
func (c command) program() (name string, arguments command) {
	for i, w := range c {
		if !slices.Contains(before, w.text) && !strings.Contains(w.text, "=") {
			return w.text, c[i+1:]
		}
	}
	return "", nil
}

// isScript reports whether the command runs something that may do anything.
func (c command) isScript() bool {
	name, _ := c.program()
	i := strings.LastIndexByte(name, '/')
	return slices.Contains([]string{"bash", "sh", "source", ".", "eval", "python3", "iptables-restore", "ip6tables-restore"}, name[i+1:]) ||
		strings.ContainsAny(name, "$%") || strings.HasSuffix(name, ".sh") || i >= 0 && !strings.HasSuffix(name[:i], "bin")
}

// quoted reports whether the byte at offset stands in quotation marks.
func quoted(script string, offset int) bool {
	quote := byte(0)
	for i := 0; i < offset; i++ {
		switch b := script[i]; {
		case b == '\\' && quote != '\'':
			i++
		case quote == 0 && (b == '\'' || b == '"'):
			quote = b
		case b == quote:
			quote = 0
		}
	}
	return quote != 0
}
