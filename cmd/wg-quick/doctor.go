// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"wgtools/internal/doctor"
)

const doctorLong = `checks the machine and its tunnels, and says what is wrong, why, and the command
that mends it; docs/doctor.md lists all that it may find. It changes nothing.

Without INTERFACE it only looks, at all tunnels that are up. With one it also
sends a few packets, for some seconds: pings through the tunnel, for its MTU,
and an empty datagram to each endpoint that doesn't answer.

Exit status: 0 if nothing is wrong, 1 for a problem, 2 if something couldn't be
looked at. A warning is no problem.`

func (a *app) doctorCommand() *cobra.Command {
	address := ""
	c := a.subcommand("doctor [CONFIG_FILE|INTERFACE]", "says what is wrong with the machine and its tunnels, and what mends it", func(ctx context.Context, args []string) error {
		if len(args) > 1 || address != "" && len(args) == 0 {
			return errUsage
		}
		if err := a.needRoot(); err != nil {
			return err
		}
		e := examination{app: a, now: a.Now()}
		if len(args) == 1 {
			e.arg = args[0]
		}
		if err := a.examine(ctx, &e, address); err != nil {
			a.report(err)
			return cantLook
		}
		return a.diagnose(&e)
	}, asJSON, tunnels(1, known))
	c.Flags().StringVar(&address, "probe", "", "the `address` behind the tunnel to ping, instead of a likely one")
	values("probe")(a, c)
	c.Long = doctorLong
	return c
}

// examine reads the facts.
func (a *app) examine(ctx context.Context, e *examination, probe string) (err error) {
	if probe != "" {
		if e.probe, err = a.address(probe); err != nil {
			return err
		}
	}
	return a.onHost(func(h host) error { e.host = h; return e.read(ctx) })
}

// diagnose prints what is wrong.
func (a *app) diagnose(e *examination) error {
	list := doctor.Examine(&e.facts)
	if a.json {
		if err := a.printJSON(doctor.NewReport(e.now, list)); err != nil {
			return err
		}
	} else {
		printFindings(a.Out, list)
	}
	switch {
	case doctor.Count(list, doctor.Problem) > 0:
		return notSo
	case doctor.Count(list, doctor.Unknown) > 0:
		return cantLook
	}
	return nil
}

// marks are how severities begin a line.
var marks = map[doctor.Severity]string{doctor.OK: "[ok]", doctor.Warning: "[!] ", doctor.Problem: "[!!]", doctor.Unknown: "[??]"}

// printFindings prints a line for each finding, and below it why, and what
// mends it.
func printFindings(out io.Writer, list []doctor.Finding) {
	w := bufio.NewWriter(out)
	defer w.Flush()
	for _, f := range list {
		about := f.Check
		if f.Code != "" {
			about = f.Code
		}
		if f.Dev != "" {
			about = f.Dev + " " + about
		}
		fmt.Fprintf(w, "%s %s: %s\n", marks[f.Severity], about, f.What)
		if f.Why != "" {
			fmt.Fprintf(w, "     why: %s\n", f.Why)
		}
		for _, m := range f.Mend {
			fmt.Fprintf(w, "     mend: %s\n", m)
		}
	}
	var counts []string
	for _, s := range []struct {
		severity doctor.Severity
		one      string
	}{{doctor.Problem, "problem"}, {doctor.Warning, "warning"}} {
		n, many := doctor.Count(list, s.severity), "s"
		if n == 1 {
			many = ""
		}
		counts = append(counts, fmt.Sprintf("%d %s%s", n, s.one, many))
	}
	fmt.Fprintln(w, strings.Join(counts, ", "))
}
