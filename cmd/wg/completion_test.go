// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/fakedevice"
	"wgtools/internal/netnstest"
	"wgtools/internal/show"
)

// press is how each shell is asked what it offers when TAB is pressed behind
// words. It prints a word a line; FILE is for any file.
var press = []struct {
	shell, script string
	command       func(script, line string) []string
}{
	{"bash", "bash/wg", func(script, line string) []string {
		return []string{"--norc", "-c", `source "$1"; COMP_LINE=$2 COMP_POINT=${#2}
			compopt() { echo FILE; }
			_wg wg; printf '%s\n' "${COMPREPLY[@]}"`, "bash", script, line}
	}},
	{"zsh", "zsh/_wg", func(script, line string) []string {
		return append([]string{"-f", "-c", `script=$1; shift; words=("$@") CURRENT=$#
			_describe() { print -rl -- ${${(M)${(P)2}:#$words[CURRENT]*}%%:*} }
			_files() { print FILE }
			_message() { }
			_call_program() { eval "${(@)argv[2,-1]}" }
			source $script; true`, "zsh", script}, strings.Split(line, " ")...)
	}},
	{"fish", "fish/wg.fish", func(script, line string) []string {
		return []string{"--no-config", "-c", `source $argv[1]; complete -C $argv[2]`, script, line}
	}},
}

// Each shell offers what the code has, devices and their peers included.
func TestCompletion(t *testing.T) {
	a, b := testKey(1).Base64(), testKey(2).Base64()
	var words []string
	for _, c := range commands {
		words = append(words, c.name)
	}
	of := func(peer bool) (words []string) {
		for _, s := range settings {
			if s.peer == peer {
				words = append(words, s.word)
			}
		}
		return append(words, "peer")
	}
	options := showFlags
	interfaces := []string{"wg0", "wg1"}
	without := func(list []string, words ...string) []string {
		return slices.DeleteFunc(slices.Clone(list), func(w string) bool { return slices.Contains(words, w) })
	}
	tests := []struct {
		line string
		want []string
	}{
		{"wg ", append(words, "help", "version")},
		{"wg ge", []string{"genkey", "genpsk"}},
		{"wg show ", slices.Concat(interfaces, []string{"all", "interfaces"}, options)},
		{"wg show w", interfaces},
		{"wg show --json ", slices.Concat(interfaces, []string{"all"}, without(options, "--json"))},
		{"wg show wg0 ", append(options, show.Fields...)},
		{"wg show all p", []string{"peers", "persistent-keepalive", "preshared-keys", "private-key", "public-key"}},
		{"wg show wg0 --watch=3 ", without(options, "--watch")},
		{"wg show interfaces ", nil},
		{"wg show wg0 dump ", nil},
		{"wg showconf ", interfaces},
		{"wg showconf wg0 ", nil},
		{"wg setconf ", interfaces},
		{"wg setconf wg0 ", []string{"FILE"}},
		{"wg syncconf wg0 F", []string{"FILE"}},
		{"wg addconf wg0 a ", nil},
		{"wg genkey ", nil},
		{"wg set ", interfaces},
		{"wg set wg0 ", of(false)},
		{"wg set wg0 private-key ", []string{"FILE"}},
		{"wg set wg0 private-key peer ", without(of(false), "private-key")},
		{"wg set wg0 listen-port ", nil},
		{"wg set wg0 fwmark ", []string{"off"}},
		{"wg set wg0 peer ", []string{a, b}},
		{"wg set wg1 peer ", nil},
		{"wg set wg0 peer " + a[:5], []string{a}},
		{"wg set wg0 peer " + a + " ", append(of(true), "remove")},
		{"wg set wg0 peer " + a + " remove endpoint x ", without(of(true), "endpoint")},
		{"wg set wg0 peer " + a + " preshared-key ", []string{"FILE"}},
		{"wg set wg0 peer " + a + " remove peer ", []string{b}},
		{"wg set wg0 peer " + a + " remove peer " + b + " ", append(of(true), "remove")},
		{"wg nonsense ", nil},
	}
	program := buildWG(t)
	netnstest.Run(t, func() error {
		const sockets = "/run/wireguard"
		if err := os.MkdirAll(sockets, 0o700); err != nil {
			return err
		}
		for name, peers := range map[string][]fakedevice.Peer{"wg0": {{PublicKey: a}, {PublicKey: b}}, "wg1": nil} {
			s, err := fakedevice.Serve(sockets, name, fakedevice.Spec{Peers: peers})
			if err != nil {
				return err
			}
			defer s.Close()
		}
		bin, dir := filepath.Dir(program), t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "FILE"), nil, 0o600); err != nil {
			return err
		}
		for _, p := range press {
			if _, err := exec.LookPath(p.shell); err != nil {
				t.Logf("%s isn't installed", p.shell)
				continue
			}
			script, err := filepath.Abs("../../completions/" + p.script)
			if err != nil {
				return err
			}
			for _, tt := range tests {
				c := exec.Command(p.shell, p.command(script, tt.line)...)
				c.Dir = dir
				c.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HOME="+bin)
				out, err := c.CombinedOutput()
				if err != nil {
					return fmt.Errorf("%s: %w\n%s", p.shell, err, out)
				}
				var got []string
				for line := range strings.Lines(string(out)) {
					word, _, _ := strings.Cut(strings.TrimSpace(line), "\t") // a description follows
					if word != "" {
						got = append(got, word)
					}
				}
				slices.Sort(got)
				slices.Sort(tt.want)
				if !slices.Equal(got, tt.want) {
					t.Errorf("%s: behind %q %q is offered, want %q", p.shell, tt.line, got, tt.want)
				}
			}
		}
		return nil
	})
}
