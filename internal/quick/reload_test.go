// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/device"
	"wgtools/internal/quick"
)

// reloaded returns a world in which everything is up, and what its file says
// since: other addresses and name servers, another route, no IPv6.
func reloaded(t *testing.T) (*world, *quick.Tunnel) {
	t.Helper()
	w := newWorld()
	if err := w.session().Up(t.Context(), mustParse(t, "wg0", file(everything, both))); err != nil {
		t.Fatal(err)
	}
	now := mustParse(t, "wg0", file("Address = 10.8.0.2/24\nDNS = 10.8.0.1\nMTU = 1300\nPostUp = false", "0.0.0.0/0, 10.51.0.0/16"))
	w.Configured, w.change = nil, &now.Device // its mark, which it keeps, comes with it
	now.Device.Fwmark = device.Some[uint32](51820)
	w.Lines, w.screen = nil, nil
	clear(w.baselines) // what the device was isn't modelled
	return w, now
}

// Only what differs is done, what comes before what goes; and without hooks.
func TestReload(t *testing.T) {
	w, now := reloaded(t)
	if err := w.session().Reload(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	want := `[#] sysctl -q net/ipv4/conf/wg0/promote_secondaries=1
[#] wg syncconf wg0 /dev/fd/63
[#] ip -4 address add 10.8.0.2/24 dev wg0
[#] ip -4 address delete 10.7.0.2/24 dev wg0
[#] ip -6 address delete fd07::2/64 dev wg0
[#] ip link set mtu 1300 dev wg0
[#] ip -4 route add 10.51.0.0/16 dev wg0
[#] ip -6 rule delete not fwmark 51820 table 51820 priority 32765
[#] ip -6 rule delete table main suppress_prefixlength 0 priority 32764
[#] ip -6 route delete ::/0 dev wg0 table 51820
[#] nft -f /dev/fd/63
[#] nft -f /dev/fd/63
[#] resolvconf -a tun.wg0 -m 0 -x`
	if got := strings.Join(w.screen, "\n"); got != want {
		t.Errorf("reload printed:\n%s\nwant:\n%s", got, want)
	}
	if r := w.records["wg0"]; r.Phase != quick.Up || len(r.Defaults) != 1 || len(r.Firewall) != 1 || r.DNS.Servers[0] != "10.8.0.1" {
		t.Errorf("the record is %+v", r)
	}
	if err := w.session().Down(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft(t)
}

// Each step of a reload fails in turn: all is as it was.
func TestReloadIsAllOrNothing(t *testing.T) {
	w, now := reloaded(t)
	if err := w.session().Reload(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	for _, line := range w.Lines {
		if strings.Contains(line, "promote_secondaries") {
			continue // it only makes the rest smoother
		}
		t.Run(line, func(t *testing.T) {
			w, now := reloaded(t)
			before, record := w.Left(), *w.records["wg0"]
			w.Fail = map[string]error{line: syscall.EIO}
			w.Before = func(l string) {
				if l == line && slices.Contains(w.Lines, line) {
					delete(w.Fail, line) // the undo of a like change may succeed
				}
			}
			if err := w.session().Reload(t.Context(), now); !errors.Is(err, syscall.EIO) {
				t.Errorf("Reload: %v, want EIO", err)
			}
			if after := w.Left(); !slices.Equal(after, before) {
				t.Errorf("there is %q, want %q", after, before)
			}
			if !reflect.DeepEqual(*w.records["wg0"], record) {
				t.Errorf("the record is %+v, want %+v", *w.records["wg0"], record)
			}
			w.Fail, w.Before = nil, nil
			if err := w.session().Down(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			w.nothingLeft(t)
		})
	}
}

// What isn't up can't be reloaded, be it a left-over or another's link.
func TestReloadRefuses(t *testing.T) {
	now := mustParse(t, "wg0", file(everything, both))
	for name, prepare := range map[string]func(w *world){
		"down":       func(*world) {},
		"left over":  func(w *world) { w.records["wg0"] = &quick.Record{Dev: "wg0", Phase: quick.Going} },
		"coming":     func(w *world) { w.records["wg0"] = &quick.Record{Dev: "wg0", Phase: quick.Coming} },
		"not a link": func(w *world) { w.foreign = []string{"wg0"} },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			prepare(w)
			err := w.session().Reload(t.Context(), now)
			if _, ok := errors.AsType[*quick.Refusal](err); !ok {
				t.Errorf("Reload: %v, want a refusal", err)
			}
			if len(w.Lines) > 0 {
				t.Errorf("it did %q", w.Lines)
			}
		})
	}
}

// The record of a tunnel that the original brought up is of that link only:
// the next one of this name is another.
func TestReloadRecordsLink(t *testing.T) {
	w, now := reloaded(t)
	link := w.records["wg0"].Link
	delete(w.records, "wg0")
	if err := w.session().Reload(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if got := w.records["wg0"].Link; got != link || got == 0 {
		t.Errorf("the record is of link %d, want %d", got, link)
	}
}

// What a failed reload can't take back stays on record, and down removes it.
func TestReloadUndoFails(t *testing.T) {
	w := newWorld()
	if err := w.session().Up(t.Context(), mustParse(t, "wg0", file("Address = 10.7.0.2/24", "10.50.0.0/16"))); err != nil {
		t.Fatal(err)
	}
	now := mustParse(t, "wg0", file("Address = 10.7.0.2/24\nDNS = 10.7.0.1", "0.0.0.0/0"))
	w.Configured, w.change = nil, &now.Device
	w.Fail = map[string]error{
		"resolvconf -a tun.wg0 -m 0 -x":                                 syscall.EIO,
		"ip -4 rule delete not fwmark 51820 table 51820 priority 32765": syscall.EPERM,
	}
	if err := w.session().Reload(t.Context(), now); !errors.Is(err, syscall.EIO) || !errors.Is(err, syscall.EPERM) {
		t.Fatalf("Reload: %v, want EIO and EPERM", err)
	}
	w.Fail = nil
	if err := w.session().Down(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft(t)
}
