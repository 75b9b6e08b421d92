// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netnstest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// Run calls f on an OS thread of its own in a new network namespace, in which
// the loopback link is up, and a new mount namespace, in which /run (and so
// /var/run) is empty: there are no WireGuard devices, of the kernel or of
// programs. It fails the test with f's error, and skips it where such
// namespaces can't be made.
//
// What f itself opens or starts (netlink sockets, clients of package netlinkwg,
// child processes) is inside. What goroutines of f open or start is not, and
// neither is what they name by path; what they do with open sockets is.
func Run(t *testing.T, f func() error) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root, or: unshare --map-root-user --net --mount go test")
	}
	var skip error
	errc := make(chan error, 1)
	go func() {
		defer close(errc)      // also when f ends in t.FailNow
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		err := isolate()
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.ENOSYS), errors.Is(err, unix.ENOSPC):
			skip = err
		case err != nil:
			errc <- err
		default:
			errc <- f()
		}
	}()
	err := <-errc
	if skip != nil {
		t.Skipf("no network namespaces here: %v", skip)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// isolate moves the calling thread to new namespaces.
func isolate() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("none", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, dir := range []string{"/run", "/var/run"} {
		// Mostly /var/run is a link to /run, which must not be covered twice.
		if real, err := filepath.EvalSymlinks(dir); err != nil || real != dir {
			continue
		}
		if err := unix.Mount("none", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	return loopbackUp()
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("link lo up: %w", err)
	}
	return nil
}
