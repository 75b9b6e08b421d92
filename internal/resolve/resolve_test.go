// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package resolve

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const services = `# a comment
echo		7/tcp
echo		7/udp
domain		53/udp		# Domain Name Server
http		80/tcp		www
ntp		123/udp
isakmp		500/udp		ike  IKEv1
`

// testResolver knows the services above, the link eth0 with index 2, and a few names.
func testResolver(t *testing.T, env map[string]string) (*Resolver, *bytes.Buffer, *[]time.Duration) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "services")
	if err := os.WriteFile(path, []byte(services), 0o600); err != nil {
		t.Fatal(err)
	}
	var warn bytes.Buffer
	var slept []time.Duration
	return &Resolver{
		lookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		warn:      &warn,
		ctx:       context.Background(),
		pause: func(d time.Duration) <-chan time.Time {
			slept = append(slept, d)
			over := make(chan time.Time)
			close(over)
			return over
		},
		services: path,
		zoneIndex: func(name string) int {
			if name == "eth0" {
				return 2
			}
			return 0
		},
		zoneName: func(index int) string {
			if index == 2 {
				return "eth0"
			}
			return ""
		},
		lookup: func(_ context.Context, host string) gaiResult {
			switch host {
			case "vpn.example.org":
				return gaiResult{addrs: addrs("192.0.2.10")}
			case "v6.example.org":
				return gaiResult{addrs: addrs("2001:db8::7")}
			case "both.example.org":
				return gaiResult{addrs: addrs("2001:db8::7", "192.0.2.10", "192.0.2.11")}
			case "busy.example.org":
				return gaiResult{failure: errAgain}
			case "bare.example.org":
				return gaiResult{failure: errNoData}
			}
			return gaiResult{failure: errNoName}
		},
	}, &warn, &slept
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, s := range texts {
		list = append(list, netip.MustParseAddr(s))
	}
	return list
}

// All gives all addresses, and looks up once.
func TestAll(t *testing.T) {
	for in, want := range map[string]string{
		"both.example.org:51820": "[[2001:db8::7]:51820 192.0.2.10:51820 192.0.2.11:51820]",
		"vpn.example.org:isakmp": "[192.0.2.10:500]",
		"192.0.2.1:1":            "[192.0.2.1:1]",
		"[fe80::1%eth0]:5":       "[[fe80::1%eth0]:5]",
		"busy.example.org:1":     "Temporary failure in name resolution: `busy.example.org:1'",
		"nosuch.example.org:1":   "Name or service not known: `nosuch.example.org:1'",
		"vpn.example.org":        "Unable to find port of endpoint: `vpn.example.org'",
	} {
		r, warn, slept := testResolver(t, map[string]string{RetriesVariable: "infinity"})
		got, err := r.All(t.Context(), in)
		if text := strings.TrimPrefix(fmt.Sprint(got)+text(err), "[]"); text != want {
			t.Errorf("All(%q) = %s, want %s", in, text, want)
		}
		if _, told := err.(*Error); err != nil && !told {
			t.Errorf("All(%q): the error is a %T", in, err)
		}
		if warn.Len() > 0 || len(*slept) > 0 {
			t.Errorf("All(%q) tried again: %q", in, warn)
		}
	}
}

// An early end is no fault of the environment.
func TestAllEnds(t *testing.T) {
	r, _, _ := testResolver(t, nil)
	r.lookup = func(ctx context.Context, _ string) gaiResult { <-ctx.Done(); return gaiResult{failure: errAgain} }
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := r.All(ctx, "vpn.example.org:1")
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Environment() || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("All: %v, want an error of the look-up", err)
	}
}

func TestPort(t *testing.T) {
	const service = "Servname not supported for ai_socktype: `"
	tests := []struct {
		in   string
		want uint16
		err  string
	}{
		{"51820", 51820, ""},
		{"0", 0, ""},
		{"+7", 7, ""},
		{"010", 10, ""},
		{" \t5", 5, ""},
		{"65536", 0, ""},
		{"65537", 1, ""},
		{"70000", 4464, ""},
		{"4294967297", 1, ""},
		{"-4294967295", 1, ""},
		{"domain", 53, ""},
		{"isakmp", 500, ""},
		{"ike", 500, ""},
		{"-1", 0, service + "-1'"},
		{"2147483648", 0, service + "2147483648'"},
		{"99999999999999999999", 0, service + "99999999999999999999'"},
		{"0x10", 0, service + "0x10'"},
		{"7 ", 0, service + "7 '"},
		{"off", 0, service + "off'"},
		{"http", 0, service + "http'"},
		{"www", 0, service + "www'"},
		{"DOMAIN", 0, service + "DOMAIN'"},
		{"", 0, "Unable to parse empty port"},
	}
	for _, tt := range tests {
		r, _, _ := testResolver(t, nil)
		got, err := r.Port(tt.in)
		if got != tt.want || text(err) != tt.err {
			t.Errorf("Port(%q) = %d, %q; want %d, %q", tt.in, got, text(err), tt.want, tt.err)
		}
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestEndpoint(t *testing.T) {
	const unknown = "Name or service not known: `"
	const noPort = "Unable to find port of endpoint: `"
	tests := []struct{ in, want, err string }{
		{"192.0.2.1:51820", "192.0.2.1:51820", ""},
		{"[192.0.2.1]:80", "192.0.2.1:80", ""},
		{"[2001:db8::1]:51820", "[2001:db8::1]:51820", ""},
		{"2001:db8::1:51820", "[2001:db8::1]:51820", ""},
		{"::1:80", "[::1]:80", ""},
		{"[::ffff:192.0.2.1]:1", "[::ffff:192.0.2.1]:1", ""},
		{"vpn.example.org:51820", "192.0.2.10:51820", ""},
		{"[vpn.example.org]:51820", "192.0.2.10:51820", ""},
		{"v6.example.org:domain", "[2001:db8::7]:53", ""},
		{"1.2.3:80", "1.2.0.3:80", ""},
		{"10:80", "0.0.0.10:80", ""},
		{"0x7f.1:80", "127.0.0.1:80", ""},
		{"0X7F.1:80", "127.0.0.1:80", ""},
		{"0177.0.0.1:80", "127.0.0.1:80", ""},
		{"4294967295:80", "255.255.255.255:80", ""},
		{"1.2.3.4:0", "1.2.3.4:0", ""},
		{"1.2.3.4:65536", "1.2.3.4:0", ""},
		{"1.2.3.4:70000", "1.2.3.4:4464", ""},
		{"1.2.3.4:+80", "1.2.3.4:80", ""},
		{"1.2.3.4:00080", "1.2.3.4:80", ""},
		{"1.2.3.4:*", "1.2.3.4:0", ""},
		{"*:80", "[::1]:80", ""},
		{"[fe80::1%eth0]:5", "[fe80::1%eth0]:5", ""},
		{"fe80::1%eth0:5", "[fe80::1%eth0]:5", ""},
		{"[fe80::1%2]:5", "[fe80::1%eth0]:5", ""},
		{"[fe80::1%77]:5", "[fe80::1%77]:5", ""},
		{"[fe80::1%0]:5", "[fe80::1]:5", ""},
		{"[ff02::1%eth0]:5", "[ff02::1%eth0]:5", ""},
		{"[2001:db8::1%3]:5", "[2001:db8::1%3]:5", ""},
		{"[fe80::1%nosuch]:5", "", unknown + "[fe80::1%nosuch]:5'"},
		{"[fe80::1%]:5", "", unknown + "[fe80::1%]:5'"},
		{"[2001:db8::1%eth0]:5", "", unknown + "[2001:db8::1%eth0]:5'"},
		{"2001:db8::1", "", unknown + "2001:db8::1'"},
		{":80", "", unknown + ":80'"},
		{"[]:80", "", unknown + "[]:80'"},
		{"256.1.1.1:80", "", unknown + "256.1.1.1:80'"},
		{"1.2.3.4.:80", "", unknown + "1.2.3.4.:80'"},
		{"08.1.1.1:80", "", unknown + "08.1.1.1:80'"},
		{"1.2.3.0x:80", "", unknown + "1.2.3.0x:80'"},
		{"4294967296:80", "", unknown + "4294967296:80'"},
		{"bare.example.org:80", "", "No address associated with hostname: `bare.example.org:80'"},
		{"", "", "Unable to parse empty endpoint"},
		{"[::1:80", "", "Unable to find matching brace of endpoint: `[::1:80'"},
		{"[::1]", "", noPort + "[::1]'"},
		{"[::1]:", "", noPort + "[::1]:'"},
		{"[::1]80", "", noPort + "[::1]80'"},
		{"vpn.example.org", "", noPort + "vpn.example.org'"},
		{"vpn.example.org:", "", noPort + "vpn.example.org:'"},
	}
	for _, tt := range tests {
		r, warn, _ := testResolver(t, nil)
		got, err := r.Endpoint(tt.in)
		if tt.err != "" {
			if text(err) != tt.err {
				t.Errorf("Endpoint(%q): err = %q, want %q", tt.in, text(err), tt.err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("Endpoint(%q) = %v, %v; want %s", tt.in, got, err, tt.want)
		}
		if warn.Len() > 0 {
			t.Errorf("Endpoint(%q) wrote %q", tt.in, warn)
		}
	}
}

// The pauses grow by a fifth up to 20 s; the default is 15 repetitions.
func TestEndpointRetries(t *testing.T) {
	tests := map[string]struct {
		env    map[string]string
		in     string
		pauses string
		err    string
	}{
		"default": {nil, "busy.example.org:1", "1.00 1.20 1.44 1.73 2.07 2.49 2.99 3.58 4.30 5.16 6.19 7.43 8.92 10.70 12.84",
			"Temporary failure in name resolution: `busy.example.org:1'"},
		"18 times": {map[string]string{RetriesVariable: " +18"}, "busy.example.org:1",
			"1.00 1.20 1.44 1.73 2.07 2.49 2.99 3.58 4.30 5.16 6.19 7.43 8.92 10.70 12.84 15.41 18.49 20.00",
			"Temporary failure in name resolution: `busy.example.org:1'"},
		"once":             {map[string]string{RetriesVariable: "1"}, "1.2.3.4:http", "1.00", "Servname not supported for ai_socktype: `1.2.3.4:http'"},
		"zero":             {map[string]string{RetriesVariable: "0"}, "busy.example.org:1", "", "Temporary failure in name resolution: `busy.example.org:1'"},
		"empty":            {map[string]string{RetriesVariable: ""}, "busy.example.org:1", "", "Temporary failure in name resolution: `busy.example.org:1'"},
		"minus zero":       {map[string]string{RetriesVariable: "-0"}, "busy.example.org:1", "", "Temporary failure in name resolution: `busy.example.org:1'"},
		"a bad port first": {map[string]string{RetriesVariable: "0"}, "nosuch.example.org:http", "", "Servname not supported for ai_socktype: `nosuch.example.org:http'"},
		"permanent":        {nil, "nosuch.example.org:1", "", "Name or service not known: `nosuch.example.org:1'"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r, warn, slept := testResolver(t, tt.env)
			_, err := r.Endpoint(tt.in)
			if text(err) != tt.err {
				t.Errorf("err = %q, want %q", text(err), tt.err)
			}
			var want strings.Builder
			pauses := strings.Fields(tt.pauses)
			for _, p := range pauses {
				want.WriteString(tt.err + ". Trying again in " + p + " seconds...\n")
			}
			if warn.String() != want.String() {
				t.Errorf("wrote\n%swant\n%s", warn, &want)
			}
			if len(*slept) != len(pauses) {
				t.Errorf("slept %v, want %d pauses", *slept, len(pauses))
			}
		})
	}
}

func TestEndpointRetriesForEver(t *testing.T) {
	r, _, slept := testResolver(t, map[string]string{RetriesVariable: "infinity"})
	lookup := r.lookup
	r.lookup = func(ctx context.Context, host string) gaiResult {
		if len(*slept) == 100 { // then the network is there
			return lookup(ctx, "vpn.example.org")
		}
		return lookup(ctx, host)
	}
	if e, err := r.Endpoint("busy.example.org:1"); err != nil || e.String() != "192.0.2.10:1" {
		t.Errorf("Endpoint = %v, %v", e, err)
	}
}

func TestRetriesVariable(t *testing.T) {
	for _, value := range []string{"x", "Infinity", "inf", "-1", "5s", "3 ", "0.5", "+", " ", "2147483648", "99999999999999999999"} {
		r, _, _ := testResolver(t, map[string]string{RetriesVariable: value})
		for _, endpoint := range []string{"192.0.2.1:1", "", "vpn.example.org:1"} {
			_, err := r.Endpoint(endpoint)
			var e *Error
			if want := "Unable to parse " + RetriesVariable + ": `" + value + "'"; text(err) != want || !errors.As(err, &e) || !e.Environment() {
				t.Errorf("with %q, Endpoint(%q): err = %q, want %q", value, endpoint, text(err), want)
			}
		}
		if _, err := r.Port("1"); err != nil {
			t.Errorf("with %q, Port: %v", value, err)
		}
	}
}

func TestNameSources(t *testing.T) {
	tests := map[string]struct {
		text string
		want sourceList
	}{
		"files":         {"hosts: files\n", sourceList{}},
		"Debian":        {"passwd: files\nhosts:\t\tfiles dns\n", sourceList{dns: true}},
		"desktop":       {"hosts: files mdns4_minimal [NOTFOUND=return] dns # x\n", sourceList{dns: true, other: true}},
		"resolved":      {"hosts: mymachines resolve [!UNAVAIL=return] files myhostname dns\n", sourceList{dns: true, other: true}},
		"nothing said":  {"passwd: files\n", sourceList{dns: true}},
		"commented out": {"#hosts: files\n", sourceList{dns: true}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "nsswitch.conf")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := nameSources(path); got != tt.want {
				t.Errorf("nameSources = %+v, want %+v", got, tt.want)
			}
		})
	}
	if got := nameSources(filepath.Join(t.TempDir(), "missing")); got != (sourceList{dns: true}) {
		t.Errorf("without the file: %+v", got)
	}
}

// A name server on the loopback that gives one answer to everything shows how
// its response codes are told apart.
func TestReplies(t *testing.T) {
	for name, code := range map[string]byte{"no error": 0, "format error": 1, "no such name": 3} {
		t.Run(name, func(t *testing.T) {
			server, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			go func() {
				buf := make([]byte, 512)
				for {
					n, from, err := server.ReadFrom(buf)
					if err != nil {
						return
					}
					reply := bytes.Clone(buf[:n])
					reply[2] |= 0x80                                    // a response
					reply[3] = 0x80 | code                              // recursion available
					binary.BigEndian.PutUint16(reply[10:], 0)           // no additional records
					reply = reply[:12+bytes.IndexByte(reply[12:], 0)+5] // header and question
					server.WriteTo(reply, from)
				}
			}()
			var seen replies
			resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return seen.dial(ctx, network, server.LocalAddr().String())
			}}
			if addrs, err := resolver.LookupNetIP(t.Context(), "ip", "host.example.org."); err == nil {
				t.Fatalf("LookupNetIP = %v", addrs)
			}
			for other := range byte(4) {
				if got := seen.code(int(other)); got != (other == code) {
					t.Errorf("response code %d seen: %v", other, got)
				}
			}
		})
	}
}

func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"[fe80::1%2]:5", "::1:80", "10:80", "*:*", "[", "1.2.3.4:99999999999999999999"} {
		f.Add(s)
	}
	r := &Resolver{
		ctx: context.Background(), lookupEnv: func(string) (string, bool) { return "0", true },
		warn: &bytes.Buffer{}, services: os.DevNull,
		zoneIndex: func(string) int { return 0 }, zoneName: func(int) string { return "" },
		lookup: func(context.Context, string) gaiResult { return gaiResult{failure: errNoName} },
	}
	f.Fuzz(func(t *testing.T, s string) {
		e, err := r.Endpoint(s)
		if (err == nil) != e.IsValid() {
			t.Errorf("Endpoint(%q) = %v, %v", s, e, err)
		}
	})
}
