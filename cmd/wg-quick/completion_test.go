// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"wgtools/internal/check"
	"wgtools/internal/cli"
)

// tree returns the command with all subcommands.
func tree() *cobra.Command {
	a := &app{Env: &cli.Env{Out: os.Stdout, Err: os.Stderr, LookupEnv: os.LookupEnv}, prog: "wg-quick"}
	return a.command()
}

var flagLine = regexp.MustCompile(`(?m)^ +(?:-[a-z], )?--([a-z-]+)`)

// flagsOf returns the flags of a subcommand itself, and --help.
func flagsOf(c *cobra.Command) []string {
	c.InitDefaultHelpFlag()
	return flagsIn(c.LocalNonPersistentFlags().FlagUsages())
}

// globalFlags are those of all subcommands.
func globalFlags(root *cobra.Command) []string { return flagsIn(root.PersistentFlags().FlagUsages()) }

func flagsIn(usages string) (names []string) {
	for _, m := range flagLine.FindAllStringSubmatch(usages, -1) {
		names = append(names, m[1])
	}
	return names
}

// The scripts are what cobra makes; -update writes them.
func TestCompletionScripts(t *testing.T) {
	for path, generate := range map[string]func(c *cobra.Command, b *bytes.Buffer) error{
		"bash/wg-quick":      func(c *cobra.Command, b *bytes.Buffer) error { return c.GenBashCompletionV2(b, true) },
		"zsh/_wg-quick":      func(c *cobra.Command, b *bytes.Buffer) error { return c.GenZshCompletion(b) },
		"fish/wg-quick.fish": func(c *cobra.Command, b *bytes.Buffer) error { return c.GenFishCompletion(b, true) },
	} {
		path = filepath.Join("../../completions", path)
		var want bytes.Buffer
		if err := generate(tree(), &want); err != nil {
			t.Fatal(err)
		}
		if *update {
			if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want.Bytes()) {
			t.Errorf("%s: %v, or not what cobra makes: go test ./cmd/wg-quick -run %s -args -update", path, err, t.Name())
		}
	}
	for program, script := range map[string]string{"zsh": "zsh/_wg-quick", "fish": "fish/wg-quick.fish"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Logf("%s isn't installed: its script isn't read", program)
		} else if out, err := exec.Command(program, "-n", "../../completions/"+script).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%s: %v\n%s", script, err, out)
		}
	}
}

// bashCompletion is where Debian has the functions that cobra's script needs.
const bashCompletion = "/usr/share/bash-completion/bash_completion"

// press returns what bash offers when TAB is pressed behind a line. "FILES" stands
// for what readline finds itself.
func press(t *testing.T, line string) (offered []string) {
	t.Helper()
	script, err := filepath.Abs("../../completions/bash/wg-quick")
	if err != nil {
		t.Fatal(err)
	}
	const pressTab = `source "$1"; source "$2"; COMP_LINE=$3 COMP_POINT=${#3} COMP_TYPE=9 COMP_KEY=9 COLUMNS=1000
		type() { echo builtin; } # compopt is one, outside of tests
		compopt() { [[ $* != "-o default" ]] || echo FILES; [[ $* != "+o default" ]] || nothing=1; }
		shift 3; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); __start_wg-quick wg-quick
		printf '%s\n' "${COMPREPLY[@]}"
		((${#COMPREPLY[@]})) || [[ $nothing ]] || echo FILES`
	// As bash parts them.
	words := strings.Split(strings.ReplaceAll(line, "=", " = "), " ")
	c := exec.Command("bash", append([]string{"--norc", "-c", pressTab, "bash", bashCompletion, script, line}, words...)...)
	var errs bytes.Buffer
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s", line, err, errs.String())
	}
	for text := range strings.Lines(string(out)) {
		word, _, _ := strings.Cut(strings.TrimSpace(text), " ") // a description follows
		if word != "" {
			offered = append(offered, word)
		}
	}
	slices.Sort(offered)
	return offered
}

func needsBashCompletion(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(bashCompletion); err != nil {
		t.Skip("bash-completion isn't installed (Debian: bash-completion)")
	}
}

// Bash offers all subcommands, each with all of its flags, and nothing else.
func TestCompleteSubcommands(t *testing.T) {
	needsBashCompletion(t)
	var offer func(line string, c *cobra.Command)
	offer = func(line string, c *cobra.Command) {
		var names []string
		for _, sub := range c.Commands() {
			if !sub.Hidden {
				names = append(names, sub.Name())
				offer(line+sub.Name()+" ", sub)
			}
		}
		if !c.HasParent() {
			names = append(names, "help")
		}
		slices.Sort(names)
		if got := press(t, line); len(names) > 0 && !slices.Equal(got, names) {
			t.Errorf("%q: offered are %q, want %q", line, got, names)
		}
		if c.HasParent() && !c.HasSubCommands() && c.ValidArgsFunction == nil {
			t.Errorf("%q: nobody says what its words may be", line)
		}
		var flags []string
		for _, name := range slices.Concat(flagsOf(c), globalFlags(c.Root())) {
			flags = append(flags, "--"+name)
		}
		slices.Sort(flags)
		if got := press(t, line+"--"); !slices.Equal(slices.Compact(got), flags) {
			t.Errorf("%q: offered are %q, want %q", line+"--", got, flags)
		}
	}
	offer("wg-quick ", tree())
}

// Names are those of files, of tunnels that are up, and of namespaces. wg1 is
// up, wg0 is in the namespace app, and both are among the files.
func TestCompleteNames(t *testing.T) {
	needsBashCompletion(t)
	apart(t, func(s *site, path string) {
		if got := s.wgQuick("--netns", "app", "up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		s.sh("mkdir -p /etc/wireguard dir && cp *.conf /etc/wireguard && cp wg0.conf /etc/wireguard/home.conf && touch dir/x.conf dir/y.txt" +
			" && echo '[Peer]' >/etc/wireguard/peers.conf && touch '/etc/wireguard/not a name.conf'")
		codes := []string{}
		for _, r := range check.Rules() {
			if strings.HasPrefix(r.Code, "hook") {
				codes = append(codes, r.Code)
			}
		}
		slices.Sort(codes)
		dir := s.dir + "/dir/"
		tests := map[string]string{
			"up ":                            "home wg0 wg1",
			"up w":                           "wg0 wg1",
			"up wg0 ":                        "home wg1",
			"up --replace wg1 w":             "wg0",
			"up --all ":                      "",
			"plan up wg":                     "wg0 wg1",
			"check ho":                       "home",
			"strip ":                         "home wg0 wg1",
			"strip wg0 ":                     "",
			"down ":                          "wg1",
			"down --dry-run ":                "wg1",
			"reload w":                       "wg1",
			"save ":                          "wg1",
			"route ":                         "wg1",
			"route wg1 ":                     "",
			"status ":                        "home wg0 wg1",
			"doctor ":                        "home wg0 wg1",
			"unlock ":                        "home wg0 wg1",
			"exec ":                          "home wg0 wg1",
			"exec wg0 -- ":                   "FILES",
			"--netns app down ":              "wg0",
			"down --netns ":                  "app",
			"up --kill-switch=":              "false lan true",
			"check --dialect ":               "wg wg-quick",
			"check --ignore hook":            strings.Join(codes, " "),
			"doctor wg1 --probe ":            "",
			"allowed-ips 10.0.0.0/8 --exclu": "--exclude",
			"allowed-ips ":                   "",
			"help ":                          "",
			"no-such ":                       "FILES",
			"up " + dir:                      dir + "x.conf",
			"up " + s.dir + "/di":            s.dir + "/dir",
		}
		for words, want := range tests {
			got := strings.Join(press(t, "wg-quick "+words), " ")
			if got != want {
				t.Errorf("%q: offered is %q, want %q", words, got, want)
			}
		}
		if got := s.wgQuick("--netns", "app", "down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
	})
}

// Who only completes doesn't become root.
func TestCompleteUnprivileged(t *testing.T) {
	var out, errs bytes.Buffer
	env := &cli.Env{Out: &out, Err: &errs, LookupEnv: func(string) (string, bool) { return "", false }, Prog: "wg-quick"}
	become := func(string, []string) error { return fmt.Errorf("asked to become root") }
	if got := run(t.Context(), env, become, []string{cobra.ShellCompRequestCmd, "--netns", "x", "down", ""}); got != 0 || strings.Contains(errs.String(), "root") {
		t.Errorf("exit status %d, %s", got, errs.String())
	}
}
