// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var manualKey = regexp.MustCompile(`(?m)^\.It Cm ([A-Za-z]+)$`)

// The manual pages have the keys of their program, and no others.
func TestManualPages(t *testing.T) {
	for page, dialect := range map[string]Dialect{"wg.8": WG, "wg-quick.8": Quick} {
		text, err := os.ReadFile("../../man/" + page)
		if err != nil {
			t.Fatal(err)
		}
		_, section, _ := strings.Cut(string(text), "\n.Sh CONFIGURATION\n")
		section, _, _ = strings.Cut(section, "\n.Sh ")
		var got, want []string
		for _, m := range manualKey.FindAllStringSubmatch(section, -1) {
			got = append(got, m[1])
		}
		for _, k := range keyTable {
			if k.dialect == dialect {
				want = append(want, k.name)
			}
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s has the keys %q, there are %q", page, got, want)
		}
	}
}
