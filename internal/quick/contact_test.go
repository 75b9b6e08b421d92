// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"net/netip"
	"testing"
	"time"

	"wgtools/internal/device"
)

func TestContact(t *testing.T) {
	now := time.Unix(10_000, 0)
	at := netip.MustParseAddrPort("192.0.2.1:1")
	ago := func(seconds int64) device.Time { return device.Time{Sec: now.Unix() - seconds} }
	tests := map[string]struct {
		peer device.Peer
		want Contact
	}{
		"a session":                      {device.Peer{LatestHandshake: ago(179)}, Fresh},
		"a session just over":            {device.Peer{LatestHandshake: ago(181)}, Idle},
		"keepalives in time":             {device.Peer{LatestHandshake: ago(150), PersistentKeepalive: 25, Endpoint: at}, Fresh},
		"keepalives in vain":             {device.Peer{LatestHandshake: ago(181), PersistentKeepalive: 25, Endpoint: at, SentBytes: 9}, Stale},
		"keepalives to nowhere":          {device.Peer{PersistentKeepalive: 25}, Idle},
		"never any":                      {device.Peer{Endpoint: at}, Idle},
		"never, but tried":               {device.Peer{Endpoint: at, SentBytes: 148}, Stale},
		"once, with nothing to send now": {device.Peer{LatestHandshake: ago(5000), Endpoint: at, SentBytes: 148}, Idle},
		"a clock that was put back":      {device.Peer{LatestHandshake: ago(-5000)}, Fresh},
	}
	for name, tt := range tests {
		if got := contact(&tt.peer, now); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
