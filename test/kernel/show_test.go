// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"wgtools/internal/fakedevice"
)

// fields are the words that wg show takes after the name of a device.
var fields = []string{"public-key", "private-key", "listen-port", "fwmark", "peers", "preshared-keys", "endpoints",
	"allowed-ips", "latest-handshakes", "transfer", "persistent-keepalive", "dump"}

// TestShowLikeDebian prints devices of the kernel with both programs.
func TestShowLikeDebian(t *testing.T) {
	configs := map[string]string{
		"fresh": "",
		"key":   "[Interface]\nPrivateKey = " + private("home") + "\n",
		"marked": "[Interface]\nPrivateKey = " + private("home") + "\nFwMark = 0xffffffff\nListenPort = 65535\n" +
			"[Peer]\nPublicKey = " + public("one") + "\n",
		"peers": "[Interface]\nPrivateKey = " + private("home") + "\n" +
			"[Peer]\nPublicKey = " + public("one") + "\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 192.0.2.1:1\nPersistentKeepalive = 65535\n" +
			"[Peer]\nPublicKey = " + public("two") + "\nPresharedKey = " + private("psk") + "\nEndpoint = [2001:db8::1]:65535\n" +
			"[Peer]\nPublicKey = " + public("three") + "\nAllowedIPs = 10.0.0.0/8, 10.1.0.0/16, ::ffff:10.0.0.1/128, fc00::/7\nPersistentKeepalive = 1\n",
		// fe80::2%lo: an endpoint with a zone
		"zone": "[Peer]\nPublicKey = " + public("one") + "\nEndpoint = [fe80::2%lo]:5\n",
	}
	for name, conf := range configs {
		t.Run(name, func(t *testing.T) {
			inKernel(t, func(t *testing.T) {
				wgLink(t, "wg0")
				wg(t, "setconf", "wg0", write(t, conf))
				likeDebian(t, "wg0")
				jsonLikeDump(t, "wg0")
			})
		})
	}
	t.Run("several devices", func(t *testing.T) {
		inKernel(t, func(t *testing.T) {
			likeDebian(t, "none") // no device at all
			wgLink(t, "wg9", "first", "fifteen-bytes-x")
			wg(t, "setconf", "first", write(t, configs["peers"]))
			wg(t, "setconf", "wg9", write(t, configs["marked"]))
			likeDebian(t, "first")
			likeDebian(t, "fifteen-bytes-x")
		})
	})
}

// likeDebian compares all that wg prints of a device, and of all devices, with
// what Debian's wg prints.
func likeDebian(t *testing.T, name string) {
	t.Helper()
	commands := [][]string{{}, {"show"}, {"show", "interfaces"}, {"show", "all"}, {"show", name}, {"showconf", name}}
	for _, field := range fields {
		commands = append(commands, []string{"show", name, field})
		if field != "endpoints" { // since 2025 every line has the device's name
			commands = append(commands, []string{"show", "all", field})
		}
	}
	for _, args := range commands {
		what := "wg " + strings.Join(args, " ")
		var ours, debians result
		for range 5 { // a second may pass in between
			ours, debians = try(t, "", ourWG(), args...), try(t, "", *debianWG, args...)
			if ours.stdout == debians.stdout {
				break
			}
		}
		same(t, what, ours.stdout, debians.stdout)
		if first(ours.stderr) != first(debians.stderr) || ours.exit != debians.exit {
			t.Errorf("%s: exit %d, stderr %q; Debian's: %d, %q", what, ours.exit, ours.stderr, debians.exit, debians.stderr)
		}
	}
}

// first returns the first line of a text: ours may say more than the original.
func first(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}

// TestErrorsLikeDebian makes every error of the kernel that users meet and
// compares its line and the exit status.
func TestErrorsLikeDebian(t *testing.T) {
	const cut = "fifteen-bytes-x" // of fifteen-bytes-xyz
	tests := map[string]struct {
		args       []string
		want       string // the first line; none: success
		since2021  bool   // the release of 2021 says what the kernel says
		wantAdvice string // part of what follows
		nobody     bool   // without CAP_NET_ADMIN
	}{
		"no link: show":             {args: []string{"show", "nosuch"}, want: "Unable to access interface: No such device", wantAdvice: "wg0"},
		"no link: showconf":         {args: []string{"showconf", "nosuch"}, want: "Unable to access interface: No such device"},
		"no link: set":              {args: []string{"set", "nosuch", "listen-port", "1"}, want: "Unable to modify interface: No such device"},
		"no link: setconf":          {args: []string{"setconf", "nosuch", "/dev/null"}, want: "Unable to modify interface: No such device"},
		"no link: addconf":          {args: []string{"addconf", "nosuch", "/dev/null"}, want: "Unable to modify interface: No such device"},
		"no link: syncconf":         {args: []string{"syncconf", "nosuch", "PEER"}, want: "Unable to retrieve current interface configuration: No such device"},
		"another link: show":        {args: []string{"show", "lo"}, want: "Unable to access interface: Operation not supported"},
		"another link: set":         {args: []string{"set", "lo", "listen-port", "1"}, want: "Unable to modify interface: Operation not supported"},
		"another link: a field":     {args: []string{"show", "veth0", "peers"}, want: "Unable to access interface: Operation not supported"},
		"nobody: show":              {args: []string{"show", "wg0"}, want: "Unable to access interface: Operation not permitted", nobody: true, wantAdvice: "CAP_NET_ADMIN"},
		"nobody: set":               {args: []string{"set", "wg0", "fwmark", "1"}, want: "Unable to modify interface: Operation not permitted", nobody: true},
		"nobody: all":               {args: []string{"show"}, want: "Unable to access interface wg0: Operation not permitted", nobody: true},
		"nobody: list":              {args: []string{"show", "interfaces"}, nobody: true},
		"nobody: no link":           {args: []string{"show", "nosuch"}, want: "Unable to access interface: Operation not permitted", nobody: true},
		"long name: show":           {args: []string{"show", cut + "yz"}, want: "Unable to access interface: File name too long", since2021: true},
		"long name: showconf":       {args: []string{"showconf", cut + "y"}, want: "Unable to access interface: File name too long", since2021: true},
		"long name: set is cut":     {args: []string{"set", cut + "yz", "fwmark", "1"}},
		"long name: setconf is cut": {args: []string{"setconf", cut + "yz", "/dev/null"}},
		"empty name":                {args: []string{"show", ""}},
		"slash":                     {args: []string{"show", "a/b"}, want: "Unable to access interface: No such device"},
		"busy port":                 {args: []string{"set", "wg0", "listen-port", "40010"}, want: "Unable to modify interface: Address already in use"},
	}
	inKernel(t, func(t *testing.T) {
		wgLink(t, "wg0", "wg1", cut)
		do(t, "ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth1")
		wg(t, "set", "wg1", "listen-port", "40010")
		do(t, "ip", "link", "set", "up", "wg0", "up")
		do(t, "ip", "link", "set", "up", "wg1", "up")
		peer := write(t, "[Peer]\nPublicKey = "+public("a")+"\n")
		for name, tt := range tests {
			for i, arg := range tt.args {
				if arg == "PEER" {
					tt.args[i] = peer
				}
			}
			run := func(program string) result {
				if tt.nobody {
					return try(t, "", "setpriv", append([]string{"--bounding-set=-net_admin", "--inh-caps=-net_admin", "--", program}, tt.args...)...)
				}
				return try(t, "", program, tt.args...)
			}
			ours, debians := run(ourWG()), run(*debianWG)
			if name == "empty name" { // what a kernel says to that is its own
				tt.want = first(debians.stderr)
			}
			line, advice, _ := strings.Cut(ours.stderr, "\n")
			if line != tt.want || (ours.exit == 0) != (tt.want == "") {
				t.Errorf("%s: exit %d, %q, want %q", name, ours.exit, ours.stderr, tt.want)
			}
			if !strings.Contains(advice, tt.wantAdvice) {
				t.Errorf("%s: advice %q, want %q in it", name, advice, tt.wantAdvice)
			}
			if first(debians.stderr) != line && !tt.since2021 || debians.exit != ours.exit || debians.stdout != ours.stdout {
				t.Errorf("%s: Debian's exit %d, %q, %q; ours %d, %q, %q", name,
					debians.exit, debians.stdout, debians.stderr, ours.exit, ours.stdout, ours.stderr)
			}
		}
	})
}

// TestBesideUserspace has devices of the kernel and of a program, two of them
// of the same name.
func TestBesideUserspace(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		const dir = "/run/wireguard" // an empty one, of this test
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, port := range map[string]int{"wg0": 1001, "user0": 1002} {
			s, err := fakedevice.Serve(dir, name, fakedevice.Spec{ListenPort: port, Peers: []fakedevice.Peer{{PublicKey: public(name)}}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
		}
		wgLink(t, "wg0", "kern0")
		wg(t, "set", "kern0", "listen-port", "1003")
		wg(t, "set", "wg0", "fwmark", "5") // the program's, not the kernel's
		if got, want := wg(t, "show", "wg0", "listen-port")+wg(t, "show", "wg0", "fwmark"), "1001\n0x5\n"; got != want {
			t.Errorf("wg0 has port and mark %q, want the program's, %q", got, want)
		}
		likeDebian(t, "wg0")
		likeDebian(t, "user0")
		likeDebian(t, "kern0")
		// A socket that nobody serves is removed, and the kernel's device seen.
		old, err := fakedevice.Serve(dir, "kern0", fakedevice.Spec{Kind: "stale"})
		if err != nil {
			t.Fatal(err)
		}
		if got := wg(t, "show", "kern0", "listen-port"); got != "1003\n" {
			t.Errorf("behind a stale socket the port is %q, want 1003", got)
		}
		if old.SocketExists() {
			t.Error("the stale socket is still there")
		}
	})
}

// jsonLikeDump compares the JSON of a device with what its dump says.
func jsonLikeDump(t *testing.T, name string) {
	t.Helper()
	var doc struct {
		Interfaces []struct {
			Name       string
			PublicKey  string `json:"public_key"`
			PrivateKey string `json:"private_key"`
			ListenPort int    `json:"listen_port"`
			Peers      []struct {
				PublicKey    string   `json:"public_key"`
				PresharedKey string   `json:"preshared_key"`
				Endpoint     string   `json:"endpoint"`
				AllowedIPs   []string `json:"allowed_ips"`
				Handshake    int      `json:"latest_handshake_unix"`
				Received     int      `json:"received_bytes"`
				Sent         int      `json:"sent_bytes"`
				Keepalive    int      `json:"persistent_keepalive"`
			}
		}
	}
	out := wg(t, "show", name, "--json", "--show-keys")
	if err := json.Unmarshal([]byte(out), &doc); err != nil || len(doc.Interfaces) != 1 {
		t.Fatalf("%v in %s", err, out)
	}
	or := func(s, none string) string {
		if s == "" || s == "0" {
			return none
		}
		return s
	}
	d := doc.Interfaces[0]
	fwmark := strings.TrimSpace(wg(t, "show", name, "fwmark"))
	text := fmt.Sprintf("%s\t%s\t%d\t%s\n", or(d.PrivateKey, "(none)"), or(d.PublicKey, "(none)"), d.ListenPort, fwmark)
	for _, p := range d.Peers {
		text += fmt.Sprintf("%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", p.PublicKey, or(p.PresharedKey, "(none)"), or(p.Endpoint, "(none)"),
			or(strings.Join(p.AllowedIPs, ","), "(none)"), p.Handshake, p.Received, p.Sent, or(strconv.Itoa(p.Keepalive), "off"))
	}
	same(t, "JSON of "+name+" against its dump", text, wg(t, "show", name, "dump"))
	hidden := wg(t, "show", name, "--json")
	for _, secret := range []string{d.PrivateKey, private("psk")} {
		if secret != "" && strings.Contains(hidden, secret) {
			t.Errorf("without --show-keys the JSON of %s has a secret key", name)
		}
	}
}
