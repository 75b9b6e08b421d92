// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"

	"wgtools/internal/device"
)

// benchPeers is how many peers, and benchIPs how many allowed IPs of each, the
// devices of these benchmarks have.
const (
	benchPeers = 10_000
	benchIPs   = 10
)

func benchReply(ip func(i, j int) string) string {
	var b strings.Builder
	b.WriteString("private_key=" + hexB + "\nlisten_port=51820\n")
	for i := range benchPeers {
		k := numbered(i)
		fmt.Fprintf(&b, "public_key=%s\npreshared_key=%s\nendpoint=192.0.2.1:51820\nlast_handshake_time_sec=1700000000\nlast_handshake_time_nsec=123456789\n"+
			"tx_bytes=123456\nrx_bytes=654321\npersistent_keepalive_interval=25\n", k.AppendHex(nil), hexA)
		for j := range benchIPs {
			fmt.Fprintf(&b, "allowed_ip=%s\n", ip(i, j))
		}
	}
	b.WriteString("errno=0\n\n")
	return b.String()
}

func ip4(i, j int) string { return fmt.Sprintf("10.%d.%d.%d/32", i>>8, i&255, j) }
func ip6(i, j int) string { return fmt.Sprintf("fd00:%x:%x::/64", i, j) }

func benchChange() *device.Change {
	c := &device.Change{ReplacePeers: true}
	for i := range benchPeers {
		p := device.PeerChange{PublicKey: numbered(i), ReplaceAllowedIPs: true, Endpoint: netip.MustParseAddrPort("192.0.2.1:51820")}
		for j := range benchIPs {
			p.AllowedIPs = append(p.AllowedIPs, device.AllowedIP{Prefix: netip.MustParsePrefix(ip4(i, j))})
		}
		c.Peers = append(c.Peers, p)
	}
	return c
}

// A counter is a sink that keeps nothing.
type counter struct{ peers, ips int }

func (*counter) Device(*device.Device) error { return nil }
func (c *counter) Peer(p *device.Peer) error { c.peers++; c.ips += len(p.AllowedIPs); return nil }
func (*counter) Restart() bool               { return false }

func BenchmarkReadReply(b *testing.B) {
	for name, ip := range map[string]func(i, j int) string{"ip4": ip4, "ip6": ip6} {
		b.Run(name, func(b *testing.B) {
			reply := benchReply(ip)
			b.SetBytes(int64(len(reply)))
			b.ReportAllocs()
			for b.Loop() {
				if err := readReply(context.Background(), strings.NewReader(reply), "wg0", &counter{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkConfigureDevice(b *testing.B) {
	c := benchChange()
	b.ReportAllocs()
	for b.Loop() {
		rw := struct {
			io.Reader
			io.Writer
		}{strings.NewReader("errno=0\n\n"), io.Discard}
		if err := configureDevice(rw, c); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	c := benchChange()
	b.ReportAllocs()
	for b.Loop() {
		for e := newEncoder("wg0", c, 4096); e.next(); {
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	dump := messages("wg0", benchChange(), 8192)
	b.ReportAllocs()
	for b.Loop() {
		t := teller{sink: &counter{}}
		for _, m := range dump {
			if err := decode(m, &t); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// The work is done without memory of its own for each peer or line.
func TestAllocations(t *testing.T) {
	const few = 1000 // for the operation; there are 10,000 peers and 100,000 allowed IPs
	reply, change := benchReply(ip4), benchChange()
	dump := messages("wg0", change, 8192)
	var sunk counter
	tests := map[string]func(){
		"read a reply": func() {
			sunk = counter{}
			if err := readReply(context.Background(), strings.NewReader(reply), "wg0", &sunk); err != nil {
				t.Error(err)
			}
		},
		"send a request": func() {
			d := dialogue{Buffer: *bytes.NewBuffer(make([]byte, 0, 10<<20)), reply: strings.NewReader("errno=0\n\n")}
			if err := configureDevice(&d, change); err != nil {
				t.Error(err)
			}
		},
		"encode": func() {
			for e := newEncoder("wg0", change, 4096); e.next(); {
			}
		},
		"decode": func() {
			sunk = counter{}
			tell := teller{sink: &sunk}
			for _, m := range dump {
				if err := decode(m, &tell); err != nil {
					t.Error(err)
				}
			}
			if err := tell.finish(); err != nil {
				t.Error(err)
			}
		},
	}
	for name, f := range tests {
		t.Run(name, func(t *testing.T) {
			sunk = counter{benchPeers, benchPeers * benchIPs}
			if n := testing.AllocsPerRun(1, f); n > few {
				t.Errorf("%.0f allocations, want at most %d", n, few)
			}
			if want := (counter{benchPeers, benchPeers * benchIPs}); sunk != want {
				t.Errorf("told %v, want %v", sunk, want)
			}
		})
	}
}
