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
	"strings"
	"syscall"
	"time"

	"wgtools/internal/device"
)

// nameLen is how long the name of a link can be, in bytes (IFNAMSIZ less the
// final NUL).
const nameLen = 15

// A userspace client reaches the devices of programs such as wireguard-go
// through their Unix sockets, DIR/NAME.sock, in the text protocol of
// "Cross-platform Userspace Implementation" (wireguard.com/xplatform).
type userspace struct {
	dirs    []string      // looked at in this order
	silence time.Duration // how long a device may say nothing
}

func newUserspace() *userspace {
	u := &userspace{silence: 60 * time.Second}
	for _, dir := range []string{"/var/run/wireguard", "/run/wireguard"} {
		// Mostly /var/run is a link to /run: the same devices must not be listed twice.
		real, err := filepath.EvalSymlinks(filepath.Dir(dir))
		if err != nil || len(u.dirs) > 0 && real == filepath.Dir(u.dirs[0]) {
			continue
		}
		u.dirs = append(u.dirs, filepath.Join(real, filepath.Base(dir)))
	}
	return u
}

// List returns the names of the devices that can be reached, in the order of
// the directory. A directory that isn't there is empty.
func (u *userspace) List(context.Context) (names []string, err error) {
	for _, dir := range u.dirs {
		f, err := os.Open(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		entries, err := f.Readdirnames(-1)
		f.Close()
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if name, ok := strings.CutSuffix(entry, ".sock"); ok && name != "" && usable(filepath.Join(dir, entry)) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// find returns the path of the socket of the device name, "" if there is none.
func (u *userspace) find(name string) string {
	if strings.Contains(name, "/") {
		return ""
	}
	for _, dir := range u.dirs {
		if path := filepath.Join(dir, name+".sock"); usable(path) {
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
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		conn.Close()
		return true
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		os.Remove(path)
		return false
	}
	return !errors.Is(err, syscall.EINVAL) // the path doesn't fit into an address
}

// A SilenceError says that a device has not answered in time.
type SilenceError struct{ After time.Duration }

// Error tells how long was waited.
func (e *SilenceError) Error() string {
	return fmt.Sprintf("Connection timed out: no answer for %v", e.After.Round(time.Second))
}

// Timeout reports true, as [net.Error] has it.
func (e *SilenceError) Timeout() bool { return true }

// Unwrap returns ETIMEDOUT.
func (e *SilenceError) Unwrap() error { return syscall.ETIMEDOUT }

// A conn is a connection to a device that must not fall silent.
type conn struct {
	*net.UnixConn
	silence time.Duration
}

// dial connects to the socket at path until ctx is done.
func (u *userspace) dial(ctx context.Context, path string) (*conn, func(), error) {
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { c.SetDeadline(time.Unix(1, 0)) })
	return &conn{c, u.silence}, func() { stop(); c.Close() }, nil
}

func (c *conn) Read(b []byte) (int, error) {
	c.SetReadDeadline(time.Now().Add(c.silence))
	n, err := c.UnixConn.Read(b)
	return n, c.explain(err)
}

func (c *conn) Write(b []byte) (int, error) {
	c.SetWriteDeadline(time.Now().Add(c.silence))
	n, err := c.UnixConn.Write(b)
	return n, c.explain(err)
}

func (c *conn) explain(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &SilenceError{c.silence}
	}
	return err
}

// Read implements [Client]. The device is told under the requested name, cut
// to the length of a link's name.
func (u *userspace) Read(ctx context.Context, name string, sink Sink) error {
	return u.read(ctx, u.find(name), name, sink)
}

func (u *userspace) read(ctx context.Context, path, name string, sink Sink) error {
	c, done, err := u.dial(ctx, path)
	if err != nil {
		return err
	}
	defer done()
	if _, err := c.Write([]byte("get=1\n\n")); err != nil {
		return err
	}
	return readReply(c, name[:min(len(name), nameLen)], sink)
}

func (u *userspace) configure(ctx context.Context, path string, change *device.Change) error {
	c, done, err := u.dial(ctx, path)
	if err != nil {
		return err
	}
	defer done()
	c.silence += time.Duration(len(change.Peers)) * 10 * time.Millisecond
	return writeRequest(c, change)
}
