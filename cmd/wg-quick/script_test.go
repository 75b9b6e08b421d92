// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
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
	testscript.Main(m, map[string]func(){"wg-quick": main, faultyName: faultyMain, impatientName: impatientMain, userspace.ProcessName: faultyDevice, execName: func() { os.Exit(execMain(os.Args)) }})
}

// Nothing in the scripts gets as far as changing something.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update, RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("GORACE", os.Getenv("GORACE"))
			return os.Chmod(e.WorkDir, 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": expectStatus,
		},
		Condition: func(cond string) (bool, error) {
			return cond == "root" && os.Geteuid() == 0, nil
		},
	})
}

// expectStatus runs a program, and fails unless it ends with the exit status
// that comes first.
func expectStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status NUMBER PROGRAM ARGUMENT...")
	}
	got := 0
	err := ts.Exec(args[1], args[2:]...)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("exit status %d, want %s", got, args[0])
	}
}

// Who isn't root becomes it, with the same arguments.
func TestNotRoot(t *testing.T) {
	for _, verb := range []string{"up", "down", "save"} {
		var out, errs bytes.Buffer
		env := &cli.Env{Out: &out, Err: &errs, LookupEnv: func(string) (string, bool) { return "", false }, Prog: "/usr/bin/wg-quick"}
		asked := ""
		become := func(prog string, args []string) error {
			asked = fmt.Sprintf("%s %q", prog, args)
			return &notRoot{prog: prog, status: 127, hint: "become root yourself, or install sudo"}
		}
		if got := run(t.Context(), env, become, []string{verb, "./my wg0.conf"}); got != 127 {
			t.Errorf("%s: exit status %d, want 127", verb, got)
		}
		if want := fmt.Sprintf("wg-quick [%q %q]", verb, "./my wg0.conf"); asked != want {
			t.Errorf("%s became root for %s, want %s", verb, asked, want)
		}
		if got, want := errs.String(), "wg-quick must be run as root\nhint: become root yourself, or install sudo\n"; got != want {
			t.Errorf("%s printed %q, want %q", verb, got, want)
		}
		if out.Len() > 0 {
			t.Errorf("%s printed %q on standard output", verb, out.String())
		}
	}
}

// sudo is called as the original calls it: the prompt, then the program by its
// path, then the arguments.
func TestSudo(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\nfor a; do printf '%s|' \"$a\"; done\nexit 5\n"
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "wg-quick")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "up", "wg0")
	c.Dir = dir
	c.Env = append(os.Environ(), "PATH="+dir)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.Output()
	want := "-p|wg-quick must be run as root. Please enter the password for %u to continue: |--|" + program + "|up|wg0|"
	if string(out) != want || c.ProcessState.ExitCode() != 5 {
		t.Errorf("sudo got %q, %v; want %q and its exit status", out, err, want)
	}
}

// The name in messages is the one that the program was called by.
func TestProgramName(t *testing.T) {
	var errs bytes.Buffer
	env := &cli.Env{Err: &errs, LookupEnv: func(string) (string, bool) { return "", false }, Prog: "./bin/myquick"}
	if got := run(t.Context(), env, nil, []string{"strip", "/nowhere/wg0.conf"}); got != 1 {
		t.Errorf("exit status %d, want 1", got)
	}
	if got, want := errs.String(), "myquick: `/nowhere/wg0.conf' does not exist\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	errs.Reset()
	run(t.Context(), env, nil, nil)
	if got, want := errs.String(), "Usage: myquick [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]\n"; !strings.HasPrefix(got, want) {
		t.Errorf("printed %q, want it to begin with %q", got, want)
	}
}
