// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"wgtools/internal/config"
	"wgtools/internal/device"
)

// allowedIPs returns the subcommand that computes what ExcludedIPs do. It reads
// its own arguments: all prefixes behind --exclude are excluded, not only the
// first.
func (a *app) allowedIPs() *cobra.Command {
	c := &cobra.Command{
		Use: "allowed-ips PREFIX... [--exclude PREFIX...] [--lines | --json]", Short: "computes allowed IPs without some of them",
		Long: `prints the fewest prefixes that have all addresses of the first ones and none
of those to exclude, as AllowedIPs takes them. A PREFIX is ADDRESS/LENGTH or
ADDRESS, or several, separated by commas.`,
		DisableFlagParsing: true,
		ValidArgsFunction:  none,
		RunE: func(c *cobra.Command, args []string) error {
			var allowed, excluded []netip.Prefix
			list, print := &allowed, commas
			for _, arg := range args {
				if more, ok := strings.CutPrefix(arg, "--exclude="); ok {
					list, arg = &excluded, more
				}
				switch {
				case arg == "-h", arg == "--help":
					return c.Help()
				case arg == "--exclude":
					list = &excluded
				case arg == "--lines":
					print = lines
				case arg == "--json":
					print = jsonArray
				case strings.HasPrefix(arg, "-"):
					return &problem{line: fmt.Sprintf("%s: unknown flag: %s", a.prog, arg), advice: []string{"hint: `" + a.prog + " allowed-ips --help' lists them"}}
				default:
					prefixes, err := a.prefixes(arg)
					if err != nil {
						return err
					}
					*list = append(*list, prefixes...)
				}
			}
			if len(allowed) == 0 {
				return errUsage
			}
			if outside := config.Outside(allowed, excluded); len(outside) > 0 {
				a.say(fmt.Sprintf("Warning: %v is not among the allowed IPs", outside[0]))
			}
			left := config.Exclude(allowed, excluded)
			if len(left) == 0 {
				a.say("Warning: nothing is left")
			}
			_, err := a.Out.Write(print(left))
			return err
		},
	}
	// For the help and for shells.
	c.InitDefaultHelpFlag()
	c.Flags().StringSlice("exclude", nil, "`PREFIX...` to take away")
	c.Flags().Bool("lines", false, "one prefix a line")
	c.Flags().Bool("json", false, "a JSON array")
	return c
}

// prefixes reads an argument, one prefix or several.
func (a *app) prefixes(arg string) (list []netip.Prefix, err error) {
	ips, plain, err := config.AppendAllowedIPs(nil, arg, func(w config.Warning) { a.say(w.Text) })
	if err != nil {
		return nil, err
	}
	if !plain || len(ips) == 0 {
		return nil, &problem{line: fmt.Sprintf("%s: `%s' is no prefix", a.prog, arg), advice: []string{"hint: a prefix is such as 10.0.0.0/8 or fd00::/8, without a sign"}}
	}
	for _, ip := range ips {
		list = append(list, ip.Masked())
	}
	return list, nil
}

// commas prints prefixes as a line of a file, or an argument, takes them.
func commas(list []netip.Prefix) []byte { return joined(list, ", ") }

func lines(list []netip.Prefix) []byte { return joined(list, "\n") }

func joined(list []netip.Prefix, between string) []byte {
	var b []byte
	for i, p := range list {
		if i > 0 {
			b = append(b, between...)
		}
		b = device.AppendPrefix(b, p)
	}
	if len(list) > 0 {
		b = append(b, '\n')
	}
	return b
}

func jsonArray(list []netip.Prefix) []byte {
	texts := make([]string, len(list))
	for i, p := range list {
		texts[i] = string(device.AppendPrefix(nil, p))
	}
	b, _ := json.Marshal(texts) // texts can be marshalled
	return append(bytes.ReplaceAll(b, []byte(","), []byte(", ")), '\n')
}
