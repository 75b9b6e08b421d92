// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix

package netlinkwg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"wgtools/internal/device"
)

// A userspace reaches the devices of programs such as wireguard-go through
// their sockets, DIR/NAME.sock, in the text protocol that
// wireguard.com/xplatform describes. Each operation has a connection of its own.
type userspace struct {
	dirs    []string      // looked at in this order; they may be the same
	silence time.Duration // how long a device may say nothing
	perPeer time.Duration // and how much longer for each peer of a request
}

func newUserspace() *userspace {
	return &userspace{
		dirs:    []string{"/var/run/wireguard", "/run/wireguard"},
		silence: 60 * time.Second,
		perPeer: 10 * time.Millisecond,
	}
}

// list returns the names of the devices that can be reached, in the order of
// the directory. A directory that isn't there is empty.
func (u *userspace) list() (names []string, err error) {
	var seen []os.FileInfo
	for _, dir := range u.dirs {
		more, st, err := listDir(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		// Mostly /var/run is a link to /run: nothing is listed twice.
		if slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(st, other) }) {
			continue
		}
		seen = append(seen, st)
		for _, name := range more {
			if usable(socketPath(dir, name)) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// listDir returns the names that sockets in dir would give to devices.
func listDir(dir string) (names []string, st os.FileInfo, err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	if st, err = f.Stat(); err != nil {
		return nil, nil, err
	}
	entries, err := f.Readdirnames(-1)
	for _, entry := range entries {
		if name, ok := strings.CutSuffix(entry, ".sock"); ok && name != "" {
			names = append(names, name)
		}
	}
	return names, st, err
}

func socketPath(dir, name string) string { return filepath.Join(dir, name+".sock") }

// find returns the path of the socket of the device name, "" if there is none.
func (u *userspace) find(name string) string {
	if strings.Contains(name, "/") {
		return ""
	}
	for _, dir := range u.dirs {
		if path := socketPath(dir, name); usable(path) {
			return path
		}
	}
	return ""
}

// usable reports whether path is a socket that somebody listens on. A socket
// that nobody listens on any more is removed, as the original does. Where it
// can't be told, for want of permission, the answer is yes: the error then
// shows when the device is used.
func usable(path string) bool {
	st, err := os.Stat(path)
	if err != nil || st.Mode().Type() != os.ModeSocket {
		return false
	}
	c, err := dial(path)
	switch {
	case err == nil:
		c.Close()
	case errors.Is(err, syscall.ECONNREFUSED):
		os.Remove(path)
		return false
	case errors.Is(err, syscall.EINVAL): // the path doesn't fit into an address
		return false
	}
	return true
}

func dial(path string) (*net.UnixConn, error) {
	return net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
}

// A SilenceError says that a device has not answered in time.
type SilenceError struct{ After time.Duration }

// Error tells how long was waited.
func (e *SilenceError) Error() string {
	return fmt.Sprintf("connection timed out: silent for %v", e.After)
}

// Timeout reports true, as [net.Error] has it.
func (e *SilenceError) Timeout() bool { return true }

// Unwrap returns ETIMEDOUT.
func (e *SilenceError) Unwrap() error { return syscall.ETIMEDOUT }

// A conn is a connection to a device, which must not fall silent: a read or a
// write in which no byte moves for that long is a [SilenceError].
type conn struct {
	net.Conn
	ctx     context.Context
	silence time.Duration
}

// lastGlance is how long an answer is waited for once a device has stopped to
// take the request: it is there already, or won't come.
const lastGlance = 100 * time.Millisecond

// connect connects to the socket at path. Once ctx is done the connection is
// closed, and the function that it returns closes it otherwise.
func (u *userspace) connect(ctx context.Context, path string) (c *conn, hangUp func(), err error) {
	inner, err := dial(path)
	// A device that has many waiting already would make a connect wait; Go's
	// doesn't, so it is tried again until then.
	for begin := time.Now(); errors.Is(err, syscall.EAGAIN); inner, err = dial(path) {
		if time.Since(begin) > u.silence {
			return nil, nil, &SilenceError{u.silence}
		}
		select {
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { inner.Close() })
	return &conn{inner, ctx, u.silence}, func() { stop(); inner.Close() }, nil
}

func (c *conn) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.silence))
	n, err := c.Conn.Read(b)
	return n, c.explain(err)
}

func (c *conn) Write(b []byte) (n int, err error) {
	for n < len(b) {
		c.SetWriteDeadline(time.Now().Add(c.silence))
		m, err := c.Conn.Write(b[n:])
		n += m
		if err != nil && (m == 0 || !errors.Is(err, os.ErrDeadlineExceeded)) {
			err = c.explain(err)
			c.silence = min(c.silence, lastGlance)
			return n, err
		}
	}
	return n, nil
}

func (c *conn) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case c.ctx.Err() != nil:
		return context.Cause(c.ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &SilenceError{c.silence}
	}
	return err
}

// read tells sink the device at path, under the requested name cut to what a
// link's name can be.
func (u *userspace) read(ctx context.Context, path, name string, sink Sink) error {
	c, hangUp, err := u.connect(ctx, path)
	if err != nil {
		return err
	}
	defer hangUp()
	return readDevice(ctx, c, cutName(name), sink)
}

func (u *userspace) configure(ctx context.Context, path string, change *device.Change) error {
	c, hangUp, err := u.connect(ctx, path)
	if err != nil {
		return err
	}
	defer hangUp()
	c.silence += time.Duration(len(change.Peers)) * u.perPeer
	return configureDevice(c, change)
}
