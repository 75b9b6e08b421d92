// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package userspace

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Process is the program behind a userspace device, ours or another.
type Process struct {
	conn *net.UnixConn
	own  *os.Process // of this package, in this network namespace; else nil
}

// Find returns the process that answers for the device dev, nil if there is
// none.
func Find(dev string) *Process {
	c, err := net.DialTimeout("unix", socketPath(dev), time.Second)
	if err != nil {
		return nil
	}
	p := &Process{conn: c.(*net.UnixConn)}
	p.own = p.find()
	return p
}

// find returns the process at the other end of the connection, nil if it isn't
// a device of this package in the thread's network namespace.
func (p *Process) find() *os.Process {
	raw, err := p.conn.SyscallConn()
	if err != nil {
		return nil
	}
	var peer *unix.Ucred
	if raw.Control(func(fd uintptr) { peer, _ = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) }) != nil || peer == nil || peer.Pid <= 0 {
		return nil
	}
	process, err := os.FindProcess(int(peer.Pid)) // holds on to it, whose number it may be later
	if err != nil {
		return nil
	}
	dir := fmt.Sprintf("/proc/%d/", peer.Pid)
	name, err := os.ReadFile(dir + "comm")
	here, err2 := os.Readlink("/proc/thread-self/ns/net")
	there, err3 := os.Readlink(dir + "ns/net")
	if errors.Join(err, err2, err3) != nil || string(name) != ProcessName[:15]+"\n" || here != there {
		return nil
	}
	return process
}

// End asks the process to end, and to take its link along. That is quicker
// than to delete its link: the process, not who waits for it, sits out the
// time in which something may still use the link. It reports whether there is
// a process that understands.
func (p *Process) End() bool { return p != nil && p.own != nil && p.own.Signal(unix.SIGTERM) == nil }

// Wait returns once the process has given up its socket and port, which it does
// when its link is deleted, and is as good as ended; or when ctx is done; or if the
// process takes more than some seconds. p may be nil.
func (p *Process) Wait(ctx context.Context) {
	if p == nil {
		return
	}
	defer p.conn.Close()
	// The connection ends with the process, of ours a moment earlier: until
	// then a device reads requests, and gets none.
	p.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
	defer context.AfterFunc(ctx, func() { p.conn.SetReadDeadline(time.Unix(1, 0)) })()
	p.conn.Read(make([]byte, 1))
}

// Close forgets the process without waiting. p may be nil.
func (p *Process) Close() {
	if p != nil {
		p.conn.Close()
	}
}
