// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package resolve

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
)

// A gaiResult are the addresses of a host, the best first, or the text of what
// failed.
type gaiResult struct {
	addrs   []netip.Addr
	failure string
}

// lookupHost resolves a host name with Go's own resolver, which reads the same
// files as the C library's, sorts like it (RFC 6724), and needs no C library.
// What it can't do are sources such as mdns or sss in /etc/nsswitch.conf: where
// one is listed and the name was not found, getent(1) is asked too.
func lookupHost(ctx context.Context, host string) gaiResult {
	sources := nameSources("/etc/nsswitch.conf")
	// Only the domain name system knows what the final dot means.
	if strings.HasSuffix(host, ".") && !sources.dns {
		return gaiResult{failure: errNoName}
	}
	var seen replies
	resolver := net.Resolver{PreferGo: true, Dial: seen.dial}
	addrs, err := lookup(ctx, &resolver, host)
	if err == nil && len(addrs) > 0 {
		for i := range addrs {
			addrs[i] = addrs[i].Unmap() // IPv4 addresses come mapped into IPv6
		}
		return gaiResult{addrs: addrs}
	}
	failure := errAgain
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound || err == nil {
		failure = errNoName
		if seen.code(rcodeSuccess) {
			failure = errNoData
		}
	} else if seen.code(rcodeFormat) {
		failure = errNoName
	}
	if failure != errAgain && sources.other {
		if addrs := getent(ctx, host); len(addrs) > 0 {
			return gaiResult{addrs: addrs}
		}
	}
	return gaiResult{failure: failure}
}

// lookup tries a name as it is before it tries it with search domains, where
// resolv.conf(5) has it in that order: Go does so too, but if no server answers
// for the first one, it goes on to wait as long again for each domain.
func lookup(ctx context.Context, resolver *net.Resolver, host string) ([]netip.Addr, error) {
	if !strings.HasSuffix(host, ".") && strings.Count(host, ".") >= ndots("/etc/resolv.conf") {
		addrs, err := resolver.LookupNetIP(ctx, "ip", host+".")
		if dns, ok := errors.AsType[*net.DNSError](err); err == nil || ok && dns.IsTimeout {
			return addrs, err
		}
	}
	return resolver.LookupNetIP(ctx, "ip", host)
}

// ndots returns how many dots make a name that is first tried as it is.
func ndots(path string) int {
	n := 1
	text, err := os.ReadFile(path)
	if err != nil {
		return n
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "options" {
			continue
		}
		for _, option := range words[1:] {
			if value, ok := strings.CutPrefix(option, "ndots:"); ok {
				n, _ = strconv.Atoi(value) // what is no number counts as 0
			}
		}
	}
	return n
}

// Response codes (RFC 1035, section 4.1.1).
const (
	rcodeSuccess = 0
	rcodeFormat  = 1
)

// replies notes which response codes name servers gave: Go's errors don't tell
// a name without addresses from one that does not exist.
type replies struct{ codes atomic.Uint32 }

func (r *replies) code(n int) bool { return r.codes.Load()&(1<<n) != 0 }

func (r *replies) dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if packets, ok := conn.(net.PacketConn); ok { // the resolver tells UDP by it
		return &watchedPackets{watchedConn{conn, r}, packets}, nil
	}
	return conn, nil
}

type watchedConn struct {
	net.Conn
	replies *replies
}

func (c *watchedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 3 {
		c.replies.codes.Or(1 << (b[3] & 15))
	}
	return n, err
}

type watchedPackets struct {
	watchedConn
	packets net.PacketConn
}

func (c *watchedPackets) ReadFrom(b []byte) (int, net.Addr, error) { return c.packets.ReadFrom(b) }
func (c *watchedPackets) WriteTo(b []byte, a net.Addr) (int, error) {
	return c.packets.WriteTo(b, a)
}

// A sourceList is what the hosts line of nsswitch.conf(5) names.
type sourceList struct {
	dns   bool
	other bool // one that Go's resolver doesn't speak
}

func nameSources(path string) sourceList {
	text, err := os.ReadFile(path)
	if err != nil {
		return sourceList{dns: true}
	}
	for line := range bytes.Lines(text) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		database, sources, ok := strings.Cut(string(line), ":")
		if !ok || strings.TrimSpace(database) != "hosts" {
			continue
		}
		var list sourceList
		for _, source := range strings.Fields(sources) {
			switch {
			case source == "files" || source == "myhostname" || strings.HasPrefix(source, "["):
			case source == "dns":
				list.dns = true
			default:
				list.other = true
			}
		}
		return list
	}
	return sourceList{dns: true}
}

// getent asks the C library for the addresses of a host. It tells each once for
// every type of socket.
func getent(ctx context.Context, host string) (addrs []netip.Addr) {
	if strings.HasPrefix(host, "-") {
		return nil
	}
	out, err := exec.CommandContext(ctx, "getent", "ahosts", host).Output()
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(out)) {
		text, _, _ := strings.Cut(line, " ")
		if addr, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil && !slices.Contains(addrs, addr) {
			addrs = append(addrs, addr)
		}
	}
	return addrs
}
