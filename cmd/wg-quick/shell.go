// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
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

// Run implements [plan.Shell]. As in the original, a hook is a subshell that
// ends with the first failing command, in the C locale, and finds the programs
// beside this one first. Its streams are ours.
func (s *shell) Run(ctx context.Context, script string, args []string) error {
	if err := s.find(); err != nil {
		return err
	}
	argv := []string{"-e", "-c", script, s.app.Prog}
	if s.isBash {
		argv = append([]string{"-O", "extglob", "-o", "pipefail"}, argv...)
	}
	c := exec.CommandContext(ctx, s.path, append(argv, args...)...)
	c.Stdin, c.Stdout, c.Stderr = s.app.In, s.app.Out, s.app.Err
	c.Env = append(os.Environ(), "LC_ALL=C", "PATH="+hookPath(s.app.Getenv("PATH")))
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = patience
	err := c.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

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
