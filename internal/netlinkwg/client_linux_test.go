// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"errors"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asNobody calls f on a thread that has nobody's rights to files.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become somebody else")
	}
	done := make(chan error)
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		if _, err := unix.SetfsgidRetGid(65534); err != nil {
			done <- err
			return
		}
		if _, err := unix.SetfsuidRetUid(65534); err != nil {
			done <- err
			return
		}
		f()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWithoutPermission(t *testing.T) {
	dir := socketDir(t)
	serve(t, dir, "wg0", answer("errno=0\n\n"))
	path := socketPath(dir, "wg0")
	list := func(kernel *fakeKernel) ([]string, error) { return clientAt(kernel, dir).List(t.Context()) }

	os.Chmod(dir, 0o755)
	os.Chmod(path, 0o600)
	asNobody(t, func() {
		// Who may not connect gets to know when he tries to use the device.
		if names, err := list(&fakeKernel{}); err != nil || !slices.Equal(names, []string{"wg0"}) {
			t.Errorf("List = %q, %v; want wg0", names, err)
		}
		kernel := &fakeKernel{}
		if err := clientAt(kernel, dir).Read(t.Context(), "wg0", &collector{}); !errors.Is(err, syscall.EACCES) || kernel.asked != nil {
			t.Errorf("Read = %v, want %v; the kernel was asked %q", err, syscall.EACCES, kernel.asked)
		}
	})
	os.Chmod(dir, 0o744) // may be read, not searched
	asNobody(t, func() {
		if names, err := list(&fakeKernel{names: []string{"wg1"}}); err != nil || !slices.Equal(names, []string{"wg1"}) {
			t.Errorf("List = %q, %v; want wg1", names, err)
		}
		if err := clientAt(&fakeKernel{}, dir).Read(t.Context(), "wg0", &collector{}); err != syscall.ENODEV {
			t.Errorf("Read = %v, want the kernel's %v", err, syscall.ENODEV)
		}
	})
	os.Chmod(dir, 0o700)
	asNobody(t, func() {
		if names, err := list(&fakeKernel{names: []string{"wg1"}}); !errors.Is(err, syscall.EACCES) || names != nil {
			t.Errorf("List = %q, %v; want nothing, %v", names, err, syscall.EACCES)
		}
	})
}
