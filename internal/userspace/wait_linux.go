// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package userspace

import (
	"context"
	"net"
	"time"
)

// A Process is the program behind a userspace device, ours or another.
type Process struct{ conn net.Conn }

// Find returns the process that answers for the device dev, nil if there is
// none.
func Find(dev string) *Process {
	c, err := net.DialTimeout("unix", socketPath(dev), time.Second)
	if err != nil {
		return nil
	}
	return &Process{c}
}

// Wait returns once the process has given up its socket, which it does when
// its link is deleted, and is as good as ended; or when ctx is done; or if the
// process takes more than some seconds. p may be nil.
func (p *Process) Wait(ctx context.Context) {
	if p == nil {
		return
	}
	defer p.conn.Close()
	// The connection ends when the process closes its files, and no earlier: a
	// device reads requests until then, and gets none.
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
