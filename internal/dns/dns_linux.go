// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// BackendVariable is the environment variable that chooses the backend:
// "resolvconf", "resolved" or "file"; "auto" or nothing is for detection.
const BackendVariable = "WG_QUICK_DNS_BACKEND"

// auto is the choice to detect the backend.
const auto = "auto"

// A Resolver has the host's resolver settings. It is safe for concurrent use.
type Resolver struct {
	choice string    // of the backend
	output io.Writer // of resolvconf

	// Files that others own. Their paths are fields for tests.
	resolvConf     string // resolv.conf(5)
	interfaceOrder string // of Debian's resolvconf(8): which records count first
	records        string // and where it keeps them
	ownDir         bool   // resolvConf's directory is made and removed with it
}

var _ plan.DNS = (*Resolver)(nil)

// New returns the host's resolver. lookupEnv looks up an environment variable,
// as [os.LookupEnv] does. What resolvconf prints goes to output, or to
// [os.Stderr] if that is nil.
func New(lookupEnv func(string) (string, bool), output io.Writer) *Resolver {
	if output == nil {
		output = os.Stderr
	}
	choice, _ := lookupEnv(BackendVariable)
	return &Resolver{
		choice: choice, output: output,
		resolvConf: "/etc/resolv.conf", interfaceOrder: "/etc/resolvconf/interface-order",
		records: "/etc/resolvconf/run/interface",
	}
}

// NewFile returns a resolver whose settings are all in the file at path, which
// is made if need be, with its directory: that of another network namespace.
func NewFile(path string) *Resolver {
	return &Resolver{choice: string(plan.ResolvFile), output: io.Discard, resolvConf: path, ownDir: true}
}

// Settings returns the name servers and search domains that shall come with the
// link dev, as this host has to hold them: with the backend, and the record's
// name for resolvconf. It fails on a choice of backend that there isn't, and on
// what the backend can't hold. It changes nothing.
func (r *Resolver) Settings(ctx context.Context, dev string, servers, search []string) (plan.DNSSettings, error) {
	s := plan.DNSSettings{Dev: dev, Servers: servers, Search: search}
	switch choice := plan.DNSBackend(r.choice); choice {
	case "", auto:
		s.Backend = r.detect(ctx, s)
	case plan.Resolvconf, plan.Resolved, plan.ResolvFile:
		s.Backend = choice
	default:
		return s, fmt.Errorf("%s is %q: it may be %s, %s, %s or %s", BackendVariable, choice, auto, plan.Resolvconf, plan.Resolved, plan.ResolvFile)
	}
	if ctx.Err() != nil { // what was detected may be wrong then
		return s, context.Cause(ctx)
	}
	if s.Backend == plan.Resolvconf {
		s.Record = r.record(dev)
	}
	return s, check(s)
}

// detect returns the backend that is in charge here.
func (r *Resolver) detect(ctx context.Context, s plan.DNSSettings) plan.DNSBackend {
	if path, err := exec.LookPath("resolvconf"); err == nil {
		if len(s.Servers) == 0 && isResolvectl(path) { // it refuses search domains without a server
			return plan.Resolved
		}
		return plan.Resolvconf
	}
	// If the file leads elsewhere, programs would never ask systemd-resolved.
	if r.leadsToResolved() && hasResolved(ctx) {
		return plan.Resolved
	}
	return plan.ResolvFile
}

// Works returns why a backend would not take name servers now, nil if nothing
// is known against it. It changes nothing.
func (r *Resolver) Works(ctx context.Context, backend plan.DNSBackend) error {
	switch backend {
	case plan.Resolvconf:
		path, err := exec.LookPath("resolvconf")
		if err != nil || !isResolvectl(path) {
			return err
		}
		fallthrough
	case plan.Resolved:
		if !hasResolved(ctx) {
			return &resolvedError{"the system bus", errAbsent}
		}
		return nil
	}
	h, err := os.OpenFile(r.resolvConf, os.O_RDWR, 0)
	if err == nil {
		return h.Close()
	}
	if target, noLink := os.Readlink(r.resolvConf); errors.Is(err, fs.ErrNotExist) && noLink == nil {
		return fileFailure(ctx, r.resolvConf, &danglingError{target})
	}
	for dir := filepath.Dir(r.resolvConf); errors.Is(err, fs.ErrNotExist) && dir != "/"; dir = filepath.Dir(dir) { // it would be made
		err = unix.Access(dir, unix.W_OK)
	}
	if err != nil {
		return fileFailure(ctx, r.resolvConf, err)
	}
	return nil
}

// errAbsent is why systemd-resolved isn't asked.
var errAbsent = errors.New("it isn't there, and isn't started when asked")

// isResolvectl reports whether a resolvconf is systemd's.
func isResolvectl(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	return err == nil && filepath.Base(real) == "resolvectl"
}

// leadsToResolved reports whether what programs look up reaches
// systemd-resolved: the file is one of its own, or names its address alone.
func (r *Resolver) leadsToResolved() bool {
	target, err := filepath.EvalSymlinks(r.resolvConf)
	if err != nil { // the file may be there only once systemd-resolved runs
		if target, err = os.Readlink(r.resolvConf); err != nil {
			return false
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(r.resolvConf), target)
		}
	}
	if strings.HasPrefix(target, "/run/systemd/resolve/") || target == "/usr/lib/systemd/resolv.conf" {
		return true
	}
	text, err := os.ReadFile(r.resolvConf)
	if err != nil {
		return false
	}
	leads := false
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "nameserver" {
			continue
		}
		if leads = words[1] == "127.0.0.53" || words[1] == "127.0.0.54"; !leads {
			return false
		}
	}
	return leads
}

// SetDNS implements [plan.DNS].
func (r *Resolver) SetDNS(ctx context.Context, s plan.DNSSettings) error {
	if err := check(s); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch s.Backend {
	case plan.Resolvconf:
		return r.addRecord(ctx, s)
	case plan.Resolved:
		return setLink(ctx, s)
	default:
		return r.setBlock(ctx, s)
	}
}

// UnsetDNS implements [plan.DNS]. resolvconf doesn't tell whether there was
// something, so that this doesn't either.
func (r *Resolver) UnsetDNS(ctx context.Context, s plan.DNSSettings) error {
	if err := checkTarget(s); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch s.Backend {
	case plan.Resolvconf:
		return r.deleteRecord(ctx, s)
	case plan.Resolved:
		return revertLink(ctx, s.Dev)
	default:
		return r.unsetBlock(ctx, s.Dev)
	}
}

// checkTarget refuses what can't be a tunnel's name, and could be more than a
// name in a file or among a program's arguments.
func checkTarget(s plan.DNSSettings) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-"
	if s.Dev == "" || len(s.Dev) >= unix.IFNAMSIZ || strings.Trim(s.Dev, letters) != "" {
		return fmt.Errorf("DNS for %q: not a tunnel's name", s.Dev)
	}
	switch s.Backend {
	case plan.Resolved, plan.ResolvFile:
		return nil
	case plan.Resolvconf:
		if prefix, ok := strings.CutSuffix(s.Record, s.Dev); ok && strings.Trim(prefix, letters) == "" {
			return nil
		}
		return fmt.Errorf("DNS for %s: the record %q isn't the tunnel's", s.Dev, s.Record)
	}
	return fmt.Errorf("DNS for %s: no backend %q", s.Dev, s.Backend)
}

// check refuses settings that the backend can't hold, or would hold otherwise
// than they are meant. What resolvconf makes of them is its own business, as
// with the original.
func check(s plan.DNSSettings) error {
	if err := checkTarget(s); err != nil {
		return err
	}
	for _, words := range [][]string{s.Servers, s.Search} {
		for _, w := range words {
			if w == "" || strings.ContainsFunc(w, func(c rune) bool { return unicode.IsSpace(c) || unicode.IsControl(c) }) {
				return fmt.Errorf("DNS: %q is neither a name server nor a search domain", w)
			}
		}
	}
	if s.Backend == plan.Resolvconf {
		return nil
	}
	for _, server := range s.Servers {
		ap, err := plan.ParseNameServer(server)
		if err != nil {
			return fmt.Errorf("DNS: %q is not the address of a name server", server)
		}
		if port := ap.Port(); s.Backend == plan.ResolvFile && port != 0 && port != 53 {
			return fmt.Errorf("DNS: %q: resolv.conf(5) can't hold a port; only systemd-resolved asks at other ports than 53", server)
		}
		if zone := ap.Addr().Zone(); s.Backend == plan.Resolved && zone != "" && zone != s.Dev {
			return fmt.Errorf("DNS: %q: systemd-resolved asks the name servers of %s through that link, not through %s", server, s.Dev, zone)
		}
	}
	return nil
}
