// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"wgtools/internal/config"
	"wgtools/internal/device"
)

const (
	key  = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	key2 = "vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM="
)

// literal is a resolver that knows numbers only, and counts.
type literal struct{ asked []string }

func (r *literal) Port(s string) (uint16, error) {
	var n uint16
	if _, err := fmt.Sscanf(s, "%d", &n); err != nil {
		return 0, fmt.Errorf("Servname not supported for ai_socktype: `%s'", s)
	}
	return n, nil
}

func (r *literal) Endpoint(s string) (netip.AddrPort, error) {
	r.asked = append(r.asked, s)
	e, err := netip.ParseAddrPort(s)
	if err != nil {
		return e, fmt.Errorf("Name or service not known: `%s'", s)
	}
	return e, nil
}

// describe is a change in a line, for comparing.
func describe(c *device.Change) string {
	var b strings.Builder
	if c.PrivateKey.Set {
		b.WriteString("key=" + c.PrivateKey.Value.Base64()[:4] + " ")
	}
	if c.ListenPort.Set {
		fmt.Fprintf(&b, "port=%d ", c.ListenPort.Value)
	}
	if c.Fwmark.Set {
		fmt.Fprintf(&b, "mark=%d ", c.Fwmark.Value)
	}
	for _, p := range c.Peers {
		b.WriteString("peer=" + p.PublicKey.Base64()[:4] + " ")
		if p.PresharedKey.Set {
			b.WriteString("psk=" + p.PresharedKey.Value.Base64()[:4] + " ")
		}
		if p.Endpoint.IsValid() {
			fmt.Fprintf(&b, "endpoint=%v ", p.Endpoint)
		}
		if p.PersistentKeepalive.Set {
			fmt.Fprintf(&b, "keepalive=%d ", p.PersistentKeepalive.Value)
		}
		if p.ReplaceAllowedIPs {
			b.WriteString("replace ")
		}
		for _, ip := range p.AllowedIPs {
			if ip.Remove {
				b.WriteString("-")
			}
			fmt.Fprintf(&b, "%v ", ip.Prefix)
		}
	}
	return strings.TrimSpace(b.String())
}

func TestDecode(t *testing.T) {
	const iface, peer = "[Interface]\n", "[Peer]\nPublicKey=" + key + "\n"
	tests := map[string]struct{ in, want string }{
		"empty":                       {"", ""},
		"only comments":               {"# a\n\n   # b", ""},
		"all of an interface":         {iface + "PrivateKey = " + key + "\nListenPort = 51820\nFwMark = 0xca6c\n", "key=AAEC port=51820 mark=51820"},
		"all of a peer":               {peer + "PresharedKey=" + key2 + "\nAllowedIPs = 10.0.0.0/24, ::/0\nEndpoint = [::1]:1\nPersistentKeepalive = 25", "peer=AAEC psk=vXmv endpoint=[::1]:1 keepalive=25 replace 10.0.0.0/24 ::/0"},
		"a bare peer":                 {peer, "peer=AAEC replace"},
		"no final newline":            {iface + "ListenPort=5", "port=5"},
		"CRLF":                        {"[Interface]\r\nListenPort = 5\r\n", "port=5"},
		"vertical tab and form feed":  {iface + "\v\fListenPort\v=\f5\n", "port=5"},
		"blanks in words":             {"[ Inter face ]\nListen Port = 5 1 8\nP r i v a t e K e y = " + key[:9] + " " + key[9:], "key=AAEC port=518"},
		"blanks in lists":             {peer + "AllowedIPs = 10.0. 0.1 / 32 , 10.0.0.2/32", "peer=AAEC replace 10.0.0.1/32 10.0.0.2/32"},
		"any case":                    {"[iNTERFACE]\nLISTENPORT=5\n[PEER]\npublickey=" + key, "port=5 peer=AAEC replace"},
		"comments":                    {"[Interface] # x\nListenPort=5#x\n[Peer]# [y]\nPublicKey=" + key + " # = z", "port=5 peer=AAEC replace"},
		"NUL ends a line":             {iface + "ListenPort=5\x00junk\nFwMark=7", "port=5 mark=7"},
		"the last wins":               {iface + "ListenPort=1\nListenPort=2\nFwMark=1\n[Interface]\nFwMark=off", "port=2 mark=0"},
		"interface after peers":       {peer + iface + "ListenPort=1", "port=1 peer=AAEC replace"},
		"two peers, one key":          {peer + peer, "peer=AAEC replace peer=AAEC replace"},
		"allowed IPs add up":          {peer + "AllowedIPs=10.0.0.1\nAllowedIPs=fd00::1", "peer=AAEC replace 10.0.0.1/32 fd00::1/128"},
		"signs":                       {peer + "AllowedIPs=+10.0.0.1,-10.0.0.2", "peer=AAEC 10.0.0.1/32 -10.0.0.2/32"},
		"the last list decides":       {peer + "AllowedIPs=+10.0.0.1\nAllowedIPs=10.0.0.2", "peer=AAEC replace 10.0.0.1/32 10.0.0.2/32"},
		"the last list decides again": {peer + "AllowedIPs=10.0.0.1\nAllowedIPs=+10.0.0.2", "peer=AAEC 10.0.0.1/32 10.0.0.2/32"},
		"leading zeros in lengths":    {peer + "AllowedIPs=10.0.0.0/08,fd00::/016", "peer=AAEC replace 10.0.0.0/8 fd00::/16"},
		"host bits stay":              {peer + "AllowedIPs=10.0.0.1/8", "peer=AAEC replace 10.0.0.1/8"},
		"marks":                       {iface + "FwMark=010\nFwMark=4294967295", "mark=4294967295"},
		"keepalive off":               {peer + "PersistentKeepalive=OFF", "peer=AAEC keepalive=0 replace"},
		"keepalive with zeros":        {peer + "PersistentKeepalive=025", "peer=AAEC keepalive=25 replace"},
		"zero preshared key":          {peer + "PresharedKey=" + strings.Repeat("A", 43) + "=", "peer=AAEC psk=AAAA replace"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c, err := config.Decode("wg0.conf", []byte(tt.in), config.Options{Resolver: &literal{}})
			if err != nil {
				t.Fatalf("Decode: %v", err)
			}
			if got := describe(&c.Change); got != tt.want {
				t.Errorf("Decode:\n got %s\nwant %s", got, tt.want)
			}
		})
	}
}

// The original's lines come first; then ours, with places.
func TestDecodeErrors(t *testing.T) {
	const parsing = "Configuration parsing error\n"
	const iface, peer = "[Interface]\n", "[Peer]\nPublicKey=" + key + "\n"
	tests := map[string]struct{ in, want string }{
		"misspelt": {iface + "ListenPort=1\n[Peer]\n  AllowedIP = 10.0.0.2/32\nPublicKey=" + key, "Line unrecognized: `AllowedIP=10.0.0.2/32'\n" + parsing +
			"wg0.conf:4:3: unknown key `AllowedIP'\nhint: did you mean AllowedIPs?"},
		"other spelling": {iface + "Listen-Port=1", "Line unrecognized: `Listen-Port=1'\n" + parsing +
			"wg0.conf:2:1: unknown key `Listen-Port'\nhint: did you mean ListenPort?"},
		"far off": {iface + "Colour=blue", "Line unrecognized: `Colour=blue'\n" + parsing +
			"wg0.conf:2:1: unknown key `Colour'\nhint: [Interface] takes PrivateKey, ListenPort, FwMark"},
		"the other section": {iface + "PublicKey = " + key2, "Line unrecognized: `PublicKey=" + key2 + "'\n" + parsing +
			"wg0.conf:2:1: PublicKey belongs to [Peer], this is [Interface]\nhint: move it below [Peer]"},
		"before any section": {"ListenPort=1", "Line unrecognized: `ListenPort=1'\n" + parsing +
			"wg0.conf:1:1: ListenPort stands before any section\nhint: put the line [Interface] above it"},
		"a key of wg-quick": {iface + "Address = 10.0.0.1/24", "Line unrecognized: `Address=10.0.0.1/24'\n" + parsing +
			"wg0.conf:2:1: Address is a key of wg-quick, not of wg\nhint: bring the file up with wg-quick, or take such keys out with `wg-quick strip'"},
		"a key of AmneziaWG": {iface + "Jc = 4", "Line unrecognized: `Jc=4'\n" + parsing +
			"wg0.conf:2:1: Jc is a key of AmneziaWG\nhint: such files are for awg and awg-quick"},
		"no value": {peer + "AllowedIPs =", "Line unrecognized: `AllowedIPs='\n" + parsing +
			"wg0.conf:3:13: AllowedIPs has no value\nhint: give it a list of IP/CIDR, or leave the line out"},
		"no =": {iface + "ListenPort", "Line unrecognized: `ListenPort'\n" + parsing +
			"wg0.conf:2:1: ListenPort has no value\nhint: ListenPort takes a port: ListenPort = …"},
		"colon": {peer + "PersistentKeepalive: 25", "Line unrecognized: `PersistentKeepalive:25'\n" + parsing +
			"wg0.conf:3:20: after PersistentKeepalive comes =\nhint: PersistentKeepalive takes seconds, or off: PersistentKeepalive = …"},
		"semicolon": {"; c", "Line unrecognized: `;c'\n" + parsing + "wg0.conf:1:1: not a comment\nhint: comments begin with #"},
		"byte-order mark": {"\ufeff[Interface]", "Line unrecognized: `\ufeff[Interface]'\n" + parsing +
			"wg0.conf:1:1: a byte-order mark stands before the text\nhint: save the file as UTF-8 without a byte-order mark"},
		"text after a section": {"[Peer] bob", "Line unrecognized: `[Peer]bob'\n" + parsing +
			"wg0.conf:1:7: text after a section's ]\nhint: put it into a comment: [Peer] # …\nwg0.conf:1:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"unknown section": {"[Peers]", "Line unrecognized: `[Peers]'\n" + parsing +
			"wg0.conf:1:1: unknown section\nhint: did you mean [Peer]?\nwg0.conf:1:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"a secret key is hidden": {iface + "PrivateKey = " + key[:43], "Key is not the correct length or format: `(hidden)'\n" + parsing +
			"wg0.conf:2:14: PrivateKey: a key has 44 characters, this has 43\nhint: keys are 44 characters as `wg genkey' and `wg pubkey' print them"},
		"a secret key in the wrong place": {peer + "PrivateKey = " + key, "Line unrecognized: `PrivateKey=(hidden)'\n" + parsing +
			"wg0.conf:3:1: PrivateKey belongs to [Interface], this is [Peer]\nhint: move it below [Interface]"},
		"a secret key under a misspelt name": {iface + "PrivatKey = " + key, "Line unrecognized: `PrivatKey=(hidden)'\n" + parsing +
			"wg0.conf:2:1: unknown key `PrivatKey'\nhint: did you mean PrivateKey?"},
		"a secret key alone": {iface + key, "Line unrecognized: `(hidden)'\n" + parsing +
			"wg0.conf:2:1: unknown key (hidden)\nhint: [Interface] takes PrivateKey, ListenPort, FwMark"},
		"a public key is shown": {"[Peer]\nPublicKey = short", "Key is not the correct length or format: `short'\n" + parsing +
			"wg0.conf:2:13: PublicKey: a key has 44 characters, this has 5\nhint: keys are 44 characters as `wg genkey' and `wg pubkey' print them"},
		"an address in the list": {peer + "AllowedIPs = 10.0.0.1, 10.0. 0.256 , ::1", "Unable to parse IP address: `10.0.0.256'\n" + parsing +
			"wg0.conf:3:24: AllowedIPs: `10.0.0.256' is no IP address\nhint: the four numbers go from 0 to 255 and have no leading zeros"},
		"a comma at the end": {peer + "AllowedIPs = 10.0.0.1,", "Unable to parse IP address: `'\n" + parsing +
			"wg0.conf:3:23: AllowedIPs: an address is missing\nhint: allowed IPs are separated by single commas, with none at the end"},
		"a length": {peer + "AllowedIPs = 10.0.0.0/33", "AllowedIP is not in the correct format: `10.0.0.0/33'\n" + parsing +
			"wg0.conf:3:23: AllowedIPs: `33' is no length of a prefix\nhint: after the / comes a number from 0 to 32"},
		"mark": {iface + "FwMark = 0X10", "Fwmark is neither 0/off nor 0-0xffffffff: `0X10'\n" + parsing +
			"wg0.conf:2:10: FwMark: not a mark\nhint: a mark is off, a decimal number, or a hexadecimal one such as 0xca6c"},
		"keepalive": {peer + "PersistentKeepalive = 65536", "Persistent keepalive interval is neither 0/off nor 1-65535: `65536'\n" + parsing +
			"wg0.conf:3:23: PersistentKeepalive: not a number of seconds\nhint: say 25 to keep a connection open through NAT, or off"},
		"what the resolver says": {peer + "Endpoint = nowhere:1", "Name or service not known: `nowhere:1'\n" + parsing +
			"wg0.conf:3:12: Endpoint: can't be resolved"},
		"a peer without key": {iface + "[Peer]\nAllowedIPs=::/0\n" + peer, "A peer is missing a public key\nInvalid configuration\n" +
			"wg0.conf:2:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"several": {iface + "ListenPort=1\nFoo=1\nFwMark=x\n" + peer + "AllowedIPs=x", "Line unrecognized: `Foo=1'\n" + parsing +
			"wg0.conf:3:1: unknown key `Foo'\nhint: [Interface] takes PrivateKey, ListenPort, FwMark\n" +
			"wg0.conf:4:8: FwMark: not a mark\nhint: a mark is off, a decimal number, or a hexadecimal one such as 0xca6c\n" +
			"wg0.conf:7:12: AllowedIPs: `x' is no IP address\nhint: allowed IPs are addresses, not names"},

		// Characters that came with the text.
		"UTF-16": {"\xff\xfe[\x00P\x00", "Line unrecognized: `\xff\xfe['\n" + parsing +
			"wg0.conf:1:1: the file is not plain text\nhint: save it as UTF-8 without a byte-order mark"},
		"a non-breaking space before a key": {iface + "\u00a0ListenPort=1", "Line unrecognized: `\u00a0ListenPort=1'\n" + parsing +
			"wg0.conf:2:1: a non-breaking space does not belong here\nhint: replace it by a plain space"},
		"a non-breaking space in a value": {peer + "AllowedIPs = 10.0.0.1/32,\u00a010.0.0.2", "Unable to parse IP address: `\u00a010.0.0.2'\n" + parsing +
			"wg0.conf:3:26: AllowedIPs: a non-breaking space does not belong here\nhint: replace it by a plain space"},
		"curly quotation marks": {iface + "FwMark = \u201c1\u201d", "Fwmark is neither 0/off nor 0-0xffffffff: `\u201c1\u201d'\n" + parsing +
			"wg0.conf:2:10: FwMark: a quotation mark does not belong here\nhint: names and values stand without quotation marks"},
		"quotation marks around a key": {iface + "PrivateKey = \"" + key + "\"", "Key is not the correct length or format: `(hidden)'\n" + parsing +
			"wg0.conf:2:14: PrivateKey: a quotation mark does not belong here\nhint: names and values stand without quotation marks"},
		"CR alone ends lines": {"[Interface]\rListenPort=5\r", "Line unrecognized: `[Interface]ListenPort=5'\n" + parsing +
			"wg0.conf:1:12: a carriage return inside the line\nhint: end lines in LF, or in CR and LF"},
		"CR alone between keys": {"[Peer]\nPublicKey=" + key + "\rPresharedKey=" + key2 + "\r", "Key is not the correct length or format: `(hidden)'\n" + parsing +
			"wg0.conf:2:55: PublicKey: a carriage return inside the line\nhint: end lines in LF, or in CR and LF"},

		// Habits from other formats.
		"slashes":             {"// c", "Line unrecognized: `//c'\n" + parsing + "wg0.conf:1:1: not a comment\nhint: comments begin with #"},
		"a remark at the end": {iface + "FwMark = 1 ; one\nFwMark = 1 // one", "Fwmark is neither 0/off nor 0-0xffffffff: `1;one'\n" + parsing + "wg0.conf:2:12: FwMark: not a comment\nhint: comments begin with #\nwg0.conf:3:12: FwMark: not a comment"},
		"no = but a value":    {iface + "ListenPort 1", "Line unrecognized: `ListenPort1'\n" + parsing + "wg0.conf:2:12: after ListenPort comes =\nhint: ListenPort takes a port: ListenPort = …"},
		"a list over lines": {peer + "AllowedIPs = 10.0.0.1,\n\t10.0.0.2/32", "Unable to parse IP address: `'\n" + parsing +
			"wg0.conf:3:23: AllowedIPs: an address is missing\nhint: allowed IPs are separated by single commas, with none at the end\n" +
			"wg0.conf:4:2: a value does not go on in the next line\nhint: repeat the key: AllowedIPs = LIST"},
		"a line that goes on": {peer + "AllowedIPs = 10.0.0.1, \\\n10.0.0.2", "Unable to parse IP address: `\\'\n" + parsing +
			"wg0.conf:3:24: AllowedIPs: `\\\\' is no IP address\nhint: a line can't go on in the next one: repeat the key there\n" +
			"wg0.conf:4:1: a value does not go on in the next line\nhint: repeat the key: AllowedIPs = LIST"},
		"another name":    {iface + "Port = 1", "Line unrecognized: `Port=1'\n" + parsing + "wg0.conf:2:1: unknown key `Port'\nhint: did you mean ListenPort?"},
		"letters swapped": {peer + "Endpiont = a:1", "Line unrecognized: `Endpiont=a:1'\n" + parsing + "wg0.conf:3:1: unknown key `Endpiont'\nhint: did you mean Endpoint?"},
		"near a key of wg-quick": {iface + "Adress = 10.0.0.1/24", "Line unrecognized: `Adress=10.0.0.1/24'\n" + parsing +
			"wg0.conf:2:1: unknown key `Adress'\nhint: did you mean Address? It is a key of wg-quick"},
		"a key of Android's app": {iface + "ExcludedApplications = a", "Line unrecognized: `ExcludedApplications=a'\n" + parsing +
			"wg0.conf:2:1: ExcludedApplications is a key of the WireGuard app for Android\nhint: leave it out here"},
		"sections of networkd": {"[WireGuard]\nFwMark = 1\n[WireGuardPeer]\nPublicKey=" + key, "Line unrecognized: `[WireGuard]'\n" + parsing +
			"wg0.conf:1:1: unknown section\nhint: did you mean [Interface]?\nwg0.conf:3:1: unknown section\nhint: did you mean [Peer]?"},
		"what is in an unknown section doesn't count": {"[Service]\nType = simple\nExec\n[Interface]\nFoo=1", "Line unrecognized: `[Service]'\n" + parsing +
			"wg0.conf:1:1: unknown section\nhint: sections are [Interface] and [Peer]\n" +
			"wg0.conf:5:1: unknown key `Foo'\nhint: [Interface] takes PrivateKey, ListenPort, FwMark"},
		"an open section": {"[Interface\nFwMark=1", "Line unrecognized: `[Interface'\n" + parsing +
			"wg0.conf:1:11: the section's ] is missing\nhint: sections are [Interface] and [Peer]"},
		"nothing before the =": {iface + "= 5", "Line unrecognized: `=5'\n" + parsing +
			"wg0.conf:2:1: the key is missing\nhint: [Interface] takes PrivateKey, ListenPort, FwMark"},
		"a name like a file": {iface + strings.Repeat("x", 100) + "\x1b[31m", "Line unrecognized: `" + strings.Repeat("x", 100) + "\x1b[31m'\n" + parsing +
			"wg0.conf:2:1: unknown key `" + strings.Repeat("x", 64) + "…'\nhint: [Interface] takes PrivateKey, ListenPort, FwMark"},

		// Values.
		"a port": {iface + "ListenPort = off", "Servname not supported for ai_socktype: `off'\n" + parsing + "wg0.conf:2:14: ListenPort: not a port"},
		"blanks between allowed IPs": {peer + "AllowedIPs = ::/0, 10.0.0.1/32 10.0.0.2/32", "AllowedIP is not in the correct format: `10.0.0.1/3210.0.0.2/32'\n" + parsing +
			"wg0.conf:3:20: AllowedIPs: `3210.0.0.2/32' is no length of a prefix\nhint: allowed IPs are separated by commas"},
		"a netmask": {peer + "AllowedIPs = 10.0.0.0/255.255.254.0", "AllowedIP is not in the correct format: `10.0.0.0/255.255.254.0'\n" + parsing +
			"wg0.conf:3:23: AllowedIPs: `255.255.254.0' is no length of a prefix\nhint: a netmask is written as its length here: /23"},
		"not a netmask": {peer + "AllowedIPs = ::/255.0.255.0", "AllowedIP is not in the correct format: `::/255.0.255.0'\n" + parsing +
			"wg0.conf:3:17: AllowedIPs: `255.0.255.0' is no length of a prefix\nhint: after the / comes a number from 0 to 128"},
		"brackets":      {peer + "AllowedIPs = [::1]/128", "Unable to parse IP address: `[::1]'\n" + parsing + "wg0.conf:3:14: AllowedIPs: `[::1]' is no IP address\nhint: allowed IPs have no brackets"},
		"a zone":        {peer + "AllowedIPs = fe80::1%eth0/64", "Unable to parse IP address: `fe80::1%eth0'\n" + parsing + "wg0.conf:3:14: AllowedIPs: `fe80::1%eth0' is no IP address\nhint: allowed IPs have no zone"},
		"a range":       {peer + "AllowedIPs = 10.0.0.1-10.0.0.9", "Unable to parse IP address: `10.0.0.1-10.0.0.9'\n" + parsing + "wg0.conf:3:14: AllowedIPs: `10.0.0.1-10.0.0.9' is no IP address\nhint: a range is written as networks, such as 10.0.0.0/24"},
		"semicolons":    {peer + "AllowedIPs = 10.0.0.1;10.0.0.2", "Unable to parse IP address: `10.0.0.1;10.0.0.2'\n" + parsing + "wg0.conf:3:14: AllowedIPs: `10.0.0.1;10.0.0.2' is no IP address\nhint: allowed IPs are separated by commas; comments begin with #"},
		"with a port":   {peer + "AllowedIPs = 10.0.0.1:51820", "Unable to parse IP address: `10.0.0.1:51820'\n" + parsing + "wg0.conf:3:14: AllowedIPs: `10.0.0.1:51820' is no IP address\nhint: allowed IPs have no port"},
		"three numbers": {peer + "AllowedIPs = 10.0.0/24", "Unable to parse IP address: `10.0.0'\n" + parsing + "wg0.conf:3:14: AllowedIPs: `10.0.0' is no IP address\nhint: an IPv4 address has four numbers"},
		"no end in =": {iface + "PrivateKey = " + key[:43] + "a", "Key is not the correct length or format: `(hidden)'\n" + parsing +
			"wg0.conf:2:14: PrivateKey: a key ends in =\nhint: keys are 44 characters as `wg genkey' and `wg pubkey' print them"},
		"stray bits": {"[Peer]\nPublicKey = " + key[:42] + "9=", "Key is not the correct length or format: `" + key[:42] + "9='\n" + parsing +
			"wg0.conf:2:13: PublicKey: not base64 of 32 bytes\nhint: keys are 44 characters as `wg genkey' and `wg pubkey' print them"},
		"no port, after an error": {peer + "Foo=1\nEndpoint = nowhere\nEndpoint = [::1\nEndpoint = [::1]5\nEndpoint = nowhere:1", "Line unrecognized: `Foo=1'\n" + parsing +
			"wg0.conf:3:1: unknown key `Foo'\nhint: [Peer] takes PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive\n" +
			"wg0.conf:4:12: Endpoint: expected HOST:PORT\nhint: an endpoint is HOST:PORT, such as vpn.example.org:51820 or [2001:db8::1]:51820\n" +
			"wg0.conf:5:12: Endpoint: expected HOST:PORT\nwg0.conf:6:12: Endpoint: expected HOST:PORT"},

		// What is secret, in all its disguises.
		"a key in two words":       {iface + "Private Kee = " + key, "Line unrecognized: `PrivateKee=(hidden)'\n" + parsing + "wg0.conf:2:1: unknown key `PrivateKee'\nhint: did you mean PrivateKey?"},
		"a secret key without =":   {iface + "PrivateKey " + key, "Line unrecognized: `PrivateKey(hidden)'\n" + parsing + "wg0.conf:2:12: after PrivateKey comes =\nhint: PrivateKey takes a key of 44 characters: PrivateKey = …"},
		"a secret key and a colon": {iface + "PrivateKey: " + key, "Line unrecognized: `PrivateKey:(hidden)'\n" + parsing + "wg0.conf:2:11: after PrivateKey comes =\nhint: PrivateKey takes a key of 44 characters: PrivateKey = …"},
		"a short secret":           {iface + "PresharedKey = hunter2", "Line unrecognized: `PresharedKey=(hidden)'\n" + parsing + "wg0.conf:2:1: PresharedKey belongs to [Peer], this is [Interface]\nhint: move it below [Peer]"},
		"under another name":       {peer + "PSK = " + key, "Line unrecognized: `PSK=(hidden)'\n" + parsing + "wg0.conf:3:1: unknown key `PSK'\nhint: did you mean PresharedKey?"},
		"under an unknown name":    {peer + "Secret = " + key, "Line unrecognized: `Secret=(hidden)'\n" + parsing + "wg0.conf:3:1: unknown key `Secret'\nhint: [Peer] takes PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive"},
		"a key that lost its =":    {peer + "Secret : " + key[:43], "Line unrecognized: `(hidden)'\n" + parsing + "wg0.conf:3:1: unknown key (hidden)\nhint: [Peer] takes PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive"},
		"a key in hexadecimal":     {peer + "Secret = " + strings.Repeat("0aF1", 16), "Line unrecognized: `Secret=(hidden)'\n" + parsing + "wg0.conf:3:1: unknown key `Secret'\nhint: [Peer] takes PublicKey, PresharedKey, AllowedIPs, Endpoint, PersistentKeepalive"},
		"as an allowed IP":         {peer + "AllowedIPs = ::1, " + key2, "Unable to parse IP address: `(hidden)'\n" + parsing + "wg0.conf:3:19: AllowedIPs: a key stands here, or several lines in one\nhint: AllowedIPs takes a list of IP/CIDR"},
		"as an endpoint":           {peer + "Endpoint = " + key, "Name or service not known: `(hidden)'\n" + parsing + "wg0.conf:3:12: Endpoint: a key stands here, or several lines in one\nhint: Endpoint takes HOST:PORT"},
		"two settings in a line":   {"[Peer]\nPublicKey = " + key + " PresharedKey = " + key2, "Key is not the correct length or format: `(hidden)'\n" + parsing + "wg0.conf:2:13: PublicKey: a key stands here, or several lines in one\nhint: PublicKey takes a key of 44 characters"},
		"a public key without =":   {"[Peer]\nPublicKey " + key, "Line unrecognized: `PublicKey" + key + "'\n" + parsing + "wg0.conf:2:11: after PublicKey comes =\nhint: PublicKey takes a key of 44 characters: PublicKey = …\nwg0.conf:1:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"a public key, nearly":     {"[Peer]\nPublickKey = " + key, "Line unrecognized: `PublickKey=" + key + "'\n" + parsing + "wg0.conf:2:1: unknown key `PublickKey'\nhint: did you mean PublicKey?\nwg0.conf:1:1: this peer has no PublicKey\nhint: every [Peer] needs the line PublicKey = KEY"},
		"a public key with a tail": {"[Peer]\nPublicKey = " + key + "x", "Key is not the correct length or format: `" + key + "x'\n" + parsing + "wg0.conf:2:13: PublicKey: a key has 44 characters, this has 45\nhint: keys are 44 characters as `wg genkey' and `wg pubkey' print them"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Decode("wg0.conf", []byte(tt.in), config.Options{Resolver: &literal{}})
			var e *config.Error
			if !errors.As(err, &e) {
				t.Fatalf("Decode: err = %v, want a config.Error", err)
			}
			if got := strings.Join(append(e.Original(), e.Advice()...), "\n"); got != tt.want {
				t.Errorf("it says:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}

// Reading stops quietly at an error: a directory is an empty file.
func TestDecodeReader(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "wg0.conf")
	if err := os.WriteFile(path, []byte("[Interface]\nListenPort=7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{path: "port=7", dir: ""} {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		c, err := config.DecodeReader(name, f, config.Options{})
		if err != nil || describe(&c.Change) != want {
			t.Errorf("DecodeReader(%s) = %v, %v; want %s", name, c, err, want)
		}
	}
	r := io.MultiReader(strings.NewReader("[Interface]\nFwMark=1\nFwMark=2"), iotest.ErrReader(errors.New("gone")))
	if c, err := config.DecodeReader("f", r, config.Options{}); err != nil || describe(&c.Change) != "mark=2" {
		t.Errorf("DecodeReader of what breaks off = %v, %v", c, err)
	}
}

// Columns count bytes of the line as it stands in the file.
func TestDecodeColumns(t *testing.T) {
	src := "[Interface]\r\n\t  Fw Mark\t=  \v1 2 x  # c\r\n  [ Peer ]  x\nPublicKey=" + key + "\nAllowed IPs = ::1 , 1 0.0.0. 300/8"
	_, err := config.Decode("f", []byte(src), config.Options{})
	e, ok := err.(*config.Error)
	if !ok {
		t.Fatalf("err = %v", err)
	}
	var got []string
	for _, p := range e.Problems {
		got = append(got, fmt.Sprintf("%d:%d", p.Pos.Line, p.Pos.Col))
	}
	if want := "2:16 3:11 5:21"; strings.Join(got, " ") != want {
		t.Errorf("places %v, want %s", got, want)
	}
}

// What a resolver says is told in its own words.
func TestDecodeResolverSays(t *testing.T) {
	_, err := config.Decode("f", []byte("[Interface]\nListenPort = x\n"), config.Options{Resolver: &talker{}})
	e, ok := err.(*config.Error)
	if !ok {
		t.Fatalf("err = %v", err)
	}
	want := "one\ntwo\nConfiguration parsing error\nf:2:14: ListenPort: because\nhint: do this"
	if got := strings.Join(append(e.Original(), e.Advice()...), "\n"); got != want {
		t.Errorf("it says:\n%s\nwant:\n%s", got, want)
	}
}

type talker struct{ literal }

func (talker) Port(string) (uint16, error) { return 0, talk{} }

type talk struct{}

func (talk) Error() string      { return "talk" }
func (talk) Original() []string { return []string{"one", "two"} }
func (talk) Advice() []string   { return []string{"because", "hint: do this"} }

// After ten problems it is said how many more there are.
func TestDecodeManyErrors(t *testing.T) {
	tests := map[string]string{
		"lines":                "[Interface]\n" + strings.Repeat("x\n", 25),
		"values":               "[Interface]\n" + strings.Repeat("ListenPort = x\n", 25),
		"peers":                strings.Repeat("[Peer]\n", 25),
		"of wg-quick and wg's": "[Interface]\n" + strings.Repeat("FwMark = x\n", 13) + strings.Repeat("SaveConfig = x\n", 12),
	}
	for name, src := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Decode("f", []byte(src), config.Options{Dialect: config.Quick})
			e, ok := err.(*config.Error)
			if !ok {
				t.Fatalf("err = %v", err)
			}
			lines := e.Advice()
			if last := lines[len(lines)-1]; last != "and 15 more" || len(e.Problems) != 10 {
				t.Errorf("%d problems, and the last line is %q", len(e.Problems), last)
			}
		})
	}
}

// Once a line is wrong no name is looked up, which may take minutes.
func TestDecodeResolvesInOrder(t *testing.T) {
	r := &literal{}
	src := "[Peer]\nPublicKey=" + key + "\nEndpoint=192.0.2.1:1\nEndpoint=192.0.2.2:2\nFoo=1\nEndpoint=192.0.2.3:3\n"
	if _, err := config.Decode("f", []byte(src), config.Options{Resolver: r}); err == nil {
		t.Fatal("no error")
	}
	if got := strings.Join(r.asked, " "); got != "192.0.2.1:1 192.0.2.2:2" {
		t.Errorf("resolved %s", got)
	}
}

func TestDecodeWarnings(t *testing.T) {
	src := "[Peer]\nPublicKey=" + key + "\nAllowedIPs = 10.0.0.0/8,  10.0.0.1/08, fd00::1/64, 10.0.0.1/32\nAllowedIPs=x\nAllowedIPs=10.0.0.2/8"
	var got []string
	_, err := config.Decode("wg0.conf", []byte(src), config.Options{Warn: func(w config.Warning) {
		got = append(got, w.Text, fmt.Sprint(w.Pos), w.Hint)
	}})
	if err == nil {
		t.Error("no error")
	}
	want := []string{
		"Warning: AllowedIP has nonzero host part: 10.0.0.1/08", "wg0.conf:3:27", "it counts as 10.0.0.0/8",
		"Warning: AllowedIP has nonzero host part: fd00::1/64", "wg0.conf:3:40", "it counts as fd00::/64",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("warned:\n%q\nwant:\n%q", got, want)
	}
}

// A fault in the environment is told as it is, without a place in the file.
func TestDecodeEnvironment(t *testing.T) {
	_, err := config.Decode("f", []byte("[Peer]\nEndpoint=x\nFoo"), config.Options{Resolver: &broken{}})
	if err != (environment{}) {
		t.Errorf("err = %v", err)
	}
}

type broken struct{ literal }

func (*broken) Endpoint(string) (netip.AddrPort, error) { return netip.AddrPort{}, environment{} }

type environment struct{}

func (environment) Error() string     { return "Unable to parse VARIABLE" }
func (environment) Environment() bool { return true }

func TestParseFwmark(t *testing.T) {
	tests := map[string]uint32{"0": 0, "off": 0, "OFF": 0, "010": 10, "08": 8, "51820": 51820, "0xca6c": 51820, "0xCA6C": 51820, "4294967295": 4294967295, "0xffffffff": 4294967295}
	for in, want := range tests {
		if got, err := config.ParseFwmark(in); err != nil || got != want {
			t.Errorf("ParseFwmark(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0x", "0X10", "-1", "+1", " 1", "1 ", "4294967296", "0x100000000", "abc", "0xg", "1x", "99999999999999999999999"} {
		if _, err := config.ParseFwmark(in); err == nil || err.Error() != "Fwmark is neither 0/off nor 0-0xffffffff: `"+in+"'" {
			t.Errorf("ParseFwmark(%q): err = %v", in, err)
		}
	}
}

func TestParseKeepalive(t *testing.T) {
	for in, want := range map[string]uint16{"0": 0, "off": 0, "Off": 0, "025": 25, "65535": 65535} {
		if got, err := config.ParseKeepalive(in); err != nil || got != want {
			t.Errorf("ParseKeepalive(%q) = %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "65536", "0x19", "+25", "-1", " 25", "25 ", "25s", "x"} {
		if _, err := config.ParseKeepalive(in); err == nil || err.Error() != "Persistent keepalive interval is neither 0/off nor 1-65535: `"+in+"'" {
			t.Errorf("ParseKeepalive(%q): err = %v", in, err)
		}
	}
}

func TestAppendAllowedIPs(t *testing.T) {
	tests := []struct{ in, want, err string }{
		{"", "replace", ""},
		{"1 0.0.0.1", "replace 10.0.0.1/32", ""},
		{"10.0.0.1,::1", "replace 10.0.0.1/32 ::1/128", ""},
		{"::1:0", "replace ::1:0/128", ""},
		{"::ffff:1.2.3.4/120", "replace ::ffff:1.2.3.4/120", ""},
		{"10.0.0.0/0", "replace 10.0.0.0/0", ""},
		{"+10.0.0.1", "10.0.0.1/32", ""},
		{"10.0.0.1,-10.0.0.2", "10.0.0.1/32 -10.0.0.2/32", ""},
		{"10.0.0.1,", "", "Unable to parse IP address: `'"},
		{",", "", "Unable to parse IP address: `'"},
		{"+", "", "Unable to parse IP address: `'"},
		{"++10.0.0.1", "", "Unable to parse IP address: `+10.0.0.1'"},
		{"+-10.0.0.1", "", "Unable to parse IP address: `-10.0.0.1'"},
		{"010.0.0.1", "", "Unable to parse IP address: `010.0.0.1'"},
		{"10.0.0", "", "Unable to parse IP address: `10.0.0'"},
		{"10.0.0.1.2", "", "Unable to parse IP address: `10.0.0.1.2'"},
		{"fe80::1%lo/64", "", "Unable to parse IP address: `fe80::1%lo'"},
		{"fe80::1%", "", "Unable to parse IP address: `fe80::1%'"},
		{"[::1]", "", "Unable to parse IP address: `[::1]'"},
		{"::00001", "", "Unable to parse IP address: `::00001'"},
		{"10.0.0.0/", "", "AllowedIP is not in the correct format: `10.0.0.0/'"},
		{"10.0.0.0/33", "", "AllowedIP is not in the correct format: `10.0.0.0/33'"},
		{"10.0.0.0/+8", "", "AllowedIP is not in the correct format: `10.0.0.0/+8'"},
		{"10.0.0.0/8/8", "", "AllowedIP is not in the correct format: `10.0.0.0/8/8'"},
		{"-10.0.0.0/255.0.0.0", "", "AllowedIP is not in the correct format: `10.0.0.0/255.0.0.0'"},
		{"::/129", "", "AllowedIP is not in the correct format: `::/129'"},
	}
	for _, tt := range tests {
		ips, replace, err := config.AppendAllowedIPs(nil, tt.in, nil)
		if tt.err != "" {
			if err == nil || err.Error() != tt.err {
				t.Errorf("AppendAllowedIPs(%q): err = %v, want %q", tt.in, err, tt.err)
			}
			continue
		}
		got := describe(&device.Change{Peers: []device.PeerChange{{ReplaceAllowedIPs: replace, AllowedIPs: ips}}})
		if got = strings.TrimSpace(strings.TrimPrefix(got, "peer=AAAA")); err != nil || got != tt.want {
			t.Errorf("AppendAllowedIPs(%q) = %s, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

func TestPeerNames(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"assigned":            {"[Peer]\n# Name = laptop\nPublicKey=" + key, "laptop"},
		"friendly_name":       {"[Peer]\n# friendly_name=Anna's phone\nPublicKey=" + key, "Anna's phone"},
		"with a colon":        {"[Peer]\nPublicKey=" + key + "\n# name: laptop", "laptop"},
		"on the header":       {"[Peer] # laptop\nPublicKey=" + key, "laptop"},
		"above":               {"[Interface]\n\n# laptop\n[Peer]\nPublicKey=" + key, "laptop"},
		"client":              {"\n### Client laptop\n[Peer]\nPublicKey=" + key, "laptop"},
		"client with a colon": {"\n# Client: laptop (7)\n[Peer]\nPublicKey=" + key, "laptop (7)"},
		"markers":             {"# BEGIN_PEER laptop\n[Peer]\nPublicKey=" + key + "\n# END_PEER laptop\n# BEGIN_PEER other\n[Peer]\nPublicKey=" + key2, "laptop"},
		"below":               {"[Peer]\n# laptop\nPublicKey=" + key, "laptop"},
		"the surest":          {"# some peer\n[Peer] # laptop of Anna\n# Name = laptop\nPublicKey=" + key, "laptop"},
		"a setting is none":   {"[Peer]\n# PersistentKeepalive = 25\nPublicKey=" + key, ""},
		"a value's is none":   {"[Peer]\nPublicKey=" + key + "\nAllowedIPs=::/0 # everything", ""},
		"not the one before":  {"[Peer]\nPublicKey=" + key2 + "\nAllowedIPs=::/0\n\n# laptop\n[Peer]\nPublicKey=" + key, "laptop"},
		"a line of dashes":    {"# ------\n[Peer]\nPublicKey=" + key, ""},
		"far above":           {"# about this file\n\n[Peer]\nPublicKey=" + key, ""},
		"in its own block":    {"[Peer]\n\n# Name = laptop\nPublicKey=" + key, "laptop"},
		"at a setting":        {"[Peer]\nPublicKey=" + key + " # Name = laptop", "laptop"},
		"above a setting":     {"[Peer]\nAllowedIPs=::/0\n# somewhere else\nPublicKey=" + key, ""},
		"the end of another":  {"[Peer]\nPublicKey=" + key2 + "\n# END_PEER other\n# laptop\n[Peer]\nPublicKey=" + key, "laptop"},
		"framed":              {"\n# ---- laptop ----\n[Peer]\nPublicKey=" + key, "laptop"},
		"begin and end":       {"### begin laptop ###\n[Peer]\nPublicKey=" + key + "\n### end laptop ###", "laptop"},
		"a client's number":   {"\n# Client 7\n[Peer]\nPublicKey=" + key, "Client 7"},
		"just a client":       {"\n# Client\n[Peer]\nPublicKey=" + key, ""},
		"a web front end":     {"\n# laptop / anna@example.org / Updated: 2026-02-23 01:03:42 +0000 UTC\n[Peer]\nPublicKey=" + key, "laptop"},
		"a date":              {"\n# Created at: 2026-02-23 01:03:42\n[Peer]\nPublicKey=" + key, ""},
		"a note of its own":   {"[Peer]\n# LAN = 192.0.2.0/24\nPublicKey=" + key, ""},
		"a sentence":          {"\n# This is the public key of the machine which stands in the cellar\n[Peer]\nPublicKey=" + key, ""},
		"a header":            {"\n# [Peer] of the cellar\n[Peer]\nPublicKey=" + key, ""},
		"a key":               {"[Peer]\n# " + key2 + "\nPublicKey=" + key, ""},
		"other letters":       {"[Peer]\n# Ноутбук Анны\nPublicKey=" + key, "Ноутбук Анны"},
		"for terminals":       {"[Peer]\n# Name = lap\x1b[31mtop\u0085\xff!\r\nPublicKey=" + key, "lap [31mtop  !"},
		"no file of ours":     {"\x00\xff[[[\n=\n#\n[Peer\nPublicKey=x", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			k, err := config.ParseKey(key, false)
			if err != nil {
				t.Fatal(err)
			}
			if got := config.PeerNames([]byte(tt.in))[k]; got != tt.want {
				t.Errorf("PeerNames: %q, want %q", got, tt.want)
			}
			c, err := config.Decode("f", []byte(tt.in), config.Options{PeerInfo: true})
			if err != nil {
				return
			}
			for i, p := range c.Peers {
				if p.PublicKey == k && c.PeerInfo[i].Name != tt.want {
					t.Errorf("Decode: %q, want %q", c.PeerInfo[i].Name, tt.want)
				}
			}
		})
	}
}

// fast resolves numbers without noting them.
type fast struct{}

func (fast) Port(string) (uint16, error)                     { return 51820, nil }
func (fast) Endpoint(s string) (e netip.AddrPort, err error) { return netip.ParseAddrPort(s) }
