// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"wgtools/internal/plan"
)

// A resolve1 stands for systemd-resolved: it notes what it is asked for.
type resolve1 struct {
	mu    sync.Mutex
	calls []string
	fail  string // the method that fails
	name  string // of the error
	times int    // how often it fails
}

func (r *resolve1) note(method string, args ...any) *dbus.Error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, method+strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
	if method == r.fail && r.times > 0 {
		r.times--
		return dbus.NewError(r.name, []any{"no way"})
	}
	return nil
}

func (r *resolve1) SetLinkDNS(i int32, servers []linkServer) *dbus.Error {
	return r.note("SetLinkDNS", i, servers)
}

func (r *resolve1) SetLinkDNSEx(i int32, servers []linkServerPort) *dbus.Error {
	return r.note("SetLinkDNSEx", i, servers)
}

func (r *resolve1) SetLinkDomains(i int32, domains []linkDomain) *dbus.Error {
	return r.note("SetLinkDomains", i, domains)
}

func (r *resolve1) SetLinkDefaultRoute(i int32, on bool) *dbus.Error {
	return r.note("SetLinkDefaultRoute", i, on)
}

func (r *resolve1) RevertLink(i int32) *dbus.Error { return r.note("RevertLink", i) }

// bus starts a bus of the sandbox, with what is in the directory "services"
// to be started when asked for.
func (s *sandbox) bus() {
	s.t.Helper()
	s.t.Setenv("PATH", "/usr/bin:/bin")
	daemon, err := exec.LookPath("dbus-daemon")
	s.t.Setenv("PATH", s.path("bin"))
	if err != nil {
		s.t.Skip("dbus-daemon isn't installed (the package dbus-daemon or dbus)")
	}
	address := "unix:path=" + s.path("bus")
	s.write("bus.conf", `<busconfig><type>custom</type><listen>`+address+`</listen><auth>EXTERNAL</auth>
<servicedir>`+s.path("services")+`</servicedir>
<policy context="default"><allow send_destination="*"/><allow receive_sender="*"/><allow own="*"/></policy></busconfig>`, 0o644)
	c := exec.Command(daemon, "--config-file="+s.path("bus.conf"), "--nofork", "--nopidfile", "--print-address=1")
	stdout, err := c.StdoutPipe()
	s.must(err)
	s.must(c.Start())
	s.t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	_, err = stdout.Read(make([]byte, 256)) // once it listens
	s.must(err)
	s.t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", address)
}

// noted returns what was asked for.
func (r *resolve1) noted() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}

// resolved puts r on a bus, to which the sandbox's file leads.
func (s *sandbox) resolved(r *resolve1) {
	s.t.Helper()
	s.bus()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // rather than for ever
	s.t.Cleanup(cancel)
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	s.must(err)
	s.t.Cleanup(func() { conn.Close() })
	s.must(conn.Export(r, resolvedPath, resolvedManager))
	_, err = conn.RequestName(resolvedName, dbus.NameFlagDoNotQueue)
	s.must(err)
	s.write("etc/resolv.conf", "nameserver 127.0.0.53\noptions edns0\n", 0o644)
}

// loopback is a link that is there.
func loopback(t *testing.T) string {
	t.Helper()
	lo, err := net.InterfaceByIndex(1)
	if err != nil {
		t.Skip(err)
	}
	return lo.Name
}

func TestResolved(t *testing.T) {
	const one = "SetLinkDNS1 [{2 [10 0 0 1]}]"
	tests := map[string]struct {
		servers, search string
		fail, name      string
		times           int
		want            []string
		err             string
		hint            string
	}{
		"both": {servers: "10.0.0.1 fd00::1", search: "corp.example ~lab.example", want: []string{
			"SetLinkDNS1 [{2 [10 0 0 1]} {10 [253 0 0 0 0 0 0 0 0 0 0 0 0 0 0 1]}]",
			"SetLinkDomains1 [{. true} {corp.example false} {lab.example true}]", "SetLinkDefaultRoute1 true", "RevertLink1"}},
		"ports": {servers: "10.0.0.1:5353 10.0.0.2", want: []string{
			"SetLinkDNSEx1 [{2 [10 0 0 1] 5353 } {2 [10 0 0 2] 0 }]", "SetLinkDomains1 [{. true}]", "SetLinkDefaultRoute1 true", "RevertLink1"}},
		"domains": {search: "corp.example", want: []string{"RevertLink1", "SetLinkDomains1 [{corp.example false}]", "RevertLink1"}},
		"old systemd": {servers: "10.0.0.1", fail: "SetLinkDefaultRoute", name: unknownMethod, want: []string{
			one, "SetLinkDomains1 [{. true}]", "SetLinkDefaultRoute1 true", "RevertLink1"}},
		"ports with an old systemd": {servers: "10.0.0.1:5353", fail: "SetLinkDNSEx", name: unknownMethod, want: []string{
			"SetLinkDNSEx1 [{2 [10 0 0 1] 5353 }]"},
			err: "systemd-resolved: SetLinkDNSEx: org.freedesktop.DBus.Error.UnknownMethod: no way", hint: "systemctl"},
		"a link that it doesn't see yet": {servers: "10.0.0.1", fail: "SetLinkDNS", name: noSuchLink, times: 2, want: []string{
			one, one, one, "SetLinkDomains1 [{. true}]", "SetLinkDefaultRoute1 true", "RevertLink1"}},
		"refused": {servers: "10.0.0.1", fail: "SetLinkDNS", name: accessDenied, want: []string{one},
			err: "systemd-resolved: SetLinkDNS: org.freedesktop.DBus.Error.AccessDenied: no way", hint: "root"},
		"refused half-way": {servers: "10.0.0.1", fail: "SetLinkDomains", name: linkBusy, want: []string{
			one, "SetLinkDomains1 [{. true}]", "RevertLink1"},
			err: "systemd-resolved: SetLinkDomains: org.freedesktop.resolve1.LinkBusy: no way", hint: ".network"},
		"refused at last": {servers: "10.0.0.1", fail: "SetLinkDefaultRoute", name: linkBusy, want: []string{
			one, "SetLinkDomains1 [{. true}]", "SetLinkDefaultRoute1 true", "RevertLink1"},
			err: "systemd-resolved: SetLinkDefaultRoute: org.freedesktop.resolve1.LinkBusy: no way", hint: ".network"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			resolved := &resolve1{fail: tt.fail, name: tt.name, times: cmp.Or(tt.times, 1000)}
			s.resolved(resolved)
			r := s.resolver("")
			tunnel, err := r.Settings(t.Context(), loopback(t), strings.Fields(tt.servers), strings.Fields(tt.search))
			if err != nil || tunnel.Backend != plan.Resolved {
				t.Fatalf("Settings: %+v, %v; want resolved", tunnel, err)
			}
			err = r.SetDNS(t.Context(), tunnel)
			switch {
			case (err == nil) != (tt.err == ""), err != nil && err.Error() != tt.err:
				t.Errorf("SetDNS: %v, want %s", err, tt.err)
			case err == nil:
				unset(t, r, tunnel)
			case !strings.Contains(strings.Join(advice(err), "\n"), tt.hint):
				t.Errorf("the hints are %q, want %q in them", advice(err), tt.hint)
			}
			if calls := resolved.noted(); !slices.Equal(calls, tt.want) {
				t.Errorf("called:\n%s\nwant:\n%s", strings.Join(calls, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// Without the link there is nothing to take back, whether it is gone here or there.
func TestResolvedGone(t *testing.T) {
	s := newSandbox(t)
	s.resolved(&resolve1{fail: "RevertLink", name: noSuchLink, times: 1})
	for _, dev := range []string{"gone", loopback(t)} {
		if err := s.resolver("").UnsetDNS(t.Context(), plan.DNSSettings{Dev: dev, Backend: plan.Resolved}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("UnsetDNS(%s): %v, want ErrNotExist", dev, err)
		}
	}
}

// Only where programs ask it is systemd-resolved any use.
func TestLeadsToResolved(t *testing.T) {
	tests := map[string]struct {
		text, link string
		want       bool
	}{
		"its stub":            {"# x\nnameserver 127.0.0.53\nnameserver 127.0.0.54\n", "", true},
		"another beside":      {"nameserver 127.0.0.53\nnameserver 192.0.2.53\n", "", false},
		"another":             {"nameserver 192.0.2.53\n", "", false},
		"none":                {"# nameserver 127.0.0.53\n", "", false},
		"no file":             {"", "", false},
		"its file":            {"", "/run/systemd/resolve/wgtools-test-stub.conf", true},
		"its file, otherwise": {"", "../../../../../../../../../../run/systemd/resolve/wgtools-test-stub.conf", true},
		"a file beside":       {"", "/run/systemd/wgtools-test.conf", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			if tt.text != "" {
				s.write("etc/resolv.conf", tt.text, 0o644)
			}
			if tt.link != "" {
				s.link(tt.link, "etc/resolv.conf")
			}
			if got := s.resolver("").leadsToResolved(); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}

// systemd-resolved is there once somebody asks for it.
func TestHasResolved(t *testing.T) {
	s := newSandbox(t)
	s.bus()
	if hasResolved(t.Context()) {
		t.Error("it is on an empty bus")
	}
	s = newSandbox(t)
	s.write("services/resolved.service", "[D-BUS Service]\nName="+resolvedName+"\nExec=/bin/false\n", 0o644)
	s.bus()
	if !hasResolved(t.Context()) {
		t.Error("it isn't on a bus that would start it")
	}
	s.write("etc/resolv.conf", "nameserver 192.0.2.53\n", 0o644) // but nobody does
	got, err := s.resolver("").Settings(t.Context(), "wg0", []string{"10.0.0.1"}, nil)
	if err != nil || got.Backend != plan.ResolvFile {
		t.Errorf("Settings: %+v, %v; want the file", got, err)
	}
}

// A bus that isn't there or doesn't answer holds nobody up.
func TestNoBus(t *testing.T) {
	s := newSandbox(t)
	tunnel := plan.DNSSettings{Dev: loopback(t), Backend: plan.Resolved, Servers: []string{"10.0.0.1"}}
	err := s.resolver("").SetDNS(t.Context(), tunnel)
	if err == nil || !strings.HasPrefix(err.Error(), "systemd-resolved: the system bus: ") || len(advice(err)) != 1 {
		t.Errorf("without a bus: %v, with hints %q", err, advice(err))
	}

	silent, err := net.Listen("unix", s.path("silent"))
	s.must(err)
	defer silent.Close()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+s.path("silent"))
	why := errors.New("interrupted")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, why)
	defer cancel()
	if err := s.resolver("").SetDNS(ctx, tunnel); !errors.Is(err, why) {
		t.Errorf("with a silent bus: %v, want %v", err, why)
	}
	start := time.Now()
	if err := s.resolver("").SetDNS(t.Context(), tunnel); !errors.Is(err, errSilent) || time.Since(start) > 2*answerTime {
		t.Errorf("with a silent bus: %v after %v, want %v", err, time.Since(start), errSilent)
	}
}
