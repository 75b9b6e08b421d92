// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// goesWithLink are the steps that deleting the link takes back, however much of
// them was made, and hooks. The others are made whole or not at all.
var goesWithLink = []string{"PreUp", "Configure", "AddAddr", "SetLink", "AddRoutes", "SetMark", "PostUp"}

// A step that fails leaves nothing. But a record that can't be written is no
// reason to do without the tunnel.
func TestUpFailsAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		for i, name := range tr.up {
			what := fmt.Sprintf("up %s at step %d, %s", fails, i+1, name)
			got := tr.faulty(at(fails, i), "up")
			if name == notes {
				if got.status != 0 || !strings.Contains(got.err, "[!] What is done can't be recorded: "+errFault.Error()) {
					t.Errorf("%s: %+v", what, got)
				}
				tr.isUp(what)
				tr.works("down", what)
				tr.nothingLeft(what + ", then down")
				continue
			}
			tr.failed(got, what)
			tr.nothingLeft(what)
			if slices.Contains(goesWithLink, name) {
				what := fmt.Sprintf("up %s at step %d, %s", failsLate, i+1, name)
				tr.failed(tr.faulty(at(failsLate, i), "up"), what)
				tr.nothingLeft(what)
			}
		}
	})
}

// failed checks that a fault was told.
func (tr *trial) failed(got result, what string) {
	tr.t.Helper()
	if got.status != 1 || !strings.Contains(got.err, errFault.Error()+"\n") {
		tr.t.Errorf("%s: %+v", what, got)
	}
}

// What can't be taken back is told, keeps nothing else from being taken back,
// and is left to the next down.
func TestRollbackFailsAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		last, steps, first := tr.rollback()
		for i, name := range steps {
			if i < first {
				continue
			}
			what := fmt.Sprintf("the rollback of up %s at step %d, %s", fails, i+1, name)
			if got := tr.faulty(last+","+at(fails, i), "up"); got.status != 1 || strings.Count(got.err, errFault.Error()+"\n") < 2 {
				t.Errorf("%s: %+v", what, got)
			}
			tr.works("down", what)
			tr.nothingLeft(what + ", then down")
		}
	})
}

// A hook before down that fails, or a file that can't be saved, leaves the
// tunnel up. After that, a failure is told, and nothing is left; or, if it stays,
// only what fails, and that to the next down.
func TestDownFailsAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		going := slices.Index(tr.down, notes)
		for i, name := range tr.down {
			for _, kind := range []string{fails, breaks} {
				what := fmt.Sprintf("down %s at step %d, %s", kind, i+1, name)
				tr.works("up", what)
				got := tr.faulty(at(kind, i), "down")
				if name != notes {
					tr.failed(got, what)
				} else if got.status != 0 || !strings.Contains(got.err, "[!] What is done can't be recorded: "+errFault.Error()) {
					t.Errorf("%s: %+v", what, got)
				}
				switch {
				case i < going:
					tr.isUp(what)
					tr.works("down", what)
				case kind == breaks && ofHost(name) && name != "PostDown", name == forgets:
					tr.works("down", what)
				}
				tr.nothingLeft(what)
			}
		}
	})
}

// A reload that fails changes nothing.
func TestReloadFailsAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		tr.reloading(func(r *reloading) {
			for i, name := range r.steps {
				if !ofHost(name) || name == "promote_secondaries" { // which it can do without
					continue
				}
				for _, kind := range []string{fails, failsLate} {
					if kind == failsLate && name != "Configure" { // which may be made in part
						continue
					}
					what := fmt.Sprintf("reload %s at step %d, %s", kind, i+1, name)
					r.failed(r.reload(at(kind, i)), what)
					r.unchanged(what)
				}
			}
		})
	})
}

// What a reload can't take back is told, and is left to down.
func TestReloadRollbackFailsAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		tr.reloading(func(r *reloading) {
			last, steps, first := r.rollback()
			for i, name := range steps {
				if i < first || !ofHost(name) {
					continue
				}
				what := fmt.Sprintf("the rollback of reload %s at step %d, %s", fails, i+1, name)
				if got := r.reload(last + "," + at(fails, i)); got.status != 1 || strings.Count(got.err, errFault.Error()+"\n") < 2 {
					t.Errorf("%s: %+v", what, got)
				}
				r.works("down", what)
				r.nothingLeft(what + ", then down")
				r.start()
			}
		})
	})
}
