// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"wgtools/internal/config"
	"wgtools/internal/keys"
)

func TestStrip(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"empty":                   {"", "\n"},
		"no final newline":        {"[Interface]", "[Interface]\n\n"},
		"an example":              {"  [Interface]  \n  PrivateKey =   k  # c\n  Address = 1.2.3.4/24\n\n   # note\n[Peer]\nPublicKey = x\n", "[Interface]\nPrivateKey =   k  # c\n\n# note\n[Peer]\nPublicKey = x\n\n"},
		"all of its keys":         {"[Interface]\nAddress=1\nDNS=1\nMTU=1\nTable=1\nPreUp=1\nPostUp=1\nPreDown=1\nPostDown=1\nSaveConfig=true\nListenPort=1", "[Interface]\nListenPort=1\n\n"},
		"any case":                {"[INTERFACE]\nADDRESS=1\npostup=x # y\n", "[INTERFACE]\n\n"},
		"only in [Interface]":     {"Address=1\n[Peer]\nAddress=2\n[Interface]\nAddress=3\n", "Address=1\n[Peer]\nAddress=2\n[Interface]\n\n"},
		"a comment at a section":  {"[Interface] # x\nAddress=1\n", "[Interface] # x\n\n"},
		"not quite a section":     {"[ Interface ]\nAddress=1\n[Interface]x\nAddress=2\n", "[ Interface ]\nAddress=1\n[Interface]x\nAddress=2\n\n"},
		"anything with [ ends it": {"[Interface]\n[foo=bar\nAddress=1\n", "[Interface]\n[foo=bar\nAddress=1\n\n"},
		"CR stays":                {"[Interface]\r\nAddress = 1\r\nListenPort = 5\r\n", "[Interface]\r\nListenPort = 5\r\n\n"},
		"a blank in a key":        {"[Interface]\nPost Up = x\n", "[Interface]\nPost Up = x\n\n"},
		"no =":                    {"[Interface]\nMTU\nPostUp#=1\nAddress#=3\n", "[Interface]\n\n"},
		"NUL vanishes":            {"[Inter\x00face]\nAdd\x00ress=1\nx\x00y\n", "[Interface]\nxy\n\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := config.Scan("f", []byte(tt.in)).Strip(); string(got) != tt.want {
				t.Errorf("Strip(%q)\n got %q\nwant %q", tt.in, got, tt.want)
			}
		})
	}
}

// strip is the rule as it is told, one line at a time, without any speed.
func strip(src string) string {
	src = strings.ReplaceAll(src, "\x00", "")
	var b strings.Builder
	inside := false
	lines := strings.Split(src, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	for _, line := range lines {
		kept := strings.Trim(line, " \t")
		stripped, _, _ := strings.Cut(kept, "#")
		name, _, _ := strings.Cut(stripped, "=")
		name = strings.ToLower(strings.Trim(name, " \t\n\v\f\r"))
		if strings.HasPrefix(name, "[") {
			inside = name == "[interface]"
		}
		switch name {
		case "address", "dns", "mtu", "table", "preup", "postup", "predown", "postdown", "saveconfig", "killswitch", "masquerade", "forward":
			if inside {
				continue
			}
		}
		b.WriteString(kept + "\n")
	}
	return b.String() + "\n"
}

func FuzzStrip(f *testing.F) {
	addFiles(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, c := range src {
			if c >= 0x80 {
				t.Skip("strings.ToLower of the reference knows more letters")
			}
		}
		if got, want := string(config.Scan("f", src).Strip()), strip(string(src)); got != want {
			t.Errorf("Strip(%q)\n got %q\nwant %q", src, got, want)
		}
	})
}

// addFiles adds the project's configuration files as seeds.
func addFiles(f *testing.F) {
	f.Helper()
	paths, err := filepath.Glob("testdata/*.conf")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no files in testdata: %v", err)
	}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// What is scanned prints as it was, and every part lies where it says.
func FuzzScan(f *testing.F) {
	addFiles(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		d := config.Scan("f", src)
		if got := d.Bytes(); !bytes.Equal(got, src) {
			t.Errorf("Scan lost bytes:\n got %q\nwant %q", got, src)
		}
		for _, l := range d.Lines {
			for _, s := range []config.Span{l.Key, l.Value, l.Comment} {
				if s.Start < 0 || s.End < s.Start || s.End > len(l.Text) {
					t.Errorf("line %d: span %v of %q", l.Number, s, l.Text)
				}
			}
		}
	})
}

func TestScan(t *testing.T) {
	src := "# top\n[Interface]\n  PrivateKey =  abc # mine\nPostUp = echo '#1' # x\r\n[ Peer ] # bob\nnonsense\nAllowedIPs = a, b"
	var got []string
	for _, l := range config.Scan("f", []byte(src)).Lines {
		got = append(got, fmt.Sprintf("%d %s %v %q %q %q", l.Number, l.Section, l.Header, l.Key.Of(l.Text), l.Value.Of(l.Text), l.Comment.Of(l.Text)))
	}
	want := []string{
		`1  false "" "" "# top"`,
		`2 Interface true "" "" ""`,
		`3 Interface false "PrivateKey" "abc" "# mine"`,
		`4 Interface false "PostUp" "echo '#1' # x" ""`,
		`5 Peer true "" "" "# bob"`,
		`6 Peer false "" "" ""`,
		`7 Peer false "AllowedIPs" "a, b" ""`,
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("Scan:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestDecodeQuick(t *testing.T) {
	src := `[Interface] # Name = home
Address = 10.0.0.1/24, fd00::1/64  10.1.1.1
DNS = 1.1.1.1,example.com fe80::1%eth0
DNS = 8.8.8.8#dns.google
MTU = 1280
MTU = 1420
Table = off
PostUp = echo '#1' %i # tail
PostUp = echo two
PreDown =
SaveConfig = TRUE
PrivateKey = ` + key + `
ListenPort = 51820
[Peer]
# Name = laptop
PublicKey = ` + key2 + `
Endpoint = vpn.example.org:51820
AllowedIPs = 10.0.0.2/32
`
	c, err := config.Decode("home.conf", []byte(src), config.Options{Dialect: config.Quick, PeerInfo: true})
	if err != nil {
		t.Fatal(err)
	}
	texts := func(values []config.Value) string {
		var list []string
		for _, v := range values {
			list = append(list, fmt.Sprintf("%s@%d:%d", v.Text, v.Pos.Line, v.Pos.Col))
		}
		return strings.Join(list, "|")
	}
	q := c.Quick
	got := strings.Join([]string{
		c.Name, texts(q.Addresses), texts(q.DNS), texts(q.Search), texts([]config.Value{q.MTU, q.Table}), texts(q.PostUp), texts(q.PreDown),
		fmt.Sprint(q.Saves()), describe(&c.Change), c.PeerInfo[0].Name, texts([]config.Value{c.PeerInfo[0].Endpoint}), c.PeerInfo[0].Pos.String(),
	}, "\n")
	want := strings.Join([]string{
		"home", "10.0.0.1/24@2:11|fd00::1/64@2:24|10.1.1.1@2:36", "1.1.1.1@3:7|fe80::1%eth0@3:27|8.8.8.8@4:7", "example.com@3:15",
		"1420@6:7|off@7:9", "echo '#1' %i # tail@8:10|echo two@9:10", "@10:10",
		"true", "key=AAEC port=51820 peer=vXmv replace 10.0.0.2/32", "laptop", "vpn.example.org:51820@17:12", "home.conf:14:1",
	}, "\n")
	if got != want {
		t.Errorf("Decode:\n%s\nwant:\n%s", got, want)
	}
}

func TestDecodeHooks(t *testing.T) {
	const src = "[Interface]\nPreUp = a\nPOSTUP = b # %i\npredown = c;d\nPostDown = \"e\"\nPreUp = f\n[Interface] # again\nPostDown=g\n"
	c, err := config.Decode("f", []byte(src), config.Options{Dialect: config.Quick})
	if err != nil {
		t.Fatal(err)
	}
	q := c.Quick
	if got, want := fmt.Sprint(q.PreUp, q.PostUp, q.PreDown, q.PostDown),
		`[{a f:2:9} {f f:6:9}] [{b # %i f:3:10}] [{c;d f:4:11}] [{"e" f:5:12} {g f:8:10}]`; got != want {
		t.Errorf("hooks %s\nwant  %s", got, want)
	}
}

// wg-quick reads all of its own keys before wg reads the rest: their mistakes
// come first, and then no name is looked up.
func TestDecodeQuickOwnKeysComeFirst(t *testing.T) {
	r := &literal{}
	src := "[Peer]\nEndpoint = 192.0.2.1:1\nFoo = 1\n[Interface]\nSaveConfig = 1\n"
	_, err := config.Decode("home.conf", []byte(src), config.Options{Dialect: config.Quick, Program: "wg-quick", Resolver: r})
	e, ok := err.(*config.Error)
	if !ok {
		t.Fatalf("Decode: err = %v", err)
	}
	want := "wg-quick: `1' is neither true nor false\nhome.conf:5:14: SaveConfig: neither true nor false\n" +
		"home.conf:3:1: unknown key `Foo'\nhint: [Peer] takes PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive, PresharedKeyFile, ExcludedIPs\n" +
		"home.conf:1:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"
	if got := strings.Join(append(e.Original(), e.Advice()...), "\n"); got != want {
		t.Errorf("it says:\n%s\nwant:\n%s", got, want)
	}
	if len(r.asked) > 0 {
		t.Errorf("resolved %q", r.asked)
	}
}

func TestDecodeQuickErrors(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"SaveConfig": {"[Interface]\nSaveConfig = yes", "wg-quick: `yes' is neither true nor false\nhome.conf:2:14: SaveConfig: neither true nor false"},
		"its key in a peer": {"[Peer]\nAddress = 1.2.3.4", "Line unrecognized: `Address=1.2.3.4'\nConfiguration parsing error\n" +
			"home.conf:2:1: Address belongs to [Interface], this is [Peer]\nhint: move it below [Interface]\n" +
			"home.conf:1:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"a misspelt key of its own": {"[Interface]\nPostUpp = x", "Line unrecognized: `PostUpp=x'\nConfiguration parsing error\n" +
			"home.conf:2:1: unknown key `PostUpp'\nhint: did you mean PostUp?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Decode("home.conf", []byte(tt.in), config.Options{Dialect: config.Quick, Program: "wg-quick"})
			e, ok := err.(*config.Error)
			if !ok {
				t.Fatalf("Decode: err = %v", err)
			}
			if got := strings.Join(append(e.Original(), e.Advice()...), "\n"); got != tt.want {
				t.Errorf("it says:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// Whatever a file holds, decoding ends, ends alike twice, and its errors lie
// inside the file and hide what is secret.
func FuzzDecode(f *testing.F) {
	addFiles(f)
	f.Add([]byte("[Peer]\nPublicKey=" + key + "\nAllowedIPs=+::/0,-1.2.3.4,1.2.3.4/8\nEndpoint=[::1]:1"))
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, dialect := range []config.Dialect{config.WG, config.Quick} {
			o := config.Options{Dialect: dialect, Resolver: &literal{}, PeerInfo: true, Warn: func(w config.Warning) { inside(t, src, w.Pos) }}
			c, err := config.Decode("f", src, o)
			_, again := config.Decode("f", src, o)
			if fmt.Sprint(err) != fmt.Sprint(again) {
				t.Errorf("twice: %v, %v", err, again)
			}
			if err == nil {
				if len(c.PeerInfo) != len(c.Peers) {
					t.Errorf("%d peers, %d infos", len(c.Peers), len(c.PeerInfo))
				}
				if dialect == config.WG {
					sameNames(t, src, c)
				}
				continue
			}
			for _, p := range err.(*config.Error).Problems {
				inside(t, src, p.Pos)
			}
		}
		config.PeerNames(src)
	})
}

// sameNames compares the names of peers with those that PeerNames finds, which
// reads any text.
func sameNames(t *testing.T, src []byte, c *config.Config) {
	t.Helper()
	want := map[keys.Key]string{}
	for i, p := range c.Peers {
		if name := c.PeerInfo[i].Name; name != "" {
			want[p.PublicKey] = name
		}
		if n := c.PeerInfo[i].Name; !utf8.ValidString(n) || strings.ContainsFunc(n, unicode.IsControl) {
			t.Errorf("%q: the name %q must not be printed", src, n)
		}
	}
	if got := config.PeerNames(src); !maps.Equal(got, want) {
		t.Errorf("%q: PeerNames = %q, Decode says %q", src, got, want)
	}
}

func inside(t *testing.T, src []byte, p config.Pos) {
	t.Helper()
	lines := bytes.Split(src, []byte("\n"))
	if p.Line < 1 || p.Line > len(lines) || p.Col < 1 || p.Col > len(lines[p.Line-1])+1 {
		t.Errorf("%v is not in %q", p, src)
	}
}

// A secret stays hidden, whatever stands around it. Only a public key is shown.
func FuzzSecretsStayHidden(f *testing.F) {
	f.Add("[Interface]\n", "PrivateKey = ", "x")
	f.Add("[Peer]\n", "PresharedKey=", "")
	f.Add("", "PrivteKey=", "\n[Peer]")
	f.Add("[Interface]\n", "", "")
	for _, name := range []string{"ListenPort", "FwMark", "SaveConfig", "MTU", "Address"} {
		f.Add("[Interface]\n", name+" = ", "\n")
		f.Add("[Interface]\n", name+" = 7\rPrivateKey = ", "\rFwMark = 1")
	}
	for _, name := range []string{"AllowedIPs", "Endpoint", "PersistentKeepalive"} {
		f.Add("[Peer]\n", name+" = ", ", x")
		f.Add("[Peer]\n", name+" = 10.0.0.1, ", " / 7")
	}
	for _, name := range []string{"PrivateKeyFile", "PrivateKeyCommand", "Include"} {
		f.Add("[Interface]\n", name+" = ", "\n")
		f.Add("[Interface]\n", name+" = ./", "/x")
	}
	f.Add("[Peer]\n", "PresharedKeyFile = /", "#")
	f.Add("[Peer]\n", "ExcludedIPs = 10.0.0.1, ", "")
	f.Add("[Peer]\nEndpoint = x\n", "Endpoint = [", ":7")
	f.Add("[Peer] ", "", "\n")
	f.Add("[", "", "]\n")
	f.Add("\ufeff", " : ", "#")
	f.Fuzz(func(t *testing.T, before, name, after string) {
		src := before + name + key + after
		for _, dialect := range []config.Dialect{config.WG, config.Quick} {
			_, err := config.Decode("f", []byte(src), config.Options{Dialect: dialect, PeerInfo: true, Resolver: &literal{}, Sources: &folder{}})
			e, ok := err.(*config.Error)
			if !ok {
				continue
			}
			text := strings.Join(append(e.Original(), e.Advice()...), "\n")
			if strings.Contains(text, "PublicKey:") || strings.Contains(text, "PublicKey?") ||
				strings.Contains(text, ": PublicKey") || strings.Contains(text, "after PublicKey") {
				continue
			}
			for _, piece := range []string{key[:20], key[12:32], key[23:43]} {
				if strings.Contains(text, piece) && !strings.Contains(before+name+after, piece) {
					t.Errorf("%q tells the key:\n%s", src, text)
				}
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	dialects := map[config.Dialect]string{config.WG: "wg", config.Quick: "quick"}
	for _, peers := range []int{1000, 100_000} {
		var src bytes.Buffer
		src.WriteString("[Interface]\nListenPort = 51820\nPrivateKey = " + key + "\n")
		for i := range peers {
			fmt.Fprintf(&src, "\n[Peer]\nPublicKey = %s\nPresharedKey = %s\nAllowedIPs = 10.%d.%d.%d/32, fd00::%x:%x/128\nEndpoint = 192.0.2.1:51820\n",
				key, key2, i>>16&255, i>>8&255, i&255, i>>16, i&0xffff)
		}
		for dialect, name := range dialects {
			b.Run(fmt.Sprintf("%s/peers=%d", name, peers), func(b *testing.B) {
				b.SetBytes(int64(src.Len()))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := config.Decode("f", src.Bytes(), config.Options{Dialect: dialect, Resolver: fast{}}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A line of any length costs time in proportion.
func BenchmarkDecodeLongLine(b *testing.B) {
	src := "[Peer]\nPublicKey=" + key + "\nAllowedIPs = " + strings.Repeat("10.0.0.1/32, ", 100_000) + "10.0.0.2/32\n"
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := config.Decode("f", []byte(src), config.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// A list of 1,000 allowed IPs on one line, which took the original 22 seconds.
func BenchmarkStripLongLine(b *testing.B) {
	src := []byte("[Interface]\nAddress = 10.0.0.1/24\n[Peer]\nPublicKey = " + key + "\nAllowedIPs = " + strings.Repeat("10.100.1.0/24,", 1000) + "::1\n")
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		config.Scan("f", src).Strip()
	}
}

func BenchmarkPeerNames(b *testing.B) {
	var src bytes.Buffer
	for i := range 1000 {
		var k keys.Key
		k[0], k[1], k[31] = byte(i), byte(i>>8), 1
		fmt.Fprintf(&src, "### Client laptop-%d\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.0.0.0/24\n\n", i, k.Base64())
	}
	b.SetBytes(int64(src.Len()))
	for b.Loop() {
		if n := len(config.PeerNames(src.Bytes())); n != 1000 {
			b.Fatal(n)
		}
	}
}
