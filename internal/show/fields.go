// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package show

import (
	"strconv"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

const none = "(none)"

// Fields are the names of the single fields, in the order of the usage text.
var Fields = []string{
	"public-key", "private-key", "listen-port", "fwmark", "peers", "preshared-keys", "endpoints", "allowed-ips",
	"latest-handshakes", "transfer", "persistent-keepalive", "dump",
}

// Field returns the form of a field, by its name (wg(8)).
func Field(name string) (Form, bool) {
	f, ok := forms[name]
	return f, ok
}

var forms = map[string]Form{
	"public-key":  {device: func(b []byte, d *device.Device) []byte { return appendOptional(b, &d.PublicKey) }},
	"private-key": {device: func(b []byte, d *device.Device) []byte { return appendOptional(b, &d.PrivateKey) }},
	"listen-port": {device: func(b []byte, d *device.Device) []byte { return appendNumber(b, uint64(d.ListenPort)) }},
	"fwmark":      {device: func(b []byte, d *device.Device) []byte { return appendMark(b, d.Fwmark) }},
	"peers":       {peer: func(b []byte, p *device.Peer) []byte { return p.PublicKey.AppendBase64(b) }},
	"preshared-keys": {peer: func(b []byte, p *device.Peer) []byte {
		return appendPresharedKey(key(b, p), p)
	}},
	"endpoints": {peer: func(b []byte, p *device.Peer) []byte {
		return appendEndpoint(key(b, p), p)
	}},
	"allowed-ips": {peer: func(b []byte, p *device.Peer) []byte {
		return appendAllowedIPs(key(b, p), p, " ")
	}},
	"latest-handshakes": {peer: func(b []byte, p *device.Peer) []byte {
		return strconv.AppendInt(key(b, p), p.LatestHandshake.Sec, 10)
	}},
	"transfer": {peer: func(b []byte, p *device.Peer) []byte {
		b = append(appendNumber(key(b, p), p.ReceivedBytes), '\t')
		return appendNumber(b, p.SentBytes)
	}},
	"persistent-keepalive": {peer: func(b []byte, p *device.Peer) []byte {
		return appendKeepalive(key(b, p), p)
	}},
	"dump": {device: dumpDevice, peer: dumpPeer},
}

func dumpDevice(b []byte, d *device.Device) []byte {
	b = append(appendOptional(b, &d.PrivateKey), '\t')
	b = append(appendOptional(b, &d.PublicKey), '\t')
	b = append(appendNumber(b, uint64(d.ListenPort)), '\t')
	return appendMark(b, d.Fwmark)
}

func dumpPeer(b []byte, p *device.Peer) []byte {
	b = append(appendPresharedKey(key(b, p), p), '\t')
	b = append(appendEndpoint(b, p), '\t')
	b = append(appendAllowedIPs(b, p, ","), '\t')
	b = append(strconv.AppendInt(b, p.LatestHandshake.Sec, 10), '\t')
	b = append(appendNumber(b, p.ReceivedBytes), '\t')
	b = append(appendNumber(b, p.SentBytes), '\t')
	return appendKeepalive(b, p)
}

// key begins a line about a peer.
func key(b []byte, p *device.Peer) []byte { return append(p.PublicKey.AppendBase64(b), '\t') }

func appendNumber(b []byte, n uint64) []byte { return strconv.AppendUint(b, n, 10) }

func appendOptional(b []byte, k *device.Optional[keys.Key]) []byte {
	if !k.Set {
		return append(b, none...)
	}
	return k.Value.AppendBase64(b)
}

func appendPresharedKey(b []byte, p *device.Peer) []byte {
	if p.PresharedKey.IsZero() {
		return append(b, none...)
	}
	return p.PresharedKey.AppendBase64(b)
}

func appendEndpoint(b []byte, p *device.Peer) []byte {
	if !p.Endpoint.IsValid() {
		return append(b, none...)
	}
	return device.AppendEndpoint(b, p.Endpoint)
}

func appendAllowedIPs(b []byte, p *device.Peer, separator string) []byte {
	if len(p.AllowedIPs) == 0 {
		return append(b, none...)
	}
	for i, ip := range p.AllowedIPs {
		if i > 0 {
			b = append(b, separator...)
		}
		b = device.AppendPrefix(b, ip)
	}
	return b
}

func appendKeepalive(b []byte, p *device.Peer) []byte {
	if p.PersistentKeepalive == 0 {
		return append(b, "off"...)
	}
	return appendNumber(b, uint64(p.PersistentKeepalive))
}

// Conf is a device as a file that setconf takes.
var Conf = Form{device: confDevice, peer: confPeer, conf: true}

func confDevice(b []byte, d *device.Device) []byte {
	b = append(b, "[Interface]\n"...)
	if d.ListenPort != 0 {
		b = append(appendNumber(append(b, "ListenPort = "...), uint64(d.ListenPort)), '\n')
	}
	if d.Fwmark != 0 {
		b = append(appendMark(append(b, "FwMark = "...), d.Fwmark), '\n')
	}
	if d.PrivateKey.Set {
		b = append(d.PrivateKey.Value.AppendBase64(append(b, "PrivateKey = "...)), '\n')
	}
	return b
}

func confPeer(b []byte, p *device.Peer) []byte {
	b = p.PublicKey.AppendBase64(append(b, "[Peer]\nPublicKey = "...))
	if !p.PresharedKey.IsZero() {
		b = p.PresharedKey.AppendBase64(append(b, "\nPresharedKey = "...))
	}
	if len(p.AllowedIPs) > 0 {
		b = appendAllowedIPs(append(b, "\nAllowedIPs = "...), p, ", ")
	}
	if p.Endpoint.IsValid() {
		b = appendEndpoint(append(b, "\nEndpoint = "...), p)
	}
	if p.PersistentKeepalive != 0 {
		b = appendKeepalive(append(b, "\nPersistentKeepalive = "...), p)
	}
	return b
}
