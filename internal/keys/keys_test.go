// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package keys_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/keys"
)

const sample = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestParse(t *testing.T) {
	tests := map[string]struct {
		text string
		ok   bool
	}{
		"counting bytes":    {sample, true},
		"all zero":          {strings.Repeat("A", 43) + "=", true},
		"all ones":          {strings.Repeat("/", 42) + "8=", true},
		"stray low bits":    {sample[:42] + "9=", false},
		"43 characters":     {sample[:43], false},
		"45 characters":     {sample + "=", false},
		"URL-safe alphabet": {"-" + sample[1:], false},
		"newline inside":    {sample[:10] + "\n" + sample[11:], false},
		"= inside":          {sample[:10] + "=" + sample[11:], false},
		"= as 43rd":         {sample[:42] + "==", false},
		"no padding":        {sample[:43] + "A", false},
		"NUL inside":        {sample[:10] + "\x00" + sample[11:], false},
		"byte beyond ASCII": {sample[:10] + "\xe9" + sample[11:], false},
		"empty":             {"", false},
		"blank before":      {" " + sample[:43], false},
		"quoted":            {`"` + sample[:42] + `"`, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k, err := keys.Parse(tt.text)
			if tt.ok != (err == nil) || err != nil && !errors.Is(err, keys.ErrFormat) {
				t.Fatalf("Parse(%q): err = %v, want ok: %v", tt.text, err, tt.ok)
			}
			if tt.ok && k.Base64() != tt.text {
				t.Errorf("Parse(%q).Base64() = %q", tt.text, k.Base64())
			}
			if err != nil && tt.text != "" && strings.Contains(err.Error(), tt.text) {
				t.Errorf("the error tells the key: %v", err)
			}
		})
	}
}

// Of the 64 characters that can stand before the final "=", a quarter end a
// key; the others carry bits that no key has.
func TestParsePaddingBits(t *testing.T) {
	const legal = "AEIMQUYcgkosw048"
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	for _, c := range alphabet {
		_, err := keys.Parse(sample[:42] + string(c) + "=")
		if want := strings.ContainsRune(legal, c); (err == nil) != want {
			t.Errorf("a key that ends in %q=: err = %v, want ok: %v", c, err, want)
		}
	}
}

// Vectors of the original's behaviour and of RFC 7748.
func TestPublic(t *testing.T) {
	tests := map[string]struct{ private, public string }{
		"counting bytes": {sample, "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8="},
		"all zero":       {strings.Repeat("A", 43) + "=", "L+V9o0fNYkMVKNqsX7spBzD/9oSvxM/C7ZCZX1jLO3Q="},
		"all ones":       {strings.Repeat("/", 42) + "8=", "hHwNLDdSNPNl5mCVUYejc1oPdhPRYJ06ak2MU66qWiI="},
		"RFC 7748, 6.1":  {"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=", "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k, err := keys.Parse(tt.private)
			if err != nil {
				t.Fatal(err)
			}
			if got := k.Public().Base64(); got != tt.public {
				t.Errorf("public key = %s, want %s", got, tt.public)
			}
		})
	}
}

func TestNewPrivateIsClamped(t *testing.T) {
	for range 64 {
		if k, err := keys.NewPrivate(); err != nil || k != k.Clamp() || k.IsZero() {
			t.Fatalf("NewPrivate made %s, %v", k.Base64(), err)
		}
	}
	a, err1 := keys.NewPreshared()
	b, err2 := keys.NewPreshared()
	if err := errors.Join(err1, err2); err != nil || a == b {
		t.Errorf("two preshared keys are the same, or: %v", err)
	}
}

func TestHex(t *testing.T) {
	k, err := keys.Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	text := string(k.AppendHex(nil))
	if want := hex.EncodeToString(k[:]); text != want {
		t.Fatalf("AppendHex = %s, want %s", text, want)
	}
	for _, s := range []string{text, strings.ToUpper(text)} {
		if got, err := keys.ParseHex(s); err != nil || got != k {
			t.Errorf("ParseHex(%q) = %s, %v", s, got.Base64(), err)
		}
	}
	for _, s := range []string{"", text[1:], text + "0", "g" + text[1:], text[:63] + "\n"} {
		if _, err := keys.ParseHex(s); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("ParseHex(%q): err = %v, want ErrFormat", s, err)
		}
	}
}

// A key that gets into a message by mistake stays hidden, inside other values too.
func TestFormatHides(t *testing.T) {
	k, err := keys.Parse(sample)
	if err != nil {
		t.Fatal(err)
	}
	type config struct{ PrivateKey keys.Key }
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
		for _, value := range []any{k, config{k}, []keys.Key{k}, map[string]keys.Key{"k": k}} {
			got := fmt.Sprintf(verb, value)
			if !strings.Contains(got, "(hidden)") || strings.Contains(got, "AAEC") || strings.Contains(strings.ToLower(got), "00010203") {
				t.Errorf("Sprintf(%q, %T) = %s", verb, value, got)
			}
		}
	}
}

func TestReadFile(t *testing.T) {
	tests := map[string]struct {
		content string
		want    error
		zero    bool
	}{
		"key":                 {content: sample},
		"key and newline":     {content: sample + "\n"},
		"key and white space": {content: sample + " \t\r\n\v\f\n"},
		"empty":               {content: "", zero: true},
		"short":               {content: sample[:43], want: keys.ErrLength},
		"newline only":        {content: "\n", want: keys.ErrLength},
		"second line":         {content: sample + "\nx", want: keys.TrailingError('x')},
		"comment":             {content: sample + " # mine", want: keys.TrailingError('#')},
		"NUL":                 {content: sample + "\x00", want: keys.TrailingError(0)},
		"blank before":        {content: " " + sample, want: keys.TrailingError('=')},
		"no key":              {content: sample[:43] + "\n", want: keys.ErrFormat},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
				t.Fatal(err)
			}
			k, err := keys.ReadFile(path)
			if !errors.Is(err, tt.want) {
				t.Fatalf("ReadFile: err = %v, want %v", err, tt.want)
			}
			if tt.want == nil && k.IsZero() != tt.zero {
				t.Errorf("ReadFile: zero key is %v, want %v", k.IsZero(), tt.zero)
			}
		})
	}
}

func TestReadFileOtherKinds(t *testing.T) {
	dir := t.TempDir()
	if _, err := keys.ReadFile(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: err = %v, want ErrNotExist", err)
	}
	if _, err := keys.ReadFile(dir); !errors.Is(err, keys.ErrLength) {
		t.Errorf("directory: err = %v, want ErrLength", err)
	}
	if k, err := keys.ReadFile(os.DevNull); err != nil || !k.IsZero() {
		t.Errorf("%s: %v, want the zero key", os.DevNull, err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Skip("no FIFOs here:", err)
	}
	go func() { // a program that fails before it has written anything
		if w, err := os.OpenFile(fifo, os.O_WRONLY, 0); err == nil {
			w.Close()
		}
	}()
	if _, err := keys.ReadFile(fifo); !errors.Is(err, keys.ErrLength) {
		t.Errorf("empty pipe: err = %v, want ErrLength", err)
	}
}

// Parse accepts what strict base64 of 32 bytes in 44 characters is, and nothing else.
func FuzzParse(f *testing.F) {
	f.Add(sample)
	f.Add(sample[:42] + "9=")
	f.Add(strings.Repeat("=", 44))
	f.Fuzz(func(t *testing.T, s string) {
		k, err := keys.Parse(s)
		b, refErr := base64.StdEncoding.Strict().DecodeString(s)
		ok := refErr == nil && len(b) == 32 && len(s) == 44 && !strings.ContainsAny(s, "\r\n")
		if ok != (err == nil) || ok && !bytes.Equal(k[:], b) {
			t.Errorf("Parse(%q): err = %v, reference: %v", s, err, refErr)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		keys.Parse(sample)
	}
}

func BenchmarkAppendBase64(b *testing.B) {
	var k keys.Key
	rand.Read(k[:])
	buf := make([]byte, 0, 64)
	for b.Loop() {
		buf = k.AppendBase64(buf[:0])
	}
}

func BenchmarkParseHex(b *testing.B) {
	var k keys.Key
	rand.Read(k[:])
	text := k.AppendHex(nil)
	for b.Loop() {
		keys.ParseHex(text)
	}
}
