// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/cli"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/show"
)

func testKey(n byte) keys.Key { return keys.Key{n, 31: 1} }

// A fake is a client of devices in memory, some of which fail.
type fake struct {
	names   []string
	listErr error
	devices map[string]*fakeDevice
	told    []string // "NAME: what was asked of it"
}

type fakeDevice struct {
	device device.Device
	peers  []device.Peer
	err    error // of reading, after all was told
	setErr error
}

func (f *fake) List(context.Context) ([]string, error) { return f.names, f.listErr }

func (f *fake) Read(_ context.Context, name string, sink netlinkwg.Sink) error {
	d, ok := f.devices[name]
	if !ok {
		return syscall.ENODEV
	}
	head := d.device
	head.Name = name
	if err := sink.Device(&head); err != nil {
		return err
	}
	for i := range d.peers {
		if err := sink.Peer(&d.peers[i]); err != nil {
			return err
		}
	}
	return d.err
}

func (f *fake) Configure(_ context.Context, name string, c *device.Change) error {
	d, ok := f.devices[name]
	if !ok {
		return syscall.ENODEV
	}
	line := name + ":"
	if c.ReplacePeers {
		line += " replace"
	}
	if c.ListenPort.Set {
		line += fmt.Sprintf(" port=%d", c.ListenPort.Value)
	}
	for _, p := range c.Peers {
		line += fmt.Sprintf(" peer=%d", p.PublicKey[0])
		if p.Remove {
			line += "-"
		}
	}
	f.told = append(f.told, line)
	return d.setErr
}

// hub has a good device and one that fails at its end.
func hub() *fake {
	peer := device.Peer{PublicKey: testKey(4), Endpoint: netip.MustParseAddrPort("192.0.2.1:7"), ReceivedBytes: 10}
	return &fake{
		names: []string{"wg0", "bad"},
		devices: map[string]*fakeDevice{
			"wg0": {device: device.Device{ListenPort: 7}, peers: []device.Peer{peer}},
			"bad": {device: device.Device{ListenPort: 8}, peers: []device.Peer{peer}, err: syscall.EPROTO},
		},
	}
}

// call runs wg with a client, and returns what it printed.
func call(t *testing.T, f *fake, stdin string, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	env := &cli.Env{
		In: strings.NewReader(stdin), Out: &out, Err: &errs, Prog: "/opt/wg",
		LookupEnv: func(name string) (string, bool) { return "0", name == "WG_ENDPOINT_RESOLUTION_RETRIES" },
		Now:       func() time.Time { return time.Unix(1000, 0) },
	}
	exit = run(t.Context(), env, f, args)
	return exit, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	k := testKey(4).Base64()
	bad := "Unable to access interface bad: Protocol error\n" +
		"hint: what the program that serves `bad' answered is not the WireGuard protocol, or was cut short\n"
	tests := map[string]struct {
		args           string
		exit           int
		stdout, stderr string
	}{
		"nothing is show": {"", 0, "interface: wg0\n  listening port: 7\n\npeer: " + k + "\n  endpoint: 192.0.2.1:7\n  allowed ips: (none)\n  transfer: 10 B received, 0 B sent\n\n", bad},
		"all endpoints":   {"show all endpoints", 0, "wg0\t" + k + "\t192.0.2.1:7\n", bad},
		"a field":         {"show wg0 listen-port", 0, "7\n", ""},
		"interfaces":      {"show interfaces", 0, "wg0 bad\n", ""},
		"showconf":        {"showconf wg0", 0, "[Interface]\nListenPort = 7\n\n[Peer]\nPublicKey = " + k + "\nEndpoint = 192.0.2.1:7\n", ""},
		"a device that fails": {"show bad dump", 1, "", "Unable to access interface: Protocol error\n" +
			"hint: what the program that serves `bad' answered is not the WireGuard protocol, or was cut short\n"},
		"showconf of one that fails": {"showconf bad", 1, "", "Unable to access interface: Protocol error\n" +
			"hint: what the program that serves `bad' answered is not the WireGuard protocol, or was cut short\n"},
		"no such device":            {"show wg9", 1, "", "Unable to access interface: No such device\nhint: there is no link `wg9'; there is wg0, bad\n"},
		"no such device and field":  {"show wg9 nonsense", 1, "", "Unable to access interface: No such device\nhint: there is no link `wg9'; there is wg0, bad\n"},
		"no such field":             {"show wg0 nonsense", 1, "", "Invalid parameter: `nonsense'\nUsage: /opt/wg show " + showUsage + "\n"},
		"help of show":              {"show --help", 0, "", "Usage: /opt/wg show " + showUsage + "\n"},
		"--help is a device":        {"showconf --help", 1, "", "Unable to access interface: No such device\nhint: there is no link `--help'; there is wg0, bad\n"},
		"too much":                  {"show wg0 dump x", 1, "", "Usage: /opt/wg show " + showUsage + "\n"},
		"interfaces takes no field": {"show interfaces dump", 1, "", "Usage: /opt/wg show " + showUsage + "\n"},
		"set: a missing value":      {"set wg0 listen-port", 1, "", "Invalid argument: listen-port\nhint: after `listen-port' comes a port\n"},
		"set: a wrong word":         {"set wg0 color blue", 1, "", "Invalid argument: color\nhint: an interface takes listen-port, fwmark or private-key, then peer PUBLIC-KEY and its settings\n"},
		"set: a wrong place":        {"set wg0 endpoint 1.2.3.4:5", 1, "", "Invalid argument: endpoint\nhint: `endpoint' belongs to a peer: say `peer PUBLIC-KEY' before it\n"},
		"set: the other wrong place": {"set wg0 peer " + k + " listen-port 5", 1, "", "Invalid argument: listen-port\n" +
			"hint: `listen-port' belongs to the interface: it must come before the first `peer'\n"},
		"set: peer alone":       {"set wg0 listen-port 5 peer", 1, "", "Invalid argument: peer\nhint: after `peer' comes its public key\n"},
		"set: a bad public key": {"set wg0 peer short", 1, "", "Key is not the correct length or format: `short'\na key has 44 characters, this has 5\nhint: keys are 44 characters as `wg genkey' and `wg pubkey' print them\n"},
		"set: a key as a file":  {"set wg0 private-key " + k, 1, "", "fopen: No such file or directory\nhint: the name of a file is wanted here, not the key itself: others can read command lines\n"},
		"set: - is no file":     {"set wg0 private-key -", 1, "", "fopen: No such file or directory\n-: cannot be opened\nhint: standard input is /dev/stdin\n"},
		"set":                   {"set wg0 listen-port 5 peer " + k + " remove", 0, "", ""},
		"set: no such device":   {"set wg9 listen-port 5", 1, "", "Unable to modify interface: No such device\nhint: there is no link `wg9'; there is wg0, bad\n"},
		"setconf: no file":      {"setconf wg0 /nonexistent/x", 1, "", "fopen: No such file or directory\n/nonexistent/x: cannot be opened\n"},
		"--json with a field":   {"show wg0 dump --json", 1, "", "`dump' is for scripts: --json, --names, --show-keys and --watch don't go with it\n"},
		"--json interfaces":     {"show interfaces --json", 1, "", "`interfaces' is for scripts: --json, --names, --show-keys and --watch don't go with it\n"},
		"--watch in a pipe":     {"show wg0 --watch", 1, "", "--watch needs a terminal to draw on\nhint: with --json it prints a line each time, for programs\n"},
		"--watch=0":             {"show wg0 --watch=0", 1, "", "--watch takes a number of seconds from 0.1 to 86400: `0'\nhint: --watch=2 shows a new picture every two seconds\n"},
		"--watch=NaN":           {"show wg0 --watch=NaN", 1, "", "--watch takes a number of seconds from 0.1 to 86400: `NaN'\nhint: --watch=2 shows a new picture every two seconds\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			exit, stdout, stderr := call(t, hub(), "", strings.Fields(tt.args)...)
			if exit != tt.exit || stdout != tt.stdout || stderr != tt.stderr {
				t.Errorf("wg %s: exit %d\nstdout %q\nwant   %q\nstderr %q\nwant   %q", tt.args, exit, stdout, tt.stdout, stderr, tt.stderr)
			}
		})
	}
}

func TestAdvice(t *testing.T) {
	tests := map[error]string{
		syscall.EPROTONOSUPPORT: "modprobe wireguard",
		syscall.EOPNOTSUPP:      "is no WireGuard link",
		syscall.EPERM:           "needs root",
		syscall.EACCES:          "only root",
		syscall.EADDRINUSE:      "another program uses that port",
		syscall.ETIMEDOUT:       "doesn't answer",
		syscall.ECONNRESET:      "hung up",
		syscall.ENAMETOOLONG:    "at most 15 bytes",
	}
	for err, want := range tests {
		f := &fake{devices: map[string]*fakeDevice{"wg0": {setErr: fmt.Errorf("wrapped: %w", err)}}}
		exit, _, stderr := call(t, f, "", "set", "wg0", "fwmark", "1")
		first := "Unable to modify interface: " + cli.Strerror(err) + "\n"
		if exit != 1 || !strings.HasPrefix(stderr, first) || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d, %q; want %q and %q", err, exit, stderr, first, want)
		}
	}
	f := &fake{listErr: syscall.EACCES}
	if exit, stdout, stderr := call(t, f, "", "show"); exit != 1 || stdout != "" || stderr != "Unable to list interfaces: Permission denied\nhint: /var/run/wireguard can't be read; become root\n" {
		t.Errorf("show: exit %d, %q, %q", exit, stdout, stderr)
	}
	f = &fake{names: []string{"bad"}, devices: map[string]*fakeDevice{"bad": {err: errors.New("no errno")}}}
	if exit, stdout, stderr := call(t, f, "", "show"); exit != 1 || stdout != "" || stderr != "Unable to access interface bad: no errno\n" {
		t.Errorf("show: exit %d, %q, %q", exit, stdout, stderr)
	}
}

func TestSyncconfSendsTheDifference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wg0.conf")
	text := "[Interface]\nListenPort = 7\n[Peer]\nPublicKey = " + testKey(4).Base64() + "\n[Peer]\nPublicKey = " + testKey(5).Base64() + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f := hub()
	f.devices["wg0"].peers = append(f.devices["wg0"].peers, device.Peer{PublicKey: testKey(6)})
	for command, want := range map[string]string{
		"setconf":  "wg0: replace port=7 peer=4 peer=5",
		"addconf":  "wg0: port=7 peer=4 peer=5",
		"syncconf": "wg0: port=7 peer=6- peer=5",
	} {
		f.told = nil
		if exit, _, stderr := call(t, f, "", command, "wg0", path); exit != 0 || stderr != "" || strings.Join(f.told, "; ") != want {
			t.Errorf("%s: exit %d, %q, asked %q, want %q", command, exit, stderr, f.told, want)
		}
	}
	if exit, _, stderr := call(t, f, "", "syncconf", "bad", path); exit != 1 || !strings.HasPrefix(stderr, "Unable to retrieve current interface configuration: Protocol error\n") {
		t.Errorf("syncconf of a device that can't be read: exit %d, %q", exit, stderr)
	}
}

func TestShowJSON(t *testing.T) {
	configDir = t.TempDir()
	conf := "[Peer] # laptop\nPublicKey = " + testKey(4).Base64() + "\n"
	if err := os.WriteFile(filepath.Join(configDir, "wg0.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, bad := range map[string]bool{"show wg0 --json": false, "show --json": true, "show --json all": true} {
		exit, stdout, stderr := call(t, hub(), "", strings.Fields(args)...)
		var doc struct {
			Interfaces []struct {
				Name  string
				Peers []struct{ Name string }
			}
		}
		if err := json.Unmarshal([]byte(stdout), &doc); err != nil {
			t.Fatalf("%s: %v:\n%s", args, err, stdout)
		}
		if exit != 0 || len(doc.Interfaces) != 1 || doc.Interfaces[0].Name != "wg0" || doc.Interfaces[0].Peers[0].Name != "laptop" {
			t.Errorf("%s: exit %d\n%s", args, exit, stdout)
		}
		if (stderr != "") != bad {
			t.Errorf("%s says %q", args, stderr)
		}
	}
	exit, stdout, _ := call(t, hub(), "", "show", "--json", "wg9")
	if exit != 1 || stdout != "" {
		t.Errorf("no such device: exit %d, %q", exit, stdout)
	}
	_, named, _ := call(t, hub(), "", "show", "wg0", "--names")
	_, plain, _ := call(t, hub(), "", "show", "wg0")
	if !strings.Contains(named, " (laptop)\n") || strings.Contains(plain, "laptop") {
		t.Errorf("with --names:\n%s\nwithout:\n%s", named, plain)
	}
}

func TestPubkey(t *testing.T) {
	k := keys.Key{1: 2, 31: 64}
	text := k.Base64()
	for in, want := range map[string]string{
		text:                    k.Public().Base64() + "\n",
		text + "\n":             k.Public().Base64() + "\n",
		text + " \t\r\n\x00":    k.Public().Base64() + "\n",
		text[:43]:               "/opt/wg: Key is not the correct length or format\n",
		"":                      "/opt/wg: Key is not the correct length or format\n",
		" " + text:              "/opt/wg: Trailing characters found after key\n",
		text + " # x":           "/opt/wg: Trailing characters found after key\n",
		strings.Repeat("x", 44): "/opt/wg: Key is not the correct length or format\n",
	} {
		exit, stdout, stderr := call(t, &fake{}, in, "pubkey")
		if failed := strings.HasPrefix(want, "/opt"); (exit == 1) != failed || !failed && stdout+stderr != want || failed && !strings.HasPrefix(stderr, want) {
			t.Errorf("pubkey of %q: exit %d, %q, %q; want %q", in, exit, stdout, stderr, want)
		}
		if strings.Contains(stderr, text[:20]) {
			t.Errorf("pubkey tells the key: %q", stderr)
		}
	}
}

func TestHelp(t *testing.T) {
	for _, arg := range []string{"-h", "--help", "help"} {
		exit, stdout, stderr := call(t, &fake{}, "", arg)
		if exit != 0 || stderr != "" || !strings.HasPrefix(stdout, "Usage: /opt/wg <cmd> [<args>]\n\nAvailable subcommands:\n  show: ") {
			t.Errorf("wg %s: exit %d, %q, %q", arg, exit, stdout, stderr)
		}
	}
	for _, arg := range []string{"-v", "--version", "version"} {
		if exit, stdout, _ := call(t, &fake{}, "", arg); exit != 0 || stdout != version {
			t.Errorf("wg %s: exit %d, %q", arg, exit, stdout)
		}
	}
	exit, stdout, stderr := call(t, &fake{}, "", "help", "show")
	if exit != 1 || stdout != "" || !strings.HasPrefix(stderr, "Invalid subcommand: `help'\nUsage: /opt/wg <cmd>") {
		t.Errorf("wg help show: exit %d, %q, %q", exit, stdout, stderr)
	}
}

// A live view draws over what is there, cut to the terminal.
func TestWatchFrame(t *testing.T) {
	text := "one\n\x1b[1mtwo\x1b[0m and more\nthree\nfour\n"
	want := home + "one" + clearLine + "\r\n\x1b[1mtwo\x1b[0m a" + clearLine + "\r\n… 2 m" + clearLine + clearBelow
	if got := frame(text, 5, 3); got != want {
		t.Errorf("frame = %q, want %q", got, want)
	}
	if got, want := cut("\x1b[1mabc", 2), "\x1b[1mab\x1b[0m"; got != want {
		t.Errorf("cut = %q, want %q", got, want)
	}
}

func TestWatchPicture(t *testing.T) {
	f := hub()
	f.devices["wg0"].peers[0].LatestHandshake.Sec = 1000 - rejectAfter - 1
	now := time.Unix(1000, 0)
	s := &showing{app: &app{client: f, Env: &cli.Env{
		Now: func() time.Time { return now }, LookupEnv: func(string) (string, bool) { return "", false }, Out: &bytes.Buffer{},
	}}, showOptions: showOptions{watch: 2 * time.Second}}
	w := &watcher{showing: s}
	first, err := w.picture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	now = now.Add(2 * time.Second)
	f.devices["wg0"].peers[0].ReceivedBytes += 4096
	second, err := w.picture(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for text, wants := range map[string][]string{
		first:  {"3 minutes, 1 second ago (stale)\n", "rate: 0 B/s received, 0 B/s sent\n", "Unable to access interface bad: Protocol error\n"},
		second: {"transfer: 4.01 KiB received", "rate: 2.00 KiB/s received, 0 B/s sent\n"},
	} {
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("the picture lacks %q:\n%s", want, text)
			}
		}
	}
}

// For programs there is a document on a line of its own each time, until the end.
func TestWatchLines(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	ticks := make(chan time.Time)
	out := &lineCounter{at: 3, then: cancel}
	f := hub()
	f.names = f.names[:1]
	a := &app{client: f, Env: &cli.Env{Out: out, Err: &bytes.Buffer{}, Now: time.Now, LookupEnv: os.LookupEnv}}
	s := &showing{app: a, showOptions: showOptions{json: true, watch: time.Second}, out: show.NewOutput(out)}
	go func() {
		for {
			select {
			case ticks <- time.Time{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := (&watcher{showing: s, ticks: ticks}).lines(ctx); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) || !strings.Contains(line, `"name": "wg0"`) {
			t.Errorf("line %q", line)
		}
	}
	if out.lines < 3 {
		t.Errorf("%d lines", out.lines)
	}
}

// A lineCounter calls then after so many lines.
type lineCounter struct {
	bytes.Buffer
	lines, at int
	then      func()
}

func (c *lineCounter) Write(b []byte) (int, error) {
	if c.lines += bytes.Count(b, []byte("\n")); c.lines == c.at {
		c.then()
	}
	return c.Buffer.Write(b)
}

// Whatever the words of "wg set" are, it either makes a request that says only
// what they say, or tells what is wrong, and never a key.
func FuzzSet(f *testing.F) {
	k := testKey(4).Base64()
	f.Add("listen-port 51820 fwmark 0xca6c peer " + k + " remove endpoint [::1]:5 persistent-keepalive 25 allowed-ips +10.0.0.0/8,-::/0")
	f.Add("peer " + k + " allowed-ips  peer " + k + " preshared-key /dev/null")
	f.Add("peer peer")
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		for _, w := range words {
			if strings.Contains(w, "/") && w != "/dev/null" && !strings.ContainsAny(w, ".:") {
				t.Skip("might be any file")
			}
		}
		for i, w := range words[1:] {
			if _, err := netip.ParseAddrPort(w); words[i] == "endpoint" && err != nil {
				t.Skip("might be a name, and no name server is to be asked")
			}
		}
		if len(words) < 2 || len(line) > 4096 {
			t.Skip("too few, or too many")
		}
		f := &fake{devices: map[string]*fakeDevice{"wg0": {}}}
		exit, stdout, stderr := call(t, f, "", append([]string{"set", "wg0"}, words...)...)
		if stdout != "" || (exit == 0) != (len(f.told) == 1) || exit == 1 && stderr == "" || exit > 1 {
			t.Errorf("set %q: exit %d, stdout %q, stderr %q, told %q", words, exit, stdout, stderr, f.told)
		}
	})
}
