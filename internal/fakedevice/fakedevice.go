// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package fakedevice is a WireGuard device for tests: a model of its
// configuration behind a socket that speaks the userspace protocol, well
// behaved or not. It follows wireguard-go: private keys are clamped, allowed
// IPs masked and owned by one peer, the device's own key is no peer, and a
// request is applied up to its first bad line.
package fakedevice

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// A Spec describes a device; absent fields are as on a fresh one.
type Spec struct {
	PrivateKey string `json:"private_key"`
	ListenPort int    `json:"listen_port"`
	Fwmark     uint32 `json:"fwmark"`
	Peers      []Peer `json:"peers"`

	Kind    string            `json:"kind"`    // "" for a device; stale, file or directory for what only looks like one
	Answers map[string]string `json:"answers"` // "get", "set": what is answered in place of the truth, before it hangs up
	Delay   float64           `json:"delay"`   // seconds before an answer
	Chunk   int               `json:"chunk"`   // bytes written at once; 0: all
}

// A Peer is one peer of a [Spec] and of a [State].
type Peer struct {
	PublicKey           string   `json:"public_key,omitempty"`
	PresharedKey        string   `json:"preshared_key,omitempty"`
	Endpoint            string   `json:"endpoint,omitempty"`
	PersistentKeepalive int      `json:"persistent_keepalive,omitempty"`
	AllowedIPs          []string `json:"allowed_ips,omitempty"`
	Handshake           any      `json:"handshake,omitempty"` // seconds since 1970, an int, or "now-62"
	HandshakeNsec       int64    `json:"handshake_nsec,omitempty"`
	Rx                  uint64   `json:"rx,omitempty"`
	Tx                  uint64   `json:"tx,omitempty"`

	// In a Spec: this many peers like Each, in whose texts {key}, {i}, {hi}
	// and {lo} are filled in.
	Repeat int   `json:"repeat,omitempty"`
	Each   *Peer `json:"each,omitempty"`
}

// A State is the configuration of a device.
type State struct {
	PrivateKey string          `json:"private_key"`
	ListenPort int             `json:"listen_port"`
	Fwmark     uint32          `json:"fwmark"`
	Peers      map[string]Peer `json:"peers"` // by public key
}

// A Device is the model. It is safe for concurrent use.
type Device struct {
	mu         sync.Mutex
	private    keys.Key
	listenPort int
	fwmark     uint32
	order      []keys.Key
	peers      map[keys.Key]*Peer
	owner      map[netip.Prefix]keys.Key
	requests   []string
}

// New returns a device as spec describes it.
func New(spec Spec) (*Device, error) {
	d := &Device{listenPort: spec.ListenPort, fwmark: spec.Fwmark}
	d.clear()
	if spec.PrivateKey != "" {
		k, err := keys.Parse(spec.PrivateKey)
		if err != nil {
			return nil, err
		}
		d.private = k
	}
	for _, p := range Expand(spec.Peers) {
		k, err := keys.Parse(p.PublicKey)
		if err != nil {
			return nil, fmt.Errorf("peer %q: %w", p.PublicKey, err)
		}
		ips := p.AllowedIPs
		p.AllowedIPs = nil
		d.peer(k)
		*d.peers[k] = p
		for _, ip := range ips {
			prefix, err := parsePrefix(ip)
			if err != nil {
				return nil, err
			}
			d.owner[prefix] = k
			d.peers[k].AllowedIPs = append(d.peers[k].AllowedIPs, prefix.String())
		}
	}
	return d, nil
}

// Expand writes out the peers that stand for many.
func Expand(peers []Peer) (all []Peer) {
	for _, p := range peers {
		if p.Each == nil {
			all = append(all, p)
			continue
		}
		for i := range p.Repeat {
			each := *p.Each
			each.PublicKey = Fill(each.PublicKey, i)
			each.PresharedKey = Fill(each.PresharedKey, i)
			each.Endpoint = Fill(each.Endpoint, i)
			each.AllowedIPs = slices.Clone(each.AllowedIPs)
			for j := range each.AllowedIPs {
				each.AllowedIPs[j] = Fill(each.AllowedIPs[j], i)
			}
			all = append(all, each)
		}
	}
	return all
}

func (d *Device) clear() {
	d.order, d.peers, d.owner = nil, map[keys.Key]*Peer{}, map[netip.Prefix]keys.Key{}
}

// peer returns the peer of that key, and whether it was made just now.
func (d *Device) peer(k keys.Key) (p *Peer, created bool) {
	p, ok := d.peers[k]
	if !ok {
		p = &Peer{}
		d.peers[k] = p
		d.order = append(d.order, k)
	}
	return p, !ok
}

// State returns the configuration as it is now.
func (d *Device) State() State {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := State{ListenPort: d.listenPort, Fwmark: d.fwmark, Peers: map[string]Peer{}}
	if !d.private.IsZero() {
		s.PrivateKey = d.private.Base64()
	}
	none := keys.Key{}.Base64()
	for k, p := range d.peers {
		q := *p
		q.PublicKey = ""
		if q.PresharedKey == none {
			q.PresharedKey = ""
		}
		if q.Handshake == 0.0 || q.Handshake == 0 {
			q.Handshake = nil
		}
		q.AllowedIPs = slices.Sorted(slices.Values(p.AllowedIPs))
		s.Peers[k.Base64()] = q
	}
	return s
}

// Requests returns the set requests since it was called last, without their
// first line.
func (d *Device) Requests() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	requests := d.requests
	d.requests = nil
	return requests
}

// Get returns the answer to a get request. Moments relative to now become
// seconds; told, unless it is nil, notes which.
func (d *Device) Get(now time.Time, told map[string]string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	var b []byte
	if !d.private.IsZero() {
		b = append(d.private.AppendHex(append(b, "private_key="...)), '\n')
	}
	if d.listenPort != 0 {
		b = fmt.Appendf(b, "listen_port=%d\n", d.listenPort)
	}
	if d.fwmark != 0 {
		b = fmt.Appendf(b, "fwmark=%d\n", d.fwmark)
	}
	for _, k := range d.order {
		p := d.peers[k]
		b = append(k.AppendHex(append(b, "public_key="...)), '\n')
		b = fmt.Appendf(b, "preshared_key=%s\nprotocol_version=1\n", toHex(p.PresharedKey))
		if p.Endpoint != "" {
			b = fmt.Appendf(b, "endpoint=%s\n", p.Endpoint)
		}
		b = fmt.Appendf(b, "last_handshake_time_sec=%d\nlast_handshake_time_nsec=%d\n", seconds(p.Handshake, now, told), p.HandshakeNsec)
		b = fmt.Appendf(b, "tx_bytes=%d\nrx_bytes=%d\npersistent_keepalive_interval=%d\n", p.Tx, p.Rx, p.PersistentKeepalive)
		for _, ip := range p.AllowedIPs {
			b = append(append(append(b, "allowed_ip="...), ip...), '\n')
		}
	}
	return append(b, "errno=0\n\n"...)
}

func seconds(handshake any, now time.Time, told map[string]string) int64 {
	switch h := handshake.(type) {
	case int:
		return int64(h)
	case float64: // of JSON
		return int64(h)
	case string:
		offset, _ := strconv.ParseInt(strings.TrimPrefix(strings.TrimPrefix(h, "now"), "+"), 10, 64)
		when := now.Unix() + offset
		if told != nil {
			told[strconv.FormatInt(when, 10)] = h
		}
		return when
	}
	return 0
}

func toHex(key string) string {
	b, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(b) != keys.Len {
		b = make([]byte, keys.Len)
	}
	return hex.EncodeToString(b)
}

// Set applies the lines of a set request up to the first bad one, and returns
// the errno to answer, 0 or negative.
func (d *Device) Set(request []byte) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.requests = append(d.requests, string(request))
	r := setRequest{device: d}
	for line := range bytes.Lines(request) {
		key, value, ok := strings.Cut(strings.TrimSuffix(string(line), "\n"), "=")
		if !ok {
			return -int(syscall.EPROTO)
		}
		var err error
		switch {
		case key == "public_key":
			err = r.turnTo(value)
		case r.peer == nil:
			err = r.setDevice(key, value)
		default:
			err = r.setPeer(key, value)
		}
		if err != nil {
			return -int(syscall.EINVAL)
		}
	}
	return 0
}

// A setRequest is a set request on its way through its lines.
type setRequest struct {
	device  *Device
	peer    *Peer
	key     keys.Key
	dummy   bool // what is said of the peer comes to nothing
	created bool
}

func (r *setRequest) setDevice(key, value string) (err error) {
	d := r.device
	switch key {
	case "private_key":
		var k keys.Key
		if k, err = keys.ParseHex(value); err != nil {
			return err
		}
		if d.private = (keys.Key{}); !k.IsZero() {
			d.private = k.Clamp()
			d.drop(d.private.Public())
		}
	case "listen_port":
		d.listenPort, err = number(value, 0xffff)
	case "fwmark":
		var n int
		n, err = number(value, 0xffffffff)
		d.fwmark = uint32(n)
	case "replace_peers":
		if err = isTrue(value); err == nil {
			d.clear()
		}
	default:
		err = syscall.EINVAL
	}
	return err
}

func (r *setRequest) turnTo(value string) (err error) {
	d := r.device
	if r.key, err = keys.ParseHex(value); err != nil {
		return err
	}
	r.dummy, r.created = !d.private.IsZero() && r.key == d.private.Public(), false
	if r.dummy {
		r.peer = &Peer{}
	} else {
		r.peer, r.created = d.peer(r.key)
	}
	return nil
}

func (r *setRequest) setPeer(key, value string) (err error) {
	d, p := r.device, r.peer
	switch key {
	case "remove", "update_only":
		if err = isTrue(value); err == nil && (key == "remove" || r.created) {
			if !r.dummy {
				d.drop(r.key)
			}
			r.peer, r.dummy = &Peer{}, true
		}
	case "preshared_key":
		var k keys.Key
		k, err = keys.ParseHex(value)
		p.PresharedKey = k.Base64()
	case "endpoint":
		var e netip.AddrPort
		if e, err = netip.ParseAddrPort(value); err == nil {
			p.Endpoint = string(device.AppendEndpoint(nil, e))
		}
	case "persistent_keepalive_interval":
		p.PersistentKeepalive, err = number(value, 0xffff)
	case "replace_allowed_ips":
		if err = isTrue(value); err == nil {
			for _, ip := range slices.Clone(p.AllowedIPs) {
				d.disown(r.key, p, netip.MustParsePrefix(ip))
			}
		}
	case "allowed_ip":
		plain, remove := strings.CutPrefix(value, "-")
		var prefix netip.Prefix
		if prefix, err = parsePrefix(plain); err != nil {
			return err
		}
		switch {
		case remove:
			d.disown(r.key, p, prefix)
		case !r.dummy:
			if owner, ok := d.owner[prefix]; ok {
				d.disown(owner, d.peers[owner], prefix)
			}
			d.owner[prefix] = r.key
			p.AllowedIPs = append(p.AllowedIPs, prefix.String())
		}
	case "protocol_version":
		if value != "1" {
			err = syscall.EINVAL
		}
	default:
		err = syscall.EINVAL
	}
	return err
}

func (d *Device) disown(k keys.Key, p *Peer, prefix netip.Prefix) {
	if owner, ok := d.owner[prefix]; ok && owner == k {
		delete(d.owner, prefix)
		p.AllowedIPs = slices.DeleteFunc(p.AllowedIPs, func(s string) bool { return s == prefix.String() })
	}
}

func (d *Device) drop(k keys.Key) {
	p, ok := d.peers[k]
	if !ok {
		return
	}
	for _, ip := range slices.Clone(p.AllowedIPs) {
		d.disown(k, p, netip.MustParsePrefix(ip))
	}
	delete(d.peers, k)
	d.order = slices.DeleteFunc(d.order, func(other keys.Key) bool { return other == k })
}

func isTrue(value string) error {
	if value != "true" {
		return syscall.EINVAL
	}
	return nil
}

func number(s string, limit int) (int, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > uint64(limit) || s[0] == '+' {
		return 0, syscall.EINVAL
	}
	return int(n), nil
}

// parsePrefix reads ADDRESS/BITS and masks it.
func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

// readRequest reads the lines of a request after the first up to the empty one.
func readRequest(r *bufio.Reader) ([]byte, error) {
	var b []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return nil, err
		}
		if len(line) == 1 {
			return b, nil
		}
		b = append(b, line...)
	}
}
