// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package man_test checks the manual pages of this folder: their form, and what
// they say of the environment. That they have all subcommands, flags and keys is
// tested where these are.
package man_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pages are the manual pages and the packages whose variables they have.
var pages = map[string][]string{
	"wg.8":       {"cmd/wg", "internal/resolve"},
	"wg-quick.8": {"cmd/wg-quick", "internal/resolve", "internal/dns", "internal/userspace"},
}

// mandoc finds nothing wrong.
func TestLint(t *testing.T) {
	mandoc, err := exec.LookPath("mandoc")
	if err != nil {
		t.Skip("mandoc isn't installed (Debian: mandoc)")
	}
	for page := range pages {
		out, _ := exec.Command(mandoc, "-T", "lint", "-W", "style", page).CombinedOutput() // fails for what follows, too
		for line := range strings.Lines(string(out)) {
			// Which other pages this machine has.
			if !strings.Contains(line, "referenced manual not found") && !strings.Contains(line, "run makewhatis") {
				t.Error(strings.TrimSpace(line))
			}
		}
	}
}

var (
	variable = regexp.MustCompile(`(?:Getenv|LookupEnv)\("([A-Z_]+)"\)|Variable = "([A-Z_]+)"`)
	envItem  = regexp.MustCompile(`(?m)^\.It Ev (\S+)$`)
)

// The pages have the variables that the programs look at, and no others.
func TestEnvironment(t *testing.T) {
	for page, packages := range pages {
		wanted := map[string]bool{}
		for _, pkg := range packages {
			files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: %v, %d files", pkg, err, len(files))
			}
			for _, path := range files {
				text := read(t, path)
				if strings.HasSuffix(path, "_test.go") {
					continue
				}
				for _, m := range variable.FindAllStringSubmatch(text, -1) {
					wanted[m[1]+m[2]] = true
				}
			}
		}
		got := map[string]bool{}
		for _, m := range envItem.FindAllStringSubmatch(read(t, page), -1) {
			got[m[1]] = true
		}
		if !maps.Equal(got, wanted) {
			t.Errorf("%s has the variables %q, there are %q", page, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(wanted)))
		}
	}
}

// Pages that are named, here and by units, are there.
func TestReferences(t *testing.T) {
	own := regexp.MustCompile(`man:(wg[a-z-]*)\((\d)\)`)
	err := filepath.WalkDir("../systemd", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasSuffix(path, ".go") {
			return err
		}
		for _, m := range own.FindAllStringSubmatch(read(t, path), -1) {
			if pages[m[1]+"."+m[2]] == nil {
				t.Errorf("%s names %s, which isn't there", path, m[0])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
