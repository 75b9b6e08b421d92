// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"strings"
	"testing"
)

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

// The keys that only we have are wg-quick's alone: wg refuses them, strip takes
// them out, and saving leaves them.
func TestKeysOfOurs(t *testing.T) {
	for _, line := range []string{"KillSwitch = lan", "Masquerade = eth0", "Forward = true"} {
		text := "[Interface]\nListenPort = 1\n" + line + " # why\n"
		if _, err := Decode("wg0.conf", []byte(text), Options{Dialect: WG}); err == nil || !strings.Contains(err.Error(), " is a key of wg-quick, not of wg") {
			t.Errorf("%s: wg says %v", line, err)
		}
		c, err := Decode("wg0.conf", []byte(text), Options{Dialect: Quick, Program: "wg-quick"})
		if err != nil || c.Quick.KillSwitch.Text+c.Quick.Masquerade.Text+c.Quick.Forward.Text != line[strings.Index(line, "= ")+2:] {
			t.Errorf("%s: wg-quick reads %+v, %v", line, c, err)
		}
		d := Scan("wg0.conf", []byte(text))
		if got := string(d.Strip()); got != "[Interface]\nListenPort = 1\n\n" {
			t.Errorf("%s: stripped is %q", line, got)
		}
		d.Update(Live{ListenPort: 1}, Borrowed{}, nil)
		if got := string(d.Bytes()); got != text {
			t.Errorf("%s: saved is %q", line, got)
		}
	}
}
