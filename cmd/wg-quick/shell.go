// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"wgtools/internal/plan"
)

// A shell runs hooks. They are written for bash; where there is none, sh has
// to do.
type shell struct {
	app    *app
	path   string // of the shell; "" before the first hook
	isBash bool
}

func newShell(a *app) *shell { return &shell{app: a} }

// patience is how long a hook that was asked to end may take.
const patience = 5 * time.Second

// Run implements [plan.Shell].
func (s *shell) Run(ctx context.Context, h plan.Hook) error { return s.run(ctx, h, s.app.Out) }

// run runs a hook, or what is like one, whose output goes to out. As in the
// original, it is a subshell that ends with the first failing command, in the C
// locale, and finds the programs beside this one first. Its other streams are
// ours.
func (s *shell) run(ctx context.Context, h plan.Hook, out io.Writer) error {
	if err := s.find(); err != nil {
		return err
	}
	argv := []string{"-e", "-c", ". /proc/self/fd/3", s.app.Prog}
	if s.isBash {
		argv = append([]string{"-O", "extglob", "-o", "pipefail"}, argv...)
	}
	c := exec.CommandContext(ctx, s.path, append(argv, h.Args...)...)
	prepare(c, s.app, out)
	// Everybody can see a process's arguments, and a hook may have a key in it.
	script, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer script.Close()
	c.ExtraFiles = []*os.File{script}
	go func() {
		io.WriteString(w, s.preamble(h.Variables)+h.Script)
		w.Close()
	}()
	err = c.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// mistake returns what the shell says of a hook that it only reads, "" if
// nothing. Nothing from outside gets into its environment: there are variables
// that name scripts to run.
func (s *shell) mistake(ctx context.Context, script string) (string, error) {
	if err := s.find(); err != nil {
		return "", err
	}
	argv := []string{"-n", "/proc/self/fd/3"}
	if s.isBash {
		argv = append([]string{"--norc", "--noprofile", "-O", "extglob"}, argv...)
	}
	c := exec.CommandContext(ctx, s.path, argv...)
	c.Env = []string{"LC_ALL=C", "PATH=/nonexistent"}
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	c.ExtraFiles = []*os.File{r}
	go func() {
		io.WriteString(w, script+"\n")
		w.Close()
	}()
	var said strings.Builder
	c.Stderr = &said
	err = c.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); !ok || ctx.Err() != nil {
		return "", err
	}
	line, _, _ := strings.Cut(said.String(), "\n")
	return shellPlace.ReplaceAllString(line, ""), nil
}

// shellPlace is what shells say before a mistake.
var shellPlace = regexp.MustCompile(`^\S+: (line )?\d+: `)

// prepare gives a command of the file's what all of them have.
func prepare(c *exec.Cmd, a *app, out io.Writer) {
	c.Stdin, c.Stdout, c.Stderr = a.In, out, a.Err
	c.Env = append(os.Environ(), "LC_ALL=C", "PATH="+hookPath(a.Getenv("PATH")))
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = patience
}

// preamble returns the line before a hook that sets its variables and defines
// the functions that hooks for the original may use.
func (s *shell) preamble(vars []plan.Variable) string {
	var b strings.Builder
	for _, v := range append([]plan.Variable{{Name: "PROGRAM", Value: []string{s.app.prog}}}, vars...) {
		var words []string
		for _, w := range v.Value {
			words = append(words, quote(w))
		}
		switch {
		case v.List && s.isBash:
			fmt.Fprintf(&b, "%s=(%s); ", v.Name, strings.Join(words, " "))
		case v.List:
			fmt.Fprintf(&b, "%s=%s; ", v.Name, quote(strings.Join(v.Value, " ")))
		default:
			fmt.Fprintf(&b, "%s=%s; ", v.Name, strings.Join(words, ""))
		}
	}
	b.WriteString(`exec 3<&-; cmd() { echo "[#] $*" >&2; "$@"; }; die() { echo "$PROGRAM: $*" >&2; exit 1; }` + "\n")
	return b.String()
}

// quote makes one word of s for a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func (s *shell) find() (err error) {
	if s.path != "" {
		return nil
	}
	if s.path, err = exec.LookPath("bash"); err == nil {
		s.isBash = true
		return nil
	}
	s.app.say("[!] bash is not installed. Hooks are run by sh, which does not know all of its syntax.")
	s.path, err = exec.LookPath("sh")
	return err
}

// hookPath returns path with the directory of this program before it.
func hookPath(path string) string {
	self, err := os.Executable()
	if err != nil {
		return path
	}
	if real, err := filepath.EvalSymlinks(self); err == nil {
		self = real
	}
	if path == "" {
		return filepath.Dir(self)
	}
	return filepath.Dir(self) + ":" + path
}
