// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
)

const (
	privateKey = "oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc="
	peer1      = "oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs="
	peer2      = "hoWkIu8HVieUQ+5iRQh2jPyH5BYOcDrM6ASpnTdkvGQ="
)

// numbers resolves what needs no resolving.
type numbers struct{}

func (numbers) Port(s string) (port uint16, err error) { _, err = fmt.Sscan(s, &port); return }
func (numbers) Endpoint(s string) (netip.AddrPort, error) {
	return netip.ParseAddrPort(s)
}

func tables(name string) (uint32, bool) {
	n, ok := map[string]uint32{"vpn": 42}[name]
	return n, ok
}

// parse makes a tunnel of a file's text; without a section at its head it
// begins in one.
func parse(dev, text string) (*quick.Tunnel, error) {
	file := dev + ".conf"
	c, err := config.Decode(file, []byte(text), config.Options{Dialect: config.Quick, Program: "wg-quick", Resolver: numbers{}})
	if err != nil {
		return nil, err
	}
	return quick.NewTunnel(dev, file, c, tables)
}

func mustParse(t *testing.T, dev, text string) *quick.Tunnel {
	t.Helper()
	tunnel, err := parse(dev, text)
	if err != nil {
		t.Fatal(err)
	}
	return tunnel
}

// file is an ordinary configuration: own is added to its [Interface], and the
// peer has these allowed IPs.
func file(own, allowed string) string {
	return fmt.Sprintf("[Interface]\nPrivateKey = %s\nListenPort = 51820\n%s\n[Peer]\nPublicKey = %s\nAllowedIPs = %s\n", privateKey, own, peer1, allowed)
}

// The lines are those that the original (1.0.20260223) prints on the same
// files, but for the names of the userspace device.
func TestTranscripts(t *testing.T) {
	const a8 = `fd51::1/128 fd50:1::/48 fd50::/32 10.50.1.0/24 192.168.0.0/16 10.50.0.0/16 172.16.0.0/12 100.64.0.0/10 9.0.0.0/8 10.0.0.0/8`
	routes8 := ""
	for _, p := range strings.Fields(a8) {
		family := "-4"
		if strings.Contains(p, ":") {
			family = "-6"
		}
		routes8 += fmt.Sprintf("[#] ip %s route add %s dev sbt8\n", family, p)
	}
	tests := map[string]struct {
		dev, text, up string
	}{
		"IPv4": {
			dev:  "sbt1",
			text: file("Address = 10.7.0.2/24", "10.7.0.0/24, 10.50.0.0/16\nEndpoint = 192.0.2.1:51820"),
			up: `[#] ip -4 address add 10.7.0.2/24 dev sbt1
[#] ip link set mtu 1420 up dev sbt1
[#] ip -4 route add 10.50.0.0/16 dev sbt1
`,
		},
		"IPv4 and IPv6": {
			dev:  "sbt2",
			text: file("Address = 10.7.0.2/24, fd07::2/64", "10.7.0.0/24, fd07::/64, 10.50.0.0/16, fd50::/32\nEndpoint = 192.0.2.1:51820"),
			up: `[#] ip -4 address add 10.7.0.2/24 dev sbt2
[#] ip -6 address add fd07::2/64 dev sbt2
[#] ip link set mtu 1420 up dev sbt2
[#] ip -6 route add fd50::/32 dev sbt2
[#] ip -4 route add 10.50.0.0/16 dev sbt2
`,
		},
		"Table = off": {
			dev:  "sbt5",
			text: file("Address = 10.7.0.2/24\nTable = off", "0.0.0.0/0, ::/0"),
			up: `[#] ip -4 address add 10.7.0.2/24 dev sbt5
[#] ip link set mtu 1420 up dev sbt5
`,
		},
		"Table = 1234": {
			dev:  "sbt6",
			text: file("Address = 10.7.0.2/24, fd07::2/64\nTable = 1234", "10.7.0.0/24, 0.0.0.0/0, ::/0"),
			up: `[#] ip -4 address add 10.7.0.2/24 dev sbt6
[#] ip -6 address add fd07::2/64 dev sbt6
[#] ip link set mtu 1420 up dev sbt6
[#] ip -4 route add 10.7.0.0/24 dev sbt6 table 1234
[#] ip -6 route add ::/0 dev sbt6 table 1234
[#] ip -4 route add 0.0.0.0/0 dev sbt6 table 1234
`,
		},
		"many allowed IPs": {
			dev: "sbt8",
			text: file("Address = 10.7.0.2/24", "10.7.0.9/32, 10.0.0.0/8, 9.0.0.0/8, 10.50.0.0/16, 100.64.0.0/10, 10.50.1.0/24") +
				"[Peer]\nPublicKey = " + peer2 + "\nAllowedIPs = fd50::/32, fd50:1::/48, 172.16.0.0/12, 192.168.0.0/16, fd51::1/128\n",
			up: `[#] ip -4 address add 10.7.0.2/24 dev sbt8
[#] ip link set mtu 1420 up dev sbt8
` + routes8,
		},
		"MTU = 1280": {
			dev:  "sbt10",
			text: file("Address = 10.7.0.2/24\nMTU = 1280", "10.7.0.0/24"),
			up: `[#] ip -4 address add 10.7.0.2/24 dev sbt10
[#] ip link set mtu 1280 up dev sbt10
`,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for _, kernel := range []bool{true, false} {
				w := newWorld()
				first := "[#] ip link add dev " + tt.dev + " type wireguard\n"
				if !kernel {
					w.noKernelDevice(tt.dev)
					first += "[!] Missing WireGuard kernel module. Falling back to slow userspace implementation.\n" +
						"[#] wg-quick-userspace " + tt.dev + "\n"
				}
				tunnel := mustParse(t, tt.dev, tt.text)
				if err := w.session().Up(t.Context(), tunnel); err != nil {
					t.Fatalf("Up: %v", err)
				}
				want := first + "[#] wg addconf " + tt.dev + " /dev/fd/63\n" + tt.up
				if got := strings.Join(w.screen, "\n") + "\n"; got != want {
					t.Errorf("up printed:\n%s\nwant:\n%s", got, want)
				}
				w.screen = nil
				if err := w.session().Down(t.Context(), tunnel); err != nil {
					t.Fatalf("Down: %v", err)
				}
				if got, want := strings.Join(w.screen, "\n"), "[#] ip link delete dev "+tt.dev; got != want {
					t.Errorf("down printed:\n%s\nwant:\n%s", got, want)
				}
				if left := w.Left(); left != nil {
					t.Errorf("left behind: %q", left)
				}
			}
		})
	}
}

const hooked = `Address = 10.7.0.2/24, fd07::2/64
PreUp = echo pre %i
PostUp = echo up %i # not a comment
PostUp = echo again %i%i
PreDown = echo down %i
PostDown = echo gone %i`

func TestHooks(t *testing.T) {
	w := newWorld()
	tunnel := mustParse(t, "wg0", file(hooked, "10.50.0.0/16"))
	if err := w.session().Up(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	if err := w.session().Down(t.Context(), tunnel); err != nil {
		t.Fatal(err)
	}
	want := `[#] ip link add dev wg0 type wireguard
[#] echo pre wg0
[#] wg addconf wg0 /dev/fd/63
[#] ip -4 address add 10.7.0.2/24 dev wg0
[#] ip -6 address add fd07::2/64 dev wg0
[#] ip link set mtu 1420 up dev wg0
[#] ip -4 route add 10.50.0.0/16 dev wg0
[#] echo up wg0 # not a comment
[#] echo again wg0wg0
[#] echo down wg0
[#] ip link delete dev wg0
[#] echo gone wg0`
	if got := strings.Join(w.screen, "\n"); got != want {
		t.Errorf("printed:\n%s\nwant:\n%s", got, want)
	}
}

// Whatever fails in up, and whenever it is interrupted, nothing stays.
func TestUpIsAllOrNothing(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(hooked, "10.50.0.0/16, fd50::/32"))
	for _, kernel := range []bool{true, false} {
		reference := newWorld()
		if !kernel {
			reference.noKernelDevice("wg0")
		}
		if err := reference.session().Up(t.Context(), tunnel); err != nil {
			t.Fatal(err)
		}
		for i, line := range reference.Lines {
			if !kernel && i == 0 {
				continue // fails anyway
			}
			for _, how := range []string{"fails", "interrupted"} {
				t.Run(fmt.Sprintf("kernel device %t/%s/%s", kernel, how, line), func(t *testing.T) {
					w := newWorld()
					if !kernel {
						w.noKernelDevice("wg0")
					}
					cause := errors.New("interrupted")
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					if how == "fails" {
						cause = syscall.EIO
						if w.Fail == nil {
							w.Fail = map[string]error{}
						}
						w.Fail[line] = cause
					} else {
						w.Before = func(l string) {
							if l == line {
								cancel(cause)
							}
						}
					}
					if err := w.session().Up(ctx, tunnel); !errors.Is(err, cause) {
						t.Errorf("Up: %v, want %v", err, cause)
					}
					if left := w.Left(); left != nil {
						t.Errorf("left behind: %q", left)
					}
					last := w.screen[len(w.screen)-1]
					made := i > 0 && (kernel || i > 1)
					if made != (last == "[#] ip link delete dev wg0") {
						t.Errorf("the last line is %q", last)
					}
				})
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	tunnel := mustParse(t, "wg0", file("", "10.50.0.0/16"))
	up := func(w *world) error { return w.session().Up(t.Context(), tunnel) }
	down := func(w *world) error { return w.session().Down(t.Context(), tunnel) }
	have := func(w *world) {
		if err := w.AddLink(context.Background(), "wg0"); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		before func(w *world)
		do     func(w *world) error
		want   string
	}{
		"up of what is there":         {have, up, "`wg0' already exists"},
		"up beside another up":        {func(w *world) { w.Before = func(string) { w.Before = nil; have(w) } }, up, "`wg0' already exists"},
		"down of nothing":             {nil, down, "`wg0' is not a WireGuard interface"},
		"down of another namespace's": {func(w *world) { w.foreign = []string{"wg0"} }, down, "`wg0' is not a WireGuard interface"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			if tt.before != nil {
				tt.before(w)
			}
			before := w.Left()
			err := tt.do(w)
			refusal, ok := errors.AsType[*quick.Refusal](err)
			if !ok || refusal.Text != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			if name == "up beside another up" {
				before = []string{"link wg0"} // the other one's stays
			}
			if after := w.Left(); !slices.Equal(after, before) {
				t.Errorf("there is %q afterwards, before there was %q", after, before)
			}
		})
	}
}

func TestDownHookFails(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(hooked, "10.50.0.0/16"))
	for hook, stays := range map[string]bool{"echo down wg0": true, "echo gone wg0": false} {
		w := newWorld()
		if err := w.session().Up(t.Context(), tunnel); err != nil {
			t.Fatal(err)
		}
		w.Fail = map[string]error{hook: syscall.EIO}
		err := w.session().Down(t.Context(), tunnel)
		failed, ok := errors.AsType[*plan.Error](err)
		if !ok || failed.Line != hook {
			t.Errorf("Down: %v, want the failure of %q", err, hook)
		}
		if up := w.has("wg0"); up != stays {
			t.Errorf("after %q failed the link is there: %t, want %t", hook, up, stays)
		}
	}
}

// An interrupt between a PreDown hook and the link's deletion leaves the tunnel
// as it is; one during the deletion doesn't stop it.
func TestDownInterrupted(t *testing.T) {
	tunnel := mustParse(t, "wg0", file(hooked, "10.50.0.0/16"))
	for line, stays := range map[string]bool{"echo down wg0": true, "ip link delete dev wg0": false} {
		w := newWorld()
		if err := w.session().Up(t.Context(), tunnel); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		w.Before = func(l string) {
			if l == line {
				cancel()
			}
		}
		if err := w.session().Down(ctx, tunnel); !errors.Is(err, context.Canceled) {
			t.Errorf("Down interrupted at %q: %v", line, err)
		}
		if up := w.has("wg0"); up != stays {
			t.Errorf("interrupted at %q, the link is there: %t, want %t", line, up, stays)
		}
	}
}

func TestMTU(t *testing.T) {
	endpoints := func(list ...string) string {
		text := file("", "10.0.0.1/32")
		for i, e := range list {
			key := []string{peer2, privateKey, peer1}[i]
			text += "[Peer]\nPublicKey = " + key + "\nEndpoint = " + e + "\n"
		}
		return text
	}
	paths := map[string]int{"192.0.2.1": 1500, "192.0.2.2": 1400, "2001:db8::1": 9000}
	tests := map[string]struct {
		text string
		def  int
		want int
	}{
		"no endpoint":          {endpoints(), 1492, 1412},
		"no default route":     {endpoints(), 0, 1420},
		"one endpoint":         {endpoints("[2001:db8::1]:1"), 1500, 8920},
		"the smallest counts":  {endpoints("192.0.2.1:1", "192.0.2.2:1", "[2001:db8::1]:1"), 1500, 1320},
		"an unreachable one":   {endpoints("203.0.113.1:1"), 1492, 1412},
		"a scoped one":         {endpoints("[fe80::1%lo]:1"), 1492, 1412},
		"the file's":           {strings.Replace(endpoints("192.0.2.2:1"), "[Interface]", "[Interface]\nMTU = 0x500", 1), 1500, 1280},
		"the file's, then not": {strings.Replace(endpoints("192.0.2.2:1"), "[Interface]", "[Interface]\nMTU = 1280\nMTU =", 1), 1500, 1320},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.paths, w.defMTU = paths, tt.def
			if err := w.session().Up(t.Context(), mustParse(t, "wg0", tt.text)); err != nil {
				t.Fatal(err)
			}
			if want := fmt.Sprintf("[#] ip link set mtu %d up dev wg0", tt.want); !slices.Contains(w.screen, want) {
				t.Errorf("printed:\n%s\nwant %s", strings.Join(w.screen, "\n"), want)
			}
		})
	}
}
