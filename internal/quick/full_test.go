// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/routing"
)

// A full tunnel with all that there is.
const everything = `Address = 10.7.0.2/24, fd07::2/64
DNS = 10.7.0.1, corp.example
PreUp = echo pre %i
PostUp = echo up %i
PreDown = echo down %i
PostDown = echo gone %i`

const both = "0.0.0.0/0, ::/0, 10.50.0.0/16"

// What the difference is made of, and in which order: nothing is looked up
// through the tunnel, and nothing is sent into it, before all is in place for
// that; and the other way round.
func TestFullTunnel(t *testing.T) {
	w := newWorld()
	tunnel := mustParse(t, "wg0", file(everything, both))
	if err := w.session().Up(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	want := `[#] ip link add dev wg0 type wireguard
[#] echo pre wg0
[#] wg addconf wg0 /dev/fd/63
[#] ip -4 address add 10.7.0.2/24 dev wg0
[#] ip -6 address add fd07::2/64 dev wg0
[#] ip link set mtu 1420 up dev wg0
[#] ip -4 route add 10.50.0.0/16 dev wg0
[#] wg set wg0 fwmark 51820
[#] nft -f /dev/fd/63
[#] nft -f /dev/fd/63
[#] sysctl -q net.ipv4.conf.all.src_valid_mark=1
[#] ip -6 route add ::/0 dev wg0 table 51820
[#] ip -6 rule add table main suppress_prefixlength 0
[#] ip -6 rule add not fwmark 51820 table 51820
[#] ip -4 route add 0.0.0.0/0 dev wg0 table 51820
[#] ip -4 rule add table main suppress_prefixlength 0
[#] ip -4 rule add not fwmark 51820 table 51820
[#] resolvconf -a tun.wg0 -m 0 -x
[#] echo up wg0`
	if got := strings.Join(w.screen, "\n"); got != want {
		t.Errorf("up printed:\n%s\nwant:\n%s", got, want)
	}
	w.screen = nil
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	want = `[#] echo down wg0
[#] resolvconf -d tun.wg0 -f
[#] ip -4 rule delete not fwmark 51820 table 51820 priority 32765
[#] ip -4 rule delete table main suppress_prefixlength 0 priority 32764
[#] ip -4 route delete 0.0.0.0/0 dev wg0 table 51820
[#] ip -6 rule delete not fwmark 51820 table 51820 priority 32765
[#] ip -6 rule delete table main suppress_prefixlength 0 priority 32764
[#] ip -6 route delete ::/0 dev wg0 table 51820
[#] ip link delete dev wg0
[#] nft -f /dev/fd/63
[#] sysctl -q net.ipv4.conf.all.src_valid_mark=0
[#] echo gone wg0`
	if got := strings.Join(w.screen, "\n"); got != want {
		t.Errorf("down printed:\n%s\nwant:\n%s", got, want)
	}
	w.nothingLeft(t)
}

// nothingLeft checks that the world is as it was.
func (w *world) nothingLeft(t *testing.T) {
	t.Helper()
	if left := w.Left(); left != nil {
		t.Errorf("left behind: %q", left)
	}
	for name, want := range sysctlsBefore() {
		if got, there := w.Sysctls[name]; got != want && there {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if len(w.records) > 0 {
		t.Errorf("recorded is %v", w.records)
	}
}

// cut runs f up to the moment before or after the step of that line, as a
// SIGKILL does.
func (w *world) cut(t *testing.T, line string, after bool, f func() error) {
	t.Helper()
	before := w.Before
	defer func() {
		w.Before = before
		if r := recover(); r != nil && r != "killed" {
			panic(r)
		}
	}()
	next := false
	w.Before = func(l string) {
		if next || l == line && !after {
			panic("killed")
		}
		next = l == line
		if before != nil {
			before(l)
		}
	}
	if err := f(); err != nil {
		t.Errorf("was not killed: %v", err)
	}
}

// fullLines returns the lines of up and down of a tunnel.
func fullLines(t *testing.T, tunnel *quick.Tunnel) (up, down []string) {
	t.Helper()
	w := newWorld()
	if err := w.session().Up(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	up, w.Lines = w.Lines, nil
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	return up, w.Lines
}

// Each step of up fails in turn: all is as it was.
func TestFullUpIsAllOrNothing(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	up, _ := fullLines(t, tunnel)
	for _, line := range up {
		t.Run(line, func(t *testing.T) {
			w := newWorld()
			w.Fail = map[string]error{line: syscall.EIO}
			if err := w.session().Up(t.Context(), tunnel); !errors.Is(err, syscall.EIO) {
				t.Errorf("Up: %v, want EIO", err)
			}
			w.nothingLeft(t)
		})
	}
}

// Each step of down fails in turn, once: it is tried again, told, and nothing
// is left. A failing PreDown hook leaves all as it is.
func TestFullDownGoesOn(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	_, down := fullLines(t, tunnel)
	for _, line := range down {
		t.Run(line, func(t *testing.T) {
			w := newWorld()
			if err := w.session().Up(t.Context(), tunnel); err != nil {
				t.Fatal(err)
			}
			before := w.Left()
			w.Fail = map[string]error{line: syscall.EIO}
			failed := false
			w.Before = func(l string) {
				if failed {
					delete(w.Fail, line)
				}
				failed = failed || l == line
			}
			if err := w.session().Down(t.Context(), tunnel); !errors.Is(err, syscall.EIO) {
				t.Errorf("Down: %v, want EIO", err)
			}
			if strings.HasPrefix(line, "echo down") {
				if after := w.Left(); !slices.Equal(after, before) {
					t.Errorf("there is %q, want all of %q", after, before)
				}
				return
			}
			w.nothingLeft(t)
		})
	}
}

// A sudden end before or after each step of up or of down: the next down leaves
// nothing, and so does an up and a down after it.
func TestSuddenEnd(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	up, down := fullLines(t, tunnel)
	for _, verb := range []string{"up", "down"} {
		for _, line := range map[string][]string{"up": up, "down": down}[verb] {
			for _, after := range []bool{false, true} {
				for _, then := range []string{"down", "up"} {
					t.Run(fmt.Sprintf("%s/%s/after %t/then %s", verb, line, after, then), func(t *testing.T) {
						w := newWorld()
						f := func() error { return w.session().Up(t.Context(), tunnel) }
						if verb == "down" {
							if err := f(); err != nil {
								t.Fatal(err)
							}
							f = func() error { return w.session().Down(t.Context(), tunnel) }
						}
						w.cut(t, line, after, f)
						hook := verb == "down" && strings.HasPrefix(line, "echo down")
						if then == "down" {
							err := w.session().Down(t.Context(), tunnel)
							if _, nothing := errors.AsType[*quick.Refusal](err); err != nil && !nothing {
								t.Errorf("Down: %v", err)
							}
							w.nothingLeft(t)
						}
						if err := w.session().Up(t.Context(), tunnel); err != nil {
							if _, there := errors.AsType[*quick.Refusal](err); !there || !hook && !(verb == "up" && line == up[len(up)-1] && after) {
								t.Errorf("Up: %v", err)
							}
						}
						if err := w.session().Down(t.Context(), tunnel); err != nil {
							t.Errorf("Down: %v", err)
						}
						w.nothingLeft(t)
					})
				}
			}
		}
	}
}

// The device's program died, and the link with it.
func TestDeadDevice(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	for _, verb := range []string{"up", "down"} {
		w := newWorld()
		if err := w.session().Up(t.Context(), tunnel); err != nil {
			t.Fatal(err)
		}
		if err := w.DelLink(context.Background(), "wg0"); err != nil {
			t.Fatal(err)
		}
		w.screen = nil
		if verb == "up" {
			if err := w.session().Up(t.Context(), tunnel); err != nil {
				t.Errorf("Up: %v", err)
			}
		}
		if err := w.session().Down(t.Context(), tunnel); err != nil {
			t.Errorf("Down: %v", err)
		}
		w.nothingLeft(t)
		if hook := "[#] echo down wg0"; slices.Contains(w.screen, hook) != (verb == "up") {
			t.Errorf("%s: the screen has\n%s", verb, strings.Join(w.screen, "\n"))
		}
	}
}

// Without a file, or with a changed one, all goes that came.
func TestChangedFile(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	for name, changed := range map[string]*quick.Tunnel{
		"deleted":        {Dev: "wg0", Table: routing.Chosen(0)},
		"Table = off":    mustParse(t, "wg0", file("Table = off", "10.0.0.0/8")),
		"without hooks":  mustParse(t, "wg0", file("Address = 10.7.0.2/24", both)),
		"another FwMark": mustParse(t, "wg0", file("FwMark = 7\nAddress = 10.7.0.2/24", both)),
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if err := w.session().Up(t.Context(), tunnel); err != nil {
				t.Fatal(err)
			}
			if err := w.session().Down(t.Context(), changed); err != nil {
				t.Errorf("Down: %v", err)
			}
			w.nothingLeft(t)
		})
	}
}

// Two full tunnels, up and down in any order: each takes only what is its own,
// and the parameter that both need is put back by the last one.
func TestTwoFullTunnels(t *testing.T) {
	a := mustParse(t, "wg0", file("Address = 10.7.0.2/24", "0.0.0.0/0, ::/0"))
	b := mustParse(t, "wg1", strings.Replace(file("Address = 10.8.0.2/24", "0.0.0.0/0, ::/0"), "51820", "51821", 1))
	for _, order := range [][]*quick.Tunnel{{a, b}, {b, a}} {
		w := newWorld()
		w.one(t, a)
		first := w.Left()
		w.one(t, b)
		if order[0] == b {
			if err := w.session().Down(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if now := w.Left(); !slices.Equal(now, first) {
				t.Errorf("the second one's down leaves %q, want %q", now, first)
			}
		} else if err := w.session().Down(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		if got := w.Sysctls["net.ipv4.conf.all.src_valid_mark"]; got != "1" {
			t.Errorf("src_valid_mark is %s while a tunnel needs it", got)
		}
		if err := w.session().Down(t.Context(), order[1]); err != nil {
			t.Fatal(err)
		}
		w.nothingLeft(t)
	}
	// The second one fails: nothing of the first one goes.
	w := newWorld()
	w.one(t, a)
	before := w.Left()
	w.Fail = map[string]error{"ip -4 rule add not fwmark 51821 table 51821": syscall.EIO}
	w.Configured = nil
	if err := w.session().Up(t.Context(), b); !errors.Is(err, syscall.EIO) {
		t.Errorf("Up: %v, want EIO", err)
	}
	if after := w.Left(); !slices.Equal(after, before) {
		t.Errorf("there is %q, want %q", after, before)
	}
	if got := w.Sysctls["net.ipv4.conf.all.src_valid_mark"]; got != "1" {
		t.Errorf("src_valid_mark is %s while a tunnel needs it", got)
	}
}

// one brings a tunnel up, whose device is the only one that the model shows.
func (w *world) one(t *testing.T, tunnel *quick.Tunnel) {
	t.Helper()
	w.Configured = nil
	if err := w.session().Up(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
}

// A parameter that has its value already is somebody else's, and stays.
func TestMarksValidBefore(t *testing.T) {
	tunnel := mustParse(t, "wg0", file("", "0.0.0.0/0"))
	w := newWorld()
	w.Sysctls["net.ipv4.conf.all.src_valid_mark"] = "1"
	w.one(t, tunnel)
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(w.screen, "\n"); strings.Contains(text, "sysctl") {
		t.Errorf("printed:\n%s", text)
	}
}

// A tunnel that the original brought up has no record.
func TestDownOfTheOriginals(t *testing.T) {
	tunnel := mustParse(t, "wg0", file("FwMark = 51820\n"+everything, both))
	w := newWorld()
	w.one(t, tunnel)
	w.records = map[string]*quick.Record{}
	w.Sysctls["net.ipv4.conf.all.src_valid_mark"] = "0" // which isn't known to be ours
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft(t)
}

// Where records can't be kept, the tunnel works all the same.
func TestUnrecorded(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	w := newWorld()
	w.readOnlyRun = true
	w.one(t, tunnel)
	told := 0
	for _, line := range w.screen {
		if strings.HasPrefix(line, "[!] What is done can't be recorded: read-only file system.") {
			told++
		}
	}
	if told != 1 {
		t.Errorf("told %d times, want once:\n%s", told, strings.Join(w.screen, "\n"))
	}
}

// Without IPv6, a tunnel is one of IPv4.
func TestNoIPv6(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both+", fd01::/16, fd02::/16, fd03::/16"))
	w := newWorld()
	w.noIPv6 = "net.ipv6.conf.wg0.disable_ipv6 is 1"
	w.one(t, tunnel)
	if want := "[!] There is no IPv6 here (net.ipv6.conf.wg0.disable_ipv6 is 1). Left out: fd07::2/64, ::/0, fd01::/16, fd02::/16, and 1 more"; !slices.Contains(w.screen, want) {
		t.Errorf("printed:\n%s\nwant %s", strings.Join(w.screen, "\n"), want)
	}
	for _, line := range w.screen {
		if strings.Contains(line, "ip -6") {
			t.Errorf("printed %s", line)
		}
	}
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	w.nothingLeft(t)
}

// Search domains alone aren't dropped.
func TestSearchOnly(t *testing.T) {
	tunnel := mustParse(t, "wg0", file("DNS = corp.example, lab.example", "10.0.0.0/8"))
	w := newWorld()
	w.one(t, tunnel)
	if want := "[#] resolvconf -a tun.wg0 -m 0"; !slices.Contains(w.screen, want) {
		t.Errorf("printed:\n%s\nwant %s", strings.Join(w.screen, "\n"), want)
	}
}

// Lines land in logs, and hooks may have keys in them.
func TestHookLinesHideKeys(t *testing.T) {
	hook := config.Value{Text: "wg set %i private-key <(echo " + privateKey + ")"}
	w := newWorld()
	w.one(t, &quick.Tunnel{Dev: "wg0", PreUp: []config.Value{hook}})
	if text := strings.Join(w.screen, "\n"); strings.Contains(text, privateKey) || !strings.Contains(text, "[#] wg set wg0 private-key <(echo (hidden))") {
		t.Errorf("printed:\n%s", text)
	}
}

// A link of the same name that isn't the tunnel's stays.
func TestForeignLink(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(everything, both))
	w := newWorld()
	w.one(t, tunnel)
	if err := w.DelLink(t.Context(), "wg0"); err != nil {
		t.Fatal(err)
	}
	if err := w.AddLink(t.Context(), "wg0"); err != nil {
		t.Fatal(err)
	}
	w.index, w.notWireGuard = 100, true
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Errorf("Down: %v", err)
	}
	if left := w.Left(); !slices.Equal(left, []string{"link wg0"}) {
		t.Errorf("left is %q, want the link", left)
	}
	if err := w.session().Up(t.Context(), tunnel); err == nil || err.Error() != "`wg0' already exists" {
		t.Errorf("Up: %v", err)
	}
}

// lateSignal is a host's DNS during whose last change the signal comes.
type lateSignal struct {
	plan.DNS
	cancel context.CancelCauseFunc
}

func (l lateSignal) SetDNS(ctx context.Context, s plan.DNSSettings) error {
	err := l.DNS.SetDNS(ctx, s)
	l.cancel(errInterrupted)
	return err
}

var errInterrupted = errors.New("interrupted")

// A signal during the last step, which is carried out all the same: all is as
// it was.
func TestInterruptedInLastStep(t *testing.T) {
	without := mustParse(t, "wg0", file("Address = 10.7.0.2/24", both))
	with := mustParse(t, "wg0", file("Address = 10.7.0.2/24\nDNS = 10.7.0.1", both))
	for name, verb := range map[string]func(s *quick.Session, ctx context.Context) error{
		"up":     func(s *quick.Session, ctx context.Context) error { return s.Up(ctx, with) },
		"reload": func(s *quick.Session, ctx context.Context) error { return s.Reload(ctx, with) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if name == "reload" {
				if err := w.session().Up(t.Context(), without); err != nil {
					t.Fatal(err)
				}
			}
			before := w.Left()
			ctx, cancel := context.WithCancelCause(t.Context())
			s := w.session()
			s.Tx.Host.DNS = lateSignal{s.Tx.Host.DNS, cancel}
			if err := verb(s, ctx); !errors.Is(err, errInterrupted) {
				t.Errorf("%s: %v, want %v", name, err, errInterrupted)
			}
			if after := w.Left(); !slices.Equal(after, before) {
				t.Errorf("there is %q, want %q", after, before)
			}
		})
	}
}
