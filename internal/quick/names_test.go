// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/quick"
)

// directory resolves names that it knows.
type directory map[string]string

func (b directory) Port(string) (uint16, error) { return 0, errors.New("no ports") }

func (b directory) Endpoint(s string) (netip.AddrPort, error) {
	if a, ok := b[s]; ok {
		return netip.ParseAddrPort(a)
	}
	return netip.AddrPort{}, unknown(s)
}

// unknown is the error of a name that can't be resolved, as a resolver has it.
type unknown string

func (u unknown) Error() string      { return "Name or service not known: `" + string(u) + "'" }
func (u unknown) Original() []string { return []string{u.Error()} }
func (u unknown) Advice() []string   { return []string{"hint: is it spelt right?"} }
func (unknown) Environment() bool    { return false }

// key returns the public key of that number.
func key(n byte) keys.Key { return keys.Key{n, 31: 1} }

// peersAt returns a tunnel whose peers have these endpoints, numbered from 1.
func peersAt(t *testing.T, endpoints ...string) *quick.Tunnel {
	t.Helper()
	text := "[Interface]\nPrivateKey = " + privateKey + "\n"
	for i, e := range endpoints {
		text += fmt.Sprintf("[Peer]\nPublicKey = %s\n", key(byte(i+1)).Base64())
		if e != "" {
			text += "Endpoint = " + e + "\n"
		}
	}
	c, err := config.Decode("/etc/wireguard/wg0.conf", []byte(text), config.Options{Dialect: config.Quick, Program: "wg-quick", Resolver: numbers{}, Later: true})
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := quick.NewTunnel("wg0", "/etc/wireguard/wg0.conf", c, nil)
	if err != nil {
		t.Fatal(err)
	}
	return tunnel
}

// The rules of the script that everybody knows.
func TestReresolve(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	ago := func(d time.Duration) device.Time {
		at := now.Add(-d)
		return device.Time{Sec: at.Unix(), Nsec: int64(at.Nanosecond())}
	}
	at := func(s string, latest device.Time) device.Peer {
		p := device.Peer{LatestHandshake: latest}
		if s != "" {
			p.Endpoint = netip.MustParseAddrPort(s)
		}
		return p
	}
	set := func(n byte, endpoint string) string {
		return "[#] wg set wg0 peer " + key(n).Base64() + " endpoint " + endpoint
	}
	names := directory{"a.example:1": "192.0.2.1:1", "b.example:1": "192.0.2.2:1", "c.example:1": "[2001:db8::3]:1"}
	tests := map[string]struct {
		file []string
		have []device.Peer // by number; the zero peer isn't there
		want []string
		err  string
	}{
		"in touch, wherever":  {[]string{"a.example:1"}, []device.Peer{at("203.0.113.9:9", ago(135*time.Second))}, nil, ""},
		"not for long enough": {[]string{"a.example:1"}, []device.Peer{at("203.0.113.9:9", ago(135*time.Second+1))}, []string{set(1, "192.0.2.1:1")}, ""},
		"never":               {[]string{"a.example:1"}, []device.Peer{at("", device.Time{})}, []string{set(1, "192.0.2.1:1")}, ""},
		"an address too":      {[]string{"192.0.2.7:1"}, []device.Peer{at("203.0.113.9:9", device.Time{})}, []string{set(1, "192.0.2.7:1")}, ""},
		"where it is already": {[]string{"a.example:1"}, []device.Peer{at("192.0.2.1:1", device.Time{})}, nil, ""},
		"no endpoint":         {[]string{""}, []device.Peer{at("203.0.113.9:9", device.Time{})}, nil, ""},
		"not on the device":   {[]string{"a.example:1"}, nil, nil, ""},
		"several": {[]string{"a.example:1", "b.example:1", "192.0.2.7:1", "c.example:1"},
			[]device.Peer{at("203.0.113.9:9", ago(time.Hour)), at("203.0.113.9:9", ago(time.Second)), at("203.0.113.9:9", ago(time.Hour)), at("203.0.113.9:9", ago(time.Hour))},
			[]string{set(1, "192.0.2.1:1"), set(3, "192.0.2.7:1"), set(4, "[2001:db8::3]:1")}, ""},
		"one can't be resolved": {[]string{"x.example:1", "b.example:1", "y.example:1"},
			[]device.Peer{at("203.0.113.9:9", device.Time{}), at("203.0.113.9:9", device.Time{}), at("203.0.113.9:9", device.Time{})},
			[]string{set(2, "192.0.2.2:1")}, "/etc/wireguard/wg0.conf:5:12: Endpoint: can't be resolved\n/etc/wireguard/wg0.conf:11:12: Endpoint: can't be resolved"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			tunnel := peersAt(t, tt.file...)
			if err := w.AddLink(t.Context(), "wg0"); err != nil {
				t.Fatal(err)
			}
			w.some = map[keys.Key]device.Peer{}
			for i, p := range tt.have {
				w.some[key(byte(i+1))] = p
			}
			s := w.session()
			s.Names = names
			err := s.Reresolve(t.Context(), tunnel, now)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err {
				t.Errorf("error %q, want %q", text, tt.err)
			}
			if got, want := strings.Join(w.screen, "\n"), strings.Join(tt.want, "\n"); got != want {
				t.Errorf("it printed\n%s\nwant\n%s", got, want)
			}
			for _, c := range w.Configured {
				if len(c.Peers) != 1 || !c.Peers[0].UpdateOnly {
					t.Errorf("a request that may make a peer: %+v", c)
				}
			}
		})
	}
	s := newWorld().session()
	if _, ok := errors.AsType[*quick.Refusal](s.Reresolve(t.Context(), peersAt(t, "a.example:1"), now)); !ok {
		t.Error("without a tunnel it isn't refused")
	}
}

// up goes on without endpoints that can't be resolved, if it is asked to; what
// else can be wrong stays wrong.
func TestDeferNames(t *testing.T) {
	for _, deferred := range []bool{false, true} {
		w := newWorld()
		s := w.session()
		s.Names, s.DeferNames = directory{"b.example:1": "192.0.2.2:1"}, deferred
		err := s.Up(t.Context(), peersAt(t, "x.example:1", "b.example:1", "192.0.2.7:1"))
		if _, bad := errors.AsType[*config.Error](err); bad == deferred {
			t.Fatalf("deferred %t: %v", deferred, err)
		}
		if !deferred {
			continue
		}
		const said = "[!] /etc/wireguard/wg0.conf:5:12: Endpoint: can't be resolved (Name or service not known: `x.example:1')."
		if !strings.HasPrefix(w.screen[0], said) || !strings.Contains(w.screen[0], "no endpoint until `wg-quick watch' or `wg-quick reresolve' finds one") {
			t.Errorf("it said %q", w.screen[0])
		}
		var got []string
		for _, p := range w.Configured[0].Peers {
			got = append(got, p.Endpoint.String())
		}
		if want := "invalid AddrPort 192.0.2.2:1 192.0.2.7:1"; strings.Join(got, " ") != want {
			t.Errorf("the endpoints are %q, want %q", got, want)
		}
	}
	s := newWorld().session()
	s.Names, s.DeferNames = broken{}, true
	if err := s.Up(t.Context(), peersAt(t, "x.example:1")); !errors.Is(err, syscall.EINTR) {
		t.Errorf("with a broken environment: %v", err)
	}
}

// broken is a resolver whose environment is.
type broken struct{ directory }

func (broken) Endpoint(string) (netip.AddrPort, error) { return netip.AddrPort{}, environment{} }

type environment struct{}

func (environment) Error() string      { return "interrupted" }
func (environment) Unwrap() error      { return syscall.EINTR }
func (environment) Original() []string { return nil }
func (environment) Advice() []string   { return nil }
func (environment) Environment() bool  { return true }
