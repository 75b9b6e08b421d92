// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package docstest is for tests that hold what is documented against what is
// there.
package docstest

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Fields returns the fields that docs/json.md has in the table below a heading,
// sorted. It is for packages two folders below the root.
func Fields(t testing.TB, heading string) (fields []string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		t.Fatalf("docs/json.md has no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	section, _, _ = strings.Cut(section, "\n# ")
	for _, m := range field.FindAllStringSubmatch(section, -1) {
		fields = append(fields, m[1])
	}
	slices.Sort(fields)
	return fields
}

var field = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
