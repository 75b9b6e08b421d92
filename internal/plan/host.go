// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"fmt"
	"net/netip"

	"wgtools/internal/device"
)

// A Host is the outside world in narrow parts. A test fills in what it uses.
type Host struct {
	Links     Links
	Devices   Devices
	Userspace Userspace
	Routes    Routes
	Firewall  Firewall
	Gate      Gate
	DNS       DNS
	Shell     Shell
	Files     Files
	Sysctl    Sysctl
}

// Links changes network links and their addresses. What isn't there fails
// with [fs.ErrNotExist], what is there already with [fs.ErrExist].
type Links interface {
	// AddLink makes a WireGuard link of the kernel's. Where the kernel has no
	// WireGuard, the error is [errors.ErrUnsupported].
	AddLink(ctx context.Context, dev string) error
	// DelLink deletes a link of any kind. When it returns, a userspace device
	// behind it has ended.
	DelLink(ctx context.Context, dev string) error
	AddAddr(ctx context.Context, dev string, a netip.Prefix) error
	DelAddr(ctx context.Context, dev string, a netip.Prefix) error
	// SetLink sets the MTU, in bytes, and with up also puts the link up, in
	// one request.
	SetLink(ctx context.Context, dev string, mtu int, up bool) error
}

// Devices configures WireGuard devices, the kernel's and userspace ones.
type Devices interface {
	Configure(ctx context.Context, dev string, c *device.Change) error
}

// Userspace starts the program behind a userspace device, which makes the
// link. It returns once the device answers.
type Userspace interface {
	// Start runs program, a name or a path; "" is the device that is built in.
	Start(ctx context.Context, dev, program string) error
}

// Routes changes routing tables.
type Routes interface {
	// AddRoutes adds all routes or none. The error for one of them is a
	// [*RouteError]: [fs.ErrExist] for one that is there.
	AddRoutes(ctx context.Context, r RouteSet) error
	// DelRoutes removes routes. It goes on past failures and returns the
	// first, a [*RouteError]; one that isn't there ([fs.ErrNotExist]) counts
	// only if nothing else failed.
	DelRoutes(ctx context.Context, r RouteSet) error
	// AddDefault adds a default route and its rules, all or none. The error is
	// a [*LineError].
	AddDefault(ctx context.Context, d DefaultRoute) error
	// DelDefault removes them. It goes on past failures and returns the first,
	// a [*LineError]; the link's end takes its route along, so only a rule that
	// isn't there counts ([fs.ErrNotExist]), and that only if nothing else failed.
	DelDefault(ctx context.Context, d DefaultRoute) error
}

// A LineError says which command line of a change failed.
type LineError struct {
	Line string
	Err  error
}

// Error returns the line and the cause.
func (e *LineError) Error() string { return fmt.Sprintf("%s: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *LineError) Unwrap() error { return e.Err }

// Shell runs the hooks of configuration files.
type Shell interface {
	// Run returns once the hook's script has ended.
	Run(ctx context.Context, h Hook) error
}

// A RouteSet sends the networks Dst out of the link Dev, both families mixed.
// There may be very many, which is why they share the rest.
type RouteSet struct {
	Dev   string
	Table uint32 // 0: the main table
	Dst   []netip.Prefix
}

// A RouteError says which route of a set failed.
type RouteError struct {
	Dst netip.Prefix
	Err error
}

// Error returns the network and the cause.
func (e *RouteError) Error() string { return fmt.Sprintf("%v: %v", e.Dst, e.Err) }

// Unwrap returns the cause.
func (e *RouteError) Unwrap() error { return e.Err }
