// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package show

import (
	"io"

	"wgtools/internal/device"
)

const (
	// held is how much of a device's text is kept back until it is known that
	// the device can be read to its end.
	held = 1 << 20
	// written is how much is written at once after that.
	written = 64 << 10
)

// An Output is what the sinks of this package write to. It keeps the text of a
// device back as long as it is small, so that one that can't be read leaves
// no text behind; and of any number of peers only that much is in memory.
type Output struct {
	w     io.Writer
	buf   []byte
	mark  int  // where the device being read starts in buf
	begun bool // part of that device is written
	wrote bool // something is written
}

// NewOutput returns an Output that writes to w.
func NewOutput(w io.Writer) *Output { return &Output{w: w} }

// begin starts a device. The buffer gets its full size at once: pages that
// aren't touched cost nothing, but growing by and by touches twice as many.
func (o *Output) begin() {
	if o.buf == nil {
		o.buf = make([]byte, 0, held+written)
	}
	o.mark, o.begun = len(o.buf), false
}

// forget takes back what the device being read has put out, if none of it is
// written yet.
func (o *Output) forget() bool {
	if o.begun {
		return false
	}
	o.buf = o.buf[:o.mark]
	return true
}

// room writes what is there once it is much.
func (o *Output) room() {
	if len(o.buf) > held || o.begun && len(o.buf) > written {
		o.Flush()
		o.begun = true
	}
}

// Flush writes all that is kept back. As in the original nobody notices that
// it can't be written.
func (o *Output) Flush() {
	o.w.Write(o.buf)
	o.wrote = o.wrote || len(o.buf) > 0
	o.buf, o.mark = o.buf[:0], 0
}

// WriteString adds text that is no device's.
func (o *Output) WriteString(s string) { o.buf = append(o.buf, s...) }

// A Form is one of the forms for scripts: what it prints of a device and of a
// peer, each at most one line without its end; nil prints nothing.
type Form struct {
	device func(b []byte, d *device.Device) []byte
	peer   func(b []byte, p *device.Peer) []byte
	conf   bool
}

// A Lines is a [netlinkwg.Sink] that prints a device in a form for scripts.
type Lines struct {
	out    *Output
	form   Form
	prefix string // before every line
	peers  int
}

// Lines returns a sink that prints one device; prefix stands before every line.
func (o *Output) Lines(form Form, prefix string) *Lines {
	o.begin()
	return &Lines{out: o, form: form, prefix: prefix}
}

// Device implements [netlinkwg.Sink].
func (l *Lines) Device(d *device.Device) error {
	if l.form.device != nil {
		l.out.buf = append(l.form.device(append(l.out.buf, l.prefix...), d), '\n')
	}
	return nil
}

// Peer implements [netlinkwg.Sink].
func (l *Lines) Peer(p *device.Peer) error {
	if l.form.peer == nil {
		return nil
	}
	if l.form.conf && l.peers > 0 {
		l.out.buf = append(l.out.buf, '\n')
	}
	l.peers++
	l.out.buf = append(l.form.peer(append(l.out.buf, l.prefix...), p), '\n')
	l.out.room()
	return nil
}

// Restart implements [netlinkwg.Sink].
func (l *Lines) Restart() bool {
	if !l.out.forget() {
		return false
	}
	l.peers = 0
	return true
}

// Fail takes back what was put out of a device that can't be read, as far as
// it isn't written.
func (l *Lines) Fail() { l.out.forget() }
