// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"math/bits"
	"net/netip"

	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// local are the networks that no packet leaves the house to, and the groups
// that are for neighbours. That a local network has other addresses, which
// could as well be anywhere, doesn't count: where the host will be tomorrow,
// they are somebody else's.
var local = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("224.0.0.0/24"), netip.MustParsePrefix("239.255.0.0/16"),
	netip.MustParsePrefix("255.255.255.255/32"),
	netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("ff02::/16"), netip.MustParsePrefix("ff05::/16"),
}

// The ports of name servers, which as a rule ask others in clear.
var nameServers = []uint16{53, 853}

// neighbours are the types of ICMPv6 without which there is no IPv6 on a link:
// solicitations of routers and neighbours, advertisements of neighbours, and
// what tells switches who listens to these.
var neighbours = []byte{133, 135, 136, 131, 132, 143}

// passages returns what may leave because of a kill switch.
func passages(k plan.KillSwitch) (list [][]expr.Any) {
	list = [][]expr.Any{
		rule(link(expr.MetaKeyOIFNAME, expr.CmpOpEq, k.Dev), verdict(expr.VerdictAccept)),
		// What is forwarded the other way: answers only.
		rule(link(expr.MetaKeyIIFNAME, expr.CmpOpEq, k.Dev), established(), verdict(expr.VerdictAccept)),
		rule(mark(k.Mark), udp(), verdict(expr.VerdictAccept)),
	}
	if !k.LAN {
		return list
	}
	for _, protocol := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		for _, port := range nameServers {
			list = append(list, rule(is(expr.MetaKeyL4PROTO, protocol),
				payload(expr.PayloadBaseTransportHeader, 2, binaryutil.BigEndian.PutUint16(port)), verdict(expr.VerdictReturn)))
		}
	}
	for _, p := range k.Inner {
		list = append(list, rule(destination(p), verdict(expr.VerdictReturn)))
	}
	for _, p := range local {
		list = append(list, rule(destination(p), verdict(expr.VerdictAccept)))
	}
	return list
}

// basics returns what may leave with any kill switch: what stays on the host,
// what gets it an address, and what finds its neighbours.
func basics() (list [][]expr.Any) {
	dhcp := func(family byte, client, server uint16) []expr.Any {
		ports := append(binaryutil.BigEndian.PutUint16(client), binaryutil.BigEndian.PutUint16(server)...)
		return rule(is(expr.MetaKeyNFPROTO, family), udp(), payload(expr.PayloadBaseTransportHeader, 0, ports), verdict(expr.VerdictAccept))
	}
	list = [][]expr.Any{
		rule(link(expr.MetaKeyOIFNAME, expr.CmpOpEq, "lo"), verdict(expr.VerdictAccept)),
		dhcp(unix.NFPROTO_IPV4, 68, 67),
		dhcp(unix.NFPROTO_IPV6, 546, 547),
	}
	for _, kind := range neighbours {
		list = append(list, rule(is(expr.MetaKeyNFPROTO, unix.NFPROTO_IPV6), is(expr.MetaKeyL4PROTO, unix.IPPROTO_ICMPV6),
			payload(expr.PayloadBaseTransportHeader, 0, []byte{kind}), verdict(expr.VerdictAccept)))
	}
	return list
}

// masquerade is: iifname "dev" oifname != "dev" masquerade
func masquerade(m plan.Masquerade) []expr.Any {
	from, to := link(expr.MetaKeyIIFNAME, expr.CmpOpEq, m.Dev), link(expr.MetaKeyOIFNAME, expr.CmpOpEq, m.Out)
	switch m.Out {
	case "":
		to = link(expr.MetaKeyOIFNAME, expr.CmpOpNeq, m.Dev)
	case m.Dev:
		from = link(expr.MetaKeyIIFNAME, expr.CmpOpNeq, m.Dev)
	}
	return rule(from, to, []expr.Any{&expr.Masq{}})
}

func rule(parts ...[]expr.Any) (exprs []expr.Any) {
	for _, p := range parts {
		exprs = append(exprs, p...)
	}
	return exprs
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

// link matches the name of a packet's link.
func link(key expr.MetaKey, op expr.CmpOp, dev string) []expr.Any {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, dev)
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
}

func mark(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
	}
}

// is matches what of a packet is one byte.
func is(key expr.MetaKey, value byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{value}}}
}

func payload(base expr.PayloadBase, offset uint32, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: base, Offset: offset, Len: uint32(len(value))},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: value},
	}
}

// established is: ct state established,related
func established() []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED), Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

// destinationOf returns the network that a rule of destination's is for.
func destinationOf(exprs []expr.Any) (p netip.Prefix, ok bool) {
	if len(exprs) != 6 {
		return p, false
	}
	_, isMeta := exprs[0].(*expr.Meta)
	mask, isMask := exprs[3].(*expr.Bitwise)
	to, isCmp := exprs[4].(*expr.Cmp)
	if !isMeta || !isMask || !isCmp {
		return p, false
	}
	a, ok := netip.AddrFromSlice(to.Data)
	length := 0
	for _, b := range mask.Mask {
		length += bits.OnesCount8(b)
	}
	return netip.PrefixFrom(a, length), ok
}

// destination matches packets to a network.
func destination(p netip.Prefix) []expr.Any {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(16)
	if p.Addr().Is6() {
		family, offset = unix.NFPROTO_IPV6, 24
	}
	to := p.Addr().AsSlice()
	length := uint32(len(to))
	mask := make([]byte, length)
	for i := range p.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return append(is(expr.MetaKeyNFPROTO, family),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: length, Mask: mask, Xor: make([]byte, length)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: to},
	)
}
