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

// watchDirectives are what makes a watch come and go with its tunnel, and what it
// may do.
var watchDirectives = []string{
	"BindsTo=wg-quick@%i.service", "After=wg-quick@%i.service", "Type=notify", "ExecStart=/usr/bin/wg-quick watch %i", "Restart=on-failure",
	"WantedBy=wg-quick@%i.service", "CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW", "NoNewPrivileges=yes",
}

func TestDirectives(t *testing.T) {
	for unit, wanted := range map[string][]string{"wg-quick@.service": directives, "wg-quick-watch@.service": watchDirectives} {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range wanted {
			if !strings.Contains(string(text), "\n"+d+"\n") {
				t.Errorf("%s lacks %q", unit, d)
			}
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
	units := []string{"wg-quick@.service", "wg-quick-watch@.service", "wg-quick.target"}
	for _, name := range units {
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
	c := exec.Command(analyze, "verify", "--man=no")
	for _, name := range units {
		of := strings.Replace(name, "@.", "@wg0.", 1)
		if of != name {
			if err := os.Symlink(name, filepath.Join(dir, of)); err != nil {
				t.Fatal(err)
			}
		}
		c.Args = append(c.Args, filepath.Join(dir, of))
	}
	if out, err := c.CombinedOutput(); err != nil || strings.Contains(string(out), dir) {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
