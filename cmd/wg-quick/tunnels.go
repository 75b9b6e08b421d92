// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"wgtools/internal/config"
	"wgtools/internal/quick"
)

// onTunnels returns a subcommand for any number of tunnels. Mistakes in the
// files of all are found before anything is done to one; after that, each is
// done whole or not at all, whatever becomes of the others.
func (a *app) onTunnels(name, does string, prepare func(ctx context.Context, arg string) (*job, error), settings ...setting) *cobra.Command {
	return a.subcommand(name+" CONFIG_FILE|INTERFACE...", does, func(ctx context.Context, args []string) error {
		if (len(args) > 0) == a.all {
			return errUsage
		}
		if !a.dryRun {
			if err := a.needRoot(); err != nil {
				return err
			}
		}
		if a.all {
			var err error
			if args, err = a.candidates(name != "up"); err != nil {
				return err
			}
		}
		jobs, err := each(a, args, func(arg string) (*job, error) { return prepare(ctx, arg) })
		if err != nil {
			return err
		}
		_, err = each(a, jobs, func(j *job) (struct{}, error) { return struct{}{}, a.carryOut(ctx, j) })
		return err
	}, settings...)
}

// carryOut does a job. A rehearsal is in nobody's way, but what another process
// has half done isn't what to go by.
func (a *app) carryOut(ctx context.Context, j *job) error {
	do := func() error {
		return a.session(ctx, func(s *quick.Session) error { return j.do(ctx, s) })
	}
	run := func() error { return a.locked(ctx, j.dev, do) }
	if a.dryRun {
		run = func() error {
			if newJournal(runDir).Busy(j.dev) {
				return inWork(j.dev)
			}
			return do()
		}
	}
	err := run()
	if refusal, ok := err.(*quick.Refusal); ok && a.home == nil && refusal.Missing {
		if names, e := namespacesOf(j.dev); e == nil && len(names) > 0 {
			return &quick.Refusal{Text: refusal.Text, Hint: fmt.Sprintf("it is in the network namespace `%s': say --netns %[1]s", names[0])}
		}
	}
	return err
}

// each calls f with each of list, past failures, which it reports if there is
// more than one. The error has the status of the first.
func each[A, B any](a *app, list []A, f func(A) (B, error)) (results []B, err error) {
	for _, one := range list {
		result, e := f(one)
		if e != nil && len(list) > 1 {
			e = status(a.report(e))
		}
		if err == nil {
			err = e
		}
		results = append(results, result)
	}
	return results, err
}

// isTunnel reports whether a file has an [Interface]: one without is of peers,
// for others to include. Of one that can't be read it isn't known.
func isTunnel(path string) bool {
	text, err := os.ReadFile(path)
	return err != nil || config.Scan(path, text).HasInterface()
}

// candidates returns what --all means: the tunnels of which there is something,
// or those that have a file and aren't up, be it after a sudden end.
func (a *app) candidates(up bool) (args []string, err error) {
	files, err := os.ReadDir(configDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p := &problem{line: fmt.Sprintf("%s: %v", a.prog, err), cause: err}
		if os.IsPermission(err) {
			p.hint("only root may look: run it with sudo")
		}
		return nil, p
	}
	known := map[string]string{} // their files
	for _, f := range files {
		if m := fileName.FindStringSubmatch(f.Name()); m != nil && (up || isTunnel(filepath.Join(configDir, f.Name()))) {
			known[m[2]] = m[2]
		}
	}
	records, err := newJournal(runDir).Others("")
	if err != nil {
		return nil, err
	}
	recorded := map[string]*quick.Record{}
	for _, r := range records {
		recorded[r.Dev] = r
		if up {
			known[r.Dev] = argOf(r)
		}
	}
	for dev, arg := range known {
		_, err := net.InterfaceByName(dev)
		r := recorded[dev]
		switch linked := err == nil; {
		case up && (linked || r != nil), !up && (!linked || r != nil && r.Phase != quick.Up):
			args = append(args, arg)
		}
	}
	slices.Sort(args)
	if len(args) == 0 {
		which := "that is not up has a file in " + configDir
		if up {
			which = "is up"
		}
		a.say(fmt.Sprintf("%s: no tunnel %s", a.prog, which))
	}
	return args, nil
}

// argOf returns what names the tunnel of a record: its file, unless that is the
// one that its name stands for, or was, or has another name behind a link.
func argOf(r *quick.Record) string {
	path, err := filepath.EvalSymlinks(filepath.Join(configDir, r.Dev+".conf"))
	if err == nil && path == r.Config || filepath.Dir(r.Config) == configDir || deviceOf(r.Config) != r.Dev {
		return r.Dev
	}
	return r.Config
}
