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
	"syscall"
	"testing"
	"time"

	"wgtools/internal/dns"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/plan"
	"wgtools/internal/userspace"
)

// A trial is a site where the full tunnel wg0, which has all that a tunnel can
// have, is brought up and taken down with faults.
type trial struct {
	*site
	beside bool   // another full tunnel
	path   string // of its file
	before string // the state without the tunnel
	during string // and with it, without what differs each time
	// The steps of a run without faults.
	up, down []string
	// What the file can be: as it was written, and saved.
	written, saved string
}

// trials calls f on two sites: one with resolvconf and no other tunnel; and one
// with resolv.conf alone and another full tunnel, which is to be left as it is.
func trials(t *testing.T, f func(tr *trial)) {
	for _, backend := range []plan.DNSBackend{plan.Resolvconf, plan.ResolvFile} {
		t.Run(string(backend), func(t *testing.T) {
			t.Parallel()
			isolated(t, func(s *site) {
				tr := &trial{site: s, beside: backend == plan.ResolvFile}
				defer s.killDevices() // if it fails
				s.withResolvconf()
				s.withResolvFile()
				s.env = append(s.env, dns.BackendVariable+"="+string(backend))
				if tr.beside {
					path := s.file("wg1", "Address = 10.8.0.2/24, fd08::2/64\nDNS = 10.8.0.1\nListenPort = 40124", "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.8:51820")
					if got := s.wgQuick("up", path); got.status != 0 {
						t.Fatalf("up of the other: %+v", got)
					}
					defer s.wgQuick("down", path)
				}
				tr.rehearse()
				f(tr)
				tr.alone()
			})
		})
	}
}

// killDevices ends the processes of devices that are left.
func (s *site) killDevices() {
	for _, pid := range inside(s.t, userspace.ProcessName) {
		kill(pid)
	}
}

// withResolvFile puts a file of the site's own in the place of resolv.conf.
func (s *site) withResolvFile() {
	s.t.Helper()
	file := filepath.Join(s.dir, "resolv.conf")
	if err := os.WriteFile(file, []byte("# by hand\nnameserver 192.0.2.53\noptions edns0\nsearch site.example\n"), 0o644); err != nil {
		s.t.Fatal(err)
	}
	const path = "/etc/resolv.conf"
	if target, err := os.Readlink(path); err == nil {
		s.t.Skipf("%s is a link to %s here", path, target)
	}
	if err := syscall.Mount(file, path, "", syscall.MS_BIND, ""); err != nil {
		s.t.Fatal(err)
	}
}

// rehearse brings the tunnel up and takes it down without faults.
func (tr *trial) rehearse() {
	t := tr.t
	t.Helper()
	tr.write()
	tr.before = tr.state()
	steps := filepath.Join(tr.dir, "steps")
	run := func(verb string) []string {
		t.Helper()
		if got := tr.faulty("", verb, stepsVariable+"="+steps); got.status != 0 {
			t.Fatalf("%s: %+v", verb, got)
		}
		return strings.Fields(tr.read(steps))
	}
	tr.up = run("up")
	tr.during = noise.ReplaceAllString(tr.state(), "")
	tr.down = run("down")
	if tr.saved = tr.read(tr.path); tr.saved == tr.written {
		t.Fatal("SaveConfig changes nothing")
	}
	tr.nothingLeft("up and down without faults")
	want := []string{"AddLink", "PreUp", "Configure", "AddAddr", "SetLink", "AddRoutes", "SetMark", "AddFirewall", "AddDefault", "SetDNS", "PostUp",
		"PreDown", "SaveConfig", "UnsetDNS", "DelDefault", "DelLink", "DelFirewall", "PostDown", notes, forgets}
	if !tr.beside {
		want = slices.DeleteFunc(want, func(name string) bool { return name == "SetMark" }) // it has one from the beginning
		want = append(want, "SetKillSwitch", "SetMasquerade", "ip_forward", "forwarding", "DelMasquerade", "DelKillSwitch")
	}
	if !strings.Contains(tr.before, `src_valid_mark: "1`) {
		want = append(want, "src_valid_mark")
	}
	if !hasKernelDevice() {
		want = append(want, "StartDevice")
	}
	for _, name := range want {
		if !slices.Contains(tr.up, name) && !slices.Contains(tr.down, name) {
			t.Fatalf("there is no step %s:\n%q\n%q", name, tr.up, tr.down)
		}
	}
}

// write writes the tunnel's file.
func (tr *trial) write() {
	tr.t.Helper()
	own := fullOwn + "\nSaveConfig = true\nPostUp = ip address add 10.7.9.1/32 dev %i # to be saved"
	for _, key := range []string{"PreUp", "PreDown", "PostDown"} {
		own += "\n" + key + " = true"
	}
	if !tr.beside { // it would block the other one
		own += "\nKillSwitch = lan\nMasquerade = wg0"
	}
	tr.writeAs(own, "0.0.0.0/0, ::/0, 10.50.0.0/16, fd50::/16"+far)
}

func (tr *trial) writeAs(own, allowed string) {
	tr.t.Helper()
	tr.path = tr.file("wg0", own, allowed)
	tr.written = tr.read(tr.path)
}

// faulty is wg-quick with these faults and the tunnel's file; up finds the file
// as it was written. The exit status of what was killed is -1.
func (tr *trial) faulty(faults, verb string, env ...string) result {
	tr.t.Helper()
	if verb == "up" {
		tr.write()
	}
	c := exec.Command(faultyName, verb, tr.path)
	c.Dir = tr.dir
	c.Env = slices.Concat(os.Environ(), tr.env, []string{faultsVariable + "=" + faults}, env)
	return tr.run(c)
}

// works does what has to work after a fault.
func (tr *trial) works(verb, after string) {
	tr.t.Helper()
	if got := tr.faulty("", verb); got.status != 0 {
		tr.t.Fatalf("%s, then %s: %+v", after, verb, got)
	}
}

// isUp checks that the tunnel is as it is without faults.
func (tr *trial) isUp(after string) {
	tr.t.Helper()
	if d := changed(tr.during, noise.ReplaceAllString(tr.state(), "")); d != nil {
		tr.t.Fatalf("%s: the tunnel is not as without faults: %s", after, strings.Join(d, ""))
	}
}

// nothingLeft checks that all is as before, but for the file, which may be saved.
func (tr *trial) nothingLeft(after string) {
	tr.t.Helper()
	if text := tr.read(tr.path); text != tr.written && text != tr.saved {
		tr.t.Fatalf("%s: the file is\n%s", after, text)
	}
	if list, _ := filepath.Glob(tr.path + "?*"); list != nil {
		tr.t.Fatalf("%s: left behind: %q", after, list)
	}
	if d := changed(tr.before, tr.state()); d != nil {
		tr.t.Fatalf("%s: %s", after, strings.Join(d, ""))
	}
}

// alone checks that no device's process is left but the one of the tunnel that
// is there, and that this one is as it was set up.
func (tr *trial) alone() {
	t := tr.t
	t.Helper()
	names, err := netlinkwg.New().List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	processes := len(names)
	if hasKernelDevice() {
		processes = 0
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if pids := inside(t, userspace.ProcessName); len(pids) == processes {
			break
		} else if time.Now().After(deadline) {
			t.Errorf("%d processes of devices are left, want %d", len(pids), processes)
			break
		}
	}
	for _, dev := range names {
		d, peers, err := netlinkwg.ReadAll(t.Context(), netlinkwg.New(), dev)
		if err != nil || dev != "wg1" || d.Fwmark != 51820 || d.ListenPort != 40124 || len(peers) != 1 || len(peers[0].AllowedIPs) != 2 {
			t.Errorf("the device %s has %+v, %+v, %v", dev, d, peers, err)
		}
	}
}

// at is a fault at the i-th step.
func at(kind string, i int) string { return fmt.Sprintf("%s %d", kind, i+1) }

// rollback returns the fault with which up fails last, and all steps with it:
// those from first on are of the rollback.
func (tr *trial) rollback() (last string, steps []string, first int) {
	tr.t.Helper()
	first = slices.Index(tr.up, "PostUp") + 1
	last = at(failsLate, first-1)
	path := filepath.Join(tr.dir, "steps")
	tr.faulty(last, "up", stepsVariable+"="+path)
	return last, strings.Fields(tr.read(path)), first
}

// A reloading is a trial where the tunnel is up, and its file another than the
// one that it was brought up with.
type reloading struct {
	*trial
	from, to struct{ own, allowed string }
	during   string   // the state before the reload
	steps    []string // those of a reload without faults
}

// reloading calls f with the tunnel up. A reload changes all of it: on one site
// it is a full tunnel that becomes another kind, on the other it becomes full.
func (tr *trial) reloading(f func(r *reloading)) {
	t := tr.t
	t.Helper()
	r := &reloading{trial: tr}
	r.from.own, r.from.allowed = fullOwn, "0.0.0.0/0, ::/0, 10.50.0.0/16"+far
	r.to.own, r.to.allowed = "Address = 10.9.0.2/24, fd07::2/64\nListenPort = 40125\nMTU = 1300", "10.60.0.0/16, fd60::/32"+far
	if tr.beside {
		r.from, r.to = r.to, r.from
	}
	r.start()
	path := filepath.Join(tr.dir, "steps")
	if got := r.reload("", stepsVariable+"="+path); got.status != 0 {
		t.Fatalf("reload: %+v", got)
	}
	r.steps = strings.Fields(tr.read(path))
	r.works("down", "reload")
	r.nothingLeft("reload, then down")
	r.start()
	f(r)
	r.works("down", "reloads")
	r.nothingLeft("reloads, then down")
}

// start brings the tunnel up.
func (r *reloading) start() {
	r.t.Helper()
	r.writeAs(r.from.own, r.from.allowed)
	if got := r.wgQuick("up", r.path); got.status != 0 {
		r.t.Fatalf("up: %+v", got)
	}
	r.during = r.state() + r.device()
}

// device is the state of the device, without keys and counters.
func (r *reloading) device() string {
	r.t.Helper()
	d, peers, err := netlinkwg.ReadAll(r.t.Context(), netlinkwg.New(), "wg0")
	if err != nil {
		r.t.Fatal(err)
	}
	text := fmt.Sprintf("port %d, mark %d\n", d.ListenPort, d.Fwmark)
	for _, p := range peers {
		text += fmt.Sprintf("peer %s %v %v\n", p.PublicKey.Base64(), p.Endpoint, p.AllowedIPs)
	}
	return text
}

// reload is a reload with faults.
func (r *reloading) reload(faults string, env ...string) result {
	r.t.Helper()
	r.writeAs(r.to.own, r.to.allowed)
	return r.faulty(faults, "reload", env...)
}

// unchanged checks that the tunnel is as before the reload.
func (r *reloading) unchanged(after string) {
	r.t.Helper()
	if d := changed(r.during, r.state()+r.device()); d != nil {
		r.t.Fatalf("%s: %s", after, strings.Join(d, ""))
	}
}

// rollback returns what that of up returns, for reload.
func (r *reloading) rollback() (last string, steps []string, first int) {
	r.t.Helper()
	for i, name := range r.steps {
		if ofHost(name) {
			last, first = at(fails, i), i+1
		}
	}
	path := filepath.Join(r.dir, "steps")
	r.reload(last, stepsVariable+"="+path)
	return last, strings.Fields(r.read(path)), first
}
