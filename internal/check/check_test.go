// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"wgtools/internal/check"
	"wgtools/internal/config"
	"wgtools/internal/keys"
	"wgtools/internal/resolve"
)

var (
	private = keys.Key{8, 1}.Clamp()
	pub1    = keys.Key{8, 2}.Clamp().Public().Base64()
	pub2    = keys.Key{8, 3}.Clamp().Public().Base64()
	psk     = keys.Key{4, 7}.Base64()

	// A file in which nothing is wrong, in two parts.
	iface = "[Interface]\nPrivateKey = " + private.Base64() + "\nAddress = 10.0.0.2/24\n"
	peer  = "[Peer]\nPublicKey = " + pub1 + "\nAllowedIPs = 10.0.0.1/32\nEndpoint = vpn.example.org:51820\nPersistentKeepalive = 25\n"

	full4 = "[Peer]\nPublicKey = " + pub1 + "\nAllowedIPs = ‸0.0.0.0/0\nEndpoint = vpn.example.org:51820\n"
	full  = "[Peer]\nPublicKey = " + pub1 + "\nAllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = vpn.example.org:51820\n"
)

// with returns a peer with other lines.
func with(lines string) string { return "[Peer]\nPublicKey = " + pub1 + "\n" + lines + "\n" }

// second returns another peer.
func second(lines string) string { return "[Peer]\nPublicKey = " + pub2 + "\n" + lines + "\n" }

// host is one behind NAT, with both families.
func host() check.Host {
	return check.Host{
		Interface: "wg0", Links: []string{"lo", "eth0", "wg7"},
		Networks: []check.Network{
			{Prefix: netip.MustParsePrefix("192.168.1.7/24"), Link: "eth0"},
			{Prefix: netip.MustParsePrefix("2001:db8:1::7/64"), Link: "eth0"},
		},
		IPv6: true, NAT: true, PathMTU: 1500,
		Names: resolve.New(context.Background(), func(string) (string, bool) { return "", false }, io.Discard),
		Syntax: func(hook string) string {
			if strings.Count(hook, "'")%2 == 1 {
				return "unexpected EOF while looking for matching `''"
			}
			return ""
		},
	}
}

func other(change func(h *check.Host)) check.Host {
	h := host()
	change(&h)
	return h
}

// caret stands before the place of a mistake.
const caret = "‸"

// mistakes are files in which one thing is wrong: at the caret.
var mistakes = map[string]struct {
	text, code string
	host       check.Host // the zero one is host()
}{
	// What a file is refused for.
	"a misspelt key":                    {text: iface + "‸LisenPort = 1\n" + peer, code: "unknown-key"},
	"a misspelt key of wg-quick":        {text: iface + "‸PostUpp = true\n" + peer, code: "unknown-key"},
	"a misspelt Address":                {text: "[Interface]\nPrivateKey = " + private.Base64() + "\n  ‸Adress = 10.0.0.2/24\n" + peer, code: "unknown-key"},
	"a misspelt PublicKey":              {text: iface + "[Peer]\n‸PublicKye = " + pub1 + "\nAllowedIPs = 10.0.0.1/32\n", code: "unknown-key"},
	"a misspelt AllowedIPs":             {text: iface + "[Peer]\nPublicKey = " + pub1 + "\n‸AllowedIP = 10.0.0.1/32\n", code: "unknown-key"},
	"a misspelt PrivateKey":             {text: "[Interface]\n‸PrivatKey = " + private.Base64() + "\nAddress = 10.0.0.2/24\n" + peer, code: "unknown-key"},
	"a misspelt Endpoint":               {text: iface + with("AllowedIPs = 0.0.0.0/0, ::/0\n‸EndPiont = vpn.example.org:51820"), code: "unknown-key"},
	"keys of AmneziaWG":                 {text: iface + "‸Jc = 4\nJmin = 40\nJmax = 70\n" + peer, code: "other-program"},
	"a key of the app for Android":      {text: iface + "‸ExcludedApplications = org.example\n" + peer, code: "other-program"},
	"a peer's key in Interface":         {text: iface + "‸AllowedIPs = 10.0.0.0/24\n" + peer, code: "wrong-section"},
	"a blank in the section's brackets": {text: "[ Interface ]\nPrivateKey = " + private.Base64() + "\n‸Address = 10.0.0.2/24\nMTU = 1400\n" + peer, code: "wrong-section"},
	"wg-quick's keys in a peer":         {text: iface + peer + "‸PostUp = true\nPreDown = false\n", code: "wrong-section"},
	"wg-quick's key in a peer":          {text: iface + peer + "‸DNS = 10.0.0.1\n", code: "wrong-section"},
	"ListenPort in a peer":              {text: iface + peer + "‸ListenPort = 51820\n", code: "wrong-section"},
	"a key before any section":          {text: "‸ListenPort = 51820\n" + iface + peer, code: "wrong-section"},
	"a section in the plural":           {text: iface + "‸[Peers]\nPublicKey = " + pub1 + "\nAllowedIPs = 10.0.0.1/32\n", code: "unknown-section"},
	"a section without its end":         {text: iface + "[Peer‸\nPublicKey = " + pub1 + "\nAllowedIPs = 10.0.0.1/32\n", code: "unknown-section"},
	"text after a section":              {text: iface + "[Peer]‸ bob\nPublicKey = " + pub1 + "\nAllowedIPs = 10.0.0.1/32\n", code: "not-a-setting"},
	"a semicolon":                       {text: iface + "‸; a comment\n" + peer, code: "not-a-setting"},
	"slashes":                           {text: iface + "‸// a comment\n" + peer, code: "not-a-setting"},
	"a colon for =":                     {text: iface + "ListenPort‸: 51820\n" + peer, code: "not-a-setting"},
	"a list that goes on":               {text: iface + "[Peer]\nPublicKey = " + pub1 + "\nAllowedIPs = 10.0.0.1/32\n  ‸10.0.0.3/32\n", code: "not-a-setting"},
	"a byte-order mark":                 {text: "‸\ufeff" + iface + peer, code: "stray-character"},
	"quotation marks":                   {text: iface + with(`AllowedIPs = ‸"10.0.0.1/32"`), code: "stray-character"},
	"typographic quotation marks":       {text: iface + "FwMark = ‸“1”\n" + peer, code: "stray-character"},
	"a non-breaking space":              {text: iface + with("AllowedIPs = 10.0.0.1/32,‸\u00a010.0.0.3/32"), code: "stray-character"},
	"a non-breaking space in a key":     {text: iface + "‸\u00a0ListenPort = 1\n" + peer, code: "stray-character"},
	"carriage returns alone":            {text: iface + with("AllowedIPs = 10.0.0.1/32‸\rEndpoint = 192.0.2.1:1"), code: "stray-character"},
	"no value":                          {text: iface + with("AllowedIPs = 10.0.0.1/32\nEndpoint =‸"), code: "no-value"},
	"a key alone":                       {text: iface + "‸ListenPort\n" + peer, code: "no-value"},
	"a short private key":               {text: "[Interface]\nPrivateKey = ‸" + private.Base64()[1:] + "\nAddress = 10.0.0.2/24\n" + peer, code: "bad-value"},
	"a long public key":                 {text: iface + "[Peer]\nPublicKey = ‸" + pub1 + "=\nAllowedIPs = 10.0.0.1/32\n", code: "bad-value"},
	"four numbers above 255":            {text: iface + with("AllowedIPs = 10.0.0.4/32, ‸10.0.0.256/32"), code: "bad-value"},
	"a wrong length in a full tunnel":   {text: iface + with("AllowedIPs = 0.0.0.0/0, ::/‸x\nEndpoint = vpn.example.org:51820"), code: "bad-value"},
	"a netmask":                         {text: iface + with("AllowedIPs = 10.1.0.0/‸255.255.0.0"), code: "bad-value"},
	"a long prefix":                     {text: iface + with("AllowedIPs = 10.1.0.0/‸33"), code: "bad-value"},
	"a comma at the end":                {text: iface + with("AllowedIPs = 10.0.0.1/32,‸"), code: "bad-value"},
	"a name as allowed IP":              {text: iface + with("AllowedIPs = ‸vpn.example.org"), code: "bad-value"},
	"a remark at the end":               {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25 ‸; seconds"), code: "bad-value"},
	"a keepalive in words":              {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = ‸25s"), code: "bad-value"},
	"a mark in words":                   {text: iface + "FwMark = ‸blue\n" + peer, code: "bad-value"},
	"an endpoint without port":          {text: iface + with("AllowedIPs = 10.0.0.1/32\nEndpoint = ‸vpn.example.org"), code: "bad-value"},
	"an address that is none":           {text: iface + "Address = 10.0.0.3/24, ‸10.0.0.300/24\n" + peer, code: "bad-value"},
	"an address with a long prefix":     {text: iface + "Address = ‸fd00::2/129\n" + peer, code: "bad-value"},
	"an MTU in words":                   {text: iface + "MTU = ‸auto\n" + peer, code: "bad-value"},
	"Table = Off":                       {text: iface + "Table = ‸Off\n" + peer, code: "bad-value"},
	"SaveConfig = yes":                  {text: iface + "SaveConfig = ‸yes\n" + peer, code: "bad-value"},
	"a port that is none":               {text: iface + "ListenPort = ‸none\n" + peer, code: "bad-value"},
	"no public key":                     {text: iface + "‸[Peer]\nAllowedIPs = 10.0.0.1/32\n" + strings.Replace(peer, "0.1/32", "0.9/32", 1), code: "no-public-key"},

	"a key here and elsewhere": {text: iface + "PrivateKeyFile = ‸own.key\n" + peer, code: "twice"},

	// Keys, and the whole of the file.
	"no private key":              {text: "‸[Interface]\nAddress = 10.0.0.2/24\n" + peer, code: "no-private-key"},
	"no Interface":                {text: "‸" + peer, code: "no-private-key"},
	"a key for all":               {text: "[Interface]\nPrivateKey = ‸" + private.Base64() + "\nAddress = 10.0.0.2/24\n" + peer, code: "private-key-readable", host: other(func(h *check.Host) { h.Readers = true })},
	"a preshared key for all":     {text: "[Interface]\nAddress = 10.0.0.2/24\nPostUp = wg set %i private-key /etc/key\n" + peer + "PresharedKey = ‸" + psk + "\n", code: "private-key-readable", host: other(func(h *check.Host) { h.Readers = true })},
	"a public key as private key": {text: "[Interface]\nPrivateKey = ‸" + unclamped + "\nAddress = 10.0.0.2/24\n" + peer, code: "private-key-unclamped"},
	"two ports":                   {text: iface + "ListenPort = 1\nListenPort = ‸2\n" + peer, code: "key-repeated"},
	"two kill switches":           {text: iface + "KillSwitch = true\nKillSwitch = ‸lan\n" + peer, code: "key-repeated"},
	"KillSwitch = yes":            {text: iface + "KillSwitch = ‸yes\n" + peer, code: "bad-value"},
	"two endpoints":               {text: iface + peer + "Endpoint = ‸192.0.2.1:51820\n", code: "key-repeated"},
	"a forgotten Peer":            {text: iface + peer + "\nPublicKey = ‸" + pub2 + "\nAllowedIPs = 10.0.0.3/32\n", code: "key-repeated"},
	"two Interfaces":              {text: iface + peer + "‸[Interface]\nListenPort = 1\n", code: "interface-repeated"},
	"a large port":                {text: iface + "ListenPort = ‸70000\n" + peer, code: "port-range"},
	"an endpoint's large port":    {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = vpn.example.org:‸65536"), code: "port-range"},
	"the port of another file": {text: iface + "ListenPort = ‸51820\n" + peer, code: "listen-port-taken", host: other(func(h *check.Host) {
		h.Others = []check.Port{{Number: 51820, Pos: config.Pos{File: "wg1.conf", Line: 3, Col: 14}}}
	})},
	"a peer twice":                   {text: iface + peer + "[Peer]\nPublicKey = ‸" + pub1 + "\nAllowedIPs = 10.0.0.1/32\n", code: "duplicate-peer"},
	"its own key":                    {text: iface + "[Peer]\nPublicKey = ‸" + private.Public().Base64() + "\nAllowedIPs = 10.0.0.1/32\n", code: "own-key"},
	"a private key for a public one": {text: iface + "[Peer]\nPublicKey = ‸" + private.Base64() + "\nAllowedIPs = 10.0.0.1/32\n", code: "key-mix-up"},
	"a private key for a preshared":  {text: iface + peer + "PresharedKey = ‸" + private.Base64() + "\n", code: "key-mix-up"},
	"a public key for a preshared":   {text: iface + peer + "PresharedKey = ‸" + pub1 + "\n", code: "key-mix-up"},
	"a key of zeros":                 {text: iface + "[Peer]\nPublicKey = ‸" + keys.Key{}.Base64() + "\nAllowedIPs = 10.0.0.1/32\n", code: "zero-key"},
	"a file that all may change":     {text: "‸" + iface + peer, code: "file-writable", host: other(func(h *check.Host) { h.Writable = "/tmp/wg0.conf" })},
	"hooks that all may change":      {text: iface + "PostUp = ‸true\nPostUp = false\n" + peer, code: "hooks-writable", host: other(func(h *check.Host) { h.Writable = "/tmp/wg0.conf" })},

	// Allowed IPs.
	"no allowed IPs":                {text: iface + "‸[Peer]\nPublicKey = " + pub1 + "\n", code: "no-allowed-ips"},
	"a network of two peers":        {text: iface + peer + second("AllowedIPs = 10.0.0.3/32, ‸10.0.0.1/32"), code: "allowed-ip-claimed-twice"},
	"two hosts with /24":            {text: iface + with("AllowedIPs = 10.0.0.3/24") + second("AllowedIPs = ‸10.0.0.4/24"), code: "allowed-ip-claimed-twice"},
	"two default routes":            {text: iface + full + second("AllowedIPs = ‸0.0.0.0/0\nEndpoint = 192.0.2.1:51820"), code: "allowed-ip-claimed-twice"},
	"an IPv6 network of two peers":  {text: iface + "Address = fd00::2/64\n" + with("AllowedIPs = fd00::1/128") + second("AllowedIPs = ‸FD00:0::1"), code: "allowed-ip-claimed-twice"},
	"a network twice":               {text: iface + with("AllowedIPs = 10.0.0.1/32, 10.0.0.3/32\nAllowedIPs = ‸10.0.0.1/32"), code: "allowed-ip-repeated"},
	":: without /0":                 {text: iface + with("AllowedIPs = 0.0.0.0/0, ‸::\nEndpoint = 192.0.2.1:51820"), code: "allowed-ip-unspecified"},
	"host bits":                     {text: iface + with("AllowedIPs = 10.0.0.1/32, ‸10.1.0.1/24"), code: "host-bits"},
	"host bits of IPv6":             {text: iface + "Address = fd00::2/64\n" + with("AllowedIPs = 10.0.0.1/32,  ‸fd00:1::1/64"), code: "host-bits"},
	"its own address":               {text: iface + with("AllowedIPs = 10.0.0.1/32, ‸10.0.0.2/32"), code: "own-address"},
	"the local network":             {text: iface + with("AllowedIPs = 10.0.0.1/32, ‸192.168.1.0/24\nEndpoint = vpn.example.org:1\nPersistentKeepalive = 25"), code: "local-network"},
	"a part of the local network":   {text: iface + with("AllowedIPs = 10.0.0.1/32, ‸192.168.1.64/26"), code: "local-network"},
	"IPv6 goes past":                {text: iface + full4, code: "ipv6-leak"},
	"halves":                        {text: iface + with("AllowedIPs = ‸0.0.0.0/1, 128.0.0.0/1\nEndpoint = 198.51.100.1:51820\nPersistentKeepalive = 25"), code: "default-halves"},
	"halves of IPv6":                {text: iface + "Address = fd00::2/64\n" + with("AllowedIPs = 0.0.0.0/0, 8000::/1, ‸::/1\nEndpoint = 198.51.100.1:51820"), code: "default-halves"},
	"the main table":                {text: iface + "Table = ‸254\n" + full, code: "default-in-main"},
	"a client's file on a server":   {text: iface + "ListenPort = 51820\n" + with("AllowedIPs = ‸0.0.0.0/0, ::/0"), code: "default-without-endpoint"},
	"an address family without one": {text: iface + with("AllowedIPs = 10.0.0.1/32, ‸fd00::/64"), code: "address-family"},
	"IPv4 through an IPv6 tunnel":   {text: "[Interface]\nPrivateKey = " + private.Base64() + "\nAddress = fd00::2/64\n" + with("AllowedIPs = fd00::1/128, ‸10.0.0.1/32"), code: "address-family"},

	// Endpoints.
	"an address that is none either": {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = ‸222.333.44.55:51820"), code: "endpoint-form"},
	"a URL":                          {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = ‸https://vpn.example.org:51820"), code: "endpoint-form"},
	"too many colons":                {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = ‸2001:db8::1::51820"), code: "endpoint-form"},
	"a protocol at the port":         {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = vpn.example.org:‸51820/udp"), code: "endpoint-form"},
	"an endpoint in quotation marks": {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = ‸\"vpn.example.org:51820\""), code: "endpoint-form"},
	"no host":                        {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 0\nEndpoint = ‸:51820"), code: "endpoint-form"},
	"port 0":                         {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25\nEndpoint = 192.0.2.1:‸0"), code: "endpoint-port"},
	"no brackets":                    {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25\nEndpoint = ‸2001:db8::1:5182"), code: "endpoint-brackets"},
	"one endpoint for two":           {text: iface + peer + second("AllowedIPs = 10.0.0.3/32\nPersistentKeepalive = 25\nEndpoint = ‸VPN.example.org:51820"), code: "endpoint-shared"},
	"its own endpoint":               {text: iface + with("AllowedIPs = 10.0.0.1/32\nEndpoint = ‸192.168.1.7:51820"), code: "endpoint-is-own"},
	"an endpoint inside the tunnel":  {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25\nEndpoint = ‸10.0.0.1:51820"), code: "endpoint-in-tunnel"},
	"an endpoint in allowed IPs":     {text: iface + with("AllowedIPs = 198.51.100.0/24\nPersistentKeepalive = 25\nEndpoint = ‸198.51.100.1:51820"), code: "endpoint-in-tunnel"},
	"Table = off":                    {text: iface + "Table = off\n" + with("AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = ‸198.51.100.1:51820"), code: "table-off"},
	"no keepalive":                   {text: iface + "‸" + with("AllowedIPs = 10.0.0.1/32\nEndpoint = vpn.example.org:51820"), code: "keepalive-missing"},
	"a rare keepalive":               {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = ‸3600"), code: "keepalive-long"},

	// Addresses and MTU.
	"no address":                      {text: "‸[Interface]\nPrivateKey = " + private.Base64() + "\n" + peer, code: "no-address"},
	"an address twice":                {text: iface + "Address = 10.0.0.3/24, ‸10.0.0.2/24\n" + peer, code: "address-repeated"},
	"an IPv6 address twice":           {text: iface + "Address = fd00::2/64\nAddress = ‸fd00::2/128\n" + peer, code: "address-repeated"},
	"an octal address":                {text: iface + "Address = ‸010.0.1.3/24\n" + peer, code: "address-form"},
	"a short address":                 {text: iface + "Address = ‸10.7/16\n" + peer, code: "address-form"},
	"no address at all":               {text: iface + "Address = ‸0.0.0.0/0\n" + peer, code: "address-form"},
	"the address of the network":      {text: iface + "Address = ‸10.1.0.0/24\n" + peer, code: "address-of-network"},
	"the address of an IPv6 network":  {text: iface + "Address = ‸fd00::/64\n" + peer, code: "address-of-network"},
	"the broadcast address":           {text: iface + "Address = ‸10.1.0.255/24\n" + peer, code: "address-of-network"},
	"an address of the local network": {text: iface + "Address = ‸192.168.1.200/24\n" + with("AllowedIPs = 192.168.1.201/32"), code: "address-in-local-network"},
	"too small for IPv6":              {text: iface + "Address = fd00::2/64\nMTU = ‸1279\n" + peer, code: "mtu-small"},
	"too small":                       {text: iface + "MTU = ‸142\n" + peer, code: "mtu-small"},
	"too large for the way":           {text: iface + "MTU = ‸1500\n" + peer, code: "mtu-large"},
	"too large for anything":          {text: iface + "MTU = ‸65536\n" + peer, code: "mtu-large"},
	"the loopback's MTU":              {text: iface + with("AllowedIPs = 10.0.0.1/32\nEndpoint = ‸127.0.0.1:4567"), code: "mtu-loopback"},

	// DNS.
	"three numbers":                     {text: iface + "DNS = 10.0.0.1, ‸10.0.1\n" + peer, code: "dns-word"},
	"a name server with a port":         {text: iface + "DNS = ‸10.0.0.1:53\n" + peer, code: "dns-word"},
	"a name server with a length":       {text: iface + "DNS = ‸10.0.0.1/32\n" + peer, code: "dns-word"},
	"a placeholder":                     {text: iface + "DNS = ‸192.168.x.x\n" + peer, code: "dns-word"},
	"a semicolon between name servers":  {text: iface + "DNS = ‸10.0.0.1;10.0.0.3\n" + peer, code: "dns-word"},
	"search domains alone":              {text: iface + "DNS = ‸example.org, example.net\n" + peer, code: "dns-search-only"},
	"four name servers":                 {text: iface + "DNS = 10.0.0.1, 10.0.0.3, 10.0.0.4, ‸10.0.0.5\n" + peer, code: "dns-many"},
	"a local name server":               {text: iface + "DNS = ‸192.168.1.1\n" + full, code: "dns-outside"},
	"a name server of the other family": {text: iface + "DNS = 10.0.0.1, ‸2606:4700:4700::1111\n" + strings.Replace(full4, caret, "", 1), code: "dns-outside", host: other(func(h *check.Host) { h.IPv6 = false })},
	"a name server nowhere":             {text: iface + "DNS = ‸10.9.0.1\n" + peer, code: "dns-unreachable"},

	// Hooks.
	"an open quotation mark":            {text: iface + "PostUp = ‸echo 'it\n" + peer, code: "hook-syntax"},
	"an open quotation mark at the end": {text: iface + "PostDown = ‸echo 'it\n" + peer, code: "hook-syntax"},
	"typographic marks in a hook":       {text: iface + "PostUp = echo ‸“a”\n" + peer, code: "hook-character"},
	"a non-breaking space in a hook":    {text: iface + "PostUp = ip‸\u00a0link\n" + peer, code: "hook-character"},
	"a dash in a hook":                  {text: iface + "PostUp = echo ‸–n x\n" + peer, code: "hook-character"},
	"%I":                                {text: iface + "PostUp = ip link show ‸%I\n" + peer, code: "hook-percent"},
	"another tunnel's name":             {text: iface + "PostUp = ip route add 10.3.0.0/16 dev ‸wg1; ip route add 10.4.0.0/16 dev wg1\n" + peer, code: "hook-interface"},
	"another tunnel's name in quotes":   {text: iface + "PostUp = ip route add 10.3.0.0/16 dev ‸\"wg1\"\n" + peer, code: "hook-interface"},
	"a misspelt chain":                  {text: iface + "PostUp = iptables -t nat -A ‸POSROUTING -j MASQUERADE\nPostDown = iptables -t nat -F\n" + peer, code: "hook-chain"},
	"a chain in small letters":          {text: iface + "PostUp = iptables -I ‸forward -i %i -j ACCEPT\nPostDown = iptables -F FORWARD\n" + peer, code: "hook-chain"},
	"a rule that stays":                 {text: iface + "PostUp = true; ‸iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\n" + peer, code: "hook-not-undone"},
	"one of two rules that stays":       {text: iface + "PostUp = iptables -I FORWARD -i %i -j ACCEPT; ‸iptables -I FORWARD -o %i -j ACCEPT\nPostDown = iptables -D FORWARD -i %i -j ACCEPT\n" + peer, code: "hook-not-undone"},
	"a rule of another table":           {text: iface + "PostUp = ‸iptables -t nat -A POSTROUTING -j MASQUERADE\nPostDown = iptables -D POSTROUTING -j MASQUERADE\n" + peer, code: "hook-not-undone"},
	"a key in a hook":                   {text: iface + "PostUp = wg set %i peer " + pub1 + " preshared-key <(echo ‸" + psk + ")\n" + peer, code: "hook-key"},
}

// unclamped is what `wg genkey' never prints.
var unclamped = func() string {
	for n := byte(50); ; n++ {
		if k := (keys.Key{8, n}).Clamp().Public(); k != k.Clamp() {
			return k.Base64()
		}
	}
}()

func TestMistakes(t *testing.T) {
	for name, tt := range mistakes {
		t.Run(name, func(t *testing.T) {
			if tt.host.Names == nil {
				tt.host = host()
			}
			before, after, ok := strings.Cut(tt.text, caret)
			if !ok || strings.Contains(after, caret) {
				t.Fatal("not one caret")
			}
			want := fmt.Sprintf("wg0.conf:%d:%d %s", 1+strings.Count(before, "\n"), len(before)-strings.LastIndexByte(before, '\n'), tt.code)
			var got []string
			for _, f := range check.File("wg0.conf", []byte(before+after), config.Quick, tt.host) {
				got = append(got, fmt.Sprintf("%v %s", f.Pos, f.Code))
				if f.Reason == "" || f.Hint == "" && f.Code != "bad-value" {
					t.Errorf("%s: no reason or no hint: %+v", f.Code, f)
				}
				for _, secret := range []string{private.Base64(), psk} {
					if strings.Contains(f.Reason+f.Hint, secret) {
						t.Errorf("a key is shown: %+v", f)
					}
				}
			}
			if len(got) != 1 || got[0] != want {
				t.Errorf("found %q, want %q in\n%s", got, want, before+after)
			}
		})
	}
	if n := len(mistakes); n < 60 {
		t.Errorf("%d mistakes", n)
	}
}

// Each rule has a mistake that it finds.
func TestEachRuleIsTried(t *testing.T) {
	tried := map[string]bool{"unreadable": true, "file-name": true, "too-many": true, "elsewhere": true} // by TestScript of cmd/wg-quick
	for _, m := range mistakes {
		tried[m.code] = true
		if !check.Known(m.code) {
			t.Errorf("no rule %s", m.code)
		}
	}
	for _, r := range check.Rules() {
		if !tried[r.Code] {
			t.Errorf("no mistake for %s", r.Code)
		}
	}
}

// In these nothing is wrong.
func TestNoFalseAlarm(t *testing.T) {
	tests := map[string]struct {
		text string
		host check.Host
	}{
		"a client":                          {text: iface + peer},
		"a full tunnel":                     {text: iface + "DNS = 10.0.0.1, example.org\n" + full},
		"a full tunnel without IPv6 there":  {text: iface + strings.Replace(full4, caret, "", 1), host: other(func(h *check.Host) { h.IPv6 = false })},
		"IPv6 is kept in by a hook":         {text: iface + "PostUp = sysctl -w net.ipv6.conf.all.disable_ipv6=1\n" + strings.Replace(full4, caret, "", 1)},
		"a server":                          {text: iface + "ListenPort = 51820\nPostUp = iptables -A FORWARD -i %i -j ACCEPT; iptables -t nat -A POSTROUTING -o eth0 -j MASQUERADE\nPostDown = iptables -D FORWARD -i %i -j ACCEPT; iptables -t nat -D POSTROUTING -o eth0 -j MASQUERADE\n" + with("AllowedIPs = 10.0.0.1/32") + second("AllowedIPs = 10.0.0.3/32")},
		"CRLF":                              {text: strings.ReplaceAll(iface+peer, "\n", "\r\n")},
		"no final newline":                  {text: strings.TrimSuffix(iface+peer, "\n")},
		"comments":                          {text: "# wg0\n" + iface + "# Name = laptop\n" + peer + "# the end"},
		"lists over several lines":          {text: iface + "Address = 10.2.0.2/24\n" + with("AllowedIPs = 10.0.0.1/32\nAllowedIPs = 10.0.0.3/32, 10.0.0.4/32")},
		"one preshared key for two":         {text: iface + peer + "PresharedKey = " + psk + "\n" + second("AllowedIPs = 10.0.0.3/32\nPresharedKey = "+psk)},
		"one inside of another":             {text: iface + with("AllowedIPs = 10.0.0.0/24") + second("AllowedIPs = 10.0.0.3/32")},
		"a default route and the rest":      {text: iface + with("AllowedIPs = 0.0.0.0/0, ::/0, 10.0.0.0/24\nEndpoint = 192.0.2.1:51820")},
		"a network around the local one":    {text: iface + with("AllowedIPs = 192.168.0.0/16\nPersistentKeepalive = 25\nEndpoint = 192.0.2.1:1")},
		"an endpoint in the local network":  {text: iface + with("AllowedIPs = 192.168.0.0/16\nEndpoint = 192.168.1.9:51820")},
		"an endpoint in brackets":           {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25\nEndpoint = [2001:db8::1]:51820")},
		"nothing but an address and a port": {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25\nEndpoint = 2001:db8:0:0:0:0:0:1:51820")},
		"a service's name":                  {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = 25\nEndpoint = vpn-1.example.org:domain")},
		"keepalive off":                     {text: iface + with("AllowedIPs = 10.0.0.1/32\nPersistentKeepalive = off\nEndpoint = 192.0.2.1:1")},
		"a public host":                     {text: iface + with("AllowedIPs = 10.0.0.1/32\nEndpoint = 192.0.2.1:1"), host: other(func(h *check.Host) { h.NAT = false })},
		"point to point":                    {text: strings.ReplaceAll(iface, "10.0.0.2/24", "10.0.0.0/31") + peer},
		"a short prefix of IPv6":            {text: iface + "Address = fd00::2/128\n" + with("AllowedIPs = 10.0.0.1/32, fd00::/64")},
		"Table = off with a mark":           {text: iface + "Table = off\nFwMark = 7\n" + with("AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 198.51.100.1:51820")},
		"Table = off with a proxy":          {text: iface + "Table = off\nMTU = 1280\n" + with("AllowedIPs = 0.0.0.0/0, ::/0\nEndpoint = 127.0.0.1:51820")},
		"a table of its own":                {text: iface + "Table = 1234\n" + full},
		"a key from elsewhere":              {text: "[Interface]\nAddress = 10.0.0.2/24\nPostUp = wg set %i private-key <(pass wg/%i)\n" + peer},
		"an apostrophe in a text":           {text: iface + "PostUp = echo \"it’s up\"\n" + peer},
		"the date":                          {text: iface + "PostUp = date +%I:%M >> /tmp/log\n" + peer},
		"another link's name":               {text: iface + "PostUp = ip route add 10.3.0.0/16 dev wg7\n" + peer},
		"rules that a script deletes":       {text: iface + "PostUp = iptables -A FORWARD -i %i -j ACCEPT\nPostDown = /etc/wireguard/down.sh %i\n" + peer},
		"rules that are looked for":         {text: iface + "PostUp = iptables -C FORWARD -j ACCEPT || iptables -A FORWARD -j ACCEPT\n" + peer},
		"a chain of its own":                {text: iface + "PostUp = iptables -N INPUTS; iptables -A INPUTS -j ACCEPT\nPostDown = iptables -F INPUTS; iptables -X INPUTS\n" + peer},
		"another chain":                     {text: iface + "PostUp = iptables -I DOCKER-USER -j ACCEPT\nPostDown = iptables -D DOCKER-USER -j ACCEPT\n" + peer},
		"a public key in a hook":            {text: iface + "PostUp = wg set %i peer " + pub1 + " persistent-keepalive 25\n" + peer},
		"a proxy on this host":              {text: iface + "MTU = 1280\n" + with("AllowedIPs = 10.0.0.1/32\nEndpoint = 127.0.0.1:4567")},
		"a small MTU without IPv6":          {text: iface + "MTU = 1000\n" + peer},
		"a name server on this host":        {text: iface + "DNS = 127.0.0.1\n" + full},
		"a public name server, split":       {text: iface + "DNS = 9.9.9.9\n" + peer},
		"halves with a route":               {text: iface + "PreUp = ip route add 198.51.100.1 via 192.168.1.1\nPostDown = ip route del 198.51.100.1\n" + with("AllowedIPs = 0.0.0.0/1, 128.0.0.0/1\nEndpoint = 198.51.100.1:51820\nPersistentKeepalive = 25")},
		"nothing":                           {text: iface},
		"a port that the device chooses":    {text: iface + "ListenPort = 0\n" + peer, host: other(func(h *check.Host) { h.Others = []check.Port{{Number: 51820}} })},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if tt.host.Names == nil {
				tt.host = host()
			}
			for _, f := range check.File("wg0.conf", []byte(tt.text), config.Quick, tt.host) {
				t.Errorf("found %+v in\n%s", f, tt.text)
			}
		})
	}
}

// A file for wg has no keys of wg-quick's, and isn't looked at for what these would do.
func TestDialect(t *testing.T) {
	find := func(text string) (got []string) {
		for _, f := range check.File("wg0.conf", []byte(text), config.WG, host()) {
			got = append(got, fmt.Sprintf("%v %s", f.Pos, f.Code))
		}
		return got
	}
	if got := find("[Peer]\nPublicKey = " + pub1 + "\nAllowedIPs = 0.0.0.0/1, 128.0.0.0/1, 10.1.0.1/8\n"); !slices.Equal(got, []string{"wg0.conf:3:38 host-bits"}) {
		t.Errorf("found %q", got)
	}
	if got := find("[Interface]\nAddress = 10.0.0.1/24\n"); !slices.Equal(got, []string{"wg0.conf:2:1 other-program"}) {
		t.Errorf("found %q", got)
	}
}

// All problems are told, in the order of the file.
func TestAllProblems(t *testing.T) {
	text := iface
	for range 50 {
		text += "Foo = 1\nMTU = x\nAddress = y\n"
	}
	list := check.File("wg0.conf", []byte(text), config.Quick, host())
	if n := check.Count(list, check.Error); n != 101 { // the last MTU counts
		t.Errorf("%d errors", n)
	}
	if !slices.IsSortedFunc(list, func(a, b check.Finding) int { return a.Pos.Line - b.Pos.Line }) {
		t.Error("not in the order of the file")
	}
}

// What is no configuration file gets an end.
func TestTooMany(t *testing.T) {
	list := check.File("wg0.conf", []byte(iface+strings.Repeat("x\n", 3000)), config.Quick, host())
	if last := list[len(list)-1]; len(list) != 1001 || last.Code != "too-many" || last.Reason != "and 2000 mistakes more" || last.Pos.Line != 1003 {
		t.Errorf("%d findings, the last one is %+v", len(list), last)
	}
}

// A file of very many peers takes no longer than it must.
func TestManyPeers(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(iface)
	for i := range 20000 {
		k := keys.Key{byte(i), byte(i >> 8), 9}
		fmt.Fprintf(&b, "[Peer]\nPublicKey = %s\nAllowedIPs = 10.%d.%d.%d/32\n", k.Base64(), 1+i>>16, i>>8&255, i&255)
	}
	if list := check.File("wg0.conf", b.Bytes(), config.Quick, host()); len(list) > 0 {
		t.Errorf("found %d things, such as %+v", len(list), list[0])
	}
}

// The table in docs/check.md is that of the rules.
func TestDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/check.md")
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for _, r := range check.Rules() {
		want = append(want, fmt.Sprintf("| `%s` | %v | %s |", r.Code, r.Severity, r.Doc))
	}
	var got []string
	_, table, _ := strings.Cut(string(b), "\n## The rules\n")
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("docs/check.md should have\n%s", strings.Join(want, "\n"))
	}
}

func TestUnreadable(t *testing.T) {
	f := check.Unreadable("wg0.conf", syscall.EACCES)
	if f.Pos.String() != "wg0.conf:1:1" || f.Severity != check.Error || f.Reason != "can't be read: permission denied" || f.Hint != "only root may read it: run this with sudo" {
		t.Errorf("found %+v", f)
	}
}

func TestHookChainDistance(t *testing.T) {
	for b, want := range map[string]bool{
		"POSTROUTING": false, "POSROUTING": true, "POSTROUTINGS": true, "XPOSTROUTING": true, "POSTROUTIN": true, "OSTROUTING": true,
		"POSTROUTTING": true, "POSTROUTINX": true, "PASTROUTING": true, "PREROUTING": false, "POSTROUT": false, "": false,
	} {
		text := iface + "PostUp = iptables -A " + b + " -j ACCEPT\nPostDown = iptables -F\n" + peer
		list := check.File("wg0.conf", []byte(text), config.Quick, host())
		if got := len(list) > 0; got != want {
			t.Errorf("%q: found %+v", b, list)
		}
	}
}
