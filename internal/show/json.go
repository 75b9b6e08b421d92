// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package show

import (
	"encoding/json"
	"strconv"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// JSONVersion is the version of the document. It goes up when a field changes
// its meaning or goes away, not when one is added (docs/json.md).
const JSONVersion = 1

// A JSON writes the document of `wg show --json', device by device and peer by
// peer, each on a line of its own, or all on one line.
type JSON struct {
	out      *Output
	showKeys bool
	oneLine  bool
	devices  int
}

// JSON starts a document. With oneLine it has no line breaks but the last.
func (o *Output) JSON(now time.Time, showKeys, oneLine bool) *JSON {
	j := &JSON{out: o, showKeys: showKeys, oneLine: oneLine}
	o.buf = appendNumber(append(o.buf, `{"version": `...), JSONVersion)
	o.buf = now.UTC().AppendFormat(append(o.buf, `, "time": "`...), time.RFC3339)
	o.buf = strconv.AppendInt(append(o.buf, `", "time_unix": `...), now.Unix(), 10)
	o.buf = append(o.buf, `, "interfaces": [`...)
	return j
}

// Close ends the document and writes it.
func (j *JSON) Close() {
	if j.devices > 0 {
		j.newline("")
	}
	j.out.WriteString("]}\n")
	j.out.Flush()
}

// Abandon leaves nothing of the document behind, or ends it if part of it is
// written already.
func (j *JSON) Abandon() {
	if j.out.wrote {
		j.Close()
		return
	}
	j.out.buf = j.out.buf[:0]
}

func (j *JSON) newline(indent string) {
	if j.oneLine {
		return
	}
	j.out.WriteString("\n" + indent)
}

// Device returns the sink for the next device. names are its peers', or nil.
// After the device was read to its end call its Close, else its Fail.
func (j *JSON) Device(names map[keys.Key]string) *JSONDevice {
	j.out.begin()
	return &JSONDevice{doc: j, names: names}
}

// A JSONDevice is a [netlinkwg.Sink] for one device of a document.
type JSONDevice struct {
	doc   *JSON
	names map[keys.Key]string
	peers int
	told  bool
}

// Device implements [netlinkwg.Sink].
func (j *JSONDevice) Device(d *device.Device) error {
	j.told = true
	out := j.doc.out
	if j.doc.devices > 0 {
		out.WriteString(",")
	}
	j.doc.newline("  ")
	b := append(out.buf, `{"name": `...)
	b = appendText(b, d.Name)
	b = append(b, `, "public_key": `...)
	b = appendKey(b, &d.PublicKey.Value, d.PublicKey.Set, true)
	b = append(b, `, "private_key": `...)
	b = appendKey(b, &d.PrivateKey.Value, d.PrivateKey.Set, j.doc.showKeys)
	b = append(b, `, "listen_port": `...)
	b = appendPositive(b, uint64(d.ListenPort))
	b = append(b, `, "fwmark": `...)
	b = appendPositive(b, uint64(d.Fwmark))
	out.buf = append(b, `, "peers": [`...)
	return nil
}

// Peer implements [netlinkwg.Sink].
func (j *JSONDevice) Peer(p *device.Peer) error {
	out := j.doc.out
	if j.peers > 0 {
		out.WriteString(",")
	}
	j.peers++
	j.doc.newline("    ")
	b := append(out.buf, `{"public_key": `...)
	b = appendKey(b, &p.PublicKey, true, true)
	b = append(b, `, "name": `...)
	if name := j.names[p.PublicKey]; name != "" {
		b = appendText(b, name)
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `, "preshared_key": `...)
	b = appendKey(b, &p.PresharedKey, !p.PresharedKey.IsZero(), j.doc.showKeys)
	b = append(b, `, "endpoint": `...)
	if p.Endpoint.IsValid() {
		b = append(device.AppendEndpoint(append(b, '"'), p.Endpoint), '"')
	} else {
		b = append(b, "null"...)
	}
	b = append(b, `, "allowed_ips": [`...)
	for i, ip := range p.AllowedIPs {
		if i > 0 {
			b = append(b, ", "...)
		}
		b = append(device.AppendPrefix(append(b, '"'), ip), '"')
	}
	b = append(b, `], "latest_handshake": `...)
	if p.LatestHandshake.IsZero() {
		b = append(b, `null, "latest_handshake_unix": null`...)
	} else {
		when := time.Unix(p.LatestHandshake.Sec, p.LatestHandshake.Nsec)
		if year := when.UTC().Year(); 0 <= year && year <= 9999 {
			b = append(when.UTC().AppendFormat(append(b, '"'), time.RFC3339Nano), '"')
		} else {
			b = append(b, "null"...) // RFC 3339 has no such year
		}
		b = strconv.AppendInt(append(b, `, "latest_handshake_unix": `...), p.LatestHandshake.Sec, 10)
	}
	b = appendNumber(append(b, `, "received_bytes": `...), p.ReceivedBytes)
	b = appendNumber(append(b, `, "sent_bytes": `...), p.SentBytes)
	b = append(b, `, "persistent_keepalive": `...)
	b = appendPositive(b, uint64(p.PersistentKeepalive))
	out.buf = append(b, '}')
	out.room()
	return nil
}

// Restart implements [netlinkwg.Sink].
func (j *JSONDevice) Restart() bool {
	if !j.doc.out.forget() {
		return false
	}
	j.peers, j.told = 0, false
	return true
}

// Close ends a device that was read to its end.
func (j *JSONDevice) Close() {
	if j.peers > 0 {
		j.doc.newline("  ")
	}
	j.doc.out.WriteString("]}")
	j.doc.devices++
}

// Fail leaves out a device that can't be read. If part of it is written
// already, it is ended there, so that the document stays one.
func (j *JSONDevice) Fail() {
	if !j.doc.out.forget() && j.told {
		j.Close()
	}
}

// appendKey appends a key, "(hidden)" in place of one that is not to be seen,
// or null for none.
func appendKey(b []byte, k *keys.Key, set, visible bool) []byte {
	switch {
	case !set:
		return append(b, "null"...)
	case !visible:
		return append(b, `"(hidden)"`...)
	}
	return append(k.AppendBase64(append(b, '"')), '"')
}

// appendPositive appends a number, or null for 0, which means none or off.
func appendPositive(b []byte, n uint64) []byte {
	if n == 0 {
		return append(b, "null"...)
	}
	return appendNumber(b, n)
}

func appendText(b []byte, s string) []byte {
	text, err := json.Marshal(s)
	if err != nil { // a string can always be marshalled
		return append(b, `""`...)
	}
	return append(b, text...)
}
