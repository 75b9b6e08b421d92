// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"context"
	"io"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// readBuffer is the size of the reads; a longer line makes the buffer grow, up
// to longestLine.
const (
	readBuffer  = 128 << 10
	longestLine = 1 << 20
)

// A lineReader reads lines without copying them.
type lineReader struct {
	r          io.Reader
	buf        []byte
	start, end int // what is read and not yet returned
}

// next returns the next line without its newline, valid until the next call.
// A line that doesn't end, because the device hung up or never stops, is EPROTO.
func (l *lineReader) next() ([]byte, error) {
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

// A reply is a device being read from the answer to a get request.
type reply struct {
	sink    Sink
	device  device.Device
	peer    device.Peer
	told    bool // the device is told
	inPeer  bool
	errno   int64
	answers bool // an errno line was there
}

// readReply reads the answer to a get request up to its empty line and tells
// sink what it says. What isn't understood is EPROTO; unknown keys are skipped.
func readReply(r io.Reader, name string, sink Sink) error {
	lines := lineReader{r: r, buf: make([]byte, readBuffer)}
	rep := reply{sink: sink, device: device.Device{Name: name}}
	for {
		line, err := lines.next()
		if err != nil {
			return err
		}
		if len(line) == 0 {
			return rep.finish()
		}
		key, value, ok := bytes.Cut(line, []byte("="))
		if !ok {
			return syscall.EPROTO
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
		r.errno, r.answers = int64(n), true
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
		p.Endpoint, err = parseEndpoint(string(value))
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
	if !r.answers {
		return syscall.EPROTO
	}
	if r.errno != 0 {
		return syscall.Errno(r.errno)
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
	address, bits, ok := strings.Cut(string(value), "/")
	if !ok {
		return netip.Prefix{}, syscall.EPROTO
	}
	addr, err := netip.ParseAddr(address)
	if err != nil || addr.Zone() != "" {
		return netip.Prefix{}, syscall.EPROTO
	}
	n, err := parseNumber([]byte(bits), uint64(addr.BitLen()))
	if err != nil {
		return netip.Prefix{}, err
	}
	return netip.PrefixFrom(addr, int(n)), nil
}

// parseEndpoint reads HOST:PORT. Daemons tell numbers, but names are resolved,
// as the original does; one that can't be is ENETUNREACH.
func parseEndpoint(s string) (netip.AddrPort, error) {
	if e, err := netip.ParseAddrPort(s); err == nil {
		if zone := e.Addr().Zone(); zone != "" {
			return netip.AddrPortFrom(e.Addr().WithZone(zoneName(zone)), e.Port()), nil
		}
		return e, nil
	}
	var host, port string
	if rest, ok := strings.CutPrefix(s, "["); ok {
		if host, port, ok = strings.Cut(rest, "]:"); !ok {
			return netip.AddrPort{}, syscall.EPROTO
		}
	} else if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, port = s[:i], s[i+1:]
	}
	if port == "" {
		return netip.AddrPort{}, syscall.EPROTO
	}
	number, err := strconv.ParseUint(port, 10, 64)
	if err != nil || host == "" {
		return netip.AddrPort{}, unreachable(s)
	}
	addrs, err := net.DefaultResolver.LookupNetIP(context.Background(), "ip", host)
	if err != nil || len(addrs) == 0 {
		return netip.AddrPort{}, unreachable(s)
	}
	return netip.AddrPortFrom(addrs[0].Unmap(), uint16(number)), nil
}

func unreachable(endpoint string) error {
	return &net.OpError{Op: "resolve endpoint " + strconv.Quote(endpoint), Err: syscall.ENETUNREACH}
}

// zoneName returns the name of a numbered zone whose link is here; another
// zone stays as it is.
func zoneName(zone string) string {
	index, err := strconv.Atoi(zone)
	if err != nil {
		return zone
	}
	link, err := net.InterfaceByIndex(index)
	if err != nil {
		return zone
	}
	return link.Name
}
