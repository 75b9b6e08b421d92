// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Small is the size, in bytes, of the smallest packet that is sent: any link
// carries it.
const Small = 84

// An Echo asks one address, through one link only, for echoes (ping(8)). It is
// for one thread.
type Echo struct {
	fd     int
	v6     bool
	header int // bytes of a packet before its payload: IP's and the echo's
	id     uint16
	seq    uint16
	sent   map[uint16]int // sizes, by sequence numbers
}

const echoHeader = 8

// The types of messages that ICMP and ICMPv6 have for echoes.
const (
	request4, reply4 = 8, 0
	request6, reply6 = 128, 129
)

// NewEcho returns an Echo that asks to through the link dev. Its packets are
// never taken apart on the way.
func NewEcho(dev string, to netip.Addr) (*Echo, error) {
	e := &Echo{v6: to.Is6(), header: 20 + echoHeader, id: uint16(os.Getpid()), sent: map[uint16]int{}}
	family, protocol := unix.AF_INET, unix.IPPROTO_ICMP
	if e.v6 {
		family, protocol, e.header = unix.AF_INET6, unix.IPPROTO_ICMPV6, 40+echoHeader
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	e.fd = fd
	err = unix.BindToDevice(fd, dev)
	if err == nil && e.v6 {
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE),
			unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_DONTFRAG, 1),
			unix.Connect(fd, &unix.SockaddrInet6{Addr: to.As16()}))
	} else if err == nil {
		err = errors.Join(unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE),
			unix.Connect(fd, &unix.SockaddrInet4{Addr: to.As4()}))
	}
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("ping %v through %s: %w", to, dev, err)
	}
	return e, nil
}

// Close gives the socket back.
func (e *Echo) Close() { unix.Close(e.fd) }

// Ask sends one packet of each size, in bytes, IP's header included, and
// returns the sizes of those that were answered within that time. An error of
// sending, such as that there is no peer for the address, ends it.
func (e *Echo) Ask(ctx context.Context, sizes []int, within time.Duration) (answered []int, err error) {
	deadline := time.Now().Add(within)
	for _, size := range sizes {
		e.seq++
		e.sent[e.seq] = size
		if err := e.send(size); err != nil {
			return nil, err
		}
	}
	b := make([]byte, 64<<10)
	for len(answered) < len(sizes) && ctx.Err() == nil {
		left := time.Until(deadline)
		if left <= 0 {
			break
		}
		poll := []unix.PollFd{{Fd: int32(e.fd), Events: unix.POLLIN}}
		// Not all of the time at once: a signal may come to another thread.
		if n, err := unix.Poll(poll, int(min(left, 100*time.Millisecond)/time.Millisecond)+1); n <= 0 {
			if err != nil && !errors.Is(err, unix.EINTR) {
				return nil, os.NewSyscallError("poll", err)
			}
			continue
		}
		n, _, err := unix.Recvfrom(e.fd, b, unix.MSG_DONTWAIT)
		if err != nil {
			if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
				continue
			}
			return nil, err
		}
		if size, ok := e.answer(b[:n]); ok {
			answered = append(answered, size)
		}
	}
	return answered, context.Cause(ctx)
}

func (e *Echo) send(size int) error {
	m := make([]byte, max(size-e.header, 0)+echoHeader)
	m[0] = request4
	if e.v6 {
		m[0] = request6 // its checksum is the kernel's work
	}
	binary.BigEndian.PutUint16(m[4:], e.id)
	binary.BigEndian.PutUint16(m[6:], e.seq)
	if !e.v6 {
		binary.BigEndian.PutUint16(m[2:], checksum(m))
	}
	return unix.Send(e.fd, m, 0)
}

// answer returns the size of our packet that a message answers.
func (e *Echo) answer(b []byte) (size int, ok bool) {
	reply := byte(reply6)
	if !e.v6 {
		if len(b) < 20 || len(b) < int(b[0]&15)*4 {
			return 0, false
		}
		b, reply = b[int(b[0]&15)*4:], reply4
	}
	if len(b) < echoHeader || b[0] != reply || binary.BigEndian.Uint16(b[4:]) != e.id {
		return 0, false
	}
	seq := binary.BigEndian.Uint16(b[6:])
	size, ok = e.sent[seq]
	delete(e.sent, seq)
	return size, ok
}

// checksum is that of the Internet (RFC 1071).
func checksum(b []byte) uint16 {
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		word := uint32(b[i]) << 8
		if i+1 < len(b) {
			word |= uint32(b[i+1])
		}
		sum += word
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}
