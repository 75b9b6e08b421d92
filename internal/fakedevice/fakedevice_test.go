// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package fakedevice_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"wgtools/internal/fakedevice"
	"wgtools/internal/keys"
	"wgtools/internal/netnstest"
)

// hexKey returns the hexadecimal text of a key of 32 equal bytes.
func hexKey(b byte) string {
	k := keyOf(b)
	return string(k.AppendHex(nil))
}

func keyOf(b byte) keys.Key { return keys.Key(bytes.Repeat([]byte{b}, keys.Len)) }

func hexPublic(private keys.Key) string {
	k := private.Public()
	return string(k.AppendHex(nil))
}

var a, b, zero = hexKey(0x11), hexKey(0x22), hexKey(0)

// requests are set requests, one after the other on the same device, the
// errno, and what the device is after each, without what says nothing.
var requests = []struct {
	name, request string
	errno         int
	want          string
}{
	{"nothing", "", 0, ""},
	{"a private key, clamped", "private_key=" + hexKey(0xff) + "\n", 0, "private_key=f8" + strings.Repeat("ff", 30) + "7f\n"},
	{"no private key", "private_key=" + zero + "\n", 0, ""},
	{"a mark", "fwmark=4294967295\n", 0, "fwmark=4294967295\n"},
	{"no mark", "fwmark=0\n", 0, ""},
	{"a mark too large", "fwmark=4294967296\n", -22, ""},
	{"a number with a sign", "fwmark=-1\n", -22, ""},
	{"a number that isn't", "fwmark=x\n", -22, ""},
	{"a port too large", "listen_port=65536\n", -22, ""},
	{"a key that is none", "private_key=11\n", -22, ""},
	{"an unknown word", "colour=red\n", -22, ""},
	{"no word", "fwmark\n", -71, ""},
	{"applied up to the bad line", "fwmark=7\ncolour=red\nfwmark=8\n", -22, "fwmark=7\n"},
	{"no mark again", "fwmark=0\n", 0, ""},

	{"a peer", "public_key=" + a + "\n", 0, "peer 11\n"},
	{"its settings", "public_key=" + a + "\npreshared_key=" + b + "\nendpoint=192.0.2.1:80\npersistent_keepalive_interval=25\nallowed_ip=10.1.2.3/8\nallowed_ip=fd00::1/64\n", 0,
		"peer 11\npreshared_key=" + b + "\nendpoint=192.0.2.1:80\nkeepalive=25\nallowed_ip=10.0.0.0/8\nallowed_ip=fd00::/64\n"},
	{"others of these", "public_key=" + a + "\npreshared_key=" + zero + "\nendpoint=[2001:db8::1]:1\npersistent_keepalive_interval=0\nreplace_allowed_ips=true\nallowed_ip=0.0.0.0/0\n", 0,
		"peer 11\nendpoint=[2001:db8::1]:1\nallowed_ip=0.0.0.0/0\n"},
	{"an allowed IP moves", "public_key=" + b + "\nallowed_ip=0.0.0.0/0\n", 0, "peer 11\nendpoint=[2001:db8::1]:1\npeer 22\nallowed_ip=0.0.0.0/0\n"},
	{"a bad allowed IP", "public_key=" + b + "\nallowed_ip=10.0.0.1\n", -22, "peer 11\nendpoint=[2001:db8::1]:1\npeer 22\nallowed_ip=0.0.0.0/0\n"},
	{"too long a prefix", "public_key=" + b + "\nallowed_ip=10.0.0.1/33\n", -22, "peer 11\nendpoint=[2001:db8::1]:1\npeer 22\nallowed_ip=0.0.0.0/0\n"},
	{"a bad endpoint", "public_key=" + b + "\nendpoint=host:1\n", -22, "peer 11\nendpoint=[2001:db8::1]:1\npeer 22\nallowed_ip=0.0.0.0/0\n"},
	{"a word in a wrong place", "public_key=" + b + "\nlisten_port=1\n", -22, "peer 11\nendpoint=[2001:db8::1]:1\npeer 22\nallowed_ip=0.0.0.0/0\n"},
	{"a protocol that is none", "public_key=" + b + "\nprotocol_version=2\n", -22, "peer 11\nendpoint=[2001:db8::1]:1\npeer 22\nallowed_ip=0.0.0.0/0\n"},
	{"removed", "public_key=" + a + "\nremove=true\nendpoint=1.1.1.1:1\n", 0, "peer 22\nallowed_ip=0.0.0.0/0\n"},
	{"removed once more", "public_key=" + a + "\nremove=true\n", 0, "peer 22\nallowed_ip=0.0.0.0/0\n"},
	{"only if it is there", "public_key=" + a + "\nupdate_only=true\nallowed_ip=0.0.0.0/0\n", 0, "peer 22\nallowed_ip=0.0.0.0/0\n"},
	{"it is there", "public_key=" + b + "\nupdate_only=true\npersistent_keepalive_interval=1\n", 0, "peer 22\nkeepalive=1\nallowed_ip=0.0.0.0/0\n"},
	{"all are replaced", "replace_peers=true\npublic_key=" + a + "\nallowed_ip=0.0.0.0/0\n", 0, "peer 11\nallowed_ip=0.0.0.0/0\n"},
	{"not true", "replace_peers=false\n", -22, "peer 11\nallowed_ip=0.0.0.0/0\n"},
	{"the device's own key is no peer", "replace_peers=true\nprivate_key=" + hexKey(0x40) + "\npublic_key=" + hexPublic(keyOf(0x40)) + "\nallowed_ip=10.0.0.0/8\n", 0,
		"private_key=" + hexKey(0x40) + "\n"},
	{"and drops the peer that has it", "public_key=" + hexPublic(keyOf(0x48)) + "\nallowed_ip=10.0.0.0/8\n\x00private_key=" + hexKey(0x48) + "\n", 0,
		"private_key=" + hexKey(0x48) + "\n"},
}

// describe puts an answer into words without what says nothing, abbreviates
// public keys, and leaves out the port: a real device that is up has one.
func describe(answer []byte) string {
	var text strings.Builder
	for line := range strings.Lines(string(answer)) {
		word, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch word {
		case "public_key":
			text.WriteString("peer " + value[:2] + "\n")
		case "persistent_keepalive_interval":
			if value != "0" {
				text.WriteString("keepalive=" + value + "\n")
			}
		case "private_key", "fwmark", "preshared_key", "endpoint", "allowed_ip":
			if value != zero {
				text.WriteString(line)
			}
		}
	}
	return text.String()
}

func TestSet(t *testing.T) {
	d, err := fakedevice.New(fakedevice.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		var errno int
		for request := range strings.SplitSeq(r.request, "\x00") {
			errno = d.Set([]byte(request))
		}
		if errno != r.errno {
			t.Errorf("%s: errno %d, want %d", r.name, errno, r.errno)
		}
		if got := describe(d.Get(time.Now(), nil)); got != r.want {
			t.Errorf("%s: the device is\n%s, want\n%s", r.name, got, r.want)
		}
	}
}

// The model does what wireguard-go does.
func TestLikeWireguardGo(t *testing.T) {
	program, err := exec.LookPath("wireguard-go")
	if err != nil {
		t.Skip(err)
	}
	netnstest.Run(t, func() error {
		cmd := exec.Command(program, "-f", "wg0")
		if err := cmd.Start(); err != nil {
			return err
		}
		defer func() { cmd.Process.Kill(); cmd.Wait() }()
		const socket = "/run/wireguard/wg0.sock"
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if _, err := os.Stat(socket); err == nil {
				break
			} else if time.Now().After(deadline) {
				t.Skipf("wireguard-go doesn't start here: %v", err)
			}
		}
		for _, r := range requests {
			answer := ""
			for request := range strings.SplitSeq(r.request, "\x00") {
				if answer, err = ask(socket, "set=1\n"+request+"\n"); err != nil {
					return err
				}
			}
			if want := fmt.Sprintf("errno=%d\n\n", r.errno); answer != want {
				t.Errorf("%s: it answers %q, the model %q", r.name, answer, want)
			}
			if answer, err = ask(socket, "get=1\n\n"); err != nil {
				return err
			}
			if got := describe([]byte(answer)); sortPeers(got) != sortPeers(r.want) {
				t.Errorf("%s: it is\n%s, the model\n%s", r.name, got, r.want)
			}
		}
		return nil
	})
}

// sortPeers puts peers into order: wireguard-go's is none.
func sortPeers(text string) string {
	sections := strings.Split(text, "peer ")
	slices.Sort(sections[1:])
	return strings.Join(sections, "peer ")
}

// ask makes a request to a socket and returns the answer up to its empty line.
func ask(socket, request string) (string, error) {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		return "", err
	}
	var answer strings.Builder
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		answer.WriteString(line)
		if line == "\n" || err != nil {
			return answer.String(), nil
		}
	}
}

func TestServe(t *testing.T) {
	peer := fakedevice.Peer{PublicKey: keyOf(0x11).Base64(), Handshake: "now-62", Rx: 1, Tx: 2, AllowedIPs: []string{"10.0.0.1/8"}}
	const get = "public_key=%s\npreshared_key=%s\nprotocol_version=1\nlast_handshake_time_sec=%d\nlast_handshake_time_nsec=0\n" +
		"tx_bytes=2\nrx_bytes=1\npersistent_keepalive_interval=0\nallowed_ip=10.0.0.0/8\nerrno=0\n\n"
	for name, spec := range map[string]fakedevice.Spec{
		"a device":              {Peers: []fakedevice.Peer{peer}},
		"one that is slow":      {Peers: []fakedevice.Peer{peer}, Delay: 0.01},
		"one byte after other":  {Peers: []fakedevice.Peer{peer}, Chunk: 100},
		"one that stands for 1": {Peers: []fakedevice.Peer{{Repeat: 1, Each: &peer}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := socketDir(t)
			s, err := fakedevice.Serve(dir, "wg0", spec)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			path := filepath.Join(dir, "wg0.sock")
			before := time.Now().Unix()
			answer, err := ask(path, "get=1\n\n")
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for sec := before - 62; sec <= time.Now().Unix()-62; sec++ {
				want = append(want, fmt.Sprintf(get, a, zero, sec))
			}
			if !slices.Contains(want, answer) {
				t.Errorf("get answers %q, want %q", answer, want)
			}
			for text, as := range s.Told() {
				if as != "now-62" || !strings.Contains(answer, "_sec="+text+"\n") {
					t.Errorf("told %s as %s; the answer is %q", as, text, answer)
				}
			}
			if answer, err := ask(path, "set=1\nfwmark=7\n\n"); answer != "errno=0\n\n" || err != nil {
				t.Errorf("set answers %q, %v", answer, err)
			}
			if got := s.Device.Requests(); !slices.Equal(got, []string{"fwmark=7\n"}) {
				t.Errorf("requests %q, want fwmark=7", got)
			}
			if state := s.Device.State(); state.Fwmark != 7 || len(state.Peers) != 1 || state.Peers[peer.PublicKey].Rx != 1 {
				t.Errorf("state %+v", state)
			}
		})
	}
}

func TestServeMisbehaving(t *testing.T) {
	dir := socketDir(t)
	serve := func(name string, spec fakedevice.Spec) (*fakedevice.Server, string) {
		t.Helper()
		s, err := fakedevice.Serve(dir, name, spec)
		if err != nil {
			t.Fatal(err)
		}
		return s, filepath.Join(dir, name+".sock")
	}
	canned, path := serve("canned", fakedevice.Spec{Answers: map[string]string{"get": "errno=13\n\n", "set": "half a li"}})
	for request, want := range map[string]string{"get=1\n\n": "errno=13\n\n", "set=1\n\n": "half a li", "put=1\n\n": ""} {
		if got, err := ask(path, request); got != want || err != nil {
			t.Errorf("%q is answered %q, %v; want %q", request, got, err, want)
		}
	}
	stale, path := serve("stale", fakedevice.Spec{Kind: "stale"})
	if info, err := os.Stat(path); err != nil || info.Mode().Type() != os.ModeSocket {
		t.Errorf("a stale socket: %v, %v", info, err)
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("somebody listens on a stale socket")
	}
	file, path := serve("file", fakedevice.Spec{Kind: "file"})
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		t.Errorf("a file: %v, %v", info, err)
	}
	directory, path := serve("directory", fakedevice.Spec{Kind: "directory"})
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		t.Errorf("a directory: %v, %v", info, err)
	}
	for _, s := range []*fakedevice.Server{canned, stale, file, directory} {
		if !s.SocketExists() {
			t.Error("gone before it is closed")
		}
		if err := s.Close(); err != nil || s.SocketExists() {
			t.Errorf("Close = %v; still there: %v", err, s.SocketExists())
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
	if _, err := fakedevice.Serve(dir, "bad", fakedevice.Spec{PrivateKey: "x"}); err == nil {
		t.Error("a key that is none is taken")
	}
}

// A client that holds on to its connection doesn't hold up Close for ever.
func TestCloseWithClient(t *testing.T) {
	dir := socketDir(t)
	s, err := fakedevice.Serve(dir, "wg0", fakedevice.Spec{})
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", filepath.Join(dir, "wg0.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	answer := make([]byte, len("errno=0\n\n"))
	if _, err := io.WriteString(c, "set=1\n\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, answer); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(answer); err != io.EOF {
		t.Errorf("Read = %v, want the end", err)
	}
}

func TestMany(t *testing.T) {
	d := fakedevice.Many(3, 2)
	for word, want := range map[string]int{"public_key=": 3, "allowed_ip=": 6, "endpoint=": 3, "private_key=": 1, "errno=0\n\n": 1} {
		if got := bytes.Count(d, []byte(word)); got != want {
			t.Errorf("%d times %q, want %d", got, word, want)
		}
	}
	if !bytes.HasSuffix(d, []byte("errno=0\n\n")) {
		t.Error("the answer doesn't end as one")
	}
	lines := slices.Collect(strings.Lines(string(fakedevice.Many(1000, 3))))
	seen := map[string]bool{}
	for _, line := range lines {
		if strings.HasPrefix(line, "public_key=") || strings.HasPrefix(line, "allowed_ip=") {
			if seen[line] {
				t.Fatalf("twice: %s", line)
			}
			seen[line] = true
		}
	}
}

// socketDir returns a directory whose path is short enough for sockets.
func socketDir(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("sockets in directories")
	}
	dir, err := os.MkdirTemp("", "fake")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
