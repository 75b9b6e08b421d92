// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netnstest_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"wgtools/internal/netnstest"
)

func TestRun(t *testing.T) {
	outside, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Skip(err)
	}
	mark := filepath.Join("/run", filepath.Base(t.TempDir())+".netnstest")
	netnstest.Run(t, func() error {
		inside, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			return err
		}
		if inside == outside {
			t.Errorf("still in the network namespace %s", outside)
		}
		links, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, l := range links {
			if l.Flags&net.FlagLoopback == 0 && l.Flags&net.FlagUp != 0 {
				t.Errorf("link %s is up, want the loopback link only", l.Name)
			}
		}
		if entries, err := os.ReadDir("/run"); err != nil || len(entries) > 0 {
			t.Errorf("/run has %d entries, %v; want none", len(entries), err)
		}
		if err := os.WriteFile(mark, nil, 0o600); err != nil {
			return err
		}
		// A listener on the loopback address shows that the link is up.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("loopback: %w", err)
		}
		return l.Close()
	})
	if _, err := os.Stat(mark); !os.IsNotExist(err) {
		os.Remove(mark)
		t.Errorf("%s, made inside, is there outside", mark)
	}
}
