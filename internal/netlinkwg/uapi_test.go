// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

const (
	hexA = "bd79af065884db424e481e43503facfb9dd9b16a90ec4362413eb57a2744a173"
	hexB = "e0f9251c6101f0e215ab5c876a560f2ce93e5842deaaf15527b5178ef4fa2861"
	hex0 = "0000000000000000000000000000000000000000000000000000000000000000"

	textA = "vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM="
	textB = "4PklHGEB8OIVq1yHalYPLOk+WELeqvFVJ7UXjvT6KGE="
	pubB  = "BDBeLpzvaVd8ttqRn+eJJDqv1KZ7oaxHciNLDpI/ZGU="
	pub0  = "L+V9o0fNYkMVKNqsX7spBzD/9oSvxM/C7ZCZX1jLO3Q="
	text0 = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
)

// describe puts a device and its peers into words, zero values left out.
func describe(d *device.Device, peers []device.Peer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", d.Name)
	if d.PrivateKey.Set {
		fmt.Fprintf(&b, " private %s", d.PrivateKey.Value.Base64())
	}
	if d.PublicKey.Set {
		fmt.Fprintf(&b, " public %s", d.PublicKey.Value.Base64())
	}
	if d.ListenPort != 0 {
		fmt.Fprintf(&b, " port %d", d.ListenPort)
	}
	if d.Fwmark != 0 {
		fmt.Fprintf(&b, " fwmark %d", d.Fwmark)
	}
	for _, p := range peers {
		fmt.Fprintf(&b, "\npeer %s", p.PublicKey.Base64())
		if !p.PresharedKey.IsZero() {
			fmt.Fprintf(&b, " preshared %s", p.PresharedKey.Base64())
		}
		if p.Endpoint.IsValid() {
			fmt.Fprintf(&b, " endpoint %s", device.AppendEndpoint(nil, p.Endpoint))
		}
		if p.PersistentKeepalive != 0 {
			fmt.Fprintf(&b, " keepalive %d", p.PersistentKeepalive)
		}
		for _, ip := range p.AllowedIPs {
			fmt.Fprintf(&b, " %s", device.AppendPrefix(nil, ip))
		}
		if !p.LatestHandshake.IsZero() {
			fmt.Fprintf(&b, " handshake %d.%d", p.LatestHandshake.Sec, p.LatestHandshake.Nsec)
		}
		if p.ReceivedBytes != 0 || p.SentBytes != 0 {
			fmt.Fprintf(&b, " transfer %d %d", p.ReceivedBytes, p.SentBytes)
		}
	}
	return b.String()
}

// reading reads a reply and puts what it tells into words.
func reading(reply string) (string, error) {
	var c collector
	err := readReply(context.Background(), strings.NewReader(reply), "wg0", &c)
	return describe(&c.device, c.peers), err
}

func TestReadReply(t *testing.T) {
	const peer, ok = "public_key=" + hexA + "\n", "errno=0\n\n"
	tests := map[string]struct {
		reply, want string
	}{
		"nothing set": {ok, "wg0"},
		"everything": {"private_key=" + hexB + "\nlisten_port=51820\nfwmark=51820\n" + peer +
			"preshared_key=" + hexB + "\nendpoint=192.0.2.1:5\npersistent_keepalive_interval=25\nallowed_ip=10.0.0.0/8\nallowed_ip=fd00::/64\n" +
			"last_handshake_time_sec=7\nlast_handshake_time_nsec=8\nrx_bytes=9\ntx_bytes=10\n" + ok,
			"wg0 private " + textB + " public " + pubB + " port 51820 fwmark 51820\npeer " + textA + " preshared " + textB +
				" endpoint 192.0.2.1:5 keepalive 25 10.0.0.0/8 fd00::/64 handshake 7.8 transfer 9 10"},
		"upper-case digits":              {"private_key=" + strings.ToUpper(hexB) + "\n" + ok, "wg0 private " + textB + " public " + pubB},
		"all-zero private key is a key":  {"private_key=" + hex0 + "\n" + ok, "wg0 private " + text0 + " public " + pub0},
		"all-zero preshared key is none": {peer + "preshared_key=" + hex0 + "\n" + ok, "wg0\npeer " + textA},
		"peers aren't merged":            {peer + "allowed_ip=10.0.0.1/32\n" + peer + "allowed_ip=10.0.0.2/32\n" + ok, "wg0\npeer " + textA + " 10.0.0.1/32\npeer " + textA + " 10.0.0.2/32"},
		"nothing of the peer before is kept": {peer + "preshared_key=" + hexB + "\nallowed_ip=10.0.0.1/32\nrx_bytes=1\npublic_key=" + hexB + "\n" + ok,
			"wg0\npeer " + textA + " preshared " + textB + " 10.0.0.1/32 transfer 1 0\npeer " + textB},
		"host bits stay":                    {peer + "allowed_ip=10.0.0.5/24\n" + ok, "wg0\npeer " + textA + " 10.0.0.5/24"},
		"leading zeros":                     {"listen_port=0051820\n" + peer + "allowed_ip=10.0.0.1/032\n" + ok, "wg0 port 51820\npeer " + textA + " 10.0.0.1/32"},
		"counters stick at the largest":     {peer + "rx_bytes=18446744073709551615\ntx_bytes=99999999999999999999\n" + ok, "wg0\npeer " + textA + " transfer 18446744073709551615 18446744073709551615"},
		"nanoseconds only":                  {peer + "last_handshake_time_nsec=7\n" + ok, "wg0\npeer " + textA + " handshake 0.7"},
		"unknown keys":                      {"protocol_version=1\nListen_Port=zz\n=\n" + peer + "protocol_version=zz\n" + ok, "wg0\npeer " + textA},
		"a peer's keys before any peer":     {"preshared_key=zz\nallowed_ip=zz\nendpoint=\nrx_bytes=-1\n" + ok, "wg0"},
		"the device's keys after a peer":    {peer + "private_key=zz\nlisten_port=99999\nfwmark=-1\n" + ok, "wg0\npeer " + textA},
		"errno first":                       {"errno=0\n" + peer + "\n", "wg0\npeer " + textA},
		"errno twice":                       {"errno=5\nerrno=0\n\n", "wg0"},
		"more after the end":                {ok + "garbage", "wg0"},
		"a long line":                       {"x=" + strings.Repeat("y", 3<<20) + "\n" + ok, "wg0"},
		"an IPv6 endpoint":                  {peer + "endpoint=[2001:db8::1]:5\n" + ok, "wg0\npeer " + textA + " endpoint [2001:db8::1]:5"},
		"a mapped endpoint":                 {peer + "endpoint=[::ffff:192.0.2.1]:5\n" + ok, "wg0\npeer " + textA + " endpoint [::ffff:192.0.2.1]:5"},
		"a zone without a link":             {peer + "endpoint=[fe80::1%4242]:5\n" + ok, "wg0\npeer " + textA + " endpoint [fe80::1%4242]:5"},
		"zone zero":                         {peer + "endpoint=[fe80::1%0]:5\n" + ok, "wg0\npeer " + textA + " endpoint [fe80::1]:5"},
		"a numbered zone of a wide address": {peer + "endpoint=[2001:db8::1%1]:5\n" + ok, "wg0\npeer " + textA + " endpoint [2001:db8::1%1]:5"},
		"IPv4 in brackets":                  {peer + "endpoint=[192.0.2.1]:5\n" + ok, "wg0\npeer " + textA + " endpoint 192.0.2.1:5"},
		"IPv6 without brackets":             {peer + "endpoint=2001:db8::1:5\n" + ok, "wg0\npeer " + textA + " endpoint [2001:db8::1]:5"},
		"a port beyond the largest":         {peer + "endpoint=192.0.2.1:65541\n" + ok, "wg0\npeer " + textA + " endpoint 192.0.2.1:5"},
		"inet_ntop's spelling":              {peer + "allowed_ip=::1.2.3.4/128\nallowed_ip=::ffff:1.2.3.4/100\n" + ok, "wg0\npeer " + textA + " ::1.2.3.4/128 ::ffff:1.2.3.4/100"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := reading(tt.reply)
			if err != nil || got != tt.want {
				t.Errorf("got\n%s\n%v; want\n%s", got, err, tt.want)
			}
		})
	}
}

func TestReadReplyZoneOfLink(t *testing.T) {
	links, err := net.Interfaces()
	if err != nil || len(links) == 0 {
		t.Skip("no links here")
	}
	zone := fmt.Sprintf("[fe80::1%%%d]:5", links[0].Index)
	got, err := reading("public_key=" + hexA + "\nendpoint=" + zone + "\nerrno=0\n\n")
	if want := "wg0\npeer " + textA + " endpoint [fe80::1%" + links[0].Name + "]:5"; got != want || err != nil {
		t.Errorf("endpoint=%s: got\n%s\n%v; want\n%s", zone, got, err, want)
	}
}

func TestReadReplyErrors(t *testing.T) {
	const peer, ok = "public_key=" + hexA + "\n", "errno=0\n\n"
	tests := map[string]struct {
		reply string
		want  syscall.Errno
	}{
		"nothing":                      {"", syscall.EPROTO},
		"no errno":                     {"\n", syscall.EPROTO},
		"no empty line":                {"errno=0\n", syscall.EPROTO},
		"cut in a line":                {peer + "allowed_ip=10.0", syscall.EPROTO},
		"cut after a peer":             {peer + "allowed_ip=10.0.0.2/32\n", syscall.EPROTO},
		"another protocol":             {"HTTP/1.1 400 Bad Request\r\n\r\n", syscall.EPROTO},
		"no =":                         {"x\n" + ok, syscall.EPROTO},
		"a NUL byte":                   {"x=\x00\n" + ok, syscall.EPROTO},
		"errno":                        {"errno=5\n\n", syscall.EIO},
		"errno after peers":            {peer + "errno=19\n\n", syscall.ENODEV},
		"errno below zero":             {"errno=-5\n\n", syscall.EPROTO},
		"errno too large":              {"errno=2147483648\n\n", syscall.EPROTO},
		"errno with blanks":            {"errno= 0\n\n", syscall.EPROTO},
		"CRLF":                         {"errno=0\r\n\r\n", syscall.EPROTO},
		"private key too short":        {"private_key=" + hexA[1:] + "\n" + ok, syscall.EPROTO},
		"public key not hexadecimal":   {"public_key=g" + hexA[1:] + "\n" + ok, syscall.EPROTO},
		"preshared key too long":       {peer + "preshared_key=" + hexA + "0\n" + ok, syscall.EPROTO},
		"port too large":               {"listen_port=65536\n" + ok, syscall.EPROTO},
		"port below zero":              {"listen_port=-1\n" + ok, syscall.EPROTO},
		"port with a sign":             {"listen_port=+1\n" + ok, syscall.EPROTO},
		"empty port":                   {"listen_port=\n" + ok, syscall.EPROTO},
		"mark too large":               {"fwmark=4294967296\n" + ok, syscall.EPROTO},
		"mark in hexadecimal":          {"fwmark=0x10\n" + ok, syscall.EPROTO},
		"keepalive too large":          {peer + "persistent_keepalive_interval=65536\n" + ok, syscall.EPROTO},
		"seconds too large":            {peer + "last_handshake_time_sec=9223372036854775808\n" + ok, syscall.EPROTO},
		"nanoseconds below zero":       {peer + "last_handshake_time_nsec=-5\n" + ok, syscall.EPROTO},
		"counter below zero":           {peer + "rx_bytes=-5\n" + ok, syscall.EPROTO},
		"counter and more":             {peer + "tx_bytes=5x\n" + ok, syscall.EPROTO},
		"allowed IP without length":    {peer + "allowed_ip=10.0.0.2\n" + ok, syscall.EPROTO},
		"allowed IP of empty length":   {peer + "allowed_ip=10.0.0.2/\n" + ok, syscall.EPROTO},
		"allowed IP, length too large": {peer + "allowed_ip=10.0.0.2/33\n" + ok, syscall.EPROTO},
		"IPv6, length too large":       {peer + "allowed_ip=::/129\n" + ok, syscall.EPROTO},
		"allowed IP to be removed":     {peer + "allowed_ip=-10.0.0.2/32\n" + ok, syscall.EPROTO},
		"no address":                   {peer + "allowed_ip=300.0.0.2/32\n" + ok, syscall.EPROTO},
		"leading zeros in an address":  {peer + "allowed_ip=010.0.0.2/32\n" + ok, syscall.EPROTO},
		"allowed IP with a zone":       {peer + "allowed_ip=fe80::1%1/64\n" + ok, syscall.EPROTO},
		"empty endpoint":               {peer + "endpoint=\n" + ok, syscall.EPROTO},
		"endpoint without port":        {peer + "endpoint=192.0.2.1\n" + ok, syscall.EPROTO},
		"endpoint of empty port":       {peer + "endpoint=192.0.2.1:\n" + ok, syscall.EPROTO},
		"endpoint, open bracket":       {peer + "endpoint=[::1:5\n" + ok, syscall.EPROTO},
		"endpoint, no colon":           {peer + "endpoint=[::1]5\n" + ok, syscall.EPROTO},
		"endpoint without host":        {peer + "endpoint=:5\n" + ok, syscall.ENETUNREACH},
		"endpoint of unknown service":  {peer + "endpoint=192.0.2.1:no-such-service\n" + ok, syscall.ENETUNREACH},
		"zone of no link":              {peer + "endpoint=[fe80::1%no-such-link]:5\n" + ok, syscall.ENETUNREACH},
		"zone of a wide address":       {peer + "endpoint=[2001:db8::1%lo]:5\n" + ok, syscall.ENETUNREACH},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got, err := reading(tt.reply); !errors.Is(err, tt.want) {
				t.Errorf("got %v after\n%s; want %v", err, got, tt.want)
			}
		})
	}
}

// A line that never ends must not fill the memory.
func TestReadReplyEndlessLine(t *testing.T) {
	var c collector
	err := readReply(context.Background(), endless{}, "wg0", &c)
	if err != syscall.EPROTO {
		t.Errorf("got %v, want %v", err, syscall.EPROTO)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'x'
	}
	return len(b), nil
}

// What is told, and when, doesn't depend on how the reply is cut.
func TestReadReplyInPieces(t *testing.T) {
	reply := "listen_port=5\npublic_key=" + hexA + "\nallowed_ip=10.0.0.1/32\npublic_key=" + hexB + "\nerrno=0\n\n"
	want, err := reading(reply)
	if err != nil {
		t.Fatal(err)
	}
	var c collector
	err = readReply(context.Background(), iotest.OneByteReader(strings.NewReader(reply)), "wg0", &c)
	if got := describe(&c.device, c.peers); got != want || err != nil {
		t.Errorf("byte by byte:\n%s\n%v; want\n%s", got, err, want)
	}
}

// A brokenSink fails at a peer.
type brokenSink struct {
	collector
	at  int
	err error
}

func (s *brokenSink) Peer(p *device.Peer) error {
	if len(s.peers) == s.at {
		return s.err
	}
	return s.collector.Peer(p)
}

func TestReadReplySinkFails(t *testing.T) {
	s := brokenSink{at: 1, err: errors.New("standard output is closed")}
	reply := strings.Repeat("public_key="+hexA+"\n", 5) + "errno=0\n\n"
	err := readReply(context.Background(), strings.NewReader(reply), "wg0", &s)
	if err != s.err || len(s.peers) != 1 {
		t.Errorf("got %v after %d peers, want %v after 1", err, len(s.peers), s.err)
	}
}

// change is a request with everything that a request can have.
func change(t *testing.T) *device.Change {
	t.Helper()
	a, b := hexKey(t, hexA), hexKey(t, hexB)
	return &device.Change{
		PrivateKey: device.Some(b), ListenPort: device.Some[uint16](51820), Fwmark: device.Some[uint32](0xca6c), ReplacePeers: true,
		Peers: []device.PeerChange{
			{PublicKey: a, Remove: true, PresharedKey: device.Some(b), AllowedIPs: []device.AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.1/32")}}},
			{
				PublicKey: a, ReplaceAllowedIPs: true, PresharedKey: device.Some(keys.Key{}), PersistentKeepalive: device.Some[uint16](25),
				Endpoint:   netip.MustParseAddrPort("[fe80::1%lo]:5"),
				AllowedIPs: []device.AllowedIP{{Prefix: netip.MustParsePrefix("10.0.0.5/24")}, {Prefix: netip.MustParsePrefix("::1:0/128"), Remove: true}},
			},
			{PublicKey: b, UpdateOnly: true},
		},
	}
}

func hexKey(t *testing.T, s string) keys.Key {
	t.Helper()
	k, err := keys.ParseHex(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A dialogue is a connection to a device that answers without having heard.
type dialogue struct {
	bytes.Buffer
	reply   io.Reader
	longest int
}

func (d *dialogue) Read(b []byte) (int, error) { return d.reply.Read(b) }

func (d *dialogue) Write(b []byte) (int, error) {
	d.longest = max(d.longest, len(b))
	return d.Buffer.Write(b)
}

func TestConfigureDevice(t *testing.T) {
	tests := map[string]struct {
		change *device.Change
		want   string
	}{
		"nothing": {&device.Change{}, "set=1\n\n"},
		"zero is not nothing": {
			&device.Change{PrivateKey: device.Some(keys.Key{}), ListenPort: device.Some[uint16](0), Fwmark: device.Some[uint32](0)},
			"set=1\nprivate_key=" + hex0 + "\nlisten_port=0\nfwmark=0\n\n"},
		"everything": {change(t), "set=1\nprivate_key=" + hexB + "\nlisten_port=51820\nfwmark=51820\nreplace_peers=true\n" +
			"public_key=" + hexA + "\nremove=true\n" +
			"public_key=" + hexA + "\npreshared_key=" + hex0 + "\nendpoint=[fe80::1%lo]:5\npersistent_keepalive_interval=25\n" +
			"replace_allowed_ips=true\nallowed_ip=10.0.0.5/24\nallowed_ip=-::0.1.0.0/128\n" +
			"public_key=" + hexB + "\nupdate_only=true\n\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := dialogue{reply: strings.NewReader("errno=0\n\n")}
			if err := configureDevice(&d, tt.change); err != nil || d.String() != tt.want {
				t.Errorf("sent\n%s%v; want\n%s", d.String(), err, tt.want)
			}
		})
	}
}

// A large request is never in memory as a whole.
func TestConfigureDeviceStreams(t *testing.T) {
	for _, tt := range []struct{ peers, ips int }{{20_000, 0}, {1, 100_000}, {5_000, 10}} {
		c := peers(tt.peers)
		for i := range c.Peers {
			c.Peers[i].AllowedIPs = slices.Repeat(allowed("2001:db8:1111:2222:3333:4444:5555:6666/128"), tt.ips)
		}
		d := dialogue{reply: strings.NewReader("errno=0\n\n")}
		if err := configureDevice(&d, c); err != nil {
			t.Fatal(err)
		}
		if n, want := strings.Count(d.String(), "\n"), tt.peers*(1+tt.ips)+2; n != want {
			t.Errorf("%+v: sent %d lines, want %d", tt, n, want)
		}
		if d.longest > writeBuffer+roomForOne {
			t.Errorf("%+v: the longest piece has %d bytes, want at most %d", tt, d.longest, writeBuffer+roomForOne)
		}
	}
}

// A device that hangs up at once is not one that speaks another protocol.
func TestReadDeviceHangsUp(t *testing.T) {
	rw := struct {
		io.Reader
		io.Writer
	}{strings.NewReader(""), brokenPipe{}}
	if err := readDevice(t.Context(), rw, "wg0", &collector{}); err != syscall.EPIPE {
		t.Errorf("got %v, want %v", err, syscall.EPIPE)
	}
	rw.Reader = strings.NewReader("listen_port=5\nerrno=0\n\n")
	if err := readDevice(t.Context(), rw, "wg0", &collector{}); err != nil {
		t.Errorf("answered before the request: %v, want nil", err)
	}
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, syscall.EPIPE }

func TestConfigureDeviceAnswers(t *testing.T) {
	tests := map[string]struct {
		answer string
		want   error
	}{
		"good":                 {"errno=0\n\n", nil},
		"errno":                {"errno=-22\n\n", syscall.EINVAL},
		"errno of any size":    {"errno=-4095\n\n", syscall.Errno(4095)},
		"not below zero":       {"errno=22\n\n", UnknownError(-22)},
		"the smallest number":  {"errno=-2147483648\n\n", UnknownError(-2147483648)},
		"the last one counts":  {"errno=-1\nerrno=0\n\n", nil},
		"other lines":          {"hint=ok\nerrno=0\n\n", nil},
		"nothing":              {"", syscall.EPROTO},
		"no errno":             {"\n", syscall.EPROTO},
		"no empty line":        {"errno=0\n", syscall.EPROTO},
		"not a number":         {"errno=x\n\n", syscall.EPROTO},
		"empty":                {"errno=\n\n", syscall.EPROTO},
		"a sign only":          {"errno=-\n\n", syscall.EPROTO},
		"a plus sign":          {"errno=+0\n\n", syscall.EPROTO},
		"a number and more":    {"errno=0 \n\n", syscall.EPROTO},
		"too large":            {"errno=2147483648\n\n", syscall.EPROTO},
		"too small":            {"errno=-2147483649\n\n", syscall.EPROTO},
		"far too large":        {"errno=9223372036854775808\n\n", syscall.ERANGE},
		"beyond 64 bits":       {"errno=-99999999999999999999\n\n", syscall.ERANGE},
		"a line without =":     {"x\nerrno=0\n\n", syscall.EPROTO},
		"a line with NUL byte": {"x=\x00\nerrno=0\n\n", syscall.EPROTO},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d := dialogue{reply: strings.NewReader(tt.answer)}
			if err := configureDevice(&d, &device.Change{}); err != tt.want {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	d := dialogue{reply: strings.NewReader("errno=-22\n\n")}
	err := configureDevice(&d, change(t))
	if _, ok := errors.AsType[*RemoveError](err); !ok || !errors.Is(err, syscall.EINVAL) {
		t.Errorf("a removal is refused by %v, want a RemoveError of %v", err, syscall.EINVAL)
	}
	if got, want := UnknownError(-22).Error(), "Unknown error -22"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// peers is a request to add n peers.
func peers(n int) *device.Change { return &device.Change{Peers: make([]device.PeerChange, n)} }
