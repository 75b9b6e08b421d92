// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"wgtools/internal/fakedevice"
)

// A generator makes input for wg, mostly sound, with a few faults.
type generator struct{ *rand.Rand }

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) key() string {
	if g.IntN(30) == 0 {
		return g.pick("short", fakedevice.Fill("{key}", 1)[:43], fakedevice.Fill("{key}", 2)+"=", strings.Repeat("/", 43)+"=", strings.Repeat("A", 43)+"=")
	}
	return fakedevice.Fill("{key}", g.IntN(5))
}

func (g generator) ip() string {
	if g.IntN(25) == 0 {
		return g.pick("", "10.0.0", "10.0.0.256", "010.0.0.1", "fe80::1%lo", "[::1]", "1.2.3.4.5", ":::", "::1:2:3:4:5:6:7:8", "1::2::3", "::ffff:1.2.3", "a", "1.2.3.4/", "::/129", "1.2.3.4/33", "1.2.3.4/x", "1.2.3.4/8/8")
	}
	address := g.pick("10.0.0.1", "0.0.0.0", "255.255.255.255", "192.168.1.2", "::", "::1", "::1:0", "::ffff:1.2.3.4", "::1.2.3.4", "fd00::1", "2001:DB8:0:0:1::1", "1:2:3:4:5:6:7:8", "64:ff9b::1.2.3.4", "1:2:3:4:5:6:7::")
	limit := 32
	if strings.Contains(address, ":") {
		limit = 128
	}
	switch g.IntN(4) {
	case 0:
		return address
	case 1:
		return fmt.Sprintf("%s/0%d", address, g.IntN(limit+1))
	}
	return fmt.Sprintf("%s/%d", address, g.IntN(limit+1))
}

func (g generator) ips() string {
	list := make([]string, 1+g.IntN(3))
	for i := range list {
		list[i] = g.ip()
	}
	return strings.Join(list, g.pick(",", ", ", " , "))
}

func (g generator) endpoint() string {
	return g.pick("192.0.2.1:51820", "[::1]:1", "[2001:db8::1]:51820", "::1:80", "10:80", "1.2.3:80", "0x7f.1:80", "localhost:80", "vpn.example.org:domain",
		"[fe80::1%lo]:5", "[fe80::1%1]:5", "[fe80::1%77]:5", "1.2.3.4:65536", "1.2.3.4:+80", "1.2.3.4:070", "*:80",
		"nowhere:1", "1.2.3.4", "1.2.3.4:", ":80", "[::1]", "[::1", "[]:80", "1.2.3.4:http", "256.1.1.1:1", "[::1%lo]:5", "[fe80::1%]:5", "2001:db8::1", "1.2.3.4.:80", "[192.0.2.1]:7", "0177.1:9")
}

func (g generator) number() string {
	return g.pick("0", "1", "25", "51820", "65535", "65536", "70000", "010", "0x10", "0xca6c", "0XCA6C", "off", "OFF", "-1", "+7", "4294967295", "4294967296", "99999999999999999999", "x", "5x", "domain", "http", "2147483648")
}

// conf makes a configuration file.
func (g generator) conf() []byte {
	var b bytes.Buffer
	section := ""
	for range 1 + g.IntN(10) {
		name, value := "", ""
		switch n := g.IntN(12); {
		case n == 0 || section == "" && g.IntN(20) > 0:
			section = g.pick("[Interface]", "[Peer]", "[Peer]", "[peer]", "[INTERFACE]", "[ Peer ]")
			if g.IntN(40) == 0 {
				section = g.pick("[Peers]", "[Peer", "Peer]", "[]", "[Peer] x", "[Interface]]")
			}
			name = section
			if strings.EqualFold(strings.ReplaceAll(section, " ", ""), "[peer]") && g.IntN(15) > 0 {
				name += "\nPublicKey = " + g.key()
			}
		case n == 1:
			name, value = g.pick("PrivateKey", "ListenPort", "FwMark", "PublicKey", "PresharedKey", "AllowedIPs", "Endpoint", "PersistentKeepalive", "Address", "DNS", "AllowedIP", "listen-port", "X", ""), g.pick(g.number(), g.key(), g.ip(), "")
			if g.IntN(3) > 0 {
				continue
			}
		case n == 2:
			name = g.pick("", "# comment", "#", "   ", "\t# = x", ";", "x", "\x00", "=", "\xff")
			if g.IntN(2) > 0 {
				name = g.pick("", "# comment", " \t ")
			}
		case strings.EqualFold(strings.ReplaceAll(section, " ", ""), "[interface]"):
			switch g.IntN(3) {
			case 0:
				name, value = "PrivateKey", g.key()
			case 1:
				name, value = "ListenPort", g.number()
			default:
				name, value = "FwMark", g.number()
			}
		default:
			switch g.IntN(5) {
			case 0:
				name, value = "PublicKey", g.key()
			case 1:
				name, value = "PresharedKey", g.key()
			case 2:
				name, value = "AllowedIPs", g.ips()
			case 3:
				name, value = "Endpoint", g.endpoint()
			default:
				name, value = "PersistentKeepalive", g.number()
			}
		}
		line := name
		if value != "" {
			line += g.pick("=", " = ", " =", "= ", "\t=\t", "==") + value
			if strings.Contains(line, "==") && g.IntN(8) > 0 {
				line = name + "=" + value
			}
		}
		switch g.IntN(12) {
		case 0:
			line = g.pick(" ", "\t", "\v", "\f") + line
		case 1:
			line += g.pick(" ", "\r", " # x", "#x", "\x00junk", " \t")
		case 2:
			line = strings.ToLower(name) + line[len(name):]
		case 3: // a blank somewhere
			i := g.IntN(len(line) + 1)
			line = line[:i] + " " + line[i:]
		case 4:
			if g.IntN(6) == 0 && line != "" { // a wrong byte somewhere
				i := g.IntN(len(line))
				line = line[:i] + string([]byte{byte(g.IntN(256))}) + line[i+1:]
			}
		}
		b.WriteString(line)
		if g.IntN(30) > 0 {
			b.WriteString(g.pick("\n", "\n", "\n", "\r\n"))
		}
	}
	return b.Bytes()
}

// words makes what follows the interface of "wg set".
func (g generator) words() (words []string) {
	inPeer := false
	for range 1 + g.IntN(6) {
		switch g.IntN(11) {
		case 0, 1:
			words = append(words, "peer", g.key())
			inPeer = true
		case 2:
			words = append(words, g.pick("listen-port", "fwmark", "persistent-keepalive"), g.mostly("7", g.number()))
			continue
		case 3:
			words = append(words, g.pick("remove", "", "Peer", "allowed-ip", "endpoint", "listen-port", "private-key", "--help"))
			if g.IntN(4) > 0 {
				words = words[:len(words)-1]
			}
			continue
		}
		if inPeer {
			switch g.IntN(5) {
			case 0:
				words = append(words, "endpoint", g.mostly("192.0.2.1:51820", g.endpoint()))
			case 1:
				words = append(words, "allowed-ips", g.pick(g.ips(), g.ips(), ""))
			case 2:
				words = append(words, "persistent-keepalive", g.mostly("25", g.number()))
			case 3:
				words = append(words, "preshared-key", g.mostly("good", g.keyFile()))
			default:
				words = append(words, "remove")
			}
			continue
		}
		switch g.IntN(3) {
		case 0:
			words = append(words, "listen-port", g.mostly("51820", g.number()))
		case 1:
			words = append(words, "fwmark", g.mostly("0xca6c", g.number()))
		default:
			words = append(words, "private-key", g.mostly("good", g.keyFile()))
		}
	}
	return words
}

// mostly returns the sound value, or one time in four the other.
func (g generator) mostly(sound, other string) string {
	if g.IntN(4) > 0 {
		return sound
	}
	return other
}

// keyFile returns the name of a file; some of them hold a key.
func (g generator) keyFile() string {
	return g.pick("good", "blanks", "short", "empty", "comment", "nokey", "missing", ".", "/dev/null")
}

// keyFiles are the files that keyFile names.
func keyFiles() map[string]string {
	k := fakedevice.Fill("{key}", 1)
	return map[string]string{
		"good": k + "\n", "blanks": k + " \t\v\n", "short": k[:43], "empty": "", "comment": k + " # x", "nokey": k[:43] + "\n",
	}
}
