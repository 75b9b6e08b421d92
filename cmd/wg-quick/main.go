// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command wg-quick brings WireGuard tunnels up and down from configuration
// files. It is a drop-in replacement for wg-quick(8) of wireguard-tools.
package main

import (
	"bytes"
	"cmp"
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
	watching "wgtools/internal/watch"
)

func main() {
	if userspace.IsDevice(os.Args) {
		os.Exit(userspace.Main(os.Args))
	}
	if isExec(os.Args) {
		os.Exit(execMain(os.Args))
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
	prog string   // the program's name in messages
	args []string // what it was called with
	options
	home *home // nil: the network namespace that it was started in

	// becomeRoot starts the program anew as root; nil if the user is root.
	becomeRoot func(prog string, args []string) error

	// tamper changes a session before it is used. Only tests have one.
	tamper func(*quick.Session)
	// times are those of a watch; nil: the usual ones. Only tests have others.
	times *watching.Times
}

// options are the flags of subcommands.
type options struct {
	netns       string // the network namespace, by name or path
	json        bool   // print JSON
	keepRuntime bool   // keep what others changed
	all         bool   // all tunnels instead of named ones
	dryRun      bool   // print what would be done
	noHooks     bool   // leave the hooks out
	replace     bool   // reload what is up already
	deferNames  bool   // leave endpoints out whose names can't be resolved

	killSwitch string // as in a file; "" is the file's own
}

const usage = `Usage: %[1]s [ up | down | save | strip ] [ CONFIG_FILE | INTERFACE ]

%[2]s
"%[1]s up --help" tells more of one of them.

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
  KillSwitch
            true to let nothing out but the tunnel; lan for local networks too
  Masquerade
            the link, or auto, by whose address leaves what comes out of it
  Forward   true to forward packets between the tunnel and other links
  PrivateKeyFile, PrivateKeyCommand
            a file that has the private key, or a command that prints it
  Include   a file with peers; those in INTERFACE.conf.d/*.conf are included, too

and a section [Peer]

  ExcludedIPs
            what is taken from its AllowedIPs
  PresharedKeyFile
            a file that has the preshared key
`

// errUsage asks for the usage text and exit status 1.
var errUsage = errors.New("usage")

// A status ends the program with that exit status. All is said already.
type status int

func (s status) Error() string { return fmt.Sprintf("exit status %d", int(s)) }

// run is main without the process.
func run(ctx context.Context, env *cli.Env, becomeRoot func(prog string, args []string) error, args []string) int {
	a := &app{Env: env, prog: filepath.Base(env.Prog), becomeRoot: becomeRoot}
	return a.run(ctx, args)
}

func (a *app) run(ctx context.Context, args []string) int {
	ctx, stop := interruptible(ctx)
	defer stop()
	a.args = args
	var err error
	switch {
	case len(args) == 1 && (args[0] == "help" || args[0] == "--help" || args[0] == "-h"):
		a.usage()
	case len(args) == 0 || strings.HasPrefix(args[0], "-h") || args[0] == "--help" || args[0] == "help":
		err = errUsage
	default:
		command := a.command()
		command.SetArgs(args)
		command.SetOut(a.Out)
		command.SetErr(a.Err)
		err = command.ExecuteContext(ctx)
	}
	if err == errUsage {
		a.usage()
		return 1
	}
	return a.report(err)
}

func (a *app) usage() {
	var words strings.Builder
	for _, c := range a.command().Commands() {
		if !c.Hidden {
			fmt.Fprintf(&words, "  %-11s %s\n", c.Name(), c.Short)
		}
	}
	fmt.Fprintf(a.Err, usage, a.prog, words.String())
}

// Subcommands are listed in our order. This is a variable of the library's.
func init() { cobra.EnableCommandSorting = false }

// command returns all subcommands.
func (a *app) command() *cobra.Command {
	root := &cobra.Command{
		Use: a.prog, SilenceErrors: true, SilenceUsage: true,
		Args: cobra.ArbitraryArgs, RunE: func(*cobra.Command, []string) error { return errUsage },
	}
	root.PersistentFlags().StringVar(&a.netns, "netns", "", "the network namespace `NAME` that the tunnel is in; its packets to peers go by this one")
	root.PersistentFlags().BoolVar(&a.noHooks, "no-hooks", false, "run none of the file's commands")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if a.netns == "" {
			return nil
		}
		if err := a.needRoot(); err != nil {
			return err
		}
		return a.enter(a.netns)
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetHelpCommand(&cobra.Command{Use: "help", Short: "lists them", Hidden: true, ValidArgsFunction: none})
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		if c == root {
			return errUsage
		}
		return &problem{line: fmt.Sprintf("%s: %v", a.prog, err), advice: []string{"hint: `" + a.prog + " " + c.Name() + " --help' lists them"}}
	})
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		fmt.Fprintf(a.Out, "Usage: %s\n\n%s\n", c.UseLine(), cmp.Or(c.Long, c.Short))
		fmt.Fprintf(a.Out, "\n%s%s", c.LocalNonPersistentFlags().FlagUsages(), c.InheritedFlags().FlagUsages())
	})
	completing("netns", namespaces)(a, root)
	root.AddCommand(a.subcommands()...)
	return root
}

func (a *app) subcommands() []*cobra.Command {
	exec := a.subcommand("exec CONFIG_FILE|INTERFACE [--] COMMAND...", "runs a command that can only use the tunnel", a.exec, tunnelThenCommand)
	exec.Flags().SetInterspersed(false) // flags behind it are the command's
	return append(a.changing(),
		a.onTunnels("unlock", "removes the kill switch of a tunnel, which needn't be there any more", a.unlock, dryRun, tunnels(anyNumber, known)),
		a.onTunnel("save", "writes what has changed since to the file", a.save, dryRun, tunnels(1, running)),
		a.onTunnel("strip", "prints the file without the keys below, as wg takes it", a.strip, tunnels(1, configured)),
		a.plan(),
		exec,
		a.subcommand("watch [CONFIG_FILE|INTERFACE...]", "stays, and keeps tunnels in touch: looks names up anew, puts back what others take away", a.watch, all, asJSON, tunnels(anyNumber, running)),
		a.onTunnel("reresolve", "looks up the endpoints of peers anew that had no handshake for 135 seconds", a.reresolve, dryRun, tunnels(1, running)),
		a.subcommand("status [CONFIG_FILE|INTERFACE...]", "says how tunnels are: exit status 0 healthy, 3 not what the file says, 4 not up, 5 no fresh handshake", a.status, asJSON, tunnels(anyNumber, known)),
		a.check(),
		a.allowedIPs(),
		a.routeCommand(),
		a.doctorCommand(),
	)
}

// changing returns the subcommands that change tunnels.
func (a *app) changing() []*cobra.Command {
	return []*cobra.Command{
		a.onTunnels("up", "brings up the tunnel that the file describes", a.up,
			dryRun, all, option(&a.replace, "replace", "if it is up already, reload it"),
			option(&a.deferNames, "defer-names", "leave endpoints out whose names can't be looked up now; watch or reresolve sets them later"),
			killSwitch, tunnels(anyNumber, configured)),
		a.onTunnels("down", "takes it down", a.down, dryRun, all, tunnels(anyNumber, running)),
		a.onTunnels("reload", "brings a tunnel that is up to what its file says now; hooks don't run", a.reload, dryRun, all,
			option(&a.keepRuntime, "keep-runtime", "keep what others changed meanwhile, as by `wg set'"), tunnels(anyNumber, running)),
	}
}

// plan returns the subcommand that goes before those that change tunnels.
func (a *app) plan() *cobra.Command {
	c := a.subcommand("plan", "prints what up, down or reload would do, and does nothing", func(context.Context, []string) error { return errUsage })
	for _, sub := range a.changing() {
		sub.PreRun = func(*cobra.Command, []string) { a.dryRun = true }
		c.AddCommand(sub)
	}
	return c
}

// A setting adds a flag to a subcommand.
type setting func(a *app, c *cobra.Command)

func option(value *bool, name, does string) setting {
	return func(_ *app, c *cobra.Command) { c.Flags().BoolVar(value, name, false, does) }
}

func dryRun(a *app, c *cobra.Command) {
	option(&a.options.dryRun, "dry-run", "print what would be done, and do nothing")(a, c)
}

func all(a *app, c *cobra.Command) {
	option(&a.options.all, "all", "all tunnels that it can be done to")(a, c)
}

func asJSON(a *app, c *cobra.Command) {
	option(&a.options.json, "json", "print JSON (docs/json.md)")(a, c)
}

// onTunnel returns a subcommand for one tunnel.
func (a *app) onTunnel(name, does string, run func(ctx context.Context, arg string) error, settings ...setting) *cobra.Command {
	return a.subcommand(name+" CONFIG_FILE|INTERFACE", does, func(ctx context.Context, args []string) error {
		if len(args) != 1 {
			return errUsage
		}
		return run(ctx, args[0])
	}, settings...)
}

// subcommand returns a subcommand. use is its name and what follows it.
func (a *app) subcommand(use, does string, run func(ctx context.Context, args []string) error, settings ...setting) *cobra.Command {
	c := &cobra.Command{Use: use, Short: does, RunE: func(c *cobra.Command, args []string) error { return run(c.Context(), args) }}
	for _, set := range settings {
		set(a, c)
	}
	return c
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
func (a *app) needRoot() error {
	if a.becomeRoot == nil {
		return nil
	}
	return a.becomeRoot(a.prog, a.args)
}

// trace prints the lines of a change, as they are known from wg-quick: beside
// what hooks print or, if they are all that is asked for, as the output.
func (a *app) trace(op plan.Op) {
	w := a.Err
	if a.dryRun {
		w = a.Out
	}
	var b bytes.Buffer
	for line := range op.Lines() {
		fmt.Fprintf(&b, "[#] %s\n", line)
		if b.Len() > 32<<10 { // a batch of very many
			b.WriteTo(w)
		}
	}
	b.WriteTo(w)
}

func (a *app) say(line string) { io.WriteString(a.Err, line+"\n") }
