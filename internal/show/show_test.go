// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package show

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/docstest"
	"wgtools/internal/keys"
)

func testKey(n byte) keys.Key { return keys.Key{n, 31: 1} }

// hub is a device with three peers: one known to all its fields, one bare, one
// with a clock that is ahead.
func hub() (*device.Device, []device.Peer) {
	d := &device.Device{Name: "wg0", PrivateKey: device.Some(testKey(1)), PublicKey: device.Some(testKey(2)), ListenPort: 51820, Fwmark: 0xca6c}
	return d, []device.Peer{
		{PublicKey: testKey(3)},
		{
			PublicKey: testKey(4), PresharedKey: testKey(5), Endpoint: netip.MustParseAddrPort("[fe80::1%eth0]:7"),
			AllowedIPs:      []netip.Prefix{netip.MustParsePrefix("10.0.0.2/32"), netip.MustParsePrefix("::1:0/112")},
			LatestHandshake: device.Time{Sec: 1000 - 62, Nsec: 5}, ReceivedBytes: 1023, SentBytes: 1024, PersistentKeepalive: 25,
		},
		{PublicKey: testKey(6), LatestHandshake: device.Time{Sec: 1001}, SentBytes: 1},
	}
}

func TestPretty(t *testing.T) {
	d, peers := hub()
	k := func(n byte) string { return testKey(n).Base64() }
	want := `interface: wg0
  public key: ` + k(2) + `
  private key: (hidden)
  listening port: 51820
  fwmark: 0xca6c

peer: ` + k(6) + `
  allowed ips: (none)
  latest handshake: (System clock wound backward; connection problems may ensue.)
  transfer: 0 B received, 1 B sent

peer: ` + k(4) + `
  preshared key: (hidden)
  endpoint: [fe80::1%eth0]:7
  allowed ips: 10.0.0.2/32, ::0.1.0.0/112
  latest handshake: 1 minute, 2 seconds ago
  transfer: 1023 B received, 1.00 KiB sent
  persistent keepalive: every 25 seconds

peer: ` + k(3) + `
  allowed ips: (none)
`
	if got := string(Pretty(nil, d, peers, Style{Now: 1000})); got != want {
		t.Errorf("Pretty:\n%s\nwant:\n%s", got, want)
	}
	keysShown := strings.Replace(strings.Replace(want, "private key: (hidden)", "private key: "+k(1), 1), "preshared key: (hidden)", "preshared key: "+k(5), 1)
	if got := string(Pretty(nil, d, peers, Style{Now: 1000, ShowKeys: true})); got != keysShown {
		t.Errorf("with keys:\n%s\nwant:\n%s", got, keysShown)
	}
	named := strings.Replace(want, k(4)+"\n", k(4)+" (anna's phone)\n", 1)
	if got := string(Pretty(nil, d, peers, Style{Now: 1000, Names: map[keys.Key]string{testKey(4): "anna's \x1bphone\n"}})); got != named {
		t.Errorf("with names:\n%s\nwant:\n%s", got, named)
	}
}

func TestPrettyColor(t *testing.T) {
	d, peers := hub()
	got := string(Pretty(nil, d, peers[:2], Style{Now: 1000, Color: true}))
	for _, want := range []string{
		"\x1b[0m\x1b[32m\x1b[1minterface\x1b[0m: \x1b[32mwg0\x1b[0m\n  \x1b[1mpublic key\x1b[0m: ",
		"\n\x1b[33m\x1b[1mpeer\x1b[0m: \x1b[33m" + testKey(4).Base64() + "\x1b[0m\n",
		"10.0.0.2\x1b[36m/\x1b[0m32, ::0.1.0.0",
		"1 \x1b[36mminute\x1b[0m, 2 \x1b[36mseconds\x1b[0m ago",
		"1023 \x1b[36mB\x1b[0m received, 1.00 \x1b[36mKiB\x1b[0m sent",
		"  \x1b[1mprivate key\x1b[0m: (hidden)\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("Pretty in colour lacks %q:\n%q", want, got)
		}
	}
	plain := string(Pretty(nil, d, peers[:2], Style{Now: 1000}))
	if bare := regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(got, ""); bare != plain {
		t.Errorf("without its colours it is\n%s\nwant\n%s", bare, plain)
	}
}

// A name may be anybody's: without colour no colour of its own gets through.
func TestPrettyNameWithEscapes(t *testing.T) {
	d := &device.Device{Name: "a\x1b[31mb\x1b[1;4mc\x1b[2Jd"}
	if got, want := string(Pretty(nil, d, nil, Style{})), "interface: abc\x1b[2Jd\n"; got != want {
		t.Errorf("Pretty = %q, want %q", got, want)
	}
}

func TestPrettySortsStably(t *testing.T) {
	var peers []device.Peer
	for i, when := range []device.Time{{}, {Sec: 5}, {Nsec: 7}, {Sec: 5, Nsec: 1}, {}, {Sec: 5}} {
		peers = append(peers, device.Peer{PublicKey: testKey(byte(i)), LatestHandshake: when})
	}
	var order []byte
	for _, m := range regexp.MustCompile(`peer: (\S+)`).FindAllStringSubmatch(string(Pretty(nil, &device.Device{}, peers, Style{})), -1) {
		k, err := keys.Parse(m[1])
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, k[0])
	}
	if want := []byte{3, 1, 5, 2, 0, 4}; !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
}

func TestDuration(t *testing.T) {
	tests := map[uint64]string{
		1: "1 second", 59: "59 seconds", 60: "1 minute", 61: "1 minute, 1 second", 3600: "1 hour", 7322: "2 hours, 2 minutes, 2 seconds",
		65535: "18 hours, 12 minutes, 15 seconds", 86400: "1 day", 365 * 86400: "1 year", 2*365*86400 + 1: "2 years, 1 second",
		86400 + 60: "1 day, 1 minute",
	}
	for seconds, want := range tests {
		p := page{}
		p.duration(seconds)
		if string(p.b) != want {
			t.Errorf("%d: %q, want %q", seconds, p.b, want)
		}
	}
}

func TestBytes(t *testing.T) {
	tests := map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.00 KiB", 1048575: "1024.00 KiB", 1 << 20: "1.00 MiB", 1234567: "1.18 MiB",
		1<<30 - 1: "1024.00 MiB", 1 << 30: "1.00 GiB", 1 << 40: "1.00 TiB", 1<<64 - 1: "16777216.00 TiB",
	}
	for n, want := range tests {
		p := page{}
		p.bytes(n)
		if string(p.b) != want {
			t.Errorf("%d: %q, want %q", n, p.b, want)
		}
	}
}

// tell gives a device to a sink.
func tell(t *testing.T, sink interface {
	Device(*device.Device) error
	Peer(*device.Peer) error
}, d *device.Device, peers []device.Peer) {
	t.Helper()
	if err := sink.Device(d); err != nil {
		t.Fatal(err)
	}
	for i := range peers {
		if err := sink.Peer(&peers[i]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFields(t *testing.T) {
	d, peers := hub()
	k := func(n byte) string { return testKey(n).Base64() }
	a, b, c := k(3), k(4), k(6)
	tests := map[string]string{
		"public-key":           k(2) + "\n",
		"private-key":          k(1) + "\n",
		"listen-port":          "51820\n",
		"fwmark":               "0xca6c\n",
		"peers":                a + "\n" + b + "\n" + c + "\n",
		"preshared-keys":       a + "\t(none)\n" + b + "\t" + k(5) + "\n" + c + "\t(none)\n",
		"endpoints":            a + "\t(none)\n" + b + "\t[fe80::1%eth0]:7\n" + c + "\t(none)\n",
		"allowed-ips":          a + "\t(none)\n" + b + "\t10.0.0.2/32 ::0.1.0.0/112\n" + c + "\t(none)\n",
		"latest-handshakes":    a + "\t0\n" + b + "\t938\n" + c + "\t1001\n",
		"transfer":             a + "\t0\t0\n" + b + "\t1023\t1024\n" + c + "\t0\t1\n",
		"persistent-keepalive": a + "\toff\n" + b + "\t25\n" + c + "\toff\n",
		"dump": k(1) + "\t" + k(2) + "\t51820\t0xca6c\n" + a + "\t(none)\t(none)\t(none)\t0\t0\t0\toff\n" +
			b + "\t" + k(5) + "\t[fe80::1%eth0]:7\t10.0.0.2/32,::0.1.0.0/112\t938\t1023\t1024\t25\n" + c + "\t(none)\t(none)\t(none)\t1001\t0\t1\toff\n",
	}
	if got := slices.Sorted(maps.Keys(tests)); !slices.Equal(got, slices.Sorted(slices.Values(Fields))) {
		t.Errorf("tested are %v, there are %v", got, Fields)
	}
	for name, want := range tests {
		for _, prefix := range []string{"", "wg0\t"} {
			form, ok := Field(name)
			if !ok {
				t.Fatalf("no field %s", name)
			}
			var w bytes.Buffer
			out := NewOutput(&w)
			tell(t, out.Lines(form, prefix), d, peers)
			out.Flush()
			want := regexp.MustCompile(`(?m)^(.)`).ReplaceAllString(want, prefix+"$1")
			if w.String() != want {
				t.Errorf("%s:\n%s\nwant:\n%s", name, &w, want)
			}
		}
	}
	if _, ok := Field("Dump"); ok {
		t.Error("there is a field Dump")
	}
	var w bytes.Buffer
	out := NewOutput(&w)
	tell(t, out.Lines(forms["dump"], ""), &device.Device{}, nil)
	if out.Flush(); w.String() != "(none)\t(none)\t0\toff\n" {
		t.Errorf("a fresh device: %q", &w)
	}
}

func TestConf(t *testing.T) {
	d, peers := hub()
	k := func(n byte) string { return testKey(n).Base64() }
	var w bytes.Buffer
	out := NewOutput(&w)
	tell(t, out.Lines(Conf, ""), d, peers[:2])
	out.Flush()
	want := "[Interface]\nListenPort = 51820\nFwMark = 0xca6c\nPrivateKey = " + k(1) + "\n\n[Peer]\nPublicKey = " + k(3) +
		"\n\n[Peer]\nPublicKey = " + k(4) + "\nPresharedKey = " + k(5) + "\nAllowedIPs = 10.0.0.2/32, ::0.1.0.0/112\nEndpoint = [fe80::1%eth0]:7\nPersistentKeepalive = 25\n"
	if w.String() != want {
		t.Errorf("Conf:\n%s\nwant:\n%s", &w, want)
	}
}

// A device that can't be read to its end leaves nothing behind, as long as
// little was told; it may be told anew from its start.
func TestOutputHoldsBack(t *testing.T) {
	d, peers := hub()
	var w bytes.Buffer
	out := NewOutput(&w)
	first := out.Lines(forms["peers"], "")
	tell(t, first, d, peers[:1])
	second := out.Lines(forms["peers"], "")
	tell(t, second, d, peers)
	if !second.Restart() {
		t.Error("it can't start again")
	}
	tell(t, second, d, peers)
	second.Fail()
	out.Flush()
	if want := testKey(3).Base64() + "\n"; w.String() != want {
		t.Errorf("printed %q, want %q", &w, want)
	}
}

// counter counts what is written to it and keeps nothing.
type counter struct{ bytes, lines, writes int }

func (c *counter) Write(b []byte) (int, error) {
	c.bytes += len(b)
	c.lines += bytes.Count(b, []byte("\n"))
	c.writes++
	return len(b), nil
}

// The dump of a million peers takes no more memory than that of a few.
func TestDumpStreams(t *testing.T) {
	const peers = 1_000_000
	_, hub := hub()
	p := &hub[1]
	var w counter
	out := NewOutput(&w)
	lines := out.Lines(forms["dump"], "")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range peers {
		if err := lines.Peer(p); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	out.Flush()
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 8<<20 {
		t.Errorf("%d bytes allocated for %d printed", allocated, w.bytes)
	}
	if w.lines != peers {
		t.Errorf("%d lines", w.lines)
	}
	if lines.Restart() {
		t.Error("what is printed can't be taken back")
	}
}

func TestJSON(t *testing.T) {
	d, peers := hub()
	k := func(n byte) string { return testKey(n).Base64() }
	write := func(showKeys, oneLine bool) string {
		var w bytes.Buffer
		out := NewOutput(&w)
		doc := out.JSON(time.Unix(1000, 0), showKeys, oneLine)
		for range 2 {
			sink := doc.Device(map[keys.Key]string{testKey(4): `Anna's "phone" <ü>`})
			tell(t, sink, d, peers)
			sink.Close()
		}
		failed := doc.Device(nil)
		tell(t, failed, d, peers)
		failed.Fail()
		doc.Close()
		return w.String()
	}
	text := write(false, false)
	var doc struct {
		Version    int              `json:"version"`
		Interfaces []map[string]any `json:"interfaces"`
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	if doc.Version != JSONVersion || len(doc.Interfaces) != 2 {
		t.Errorf("version %d, %d interfaces", doc.Version, len(doc.Interfaces))
	}
	peer := doc.Interfaces[1]["peers"].([]any)[1].(map[string]any)
	want := map[string]any{
		"public_key": k(4), "name": `Anna's "phone" <ü>`, "preshared_key": "(hidden)", "endpoint": "[fe80::1%eth0]:7",
		"allowed_ips": []any{"10.0.0.2/32", "::0.1.0.0/112"}, "latest_handshake": "1970-01-01T00:15:38.000000005Z", "latest_handshake_unix": 938.0,
		"received_bytes": 1023.0, "sent_bytes": 1024.0, "persistent_keepalive": 25.0,
	}
	if fmt.Sprint(peer) != fmt.Sprint(want) {
		t.Errorf("peer:\n%v\nwant:\n%v", peer, want)
	}
	bare := doc.Interfaces[0]["peers"].([]any)[0].(map[string]any)
	for _, field := range []string{"name", "preshared_key", "endpoint", "latest_handshake", "latest_handshake_unix", "persistent_keepalive"} {
		if v, ok := bare[field]; !ok || v != nil {
			t.Errorf("%s of a bare peer is %v, want null", field, v)
		}
	}
	if got, want := slices.Sorted(maps.Keys(peer)), slices.Sorted(slices.Values(docstest.Fields(t, "A peer"))); !slices.Equal(got, want) {
		t.Errorf("a peer has %v, documented are %v", got, want)
	}
	if got, want := slices.Sorted(maps.Keys(doc.Interfaces[0])), slices.Sorted(slices.Values(docstest.Fields(t, "An interface"))); !slices.Equal(got, want) {
		t.Errorf("an interface has %v, documented are %v", got, want)
	}
	var top map[string]any
	if err := json.Unmarshal([]byte(text), &top); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Sorted(maps.Keys(top)), slices.Sorted(slices.Values(docstest.Fields(t, "The document"))); !slices.Equal(got, want) {
		t.Errorf("the document has %v, documented are %v", got, want)
	}
	for _, secret := range []string{k(1), k(5)} {
		if strings.Contains(text, secret) {
			t.Errorf("a secret key is shown")
		}
		if !strings.Contains(write(true, false), secret) {
			t.Errorf("a secret key is not shown")
		}
	}
	if line := write(false, true); strings.Count(line, "\n") != 1 || !json.Valid([]byte(line)) {
		t.Errorf("on one line: %s", line)
	}
}

func BenchmarkDump(b *testing.B) {
	_, peers := hub()
	out := NewOutput(&counter{})
	lines := out.Lines(forms["dump"], "")
	b.ReportAllocs()
	for b.Loop() {
		lines.Peer(&peers[1])
	}
}
