// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package userspace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/syslog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/ipc"
	"golang.zx2c4.com/wireguard/tun"

	"wgtools/internal/netns"
)

// IsDevice reports whether args, a process's, are those of a device's process.
func IsDevice(args []string) bool {
	return (len(args) == 2 || len(args) == 3 && args[2] == bornElsewhere) && filepath.Base(args[0]) == ProcessName
}

// Main is the main function of a device's process. It returns the exit status
// when the link or the socket is deleted, or with SIGTERM or SIGINT.
func Main(args []string) int {
	dev := args[1]
	answer := os.NewFile(readyFD, "ready")
	// What `ps' and `top' show; the program's own name would be "exe".
	_ = os.WriteFile("/proc/self/comm", []byte(ProcessName[:15]), 0)
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE)
	// A device begins with some 25 MB of buffers that stay: there is nothing to
	// collect while they grow, which would be done four times.
	percent := debug.SetGCPercent(-1)
	time.AfterFunc(time.Second, func() { debug.SetGCPercent(percent) })
	logs := &logger{dev: dev}
	bind := conn.NewDefaultBind()
	if len(args) == 3 {
		bind = &foreignBind{bind, os.NewFile(birthFD, "birth")}
	}
	if err := serve(dev, bind, logs, func() {
		io.WriteString(answer, ready)
		answer.Close()
	}); err != nil {
		os.Remove(socketPath(dev)) // who made it may be gone
		fmt.Fprintln(answer, err)
		return 1
	}
	return 0
}

// serve runs the device until its end. It calls up when the device answers.
func serve(dev string, bind conn.Bind, logs *logger, up func()) error {
	if err := unix.SetNonblock(tunFD, true); err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	link, err := tun.CreateTUNFromFile(os.NewFile(tunFD, tunPath), device.DefaultMTU)
	if err != nil {
		return fmt.Errorf("link %s: %w", dev, err)
	}
	d := device.NewDevice(&deletable{Device: link}, bind, logs.device(os.Getenv("LOG_LEVEL")))
	defer d.Close()
	// Who connects is told that it is this process who listens, not its parent.
	if err := unix.Listen(socketFD, unix.SOMAXCONN); err != nil {
		return os.NewSyscallError("listen", err)
	}
	socket := os.NewFile(socketFD, "socket")
	l, err := ipc.UAPIListen(dev, socket)
	if err != nil {
		return fmt.Errorf("socket %s: %w", socketPath(dev), err)
	}
	socket.Close() // the listener has its own
	// First the socket and the port, so that who sees its connection end finds
	// the way free. The link takes longest: the kernel waits until nothing can
	// use it any more.
	ctx, hangUp := context.WithCancel(context.Background())
	defer func() {
		l.Close()
		logs.ending.Store(true)
		d.Down()
		hangUp()
	}()

	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGTERM, os.Interrupt)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		accept(ctx, l, d)
	}()
	up()
	select {
	case <-ended:
	case <-gone:
	case <-d.Wait():
	}
	return nil
}

// A foreignBind has its sockets in another network namespace than the link.
type foreignBind struct {
	conn.Bind
	ns *os.File
}

// Open implements [conn.Bind].
func (b *foreignBind) Open(port uint16) (fns []conn.ReceiveFunc, actual uint16, err error) {
	err = netns.Do(b.ns, func() error {
		fns, actual, err = b.Bind.Open(port)
		return err
	})
	return fns, actual, err
}

// A deletable is a link whose deletion is an ordinary end: no errors are
// logged then.
type deletable struct {
	tun.Device
	last atomic.Int64 // MTU
}

func (l *deletable) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	n, err := l.Device.Read(bufs, sizes, offset)
	if err != nil {
		// The error itself depends on the moment: ask for what is meant.
		if _, gone := l.Device.MTU(); errors.Is(gone, unix.ENODEV) {
			err = os.ErrClosed
		}
	}
	return n, err
}

func (l *deletable) MTU() (int, error) {
	mtu, err := l.Device.MTU()
	if errors.Is(err, unix.ENODEV) {
		return int(l.last.Load()), nil
	}
	l.last.Store(int64(mtu))
	return mtu, err
}

// accept answers connections until the socket is gone, and each until ctx is done.
func accept(ctx context.Context, l net.Listener, d *device.Device) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { c.Close() })
		go func() {
			defer stop()
			d.IpcHandle(c)
		}()
	}
}

// A logger writes to the system's log or, where there is none, to a file
// under /run that is made with the first line. The log of a device is for
// when something doesn't work: usually nothing is written.
type logger struct {
	dev  string
	once sync.Once
	out  io.Writer
	// ending says that errors mean nothing: sockets are closed before peers are
	// stopped, and what is due just then can't be sent.
	ending atomic.Bool
}

// device returns a device's logger of a level: "verbose" or "debug",
// "silent", else errors only, as other implementations have it.
func (l *logger) device(level string) *device.Logger {
	d := &device.Logger{Verbosef: device.DiscardLogf, Errorf: l.errorf}
	switch level {
	case "verbose", "debug":
		d.Verbosef, d.Errorf = l.logf, l.logf
	case "silent":
		d.Errorf = device.DiscardLogf
	}
	return d
}

// errorf logs an error. That a peer isn't known where it is, is none: a server
// waits for its clients to call. With a keepalive, the device would tell of
// each of them again and again.
func (l *logger) errorf(format string, args ...any) {
	if l.ending.Load() {
		return
	}
	for _, a := range args {
		if err, ok := a.(error); ok && err.Error() == noEndpoint {
			return
		}
	}
	l.logf(format, args...)
}

// noEndpoint is the text of the device's error, which is no value of its own.
const noEndpoint = "no known endpoint for peer"

func (l *logger) logf(format string, args ...any) {
	l.once.Do(l.open)
	fmt.Fprintf(l.out, format+"\n", args...)
}

func (l *logger) open() {
	if w, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_WARNING, ProcessName+"/"+l.dev); err == nil {
		l.out = w
		return
	}
	l.out = io.Discard
	if err := os.MkdirAll(logDir, 0o755); err != nil {
		return
	}
	f, err := os.OpenFile(filepath.Join(logDir, l.dev+".log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err == nil {
		l.out = stamped{f}
	}
}

const logDir = "/run/wgtools"

// stamped puts the time before each line.
type stamped struct{ w io.Writer }

func (s stamped) Write(b []byte) (int, error) {
	_, err := fmt.Fprintf(s.w, "%s %s", time.Now().Format(time.RFC3339), b)
	return len(b), err
}
