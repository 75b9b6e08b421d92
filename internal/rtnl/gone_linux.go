// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// AwaitGone waits until the link dev is gone that end makes somebody else
// delete, with its addresses and routes; the kernel may be at work on it for
// longer. It reports false if end does, or if nobody deletes the link within
// some seconds.
func (k *Kernel) AwaitGone(dev string, end func() bool) (gone bool, err error) {
	index, err := k.index(dev)
	if err != nil {
		return false, err
	}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return false, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: unix.RTMGRP_LINK}); err != nil {
		return false, os.NewSyscallError("bind", err)
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		return false, os.NewSyscallError("setsockopt", err)
	}
	if !end() {
		return false, nil
	}
	for b := make([]byte, 32<<10); ; {
		var n int
		err := retry(func() (err error) { n, _, err = unix.Recvfrom(fd, b, 0); return err })
		if err != nil { // too late, or there was too much news
			_, err = k.index(dev)
			return err != nil, nil
		}
		if deleted(b[:n], index) {
			return true, nil
		}
	}
}

// deleted reports whether the messages say that the link of this index is gone.
func deleted(b []byte, index int) bool {
	for len(b) >= unix.SizeofNlMsghdr+unix.SizeofIfInfomsg {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return false
		}
		if binary.NativeEndian.Uint16(b[4:]) == unix.RTM_DELLINK && b[unix.SizeofNlMsghdr] == unix.AF_UNSPEC &&
			int(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr+4:])) == index {
			return true
		}
		b = b[min(align(size), len(b)):]
	}
	return false
}
