// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// becomeRoot replaces this process by one of root's, through sudo(8), which
// asks for the password. The arguments stay as they are; so do the working
// directory and so relative paths. It returns only if that fails.
func becomeRoot(prog string, args []string) error {
	sudo, err := exec.LookPath("sudo")
	if err != nil {
		return &notRoot{prog: prog, status: 127, hint: "become root yourself, or install sudo"} // a shell's status
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	// In sudo's prompt %u is the user whose password is asked for.
	prompt := fmt.Sprintf("%s must be run as root. Please enter the password for %%u to continue: ", prog)
	argv := append([]string{"sudo", "-p", prompt, "--", self}, args...)
	return fmt.Errorf("%s: %w", sudo, syscall.Exec(sudo, argv, os.Environ()))
}

// notRoot says that the user isn't root and can't become it.
type notRoot struct {
	prog, hint string
	status     int
}

// Error has the words that sudo would ask with.
func (e *notRoot) Error() string { return e.prog + " must be run as root" }

// Original implements [cli.Problem].
func (e *notRoot) Original() []string { return []string{e.Error()} }

// Advice implements [cli.Problem].
func (e *notRoot) Advice() []string { return []string{"hint: " + e.hint} }
