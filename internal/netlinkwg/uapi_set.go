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

// writeBuffer is how much of a request is put together before it is written,
// in bytes; roomForOne, what the longest piece between two looks at it takes.
const (
	writeBuffer = 64 << 10
	roomForOne  = 1 << 10
)

// configureDevice sends change as a set request and reads the answer. What a
// device answers before it has read everything, and hangs up, is heard as well.
func configureDevice(rw io.ReadWriter, change *device.Change) error {
	w := &requestWriter{w: rw, buf: make([]byte, 0, writeBuffer+roomForOne)}
	w.device(change)
	for i := range change.Peers {
		if w.err != nil {
			break
		}
		w.peer(&change.Peers[i])
	}
	w.buf = append(w.buf, '\n')
	w.flush()
	errno, err := readAnswer(rw)
	if w.err != nil && (err != nil || errno == 0) {
		return w.err
	}
	if err != nil {
		return err
	}
	return explainRefusal(answerError(errno), w.removes)
}

// A requestWriter writes the lines of a set request, in the order in which
// the original writes them. It sticks at the first error.
type requestWriter struct {
	w   io.Writer
	buf []byte
	err error

	removes bool // single allowed IPs are taken from peers
}

func (w *requestWriter) flush() {
	if w.err == nil {
		_, w.err = w.w.Write(w.buf)
	}
	w.buf = w.buf[:0]
}

// spill writes what is put together once it is much.
func (w *requestWriter) spill() {
	if len(w.buf) >= writeBuffer {
		w.flush()
	}
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
		w.spill()
		return
	}
	if p.UpdateOnly {
		w.buf = append(w.buf, "update_only=true\n"...)
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
	w.spill()
	for _, ip := range p.AllowedIPs {
		w.buf = append(w.buf, "allowed_ip="...)
		if ip.Remove {
			w.buf = append(w.buf, '-')
			w.removes = true
		}
		w.buf = append(device.AppendPrefix(w.buf, ip.Prefix), '\n')
		w.spill()
	}
}

func (w *requestWriter) number(key string, n uint64) {
	w.buf = append(strconv.AppendUint(append(w.buf, key...), n, 10), '\n')
}

// readAnswer reads the answer to a set request: the last errno line before
// the empty line counts.
func readAnswer(r io.Reader) (errno int64, err error) {
	lines := lineReader{r: r, buf: make([]byte, 4096)}
	answered := false
	for {
		key, value, err := lines.next()
		if err != nil {
			return 0, err
		}
		if key == nil {
			break
		}
		if string(key) != "errno" {
			continue
		}
		if errno, err = parseAnswer(value); err != nil {
			return 0, err
		}
		answered = true
	}
	if !answered {
		return 0, syscall.EPROTO
	}
	return errno, nil
}

// parseAnswer reads a signed number of C's int. Another one is EPROTO, but one
// that C's strtoll can't hold either is ERANGE, which is what the original says.
func parseAnswer(value []byte) (int64, error) {
	digits, negative := bytes.CutPrefix(value, []byte("-"))
	n, overflow, ok := parseDigits(digits)
	limit := uint64(math.MaxInt32)
	if negative {
		limit++
	}
	switch {
	case !ok:
		return 0, syscall.EPROTO
	case overflow || n > math.MaxInt64:
		return 0, syscall.ERANGE
	case n > limit:
		return 0, syscall.EPROTO
	case negative:
		return -int64(n), nil
	}
	return int64(n), nil
}

// answerError returns what an errno line of an answer means. The protocol has
// negative numbers there; what the original makes of others is kept.
func answerError(errno int64) error {
	switch {
	case errno == 0:
		return nil
	case errno < 0 && errno >= -math.MaxInt32:
		return syscall.Errno(-errno)
	case errno < 0:
		return UnknownError(errno)
	}
	return UnknownError(-errno)
}

// An UnknownError is what a device answered that is no errno. Its value is
// what the C library would have been asked about.
type UnknownError int

// Error has the C library's words.
func (e UnknownError) Error() string { return fmt.Sprintf("Unknown error %d", int(e)) }
