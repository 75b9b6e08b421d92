// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command wg shows and configures WireGuard devices. It is a drop-in
// replacement for wg(8) of wireguard-tools.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"wgtools/internal/cli"
	"wgtools/internal/netlinkwg"
)

// version is the release of wireguard-tools whose behaviour this program has:
// scripts compare the line.
const version = "wireguard-tools v1.0.20260223 - https://git.zx2c4.com/wireguard-tools/\n"

func main() { os.Exit(run(context.Background(), cli.OS(), netlinkwg.New(), os.Args[1:])) }

// A command is one subcommand of wg. Its run gets the words after its name.
type command struct {
	name, about string
	run         func(ctx context.Context, a *app, args []string) error
}

// commands are in the order of the help text.
var commands = []command{
	{"show", "Shows devices: configuration, peers, handshakes, transfer", runShow},
	{"showconf", "Shows a device as a file that setconf takes", runShowconf},
	{"set", "Changes a device, or some of its peers", runSet},
	{"setconf", "Makes a device equal to a file", runSetconf},
	{"addconf", "Adds what is in a file to a device", runAddconf},
	{"syncconf", "Makes a device equal to a file, unchanged peers undisturbed", runSyncconf},
	{"genkey", "Prints a new private key", runGenkey},
	{"genpsk", "Prints a new preshared key", runGenpsk},
	{"pubkey", "Reads a private key from standard input and prints its public key", runPubkey},
}

// An app is what every subcommand works with.
type app struct {
	*cli.Env
	client netlinkwg.Client
	word   string // the subcommand, as typed
}

// errSilent ends a command with exit status 1 when all is said already.
var errSilent = errors.New("")

// run is main without the process. The first word is compared as it is: there
// are no abbreviations, no options before it and no "--" (wg(8)).
func run(ctx context.Context, env *cli.Env, client netlinkwg.Client, args []string) int {
	a := &app{Env: env, client: client}
	if len(args) == 0 {
		args = []string{"show"}
	}
	if len(args) == 1 {
		switch args[0] {
		case "-v", "--version", "version":
			io.WriteString(env.Out, version)
			return 0
		case "-h", "--help", "help":
			a.help(env.Out)
			return 0
		}
	}
	for _, c := range commands {
		if c.name != args[0] {
			continue
		}
		a.word = c.name
		err := c.run(ctx, a, args[1:])
		if err == nil {
			return 0
		}
		if err != errSilent {
			cli.Report(env.Err, err)
		}
		return 1
	}
	fmt.Fprintf(env.Err, "Invalid subcommand: `%s'\n", args[0])
	a.help(env.Err)
	return 1
}

func (a *app) help(w io.Writer) {
	fmt.Fprintf(w, "Usage: %s <cmd> [<args>]\n\nAvailable subcommands:\n", a.Prog)
	for _, c := range commands {
		fmt.Fprintf(w, "  %s: %s\n", c.name, c.about)
	}
	fmt.Fprintln(w, "Each subcommand prints how it is used when it is given `--help'.")
}

// usage prints how the subcommand is used, for a wrong number of words.
func (a *app) usage(form string) error {
	if form != "" {
		form = " " + form
	}
	fmt.Fprintf(a.Err, "Usage: %s %s%s\n", a.Prog, a.word, form)
	return errSilent
}
