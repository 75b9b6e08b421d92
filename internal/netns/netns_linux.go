// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netns

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// Where ip-netns(8) has namespaces by name, and what in /etc is theirs.
const (
	namesDir = "/run/netns"
	etcDir   = "/etc/netns"
)

// threadNS is the calling thread's namespace.
const threadNS = "/proc/thread-self/ns/net"

// Current opens the calling thread's namespace.
func Current() (*os.File, error) { return os.Open(threadNS) }

// Open opens a namespace by its name or, if there is a slash in it, by a path
// such as /proc/1/ns/net.
func Open(name string) (*os.File, error) {
	path := name
	if !strings.Contains(name, "/") {
		path = filepath.Join(namesDir, name)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil || st.Type != unix.NSFS_MAGIC {
		f.Close()
		return nil, fmt.Errorf("%s: not a network namespace", path)
	}
	return f, nil
}

// Etc returns the directory of what is in /etc for the namespace of that name,
// whether it is there or not; "" if a path is all that it has.
func Etc(name string) string {
	if name == "" || strings.Contains(name, "/") {
		return ""
	}
	return filepath.Join(etcDir, name)
}

// Names returns the names of all namespaces that have one.
func Names() (names []string) {
	entries, _ := os.ReadDir(namesDir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// NameOf returns the name of the namespace with that inode number, "" if it
// has none.
func NameOf(inode uint64) string {
	names, _ := os.ReadDir(namesDir)
	for _, e := range names {
		var st unix.Stat_t
		if unix.Stat(filepath.Join(namesDir, e.Name()), &st) == nil && st.Ino == inode {
			return e.Name()
		}
	}
	return ""
}

// Enter moves the calling goroutine into a namespace, for good: its thread,
// that is, which no other goroutine gets any more. All others stay where they
// are; programs that the goroutine starts are in the namespace.
func Enter(ns *os.File) error {
	runtime.LockOSThread()
	return set(ns)
}

// EnterNew moves the calling goroutine into a namespace of its own, as Enter
// does.
func EnterNew() error {
	runtime.LockOSThread()
	return os.NewSyscallError("unshare", unix.Unshare(unix.CLONE_NEWNET))
}

// Do calls f in a namespace. f must not leave the goroutine.
func Do(ns *os.File, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := Current()
	if err != nil {
		return err
	}
	defer own.Close()
	if err := set(ns); err != nil {
		return err
	}
	err = f()
	if back := set(own); back != nil {
		runtime.LockOSThread() // nobody shall get this thread
		return errors.Join(err, back)
	}
	return err
}

func set(ns *os.File) error {
	return os.NewSyscallError("setns", unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET))
}

// MountEtc gives the calling thread a view of the file system of its own, in
// which the files of dir are those of /etc of the same names, as ip-netns(8)
// does it. dir needn't be there. It is for a thread that becomes another
// program.
func MountEtc(dir string) error {
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare", err)
	}
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return os.NewSyscallError("mount", err)
	}
	// What /sys tells of links is about those of this namespace.
	if unix.Unmount("/sys", unix.MNT_DETACH) == nil {
		_ = unix.Mount("sysfs", "/sys", "sysfs", 0, "")
	}
	if dir == "" {
		return nil
	}
	files, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range files {
		at := filepath.Join("/etc", e.Name())
		if err := unix.Mount(filepath.Join(dir, e.Name()), at, "none", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount %s: %w", at, err)
		}
	}
	return nil
}
