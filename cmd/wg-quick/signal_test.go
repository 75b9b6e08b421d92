// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

var signals = []string{"SIGINT", "SIGTERM", "SIGHUP"}

// A signal at any step of up leaves nothing, and a second one during the
// rollback changes nothing about that.
func TestUpInterruptedAtEachStep(t *testing.T) {
	heedSignals(t)
	trials(t, func(tr *trial) {
		interrupted := func(faults, what string) {
			t.Helper()
			if got := tr.faulty(faults, "up"); got.status != 1 || !strings.Contains(got.err, " signal received\n") {
				t.Errorf("%s: %+v", what, got)
			}
			tr.nothingLeft(what)
		}
		for i, name := range tr.up {
			if !ofHost(name) {
				continue
			}
			for _, s := range signals {
				interrupted(at(s, i), fmt.Sprintf("up with %s at step %d, %s", s, i+1, name))
			}
		}
		_, steps, first := tr.rollback()
		last := at("SIGINT", first-1)
		for i := first; i < len(steps); i++ {
			s := signals[i%len(signals)]
			interrupted(last+","+at(s, i), fmt.Sprintf("the rollback of up with %s at step %d, %s", s, i+1, steps[i]))
		}
	})
}

// A signal stops down as long as the tunnel is whole, and no more then.
func TestDownInterruptedAtEachStep(t *testing.T) {
	heedSignals(t)
	trials(t, func(tr *trial) {
		going := slices.Index(tr.down, notes)
		for i, name := range tr.down {
			s := signals[i%len(signals)]
			what := fmt.Sprintf("down with %s at step %d, %s", s, i+1, name)
			tr.works("up", what)
			got := tr.faulty(at(s, i), "down")
			if i < going {
				if got.status != 1 || !strings.Contains(got.err, " signal received\n") {
					t.Errorf("%s: %+v", what, got)
				}
				tr.isUp(what)
				tr.works("down", what)
			}
			tr.nothingLeft(what)
		}
	})
}

// A signal at any step of a reload leaves the tunnel as it was.
func TestReloadInterruptedAtEachStep(t *testing.T) {
	heedSignals(t)
	trials(t, func(tr *trial) {
		tr.reloading(func(r *reloading) {
			for i, name := range r.steps {
				if !ofHost(name) {
					continue
				}
				s := signals[i%len(signals)]
				what := fmt.Sprintf("reload with %s at step %d, %s", s, i+1, name)
				if got := r.reload(at(s, i)); got.status != 1 || !strings.Contains(got.err, " signal received\n") {
					t.Errorf("%s: %+v", what, got)
				}
				r.unchanged(what)
			}
		})
	})
}

// Ctrl-C, which a terminal sends to the hooks too, ends what hangs.
func TestCtrlC(t *testing.T) {
	heedSignals(t)
	tests := map[string]struct{ own, resolvconf string }{
		"a hook before up":        {"PreUp = echo hangs; sleep 1000", ""},
		"a hook after up":         {"PostUp = echo hangs; sleep 1000", ""},
		"a hook without Ctrl-C":   {"PostUp = trap '' INT; echo hangs; exec sleep 1000", ""},
		"resolvconf":              {"", "mkdir -p /run/resolvconf; : > /run/resolvconf/wg0; echo hangs; sleep 1000"},
		"resolvconf as it begins": {"", "echo hangs; sleep 1000"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			isolated(t, func(s *site) {
				s.withResolvconf()
				if tt.resolvconf != "" {
					stub := filepath.Join(s.dir, "bin", "resolvconf")
					text := strings.Replace(s.read(stub), "\n", "\n[ \"$1\" != -a ] || { "+tt.resolvconf+"; }\n", 1)
					if err := os.WriteFile(stub, []byte(text), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				before := s.state()
				c := s.command("up", s.file("wg0", fullOwn+"\n"+tt.own, "0.0.0.0/0, ::/0"+far))
				terminal, err := pty.Start(c)
				if err != nil {
					t.Fatal(err)
				}
				defer terminal.Close()
				var said strings.Builder
				lines := bufio.NewScanner(terminal)
				for lines.Scan() && lines.Text() != "hangs" {
					said.WriteString(lines.Text() + "\n")
				}
				if _, err := terminal.WriteString("\x03"); err != nil {
					t.Fatal(err)
				}
				for lines.Scan() {
					said.WriteString(lines.Text() + "\n")
				}
				if err := lines.Err(); err != nil && !errors.Is(err, syscall.EIO) { // the terminal's end
					t.Error(err)
				}
				c.Wait()
				// It may be the hook that ends first, with a shell's exit status.
				got := c.ProcessState.ExitCode()
				byHook := got == 130 && strings.HasSuffix(said.String(), ": signal: interrupt\n")
				if !byHook && (got != 1 || !strings.HasSuffix(said.String(), "interrupt signal received\n")) {
					t.Errorf("exit status %d, it said:\n%s", got, &said)
				}
				s.same(before)
				if pids := inside(t, "sleep", "bash", "sh"); len(pids) > 0 {
					t.Errorf("processes are left: %d", pids)
				}
			})
		})
	}
}
