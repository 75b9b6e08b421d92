// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package probe

import (
	"context"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Refusals sends an empty datagram, which WireGuard passes over, to each of
// the endpoints, with that mark, and returns what comes back within that time
// against each: nil if nothing does; ECONNREFUSED where nobody listens,
// EHOSTUNREACH where no machine is, EPERM where a packet filter of this host
// forbids it.
func Refusals(ctx context.Context, to []netip.AddrPort, mark uint32, within time.Duration) []error {
	refusals := make([]error, len(to))
	polls := make([]unix.PollFd, len(to))
	for i, ap := range to {
		fd, err := knock(ap, mark)
		polls[i] = unix.PollFd{Fd: int32(fd)} // a fault is always told; -1 is passed over
		refusals[i] = err
		if fd >= 0 {
			defer unix.Close(fd)
		}
	}
	for deadline := time.Now().Add(within); ctx.Err() == nil; {
		open := 0
		for i := range polls {
			if polls[i].Fd >= 0 && refusals[i] == nil {
				open++
			} else {
				polls[i].Fd = -1
			}
		}
		left := time.Until(deadline)
		if open == 0 || left <= 0 {
			break
		}
		if n, _ := unix.Poll(polls, int(min(left, 100*time.Millisecond)/time.Millisecond)+1); n <= 0 {
			continue
		}
		for i := range polls {
			if polls[i].Fd < 0 || polls[i].Revents == 0 {
				continue
			}
			if n, err := unix.GetsockoptInt(int(polls[i].Fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
				refusals[i] = unix.Errno(n)
			}
		}
	}
	return refusals
}

// knock returns the socket that an empty datagram went out of, -1 if it didn't.
func knock(to netip.AddrPort, mark uint32) (fd int, err error) {
	family, port := unix.AF_INET, int(to.Port())
	var sa unix.Sockaddr
	if a := to.Addr(); a.Is6() {
		six := &unix.SockaddrInet6{Addr: a.As16(), Port: port}
		if zone := a.Zone(); zone != "" {
			index, err := linkIndex(zone)
			if err != nil {
				return -1, err
			}
			six.ZoneId = index
		}
		family, sa = unix.AF_INET6, six
	} else {
		sa = &unix.SockaddrInet4{Addr: a.As4(), Port: port}
	}
	fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if mark != 0 {
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MARK, int(mark))
	}
	// Else what the network says only shows if it is about this very packet.
	if err == nil && family == unix.AF_INET {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_RECVERR, 1)
	} else if err == nil {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVERR, 1)
	}
	if err == nil {
		err = unix.Connect(fd, sa)
	}
	if err == nil {
		err = unix.Send(fd, nil, 0)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func linkIndex(name string) (uint32, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq(name)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, r)
	}
	if err != nil {
		return 0, err
	}
	return r.Uint32(), nil
}
