// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// readBuffer is the size of the reads, in bytes; a longer line makes the buffer
// grow, up to longestLine.
const (
	readBuffer  = 128 << 10
	longestLine = 16 << 20
)

// A lineReader reads the lines of a reply, KEY=VALUE, without copying them.
type lineReader struct {
	r          io.Reader
	buf        []byte
	start, end int // what is read and not yet returned
}

// next returns the parts of the next line, valid until the next call. key is
// nil for the empty line that ends a reply, and for nothing else. A line
// without "=", with a NUL byte or without an end is EPROTO.
func (l *lineReader) next() (key, value []byte, err error) {
	line, err := l.line()
	if err != nil || len(line) == 0 {
		return nil, nil, err
	}
	key, value, ok := bytes.Cut(line, []byte("="))
	if !ok || bytes.IndexByte(line, 0) >= 0 {
		return nil, nil, syscall.EPROTO
	}
	return key, value, nil
}

// line returns the next line without its newline. One that doesn't end,
// because the device hung up or never stops, is EPROTO.
func (l *lineReader) line() ([]byte, error) {
	searched := 0
	for {
		if i := bytes.IndexByte(l.buf[l.start+searched:l.end], '\n'); i >= 0 {
			line := l.buf[l.start : l.start+searched+i]
			l.start += searched + i + 1
			return line, nil
		}
		searched = l.end - l.start
		if l.start > 0 {
			copy(l.buf, l.buf[l.start:l.end])
			l.start, l.end = 0, searched
		}
		if l.end == len(l.buf) {
			if len(l.buf) >= longestLine {
				return nil, syscall.EPROTO
			}
			l.buf = append(l.buf, make([]byte, len(l.buf))...)
		}
		n, err := l.r.Read(l.buf[l.end:])
		l.end += n
		if n == 0 && err != nil {
			if err == io.EOF {
				err = syscall.EPROTO
			}
			return nil, err
		}
	}
}

// readDevice makes a get request and tells sink what it hears.
func readDevice(ctx context.Context, rw io.ReadWriter, name string, sink Sink) error {
	_, writeErr := io.WriteString(rw, "get=1\n\n")
	err := readReply(ctx, rw, name, sink)
	if writeErr != nil && err == syscall.EPROTO {
		return writeErr // the device hung up at once
	}
	return err
}

// A reply is a device being read from the answer to a get request.
type reply struct {
	ctx      context.Context // for names that must be resolved
	sink     Sink
	device   device.Device
	peer     device.Peer
	told     bool // the device is told
	inPeer   bool
	errno    syscall.Errno
	answered bool // an errno line was there
	zones    zones
}

// readReply reads the answer to a get request up to its empty line and tells
// sink what it says. What isn't understood is EPROTO; unknown keys are skipped.
func readReply(ctx context.Context, r io.Reader, name string, sink Sink) error {
	lines := lineReader{r: r, buf: make([]byte, readBuffer)}
	rep := reply{ctx: ctx, sink: sink, device: device.Device{Name: name}}
	for {
		key, value, err := lines.next()
		if err != nil {
			return err
		}
		if key == nil {
			return rep.finish()
		}
		if err := rep.line(key, value); err != nil {
			return err
		}
	}
}

func (r *reply) line(key, value []byte) (err error) {
	switch string(key) {
	case "public_key":
		if err := r.tell(); err != nil {
			return err
		}
		r.peer = device.Peer{AllowedIPs: r.peer.AllowedIPs[:0]}
		r.inPeer = true
		r.peer.PublicKey, err = parseHex(value)
		return err
	case "errno":
		n, err := parseNumber(value, math.MaxInt32)
		r.errno, r.answered = syscall.Errno(n), true
		return err
	}
	if r.inPeer {
		return r.peerLine(key, value)
	}
	return r.deviceLine(key, value)
}

func (r *reply) deviceLine(key, value []byte) error {
	switch string(key) {
	case "private_key":
		k, err := parseHex(value)
		r.device.PrivateKey, r.device.PublicKey = device.Some(k), device.Some(k.Public())
		return err
	case "listen_port":
		n, err := parseNumber(value, math.MaxUint16)
		r.device.ListenPort = uint16(n)
		return err
	case "fwmark":
		n, err := parseNumber(value, math.MaxUint32)
		r.device.Fwmark = uint32(n)
		return err
	}
	return nil
}

func (r *reply) peerLine(key, value []byte) (err error) {
	var n uint64
	p := &r.peer
	switch string(key) {
	case "preshared_key":
		p.PresharedKey, err = parseHex(value)
	case "endpoint":
		p.Endpoint, err = r.endpoint(value)
	case "persistent_keepalive_interval":
		n, err = parseNumber(value, math.MaxUint16)
		p.PersistentKeepalive = uint16(n)
	case "allowed_ip":
		var prefix netip.Prefix
		prefix, err = parsePrefix(value)
		p.AllowedIPs = append(p.AllowedIPs, prefix)
	case "last_handshake_time_sec":
		n, err = parseNumber(value, math.MaxInt64)
		p.LatestHandshake.Sec = int64(n)
	case "last_handshake_time_nsec":
		n, err = parseNumber(value, math.MaxInt64)
		p.LatestHandshake.Nsec = int64(n)
	case "rx_bytes":
		p.ReceivedBytes, err = parseCounter(value)
	case "tx_bytes":
		p.SentBytes, err = parseCounter(value)
	}
	return err
}

// tell passes on what is complete: the device before its first peer, then
// each peer when the next one starts.
func (r *reply) tell() error {
	if !r.told {
		r.told = true
		if err := r.sink.Device(&r.device); err != nil {
			return err
		}
	}
	if r.inPeer {
		return r.sink.Peer(&r.peer)
	}
	return nil
}

func (r *reply) finish() error {
	if !r.answered {
		return syscall.EPROTO
	}
	if r.errno != 0 {
		return r.errno
	}
	return r.tell()
}

func parseHex(value []byte) (keys.Key, error) {
	k, err := keys.ParseHex(value)
	if err != nil {
		return k, syscall.EPROTO
	}
	return k, nil
}

// parseNumber reads a decimal number of at most limit. Leading zeros are fine,
// signs and blanks are not.
func parseNumber(value []byte, limit uint64) (uint64, error) {
	n, overflow, ok := parseDigits(value)
	if !ok || overflow || n > limit {
		return 0, syscall.EPROTO
	}
	return n, nil
}

// parseCounter reads a number of bytes; one that is too large sticks at the
// largest, as in C.
func parseCounter(value []byte) (uint64, error) {
	n, overflow, ok := parseDigits(value)
	if !ok {
		return 0, syscall.EPROTO
	}
	if overflow {
		n = math.MaxUint64
	}
	return n, nil
}

func parseDigits(value []byte) (n uint64, overflow, ok bool) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return 0, false, false
		}
		d := uint64(c - '0')
		if n > (math.MaxUint64-d)/10 {
			overflow = true
		}
		n = n*10 + d
	}
	return n, overflow, len(value) > 0
}

// parsePrefix reads ADDRESS/BITS; host bits stay.
func parsePrefix(value []byte) (netip.Prefix, error) {
	if p, ok := device.ParsePrefix4(value); ok {
		return p, nil
	}
	address, bits, ok := bytes.Cut(value, []byte("/"))
	if !ok {
		return netip.Prefix{}, syscall.EPROTO
	}
	addr, err := netip.ParseAddr(view(address))
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, syscall.EPROTO
	}
	n, err := parseNumber(bits, uint64(addr.BitLen()))
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, int(n)), nil
}

// view returns b as a string without a copy, for package netip to read, which
// keeps its argument in errors only. A copy of each line would be the one thing
// that a large device needs more memory for than a small one.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// endpoint reads HOST:PORT. Devices tell numbers; names are resolved all the
// same, as the original does, and one that can't be is ENETUNREACH.
func (r *reply) endpoint(value []byte) (netip.AddrPort, error) {
	e, err := netip.ParseAddrPort(view(value))
	if err != nil {
		host, port, err := splitEndpoint(string(value))
		if err != nil {
			return netip.AddrPort{}, err
		}
		return resolveEndpoint(r.ctx, host, port)
	}
	if e.Addr().Zone() == "" {
		return e, nil
	}
	scope, ok := r.zones.scope(e.Addr())
	if !ok {
		return netip.AddrPort{}, &UnresolvedError{string(value)}
	}
	return netip.AddrPortFrom(r.zones.scoped(e.Addr(), scope), e.Port()), nil
}

// splitEndpoint takes an endpoint apart, at the bracket or at the last colon.
func splitEndpoint(s string) (host, port string, err error) {
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, rest, _ = strings.Cut(rest, "]")
		port, ok = strings.CutPrefix(rest, ":")
		if !ok || port == "" {
			return "", "", syscall.EPROTO
		}
		return host, port, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i == len(s)-1 {
		return "", "", syscall.EPROTO
	}
	return s[:i], s[i+1:], nil
}

// resolveEndpoint looks up a host name and the number or name of a UDP port.
// A number counts modulo 65536, as in C.
func resolveEndpoint(ctx context.Context, host, port string) (netip.AddrPort, error) {
	unresolved := &UnresolvedError{net.JoinHostPort(host, port)}
	number, err := strconv.ParseUint(port, 10, 31)
	if err != nil {
		n, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
		if err != nil {
			return netip.AddrPort{}, unresolved
		}
		number = uint64(n)
	}
	if host == "" {
		return netip.AddrPort{}, unresolved
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, unresolved
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(number)), nil
}

// An UnresolvedError says that a device told an endpoint of no known address.
type UnresolvedError struct{ Endpoint string }

// Error tells which endpoint.
func (e *UnresolvedError) Error() string {
	return fmt.Sprintf("the device told the endpoint %q, which can't be resolved", e.Endpoint)
}

// Unwrap returns ENETUNREACH, which the original means to report.
func (e *UnresolvedError) Unwrap() error { return syscall.ENETUNREACH }
