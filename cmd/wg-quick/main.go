// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command wg-quick brings WireGuard tunnels up and down from configuration
// files. It is a drop-in replacement for wg-quick(8) of wireguard-tools.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"wgtools/internal/cli"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/userspace"
)

func main() {
	if userspace.IsDevice(os.Args) {
		os.Exit(userspace.Main(os.Args))
	}
	become := becomeRoot
	if os.Geteuid() == 0 {
		become = nil
	}
	os.Exit(run(context.Background(), cli.OS(), become, os.Args[1:]))
}

// An app is what every subcommand works with.
type app struct {
	*cli.Env
	prog string // the program's name in messages

	// becomeRoot starts the program anew as root; nil if the user is root.
	becomeRoot func(prog string, args []string) error

	// tamper changes a session before it is used. Only tests have one.
	tamper func(*quick.Session)
}

const usage = `Usage: %s [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]

  up     brings up the tunnel that the file describes
  down   takes it down
  save   writes what has changed since to the file
  strip  prints the file without the keys below, as wg takes it
  reload brings a tunnel that is up to what its file says now; hooks don't run

CONFIG_FILE is INTERFACE.conf in any directory; a bare INTERFACE stands for
/etc/wireguard/INTERFACE.conf. Besides what wg knows, its section [Interface]
may have the keys

  Address   addresses of the interface
  DNS       name servers and search domains
  MTU       the largest packet, in bytes; by default what fits the way there
  Table     where routes go: auto, off, or a routing table
  PreUp, PostUp, PreDown, PostDown
            commands to run; %%i in them is the interface
  SaveConfig
            true to save when the tunnel goes down
`

// errUsage asks for the usage text and exit status 1.
var errUsage = errors.New("usage")

// run is main without the process.
func run(ctx context.Context, env *cli.Env, becomeRoot func(prog string, args []string) error, args []string) int {
	a := &app{Env: env, prog: filepath.Base(env.Prog), becomeRoot: becomeRoot}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	ctx, stop := interruptible(ctx)
	defer stop()

	command := &cobra.Command{
		Use: "wg-quick", SilenceErrors: true, SilenceUsage: true, DisableFlagParsing: true,
		Args: cobra.ArbitraryArgs, RunE: a.bare,
	}
	command.CompletionOptions.DisableDefaultCmd = true
	command.SetHelpCommand(&cobra.Command{Use: "help", Hidden: true, DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error {
		return a.bare(nil, append([]string{"help"}, args...))
	}})
	for _, verb := range []struct {
		name string
		run  func(ctx context.Context, arg string) error
	}{{"up", a.up}, {"down", a.down}, {"save", a.save}, {"strip", a.strip}, {"reload", a.reload}} {
		command.AddCommand(&cobra.Command{Use: verb.name, DisableFlagParsing: true, RunE: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errUsage
			}
			return verb.run(ctx, args[0])
		}})
	}
	err := error(nil)
	if len(args) > 0 && strings.HasPrefix(args[0], "-") {
		err = a.bare(nil, args) // cobra would look for a command behind it
	} else {
		command.SetArgs(args)
		err = command.ExecuteContext(ctx)
	}
	if err == errUsage {
		fmt.Fprintf(a.Err, usage, a.prog)
		return 1
	}
	return a.report(err)
}

// bare answers what is none of the commands.
func (a *app) bare(_ *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] != "help" && args[0] != "--help" && args[0] != "-h" {
		return errUsage
	}
	fmt.Fprintf(a.Err, usage, a.prog)
	return nil
}

// interruptible ends the context it returns with the signals that end a
// program, so that what was done is taken back; but not with those that
// somebody made this program ignore, as nohup does.
//
// A reader of our output that goes away is no reason to stop halfway.
func interruptible(ctx context.Context) (context.Context, func()) {
	var signals []os.Signal
	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		if !signal.Ignored(s) {
			signals = append(signals, s)
		}
	}
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	if len(signals) == 0 {
		return ctx, func() {}
	}
	return signal.NotifyContext(ctx, signals...)
}

// needRoot fails if the user isn't root and can't become it.
func (a *app) needRoot(args ...string) error {
	if a.becomeRoot == nil {
		return nil
	}
	return a.becomeRoot(a.prog, args)
}

// trace prints the lines of a change, as they are known from wg-quick.
func (a *app) trace(op plan.Op) {
	var b bytes.Buffer
	for line := range op.Lines() {
		fmt.Fprintf(&b, "[#] %s\n", line)
		if b.Len() > 32<<10 { // a batch of very many
			b.WriteTo(a.Err)
		}
	}
	b.WriteTo(a.Err)
}

func (a *app) say(line string) { io.WriteString(a.Err, line+"\n") }
