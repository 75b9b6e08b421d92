// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

func set(t *testing.T, r *Resolver, s plan.DNSSettings) {
	t.Helper()
	if err := r.SetDNS(t.Context(), s); err != nil {
		t.Fatalf("SetDNS(%+v): %v", s, err)
	}
}

func unset(t *testing.T, r *Resolver, s plan.DNSSettings) {
	t.Helper()
	if err := r.UnsetDNS(t.Context(), s); err != nil {
		t.Fatalf("UnsetDNS(%+v): %v", s, err)
	}
}

// The file is edited where it is, behind links, and stays the same one.
func TestFile(t *testing.T) {
	s := newSandbox(t)
	s.write("run/real.conf", hostFile, 0o640)
	s.link("../run/real.conf", "etc/resolv.conf")
	before, err := os.Stat(s.path("run/real.conf"))
	if err != nil {
		t.Fatal(err)
	}
	r := s.resolver("file")
	wg0, wg1 := settings("wg0", "10.0.0.1", "corp.example"), settings("wg1", "10.1.0.1", "")
	set(t, r, wg0)
	one := s.read("run/real.conf")
	set(t, r, wg0)
	if got := s.read("run/real.conf"); got != one || !strings.HasPrefix(got, "# wg-quick wg0: begin\nnameserver 10.0.0.1\n") {
		t.Errorf("set twice, the file is\n%s\nwant\n%s", got, one)
	}
	set(t, r, wg1)
	unset(t, r, wg0)
	unset(t, r, wg1)
	if err := r.UnsetDNS(t.Context(), wg1); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("unset twice: %v, want ErrNotExist", err)
	}
	if got := s.read("run/real.conf"); got != hostFile {
		t.Errorf("the file is %q, want %q", got, hostFile)
	}
	after, err := os.Stat(s.path("run/real.conf"))
	if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
		t.Errorf("the file is another one: %v, %v", after, err)
	}
}

// Where there is no file, one is made, which goes with the last tunnel unless
// others use it by then.
func TestFileMade(t *testing.T) {
	umask := syscall.Umask(0o077)
	defer syscall.Umask(umask)
	s := newSandbox(t)
	r := s.resolver("file")
	wg0, wg1 := settings("wg0", "10.0.0.1", ""), settings("wg1", "10.1.0.1", "")
	if err := r.UnsetDNS(t.Context(), wg0); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("UnsetDNS without a file: %v, want ErrNotExist", err)
	}
	s.absent("etc/resolv.conf")
	for _, others := range []string{"", "options rotate\n"} {
		set(t, r, wg0)
		if st, err := os.Stat(s.path("etc/resolv.conf")); err != nil || st.Mode() != 0o644 {
			t.Errorf("the file is %v, %v; want all to read it", st.Mode(), err)
		}
		set(t, r, wg1)
		unset(t, r, wg0)
		s.write("etc/resolv.conf", s.read("etc/resolv.conf")+others, 0o644)
		unset(t, r, wg1)
		if others == "" {
			s.absent("etc/resolv.conf")
		} else if got := s.read("etc/resolv.conf"); got != others {
			t.Errorf("the file is %q, want %q", got, others)
		}
	}
}

// Others replaced the file: it is theirs.
func TestFileReplaced(t *testing.T) {
	s := newSandbox(t)
	s.write("etc/resolv.conf", hostFile, 0o644)
	r := s.resolver("file")
	set(t, r, settings("wg0", "10.0.0.1", ""))
	s.write("etc/resolv.conf", "nameserver 192.0.2.99\n", 0o644)
	if err := r.UnsetDNS(t.Context(), settings("wg0", "", "")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("UnsetDNS: %v, want ErrNotExist", err)
	}
	if got := s.read("etc/resolv.conf"); got != "nameserver 192.0.2.99\n" {
		t.Errorf("the file is %q", got)
	}
}

func TestFileFailures(t *testing.T) {
	tests := map[string]struct {
		prepare func(s *sandbox)
		want    string
		hints   int
	}{
		"a link to nothing":   {func(s *sandbox) { s.link("/nowhere/resolv.conf", "etc/resolv.conf") }, "it is a link to /nowhere/resolv.conf, which isn't there", 1},
		"a directory":         {func(s *sandbox) { s.write("etc/resolv.conf/x", "", 0o644) }, "is a directory", 0},
		"not a file":          {func(s *sandbox) { s.link("/dev/null", "etc/resolv.conf") }, "it is not a regular file", 0},
		"no directory for it": {func(s *sandbox) { s.remove("etc") }, "no such file or directory", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			s := newSandbox(t)
			tt.prepare(s)
			err := s.resolver("file").SetDNS(t.Context(), settings("wg0", "10.0.0.1", ""))
			if want := s.path("etc/resolv.conf") + ": " + tt.want; err == nil || err.Error() != want {
				t.Fatalf("got %v, want %s", err, want)
			}
			if got := advice(err); len(got) != tt.hints {
				t.Errorf("the hints are %q, want %d", got, tt.hints)
			}
		})
	}
	for errno, want := range map[syscall.Errno]string{unix.EROFS: "read-only", unix.EPERM: "chattr -i", unix.EACCES: "root"} {
		if got := advice(&fileError{"/etc/resolv.conf", errno}); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("the hints for %v are %q, want one with %q", errno, got, want)
		}
	}
}

// A failure leaves the file as it was, also one while it is written.
func TestOverwriteFailure(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	if err := overwrite(full, "a", "b"); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}

// While others keep the file locked, it isn't touched, and who waits can stop.
func TestFileLocked(t *testing.T) {
	s := newSandbox(t)
	s.write("etc/resolv.conf", hostFile, 0o644)
	other, err := os.Open(s.path("etc/resolv.conf"))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := unix.Flock(int(other.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	why := errors.New("enough")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*lockPause, why)
	defer cancel()
	if err := s.resolver("file").SetDNS(ctx, settings("wg0", "10.0.0.1", "")); !errors.Is(err, why) {
		t.Errorf("got %v, want %v", err, why)
	}
	if got := s.read("etc/resolv.conf"); got != hostFile {
		t.Errorf("the file is %q", got)
	}
}

// Tunnels at once don't lose each other's settings, be there a file or not.
func TestFileAtOnce(t *testing.T) {
	for _, text := range []string{hostFile, ""} {
		s := newSandbox(t)
		if text != "" {
			s.write("etc/resolv.conf", text, 0o644)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				tunnel := settings(fmt.Sprintf("wg%d", i), "10.0.0.1", "")
				r := s.resolver("file")
				for range 10 {
					if err := errors.Join(r.SetDNS(t.Context(), tunnel), r.UnsetDNS(t.Context(), tunnel)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if text == "" {
			s.absent("etc/resolv.conf")
		} else if got := s.read("etc/resolv.conf"); got != text {
			t.Errorf("the file is %q", got)
		}
	}
}
