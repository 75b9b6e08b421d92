// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package systemd_test checks the units of this folder.
package systemd_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// directives are what users of the original rely on, and what reloads.
var directives = []string{
	"Before=wg-quick.target", "PartOf=wg-quick.target",
	"Wants=network-online.target nss-lookup.target", "After=network-online.target nss-lookup.target",
	"Type=oneshot", "RemainAfterExit=yes",
	"ExecStart=/usr/bin/wg-quick up %i", "ExecStop=/usr/bin/wg-quick down %i", "ExecReload=/usr/bin/wg-quick reload %i",
	"Environment=WG_ENDPOINT_RESOLUTION_RETRIES=infinity",
	"WantedBy=multi-user.target wg-quick.target",
}

func TestDirectives(t *testing.T) {
	text, err := os.ReadFile("wg-quick@.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range directives {
		if !strings.Contains(string(text), "\n"+d+"\n") {
			t.Errorf("wg-quick@.service lacks %q", d)
		}
	}
}

// systemd itself finds nothing wrong with the units.
func TestVerify(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze isn't installed (Debian: systemd)")
	}
	dir := t.TempDir()
	for _, name := range []string{"wg-quick@.service", "wg-quick.target"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The programs are installed later.
		text = []byte(strings.ReplaceAll(string(text), "/usr/bin/wg-quick", "/bin/true"))
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command(analyze, "verify", "--man=no", filepath.Join(dir, "wg-quick@wg0.service"), filepath.Join(dir, "wg-quick.target"))
	if err := os.Symlink("wg-quick@.service", filepath.Join(dir, "wg-quick@wg0.service")); err != nil {
		t.Fatal(err)
	}
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
