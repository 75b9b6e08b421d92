// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import "testing"

// With OwnKeys only wg-quick's keys count: mistakes elsewhere are passed over.
func TestDecodeOwnKeys(t *testing.T) {
	const text = "[Interface]\nMTU = 1400\nNonsense = 1\nPrivateKey = x\n[Peer]\nAllowedIPs = here\n[interface]\nPostUp = a # b\n"
	o := Options{Dialect: Quick, OwnKeys: true, Program: "wg-quick"}
	c, err := Decode("wg0.conf", []byte(text), o)
	if err != nil {
		t.Fatal(err)
	}
	if c.Quick.MTU.Text != "1400" || len(c.Quick.PostUp) != 1 || c.Quick.PostUp[0].Text != "a # b" || len(c.Peers) != 0 {
		t.Errorf("Decode = %+v, %d peers", c.Quick, len(c.Peers))
	}
	if _, err := Decode("wg0.conf", []byte("[Interface]\nSaveConfig = yes\n"), o); err == nil {
		t.Error("a bad SaveConfig gave no error")
	}
}
