// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// killed runs verb up to its end by SIGKILL.
func (tr *trial) killed(faults, verb, what string) {
	tr.t.Helper()
	if got := tr.faulty(faults, verb); got.status != -1 {
		tr.t.Fatalf("%s: not killed: %+v", what, got)
	}
}

// isRemoved takes away what a kill left, of which there may be nothing.
func (tr *trial) isRemoved(what string) {
	tr.t.Helper()
	if got := tr.faulty("", "down"); got.status != 0 && !strings.Contains(got.err, "is not a WireGuard interface\n") {
		tr.t.Fatalf("%s, then down: %+v", what, got)
	}
	tr.nothingLeft(what + ", then down")
}

// moments calls f with a kill at each moment of a run of these steps, of which
// the first are passed over: before the run, in a step of each name, after each.
func moments(verb string, steps []string, first int, f func(faults, what string)) {
	if first == 0 {
		f(kills+" 0", verb+" killed before its first step")
	}
	for i := first; i < len(steps); i++ {
		name := steps[i]
		if slices.Contains(torn, name) && !slices.Contains(steps[first:i], name) {
			f(at(tears, i), fmt.Sprintf("%s killed in step %d, %s", verb, i+1, name))
		}
		f(at(kills, i), fmt.Sprintf("%s killed after step %d, %s", verb, i+1, name))
	}
}

// goesOn goes on after a kill: on one site with down, on the other with up,
// which takes away what the kill left, or finds the tunnel up.
func (tr *trial) goesOn(what string) {
	tr.t.Helper()
	if !tr.beside {
		tr.isRemoved(what)
		return
	}
	if got := tr.faulty("", "up"); got.status != 0 && !strings.Contains(got.err, "`wg0' already exists\n") {
		tr.t.Errorf("%s, then up: %+v", what, got)
	}
	tr.isUp(what + ", then up")
	tr.works("down", what+", then up")
	tr.nothingLeft(what + ", then up and down")
}

// After a kill at any moment of up, down leaves nothing, and another up works.
func TestUpKilledAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		moments("up", tr.up, 0, func(faults, what string) {
			tr.killed(faults, "up", what)
			tr.goesOn(what)
		})
		last, steps, first := tr.rollback()
		moments("the rollback of up", steps, first, func(faults, what string) {
			tr.killed(last+","+faults, "up", what)
			tr.goesOn(what)
		})
	})
}

// After a kill at any moment of down, another down leaves nothing, and up works.
func TestDownKilledAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		moments("down", tr.down, 0, func(faults, what string) {
			tr.works("up", what)
			tr.killed(faults, "down", what)
			tr.goesOn(what)
		})
	})
}

// After a kill at any step of a reload, down leaves nothing.
func TestReloadKilledAtEachStep(t *testing.T) {
	trials(t, func(tr *trial) {
		tr.reloading(func(r *reloading) {
			for i, name := range r.steps {
				if !ofHost(name) {
					continue
				}
				what := fmt.Sprintf("reload killed after step %d, %s", i+1, name)
				r.writeAs(r.to.own, r.to.allowed)
				r.killed(at(kills, i), "reload", what)
				r.isRemoved(what)
				r.start()
			}
		})
	})
}

// What is killed while it starts a device leaves nothing, whatever becomes of that.
func TestKilledAtStartOfDevice(t *testing.T) {
	trials(t, func(tr *trial) {
		if hasKernelDevice() {
			t.Skip("the kernel has WireGuard: no process is started")
		}
		for faults, what := range map[string]string{
			orphans: "the device goes on",
			lates:   "the device goes on when it is too late",
			dies:    "the device is killed too",
		} {
			tr.killed(faults, "up", what)
			tr.isRemoved(what)
		}
		tr.works("up", "all of that")
		tr.works("down", "all of that")
		tr.nothingLeft("all of that")
	})
}
