// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command wg shows and configures WireGuard devices. It is a drop-in
// replacement for wg(8) of wireguard-tools.
package main

import (
	"context"
	"os"

	"wgtools/internal/cli"
	"wgtools/internal/netlinkwg"
)

func main() { os.Exit(run(context.Background(), cli.OS(), netlinkwg.New(), os.Args[1:])) }

// A command is one subcommand. Its run gets the words after the subcommand's
// name and returns an error for exit status 1; what it prints is its own.
type command struct {
	name, about string
	run         func(ctx context.Context, a *app, args []string) error
}

// An app is what every subcommand works with.
type app struct {
	*cli.Env
	client netlinkwg.Client
	word   string // the subcommand, as typed
}
