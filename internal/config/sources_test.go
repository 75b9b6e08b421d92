// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// folder is what a file has around it: keys and files by the names that are
// asked for, drop-ins, and what its command prints.
type folder struct {
	keys    map[string]string
	files   map[string]string
	dropIns []string
	command string
	ran     int
}

func (f *folder) KeyFile(name config.Value) (k keys.Key, err error) {
	text, ok := f.keys[name.Text]
	if !ok {
		return k, advised{name.Text + ": no such file"}
	}
	return keys.Parse(text)
}

func (f *folder) KeyCommand(command config.Value) (k device.Optional[keys.Key], err error) {
	f.ran++
	switch f.command {
	case "":
		return k, nil
	case "!":
		return k, errors.New("exit status 1")
	}
	k.Value, err = keys.Parse(f.command)
	k.Set = true
	return k, err
}

func (f *folder) Include(pattern config.Value) ([]config.File, error) {
	text, ok := f.files[pattern.Text]
	if !ok {
		return nil, advised{path.Clean(pattern.Text) + ": no such file"}
	}
	return []config.File{{Name: pattern.Text, Text: []byte(text)}}, nil
}

func (f *folder) DropIns() (files []config.File, err error) {
	for _, name := range f.dropIns {
		files = append(files, config.File{Name: name, Text: []byte(f.files[name])})
	}
	return files, nil
}

type advised struct{ text string }

func (e advised) Error() string { return e.text }
func (e advised) Hint() string  { return "look there" }

// own is the private key of the tunnels here.
const own = "4PklHGEB8OIVq1yHalYPLOk+WELeqvFVJ7UXjvT6KGE="

func publicKey(t testing.TB, private string) string { return mustKey(t, private).Public().Base64() }

// surroundings has one of each.
func surroundings(t testing.TB) *folder {
	return &folder{
		keys: map[string]string{"own.key": own, "psk": key2},
		files: map[string]string{
			"peers": "# Name = me\n[Peer]\nPublicKey = " + publicKey(t, own) + "\nPresharedKeyFile = nowhere\nEndpoint = me.example:1\nExcludedIPs = 10.1.2.3\n" +
				"\n[Peer] # bob\nPublicKey = " + key + "\nAllowedIPs = 10.1.0.0/16\nExcludedIPs = 10.1.0.0/17\nEndpoint = bob.example:2\n",
			"d/1": "[Peer]\nPublicKey = OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=\nAllowedIPs = 10.3.0.0/16\n",
			"d/2": "# nobody\n",
		},
		dropIns: []string{"d/1", "d/2"},
	}
}

const extended = "[Interface]\nPrivateKeyFile = own.key # kept apart\nInclude = peers\n" +
	"[Peer]\nPublicKey = vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM=\nPresharedKeyFile=psk\nAllowedIPs = 10.0.0.0/8, fd00::/8\nAllowedIPs = 192.168.1.0/24\nExcludedIPs = 10.1.0.0/16\n"

func TestDecodeSources(t *testing.T) {
	f := surroundings(t)
	o := config.Options{Dialect: config.Quick, Sources: f, Resolver: &literal{}, Later: true}
	c, err := config.Decode("wg0.conf", []byte(extended), o)
	if err != nil {
		t.Fatal(err)
	}
	want := "key=4Pkl " +
		"peer=vXmv psk=vXmv replace 10.0.0.0/16 10.2.0.0/15 10.4.0.0/14 10.8.0.0/13 10.16.0.0/12 10.32.0.0/11 10.64.0.0/10 10.128.0.0/9 192.168.1.0/24 fd00::/8 " +
		"peer=AAEC replace 10.1.128.0/17 peer=Okdu replace 10.3.0.0/16"
	if got := describe(&c.Change); got != want {
		t.Errorf("Decode = %s\nwant     %s", got, want)
	}
	if len(c.Names) != 1 || c.Names[0].Peer != 1 || c.Names[0].Text != "bob.example:2" {
		t.Errorf("names to resolve: %v", c.Names)
	}
	if e := c.Excluding; len(e) != 2 || e[0].Peer != 0 || e[1].Peer != 1 || e[0].Default4 || fmt.Sprint(e[1].IPs) != "[10.1.0.0/17]" {
		t.Errorf("Excluding = %v", c.Excluding)
	}
	if p := c.PeerInfo[1]; p.Name != "bob" || p.Pos != (config.Pos{File: "peers", Line: 8, Col: 1}) {
		t.Errorf("PeerInfo = %+v", p)
	}
	if f.ran != 0 {
		t.Error("a command ran")
	}

	// Of this node itself nothing is left, wherever it stands.
	own, bob, _ := strings.Cut(f.files["peers"], "\n\n")
	f.files["peers"] = bob + own
	if c, err = config.Decode("wg0.conf", []byte(extended), o); err != nil || len(c.Names) != 1 || c.Names[0].Text != "bob.example:2" || len(c.Peers) != 3 {
		t.Errorf("%v, %d peers, names to resolve: %v", err, len(c.Peers), c.Names)
	}

	// Of the file alone, nothing is read.
	o.OwnKeys, o.Sources = true, &folder{}
	if c, err = config.Decode("wg0.conf", []byte(extended), o); err != nil || c.PrivateKey.Set || len(c.Peers) != 0 {
		t.Errorf("OwnKeys: %v, %s", err, describe(&c.Change))
	}

	f.command = key
	o.OwnKeys, o.Sources = false, f
	c, err = config.Decode("wg0.conf", []byte("[Interface]\nPrivateKeyCommand = pass wg#0 # x\n"), o)
	if err != nil || f.ran != 1 || c.PrivateKey.Value.Base64() != key || c.Quick.PrivateKeyCommand.Text != "pass wg#0 # x" {
		t.Errorf("PrivateKeyCommand: %v, ran %d times, %q", err, f.ran, c.Quick.PrivateKeyCommand.Text)
	}
}

func TestDecodeSourcesErrors(t *testing.T) {
	const peer = "[Peer]\nPublicKey = " + key2 + "\n"
	tests := map[string]struct {
		in, peers string // the file, and one that it can include
		want      string // our own lines
	}{
		"no key file": {in: "[Interface]\nPrivateKeyFile = gone\n", want: "wg0.conf:2:18: PrivateKeyFile: gone: no such file\nhint: look there"},
		"a key for a file": {in: "[Interface]\nPrivateKeyFile = " + own + "\n",
			want: "wg0.conf:2:18: PrivateKeyFile: a key stands here\nhint: PrivateKeyFile takes the path of a file; the key itself is for PrivateKey"},
		"a key for a command": {in: "[Interface]\nPrivateKeyCommand = " + own + "\n",
			want: "wg0.conf:2:21: PrivateKeyCommand: a key stands here\nhint: PrivateKeyCommand takes a command that prints the key; the key itself is for PrivateKey"},
		"a key in a path": {in: "[Interface]\nPrivateKeyFile = /" + own + "\n", want: "wg0.conf:2:18: PrivateKeyFile: (hidden): no such file\nhint: look there"},
		"a key in a path that is told in other words": {in: "[Interface]\nInclude = up/../" + own + "\n", want: "wg0.conf:2:11: Include: (hidden) can't be read\nhint: look there"},
		"two private keys": {in: "[Interface]\nPrivateKeyFile = own.key\nPrivateKey = " + own + "\n",
			want: "wg0.conf:2:18: PrivateKeyFile: there is PrivateKey too, at wg0.conf:3:14\nhint: keep one of the two"},
		"two other private keys": {in: "[Interface]\nPrivateKeyFile = own.key\nPrivateKeyCommand = x\n",
			want: "wg0.conf:3:21: PrivateKeyCommand: there is PrivateKeyFile too, at wg0.conf:2:18\nhint: keep one of the two"},
		"two preshared keys": {in: peer + "PresharedKey = " + key + "\nPresharedKeyFile = psk\n",
			want: "wg0.conf:4:20: PresharedKeyFile: there is PresharedKey too, at wg0.conf:3:16\nhint: keep one of the two"},
		"no value": {in: "[Interface]\nPrivateKeyFile =\n", want: "wg0.conf:2:1: PrivateKeyFile has no value\nhint: PrivateKeyFile takes the path of a file: PrivateKeyFile = …"},
		"no =":     {in: "[Interface]\nInclude # all\n", want: "wg0.conf:2:1: Include has no value\nhint: Include takes the path of a file with peers: Include = …"},
		"no value in a peer": {in: peer + "PresharedKeyFile =\n",
			want: "wg0.conf:3:19: PresharedKeyFile has no value\nhint: give it the path of a file, or leave the line out"},
		"a peer's key in the interface": {in: "[Interface]\nExcludedIPs = 10.0.0.0/8\n", want: "wg0.conf:2:1: ExcludedIPs belongs to [Peer], this is [Interface]\nhint: move it below [Peer]"},
		"not an address":                {in: peer + "ExcludedIPs = 10.0.0.0/8, lan\n", want: "wg0.conf:3:27: ExcludedIPs: `lan' is no IP address\nhint: allowed IPs are addresses, not names"},
		"a sign":                        {in: peer + "ExcludedIPs = -10.0.0.0/8\n", want: "wg0.conf:3:15: ExcludedIPs: a sign before an address\nhint: addresses to exclude stand without + and -"},
		"signs": {in: peer + "AllowedIPs = +10.0.0.0/8\nExcludedIPs = 10.0.0.0/16\n",
			want: "wg0.conf:4:15: ExcludedIPs: the allowed IPs of this peer have signs\nhint: where there are ExcludedIPs, AllowedIPs stand without + and -"},
		"a command that fails": {in: "[Interface]\nPrivateKeyCommand = x\n", want: "wg0.conf:2:21: PrivateKeyCommand: exit status 1"},
		"no file":              {in: "[Interface]\nInclude = gone\n", want: "wg0.conf:2:11: Include: gone: no such file\nhint: look there"},
		"an interface": {in: "[Interface]\nInclude = peers\n", peers: peer + "[Interface]\nPostUp = rm\n",
			want: "peers:3:1: an included file has peers only\nhint: move what is in this section into the file that includes it"},
		"an include in an include": {in: "[Interface]\nInclude = peers\n", peers: peer + "Include = peers\n",
			want: "peers:3:1: an included file has peers only, and Include belongs to [Interface]\nhint: move it into the file that includes this one"},
		"a hook before all": {in: "[Interface]\nInclude = peers\n", peers: "PostUp = rm\n",
			want: "peers:1:1: an included file has peers only, and PostUp belongs to [Interface]\nhint: move it into the file that includes this one"},
		"a mistake in an include": {in: "[Interface]\nInclude = peers\n[Peer]\nPublicKey=" + key + "\n", peers: "# all\n[Peer]\nAllowedIP = 10.0.0.0/8\n",
			want: "peers:3:1: unknown key `AllowedIP'\nhint: did you mean AllowedIPs?\npeers:2:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"a peer twice": {in: "[Interface]\nInclude = peers\n" + peer, peers: "\n" + peer, want: "peers:2:1: this peer is at wg0.conf:3:1 too\nhint: keep one of the two"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			f := surroundings(t)
			f.dropIns, f.command, f.files["peers"] = nil, "!", tt.peers
			_, err := config.Decode("wg0.conf", []byte(tt.in), config.Options{Dialect: config.Quick, Sources: f})
			e, ok := err.(*config.Error)
			if !ok {
				t.Fatalf("Decode: err = %v", err)
			}
			if got := strings.Join(e.Advice(), "\n"); got != tt.want {
				t.Errorf("it says:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// What is allowed within one file stays: the last of two sections counts.
func TestDecodePeerTwiceInAFile(t *testing.T) {
	f := surroundings(t)
	f.dropIns = nil
	twice := "[Peer]\nPublicKey = " + key + "\nAllowedIPs = 10.1.0.0/16\n[Peer]\nPublicKey = " + key + "\nAllowedIPs = 10.2.0.0/16\n"
	f.files["peers"] = strings.ReplaceAll(twice, key, key2)
	c, err := config.Decode("wg0.conf", []byte("[Interface]\nInclude = peers\nInclude = peers\n"+twice), config.Options{Dialect: config.Quick, Sources: f})
	if err != nil || len(c.Peers) != 4 {
		t.Errorf("%v", err)
	}
}

// No command is run for a file that isn't taken.
func TestDecodeMistakeRunsNothing(t *testing.T) {
	f := surroundings(t)
	if _, err := config.Decode("wg0.conf", []byte("[Interface]\nPrivateKeyCommand = x\nNonsense = 1\n"), config.Options{Dialect: config.Quick, Sources: f}); err == nil || f.ran > 0 {
		t.Errorf("err = %v, a command ran %d times", err, f.ran)
	}
}

// Where the command isn't run, a peer whose key isn't there may be this node
// itself: it is left out, with a warning.
func TestDecodeWithoutCommand(t *testing.T) {
	f := surroundings(t)
	var warned []string
	o := config.Options{Dialect: config.Quick, Sources: f, Warn: func(w config.Warning) { warned = append(warned, fmt.Sprint(w.Pos, " ", w.Text)) }}
	c, err := config.Decode("wg0.conf", []byte("[Interface]\nPrivateKeyCommand = x\nInclude = peers\n"), o)
	if err != nil || len(c.Peers) != 2 || c.PrivateKey.Set {
		t.Errorf("%v, %s", err, describe(&c.Change))
	}
	if want := []string{"peers:4:20 Warning: PresharedKeyFile: nowhere: no such file"}; !slices.Equal(warned, want) {
		t.Errorf("warned %q, want %q", warned, want)
	}
}

// The original refuses all of these keys, so wg does. A security key must not
// be passed over.
func TestOurKeysAreRefusedByWG(t *testing.T) {
	for _, line := range []string{
		"[Interface]\nPrivateKeyFile = x", "[Interface]\nPrivateKeyCommand = x", "[Interface]\nInclude = x",
		"[Peer]\nPublicKey = " + key + "\nPresharedKeyFile = x", "[Peer]\nPublicKey = " + key + "\nExcludedIPs = 10.0.0.0/8",
	} {
		_, err := config.Decode("wg0.conf", []byte(line), config.Options{})
		e, ok := err.(*config.Error)
		if !ok {
			t.Errorf("%q: err = %v", line, err)
			continue
		}
		name := strings.Fields(line[strings.LastIndex(line, "\n"):])[0]
		if got := e.Advice(); !strings.HasSuffix(got[0], name+" is a key of wg-quick, not of wg") || !strings.HasPrefix(e.Original()[0], "Line unrecognized: `"+name+"=") {
			t.Errorf("%q: %q, %q", line, e.Original(), got)
		}
	}
}

func TestExcludeWarnings(t *testing.T) {
	const peer = "[Peer]\nPublicKey = " + key + "\n"
	tests := map[string]struct{ in, want string }{
		"outside":         {peer + "AllowedIPs = 10.0.0.0/8\nExcludedIPs = 10.1.0.0/16, 192.168.0.0/16, 172.16.0.0/12\n", "4:15 Warning: ExcludedIPs: 192.168.0.0/16 is not among the allowed IPs of this peer, and 1 more are not"},
		"nothing is left": {peer + "AllowedIPs = 10.0.0.0/8\nExcludedIPs = 0.0.0.0/0\n", "4:15 Warning: ExcludedIPs: nothing is left of the allowed IPs of this peer"},
		"no allowed IPs":  {peer + "ExcludedIPs = ::1\n", "3:15 Warning: ExcludedIPs: ::1/128 is not among the allowed IPs of this peer"},
		"all is well":     {peer + "AllowedIPs = 10.0.0.0/8\nExcludedIPs = 10.0.0.0/16\n", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			o := config.Options{Dialect: config.Quick, Warn: func(w config.Warning) { got = append(got, fmt.Sprintf("%d:%d %s", w.Pos.Line, w.Pos.Col, w.Text)) }}
			if _, err := config.Decode("wg0.conf", []byte(tt.in), o); err != nil {
				t.Fatal(err)
			}
			if strings.Join(got, "\n") != tt.want {
				t.Errorf("warned %q, want %q", got, tt.want)
			}
		})
	}
}

// A file with all that is elsewhere becomes one that says the same itself.
func TestStripExtended(t *testing.T) {
	const file = "# mine\n [Interface]\nMTU = 1400\nPrivateKeyFile = other\nprivatekeyfile=own.key # kept apart\nInclude = peers\n" +
		"[Peer] # far\nPublicKey = " + key2 + "\nAllowedIPs = 10.0.0.0/8\nExcluded IPs = 10.0.0.0/9\nPresharedKeyFile=psk\nAllowedIPs = 1.2.3.4 # too\n" +
		"[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\nAllowedIPs = 10.9.9.9/8 # as it is\nAllowedIPs = 10.0.0.0/9\n"
	const want = "# mine\n[Interface]\nPrivateKey = " + own + "\n" +
		"[Peer] # far\nPublicKey = " + key2 + "\nAllowedIPs = 1.2.3.4/32, 10.128.0.0/9\nPresharedKey = " + key2 + "\n" +
		"[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\nAllowedIPs = 10.9.9.9/8 # as it is\nAllowedIPs = 10.0.0.0/9\n\n" +
		"# Name = me\n[Peer] # bob\nPublicKey = " + key + "\nAllowedIPs = 10.1.128.0/17\nEndpoint = bob.example:2\n\n" +
		"[Peer]\nPublicKey = OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=\nAllowedIPs = 10.3.0.0/16\n\n# nobody\n\n"
	c, err := config.Decode("wg0.conf", []byte(file), config.Options{Dialect: config.Quick, Sources: surroundings(t), PeerInfo: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(config.StripExtended("wg0.conf", []byte(file), c)); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	if !config.Scan("wg0.conf", []byte(file)).IsExtended() || config.Scan("wg0.conf", []byte(saved)).IsExtended() {
		t.Error("IsExtended is wrong")
	}
}

// Whatever a file and those around it hold, decoding ends without a panic, its
// errors lie inside, and for wg strip prints what up configures.
func FuzzSources(f *testing.F) {
	s := surroundings(f)
	f.Add(extended, s.files["peers"], s.files["d/1"], own)
	f.Add("[Interface]\nInclude=peers\n[Peer]\nPublicKey="+key2+"\nAllowedIPs=::/0,::ffff:1.2.3.4/120\nExcludedIPs=::ffff:0:0/97\n", "[Peer]\x00\nPublicKey="+key+"\nAllowedIPs=+1.2.3.4\n", "", "!")
	f.Add("[Interface]\nPrivateKeyCommand=a#b\n[ Interface ]\nPrivateKey=\n[Peer]", "[Interface]\nInclude=peers\n", "[Peer]\nPresharedKeyFile=psk\n", key)
	f.Fuzz(stripSaysTheSame)
}

// vocabulary are lines that files of the fuzzer below are made of.
var vocabulary = []string{
	"[Interface]", "[Peer] # x", "[ Peer ]", " [interface]", "", "# Name = x", "PrivateKeyFile = own.key", "PrivateKeyCommand = x # y", "Include = peers", "PrivateKey = " + own,
	"MTU = 1", "PostUp = a # [Peer]", "ListenPort = 7", "PublicKey = " + key, "Public Key=" + key2, "PresharedKeyFile = psk # a", "PresharedKeyFile = gone", "PresharedKey = " + key,
	"AllowedIPs = 10.0.0.0/8, ::/0", "allowedips = 10.1.2.3/9 # a", "Allowed IPs = 1.2.3.4,::1", "ExcludedIPs = 10.0.0.0/16", "excluded ips = ::/1, 10.0.0.0/9 # all", "ExcludedIPs = 0.0.0.0/0, ::/0",
	"Endpoint = a.example:1", "Endpoint = 1.2.3.4:1", "PersistentKeepalive = 7", "\tPublicKey = OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=\r", "\x00PublicKey = " + key, "PublicKey = SELF", "AllowedIPs = +1.2.3.4",
}

// The same for files of likely lines, one for each byte.
func FuzzSourcesOfLines(f *testing.F) {
	f.Add([]byte{0, 6, 8, 1, 13, 18, 21}, []byte{1, 14, 15}, []byte{1, 27, 19})
	f.Add([]byte{0, 7, 8}, []byte{1, 13, 16, 1, 14, 18}, []byte{})
	self := publicKey(f, own)
	text := func(lines []byte) string {
		var b strings.Builder
		for _, c := range lines {
			b.WriteString(vocabulary[int(c)%len(vocabulary)] + "\n")
		}
		return strings.ReplaceAll(b.String(), "SELF", self)
	}
	f.Fuzz(func(t *testing.T, main, peers, dropIn []byte) {
		for _, command := range []string{"", own} {
			stripSaysTheSame(t, text(main), text(peers), text(dropIn), command)
		}
	})
}

func stripSaysTheSame(t *testing.T, main, peers, dropIn, command string) {
	s := surroundings(t)
	s.files["peers"], s.files["d/1"], s.command = peers, dropIn, command
	if _, err := keys.Parse(command); err != nil && command != "" {
		s.command = "!"
	}
	texts := map[string]string{"f": main, "peers": peers, "d/1": dropIn, "d/2": s.files["d/2"]}
	o := config.Options{
		Dialect: config.Quick, Sources: s, PeerInfo: true, Resolver: numbersOnly{}, Later: true,
		Warn: func(w config.Warning) { inside(t, []byte(texts[w.Pos.File]), w.Pos) },
	}
	c, err := config.Decode("f", []byte(main), o)
	if e, ok := err.(*config.Error); ok {
		for _, p := range e.Problems {
			inside(t, []byte(texts[p.Pos.File]), p.Pos)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	text := config.StripExtended("f", []byte(main), c)
	stripped, err := config.Decode("f", text, config.Options{Resolver: numbersOnly{}, Later: true})
	if err != nil {
		t.Fatalf("%q, %q, %q is stripped to %q: %v", main, peers, dropIn, text, err)
	}
	if c.Quick.PrivateKeyCommand.Text != "" {
		c.PrivateKey.Set = false
	}
	if got, want := describe(&stripped.Change), describe(&c.Change); got != want {
		t.Errorf("%q, %q, %q is stripped to %q:\n got %s\nwant %s", main, peers, dropIn, text, got, want)
	}
}

// numbersOnly is a resolver for ports.
type numbersOnly struct{}

func (numbersOnly) Port(s string) (uint16, error) { return (&literal{}).Port(s) }
func (numbersOnly) Endpoint(string) (netip.AddrPort, error) {
	return netip.AddrPort{}, errors.New("not asked for")
}
