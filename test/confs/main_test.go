// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/config"
)

// The test's own program is the one that runs inside.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-inside" {
		main()
		return
	}
	os.Exit(m.Run())
}

// However a hook is written, it isn't there any more.
func TestHarmless(t *testing.T) {
	for _, line := range []string{
		"PostUp = evil", "postup=evil", "\t PREDOWN =evil", "PreUp=evil # x", "PostDown = evil\r", "PostUp#=evil", "PostUp# = evil",
		"Post\x00Up = evil", "PostUp\v=\fevil", "PreUp = a = evil", "PostUp", "PreDown #evil", "PostUp = evil \\",
	} {
		text := "[Interface]\nMTU = 1400 # PostUp = no\n" + line + "\nListenPort = 1\n"
		got := string(harmless([]byte(text)))
		if strings.Contains(got, "evil") || !strings.HasPrefix(got, "[Interface]\nMTU = 1400 # PostUp = no\n") || !strings.HasSuffix(got, "\nListenPort = 1\n") {
			t.Errorf("%q became %q", text, got)
		}
		c, err := config.Decode("wg0.conf", []byte(got), config.Options{Dialect: config.Quick})
		if err != nil {
			t.Errorf("%q became %q: %v", text, got, err)
			continue
		}
		hooks := append(append(append(c.Quick.PreUp, c.Quick.PostUp...), c.Quick.PreDown...), c.Quick.PostDown...)
		if len(hooks) != 1 || hooks[0].Text != "true" {
			t.Errorf("%q became %q, which has the hooks %v", text, got, hooks)
		}
	}
}

func TestHosts(t *testing.T) {
	got := hosts([]byte("Endpoint = a.example:1\nendpoint=b.example:2 # c.example:3\nEndpoint = a.example:4\n" +
		"Endpoint = 192.0.2.1:5\nEndpoint = [2001:db8::a]:6\nEndpoint = none\n#Endpoint = d.example:7\nAllowedIPs = e.example:8\n"))
	want := "127.0.0.1 localhost\n::1 localhost\n203.0.113.1 a.example\n203.0.113.2 b.example\n"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestKind(t *testing.T) {
	failed := answer{Status: 1, Err: "[#] ip link add\n[!] Missing x\nwhy\n"}
	up := map[string]string{"rules": "a\nb", "routes": "r"}
	tests := map[string]struct {
		ours, theirs outcome
		kind, word   string
	}{
		"alike":             {outcome{State: up}, outcome{State: up}, fineAlike, ""},
		"other rules":       {outcome{State: map[string]string{"rules": "b", "routes": "r"}}, outcome{State: up}, differs, "rules: - a"},
		"both refuse":       {outcome{Up: failed}, outcome{Up: failed}, bothRefuse, "why"},
		"ours refuses":      {outcome{Up: failed}, outcome{State: up}, oursAlone, "why"},
		"original refuses":  {outcome{State: up}, outcome{Up: failed}, theirAlone, ""},
		"down fails":        {outcome{State: up, Down: failed}, outcome{State: up}, downFails, "why"},
		"something is left": {outcome{Up: failed, Left: []string{"+ x"}}, outcome{Up: failed}, leftOver, "why\n+ x"},
	}
	for name, tt := range tests {
		v := compare("wg0.conf", tt.ours, tt.theirs)
		if kind, word := v.kind(true), v.word(); kind != tt.kind || word != tt.word {
			t.Errorf("%s: %q, %q; want %q, %q", name, kind, word, tt.kind, tt.word)
		}
	}
}

// What is left behind fails the whole.
func TestReport(t *testing.T) {
	var b strings.Builder
	secret := "oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc="
	err := report(&b, []verdict{
		{file: "a.conf"}, {file: "b.conf"},
		{file: "c|d.conf", ours: outcome{Up: answer{1, "", "x\ny"}, Check: []finding{{3, 14, "error", "bad-value"}, {4, 1, "note", "table-off"}}, Errors: 1}, theirs: outcome{Up: answer{1, "", "not a key: `" + secret + "'"}}},
	}, true)
	want := "| of 3 files | number |\n| --- | --- |\n| " + fineAlike + " | 2 |\n| " + bothRefuse + " | 1 |\n| " + clean + " | 2 |\n| " + hasErrors + " | 1 |\n\n" +
		"| file | outcome | ours | the original |\n| --- | --- | --- | --- |\n| c\\|d.conf | " + bothRefuse + " | x<br>y | not a key: `(hidden)' |\n\n" +
		"| file | what check finds |\n| --- | --- |\n| c\\|d.conf | error `bad-value` 3:14, note `table-off` 4:1 |\n"
	if b.String() != want || err != nil {
		t.Errorf("got %v\n%s\nwant\n%s", err, &b, want)
	}
	if report(&b, []verdict{{ours: outcome{Left: []string{"+ x"}}}}, true) == nil {
		t.Error("something was left behind, and that is no error")
	}
	if report(&b, []verdict{{ours: outcome{Up: answer{1, "", "x"}}, theirs: outcome{Up: answer{1, "", "x"}}}}, true) == nil {
		t.Error("up refuses what check has nothing against, and that is no error")
	}
}

// The real thing: hooks that would fail aren't run, and what a file does is seen.
func TestSurvey(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("ip isn't installed (Debian: iproute2)")
	}
	bin, dir := t.TempDir(), t.TempDir()
	if out, err := exec.Command("go", "build", "-o", bin, "../../cmd/wg", "../../cmd/wg-quick").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	const peer = "\n[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\nEndpoint = some.example:51820\nAllowedIPs = "
	for name, text := range map[string]string{
		"good.conf": "[Interface]\nPrivateKey = oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=\nAddress = 10.7.0.2/24, fd07::2/64\nDNS = 10.7.0.1\n" +
			"PreUp = exit 7\nPostUp = exit 7\nPreDown = exit 7\nPostDown = exit 7\n" + peer + "0.0.0.0/0, ::/0\n",
		"bad.conf": "[Interface]\nAddress = 10.7.0.2/24\n" + peer + "nonsense\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good, err := isolated("-bin", bin, "-original", "", filepath.Join(dir, "good.conf"))
	if err != nil {
		t.Skipf("no such namespaces here: %v", err)
	}
	if k := (verdict{ours: good}).kind(false); k != fine || strings.Contains(good.Up.Err, "exit 7") {
		t.Errorf("good.conf: %s: %+v", k, good)
	}
	for part, want := range map[string]string{
		"link": "wg0: <POINTOPOINT,", "addresses": "wg0 10.7.0.2/24\nwg0 fd07::2/64", "rules": "not from all fwmark 0xca6c",
		"routes": "default dev wg0 table 51820", "name servers": "wg0:\nnameserver 10.7.0.1", "WireGuard": "Endpoint = 203.0.113.1:51820",
	} {
		if !strings.Contains(good.State[part], want) {
			t.Errorf("good.conf: %s: %q, want %q in it", part, good.State[part], want)
		}
	}
	if len(good.Check) != 0 || good.Errors != 0 {
		t.Errorf("good.conf: check finds %+v", good.Check)
	}
	bad, err := isolated("-bin", bin, "-original", "", filepath.Join(dir, "bad.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (finding{7, 14, "error", "bad-value"}); !slices.Contains(bad.Check, want) || bad.Errors != 1 {
		t.Errorf("bad.conf: check finds %+v, want %+v", bad.Check, want)
	}
	if k, word := (verdict{ours: bad}).kind(false), (verdict{ours: bad}).word(); k != refused || !strings.HasPrefix(word, "Unable to parse IP address: `nonsense'\n") {
		t.Errorf("bad.conf: %s: %s", k, word)
	}
}
