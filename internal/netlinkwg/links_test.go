// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"testing"

	"github.com/mdlayher/netlink"
)

// link makes an RTM_NEWLINK message.
func link(f func(*netlink.AttributeEncoder)) []byte {
	return append(make([]byte, ifInfomsg), attrs(f)...)
}

func TestWireguardLink(t *testing.T) {
	kind := func(s string) func(*netlink.AttributeEncoder) {
		return func(e *netlink.AttributeEncoder) {
			e.Uint32(4, 1420) // MTU
			e.String(linkName, "wg0")
			e.Nested(linkInfo, func(e *netlink.AttributeEncoder) error {
				e.String(linkInfoKind, s)
				e.Bytes(2, []byte{1, 2, 3})
				return nil
			})
		}
	}
	tests := map[string]struct {
		message []byte
		want    string
	}{
		"WireGuard":                {link(kind("wireguard")), "wg0"},
		"another kind":             {link(kind("veth")), ""},
		"a kind that starts alike": {link(kind("wireguardx")), ""},
		"no kind":                  {link(func(e *netlink.AttributeEncoder) { e.String(linkName, "eth0") }), ""},
		"no name": {link(func(e *netlink.AttributeEncoder) {
			e.Nested(linkInfo, func(e *netlink.AttributeEncoder) error { e.String(linkInfoKind, "wireguard"); return nil })
		}), ""},
		"kind before name": {link(func(e *netlink.AttributeEncoder) {
			e.Nested(linkInfo, func(e *netlink.AttributeEncoder) error { e.String(linkInfoKind, "wireguard"); return nil })
			e.String(linkName, "wg1")
		}), "wg1"},
		"empty":                      {nil, ""},
		"without attributes":         {make([]byte, ifInfomsg), ""},
		"cut in its first attribute": {link(kind("wireguard"))[:ifInfomsg+5], ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, ok := wireguardLink(tt.message); got != tt.want && ok || ok != (tt.want != "") {
				t.Errorf("got %q, %t; want %q", got, ok, tt.want)
			}
		})
	}
}

func TestAppendLinks(t *testing.T) {
	want := link(func(e *netlink.AttributeEncoder) {
		e.Nested(linkInfo, func(e *netlink.AttributeEncoder) error { e.String(linkInfoKind, "wireguard"); return nil })
	})
	if got := appendLinks(nil); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}
