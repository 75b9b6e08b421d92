// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package resolve turns the host names, service names and unusual numeric
// forms of endpoints and ports into addresses, as users know it from the C
// library's getaddrinfo, which a static program doesn't have: the same forms,
// the same texts for failures, the same order of addresses (RFC 6724).
package resolve

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// RetriesVariable is the environment variable that says how often a failed
// look-up is repeated: a number, or "infinity" (wg(8)).
const RetriesVariable = "WG_ENDPOINT_RESOLUTION_RETRIES"

// The texts of gai_strerror(3) that wg prints.
const (
	errNoName  = "Name or service not known"
	errNoData  = "No address associated with hostname"
	errAgain   = "Temporary failure in name resolution"
	errService = "Servname not supported for ai_socktype"
)

// An Error says why a port or an endpoint is of no use.
type Error struct {
	line  string // what the original prints
	hint  string
	env   bool
	cause error // of an end before the answer
}

// Error returns the line that the original prints.
func (e *Error) Error() string { return e.line }

// Original returns the line that the original prints.
func (e *Error) Original() []string { return []string{e.line} }

// Advice returns what to do about it.
func (e *Error) Advice() []string {
	if e.hint == "" {
		return nil
	}
	return []string{"hint: " + e.hint}
}

// Unwrap returns why the look-up was given up, nil if it wasn't.
func (e *Error) Unwrap() error { return e.cause }

// Environment reports whether the fault is not the text's but an environment
// variable's.
func (e *Error) Environment() bool { return e.env }

// A Resolver resolves endpoints and ports. It is not safe for concurrent use,
// but for All.
type Resolver struct {
	ctx       context.Context // a Resolver is for one command, which ends with it
	lookupEnv func(string) (string, bool)
	warn      io.Writer                                        // for "Trying again"
	lookup    func(ctx context.Context, host string) gaiResult // host names; numbers don't get here
	zoneIndex func(name string) int                            // 0: no such link
	zoneName  func(index int) string                           // "": no such link
	pause     func(time.Duration) <-chan time.Time
	services  string // path of the services database

	retries retries
	read    bool // retries is read
}

// New returns a Resolver that uses the machine's configuration: /etc/hosts,
// /etc/services, /etc/resolv.conf, /etc/nsswitch.conf. It tells on warn when
// it tries again. Once ctx is done, look-ups end with an error that wraps its
// cause and is the environment's.
func New(ctx context.Context, lookupEnv func(string) (string, bool), warn io.Writer) *Resolver {
	return &Resolver{
		ctx: ctx, lookupEnv: lookupEnv, warn: warn, lookup: lookupHost,
		zoneIndex: linkIndex, zoneName: linkName,
		pause: time.After, services: "/etc/services",
	}
}

// Port resolves a listen port: a number, which counts modulo 65536 as it does
// in C, or the name of a UDP service.
func (r *Resolver) Port(s string) (uint16, error) {
	if s == "" {
		return 0, &Error{line: "Unable to parse empty port", hint: "a port is a number from 0 to 65535; 0 lets the device choose"}
	}
	text := errService
	if s == "*" {
		text = errNoName // neither a host nor a service is left to resolve
	} else if port, ok := r.service(s); ok {
		return port, nil
	}
	return 0, &Error{line: fmt.Sprintf("%s: `%s'", text, s), hint: "a port is a number from 0 to 65535, or the name of a UDP service in /etc/services"}
}

// Endpoint resolves "HOST:PORT", where HOST is a name or an address, an IPv6
// one with or without brackets and with an optional zone. A failed look-up is
// repeated as often as [RetriesVariable] says; all else fails at once.
// The address's zone is the name of the link where there is one.
func (r *Resolver) Endpoint(s string) (netip.AddrPort, error) {
	if err := r.readRetries(); err != nil {
		return netip.AddrPort{}, err
	}
	// What netip understands, getaddrinfo understands alike; only the zones differ.
	if e, err := netip.ParseAddrPort(s); err == nil && e.Addr().Zone() == "" {
		return e, nil
	}
	host, port, err := split(s)
	if err != nil {
		return netip.AddrPort{}, err
	}
	left := r.retries
	for pause := firstPause; ; pause = min(pause*6/5, longestPause) {
		all, failure := r.getaddrinfo(r.ctx, host, port)
		if failure == "" {
			return all[0], nil
		}
		if r.ctx.Err() != nil {
			cause := context.Cause(r.ctx)
			return netip.AddrPort{}, &Error{line: fmt.Sprintf("%v: `%s'", cause, s), env: true, cause: cause}
		}
		if failure == errNoName || failure == errNoData || left == 0 {
			return netip.AddrPort{}, &Error{line: fmt.Sprintf("%s: `%s'", failure, s), hint: hintFor(failure, host, port)}
		}
		if left != infinite {
			left--
		}
		fmt.Fprintf(r.warn, "%s: `%s'. Trying again in %.2f seconds...\n", failure, s, pause.Seconds())
		select {
		case <-r.pause(pause):
		case <-r.ctx.Done():
		}
	}
}

// All resolves "HOST:PORT" as Endpoint does, but to all addresses of the host, in
// both families, the best first; and it looks a name up once only. ctx may end
// that early, which is no fault of the environment. All is safe for concurrent use.
func (r *Resolver) All(ctx context.Context, s string) ([]netip.AddrPort, error) {
	if e, err := netip.ParseAddrPort(s); err == nil && e.Addr().Zone() == "" {
		return []netip.AddrPort{e}, nil
	}
	host, port, err := split(s)
	if err != nil {
		return nil, err
	}
	all, failure := r.getaddrinfo(ctx, host, port)
	if failure != "" {
		return nil, &Error{line: fmt.Sprintf("%s: `%s'", failure, s), hint: hintFor(failure, host, port), cause: context.Cause(ctx)}
	}
	return all, nil
}

const (
	firstPause   = time.Second
	longestPause = 20 * time.Second
)

// split takes an endpoint apart: at the bracket, or else at the last colon.
func split(s string) (host, port string, err error) {
	if s == "" {
		return "", "", &Error{line: "Unable to parse empty endpoint", hint: "an endpoint is HOST:PORT, such as vpn.example.org:51820"}
	}
	noPort := &Error{
		line: fmt.Sprintf("Unable to find port of endpoint: `%s'", s),
		hint: "an endpoint is HOST:PORT, such as vpn.example.org:51820 or [2001:db8::1]:51820",
	}
	if rest, ok := strings.CutPrefix(s, "["); ok {
		host, rest, ok = strings.Cut(rest, "]")
		if !ok {
			return "", "", &Error{line: fmt.Sprintf("Unable to find matching brace of endpoint: `%s'", s), hint: "an IPv6 endpoint is [ADDRESS]:PORT"}
		}
		port, ok = strings.CutPrefix(rest, ":")
		if !ok || port == "" {
			return "", "", noPort
		}
		return host, port, nil
	}
	i := strings.LastIndexByte(s, ':')
	if i < 0 || i == len(s)-1 {
		return "", "", noPort
	}
	return s[:i], s[i+1:], nil
}

func hintFor(failure, host, port string) string {
	switch {
	case failure == errService:
		return fmt.Sprintf("the port %q is neither a number nor a UDP service in /etc/services", port)
	case host == "":
		return "the host before the port is missing"
	case strings.Contains(host, "%"):
		return "a zone such as %eth0 belongs to link-local addresses only, and its link must exist"
	case strings.Count(host, ":") > 0:
		return "an IPv6 endpoint is [ADDRESS]:PORT, such as [2001:db8::1]:51820"
	case failure == errNoData:
		return fmt.Sprintf("%q exists, but has neither an IPv4 nor an IPv6 address", host)
	case failure == errAgain:
		return fmt.Sprintf("no name server answered for %q: is the network up, and is /etc/resolv.conf right?", host)
	}
	return fmt.Sprintf("is %q spelt right, and does `getent ahosts' find it?", host)
}

// getaddrinfo returns the addresses of host with port, the best first, or the
// text of what failed. The port comes first: a bad one hides a bad host.
func (r *Resolver) getaddrinfo(ctx context.Context, host, port string) ([]netip.AddrPort, string) {
	var number uint16
	if port != "*" { // "*" counts as no port
		var ok bool
		if number, ok = r.service(port); !ok {
			return nil, errService
		}
	}
	if host == "*" { // counts as no host, which is the loopback address
		return []netip.AddrPort{netip.AddrPortFrom(netip.IPv6Loopback(), number)}, ""
	}
	addr, ok, failure := r.numeric(host)
	addrs := []netip.Addr{addr}
	if failure == "" && !ok {
		res := r.lookup(ctx, host)
		addrs, failure = res.addrs, res.failure
	}
	if failure != "" {
		return nil, failure
	}
	endpoints := make([]netip.AddrPort, len(addrs))
	for i, a := range addrs {
		endpoints[i] = netip.AddrPortFrom(a, number)
	}
	return endpoints, ""
}

// numeric reads an address in numbers: IPv4 in all forms of inet_aton(3), or
// IPv6 with an optional zone. ok is false for what must be a name.
func (r *Resolver) numeric(host string) (addr netip.Addr, ok bool, failure string) {
	if host == "" {
		return netip.Addr{}, false, errNoName
	}
	if a, ok := inetAton(host); ok {
		return a, true, ""
	}
	text, zone, zoned := strings.Cut(host, "%")
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is6() {
		return netip.Addr{}, false, ""
	}
	if !zoned {
		return a, true, ""
	}
	index, ok := r.scope(a, zone)
	if !ok {
		return netip.Addr{}, false, errNoName
	}
	if index == 0 {
		return a, true, ""
	}
	if linkLocal(a) {
		if name := r.zoneName(int(index)); name != "" {
			return a.WithZone(name), true, ""
		}
	}
	return a.WithZone(strconv.FormatUint(uint64(index), 10)), true, ""
}

// scope returns the number of a zone: a link's name for link-local addresses,
// or a number, whose link need not exist.
func (r *Resolver) scope(a netip.Addr, zone string) (uint32, bool) {
	if linkLocal(a) {
		if index := r.zoneIndex(zone); index != 0 {
			return uint32(index), true
		}
	}
	if zone == "" || zone[0] < '0' || zone[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(zone, 10, 32)
	return uint32(n), err == nil
}

func linkLocal(a netip.Addr) bool { return a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() }

func linkIndex(name string) int {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return 0
	}
	return link.Index
}

func linkName(index int) string {
	link, err := net.InterfaceByIndex(index)
	if err != nil {
		return ""
	}
	return link.Name
}
