// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package cli holds what the commands share: what they may touch of their
// process, the C library's words for system errors, and the one way in which
// an error becomes text.
package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// Env is everything that a command may touch of its process. Nothing below a
// main function reads the standard streams, the clock or the environment
// from anywhere else, so tests can run a command with buffers.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	// LookupEnv tells an empty variable from one that is not set.
	LookupEnv func(string) (string, bool)
	Now       func() time.Time
	Prog      string // argv[0], as received
}

// Getenv returns the value of an environment variable, "" if it is not set.
func (e *Env) Getenv(name string) string {
	value, _ := e.LookupEnv(name)
	return value
}

// OS returns the environment of the real process.
func OS() *Env {
	return &Env{In: os.Stdin, Out: os.Stdout, Err: os.Stderr, LookupEnv: os.LookupEnv, Now: time.Now, Prog: os.Args[0]}
}

// A Problem is an error that has more to say than its own text.
type Problem interface {
	error
	// Original returns the lines that the original tool prints for this
	// error, which scripts may look for. They are printed first, unprefixed.
	Original() []string
	// Advice returns our own lines: where it is wrong, why, and what to do.
	Advice() []string
}

// A Failure is the plainest [Problem]: the original's line, its cause and advice.
type Failure struct {
	Line   string   // what the original prints; may hold several lines
	Cause  error    // may be nil
	Advise []string // our lines
}

// Error returns the original's line.
func (f *Failure) Error() string { return f.Line }

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Original implements [Problem].
func (f *Failure) Original() []string { return strings.Split(f.Line, "\n") }

// Advice implements [Problem].
func (f *Failure) Advice() []string { return f.Advise }

// Report prints err to w for people: the original's lines, then ours. An
// error that is no [Problem] is printed as it is.
func Report(w io.Writer, err error) {
	var p Problem
	if !errors.As(err, &p) {
		fmt.Fprintln(w, err)
		return
	}
	var b strings.Builder // one write, so that lines of two commands don't mix
	for _, lines := range [][]string{p.Original(), p.Advice()} {
		for _, line := range lines {
			b.WriteString(line)
			b.WriteByte('\n')
		}
	}
	io.WriteString(w, b.String())
}

// Strerror returns the C library's text for the errno that err wraps, with
// its capital first letter ("No such device"), since scripts compare it.
// Without an errno it returns err's own text.
func Strerror(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	return errnoText(errno)
}

func errnoText(errno syscall.Errno) string {
	if errno == 133 { // EHWPOISON, which Go's table lacks
		return "Memory page has hardware error"
	}
	s := errno.Error()
	if strings.HasPrefix(s, "errno ") {
		return fmt.Sprintf("Unknown error %d", int(errno))
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
