// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mdlayher/netlink"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// attrs makes attributes with the netlink package, not with our encoder.
func attrs(f func(*netlink.AttributeEncoder)) []byte {
	e := netlink.NewAttributeEncoder()
	f(e)
	b, err := e.Encode()
	if err != nil {
		panic(err)
	}
	return b
}

// message makes a message of a dump of these attributes.
func message(f func(*netlink.AttributeEncoder)) []byte {
	return append([]byte{cmdGetDevice, familyVersion, 0, 0}, attrs(f)...)
}

type nest = func(*netlink.AttributeEncoder) error

// list adds a list of nested entries.
func list(e *netlink.AttributeEncoder, kind uint16, entries ...nest) {
	e.Nested(kind, func(e *netlink.AttributeEncoder) error {
		for _, entry := range entries {
			e.Nested(0, entry)
		}
		return nil
	})
}

// peer is an entry of a peer with IPv4 allowed IPs; more may add to it.
func peer(key keys.Key, more func(*netlink.AttributeEncoder), ips ...string) nest {
	return func(e *netlink.AttributeEncoder) error {
		e.Bytes(peerPublicKey, key[:])
		if more != nil {
			more(e)
		}
		var entries []nest
		for _, ip := range ips {
			p := netip.MustParsePrefix(ip)
			entries = append(entries, func(e *netlink.AttributeEncoder) error {
				family := uint16(familyINET)
				if p.Addr().Is6() {
					family = familyINET6
				}
				e.Uint16(ipFamily, family)
				e.Uint8(ipCIDR, uint8(p.Bits()))
				e.Bytes(ipAddress, p.Addr().AsSlice())
				return nil
			})
		}
		list(e, peerAllowedIPs, entries...)
		return nil
	}
}

// sockaddr makes a struct sockaddr_in or sockaddr_in6.
func sockaddr(family uint16, port uint16, rest ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, family)
	b = binary.BigEndian.AppendUint16(b, port)
	return append(b, rest...)
}

// telling decodes a whole dump and puts what it tells into words.
func telling(dump ...[]byte) (string, error) {
	var c collector
	t := teller{sink: &c}
	err := t.read(func(each func([]byte) error) (bool, error) {
		for _, m := range dump {
			if err := each(m); err != nil {
				return false, err
			}
		}
		return false, nil
	})
	return describe(&c.device, c.peers), err
}

func TestDecode(t *testing.T) {
	a, b := mustKey(hexA), mustKey(hexB)
	named := func(e *netlink.AttributeEncoder) { e.String(deviceName, "wg0") }
	v6 := append(make([]byte, 4), netip.MustParseAddr("fe80::1").AsSlice()...)
	tests := map[string]struct {
		dump [][]byte
		want string
	}{
		"a device without anything": {[][]byte{message(named)}, "wg0"},
		"a whole device": {[][]byte{message(func(e *netlink.AttributeEncoder) {
			e.Uint16(deviceListenPort, 51820)
			e.Uint32(deviceFwmark, 7)
			e.Uint32(1, 99) // the number of its link
			e.String(deviceName, "wg0")
			e.Bytes(devicePrivateKey, b[:])
			e.Bytes(devicePublicKey, a[:])
			list(e, devicePeers)
		})}, "wg0 private " + textB + " public " + textA + " port 51820 fwmark 7"},
		"an all-zero key is a key": {[][]byte{message(func(e *netlink.AttributeEncoder) {
			named(e)
			e.Bytes(devicePrivateKey, make([]byte, 32))
		})}, "wg0 private " + text0},
		"a whole peer": {[][]byte{message(func(e *netlink.AttributeEncoder) {
			named(e)
			list(e, devicePeers, peer(a, func(e *netlink.AttributeEncoder) {
				e.Bytes(peerPresharedKey, b[:])
				e.Bytes(peerEndpoint, sockaddr(familyINET, 51820, 192, 0, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0))
				e.Uint16(peerKeepalive, 25)
				e.Bytes(peerLastHandshake, binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(nil, 3), 4))
				e.Uint64(peerRxBytes, 5)
				e.Uint64(peerTxBytes, 1<<63)
				e.Uint32(10, 1) // the version of the protocol
			}, "10.0.0.5/24", "fd00::/64"))
		})}, "wg0\npeer " + textA + " preshared " + textB + " endpoint 192.0.2.1:51820 keepalive 25 10.0.0.5/24 fd00::/64 handshake 3.4 transfer 5 9223372036854775808"},
		"an IPv6 endpoint with a zone": {[][]byte{message(func(e *netlink.AttributeEncoder) {
			named(e)
			list(e, devicePeers, peer(a, func(e *netlink.AttributeEncoder) {
				e.Bytes(peerEndpoint, binary.NativeEndian.AppendUint32(sockaddr(familyINET6, 5, v6...), 4242))
			}))
		})}, "wg0\npeer " + textA + " endpoint [fe80::1%4242]:5"},
		"an all-zero preshared key is none": {[][]byte{message(func(e *netlink.AttributeEncoder) {
			named(e)
			list(e, devicePeers, peer(a, func(e *netlink.AttributeEncoder) { e.Bytes(peerPresharedKey, make([]byte, 32)) }))
		})}, "wg0\npeer " + textA},
		"a peer in several messages keeps its first values": {[][]byte{
			message(func(e *netlink.AttributeEncoder) {
				named(e)
				list(e, devicePeers, peer(b, nil), peer(a, func(e *netlink.AttributeEncoder) { e.Uint16(peerKeepalive, 25) }, "10.0.0.1/32"))
			}),
			message(func(e *netlink.AttributeEncoder) {
				list(e, devicePeers, peer(a, func(e *netlink.AttributeEncoder) { e.Uint16(peerKeepalive, 9) }, "10.0.0.2/32"))
			}),
			message(func(e *netlink.AttributeEncoder) {
				list(e, devicePeers, peer(a, nil, "10.0.0.3/32"), peer(b, nil, "10.0.0.4/32"))
			}),
		}, "wg0\npeer " + textB + "\npeer " + textA + " keepalive 25 10.0.0.1/32 10.0.0.2/32 10.0.0.3/32\npeer " + textB + " 10.0.0.4/32"},
		"only the first message tells of the device": {[][]byte{
			message(named), message(func(e *netlink.AttributeEncoder) { e.String(deviceName, "wg1") }),
		}, "wg0"},
		"nothing": {nil, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := telling(tt.dump...)
			if err != nil || got != tt.want {
				t.Errorf("got\n%s\n%v; want\n%s", got, err, tt.want)
			}
		})
	}
}

func TestDecodeErrors(t *testing.T) {
	a := mustKey(hexA)
	ofPeer := func(more func(*netlink.AttributeEncoder)) []byte {
		return message(func(e *netlink.AttributeEncoder) { list(e, devicePeers, peer(a, more)) })
	}
	ofIP := func(f nest) []byte {
		return ofPeer(func(e *netlink.AttributeEncoder) { list(e, peerAllowedIPs, f) })
	}
	ip := func(family uint16, bits uint8, address ...byte) []byte {
		return ofIP(func(e *netlink.AttributeEncoder) error {
			e.Uint16(ipFamily, family)
			e.Bytes(ipAddress, address)
			e.Uint8(ipCIDR, bits)
			return nil
		})
	}
	tests := map[string][]byte{
		"empty":                   {},
		"half a header":           {0, 1},
		"half an attribute":       append(message(func(*netlink.AttributeEncoder) {}), 8, 0, 6),
		"an attribute too long":   append(message(func(*netlink.AttributeEncoder) {}), 255, 255, 255, 255),
		"an attribute too short":  append(message(func(*netlink.AttributeEncoder) {}), 0, 0, 0, 0),
		"short private key":       message(func(e *netlink.AttributeEncoder) { e.Bytes(devicePrivateKey, make([]byte, 31)) }),
		"long public key":         message(func(e *netlink.AttributeEncoder) { e.Bytes(devicePublicKey, make([]byte, 33)) }),
		"port of one byte":        message(func(e *netlink.AttributeEncoder) { e.Uint8(deviceListenPort, 1) }),
		"mark of two bytes":       message(func(e *netlink.AttributeEncoder) { e.Uint16(deviceFwmark, 1) }),
		"peers are no attributes": message(func(e *netlink.AttributeEncoder) { e.Bytes(devicePeers, []byte{1, 2, 3}) }),
		"peer without key": message(func(e *netlink.AttributeEncoder) {
			list(e, devicePeers, func(e *netlink.AttributeEncoder) error { e.Uint16(peerKeepalive, 1); return nil })
		}),
		"peer with a short key": message(func(e *netlink.AttributeEncoder) {
			list(e, devicePeers, func(e *netlink.AttributeEncoder) error { e.Bytes(peerPublicKey, []byte{1}); return nil })
		}),
		"short preshared key":      ofPeer(func(e *netlink.AttributeEncoder) { e.Bytes(peerPresharedKey, []byte{1}) }),
		"keepalive of one byte":    ofPeer(func(e *netlink.AttributeEncoder) { e.Uint8(peerKeepalive, 1) }),
		"handshake of eight bytes": ofPeer(func(e *netlink.AttributeEncoder) { e.Uint64(peerLastHandshake, 1) }),
		"counter of four bytes":    ofPeer(func(e *netlink.AttributeEncoder) { e.Uint32(peerRxBytes, 1) }),
		"empty endpoint":           ofPeer(func(e *netlink.AttributeEncoder) { e.Bytes(peerEndpoint, nil) }),
		"endpoint of no family":    ofPeer(func(e *netlink.AttributeEncoder) { e.Bytes(peerEndpoint, sockaddr(1, 5, make([]byte, 24)...)) }),
		"short IPv6 endpoint": ofPeer(func(e *netlink.AttributeEncoder) {
			e.Bytes(peerEndpoint, sockaddr(familyINET6, 5, make([]byte, 20)...))
		}),
		"allowed IP of nothing":   ofIP(func(*netlink.AttributeEncoder) error { return nil }),
		"allowed IP of no family": ip(3, 32, 10, 0, 0, 1),
		"IPv4 of five bytes":      ip(familyINET, 32, 10, 0, 0, 1, 1),
		"IPv6 of four bytes":      ip(familyINET6, 32, 10, 0, 0, 1),
		"length beyond IPv4's":    ip(familyINET, 33, 10, 0, 0, 1),
		"length beyond IPv6's":    ip(familyINET6, 129, make([]byte, 16)...),
		"length of two bytes": ofIP(func(e *netlink.AttributeEncoder) error {
			e.Uint16(ipFamily, familyINET)
			e.Bytes(ipAddress, []byte{10, 0, 0, 1})
			e.Uint16(ipCIDR, 32)
			return nil
		}),
	}
	for name, m := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := telling(m); err != syscall.EPROTO {
				t.Errorf("got %v after\n%s; want %v", err, got, syscall.EPROTO)
			}
		})
	}
}

// However a message is cut, nothing worse happens than an error.
func TestDecodeCut(t *testing.T) {
	m := message(func(e *netlink.AttributeEncoder) {
		e.String(deviceName, "wg0")
		list(e, devicePeers, peer(mustKey(hexA), func(e *netlink.AttributeEncoder) {
			e.Bytes(peerEndpoint, sockaddr(familyINET, 5, 192, 0, 2, 1))
		}, "10.0.0.1/32", "fd00::/64"))
	})
	good := 0
	for n := range m {
		if _, err := telling(m[:n]); err == nil {
			good++
		} else if err != syscall.EPROTO {
			t.Errorf("cut at %d: %v, want %v", n, err, syscall.EPROTO)
		}
	}
	// Cut between attributes of the device it is whole again.
	if good != 2 {
		t.Errorf("good at %d places, want 2", good)
	}
}

// What is encoded for the kernel is what is decoded, were it to come back.
func TestEncodeDecode(t *testing.T) {
	c := &device.Change{PrivateKey: device.Some(mustKey(hexB)), ListenPort: device.Some[uint16](51820), Fwmark: device.Some[uint32](0xca6c)}
	want := "wg0 private " + textB + " port 51820 fwmark 51820"
	for i := range 300 {
		p := device.PeerChange{PublicKey: keys.Key{byte(i), byte(i >> 8), 1}, PersistentKeepalive: device.Some(uint16(i + 1))}
		want += "\npeer " + p.PublicKey.Base64()
		if i%2 == 0 {
			p.PresharedKey = device.Some(mustKey(hexA))
			want += " preshared " + textA
		}
		if i%3 == 0 {
			p.Endpoint = netip.MustParseAddrPort("[fe80::1%4242]:5")
			want += " endpoint [fe80::1%4242]:5"
		}
		want += fmt.Sprintf(" keepalive %d", i+1)
		for j := range i % 100 {
			ip := fmt.Sprintf("10.%d.%d.%d/32", i>>8, i&255, j)
			if j%2 == 0 {
				ip = fmt.Sprintf("fd00:%x::%x/96", i+1, j+1)
			}
			p.AllowedIPs = append(p.AllowedIPs, allowed(ip)...)
			want += " " + ip
		}
		c.Peers = append(c.Peers, p)
	}
	got, err := telling(messages("wg0", c, 4096)...)
	if err != nil || got != want {
		gotLines, wantLines := strings.Split(got, "\n"), strings.Split(want, "\n")
		for i := range min(len(gotLines), len(wantLines)) {
			if gotLines[i] != wantLines[i] {
				t.Fatalf("line %d: got\n%s\nwant\n%s", i, gotLines[i], wantLines[i])
			}
		}
		t.Fatalf("%d lines, %v; want %d", len(gotLines), err, len(wantLines))
	}
}

// FuzzDecodeDevice: whatever the kernel says, decoding it ends without a
// panic, an error is EPROTO, and what is told makes sense.
func FuzzDecodeDevice(f *testing.F) {
	a, b := mustKey(hexA), mustKey(hexB)
	f.Add([]byte{}, []byte{})
	f.Add(message(func(e *netlink.AttributeEncoder) { e.String(deviceName, "wg0") }), []byte{0, 1, 0, 0})
	f.Add(message(func(e *netlink.AttributeEncoder) {
		e.String(deviceName, "wg0")
		e.Bytes(devicePrivateKey, b[:])
		e.Uint16(deviceListenPort, 5)
		list(e, devicePeers, peer(a, func(e *netlink.AttributeEncoder) {
			e.Bytes(peerEndpoint, sockaddr(familyINET6, 5, make([]byte, 24)...))
			e.Uint64(peerTxBytes, 5)
		}, "10.0.0.1/32"))
	}), message(func(e *netlink.AttributeEncoder) { list(e, devicePeers, peer(a, nil, "fd00::/64"), peer(b, nil)) }))
	for _, m := range messages("wg0", &device.Change{ReplacePeers: true, Peers: []device.PeerChange{{PublicKey: a, AllowedIPs: allowed("10.0.0.1/32")}}}, 4096) {
		f.Add(m, m)
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		before := bytes.Clone(first)
		var c collector
		tell := teller{sink: &c}
		err := tell.read(func(each func([]byte) error) (bool, error) {
			if err := each(first); err != nil {
				return false, err
			}
			return false, each(second)
		})
		if err != nil && err != syscall.EPROTO {
			t.Errorf("error %v, want %v", err, syscall.EPROTO)
		}
		if !bytes.Equal(first, before) {
			t.Error("the message was written to")
		}
		for i, p := range c.peers {
			for _, ip := range p.AllowedIPs {
				if !ip.IsValid() {
					t.Errorf("peer %d: invalid allowed IP %v", i, ip)
				}
			}
			if i > 0 && c.peers[i-1].PublicKey == p.PublicKey {
				t.Errorf("peers %d and %d have one key", i-1, i)
			}
		}
	})
}

// A changingDevice hands out dumps of numbered peers. The first ones are
// interrupted after some messages: the device has changed.
type changingDevice struct {
	peers    []int
	perDump  int               // messages until a change
	change   func([]int) []int // what becomes of the peers
	failures int               // dumps that will be interrupted
}

func (d *changingDevice) dump(each func([]byte) error) (bool, error) {
	const perMessage = 3
	for i := 0; i < len(d.peers) || i == 0; i += perMessage {
		if d.failures > 0 && i == d.perDump*perMessage {
			d.failures--
			d.peers = d.change(d.peers)
			return true, nil
		}
		err := each(message(func(e *netlink.AttributeEncoder) {
			if i == 0 {
				e.String(deviceName, "wg0")
			}
			var entries []nest
			for _, n := range d.peers[i:min(i+perMessage, len(d.peers))] {
				entries = append(entries, peer(numbered(n), nil))
			}
			list(e, devicePeers, entries...)
		}))
		if err != nil {
			return false, err
		}
	}
	return false, nil
}

func numbered(n int) keys.Key { return keys.Key{byte(n), byte(n >> 8), 7} }

func number(k keys.Key) int { return int(k[0]) | int(k[1])<<8 }

// A printer is a sink that can't take back what it printed, unless it may.
type printer struct {
	mayRestart bool
	restarts   int
	devices    int
	peers      []int
}

func (p *printer) Device(*device.Device) error { p.devices++; return nil }

func (p *printer) Peer(q *device.Peer) error {
	p.peers = append(p.peers, number(q.PublicKey))
	return nil
}

func (p *printer) Restart() bool {
	p.restarts++
	if p.mayRestart {
		p.devices, p.peers = 0, nil
	}
	return p.mayRestart
}

func numbers(from, to int) (n []int) {
	for i := from; i < to; i++ {
		n = append(n, i)
	}
	return n
}

func TestInterruptedDump(t *testing.T) {
	remove := func(gone ...int) func([]int) []int {
		return func(peers []int) []int {
			return slices.DeleteFunc(slices.Clone(peers), func(n int) bool { return slices.Contains(gone, n) })
		}
	}
	add := func(n int) func([]int) []int {
		return func(peers []int) []int { return append(slices.Clone(peers), n) }
	}
	nothing := func(peers []int) []int { return peers }
	tests := map[string]struct {
		device   changingDevice
		want     []int
		err      error
		restarts int
	}{
		"not interrupted":                   {device: changingDevice{peers: numbers(0, 10)}, want: numbers(0, 10)},
		"once":                              {device: changingDevice{peers: numbers(0, 20), perDump: 3, failures: 1, change: nothing}, want: numbers(0, 20), restarts: 1},
		"before anything was told":          {device: changingDevice{peers: numbers(0, 5), failures: 2, change: nothing}, want: numbers(0, 5), restarts: 2},
		"many times":                        {device: changingDevice{peers: numbers(0, 200), perDump: 40, failures: 5, change: nothing}, want: numbers(0, 200), restarts: 5},
		"a peer comes":                      {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: add(100)}, want: append(numbers(0, 9), 100), restarts: 1},
		"the last one told goes":            {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: remove(4)}, want: numbers(0, 9), restarts: 1},
		"one that is still to come goes":    {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: remove(7)}, want: []int{0, 1, 2, 3, 4, 5, 6, 8}, restarts: 1},
		"most of those told go":             {device: changingDevice{peers: numbers(0, 300), perDump: 80, failures: 1, change: remove(numbers(0, 200)...)}, want: numbers(0, 300), restarts: 1},
		"all of those told go":              {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: remove(0, 1, 2, 3, 4)}, want: numbers(0, 5), err: ErrBusy, restarts: 1},
		"all that are remembered go":        {device: changingDevice{peers: numbers(0, 300), perDump: 80, failures: 1, change: remove(numbers(170, 240)...)}, want: numbers(0, 239), err: ErrBusy, restarts: 1},
		"all go":                            {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: remove(numbers(0, 9)...)}, want: numbers(0, 5), err: ErrBusy, restarts: 1},
		"one told comes back at the end":    {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: func(p []int) []int { return append(remove(1)(p), 1) }}, want: append(numbers(0, 9), 1), restarts: 1},
		"nothing is left but what was told": {device: changingDevice{peers: numbers(0, 9), perDump: 2, failures: 1, change: remove(numbers(5, 9)...)}, want: numbers(0, 5), restarts: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := tt.device
			p := printer{}
			err := (&teller{sink: &p}).read(d.dump)
			if !errors.Is(err, tt.err) || !slices.Equal(p.peers, tt.want) || p.restarts != tt.restarts {
				t.Errorf("told %v, %v, after %d restarts; want %v, %v, %d", p.peers, err, p.restarts, tt.want, tt.err, tt.restarts)
			}
			if p.devices != 1 {
				t.Errorf("the device was told %d times, want once", p.devices)
			}
		})
		t.Run(name+", told again", func(t *testing.T) {
			d := tt.device
			p := printer{mayRestart: true}
			err := (&teller{sink: &p}).read(d.dump)
			if err != nil || !slices.Equal(p.peers, d.peers) || p.devices != 1 {
				t.Errorf("told %v, %v and the device %d times; want %v, nil, once", p.peers, err, p.devices, d.peers)
			}
		})
	}
}
