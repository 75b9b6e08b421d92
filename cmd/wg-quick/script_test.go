// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"wgtools/internal/cli"
	"wgtools/internal/userspace"
)

var update = flag.Bool("update", false, "rewrite the expected output in the scripts")

// The test's own program is wg-quick, also when it starts itself as a device.
func TestMain(m *testing.M) {
	// With the race detector every process would wait a second before it ends.
	os.Setenv("GORACE", "atexit_sleep_ms=0")
	testscript.Main(m, map[string]func(){"wg-quick": main, userspace.ProcessName: main})
}

// Nothing in the scripts gets as far as changing something.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			return os.Chmod(e.WorkDir, 0o700)
		},
		Condition: func(cond string) (bool, error) {
			return cond == "root" && os.Geteuid() == 0, nil
		},
	})
}

func TestNotRoot(t *testing.T) {
	for _, verb := range []string{"up", "down", "save"} {
		var out, errs bytes.Buffer
		env := &cli.Env{Out: &out, Err: &errs, LookupEnv: func(string) (string, bool) { return "", false }, Prog: "/usr/bin/wg-quick"}
		if got := run(t.Context(), env, false, []string{verb, "/nowhere/wg0.conf"}); got != 1 {
			t.Errorf("%s: exit status %d, want 1", verb, got)
		}
		if got, want := errs.String(), "wg-quick must be run as root\nhint: run it with sudo\n"; got != want {
			t.Errorf("%s printed %q, want %q", verb, got, want)
		}
		if out.Len() > 0 {
			t.Errorf("%s printed %q on standard output", verb, out.String())
		}
	}
}

// The name in messages is the one that the program was called by.
func TestProgramName(t *testing.T) {
	var errs bytes.Buffer
	env := &cli.Env{Err: &errs, LookupEnv: func(string) (string, bool) { return "", false }, Prog: "./bin/myquick"}
	if got := run(t.Context(), env, true, []string{"strip", "/nowhere/wg0.conf"}); got != 1 {
		t.Errorf("exit status %d, want 1", got)
	}
	if got, want := errs.String(), "myquick: `/nowhere/wg0.conf' does not exist\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	errs.Reset()
	run(t.Context(), env, true, nil)
	if got, want := errs.String(), "Usage: myquick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]\n"; !strings.HasPrefix(got, want) {
		t.Errorf("printed %q, want it to begin with %q", got, want)
	}
}
