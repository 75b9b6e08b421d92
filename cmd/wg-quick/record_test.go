// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// A tunnel that was up when the program was replaced by this one goes down as
// one of its own: the first version's record had a parameter elsewhere.
func TestDownByRecordOfVersion1(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("wg0", "Address = 10.7.0.2/24\nListenPort = 40123", "0.0.0.0/0"+far)
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		record := newJournal(runDir).path("wg0")
		text := s.read(record)
		const sysctls = `"Sysctls": [
		{
			"Name": "net.ipv4.conf.all.src_valid_mark",
			"Value": "1",
			"Before": "0"
		}
	]`
		if !strings.Contains(text, sysctls) {
			t.Fatalf("the record is %s", text)
		}
		text = strings.Replace(text, sysctls, `"SrcValidMark": "0"`, 1)
		text = strings.Replace(text, fmt.Sprintf(`"Version": %d`, version), `"Version": 1`, 1)
		if err := os.WriteFile(record, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.wgQuick("down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
		s.same(before)
	})
}

// What a later program set up, an earlier one can't take down.
func TestRecordOfLaterVersion(t *testing.T) {
	j := newJournal(t.TempDir())
	if err := os.WriteFile(j.path("wg0"), []byte(`{"Version": 3}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err := j.Read("wg0"); err == nil || !strings.Contains(err.Error(), "its version is 3, not 1 to 2") {
		t.Errorf("it is read as %v, %v", r, err)
	}
}
