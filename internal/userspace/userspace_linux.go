// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package userspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// ProcessName is argv[0] of a device's process; its argument is the link's name.
const ProcessName = "wg-quick-userspace"

// The files that a device's process starts with.
const (
	tunFD = 3 + iota
	socketFD
	readyFD
	birthFD // of the namespace for packets to peers, if that is another one
)

// bornElsewhere is the second argument of a process that has a birthFD.
const bornElsewhere = "born-elsewhere"

// ready is what the process says when the device answers; anything else is
// an error's text.
const ready = "ready\n"

// Options say how a device is different from an ordinary one.
type Options struct {
	// Birth is the network namespace by which packets to peers go; nil: that of
	// the link.
	Birth *os.File
	// Mortal makes the device end with the thread that starts it.
	Mortal bool
}

// Start makes the link dev and the process that serves it, in the network
// namespace of the calling thread. The process outlives the caller and its
// terminal, and ends when the link is deleted.
func Start(ctx context.Context, dev string, o Options) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	link, err := createTUN(dev)
	if err != nil {
		return err
	}
	defer link.Close() // the process has the link's file too
	socket, err := listen(dev)
	if err != nil {
		return err
	}
	defer socket.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	p := exec.Command("/proc/self/exe", dev)
	p.Args[0] = ProcessName
	p.Dir = "/"
	p.ExtraFiles = []*os.File{tunFD - 3: link, socketFD - 3: socket, readyFD - 3: w}
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C isn't for it
	if o.Birth != nil {
		p.Args = append(p.Args, bornElsewhere)
		p.ExtraFiles = append(p.ExtraFiles, o.Birth)
	}
	if o.Mortal {
		p.SysProcAttr.Pdeathsig = syscall.SIGTERM
	}
	err = p.Start()
	w.Close()
	if err != nil {
		os.Remove(socketPath(dev))
		return fmt.Errorf("start the userspace device: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { p.Process.Kill() })
	answer, err := io.ReadAll(r)
	if stop() && err == nil && string(answer) == ready {
		return p.Process.Release()
	}
	err = errors.Join(err, p.Wait())
	os.Remove(socketPath(dev))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if text := strings.TrimSpace(string(answer)); text != "" {
		return errors.New(text)
	}
	return fmt.Errorf("the userspace device ended: %w", err)
}

// socketDir is where userspace devices have their sockets. It may be shared
// between network namespaces.
const socketDir = "/var/run/wireguard"

func socketPath(dev string) string { return filepath.Join(socketDir, dev+".sock") }

// listen returns the socket of the device dev, which only root can use. One
// that a dead process left is replaced.
func listen(dev string) (*os.File, error) {
	path := socketPath(dev)
	if err := os.MkdirAll(socketDir, 0o755); err != nil {
		return nil, err
	}
	defer unix.Umask(unix.Umask(0o177))
	addr := &net.UnixAddr{Name: path, Net: "unix"}
	l, err := net.ListenUnix("unix", addr)
	if errors.Is(err, unix.EADDRINUSE) {
		if c, err := net.Dial("unix", path); !errors.Is(err, unix.ECONNREFUSED) {
			if err == nil {
				c.Close()
			}
			return nil, fmt.Errorf("socket %s: another program serves it: %w", path, os.ErrExist)
		}
		if err := os.Remove(path); err != nil {
			return nil, err
		}
		l, err = net.ListenUnix("unix", addr)
	}
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // what is returned lives on
	defer l.Close()
	return l.File()
}

// Sweep removes the socket of the device dev if nobody serves it: a process
// that was killed leaves one.
func Sweep(dev string) {
	c, err := net.Dial("unix", socketPath(dev))
	if err == nil {
		c.Close()
	} else if errors.Is(err, unix.ECONNREFUSED) {
		os.Remove(socketPath(dev))
	}
}

// tunPath is where links are made from.
const tunPath = "/dev/net/tun"

// A TUNError says that there is no way to make a TUN link.
type TUNError struct {
	Err  error
	Hint string // what to do
}

// Error returns what is wrong.
func (e *TUNError) Error() string { return tunPath + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *TUNError) Unwrap() error { return e.Err }

// Advice returns what to do.
func (e *TUNError) Advice() []string { return []string{"hint: " + e.Hint} }

// createTUN makes the link dev; it goes with the last of its files. Only the
// process takes it into use: what that starts, this one needn't.
func createTUN(dev string) (*os.File, error) {
	f, err := os.OpenFile(tunPath, os.O_RDWR, 0)
	if err != nil {
		return nil, openError(err)
	}
	request, err := unix.NewIfreq(dev)
	if err == nil {
		// With the header, many packets are read and written at once.
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, request)
	}
	if err == nil {
		return f, nil
	}
	f.Close()
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, &TUNError{Err: unix.EPERM, Hint: "making links needs CAP_NET_ADMIN; in a container: docker run --cap-add NET_ADMIN"}
	case errors.Is(err, unix.EBUSY):
		err = os.ErrExist
	}
	return nil, fmt.Errorf("link %s: %w", dev, err)
}

// CanMakeTUN returns why the embedded device couldn't open what links are made
// with, a [*TUNError]; nil if it could. It makes none.
func CanMakeTUN() error {
	f, err := os.OpenFile(tunPath, os.O_RDWR, 0)
	if err != nil {
		return openError(err)
	}
	return f.Close()
}

func openError(err error) *TUNError {
	e := &TUNError{Err: err}
	if p, ok := errors.AsType[*os.PathError](err); ok {
		e.Err = p.Err
	}
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		e.Hint = "the kernel has no TUN links: `modprobe tun', on the host if this is a container"
	case errors.Is(err, os.ErrNotExist):
		e.Hint = "`modprobe tun'; in a container: docker run --cap-add NET_ADMIN --device /dev/net/tun"
	default:
		e.Hint = "root may open it; in a container: docker run --cap-add NET_ADMIN --device /dev/net/tun"
	}
	return e
}

// Run starts another implementation, a program that takes the link's name as
// its argument, makes the link and goes to the background. It gets a session
// of its own, so that Ctrl-C doesn't end it with the caller. While it hasn't
// gone there, it ends with ctx, and so does what it started.
func Run(ctx context.Context, program, dev string, out io.Writer) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	p := exec.CommandContext(ctx, path, dev)
	p.Stdout, p.Stderr = out, out
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	p.Cancel = func() error { return syscall.Kill(-p.Process.Pid, syscall.SIGKILL) }
	err = p.Run()
	switch {
	case p.ProcessState != nil && p.ProcessState.Success():
		return nil // also if ctx is done since: then the link is to be taken back
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return fmt.Errorf("%s: %w", filepath.Base(program), err)
	}
	return nil
}
