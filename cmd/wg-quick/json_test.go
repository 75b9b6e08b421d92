// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/docstest"
)

// asDocumented checks that a JSON document has the fields that docs/json.md has
// tables of. objects are the tables' headings, by where the objects are: "" is
// the document, "tunnels.peers" are the elements of an array in one in another.
// It has to have one of each at least.
func asDocumented(t *testing.T, text string, objects map[string]string) {
	t.Helper()
	var doc any
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	for path, heading := range objects {
		found := within([]any{doc}, path)
		if len(found) == 0 {
			t.Errorf("there is no %q in %s", path, text)
		}
		for _, object := range found {
			got := slices.Sorted(maps.Keys(object.(map[string]any)))
			if want := docstest.Fields(t, heading); !slices.Equal(got, want) {
				t.Errorf("%s has the fields %q, documented are %q", heading, got, want)
			}
		}
	}
}

// within returns what is at path in objects.
func within(objects []any, path string) (found []any) {
	if path == "" {
		return objects
	}
	name, rest, _ := strings.Cut(path, ".")
	for _, o := range objects {
		switch v := o.(map[string]any)[name].(type) {
		case []any:
			found = append(found, v...)
		case map[string]any:
			found = append(found, v)
		}
	}
	return within(found, rest)
}
