// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package keys reads, makes and prints the 32-byte Curve25519 and preshared
// keys of WireGuard. It never puts a key into an error, and a [Key] that is
// printed by accident shows "(hidden)".
package keys

import (
	"crypto/ecdh"
	"encoding/hex"
	"errors"
	"fmt"
)

// Len is the length of a key in bytes; TextLen, of its base64 text; HexLen,
// of the hexadecimal text of the cross-platform userspace protocol.
const (
	Len     = 32
	TextLen = 44
	HexLen  = 64
)

// ErrFormat reports a text that is no key. The text is never part of the
// error: it may be a secret.
var ErrFormat = errors.New("key is not the correct length or format")

// A Key is a private, public or preshared key. The zero Key stands for "none".
//
// Key has no method that prints it by accident: fmt's verbs all show
// "(hidden)". Ask for the text with [Key.Base64].
type Key [Len]byte

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// decoded maps a base64 character to its value, all others to 0xff.
var decoded = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

// Parse decodes a key from exactly 44 characters of padded standard base64,
// as wg(8) does: no white space, no URL-safe alphabet, and the two padding
// bits of the 43rd character must be zero (encoding/base64 is laxer).
// The error is [ErrFormat].
func Parse[T string | []byte](s T) (Key, error) {
	var k Key
	if len(s) != TextLen || s[TextLen-1] != '=' {
		return Key{}, ErrFormat
	}
	var bad byte
	for i := range 10 {
		a, b, c, d := decoded[s[4*i]], decoded[s[4*i+1]], decoded[s[4*i+2]], decoded[s[4*i+3]]
		bad |= a | b | c | d
		k[3*i] = a<<2 | b>>4
		k[3*i+1] = b<<4 | c>>2
		k[3*i+2] = c<<6 | d
	}
	a, b, c := decoded[s[40]], decoded[s[41]], decoded[s[42]]
	bad |= a | b | c
	k[30] = a<<2 | b>>4
	k[31] = b<<4 | c>>2
	if bad&0xc0 != 0 || c&3 != 0 {
		return Key{}, ErrFormat
	}
	return k, nil
}

// ParseHex decodes a key from exactly 64 hexadecimal digits of either case,
// the form of the userspace protocol. The error is [ErrFormat].
func ParseHex[T string | []byte](s T) (Key, error) {
	var k Key
	if len(s) != HexLen {
		return Key{}, ErrFormat
	}
	var bad byte
	for i := range k {
		hi, lo := nibbles[s[2*i]], nibbles[s[2*i+1]]
		bad |= hi | lo
		k[i] = hi<<4 | lo&15
	}
	if bad > 15 {
		return Key{}, ErrFormat
	}
	return k, nil
}

// nibbles maps a hexadecimal digit to its value, all else to 0xff.
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// NewPrivate makes a private key: 32 random bytes, clamped (RFC 7748, section 5).
// The error is the operating system's, where it has no randomness.
func NewPrivate() (Key, error) {
	k, err := NewPreshared()
	return k.Clamp(), err
}

// NewPreshared makes a preshared key: 32 random bytes. The error is the
// operating system's, where it has no randomness.
func NewPreshared() (Key, error) {
	var k Key
	err := random(k[:])
	return k, err
}

// Clamp returns k with the bits fixed that every X25519 private key has fixed
// (RFC 7748, section 5).
func (k Key) Clamp() Key {
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k
}

// Public returns the public key of the private key k, which need not be clamped.
func (k Key) Public() Key {
	// NewPrivateKey fails only for a wrong length.
	p, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		panic(err)
	}
	return Key(p.PublicKey().Bytes())
}

// IsZero reports whether k is the zero key, which stands for "none".
func (k Key) IsZero() bool { return k == Key{} }

// Base64 returns the 44 characters that people and files know.
func (k Key) Base64() string { return string(k.AppendBase64(make([]byte, 0, TextLen))) }

// AppendBase64 appends [Key.Base64] to b.
func (k *Key) AppendBase64(b []byte) []byte {
	for i := 0; i < 30; i += 3 {
		v := uint(k[i])<<16 | uint(k[i+1])<<8 | uint(k[i+2])
		b = append(b, alphabet[v>>18], alphabet[v>>12&63], alphabet[v>>6&63], alphabet[v&63])
	}
	v := uint(k[30])<<10 | uint(k[31])<<2
	return append(b, alphabet[v>>12], alphabet[v>>6&63], alphabet[v&63], '=')
}

// AppendHex appends the 64 lower-case digits of the userspace protocol to b.
func (k *Key) AppendHex(b []byte) []byte { return hex.AppendEncode(b, k[:]) }

// Format implements [fmt.Formatter]: whatever the verb, the key stays hidden.
func (Key) Format(f fmt.State, _ rune) { f.Write([]byte("(hidden)")) }
