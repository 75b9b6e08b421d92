// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// The names of systemd-resolved, from org.freedesktop.resolve1(5), and those of
// the errors that have a meaning here.
const (
	resolvedName    = "org.freedesktop.resolve1"
	resolvedPath    = "/org/freedesktop/resolve1"
	resolvedManager = "org.freedesktop.resolve1.Manager"

	noSuchLink    = "org.freedesktop.resolve1.NoSuchLink"
	linkBusy      = "org.freedesktop.resolve1.LinkBusy" // systemd-networkd manages it
	unknownMethod = "org.freedesktop.DBus.Error.UnknownMethod"
	accessDenied  = "org.freedesktop.DBus.Error.AccessDenied"
	needsPassword = "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired"
)

// answerTime is how long the bus and systemd-resolved may take in all, and
// noticeTime how long the latter may take to notice a new link.
const (
	answerTime = 5 * time.Second
	noticeTime = time.Second
)

// errSilent is why we give up after answerTime.
var errSilent = fmt.Errorf("no answer within %v", answerTime)

// A bus is a connection to the system bus, as long as ctx allows.
type bus struct {
	*dbus.Conn
	ctx context.Context
}

// onBus calls f with a connection to the system bus.
func onBus(ctx context.Context, f func(b *bus) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, answerTime, errSilent)
	defer cancel()
	c, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return failure(ctx, "the system bus", err)
	}
	defer c.Close()
	return f(&bus{c, ctx})
}

// failure returns why what failed: because time is over, rather than because
// the connection was closed then.
func failure(ctx context.Context, what string, err error) error {
	if ctx.Err() == nil {
		return &resolvedError{what, err}
	}
	if err = context.Cause(ctx); errors.Is(err, errSilent) {
		return &resolvedError{what, err}
	}
	return err
}

// hasResolved reports whether systemd-resolved runs, or is started when asked.
func hasResolved(ctx context.Context) bool {
	there := false
	err := onBus(ctx, func(b *bus) error {
		ask := func(method string, answer any, args ...any) error {
			return b.BusObject().CallWithContext(b.ctx, "org.freedesktop.DBus."+method, 0, args...).Store(answer)
		}
		if err := ask("NameHasOwner", &there, resolvedName); err != nil || there {
			return err
		}
		var names []string
		err := ask("ListActivatableNames", &names)
		there = slices.Contains(names, resolvedName)
		return err
	})
	return err == nil && there
}

// A call is one of a method of systemd-resolved.
type call struct {
	method string
	args   []any
}

// The types of the methods' arguments.
type (
	linkServer struct { // (iay)
		Family  int32
		Address []byte
	}
	linkServerPort struct { // (iayqs)
		Family  int32
		Address []byte
		Port    uint16 // 0: the usual one
		Name    string // for DNS over TLS
	}
	linkDomain struct { // (sb)
		Name        string
		RoutingOnly bool // names in it are looked up here, but it isn't tried as an ending of others
	}
)

// do makes a call. A refusal is a [*resolvedError] that wraps [dbus.Error].
func (b *bus) do(c call) error {
	err := b.Object(resolvedName, resolvedPath).CallWithContext(b.ctx, resolvedManager+"."+c.method, 0, c.args...).Err
	if err != nil {
		return failure(b.ctx, c.method, err)
	}
	return nil
}

// setCalls returns the calls that set what comes with a link, in place of what
// it had. With servers, all names are looked up there and nowhere else: that is
// what the root domain is for.
func setCalls(index int32, s plan.DNSSettings) (calls []call, err error) {
	var domains []linkDomain
	if len(s.Servers) > 0 {
		c, err := serversCall(index, s.Servers)
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
		domains = append(domains, linkDomain{".", true})
	} else {
		calls = append(calls, call{"RevertLink", []any{index}}) // servers that it had go
	}
	for _, d := range s.Search {
		name, routing := strings.CutPrefix(d, "~")
		domains = append(domains, linkDomain{name, routing})
	}
	calls = append(calls, call{"SetLinkDomains", []any{index, domains}})
	if len(s.Servers) > 0 {
		calls = append(calls, call{"SetLinkDefaultRoute", []any{index, true}})
	}
	return calls, nil
}

func serversCall(index int32, servers []string) (call, error) {
	var plain []linkServer
	var full []linkServerPort
	ports := false
	for _, s := range servers {
		server, err := plan.ParseNameServer(s)
		if err != nil {
			return call{}, fmt.Errorf("DNS: %q is not the address of a name server", s)
		}
		family := int32(unix.AF_INET6)
		if server.Addr().Is4() {
			family = unix.AF_INET
		}
		plain = append(plain, linkServer{family, server.Addr().AsSlice()})
		full = append(full, linkServerPort{family, server.Addr().AsSlice(), server.Port(), ""})
		ports = ports || server.Port() != 0
	}
	if ports { // since systemd 246
		return call{"SetLinkDNSEx", []any{index, full}}, nil
	}
	return call{"SetLinkDNS", []any{index, plain}}, nil
}

// setLink sets what comes with a link: all of it or nothing.
func setLink(ctx context.Context, s plan.DNSSettings) error {
	index, err := linkIndex(s.Dev)
	if err != nil {
		return err
	}
	calls, err := setCalls(index, s)
	if err != nil {
		return err
	}
	undo := false
	err = onBus(ctx, func(b *bus) error {
		err := b.doFirst(calls[0])
		undo = err == nil || refusal(err) == "" // without an answer it may be done
		for _, c := range calls[1:] {
			if err != nil {
				break
			}
			err = b.do(c)
			if c.method == "SetLinkDefaultRoute" && refusal(err) == unknownMethod {
				err = nil // before systemd 240 the root domain alone does that
			}
		}
		return err
	})
	if err == nil || !undo {
		return err
	}
	if undone := revertLink(context.WithoutCancel(ctx), s.Dev); undone != nil && !errors.Is(undone, fs.ErrNotExist) {
		return errors.Join(err, fmt.Errorf("undo: %w", undone))
	}
	return err
}

// doFirst makes the first call for a link: that the link is there, the kernel
// tells us earlier than systemd-resolved.
func (b *bus) doFirst(c call) error {
	for start := time.Now(); ; {
		err := b.do(c)
		if refusal(err) != noSuchLink || time.Since(start) > noticeTime {
			return err
		}
		select {
		case <-b.ctx.Done():
		case <-time.After(noticeTime / 50):
		}
	}
}

// revertLink takes back what was set for a link. systemd-resolved forgets it
// with the link.
func revertLink(ctx context.Context, dev string) error {
	index, err := linkIndex(dev)
	if err != nil {
		return err
	}
	err = onBus(ctx, func(b *bus) error { return b.do(call{"RevertLink", []any{index}}) })
	if refusal(err) == noSuchLink {
		return fmt.Errorf("link %s: %w", dev, fs.ErrNotExist)
	}
	return err
}

// linkIndex returns the kernel's number of a link. The error is
// [fs.ErrNotExist] if there is no such link.
func linkIndex(dev string) (int32, error) {
	link, err := net.InterfaceByName(dev)
	if _, failed := errors.AsType[*os.SyscallError](err); failed {
		return 0, fmt.Errorf("link %s: %w", dev, err)
	}
	if err != nil { // package net has no name for it
		return 0, fmt.Errorf("link %s: %w", dev, fs.ErrNotExist)
	}
	return int32(link.Index), nil
}

// refusal returns the name of the error with which systemd-resolved or the bus
// answered, "" if err is none.
func refusal(err error) string {
	answer, _ := errors.AsType[dbus.Error](err)
	return answer.Name
}

// A resolvedError says that systemd-resolved, or the bus before it, refused a
// call or didn't answer.
type resolvedError struct {
	what string // the method, or what was to be reached
	err  error
}

// Error returns what was called and the answer: its name and its words.
func (e *resolvedError) Error() string {
	if name := refusal(e.err); name != "" && name != e.err.Error() {
		return fmt.Sprintf("systemd-resolved: %s: %s: %v", e.what, name, e.err)
	}
	return fmt.Sprintf("systemd-resolved: %s: %v", e.what, e.err)
}

// Unwrap returns the answer, or why there is none.
func (e *resolvedError) Unwrap() error { return e.err }

// Advice says what to do about it.
func (e *resolvedError) Advice() []string {
	other := fmt.Sprintf("%s=%s edits /etc/resolv.conf instead", BackendVariable, plan.ResolvFile)
	switch refusal(e.err) {
	case accessDenied, needsPassword:
		return []string{"hint: this needs root, or a rule of polkit for org.freedesktop.resolve1"}
	case linkBusy:
		return []string{"hint: systemd-networkd manages the link: set DNS= and Domains= in its .network file, or Unmanaged=yes to leave the link to wg-quick"}
	case noSuchLink:
		return []string{"hint: systemd-resolved doesn't see the link, as in another network namespace; " + other}
	}
	return []string{"hint: `systemctl status systemd-resolved dbus' shows whether they run; " + other}
}
