// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build linux

package kernel_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestConfigure drives a device through every way of configuring it and
// compares the whole device after each step.
func TestConfigure(t *testing.T) {
	iface := "[Interface]\nListenPort = 40001\nFwMark = 0xca6c\nPrivateKey = " + private("home") + "\n"
	peer := func(word, lines string) string {
		return "\n[Peer]\nPublicKey = " + public(word) + "\n" + lines
	}
	psk := "PresharedKey = " + private("psk") + "\n"
	full := peer("full", psk+"AllowedIPs = 10.0.0.0/24, fd00::/64\nEndpoint = 192.0.2.1:51820\nPersistentKeepalive = 25\n")

	inKernel(t, func(t *testing.T) {
		wgLink(t, "wg0")
		privateFile, pskFile := write(t, private("home")+"\n"), write(t, private("psk")+"\n")
		steps := []struct {
			name string
			args []string // of wg, "wg0" after the first
			file string   // where args say FILE
			want string   // what showconf prints; the peers in any order
		}{
			{"set the interface", []string{"set", "listen-port", "40001", "fwmark", "0xca6c", "private-key", privateFile}, "", iface},
			{"set a peer", []string{"set", "peer", public("full"), "preshared-key", pskFile, "endpoint", "192.0.2.1:51820",
				"persistent-keepalive", "25", "allowed-ips", "10.0.0.0/24,fd00::/64"}, "", iface + full},
			{"set another", []string{"set", "peer", public("bare"), "peer", public("six"), "endpoint", "[2001:db8::1]:1",
				"allowed-ips", "fd00:1::/64"}, "",
				iface + full + peer("bare", "") + peer("six", "AllowedIPs = fd00:1::/64\nEndpoint = [2001:db8::1]:1\n")},
			{"an allowed IP moves to who asks last", []string{"set", "peer", public("bare"), "allowed-ips", "fd00:1::/64"}, "",
				iface + full + peer("bare", "AllowedIPs = fd00:1::/64\n") + peer("six", "Endpoint = [2001:db8::1]:1\n")},
			{"turn off one by one", []string{"set", "fwmark", "off", "peer", public("full"), "preshared-key", "/dev/null",
				"persistent-keepalive", "off", "allowed-ips", "", "peer", public("six"), "remove"}, "",
				strings.Replace(iface, "FwMark = 0xca6c\n", "", 1) + peer("full", "Endpoint = 192.0.2.1:51820\n") +
					peer("bare", "AllowedIPs = fd00:1::/64\n")},
			{"addconf adds and replaces allowed IPs", []string{"addconf", "FILE"},
				"[Interface]\nFwMark = 51820\n" + peer("bare", "AllowedIPs = 10.1.0.0/16\n") + peer("new", psk),
				iface + peer("full", "Endpoint = 192.0.2.1:51820\n") + peer("bare", "AllowedIPs = 10.1.0.0/16\n") + peer("new", psk)},
			{"syncconf leaves what the file says", []string{"syncconf", "FILE"},
				iface + full + peer("new", "AllowedIPs = 10.9.9.9\n"),
				iface + full + peer("new", "AllowedIPs = 10.9.9.9/32\n")},
			{"syncconf again changes nothing", []string{"syncconf", "FILE"},
				iface + full + peer("new", "AllowedIPs = 10.9.9.9\n"),
				iface + full + peer("new", "AllowedIPs = 10.9.9.9/32\n")},
			{"syncconf takes a peer away", []string{"syncconf", "FILE"}, iface + full, iface + full},
			{"setconf replaces all", []string{"setconf", "FILE"},
				"[Interface]\nListenPort = 40001\nPrivateKey = " + private("other") + peer("six", "AllowedIPs = 0.0.0.0/0,::/0\n"),
				"[Interface]\nListenPort = 40001\nPrivateKey = " + private("other") + "\n" + peer("six", "AllowedIPs = 0.0.0.0/0, ::/0\n")},
			{"the device's own key is no peer", []string{"addconf", "FILE"},
				peer("other", "AllowedIPs = 10.3.0.0/16\n") + peer("home", "AllowedIPs = 10.4.0.0/16\n"),
				"[Interface]\nListenPort = 40001\nPrivateKey = " + private("other") + "\n" + peer("six", "AllowedIPs = 0.0.0.0/0, ::/0\n") +
					peer("home", "AllowedIPs = 10.4.0.0/16\n")},
			{"a private key drops the peer that has it", []string{"set", "private-key", privateFile}, "",
				"[Interface]\nListenPort = 40001\nPrivateKey = " + private("home") + "\n" + peer("six", "AllowedIPs = 0.0.0.0/0, ::/0\n")},
			{"the last line without a newline", []string{"setconf", "FILE"},
				"[Interface]\r\nListenPort=40001 # port\r\n[Peer]\r\nPublicKey=" + public("six"),
				"[Interface]\nListenPort = 40001\n" + peer("six", "")},
		}
		for _, s := range steps {
			args := slices.Insert(slices.Clone(s.args), 1, "wg0")
			if i := slices.Index(args, "FILE"); i > 0 {
				args[i] = write(t, s.file)
			}
			wg(t, args...)
			same(t, s.name, bySection(wg(t, "showconf", "wg0")), bySection(s.want))
		}

		wg(t, "setconf", "wg0", write(t, ""))
		if got := wg(t, "show", "wg0", "dump"); !strings.HasPrefix(got, "(none)\t(none)\t") || strings.Count(got, "\n") != 1 {
			t.Errorf("after setconf of an empty file the dump is %q", got)
		}
	})
}

// bySection puts the peers of a configuration into the order of their text:
// the kernel lists them as it likes.
func bySection(conf string) string {
	conf = strings.ReplaceAll(conf, "\n\n", "\n")
	sections := strings.SplitAfter(strings.ReplaceAll(conf, "[Peer]\n", "\x00[Peer]\n"), "\x00")
	for i := range sections {
		sections[i] = strings.TrimRight(sections[i], "\x00\n")
		lines := strings.Split(sections[i], "\n")
		slices.Sort(lines[1:])
		sections[i] = strings.Join(lines, "\n")
	}
	slices.Sort(sections[1:])
	return strings.Join(sections, "\n")
}

// TestCopy writes a device as a file and reads it into another one.
func TestCopy(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		wgLink(t, "wg0", "wg1")
		var b strings.Builder
		fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nFwMark = 7\nListenPort = 40003\n", private("home"))
		for i := range 40 {
			fmt.Fprintf(&b, "[Peer]\nPublicKey = %s\n", public(fmt.Sprint("copy", i)))
			if i%2 == 0 {
				fmt.Fprintf(&b, "PresharedKey = %s\n", private(fmt.Sprint("psk", i)))
			}
			if i%3 == 0 {
				fmt.Fprintf(&b, "Endpoint = [fd00:99::%x]:%d\nPersistentKeepalive = %d\n", i+1, 1000+i, i)
			}
			for j := range i {
				fmt.Fprintf(&b, "AllowedIPs = 10.%d.%d.0/24, fd00:%x:%x::/64\n", i, j, i, j)
			}
		}
		wg(t, "setconf", "wg0", write(t, b.String()))
		conf := wg(t, "showconf", "wg0")
		wg(t, "setconf", "wg1", write(t, conf))
		same(t, "showconf of the copy", wg(t, "showconf", "wg1"), conf)
		same(t, "dump of the copy", wg(t, "show", "wg1", "dump"), wg(t, "show", "wg0", "dump"))
	})
}

// TestManyPeers fills and reads messages to their limit: 4,096 peers with 8
// allowed IPs each.
func TestManyPeers(t *testing.T) {
	const peers, ips = 4096, 8
	many := func(changed int) string {
		var b strings.Builder
		fmt.Fprintf(&b, "[Interface]\nPrivateKey = %s\nListenPort = 40002\n", private("hub"))
		for i := range peers {
			k := key(fmt.Sprint(i)) // any 32 bytes do as a public key
			fmt.Fprintf(&b, "[Peer]\nPublicKey = %s\nPresharedKey = %s\nPersistentKeepalive = %d\nAllowedIPs = ",
				k.Base64(), private(fmt.Sprint("psk", i)), 20+i%10)
			for j := range ips - 1 {
				if j%2 == 0 {
					fmt.Fprintf(&b, "10.%d.%d.%d/32, ", i>>8, i&255, j)
				} else {
					fmt.Fprintf(&b, "fd00::%x:%x/128, ", i, j)
				}
			}
			fmt.Fprintf(&b, "172.16.%d.%d\nEndpoint = 192.0.2.1:%d\n", i>>8, i&255, 1+i)
			if i == changed {
				fmt.Fprintf(&b, "AllowedIPs = 198.51.100.0/24\n")
			}
		}
		return b.String()
	}
	inKernel(t, func(t *testing.T) {
		file := write(t, many(-1))
		// One after the other: newer kernels have a thread for each peer.
		wgLink(t, "wg1")
		do(t, *debianWG, "setconf", "wg1", file)
		want := sorted(do(t, *debianWG, "show", "wg1", "dump"))
		do(t, "ip", "link", "del", "wg1")
		wgLink(t, "wg0")
		wg(t, "setconf", "wg0", file)
		dump := sorted(wg(t, "show", "wg0", "dump"))
		if got := strings.Count(dump, "\n"); got != peers+1 {
			t.Errorf("the dump has %d lines, want %d", got, peers+1)
		}
		if got := strings.Count(dump, ",") + peers; got != peers*ips {
			t.Errorf("the dump has %d allowed IPs, want %d", got, peers*ips)
		}
		same(t, "filled by ours and by Debian's wg", dump, want)
		same(t, "read by ours and by Debian's wg", wg(t, "show", "wg0", "dump"), do(t, *debianWG, "show", "wg0", "dump"))

		wg(t, "syncconf", "wg0", write(t, many(1234)))
		after := sorted(wg(t, "show", "wg0", "dump"))
		if got, want := strings.Count(after, ","), strings.Count(dump, ",")+1; got != want {
			t.Errorf("after syncconf of one more allowed IP there are %d, want %d", got, want)
		}
		same(t, "after syncconf, less the one allowed IP", strings.Replace(after, ",198.51.100.0/24", "", 1), dump)

		conf := wg(t, "showconf", "wg0")
		same(t, "showconf, ours and Debian's", conf, do(t, *debianWG, "showconf", "wg0"))
		wg(t, "setconf", "wg0", write(t, "[Interface]\n"))
		if got := wg(t, "show", "wg0", "peers"); got != "" {
			t.Errorf("after setconf without peers there are %d", strings.Count(got, "\n"))
		}
	})
}

// TestManyAllowedIPs cuts a peer over many messages and takes it back together.
func TestManyAllowedIPs(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		wgLink(t, "wg0", "wg1")
		var list []string
		for i := range 3000 {
			if i%5 == 0 {
				list = append(list, fmt.Sprintf("fd00::%x:1/128", i+1))
			} else {
				list = append(list, fmt.Sprintf("10.0.%d.%d/32", i>>8, i&255))
			}
		}
		args := []string{"peer", public("before"), "allowed-ips", "10.250.0.0/16",
			"peer", public("wide"), "persistent-keepalive", "7", "allowed-ips", strings.Join(list, ","),
			"peer", public("after"), "allowed-ips", "10.251.0.0/16"}
		wg(t, append([]string{"set", "wg0"}, args...)...)
		do(t, *debianWG, append([]string{"set", "wg1"}, args...)...)
		for _, line := range strings.Split(wg(t, "show", "wg0", "allowed-ips"), "\n") {
			if peer, ips, _ := strings.Cut(line, "\t"); peer == public("wide") {
				got := strings.Fields(ips)
				slices.Sort(got)
				slices.Sort(list)
				if !slices.Equal(got, list) {
					t.Errorf("the peer has %d allowed IPs, %.99q …; want %d, %.99q …", len(got), got, len(list), list)
				}
			}
		}
		for _, field := range []string{"allowed-ips", "persistent-keepalive", "peers"} {
			same(t, field+" as by Debian's wg", wg(t, "show", "wg0", field), do(t, *debianWG, "show", "wg1", field))
			same(t, field+" read by both", wg(t, "show", "wg0", field), do(t, *debianWG, "show", "wg0", field))
		}
	})
}

// sorted puts lines into order, those of a dump after its first.
func sorted(text string) string {
	first, rest, _ := strings.Cut(text, "\n")
	lines := slices.Sorted(strings.Lines(rest))
	return first + "\n" + strings.Join(lines, "")
}

// TestIncremental adds and takes away single allowed IPs.
func TestIncremental(t *testing.T) {
	inKernel(t, func(t *testing.T) {
		wgLink(t, "wg0")
		wg(t, "set", "wg0", "peer", public("a"), "allowed-ips", "10.0.0.1,10.0.0.2,fd00::1", "peer", public("b"), "allowed-ips", "10.0.1.0/24")
		allowed := func(word string) string {
			t.Helper()
			for line := range strings.Lines(wg(t, "show", "wg0", "allowed-ips")) {
				if peer, ips, _ := strings.Cut(strings.TrimSpace(line), "\t"); peer == public(word) {
					list := strings.Fields(ips)
					slices.Sort(list)
					return strings.Join(list, " ")
				}
			}
			return "no such peer"
		}
		check := func(what, word, want string) {
			t.Helper()
			if got := allowed(word); got != want {
				t.Errorf("%s: the allowed IPs are %q, want %q", what, got, want)
			}
		}

		wg(t, "set", "wg0", "peer", public("a"), "allowed-ips", "+10.0.0.3")
		check("added one", "a", "10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 fd00::1/128")

		remove := []string{"set", "wg0", "peer", public("a"), "allowed-ips", "-10.0.0.2,+10.0.0.4,-fd00::1"}
		if r := try(t, "", ourWG(), remove...); r.exit != 0 {
			if *incremental {
				t.Fatalf("exit %d, %s", r.exit, r.stderr)
			}
			if r.exit != 1 || !strings.HasPrefix(r.stderr, "Unable to modify interface: Invalid argument\n") {
				t.Errorf("an older kernel refuses: exit %d, %q", r.exit, r.stderr)
			}
			check("refused", "a", "10.0.0.1/32 10.0.0.2/32 10.0.0.3/32 fd00::1/128")
			return
		}
		check("two gone, one more", "a", "10.0.0.1/32 10.0.0.3/32 10.0.0.4/32")
		wg(t, "set", "wg0", "peer", public("a"), "allowed-ips", "-10.0.1.0/24,-10.77.0.0/16")
		check("another peer's is not ours to take", "b", "10.0.1.0/24")
		check("one it hasn't", "a", "10.0.0.1/32 10.0.0.3/32 10.0.0.4/32")
		wg(t, "addconf", "wg0", write(t, "[Peer]\nPublicKey = "+public("a")+"\nAllowedIPs = -10.0.0.1, +10.0.9.0/24\n"))
		check("by a file", "a", "10.0.0.3/32 10.0.0.4/32 10.0.9.0/24")

		// More than one message.
		var plus, minus []string
		for i := range 1000 {
			plus = append(plus, fmt.Sprintf("+10.9.%d.%d", i>>8, i&255))
			minus = append(minus, fmt.Sprintf("-10.9.%d.%d", i>>8, i&255))
		}
		wg(t, "set", "wg0", "peer", public("b"), "allowed-ips", strings.Join(plus, ","))
		if got := len(strings.Fields(allowed("b"))); got != 1001 {
			t.Errorf("%d allowed IPs, want 1001", got)
		}
		wg(t, "set", "wg0", "peer", public("b"), "allowed-ips", strings.Join(minus, ","))
		check("a thousand gone", "b", "10.0.1.0/24")
	})
}
