// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Monitor tells of changes of links, addresses, rules and default routes in the
// calling thread's network namespace, until ctx is done. The channel holds one
// change at the most, for any number that nobody has asked about yet. Other
// routes change by the thousand where routers talk to each other.
func Monitor(ctx context.Context) (<-chan struct{}, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("watch the network: %w", os.NewSyscallError("socket", err))
	}
	f := os.NewFile(uintptr(fd), "rtnetlink") // it waits without a thread
	local := &unix.SockaddrNetlink{Family: unix.AF_NETLINK}
	for _, group := range []uint{
		unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE,
	} {
		local.Groups |= 1 << (group - 1)
	}
	if err := unix.Bind(fd, local); err != nil {
		f.Close()
		return nil, fmt.Errorf("watch the network: %w", os.NewSyscallError("bind", err))
	}
	changes := make(chan struct{}, 1)
	stop := context.AfterFunc(ctx, func() { f.Close() })
	go func() {
		defer stop()
		defer f.Close()
		for b := make([]byte, 32<<10); ; {
			n, err := f.Read(b)
			overflow := errors.Is(err, unix.ENOBUFS) // there was more than could be kept
			if err != nil && !overflow {
				return // ctx is done: the kernel has no other reason
			}
			if overflow || matters(b[:n]) {
				select {
				case changes <- struct{}{}:
				default:
				}
			}
		}
	}()
	return changes, nil
}

// matters reports whether one of the messages is about something that tunnels
// depend on. What isn't understood is.
func matters(b []byte) bool {
	for len(b) >= unix.SizeofNlMsghdr {
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return true
		}
		m := b[unix.SizeofNlMsghdr:size]
		switch kind := binary.NativeEndian.Uint16(b[4:]); kind {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			// Bridges tell of their ports in messages of their own family.
			if len(m) == 0 || m[0] == unix.AF_UNSPEC {
				return true
			}
		case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
			if len(m) < unix.SizeofRtMsg || m[1] == 0 && m[4] != unix.RT_TABLE_LOCAL {
				return true
			}
		default:
			return true
		}
		b = b[min(align(size), len(b)):]
	}
	return len(b) > 0
}
