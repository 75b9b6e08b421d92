// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
	"syscall"

	"wgtools/internal/device"
)

// writeBuffer is how much of a request is put together before it is written.
const writeBuffer = 64 << 10

// writeRequest sends change as a set request and reads the answer. A device
// that answers before it has read everything, and hangs up, is heard all the same.
func writeRequest(rw io.ReadWriter, change *device.Change) error {
	w := &requestWriter{w: rw, buf: make([]byte, 0, writeBuffer+4096)}
	w.device(change)
	for i := range change.Peers {
		if w.err != nil {
			break
		}
		w.peer(&change.Peers[i])
	}
	w.buf = append(w.buf, '\n')
	w.flush()
	err := readResult(rw)
	if w.err != nil && (err == nil || err == syscall.EPROTO) {
		return w.err
	}
	return err
}

// A requestWriter writes the lines of a set request, in the order that the
// protocol's other speakers write them. It sticks at the first error.
type requestWriter struct {
	w   io.Writer
	buf []byte
	err error
}

func (w *requestWriter) flush() {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

func (w *requestWriter) device(c *device.Change) {
	w.buf = append(w.buf, "set=1\n"...)
	if c.PrivateKey.Set {
		w.buf = append(c.PrivateKey.Value.AppendHex(append(w.buf, "private_key="...)), '\n')
	}
	if c.ListenPort.Set {
		w.number("listen_port=", uint64(c.ListenPort.Value))
	}
	if c.Fwmark.Set {
		w.number("fwmark=", uint64(c.Fwmark.Value))
	}
	if c.ReplacePeers {
		w.buf = append(w.buf, "replace_peers=true\n"...)
	}
}

func (w *requestWriter) peer(p *device.PeerChange) {
	w.buf = append(p.PublicKey.AppendHex(append(w.buf, "public_key="...)), '\n')
	if p.Remove {
		w.buf = append(w.buf, "remove=true\n"...)
		w.room()
		return
	}
	if p.PresharedKey.Set {
		w.buf = append(p.PresharedKey.Value.AppendHex(append(w.buf, "preshared_key="...)), '\n')
	}
	if p.Endpoint.IsValid() {
		w.buf = append(device.AppendEndpoint(append(w.buf, "endpoint="...), p.Endpoint), '\n')
	}
	if p.PersistentKeepalive.Set {
		w.number("persistent_keepalive_interval=", uint64(p.PersistentKeepalive.Value))
	}
	if p.ReplaceAllowedIPs {
		w.buf = append(w.buf, "replace_allowed_ips=true\n"...)
	}
	for _, ip := range p.AllowedIPs {
		w.buf = append(w.buf, "allowed_ip="...)
		if ip.Remove {
			w.buf = append(w.buf, '-')
		}
		w.buf = append(device.AppendPrefix(w.buf, ip.Prefix), '\n')
		w.room()
	}
	w.room()
}

func (w *requestWriter) number(key string, n uint64) {
	w.buf = append(strconv.AppendUint(append(w.buf, key...), n, 10), '\n')
}

func (w *requestWriter) room() {
	if len(w.buf) >= writeBuffer {
		w.flush()
	}
}

// An UnknownError is an errno that no system has: devices answer negative
// numbers, and one that answers a positive one is told as the original does.
type UnknownError int

// Error has the C library's words.
func (e UnknownError) Error() string { return fmt.Sprintf("Unknown error %d", int(e)) }

// readResult reads the answer to a set request: the last errno line before the
// empty line counts.
func readResult(r io.Reader) error {
	lines := lineReader{r: r, buf: make([]byte, 4096)}
	var errno int64
	answered := false
	for {
		line, err := lines.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			break
		}
		key, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return syscall.EPROTO
		}
		if string(key) != "errno" {
			continue
		}
		// C's strtoll would take blanks and a plus sign too; no device writes them.
		errno, err = strconv.ParseInt(string(value), 10, 64)
		if err != nil || errno > math.MaxInt32 || errno < math.MinInt32 {
			return syscall.EPROTO
		}
		answered = true
	}
	switch {
	case !answered:
		return syscall.EPROTO
	case errno > 0:
		return UnknownError(-errno)
	case errno < 0:
		return syscall.Errno(-errno)
	}
	return nil
}
