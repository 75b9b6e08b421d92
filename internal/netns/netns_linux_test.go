// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netns_test

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"testing"

	"wgtools/internal/netns"
	"wgtools/internal/netnstest"
)

func number(t *testing.T) string {
	t.Helper()
	text, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What is done in another namespace is done there, and the goroutine is back
// afterwards; others never leave.
func TestDo(t *testing.T) {
	netnstest.Run(t, func() error {
		outside, err := netns.Current()
		if err != nil {
			return err
		}
		defer outside.Close()
		first := number(t)
		if err := netns.EnterNew(); err != nil {
			return err
		}
		second := number(t)
		if first == second {
			t.Fatal("there is no new namespace")
		}
		failure := errors.New("a failure")
		if err := netns.Do(outside, func() error {
			if got := number(t); got != first {
				t.Errorf("Do is in %s, want %s", got, first)
			}
			return failure
		}); err != failure {
			t.Errorf("Do: %v", err)
		}
		if got := number(t); got != second {
			t.Errorf("after Do it is in %s, want %s", got, second)
		}
		if list, err := net.Interfaces(); err != nil || len(list) != 1 || list[0].Flags&net.FlagUp != 0 {
			t.Errorf("the new namespace has %v, %v", list, err)
		}
		return nil
	})
}

func TestOpen(t *testing.T) {
	if _, err := netns.Open("no-such-namespace"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a name that isn't there: %v", err)
	}
	for _, path := range []string{"/etc/passwd", "/proc/self/status"} {
		if f, err := netns.Open(path); err == nil {
			f.Close()
			t.Errorf("%s is a namespace", path)
		}
	}
	f, err := netns.Open("/proc/self/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}
