// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/term"

	"wgtools/internal/cli"
	"wgtools/internal/config"
	"wgtools/internal/keys"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/show"
)

var showUsage = "{ <interface> | all | interfaces } [" + strings.Join(show.Fields, " | ") + "]"

// A showing is one call of "wg show".
type showing struct {
	*app
	showOptions
	out *show.Output
}

// showOptions are ours, which the original doesn't have.
type showOptions struct {
	json, names, showKeys bool
	watch                 time.Duration // 0: once
}

func runShow(ctx context.Context, a *app, args []string) error {
	options, args, err := parseShowOptions(args)
	if err != nil {
		return err
	}
	s := &showing{app: a, showOptions: options, out: show.NewOutput(a.Out)}
	if len(args) > 2 {
		return a.usage(showUsage)
	}
	if err := s.agree(args); err != nil {
		return err
	}
	switch {
	case len(args) == 0 || args[0] == "all":
		if s.watch > 0 {
			return s.watching(ctx, "")
		}
		return s.all(ctx, args)
	case args[0] == "interfaces":
		if len(args) == 2 {
			return a.usage(showUsage)
		}
		return s.interfaces(ctx)
	case len(args) == 1 && (args[0] == "-h" || args[0] == "--help" || args[0] == "help"):
		a.usage(showUsage)
		return nil
	case s.watch > 0:
		return s.watching(ctx, args[0])
	}
	return s.one(ctx, args)
}

// parseShowOptions takes our own options out of the words after "show".
func parseShowOptions(args []string) (o showOptions, rest []string, err error) {
	for _, arg := range args {
		seconds, isWatch := strings.CutPrefix(arg, "--watch=")
		switch {
		case arg == "--json":
			o.json = true
		case arg == "--names":
			o.names = true
		case arg == "--show-keys":
			o.showKeys = true
		case arg == "--watch":
			o.watch = defaultInterval
		case isWatch:
			if o.watch, err = parseInterval(seconds); err != nil {
				return o, nil, err
			}
		default:
			rest = append(rest, arg)
		}
	}
	return o, rest, nil
}

// agree refuses options that mean nothing for what is asked.
func (s *showing) agree(args []string) error {
	ours := s.json || s.names || s.showKeys || s.watch > 0
	switch {
	case !ours:
		return nil
	case len(args) == 2:
		return &cli.Failure{Line: fmt.Sprintf("`%s' is for scripts: --json, --names, --show-keys and --watch don't go with it", args[1])}
	case len(args) == 1 && args[0] == "interfaces":
		return &cli.Failure{Line: "`interfaces' is for scripts: --json, --names, --show-keys and --watch don't go with it"}
	case s.watch > 0 && !s.json && !isTerminal(s.Out):
		return &cli.Failure{Line: "--watch needs a terminal to draw on", Advise: []string{"hint: with --json it prints a line each time, for programs"}}
	}
	return nil
}

func (s *showing) interfaces(ctx context.Context) error {
	names, err := s.list(ctx)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		io.WriteString(s.Out, strings.Join(names, " ")+"\n")
	}
	return nil
}

func (s *showing) list(ctx context.Context) ([]string, error) {
	names, err := s.client.List(ctx)
	if err != nil {
		return nil, &cli.Failure{Line: "Unable to list interfaces: " + cli.Strerror(err), Cause: err, Advise: listAdvice(err)}
	}
	return names, nil
}

// one shows a single device. It is read before the field's name is looked at,
// so a missing device is told before a wrong field.
func (s *showing) one(ctx context.Context, args []string) error {
	name := args[0]
	defer s.out.Flush()
	var err error
	switch {
	case s.json:
		doc := s.out.JSON(s.Now(), s.showKeys, false)
		if err = s.jsonDevice(ctx, doc, name); err == nil {
			doc.Close()
		} else {
			doc.Abandon()
		}
	case len(args) == 1:
		err = s.pretty(ctx, name)
	default:
		form, known := show.Field(args[1])
		lines := s.out.Lines(form, "")
		if err = s.client.Read(ctx, name, lines); err != nil {
			lines.Fail()
		} else if !known {
			return s.badField(args[1])
		}
	}
	if err != nil {
		return &cli.Failure{
			Line:   "Unable to access interface: " + cli.Strerror(err),
			Cause:  err,
			Advise: deviceAdvice(ctx, s.client, name, err),
		}
	}
	return nil
}

func (s *showing) badField(field string) error {
	fmt.Fprintf(s.Err, "Invalid parameter: `%s'\n", field)
	return s.usage(showUsage)
}

// all shows every device. One that can't be read is said, and makes the whole
// fail only if all do.
func (s *showing) all(ctx context.Context, args []string) error {
	names, err := s.list(ctx)
	if err != nil {
		return err
	}
	var doc *show.JSON
	if s.json {
		doc = s.out.JSON(s.Now(), s.showKeys, false)
		defer doc.Close()
	}
	defer s.out.Flush()
	read := 0
	for i, name := range names {
		var err error
		switch {
		case s.json:
			err = s.jsonDevice(ctx, doc, name)
		case len(args) < 2:
			if err = s.pretty(ctx, name); err == nil && i < len(names)-1 {
				s.out.WriteString("\n")
			}
		default:
			form, known := show.Field(args[1])
			lines := s.out.Lines(form, name+"\t")
			if err = s.client.Read(ctx, name, lines); err != nil {
				lines.Fail()
			} else if !known {
				return s.badField(args[1])
			}
		}
		if err != nil {
			cli.Report(s.Err, &cli.Failure{
				Line:   fmt.Sprintf("Unable to access interface %s: %s", name, cli.Strerror(err)),
				Advise: deviceAdvice(ctx, s.client, name, err),
			})
			continue
		}
		read++
	}
	if read == 0 && len(names) > 0 {
		return errSilent
	}
	return nil
}

// pretty adds a device as people read it.
func (s *showing) pretty(ctx context.Context, name string) error {
	d, peers, err := netlinkwg.ReadAll(ctx, s.client, name)
	if err != nil {
		return err
	}
	style := s.style()
	if s.names {
		style.Names = peerNames(name)
	}
	s.out.WriteString(string(show.Pretty(nil, d, peers, style)))
	return nil
}

func (s *showing) style() show.Style {
	color := s.Getenv("WG_COLOR_MODE") == "always"
	if mode := s.Getenv("WG_COLOR_MODE"); mode != "always" && mode != "never" {
		color = isTerminal(s.Out)
	}
	return show.Style{
		Color:    color,
		ShowKeys: s.showKeys || s.Getenv("WG_HIDE_KEYS") == "never",
		Now:      s.Now().Unix(),
	}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (s *showing) jsonDevice(ctx context.Context, doc *show.JSON, name string) error {
	sink := doc.Device(peerNames(name))
	if err := s.client.Read(ctx, name, sink); err != nil {
		sink.Fail()
		return err
	}
	sink.Close()
	return nil
}

// configDir is where the configuration files are whose comments name peers.
var configDir = "/etc/wireguard"

// peerNames returns the names that the device's configuration file gives to
// peers; none if it can't be read.
func peerNames(name string) map[keys.Key]string {
	if strings.Contains(name, "/") {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(configDir, name+".conf"))
	if err != nil {
		return nil
	}
	return config.PeerNames(text)
}

func runShowconf(ctx context.Context, a *app, args []string) error {
	if len(args) != 1 {
		return a.usage("<interface>")
	}
	out := show.NewOutput(a.Out)
	defer out.Flush()
	lines := out.Lines(show.Conf, "")
	if err := a.client.Read(ctx, args[0], lines); err != nil {
		lines.Fail()
		return &cli.Failure{
			Line:   "Unable to access interface: " + cli.Strerror(err),
			Cause:  err,
			Advise: deviceAdvice(ctx, a.client, args[0], err),
		}
	}
	return nil
}
