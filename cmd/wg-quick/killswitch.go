// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"wgtools/internal/quick"
)

// killSwitch adds the flag for a kill switch whatever the file says.
func killSwitch(a *app, c *cobra.Command) {
	const name = "kill-switch"
	c.Flags().StringVar(&a.options.killSwitch, name, "", "let nothing out but the tunnel, whatever the file says; with `MODE` lan to local networks, too")
	c.Flags().Lookup(name).NoOptDefVal = "true"
	values(name, "true", "lan", "false")(a, c)
}

// askKillSwitch gives t the kill switch that was asked for.
func (a *app) askKillSwitch(t *quick.Tunnel) error {
	if a.killSwitch == "" {
		return nil
	}
	k, err := quick.ParseKillSwitch(a.killSwitch)
	if err != nil {
		return &quick.Refusal{Text: fmt.Sprintf("--kill-switch: %v", err), Hint: "say --kill-switch alone, or --kill-switch=lan"}
	}
	return t.AskKillSwitch(k)
}

// unlock needs no file.
func (a *app) unlock(_ context.Context, arg string) (*job, error) {
	dev := deviceOf(arg)
	if dev == "" {
		return nil, &quick.Refusal{Text: fmt.Sprintf("`%s' is neither an interface's name nor that of a file", arg),
			Hint: "a name has 1 to 15 letters, digits and _=+.-"}
	}
	return &job{dev, func(ctx context.Context, s *quick.Session) error {
		err := s.Unlock(ctx, dev)
		if err == nil && !a.dryRun {
			a.say(fmt.Sprintf("[!] The kill switch of `%s' is off.", dev))
		}
		return err
	}}, nil
}
