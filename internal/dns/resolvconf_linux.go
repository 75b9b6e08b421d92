// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

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

// orderLine matches the lines of interface-order by which the original names
// its records: a beginning of names, such as "tun*".
var orderLine = regexp.MustCompile(`^[ \t]*([A-Za-z0-9-]+)\*[ \t]*\n`)

// record returns the name that resolvconf shall know the settings of the link
// dev by, the same as the original's, so that either can delete the other's.
// Debian's resolvconf takes records in the order of that file, in which
// "tun.wg0" comes before those of other links. For systemd's, a symbolic link,
// the name has to be the link's own.
func (r *Resolver) record(dev string) string {
	if path, err := exec.LookPath("resolvconf"); err == nil {
		if st, err := os.Lstat(path); err == nil && st.Mode()&os.ModeSymlink != 0 {
			return dev
		}
	}
	if st, err := os.Stat(r.interfaceOrder); err != nil || !st.Mode().IsRegular() {
		return dev
	}
	text, err := os.ReadFile(r.interfaceOrder)
	if err != nil {
		return dev
	}
	for line := range strings.Lines(string(text)) {
		if m := orderLine.FindStringSubmatch(line); m != nil {
			return m[1] + "." + dev
		}
	}
	return dev
}

func (r *Resolver) addRecord(ctx context.Context, s plan.DNSSettings) error {
	args := []string{"-a", s.Record, "-m", "0"}
	var text strings.Builder
	for _, server := range s.Servers {
		fmt.Fprintf(&text, "nameserver %s\n", server)
	}
	if len(s.Servers) > 0 {
		args = append(args, "-x") // exclusive: without servers it would leave none at all
	}
	if len(s.Search) > 0 {
		fmt.Fprintf(&text, "search %s\n", strings.Join(s.Search, " "))
	}
	started, err := r.resolvconf(ctx, text.String(), args...)
	if err != nil && started {
		// It may have stored something. How this ends matters less than why.
		interrupted := ctx.Err() != nil
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		if interrupted || r.recorded(ctx, s.Record) != "" {
			_ = r.deleteRecord(ctx, s)
		}
	}
	return err
}

// Recorded returns the name servers that resolvconf has on record for the link
// dev, whoever told it; none where it has no record, or can't tell.
func (r *Resolver) Recorded(ctx context.Context, dev string) (servers []string) {
	for line := range strings.Lines(r.recorded(ctx, r.record(dev))) {
		words := strings.Fields(line)
		if len(words) == 2 && words[0] == "nameserver" {
			servers = append(servers, words[1])
		}
	}
	return servers
}

// recorded returns a record's text, "" if there is none. Debian's resolvconf
// can't be asked, but keeps records as files.
func (r *Resolver) recorded(ctx context.Context, record string) string {
	var text strings.Builder
	if _, err := r.run(ctx, "", &text, "-l", record); err == nil {
		return text.String()
	}
	file, _ := os.ReadFile(filepath.Join(r.records, record))
	return string(file)
}

// tellsRecords reports whether recorded can know of records: systemd's
// resolvconf neither lists them nor keeps files. To ask for one that isn't there
// fails elsewhere, too, but not to list all.
func (r *Resolver) tellsRecords(ctx context.Context) bool {
	if _, err := r.run(ctx, "", io.Discard, "-l"); err == nil {
		return true
	}
	_, err := os.Stat(r.records)
	return err == nil
}

// deleteRecord is part of what Ctrl-C doesn't stop, so that it has to end by
// itself.
func (r *Resolver) deleteRecord(ctx context.Context, s plan.DNSSettings) error {
	ctx, cancel := context.WithTimeoutCause(ctx, deleteTime, fmt.Errorf("resolvconf didn't end within %v", deleteTime))
	defer cancel()
	_, err := r.resolvconf(ctx, "", "-d", s.Record, "-f")
	return err
}

// deleteTime is how long resolvconf may take to delete a record.
const deleteTime = 30 * time.Second

// patience is how long resolvconf may take to clean up, and to end once it was
// asked to.
const patience = 5 * time.Second

// resolvconf runs the program. The error is an [*exec.ExitError] if it fails.
func (r *Resolver) resolvconf(ctx context.Context, input string, args ...string) (started bool, err error) {
	return r.run(ctx, input, r.output, args...)
}

func (r *Resolver) run(ctx context.Context, input string, output io.Writer, args ...string) (started bool, err error) {
	c := exec.CommandContext(ctx, "resolvconf", args...)
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), output, r.output
	if output != r.output {
		c.Stderr = nil // a question that it doesn't know is no fault
	}
	// Mostly it is a shell script. Ctrl-C is for us, and what we make of it is
	// for the programs that it runs, too.
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGTERM) }
	c.WaitDelay = patience
	err = c.Run()
	started = c.Process != nil
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it is done; a daemon that it started keeps its output
		return started, nil
	case ctx.Err() != nil:
		return started, context.Cause(ctx)
	case errors.Is(err, exec.ErrNotFound):
		return started, &missingError{err}
	}
	return started, err
}

// A missingError says that resolvconf isn't installed. It is [exec.ErrNotFound].
type missingError struct{ err error }

func (e *missingError) Error() string { return e.err.Error() }
func (e *missingError) Unwrap() error { return e.err }

// Advice says what else there is.
func (e *missingError) Advice() []string {
	return []string{fmt.Sprintf("hint: install the package openresolv or resolvconf, or set %s to %s or %s", BackendVariable, plan.Resolved, plan.ResolvFile)}
}
