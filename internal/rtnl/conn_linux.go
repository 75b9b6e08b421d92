// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// An Error is the kernel's refusal. It is [fs.ErrExist] or [fs.ErrNotExist]
// where one of the kernel's ways to say so is meant.
type Error struct {
	Errno   syscall.Errno
	Message string // the kernel's explanation, "" if it gave none
}

// Error returns the explanation, or else the text of the errno.
func (e *Error) Error() string {
	if e.Message != "" {
		return e.Message
	}
	return e.Errno.Error()
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Errno }

// Is adds to what an errno is by itself.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && (e.Errno == unix.ESRCH || e.Errno == unix.ENODEV || e.Errno == unix.EADDRNOTAVAIL)
}

// batchSize is how many requests go out in one send. More brings no speed;
// from 512 on the answers can overflow the socket's buffer and are lost, if
// all requests fail (measured).
const batchSize = 128

// A conn is a socket for requests that change something: many at a time, with
// an answer for each that fails. It isn't safe for concurrent use.
type conn struct {
	fd      int
	seq     uint32
	out, in []byte
}

func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	c := &conn{fd: fd, in: make([]byte, 32<<10)}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		c.close()
		return nil, os.NewSyscallError("bind", err)
	}
	// Both make answers better and may be missing in old kernels: they needn't
	// repeat the request, and they may explain.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1)
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	// The kernel answers before the send returns; this only keeps a fault from
	// becoming a hang.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10}); err != nil {
		c.close()
		return nil, os.NewSyscallError("setsockopt", err)
	}
	return c, nil
}

func (c *conn) close() { unix.Close(c.fd) }

// A request appends itself to b: what follows the header.
type request struct {
	kind, flags uint16
	body        func(b []byte) []byte
}

// one makes a single request. Its error is an [*Error], or what is wrong with
// the socket.
func (c *conn) one(r request) error {
	var refusal error
	if err := c.all([]request{r}, func(_ int, err error) { refusal = err }); err != nil {
		return err
	}
	return refusal
}

// all makes a few requests in one send, past failures.
func (c *conn) all(rs []request, refused func(i int, err error)) error {
	return c.batch(0, len(rs), func(b []byte, i int) (uint16, uint16, []byte) { return rs[i].kind, rs[i].flags, rs[i].body(b) }, refused)
}

// many makes n requests of one kind, a batch at a time, until a batch has a
// failure in it and goOn is false, or until ctx is done. body appends request
// i to b; refused is told of those that failed. It returns how many were sent.
func (c *conn) many(ctx context.Context, n int, kind, flags uint16, goOn bool, body func(b []byte, i int) []byte, refused func(i int, err error)) (sent int, err error) {
	for sent < n {
		if ctx.Err() != nil {
			return sent, context.Cause(ctx)
		}
		end, failed := min(sent+batchSize, n), false
		err := c.batch(sent, end,
			func(b []byte, i int) (uint16, uint16, []byte) { return kind, flags, body(b, i) },
			func(i int, err error) {
				failed = true
				refused(i, err)
			})
		sent = end
		if err != nil {
			return sent, err
		}
		if failed && !goOn {
			break
		}
	}
	return sent, nil
}

// batch sends the requests from start up to end at once and reads the answers.
// Only the last one is to be acknowledged: requests that fail are answered
// anyway, and in order, so after its answer nothing more comes.
func (c *conn) batch(start, end int, body func(b []byte, i int) (kind, flags uint16, out []byte), refused func(i int, err error)) error {
	first := c.seq + 1
	c.out = c.out[:0]
	for i := start; i < end; i++ {
		c.seq++
		at := len(c.out)
		var kind, flags uint16
		kind, flags, c.out = body(append(c.out, make([]byte, unix.SizeofNlMsghdr)...), i)
		if i == end-1 {
			flags |= unix.NLM_F_ACK
		}
		h := c.out[at:]
		binary.NativeEndian.PutUint32(h, uint32(len(h)))
		binary.NativeEndian.PutUint16(h[4:], kind)
		binary.NativeEndian.PutUint16(h[6:], flags|unix.NLM_F_REQUEST)
		binary.NativeEndian.PutUint32(h[8:], c.seq)
	}
	if err := retry(func() error { return unix.Send(c.fd, c.out, 0) }); err != nil {
		return os.NewSyscallError("send", err)
	}
	for {
		var n int
		err := retry(func() (err error) { n, _, err = unix.Recvfrom(c.fd, c.in, 0); return err })
		if err != nil {
			return os.NewSyscallError("recvfrom", err)
		}
		done := false
		err = answers(c.in[:n], func(seq uint32, err error) {
			if seq-first >= uint32(end-start) {
				return // of an earlier batch that ended early
			}
			if err != nil {
				refused(start+int(seq-first), err)
			}
			done = done || seq == c.seq
		})
		if err != nil || done {
			return err
		}
	}
}

// retry repeats what a signal interrupted.
func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

var errAnswer = errors.New("the kernel's answer isn't understood")

// answers calls f for each acknowledgement (err is nil) and refusal in b.
func answers(b []byte, f func(seq uint32, err error)) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return errAnswer
		}
		size := int(binary.NativeEndian.Uint32(b))
		kind, flags := binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:])
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return errAnswer
		}
		m := b[unix.SizeofNlMsghdr:size]
		if kind == unix.NLMSG_ERROR {
			if len(m) < 4+unix.SizeofNlMsghdr {
				return errAnswer
			}
			var err error
			if errno := int32(binary.NativeEndian.Uint32(m)); errno != 0 {
				err = &Error{Errno: syscall.Errno(-errno), Message: explanation(m[4:], flags)}
			}
			f(binary.NativeEndian.Uint32(m[4+8:]), err)
		}
		b = b[min(align(size), len(b)):]
	}
	return nil
}

// explanation returns the text in the attributes that follow the request,
// echoed whole or only its header.
func explanation(request []byte, flags uint16) string {
	if flags&unix.NLM_F_ACK_TLVS == 0 {
		return ""
	}
	skip := unix.SizeofNlMsghdr
	if flags&unix.NLM_F_CAPPED == 0 {
		skip = align(int(binary.NativeEndian.Uint32(request)))
	}
	for b := request[min(skip, len(request)):]; len(b) >= 4; {
		size, kind := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < 4 || size > len(b) {
			break
		}
		if kind == unix.NLMSGERR_ATTR_MSG {
			return unix.ByteSliceToString(b[4:size])
		}
		b = b[min(align(size), len(b)):]
	}
	return ""
}

func align(n int) int { return (n + 3) &^ 3 }

// attr appends an attribute.
func attr(b []byte, kind uint16, value []byte) []byte {
	b = binary.NativeEndian.AppendUint16(b, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align(len(value))-len(value))...)
}

func attr32(b []byte, kind uint16, value uint32) []byte {
	b = binary.NativeEndian.AppendUint16(b, 8)
	b = binary.NativeEndian.AppendUint16(b, kind)
	return binary.NativeEndian.AppendUint32(b, value)
}

// wrapLink says which link an error is about.
func wrapLink(dev string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("link %s: %w", dev, err)
}
