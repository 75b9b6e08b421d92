// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wgtools/internal/plan"
)

// A sandbox has files and programs of its own, and no bus.
type sandbox struct {
	t   *testing.T
	dir string
	out bytes.Buffer
}

func newSandbox(t *testing.T) *sandbox {
	s := &sandbox{t: t, dir: t.TempDir()}
	for _, dir := range []string{"bin", "etc"} {
		s.must(os.Mkdir(s.path(dir), 0o755))
	}
	t.Setenv("PATH", s.path("bin"))
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+s.path("no-bus"))
	return s
}

func (s *sandbox) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *sandbox) path(name string) string { return filepath.Join(s.dir, name) }
func (s *sandbox) remove(name string)      { s.t.Helper(); s.must(os.RemoveAll(s.path(name))) }
func (s *sandbox) link(to, name string)    { s.t.Helper(); s.must(os.Symlink(to, s.path(name))) }

func (s *sandbox) write(name, text string, mode os.FileMode) {
	s.t.Helper()
	s.must(os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	s.must(os.WriteFile(s.path(name), []byte(text), mode))
}

// read returns what is in a file: nothing if there is none.
func (s *sandbox) read(name string) string {
	s.t.Helper()
	text, err := os.ReadFile(s.path(name))
	if !errors.Is(err, fs.ErrNotExist) {
		s.must(err)
	}
	return string(text)
}

// absent checks that there is no such file.
func (s *sandbox) absent(name string) {
	s.t.Helper()
	if _, err := os.Lstat(s.path(name)); !errors.Is(err, fs.ErrNotExist) {
		s.t.Errorf("%s: %v, want it not to be there", name, err)
	}
}

// resolver is that of the sandbox, with the backend of the user's choice.
func (s *sandbox) resolver(choice string) *Resolver {
	lookup := func(name string) (string, bool) { return choice, name == BackendVariable && choice != "" }
	r := New(lookup, &s.out)
	r.resolvConf, r.interfaceOrder, r.records = s.path("etc/resolv.conf"), s.path("etc/interface-order"), s.path("etc/records")
	return r
}

// stub makes a program that notes how it is called, and then does what the
// command says, if it is called to add something.
func (s *sandbox) stub(name, command string) {
	s.t.Helper()
	s.write(name, fmt.Sprintf("#!/bin/sh\necho \"$@\" >>%[1]s\n[ $1 != -l ] || exit 1\n[ $1 = -a ] || exit 0\n/bin/cat >>%[1]s\n%s\n", s.path("calls"), command), 0o755)
}

func advice(err error) []string {
	var told interface{ Advice() []string }
	if errors.As(err, &told) {
		return told.Advice()
	}
	return nil
}

// debian is what Debian's interface-order begins with.
const debian = "# interface-order(5)\nlo.inet*\nlo.inet6*\nlo.dnsmasq\nlo.!(pdns|pdns-recursor)\nlo\n tun*\t\ntap*\n"

func TestSettings(t *testing.T) {
	type prepare = func(s *sandbox)
	resolvconf := func(s *sandbox) { s.stub("bin/resolvconf", "") }
	systemd := func(s *sandbox) { s.stub("bin/resolvectl", ""); s.link("resolvectl", "bin/resolvconf") }
	order := func(text string) prepare {
		return func(s *sandbox) { s.write("etc/interface-order", text, 0o644) }
	}
	tests := map[string]struct {
		choice  string
		with    []prepare
		servers string
		want    string // backend and record, or the error
	}{
		"nothing there":                    {"", nil, "10.0.0.1", "file"},
		"no bus":                           {"", []prepare{func(s *sandbox) { s.write("etc/resolv.conf", "nameserver 127.0.0.53\n", 0o644) }}, "10.0.0.1", "file"},
		"resolvconf":                       {"", []prepare{resolvconf}, "10.0.0.1", "resolvconf wg0"},
		"Debian's":                         {"auto", []prepare{resolvconf, order(debian)}, "10.0.0.1", "resolvconf tun.wg0"},
		"an order without such a line":     {"", []prepare{resolvconf, order("lo.inet*\nx*y*\n*\neth0\nt.*\n")}, "10.0.0.1", "resolvconf wg0"},
		"an order without a last newline":  {"", []prepare{resolvconf, order("lo\ntun*")}, "10.0.0.1", "resolvconf wg0"},
		"an order that is no file":         {"", []prepare{resolvconf, func(s *sandbox) { s.write("etc/interface-order/x", "", 0o644) }}, "10.0.0.1", "resolvconf wg0"},
		"systemd's has no order":           {"", []prepare{systemd, order(debian)}, "10.0.0.1", "resolvconf wg0"},
		"systemd's won't have domains":     {"", []prepare{systemd}, "", "resolved"},
		"others do":                        {"", []prepare{resolvconf}, "", "resolvconf wg0"},
		"but the user's choice counts":     {"resolvconf", []prepare{systemd}, "", "resolvconf wg0"},
		"the choice of the file":           {"file", []prepare{resolvconf}, "10.0.0.1", "file"},
		"the choice of systemd-resolved":   {"resolved", []prepare{resolvconf}, "10.0.0.1:5353", "resolved"},
		"the choice of what isn't there":   {"resolvconf", []prepare{order(debian)}, "10.0.0.1", "resolvconf tun.wg0"},
		"no such choice":                   {"Resolved", nil, "10.0.0.1", `WG_QUICK_DNS_BACKEND is "Resolved": it may be auto, resolvconf, resolved or file`},
		"no address":                       {"file", nil, "10.0.0", `DNS: "10.0.0" is not the address of a name server`},
		"which is resolvconf's business":   {"", []prepare{resolvconf}, "10.0.0", "resolvconf wg0"},
		"a port in the file":               {"file", nil, "10.0.0.1:5353", `DNS: "10.0.0.1:5353": resolv.conf(5) can't hold a port; only systemd-resolved asks at other ports than 53`},
		"the usual port in the file":       {"file", nil, "[fd00::1]:53", "file"},
		"another link":                     {"resolved", nil, "fe80::1%eth0", `DNS: "fe80::1%eth0": systemd-resolved asks the name servers of wg0 through that link, not through eth0`},
		"another link in the file is fine": {"file", nil, "fe80::1%eth0", "file"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			for _, f := range tt.with {
				f(s)
			}
			got, err := s.resolver(tt.choice).Settings(t.Context(), "wg0", strings.Fields(tt.servers), []string{"corp.example"})
			text := strings.TrimSpace(string(got.Backend) + " " + got.Record)
			if err != nil {
				text = err.Error()
			}
			if text != tt.want {
				t.Errorf("got %s, want %s", text, tt.want)
			}
			if s.read("calls") != "" {
				t.Errorf("programs were called: %s", s.read("calls"))
			}
		})
	}
}

// What could be more than a name or a word gets nowhere.
func TestCheck(t *testing.T) {
	for _, s := range []plan.DNSSettings{
		settings("", "10.0.0.1", ""),
		settings("wg 0", "10.0.0.1", ""),
		settings("wg0\nnameserver", "10.0.0.1", ""),
		settings("w234567890123456", "10.0.0.1", ""),
		{Dev: "wg0", Backend: plan.ResolvFile, Search: []string{"a\nnameserver 192.0.2.1"}},
		{Dev: "wg0", Backend: plan.ResolvFile, Search: []string{""}},
		{Dev: "wg0", Backend: plan.Resolvconf, Record: "eth0"},
		{Dev: "wg0", Backend: "elsewhere"},
	} {
		sandbox := newSandbox(t)
		if err := sandbox.resolver("").SetDNS(t.Context(), s); err == nil || !strings.HasPrefix(err.Error(), "DNS") {
			t.Errorf("SetDNS(%+v): %v, want it refused", s, err)
		}
		sandbox.absent("etc/resolv.conf")
	}
}

func TestResolvconf(t *testing.T) {
	const undo = "-d tun.wg0 -f\n"
	tests := map[string]struct {
		servers, search string
		command         string
		want            string
		status          int
	}{
		"both":    {"10.0.0.1 fd00::1", "a.example b.example", "", "-a tun.wg0 -m 0 -x\nnameserver 10.0.0.1\nnameserver fd00::1\nsearch a.example b.example\n" + undo, 0},
		"servers": {"10.0.0.1", "", "", "-a tun.wg0 -m 0 -x\nnameserver 10.0.0.1\n" + undo, 0},
		"domains": {"", "a.example", "", "-a tun.wg0 -m 0\nsearch a.example\n" + undo, 0},
		// What it stored is deleted; whether it did, it is asked.
		"fails":          {"10.0.0.1", "", "exit 3", "-a tun.wg0 -m 0 -x\nnameserver 10.0.0.1\n-l tun.wg0\n", 3},
		"fails half-way": {"10.0.0.1", "", "echo nameserver 10.0.0.1 >RECORDS/tun.wg0; exit 3", "-a tun.wg0 -m 0 -x\nnameserver 10.0.0.1\n-l tun.wg0\n" + undo, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.stub("bin/resolvconf", "echo said; echo complained >&2; "+strings.ReplaceAll(tt.command, "RECORDS", s.path("etc/records")))
			if err := os.MkdirAll(s.path("etc/records"), 0o755); err != nil {
				t.Fatal(err)
			}
			r := s.resolver("")
			tunnel := settings("wg0", tt.servers, tt.search)
			tunnel.Backend, tunnel.Record = plan.Resolvconf, "tun.wg0"
			err := r.SetDNS(t.Context(), tunnel)
			if exit, failed := errors.AsType[*exec.ExitError](err); failed != (tt.status != 0) || failed && exit.ExitCode() != tt.status {
				t.Errorf("SetDNS: %v, want status %d", err, tt.status)
			}
			if err == nil {
				unset(t, r, tunnel)
			}
			if got := s.read("calls"); got != tt.want {
				t.Errorf("called with\n%swant\n%s", got, tt.want)
			}
			if got, want := s.out.String(), "said\ncomplained\n"; got != want {
				t.Errorf("its output was %q, want %q", got, want)
			}
		})
	}
}

func TestResolvconfMissing(t *testing.T) {
	s := newSandbox(t)
	tunnel := plan.DNSSettings{Dev: "wg0", Backend: plan.Resolvconf, Record: "wg0", Servers: []string{"10.0.0.1"}}
	err := s.resolver("resolvconf").SetDNS(t.Context(), tunnel)
	if !errors.Is(err, exec.ErrNotFound) || len(advice(err)) != 1 {
		t.Errorf("got %v, with hints %q; want ErrNotFound and a hint", err, advice(err))
	}
	// It is there, but can't be started: then there is nothing to undo.
	s.write("bin/resolvconf", "#!"+s.path("nowhere")+"\n", 0o755)
	if err := s.resolver("").SetDNS(t.Context(), tunnel); err == nil {
		t.Error("a program without interpreter was started")
	}
}

// A resolvconf that hangs ends with ctx, with what it runs, and is cleaned up after.
func TestResolvconfInterrupted(t *testing.T) {
	s := newSandbox(t)
	s.stub("bin/resolvconf", "echo ready >>"+s.path("calls")+"; /bin/sleep 60; echo survived >>"+s.path("calls"))
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		for !strings.Contains(s.read("calls"), "ready") && t.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		cancel(why)
	}()
	start := time.Now()
	err := s.resolver("").SetDNS(ctx, plan.DNSSettings{Dev: "wg0", Backend: plan.Resolvconf, Record: "wg0", Servers: []string{"10.0.0.1"}})
	if !errors.Is(err, why) || time.Since(start) > patience {
		t.Errorf("got %v after %v, want %v at once", err, time.Since(start), why)
	}
	if got, want := s.read("calls"), "-a wg0 -m 0 -x\nnameserver 10.0.0.1\nready\n-d wg0 -f\n"; got != want {
		t.Errorf("called with\n%swant\n%s", got, want)
	}
}

// Settings of a link aren't to be had or set once ctx is done.
func TestDone(t *testing.T) {
	s := newSandbox(t)
	r := s.resolver("")
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	_, err := r.Settings(ctx, "wg0", []string{"10.0.0.1"}, nil)
	errs := []error{err, r.SetDNS(ctx, settings("wg0", "10.0.0.1", "")), r.UnsetDNS(ctx, settings("wg0", "10.0.0.1", ""))}
	if slices.ContainsFunc(errs, func(err error) bool { return !errors.Is(err, why) }) {
		t.Errorf("got %q, want %v each time", errs, why)
	}
	s.absent("etc/resolv.conf")
}

// What is known against each backend is told, and nothing is changed.
func TestWorks(t *testing.T) {
	s := newSandbox(t)
	r := s.resolver("")
	resolvConf := "etc/resolv.conf"
	expect := func(name string, backend plan.DNSBackend, want string) {
		t.Helper()
		err := r.Works(t.Context(), backend)
		if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	expect("no file, which would be made", plan.ResolvFile, "")
	if _, err := os.Lstat(s.path(resolvConf)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was made: %v", err)
	}
	s.link("nowhere", resolvConf)
	expect("a link to nothing", plan.ResolvFile, "it is a link to nowhere, which isn't there")
	s.remove(resolvConf)
	s.write(resolvConf, "nameserver 192.0.2.1\n", 0o644)
	expect("a file", plan.ResolvFile, "")
	s.must(os.Mkdir(s.path("etc/directory"), 0o755))
	s.remove(resolvConf)
	s.link("directory", resolvConf)
	expect("a directory", plan.ResolvFile, "is a directory")
	expect("no resolved", plan.Resolved, "it isn't there, and isn't started when asked")
	expect("no resolvconf", plan.Resolvconf, exec.ErrNotFound.Error())
	s.write("bin/resolvconf", "#!/bin/sh\nexit 1\n", 0o755)
	expect("a resolvconf", plan.Resolvconf, "")
	s.remove("bin/resolvconf")
	s.write("bin/resolvectl", "#!/bin/sh\nexit 1\n", 0o755)
	s.link("resolvectl", "bin/resolvconf")
	expect("systemd's resolvconf, without resolved", plan.Resolvconf, "it isn't there")
}

// What can't be told of is taken to be there: else it would be set again and
// again.
func TestHasRecord(t *testing.T) {
	tests := map[string]struct {
		resolvconf string // what it does
		records    []string
		want       bool
	}{
		"it lists the record":           {"echo nameserver 10.0.0.1", nil, true},
		"it lists none":                 {"true", nil, false},
		"openresolv's has none":         {"[ $# = 1 ] || exit 2", nil, false},
		"Debian's has the record":       {"exit 1", []string{"wg0"}, true},
		"Debian's has another one":      {"exit 1", []string{"eth0"}, false},
		"systemd's tells of no records": {"exit 1", nil, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			s.write("bin/resolvconf", "#!/bin/sh\n"+tt.resolvconf+"\n", 0o755)
			r := s.resolver("resolvconf")
			r.records = s.path("records")
			for _, record := range tt.records {
				s.write("records/"+record, "nameserver 10.0.0.1\n", 0o644)
			}
			if got := r.Has(t.Context(), plan.DNSSettings{Dev: "wg0", Backend: plan.Resolvconf, Record: "wg0"}); got != tt.want {
				t.Errorf("Has = %v, want %v", got, tt.want)
			}
		})
	}
}
