// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"wgtools/internal/check"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/netns"
)

// What shells offer when TAB is pressed. The scripts that cobra makes for them
// (completions/) ask for it with the hidden subcommand __complete, as the user
// who types: no root is asked for, and what only root may see isn't offered.

// A lister returns names of tunnels, in any order; what can't be read is left out.
type lister func(ctx context.Context, a *app) []string

// anyNumber is the number of words of a subcommand that takes one or more.
const anyNumber = -1

// tunnels has the words of a subcommand be names of tunnels, at most a number of
// them, or files.
func tunnels(most int, list lister) setting {
	return func(a *app, c *cobra.Command) {
		c.ValidArgsFunction = func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if most != anyNumber && len(args) >= most || a.all {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return tunnelWords(list(c.Context(), a), args, word)
		}
	}
}

// tunnelThenCommand has the first word of a subcommand be a tunnel's name, and
// leaves the others to the shell.
func tunnelThenCommand(a *app, c *cobra.Command) {
	c.ValidArgsFunction = func(c *cobra.Command, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveDefault
		}
		return tunnelWords(everywhere(c.Context(), a), nil, word)
	}
}

// tunnelWords returns what goes on from word: the names that aren't among the
// args, or files. A file of the working directory isn't offered by its bare name,
// which would mean another one in /etc/wireguard.
func tunnelWords(names, args []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.ContainsAny(word, "/~") || strings.HasPrefix(word, ".") {
		return []cobra.Completion{"conf"}, cobra.ShellCompDirectiveFilterFileExt
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return !strings.HasPrefix(name, word) || slices.Contains(args, name)
	})
	if len(names) == 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	slices.Sort(names)
	return slices.Compact(names), cobra.ShellCompDirectiveNoFileComp
}

// configured lists the tunnels that have a file in /etc/wireguard.
func configured(context.Context, *app) (names []string) {
	files, err := filepath.Glob(filepath.Join(configDir, "*.conf"))
	if err != nil {
		return nil
	}
	for _, path := range files {
		if m := fileName.FindStringSubmatch(path); m != nil && isTunnel(path) {
			names = append(names, m[2])
		}
	}
	return names
}

// running lists the tunnels that are up, and those of which something is left.
func running(ctx context.Context, a *app) []string {
	if a.netns != "" {
		return recorded(namespaceSuffix(a.netns))
	}
	devices, err := netlinkwg.New().List(ctx)
	if err != nil {
		devices = nil
	}
	// Namespaces share the directory of devices' sockets.
	elsewhere := func(name string) bool { _, err := net.InterfaceByName(name); return err != nil }
	return append(slices.DeleteFunc(devices, elsewhere), recorded(newJournal(runDir).suffix)...)
}

// known lists all tunnels.
func known(ctx context.Context, a *app) []string {
	return append(configured(ctx, a), running(ctx, a)...)
}

// everywhere lists all tunnels, in any network namespace.
func everywhere(ctx context.Context, a *app) []string {
	return append(known(ctx, a), recorded("@*")...)
}

// recorded lists the tunnels of whose records the names end in suffix, which may
// be a pattern.
func recorded(suffix string) (names []string) {
	records, err := filepath.Glob(filepath.Join(runDir, "*"+suffix+".json"))
	if err != nil {
		return nil
	}
	for _, path := range records {
		name, number, is := strings.Cut(strings.TrimSuffix(filepath.Base(path), ".json"), "@")
		if is == (suffix != "") && (!is || number != "") {
			names = append(names, name)
		}
	}
	return names
}

// namespaceSuffix is what records of a network namespace have in their names.
func namespaceSuffix(name string) string {
	var st unix.Stat_t
	ns, err := netns.Open(name)
	if err == nil {
		defer ns.Close()
		err = unix.Fstat(int(ns.Fd()), &st)
	}
	if err != nil {
		return "@none"
	}
	return "@" + strconv.FormatUint(st.Ino, 10)
}

// values has a flag be one of some words.
func values(flag string, words ...cobra.Completion) setting {
	return completing(flag, func(string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp
	})
}

// completing has a flag be what complete makes of its beginning.
func completing(flag string, complete func(word string) ([]cobra.Completion, cobra.ShellCompDirective)) setting {
	return func(_ *app, c *cobra.Command) {
		err := c.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, word string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return complete(word)
		})
		if err != nil {
			panic(err) // there is no such flag
		}
	}
}

// namespaces completes the name of a network namespace, or its path.
func namespaces(word string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(word, "/") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return netns.Names(), cobra.ShellCompDirectiveNoFileComp
}

// ruleCodes are the codes that check has.
func ruleCodes() (list []cobra.Completion) {
	for _, r := range check.Rules() {
		list = append(list, cobra.CompletionWithDesc(r.Code, r.Doc))
	}
	return list
}

// none has nothing to offer.
func none(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}
