// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A full tunnel outlives each start of systemd-networkd, which removes rules
// that aren't its own: here the test's.
func TestNetworkd(t *testing.T) {
	const networkd = "/lib/systemd/systemd-networkd"
	if !exists(networkd) {
		t.Skip("systemd-networkd isn't installed (Debian: systemd)")
	}
	isolated(t, func(s *site) {
		s.withResolvconf()
		files := map[string]string{
			"/run/systemd/network/20-net2.network": "[Match]\nName=net2\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nKeepConfiguration=no\nLLDP=no\n",
			"/run/systemd/network/10-net0.network": "[Match]\nName=net0\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\nKeepConfiguration=no\n",
		}
		// So that it waits for no udev.
		if err := syscall.Mount("", "/sys", "", syscall.MS_REMOUNT|syscall.MS_BIND|syscall.MS_RDONLY, ""); err != nil {
			t.Skipf("/sys can't be made read-only: %v", err)
		}
		for path, text := range files {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s.ip("link add net0 type veth peer name net1")
		s.ip("link set net1 up")
		path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0, 10.50.0.0/16"+far)
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		ours := func() string {
			var rules []string
			for line := range strings.Lines(s.ip("rule") + s.ip("-6 rule")) {
				if !strings.Contains(line, "7777") {
					rules = append(rules, line)
				}
			}
			return strings.Join(rules, "") + s.ip("route show table 51820") + s.ip("-6 route show table 51820") + s.ip("route show 10.50.0.0/16")
		}
		before := ours()
		for _, names := range [][2]string{{"net0", "net2"}, {"net2", "net0"}} {
			s.ip("rule add to 198.51.100.0/24 table 7777 protocol static")
			c := exec.Command(networkd)
			c.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=debug", "SYSTEMD_LOG_TARGET=console")
			log, err := os.Create(filepath.Join(s.dir, "networkd.log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			c.Stdout, c.Stderr = log, log
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			says := func(what string) {
				t.Helper()
				if err := await(func() bool {
					text, _ := os.ReadFile(log.Name())
					return strings.Contains(string(text), what)
				}); err != nil {
					t.Errorf("it doesn't say %q: %v", what, err)
				}
			}
			// Some versions do it when they start, others only when a link gets
			// another file, as with another name.
			says(names[0] + ": State changed: configuring -> configured")
			s.ip("link set net1 down")
			says(names[0] + ": Lost carrier")
			s.ip("link set " + names[0] + " down")
			s.ip("link set " + names[0] + " name " + names[1])
			s.ip("link set net1 up")
			s.ip("link set " + names[1] + " up")
			err = await(func() bool { return !strings.Contains(s.ip("rule"), "7777") })
			_ = c.Process.Signal(syscall.SIGTERM)
			_ = c.Wait()
			if err != nil {
				text, _ := os.ReadFile(log.Name())
				t.Fatalf("it removed no rule: %v\n%s", err, text)
			}
			if after := ours(); after != before {
				t.Errorf("there was\n%s\nthere is\n%s", before, after)
			}
		}
		if got := s.wgQuick("reload", path); got.status != 0 || got.err != "" {
			t.Errorf("a reload changed something: %+v", got)
		}
		if got := s.wgQuick("down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
	})
}
