// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/device"
)

// FuzzUAPIReply: whatever a device answers, reading it ends without a panic,
// an error has its errno, and what was understood is understood alike when it
// is said again.
func FuzzUAPIReply(f *testing.F) {
	for _, reply := range []string{
		"", "\n", "errno=0\n\n", "errno=5\n\n", "errno=-5\n\n", "x\n", "=\nerrno=0\n\n", "x=\x00\n\n",
		"private_key=" + hexB + "\nlisten_port=51820\nfwmark=51820\npublic_key=" + hexA + "\npreshared_key=" + hex0 +
			"\nendpoint=192.0.2.1:5\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.5/8\nallowed_ip=fd00::/64\n" +
			"last_handshake_time_sec=7\nlast_handshake_time_nsec=8\nrx_bytes=9\ntx_bytes=99999999999999999999\nerrno=0\n\n",
		"public_key=" + hexA + "\nendpoint=[fe80::1%7]:5\nendpoint=[::ffff:1.2.3.4]:5\nallowed_ip=::1.2.3.4/0\nerrno=0\n\n",
		"public_key=" + hexA + "\nendpoint=[fe80::1%no]:5\nendpoint=[::1:5\nallowed_ip=1.2.3.4\nerrno=0\n\n",
		"public_key=" + hexA + "\nendpoint=2001:db8::1:65541\npublic_key=" + hexA + "\nrx_bytes=00\nerrno=0\n\n",
	} {
		f.Add(reply)
	}
	// A context that is done keeps names from being looked up.
	ctx, cancel := context.WithCancel(f.Context())
	cancel()
	f.Fuzz(func(t *testing.T, reply string) {
		var c collector
		err := readReply(ctx, strings.NewReader(reply), "wg0", &c)
		if err != nil {
			var errno syscall.Errno
			if !errors.As(err, &errno) || errno == 0 {
				t.Errorf("error %v without an errno", err)
			}
			return
		}
		want := describe(&c.device, c.peers)
		var again collector
		err = readReply(ctx, strings.NewReader(sayAgain(&c.device, c.peers)), "wg0", &again)
		if got := describe(&again.device, again.peers); err != nil || got != want {
			t.Errorf("said again:\n%s\n%v; want\n%s", got, err, want)
		}
	})
}

// sayAgain is what a device that has these settings would answer.
func sayAgain(d *device.Device, peers []device.Peer) string {
	var b strings.Builder
	if k := d.PrivateKey; k.Set {
		fmt.Fprintf(&b, "private_key=%s\n", k.Value.AppendHex(nil))
	}
	fmt.Fprintf(&b, "listen_port=%d\nfwmark=%d\n", d.ListenPort, d.Fwmark)
	for _, p := range peers {
		fmt.Fprintf(&b, "public_key=%s\npreshared_key=%s\n", p.PublicKey.AppendHex(nil), p.PresharedKey.AppendHex(nil))
		if p.Endpoint.IsValid() {
			fmt.Fprintf(&b, "endpoint=%s\n", device.AppendEndpoint(nil, p.Endpoint))
		}
		for _, ip := range p.AllowedIPs {
			fmt.Fprintf(&b, "allowed_ip=%s\n", device.AppendPrefix(nil, ip))
		}
		fmt.Fprintf(&b, "persistent_keepalive_interval=%d\nlast_handshake_time_sec=%d\nlast_handshake_time_nsec=%d\nrx_bytes=%d\ntx_bytes=%d\n",
			p.PersistentKeepalive, p.LatestHandshake.Sec, p.LatestHandshake.Nsec, p.ReceivedBytes, p.SentBytes)
	}
	return b.String() + "errno=0\n\n"
}
