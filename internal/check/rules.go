// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package check

import (
	"slices"

	"wgtools/internal/config"
)

const (
	fileName   = "file-name"
	unreadable = "unreadable"
	tooMany    = "too-many"
)

// rules are all rules. Of two that might speak of one mistake, the first does
// (subject.told). Those without a function are the decoder's, or are about the
// file as a whole.
var rules = []Rule{
	{Code: unreadable, Severity: Error, Doc: "a file that isn't there, can't be read, or is a directory or a device"},
	{Code: fileName, Severity: Warning, Doc: "a name that isn't INTERFACE.conf, with an interface's name of 1 to 15 characters: `up` refuses it", quick: true},

	{Code: config.UnknownKey, Severity: Error, Doc: "a key that there is not; says which one is near"},
	{Code: config.OtherProgram, Severity: Error, Doc: "a key of another program or dialect: AmneziaWG, WireGuard for Android, wg-quick's in a file for `wg`"},
	{Code: config.WrongSection, Severity: Error, Doc: "a key in the other section, or before any"},
	{Code: config.UnknownSection, Severity: Error, Doc: "a section that is neither `[Interface]` nor `[Peer]`, or whose `]` is missing"},
	{Code: config.StrayCharacter, Severity: Error, Doc: "a character that an editor or a web page put there: byte-order mark, quotation mark, non-breaking space, a carriage return alone"},
	{Code: config.NotASetting, Severity: Error, Doc: "a line that is no section, no comment and no KEY = VALUE"},
	{Code: config.NoValue, Severity: Error, Doc: "a key without a value"},
	{Code: config.BadValue, Severity: Error, Doc: "a value that is no key, address, port, mark, number …; says what is expected"},
	{Code: config.NoPublicKey, Severity: Error, Doc: "a `[Peer]` without `PublicKey`"},
	{Code: config.Elsewhere, Severity: Error, Doc: "a key file, credential or included file that can't be read, or has no key in it", quick: true},
	{Code: config.Twice, Severity: Error, Doc: "a key in the file and from elsewhere, or a peer in two files", quick: true},
	{Code: tooMany, Severity: Error, Doc: "more than 1000 of the mistakes above, of which the rest isn't told"},

	{"no-private-key", Warning, "no `PrivateKey`, and no hook that sets one", true, noPrivateKey},
	{"private-key-readable", Warning, "a secret key in a file that all users may read", false, readable},
	{"private-key-unclamped", Note, "a `PrivateKey` that `wg genkey` doesn't make: perhaps a public or preshared one", false, unclampedKey},
	{"key-repeated", Warning, "a key twice in a section, of which only the last line counts; perhaps a `[Peer]` is missing", false, keyRepeated},
	{"interface-repeated", Warning, "a second `[Interface]`: perhaps two files in one", false, interfaceRepeated},
	{"port-range", Warning, "a port above 65535, which counts modulo 65536", false, portRange},
	{"listen-port-taken", Warning, "the `ListenPort` of another file in `/etc/wireguard`", false, listenPortTaken},

	{"duplicate-peer", Warning, "a `PublicKey` in two `[Peer]` sections", false, duplicatePeer},
	{"own-key", Warning, "a peer with the public key of the file's own `PrivateKey`", false, ownKey},
	{"key-mix-up", Warning, "a private key as `PublicKey` or `PresharedKey`, or a public one as `PresharedKey`", false, keyMixUp},
	{"zero-key", Warning, "a `PublicKey` of zeros", false, zeroKey},
	{"no-allowed-ips", Warning, "a peer without `AllowedIPs`", false, noAllowedIPs},
	{"allowed-ip-claimed-twice", Warning, "a network that two peers claim: the last one gets it", false, allowedIPTwice},
	{"allowed-ip-unspecified", Warning, "`::` or `0.0.0.0` as one address, without `/0`", false, unspecified},
	{"allowed-ip-repeated", Warning, "a network twice at one peer", false, allowedIPRepeated},
	{"own-address", Warning, "this host's own address among a peer's `AllowedIPs`", true, ownAddress},

	{"endpoint-form", Error, "an endpoint that can't be an address or a name, or whose port is none", false, endpointForm},
	{"endpoint-port", Warning, "port 0", false, endpointPort},
	{"endpoint-brackets", Warning, "an IPv6 endpoint without brackets, whose port may be a part of the address", false, endpointBrackets},
	{"endpoint-shared", Warning, "two peers with one endpoint", false, endpointShared},
	{"endpoint-is-own", Warning, "an endpoint that is an address of this host", false, endpointIsOwn},
	{"keepalive-missing", Note, "no `PersistentKeepalive` on a host behind NAT, if the peer is to reach it: not for full tunnels, nor with a `ListenPort`", false, noKeepalive},
	{"keepalive-long", Note, "a `PersistentKeepalive` of more than three minutes", false, longKeepalive},

	{"no-address", Warning, "no `Address`, and no hooks", true, noAddress},
	{"address-repeated", Error, "an address twice", true, addressRepeated},
	{"address-form", Warning, "an address that is taken for another one: fewer than four numbers, octal numbers", true, addressForm},
	{"address-of-network", Warning, "the address of the network itself, or its broadcast address", true, addressOfNetwork},
	{"address-in-local-network", Warning, "an address in a network of another link", true, addressInLocalNetwork},
	{"address-family", Warning, "`AllowedIPs` of a family of which there is no `Address`; `::/0` is none of these, since it keeps IPv6 in", true, familyWithoutAddress},
	{"mtu-small", Warning, "an `MTU` below 1280 with IPv6, or below 576", true, mtuSmall},
	{"mtu-large", Warning, "an `MTU` that doesn't fit the way out", true, mtuLarge},
	{"mtu-loopback", Warning, "an endpoint on this host without an `MTU`, which becomes the loopback's", true, mtuOfLoopback},

	{"local-network", Warning, "`AllowedIPs` within a network of another link", true, localNetwork},
	{"host-bits", Warning, "`AllowedIPs` with host bits, which count as the whole network", false, hostBits},
	{"ipv6-leak", Warning, "a full tunnel for IPv4 only on a host that has IPv6", true, ipv6Leak},
	{"default-halves", Warning, "`0.0.0.0/1, 128.0.0.0/1` in place of `0.0.0.0/0`", true, defaultHalves},
	{"default-in-main", Warning, "a full tunnel with `Table = main`", true, defaultRouteInMain},
	{"default-without-endpoint", Warning, "a default route to a peer without `Endpoint`, as on servers that took a client's file", true, defaultWithoutEndpoint},
	{"endpoint-in-tunnel", Warning, "an endpoint to which the tunnel itself is the way", true, endpointInTunnel},
	{"table-off", Note, "`Table = off`, no `FwMark`, and an endpoint within `AllowedIPs`", true, tableOff},

	{"dns-word", Warning, "a word of `DNS` that is neither an address nor a search domain", true, dnsWord},
	{"dns-search-only", Warning, "search domains without a name server", true, dnsSearchOnly},
	{"dns-many", Note, "more than three name servers", true, dnsMany},
	{"dns-outside", Warning, "a full tunnel's name server that is asked past the tunnel", true, dnsOutside},
	{"dns-unreachable", Warning, "a private name server that the tunnel doesn't lead to", true, dnsUnreachable},

	{"hooks-writable", Error, "hooks in a file or directory that all users may write to: `up` refuses them", true, writableHooks},
	{"file-writable", Warning, "a file that all users may write to", false, writable},
	{"hook-syntax", Error, "a hook that the shell doesn't understand (`bash -n`; it is not run)", true, hookSyntax},
	{"hook-character", Warning, "typographic quotation marks, dashes and blanks in hooks, outside of quotation marks", true, hookStray},
	{"hook-percent", Warning, "`%I`", true, hookPercent},
	{"hook-interface", Warning, "the name of another tunnel in hooks, if there is no such link", true, hookInterface},
	{"hook-chain", Warning, "a misspelt chain of iptables, such as `POSROUTING`", true, hookChain},
	{"hook-not-undone", Warning, "iptables rules that are added and never deleted", true, hookNotUndone},
	{"hook-key", Warning, "a secret key in a hook", true, hookKey},
}

// Rules returns all rules, those of refused files first.
func Rules() []Rule { return slices.Clone(rules) }

// Known reports whether there is a rule of that code.
func Known(code string) bool {
	return slices.ContainsFunc(rules, func(r Rule) bool { return r.Code == code })
}
