// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// With --all, up also brings up what a sudden end left half there, and what
// somebody took the link of.
func TestUpAllAfterSuddenEnd(t *testing.T) {
	isolated(t, func(s *site) {
		s.withEtc()
		s.withResolvconf()
		if err := os.MkdirAll(configDir, 0o700); err != nil {
			t.Fatal(err)
		}
		s.sh("rm -rf " + configDir + "/* && mv " + s.file("wg0", fullOwn, "0.0.0.0/0, ::/0"+far) + " " + configDir)
		before := s.state()
		isUp := func(when string) {
			t.Helper()
			if got := s.wgQuick("up", "--all"); got.status != 0 {
				t.Errorf("up --all %s: %+v", when, got)
			}
			s.ip("link show dev wg0")
			s.expect(s.wgQuick("up", "--all"), result{"", "wg-quick: no tunnel that is not up has a file in /etc/wireguard\n", 0})
		}
		isUp("of what isn't there")
		s.ip("link delete dev wg0")
		isUp("after the link went")
		if got := s.wgQuick("down", "--all"); got.status != 0 {
			t.Errorf("down --all: %+v", got)
		}
		c := exec.Command(faultyName, "up", "wg0")
		c.Env = append(append(os.Environ(), s.env...), faultsVariable+"=kills 12")
		if got := s.run(c); got.status == 0 {
			t.Fatalf("wg-quick wasn't killed: %+v", got)
		}
		isUp("after a kill")
		s.sh("rm " + configDir + "/wg0.conf")
		if got := s.wgQuick("status"); got.status != 1 || !strings.Contains(got.err, "`/etc/wireguard/wg0.conf' does not exist\n") {
			t.Errorf("status of a tunnel without its file: %+v", got)
		}
		if got := s.wgQuick("down", "--all"); got.status != 0 {
			t.Errorf("down --all: %+v", got)
		}
		s.same(before)

		// Its file is a link to one of another name.
		s.sh("touch " + s.file("other", ordinary, "10.50.0.0/16") + " && ln -s $PWD/other.conf " + configDir + "/wg0.conf")
		for _, verb := range []string{"up", "reload", "down"} {
			if got := s.wgQuick(verb, "--all"); got.status != 0 {
				t.Errorf("%s --all: %+v", verb, got)
			}
		}
		s.same(before)

		s.sh("rm -r " + configDir + " && touch " + configDir)
		if got := s.wgQuick("up", "--all"); got.status != 1 || !strings.Contains(got.err, configDir+": not a directory\n") {
			t.Errorf("without a directory to read: %+v", got)
		}
	})
}
