// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// blanks is white space in the C locale.
const blanks = " \t\n\v\f\r"

// key returns the key of a line as wg-quick sees it, in lower case.
func key(line []byte) string {
	line, _, _ = bytes.Cut(line, []byte("#"))
	line, _, _ = bytes.Cut(line, []byte("="))
	return strings.ToLower(string(bytes.Trim(line, blanks)))
}

var hookKeys = []string{"preup", "postup", "predown", "postdown"}

// harmless returns a file with `true' in the place of each hook, wherever it
// stands.
func harmless(text []byte) []byte {
	var b []byte
	// bash, which the original is written in, doesn't see NUL.
	for line := range bytes.Lines(bytes.ReplaceAll(text, []byte{0}, nil)) {
		if k := key(line); slices.Contains(hookKeys, k) {
			line = []byte(k + " = true\n")
		}
		b = append(b, line...)
	}
	return b
}

// hosts returns a hosts file with the names of a file's endpoints.
func hosts(text []byte) string {
	known := map[string]bool{}
	b := "127.0.0.1 localhost\n::1 localhost\n"
	for line := range strings.Lines(string(text)) {
		if key([]byte(line)) != "endpoint" {
			continue
		}
		line, _, _ = strings.Cut(line, "#")
		_, value, _ := strings.Cut(line, "=")
		value = strings.Trim(value, blanks)
		i := strings.LastIndexByte(value, ':')
		if i < 0 {
			continue
		}
		name := value[:i]
		isName := strings.ContainsAny(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz") && !strings.ContainsAny(name, ":[]"+blanks)
		if isName && !known[name] {
			known[name] = true
			b += fmt.Sprintf("203.0.113.%d %s\n", len(known), name)
		}
	}
	return b
}
