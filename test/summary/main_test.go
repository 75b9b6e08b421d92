// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestTally(t *testing.T) {
	const (
		passed  = `{"Action":"pass","Package":"p","Test":"TestA"}` + "\n"
		failed  = `{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: broken\n"}` + "\n" + `{"Action":"fail","Package":"p","Test":"TestA"}` + "\n"
		skipped = `{"Action":"output","Package":"p","Test":"TestA","Output":"=== RUN   TestA\n"}` + "\n" +
			`{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:7: needs root\n"}` + "\n" +
			`{"Action":"skip","Package":"p","Test":"TestA"}` + "\n"
		other = `{"Action":"pass","Package":"p","Test":"TestB"}` + "\n"
	)
	tests := map[string]struct {
		runs   []string
		want   string // the last line
		ok     bool
		prints string
	}{
		"passed":                     {[]string{passed + other}, "2 passed, 0 failed, 0 skipped\n", true, ""},
		"failed":                     {[]string{failed + other}, "1 passed, 1 failed, 0 skipped\n", false, "--- FAIL p TestA\n    a_test.go:7: broken\n"},
		"skipped":                    {[]string{skipped + other}, "1 passed, 0 failed, 1 skipped\n", true, "skipped p TestA: a_test.go:7: needs root\n"},
		"all skipped":                {[]string{skipped}, "0 passed, 0 failed, 1 skipped\n", false, ""},
		"skipped, passed elsewhere":  {[]string{skipped, passed}, "1 passed, 0 failed, 0 skipped\n", true, ""},
		"passed, skipped elsewhere":  {[]string{passed, skipped}, "1 passed, 0 failed, 0 skipped\n", true, ""},
		"passed, failed elsewhere":   {[]string{passed, failed, passed}, "0 passed, 1 failed, 0 skipped\n", false, ""},
		"a package with no bad test": {[]string{other + `{"Action":"fail","Package":"p"}` + "\n"}, "1 passed, 1 failed, 0 skipped\n", false, "fail p"},
		"a package with a bad test":  {[]string{failed + other + `{"Action":"fail","Package":"p"}` + "\n"}, "1 passed, 1 failed, 0 skipped\n", false, "fail p"},
		"no event":                   {[]string{"x.go:1: syntax error\n" + other}, "1 passed, 0 failed, 0 skipped\n", true, "x.go:1: syntax error\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "tally")
			var out strings.Builder
			for _, events := range tt.runs {
				all, err := load(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := all.read(strings.NewReader(events), &out); err != nil {
					t.Fatal(err)
				}
				if err := all.save(file); err != nil {
					t.Fatal(err)
				}
			}
			all, err := load(file)
			if err != nil {
				t.Fatal(err)
			}
			if ok := all.print(&out); ok != tt.ok || !strings.HasSuffix(out.String(), "\n"+tt.want) && out.String() != tt.want {
				t.Errorf("ok is %v, want %v; printed %q, want %q at the end", ok, tt.ok, out.String(), tt.want)
			}
			if !strings.Contains(out.String(), tt.prints) {
				t.Errorf("printed %q, want %q in it", out.String(), tt.prints)
			}
		})
	}
}

// A command that fails is a failure, whatever its events say.
func TestRunFails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tally")
	pass := `echo '{"Action":"pass","Package":"p","Test":"TestA"}'`
	if ok, err := run(file, []string{"sh", "-c", pass}); !ok || err != nil {
		t.Errorf("run = %v, %v; want true", ok, err)
	}
	if _, err := run(file, []string{"sh", "-c", pass + "; exit 3"}); err == nil {
		t.Error("exit status 3 is no error")
	}
	if ok, err := run(file, nil); ok || err != nil {
		t.Errorf("the sum of both is %v, %v; want false", ok, err)
	}
}
