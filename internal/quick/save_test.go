// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// What the system gives to a link by itself isn't saved, unless the file has it.
func TestSave(t *testing.T) {
	const text = "[Interface]\nAddress = 10.7/16\nAddress = fe80::2/64\nPrivateKey = " + privateKey + "\n"
	k, err := keys.Parse(privateKey)
	if err != nil {
		t.Fatal(err)
	}
	prefix := netip.MustParsePrefix
	w := newWorld()
	w.foreign = []string{"wg0"}
	w.live = config.Live{
		PrivateKey: device.Some(k),
		Addresses:  []netip.Prefix{prefix("10.7.0.0/16"), prefix("10.8.0.1/24"), prefix("fe80::2/64"), prefix("fe80::abcd/64")},
	}
	if err := w.AddLink(t.Context(), "wg0"); err != nil {
		t.Fatal(err)
	}
	if err := w.session().Save(t.Context(), "wg0", config.Scan("/etc/wireguard/wg0.conf", []byte(text)), config.Borrowed{}); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(text, "Address = fe80::2/64\n", "Address = fe80::2/64\nAddress = 10.8.0.1/24\n", 1)
	if got := w.Saved["/etc/wireguard/wg0.conf"]; got != want {
		t.Errorf("saved:\n%s\nwant:\n%s", got, want)
	}
	if want := []string{"[#] wg showconf wg0"}; !slices.Equal(w.screen, want) {
		t.Errorf("printed %q, want %q", w.screen, want)
	}
}
