// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// recordChanges tells when records in dir come, change or go, until ctx is done.
// The directory itself comes with the first tunnel and goes with the last one. The
// channel holds one change at the most, for any number.
func recordChanges(ctx context.Context, dir string) (<-chan struct{}, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("watch %s: %w", dir, os.NewSyscallError("inotify_init1", err))
	}
	f := os.NewFile(uintptr(fd), "inotify")
	parent, err := unix.InotifyAddWatch(fd, filepath.Dir(dir), unix.IN_CREATE|unix.IN_ONLYDIR)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("watch %s: %w", filepath.Dir(dir), os.NewSyscallError("inotify_add_watch", err))
	}
	inside := func() { // it may not be there, or again
		_, _ = unix.InotifyAddWatch(fd, dir, unix.IN_MOVED_TO|unix.IN_DELETE|unix.IN_ONLYDIR)
	}
	inside()
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer stop()
		for b := make([]byte, 16<<10); ; {
			n, err := f.Read(b)
			if err != nil {
				return // ctx is done
			}
			told := false
			for e := b[:n]; len(e) >= unix.SizeofInotifyEvent; {
				of, size := int32(binary.NativeEndian.Uint32(e)), unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(e[12:]))
				name := string(bytes.TrimRight(e[unix.SizeofInotifyEvent:size], "\x00"))
				switch {
				case int(of) == parent && name == filepath.Base(dir):
					inside()
					told = true
				case int(of) != parent && strings.HasSuffix(name, ".json"), of < 0: // a record, or more than could be kept
					told = true
				}
				e = e[size:]
			}
			if told {
				select {
				case changes <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changes, nil
}
