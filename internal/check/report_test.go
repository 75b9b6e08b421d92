// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/check"
	"wgtools/internal/config"
	"wgtools/internal/docstest"
)

var update = flag.Bool("update", false, "rewrite the expected output")

// Whole files, and all that is said about them.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(files) == 0 {
		t.Fatal("no files", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var got bytes.Buffer
			if err := check.WriteText(&got, check.File(filepath.Base(file), text, config.Quick, host())); err != nil {
				t.Fatal(err)
			}
			golden := strings.TrimSuffix(file, ".conf") + ".golden"
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got.String() != string(want) {
				t.Errorf("got\n%s\nwant\n%s", got.String(), want)
			}
		})
	}
}

// The document has the fields that are documented, and no others.
func TestJSON(t *testing.T) {
	var b bytes.Buffer
	list := check.File("wg0.conf", []byte(iface+peer+second("AllowedIPs = 10.0.0.1/32")+"Foo = <1>\n"), config.Quick, host())
	list[0].Hint = "" // there are some without
	if err := check.WriteJSON(&b, []string{"wg0.conf"}, list); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		Version, Errors, Warnings, Notes int
		Files                            []string
		Findings                         []struct {
			File, Severity, Code, Reason string
			Line, Column                 int
			Hint                         *string
			Related                      []struct {
				File         string
				Line, Column int
			}
		}
	}
	d := json.NewDecoder(bytes.NewReader(b.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("%v:\n%s", err, b.Bytes())
	}
	if doc.Version != check.JSONVersion || doc.Errors != 1 || doc.Warnings != 1 || doc.Notes != 0 || !slices.Equal(doc.Files, []string{"wg0.conf"}) || len(doc.Findings) != 2 {
		t.Fatalf("the document is %+v", doc)
	}
	first, last := doc.Findings[0], doc.Findings[1]
	if first.File != "wg0.conf" || first.Line != 11 || first.Column != 14 || first.Severity != "warning" || first.Code != "allowed-ip-claimed-twice" ||
		first.Hint != nil || len(first.Related) != 1 || first.Related[0].File != "wg0.conf" || first.Related[0].Line != 6 || first.Related[0].Column != 14 {
		t.Errorf("the first finding is %+v", first)
	}
	if last.Severity != "error" || last.Hint == nil || last.Related == nil {
		t.Errorf("the last finding is %+v", last)
	}
	var raw map[string]any
	if err := json.Unmarshal(b.Bytes(), &raw); err != nil {
		t.Fatal(err)
	}
	finding := raw["findings"].([]any)[0].(map[string]any)
	for heading, object := range map[string]map[string]any{
		"check: the document": raw, "check: a finding": finding, "check: a place": finding["related"].([]any)[0].(map[string]any),
	} {
		if got, want := slices.Sorted(maps.Keys(object)), docstest.Fields(t, heading); !slices.Equal(got, want) {
			t.Errorf("%s has %q, documented are %q", heading, got, want)
		}
	}

	b.Reset()
	if err := check.WriteJSON(&b, []string{}, nil); err != nil || !strings.Contains(b.String(), `"findings": []`) {
		t.Errorf("nothing found is %s", b.String())
	}
}

// Whatever a file holds: places lie inside of it, its private key is in no
// text, and the rules go through.
func FuzzFile(f *testing.F) {
	for _, m := range mistakes {
		f.Add([]byte(strings.Replace(m.text, caret, "", 1)), true)
	}
	files, err := filepath.Glob("testdata/*.conf")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, false)
	}
	f.Add([]byte("[Interface]\nPostUp = \x00\\"), true)
	h := host()
	h.Readers, h.Writable, h.Others = true, "/tmp", []check.Port{{Number: 51820}}
	f.Fuzz(func(t *testing.T, text []byte, quick bool) {
		dialect := config.WG
		if quick {
			dialect = config.Quick
		}
		lines := bytes.Split(text, []byte("\n"))
		var secret string
		if c, _ := config.Decode("f", text, config.Options{Dialect: dialect}); c != nil && c.PrivateKey.Set && !c.PrivateKey.Value.IsZero() {
			secret = c.PrivateKey.Value.Base64()
		}
		for _, found := range check.File("wg0.conf", text, dialect, h) {
			for _, pos := range append(found.Related, found.Pos) {
				if pos.File == "" {
					continue // that of the other file
				}
				if pos.Line < 1 || pos.Line > len(lines) || pos.Col < 1 || pos.Col > len(lines[pos.Line-1])+1 {
					t.Errorf("%s is at %v, outside of the file", found.Code, pos)
				}
			}
			if !check.Known(found.Code) || found.Reason == "" {
				t.Errorf("an unknown finding: %+v", found)
			}
			if secret != "" && strings.Contains(found.Reason+found.Hint, secret) {
				t.Errorf("%s shows the private key", found.Code)
			}
		}
	})
}

// The shell's own words may have a key in them.
func TestShellShowsNoKey(t *testing.T) {
	h := host()
	h.Syntax = func(hook string) string { return "syntax error near `" + psk + "'" }
	list := check.File("wg0.conf", []byte(iface+"PostUp = wg set %i preshared-key ("+psk+"\n"+peer), config.Quick, h)
	for _, f := range list {
		if strings.Contains(f.Reason, psk) {
			t.Errorf("found %+v", f)
		}
	}
	if len(list) == 0 {
		t.Error("nothing found")
	}
}
