// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wgtools/internal/cli"
	"wgtools/internal/config"
	"wgtools/internal/keys"
	"wgtools/internal/netlinkwg"
)

// Keys that nobody else has: what all processes say is searched for them.
var ownKey, psk, key3 = newKey(), newKey(), newKey()

func newKey() string {
	k, err := keys.NewPrivate()
	if err != nil {
		panic(err)
	}
	return k.Base64()
}

// put writes a file of the site's.
func (s *site) put(name, text string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// A file of peers in the same directory is no tunnel for --all.
func TestIsTunnel(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"wg0.conf": "# a\n [interface] # b\n", "peers.conf": "# [Interface]\n[Peer]\n"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := isTunnel(path); got != (name == "wg0.conf") {
			t.Errorf("%s: isTunnel = %v", name, got)
		}
	}
	if !isTunnel(filepath.Join(dir, "gone.conf")) {
		t.Error("a file that can't be read is passed over")
	}
}

// A command is run as it is if it is words, else by the shell; of what it
// prints, all of one key is taken and nothing else.
func TestKeyCommand(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wg0.conf")
	for name, text := range map[string]string{"wg0.conf": "", "key": ownKey + "\n", "two": ownKey + "\n" + ownKey + "\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]struct {
		command string
		want    string // the key, or the error
		hide    string
	}{
		"words":        {"cat DIR/key", ownKey, ""},
		"the link":     {"ls DIR/%i.conf", "it prints no key, but", ""},
		"a pipe":       {"cat DIR/two | head -n 1", ownKey, ""},
		"a quote":      {"sh -c 'cat DIR/key'", ownKey, ""},
		"number sign":  {"cat DIR/key #1", ownKey, ""},
		"standard err": {"cat DIR/key; echo hello >&2", ownKey, ""},
		"left running": {"cat DIR/key; sleep 10 &", ownKey, ""},
		"it fails":     {"cat DIR/key; false", "exit status 1", ownKey},
		"a pipe fails": {"false | cat DIR/key", "exit status 1", ownKey},
		"no program":   {"no-such-program key", `exec: "no-such-program": executable file not found in $PATH`, ""},
		"nothing":      {"true", "it prints nothing", ""},
		"too much":     {"cat DIR/two", "it prints more than a key", ownKey},
		"without end":  {"cat DIR/key; seq 100000", "it prints more than a key", ownKey},
		"not a key":    {"echo passphrase", "it prints no key, but 10 characters", "passphrase"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // one takes a while
			var out bytes.Buffer
			stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
			if err != nil {
				t.Fatal(err)
			}
			defer stderr.Close()
			a := &app{Env: &cli.Env{Out: &out, Err: stderr, LookupEnv: os.LookupEnv, Prog: "wg-quick"}, prog: "wg-quick"}
			s := &sources{app: a, ctx: t.Context(), file: &file{dev: "wg0", path: path}, commands: true}
			k, err := s.KeyCommand(config.Value{Text: strings.ReplaceAll(tt.command, "DIR", dir)})
			errs, readErr := os.ReadFile(stderr.Name())
			if readErr != nil {
				t.Fatal(readErr)
			}
			got := fmt.Sprint(err)
			if err == nil {
				got = k.Value.Base64()
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("%s: %s, want %s", tt.command, got, tt.want)
			}
			if tt.hide != "" && strings.Contains(got+out.String()+string(errs), tt.hide) {
				t.Errorf("%s: the output is told: %s", tt.command, got)
			}
			if out.Len() > 0 || (name == "standard err") != (string(errs) == "hello\n") {
				t.Errorf("%s: printed %q and %q", tt.command, out.String(), errs)
			}
		})
	}
}

// A command that takes too long is ended, and so is one at Ctrl-C.
func TestKeyCommandEnds(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wg0.conf")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer func(d time.Duration) { keyPatience = d }(keyPatience)
	for name, command := range map[string]string{"words": "sleep 600", "shell": "exec sleep 600;"} {
		t.Run(name, func(t *testing.T) {
			a := &app{Env: &cli.Env{Err: &bytes.Buffer{}, LookupEnv: os.LookupEnv, Prog: "wg-quick"}, prog: "wg-quick"}
			s := &sources{app: a, ctx: t.Context(), file: &file{dev: "wg0", path: path}, commands: true}
			keyPatience = 10 * time.Millisecond
			if _, err := s.KeyCommand(config.Value{Text: command}); err == nil || err.Error() != "no key within 10ms" {
				t.Errorf("%s: %v", command, err)
			}
			keyPatience = time.Hour
			ctx, cancel := context.WithCancel(t.Context())
			s.ctx = ctx
			time.AfterFunc(10*time.Millisecond, cancel)
			_, err := s.KeyCommand(config.Value{Text: command})
			if _, ok := errors.AsType[interruption](err); !ok || !errors.Is(err.(interruption).error, context.Canceled) {
				t.Errorf("%s: %v", command, err)
			}
		})
	}
}

// elsewhere is a tunnel that has all from elsewhere. own is how it has its key.
func (s *site) elsewhere(own string) string {
	s.t.Helper()
	s.put("own.key", ownKey+"\n")
	s.put("psk-wg0", psk+"\n")
	s.put("all.peers", "[Peer] # me\nPublicKey = "+publicOf(ownKey)+"\nAllowedIPs = 10.7.0.2/32\nPresharedKeyFile = not-mine\n\n"+
		"[Peer] # bob\nPublicKey = "+other+"\nAllowedIPs = 10.60.0.0/16\n")
	s.put("wg0.conf.d/10.conf", "[Peer]\nPublicKey = OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=\nAllowedIPs = 10.61.0.0/16\n")
	return s.put("wg0.conf", "[Interface]\n"+own+"\nAddress = 10.7.0.2/24\nInclude = all.peers\nListenPort = 40123\n"+
		"\n[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\nPresharedKeyFile = psk-%i # kept apart\n"+
		"AllowedIPs = 10.50.0.0/16\nExcludedIPs = 10.50.128.0/17\n")
}

func publicOf(private string) string {
	k, err := config.ParseKey(private, true)
	if err != nil {
		panic(err)
	}
	return k.Public().Base64()
}

const elsewhereLines = `[#] ip link add dev wg0 type wireguard
[#] wg addconf wg0 /dev/fd/63
[#] ip -4 address add 10.7.0.2/24 dev wg0
[#] ip link set mtu 1420 up dev wg0
[#] ip -4 route add 10.50.0.0/17 dev wg0
[#] ip -4 route add 10.61.0.0/16 dev wg0
[#] ip -4 route add 10.60.0.0/16 dev wg0
`

// A tunnel with all from elsewhere comes up with it, and nothing tells a key:
// no output, no process's arguments, no record. The one at its other end takes
// it for who it is.
func TestElsewhere(t *testing.T) {
	for name, own := range map[string]string{
		"file": "PrivateKeyFile = own.key", "command": "PrivateKeyCommand = sh DIR/print own.key", "shell": "PrivateKeyCommand = sh DIR/print own.key | cat",
	} {
		t.Run(name, func(t *testing.T) {
			isolated(t, func(s *site) {
				before := s.state()
				s.put("print", "echo run >>"+s.dir+"/runs\ncat "+s.dir+"/$1\ncat /proc/[0-9]*/cmdline >>"+s.dir+"/cmdlines 2>/dev/null || true\n")
				path := s.elsewhere(strings.ReplaceAll(own, "DIR", s.dir) +
					"\nPostUp = cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ >>" + s.dir + "/cmdlines 2>/dev/null || true")
				r := s.wgQuick("up", path)
				lines, hook, _ := strings.Cut(r.err, "[#] cat ")
				s.expect(result{r.out, lines, r.status}, result{err: elsewhereLines})

				d, peers, err := netlinkwg.ReadAll(t.Context(), netlinkwg.New(), "wg0")
				if err != nil {
					t.Fatal(err)
				}
				if d.PrivateKey.Value.Public().Base64() != publicOf(ownKey) {
					t.Error("the device has another private key")
				}
				got := map[string]string{}
				for _, p := range peers {
					got[p.PublicKey.Base64()[:4]] = fmt.Sprintf("%v %v", p.AllowedIPs, p.PresharedKey.Base64() == psk)
				}
				if want := "map[Okdu:[10.61.0.0/16] false oPAV:[10.50.0.0/17] true vXmv:[10.60.0.0/16] false]"; fmt.Sprint(got) != want {
					t.Errorf("the peers are %v\nwant %s", got, want)
				}

				cmdlines, err := os.ReadFile(filepath.Join(s.dir, "cmdlines"))
				if err != nil || !bytes.Contains(cmdlines, []byte("wg-quick\x00up\x00")) {
					t.Errorf("no arguments were seen: %v", err)
				}
				for what, text := range map[string]string{"the output": r.out + hook + lines, "an argument": string(cmdlines), "the state": s.state()} {
					for _, secret := range []string{ownKey, psk} {
						if strings.Contains(text, secret[:43]) {
							t.Errorf("%s tells a key", what)
						}
					}
				}

				// Nothing differs, and each time the command runs once.
				s.expect(s.wgQuick("reload", path), result{})
				planned := result{}
				if name != "file" {
					planned.err = "Warning: PresharedKeyFile: DIR/not-mine: no such file or directory\n" +
						"DIR/all.peers:4:20: hint: the peer is left out: perhaps it is this node itself, whose private key is not known here\n"
				}
				s.expect(s.wgQuick("plan", "reload", path), planned)
				if r := s.wgQuick("status", path); r.status != 0 || r.err != planned.err {
					t.Errorf("status: exit status %d\n%s%s", r.status, r.out, r.err)
				}
				runs, _ := os.ReadFile(filepath.Join(s.dir, "runs"))
				if want := map[string]int{"file": 0, "command": 2, "shell": 2}[name]; bytes.Count(runs, []byte("run\n")) != want {
					t.Errorf("the command ran %d times, want %d", bytes.Count(runs, []byte("run\n")), want)
				}

				// Where the key isn't known, this node itself makes no difference.
				text, err := os.ReadFile(filepath.Join(s.dir, "all.peers"))
				if err != nil {
					t.Fatal(err)
				}
				s.put("all.peers", strings.Replace(string(text), "PresharedKeyFile = not-mine\n", "", 1))
				s.expect(s.wgQuick("save", path), result{err: "[#] wg showconf wg0\n"})
				if r := s.wgQuick("status", path); r.status != 0 || r.err != "" {
					t.Errorf("status: exit status %d\n%s%s", r.status, r.out, r.err)
				}
				s.expect(s.wgQuick("plan", "reload", path), result{})

				// down needs none of it.
				for _, gone := range []string{"own.key", "psk-wg0", "all.peers", "wg0.conf.d/10.conf"} {
					if err := os.Remove(filepath.Join(s.dir, gone)); err != nil {
						t.Fatal(err)
					}
				}
				s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
				s.same(before)
			})
		})
	}
}

// The keys are those that the other end expects: a handshake succeeds.
func TestElsewhereHandshake(t *testing.T) {
	isolated(t, func(s *site) {
		s.put("one.key", ownKey)
		s.put("two.key", psk) // a key like another
		s.put("mesh.psk", key3+"\n")
		s.put("nodes/one.conf", "[Peer]\nPublicKey = "+publicOf(ownKey)+"\nPresharedKeyFile = ../mesh.psk\nAllowedIPs = 10.7.1.1\nEndpoint = 127.0.0.1:40001\nPersistentKeepalive = 1\n")
		s.put("nodes/two.conf", "[Peer]\nPublicKey = "+publicOf(psk)+"\nPresharedKeyFile = ../mesh.psk\nAllowedIPs = 10.7.1.2\nEndpoint = 127.0.0.1:40002\nPersistentKeepalive = 1\n")
		s.ip("link set lo up")
		for i, dev := range []string{"one", "two"} {
			path := s.put(dev+".conf", fmt.Sprintf("[Interface]\nPrivateKeyFile = %%i.key\nListenPort = 4000%d\nTable = off\nInclude = nodes/*.conf\n", i+1))
			if r := s.wgQuick("up", path); r.status != 0 {
				t.Fatal(r.err)
			}
		}
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			_, peers, err := netlinkwg.ReadAll(t.Context(), netlinkwg.New(), "one")
			if err != nil || len(peers) != 1 {
				t.Fatalf("%v, peers %v", err, peers)
			}
			if peers[0].ReceivedBytes > 0 && !peers[0].LatestHandshake.IsZero() {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("no handshake")
			}
		}
		for _, dev := range []string{"one", "two"} {
			if r := s.wgQuick("down", filepath.Join(s.dir, dev+".conf")); r.status != 0 {
				t.Error(r.err)
			}
		}
	})
}

// Where the command can't or mustn't be run, nothing is touched.
func TestKeyCommandRefused(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.elsewhere("PrivateKeyCommand = sh print-key")
		s.put("print-key", "exit 3\n")
		s.expect(s.wgQuick("up", path), result{status: 1, err: "DIR/wg0.conf:2:21: PrivateKeyCommand: exit status 3\n"})
		s.same(before)
		s.put("print-key", "touch ran; cat own.key\n")
		s.expect(s.wgQuick("up", "--no-hooks", path), result{status: 1, err: "DIR/wg0.conf:2:21: PrivateKeyCommand: not run, as --no-hooks asks\n" +
			"hint: without the key there is no tunnel: PrivateKeyFile can name a file with it\n"})
		if err := os.Chmod(path, 0o602); err != nil {
			t.Fatal(err)
		}
		s.expect(s.wgQuick("up", path), result{status: 1, err: "DIR/wg0.conf:2:21: PrivateKeyCommand: not run: all users may write to `DIR/wg0.conf'\n" +
			"hint: make sure that it is what you want to run as root, then `chmod o-w DIR/wg0.conf'\n"})
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.wgQuick("plan", "up", path); r.status != 0 || !strings.Contains(r.out, "wg addconf") {
			t.Errorf("plan: %+v", r)
		}
		s.same(before)
		if exists(filepath.Join(s.dir, "ran")) {
			t.Error("the command ran")
		}
	})
}

// What is elsewhere stays there when the tunnel is saved, and what of it has
// changed is told.
func TestSaveElsewhere(t *testing.T) {
	if _, err := exec.LookPath("wg"); err != nil {
		t.Skip("wg is needed to change the device (package wireguard-tools)")
	}
	isolated(t, func(s *site) {
		path := s.elsewhere("PrivateKeyFile = own.key\nSaveConfig = true")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if r := s.wgQuick("up", path); r.status != 0 {
			t.Fatal(r.err)
		}
		const saved = "[#] wg showconf wg0\n"
		s.expect(s.wgQuick("save", path), result{err: saved})
		s.content(path, string(text))

		// What is the file's own is written, a peer of nobody's too.
		s.set("wg", "set", "wg0", "peer", "oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=", "allowed-ips", "10.50.0.0/18")
		s.set("wg", "set", "wg0", "peer", publicOf(psk), "allowed-ips", "10.62.0.0/16")
		want := strings.Replace(string(text), "AllowedIPs = 10.50.0.0/16\nExcludedIPs = 10.50.128.0/17\n", "AllowedIPs = 10.50.0.0/18\n", 1) +
			"\n[Peer]\nPublicKey = " + publicOf(psk) + "\nAllowedIPs = 10.62.0.0/16\n"
		s.expect(s.wgQuick("save", path), result{err: saved})
		s.content(path, want)

		// What isn't, isn't.
		s.set("wg", "set", "wg0", "peer", other, "allowed-ips", "10.99.0.0/16")
		s.set("wg", "set", "wg0", "private-key", s.put("new.key", key3))
		s.set("wg", "set", "wg0", "peer", "OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=", "remove")
		if r := s.wgQuick("status", path); r.status != 3 || !strings.Contains(r.out, "the peer "+other+": it isn't any more as "+s.dir+"/all.peers has it") {
			t.Errorf("status: exit status %d\n%s%s", r.status, r.out, r.err)
		}
		s.expect(s.wgQuick("save", path), result{err: "[!] Not saved: the peer OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o= of DIR/wg0.conf.d/10.conf is gone; and 2 more such.\n" + saved})
		s.content(path, want)

		// Where it can't be read, the file gets nothing that might be of there.
		if err := os.Remove(filepath.Join(s.dir, "all.peers")); err != nil {
			t.Fatal(err)
		}
		r := s.wgQuick("down", path)
		if r.status != 0 || !strings.Contains(r.err, "[!] What `DIR/wg0.conf' has from elsewhere can't be read; only what is surely its own is saved. DIR/wg0.conf:5:11: Include: ") ||
			!strings.Contains(r.err, "[!] Not saved: the peer "+other+": it may be of a file that can't be read.\n") {
			t.Errorf("down: exit status %d\n%s", r.status, r.err)
		}
		s.content(path, want)
	})
}

// ExcludedIPs that leave the endpoint in are told: nothing would go.
func TestExcludedEndpoint(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary, "8.0.0.0/5, 203.0.113.0/24\nExcludedIPs = 10.0.0.0/8\nEndpoint = 203.0.113.5:51820")
		r := s.wgQuick("up", path)
		want := "[!] The endpoint 203.0.113.5 is among the allowed IPs of its peer, so the tunnel's own packets would go into the tunnel. Add 203.0.113.5 to its ExcludedIPs.\n"
		if r.status != 0 || !strings.Contains(r.err, want) {
			t.Errorf("up: exit status %d\n%s", r.status, r.err)
		}
		for route, is := range map[string]bool{"10.0.0.0/8": false, "11.0.0.0/8": true, "default": false} {
			if got := strings.Contains("\n"+s.ip("-4 route show dev wg0"), "\n"+route+" "); got != is {
				t.Errorf("there is a route to %s: %v", route, got)
			}
		}
		s.file("wg0", ordinary, "8.0.0.0/5, 203.0.113.0/24\nExcludedIPs = 10.0.0.0/8, 203.0.113.5\nEndpoint = 203.0.113.5:51820")
		if r := s.wgQuick("reload", path); r.status != 0 || strings.Contains(r.err, "[!]") {
			t.Errorf("reload: exit status %d\n%s", r.status, r.err)
		}
		// Where they go by another namespace, nothing is to be said.
		if r := s.wgQuick("down", path); r.status != 0 {
			t.Error(r.err)
		}
		s.ip("netns add app")
		s.file("wg0", ordinary, "8.0.0.0/5, 203.0.113.0/24\nExcludedIPs = 10.0.0.0/8\nEndpoint = 203.0.113.5:51820")
		for _, verb := range []string{"up", "down"} {
			if r := s.wgQuick("--netns", "app", verb, path); r.status != 0 || strings.Contains(r.err, "[!]") {
				t.Errorf("%s: exit status %d\n%s", verb, r.status, r.err)
			}
		}
		s.file("wg0", ordinary, "8.0.0.0/5, 203.0.113.0/24\nExcludedIPs = 10.0.0.0/8, 203.0.113.5\nEndpoint = 203.0.113.5:51820")
		if r := s.wgQuick("up", path); r.status != 0 || strings.Contains(r.err, "[!]") {
			t.Errorf("up: exit status %d\n%s", r.status, r.err)
		}
		if got := s.ip("-4 route get 203.0.113.5"); !strings.Contains(got, "dev uplink") {
			t.Errorf("the endpoint is reached by %s", got)
		}
		if r := s.wgQuick("down", path); r.status != 0 {
			t.Error(r.err)
		}
	})
}
