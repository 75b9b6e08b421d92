// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// A Firewall is that of the network namespace of the thread that calls its
// methods. It isn't safe for concurrent use.
type Firewall struct {
	probed   bool
	noTables error // why nf_tables can't be asked, nil if it can
	noRules  error // why it can't hold the rules, nil if it can

	// variants are the ends of the names of iptables programs to add rules
	// with, legacy of those to look with into the tables that aren't kept in
	// nf_tables; in order of preference. inUse returns which such tables the
	// kernel has. They are fields for tests.
	variants, legacy []string
	inUse            func(v6 bool) []string
}

var _ plan.Firewall = (*Firewall)(nil)

// New returns the host's firewall.
func New() *Firewall {
	return &Firewall{
		// Which of the two is called iptables, the administrator decides; on a
		// kernel without nf_tables it may be the wrong one.
		variants: []string{"", "-legacy"},
		// On old systems the legacy one has no name of its own.
		legacy: []string{"-legacy", ""},
		inUse:  legacyTables,
	}
}

// Kind implements [plan.Firewall]. It can tell otherwise after AddRules: only
// then it shows whether a part of nf_tables is missing.
func (f *Firewall) Kind(context.Context) string {
	if f.probe(); f.noRules != nil {
		return plan.IPTables
	}
	return plan.NFT
}

// Works returns why there is no packet filter for the rules of full tunnels,
// an [*UnavailableError]; nil if nothing is known against it.
func (f *Firewall) Works(context.Context) error {
	if f.probe(); f.noRules == nil {
		return nil
	}
	var none error
	for _, variant := range f.variants {
		_, err := find(variant, false)
		if err == nil {
			return nil
		}
		none = err
	}
	return &UnavailableError{NFT: f.noRules, IPTables: none}
}

// probe asks once whether the kernel has nf_tables.
func (f *Firewall) probe() {
	if f.probed {
		return
	}
	f.probed = true
	// Unlike a transaction, a question is always answered: without nf_tables,
	// the library would wait for answers that the kernel doesn't send.
	_, err := dial().ListTablesOfFamily(nftables.TableFamilyIPv4)
	if err = cause(err); lacking(err) || errors.Is(err, unix.EINVAL) {
		f.noTables, f.noRules = err, err
	}
}

// AddRules implements [plan.Firewall]. Where the host has no packet filter
// that could hold the rules, the error is an [*UnavailableError].
func (f *Firewall) AddRules(ctx context.Context, r plan.FirewallRules) error {
	if err := check(r); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.probe(); f.noRules == nil {
		err := addTable(r)
		if !lacking(err) {
			return err
		}
		f.noRules = err
	}
	if err := f.restoreRules(r); err != nil {
		return &UnavailableError{V6: r.V6, NFT: f.noRules, IPTables: err}
	}
	return nil
}

// DelRules implements [plan.Firewall].
func (f *Firewall) DelRules(ctx context.Context, dev string) error {
	if err := checkName(dev); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	gone := true
	var errs []error
	note := func(deleted bool, err error) {
		gone = gone && !deleted
		errs = append(errs, err)
	}
	if f.probe(); f.noTables == nil {
		note(delTables(dev))
	}
	for _, v6 := range []bool{false, true} {
		note(f.delLegacy(dev, v6))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if gone {
		return fmt.Errorf("firewall rules for %s: %w", dev, fs.ErrNotExist)
	}
	return nil
}

// Programs returns the programs that hold rules for the link dev, those of
// DelRules' lines: of [plan.NFT], [plan.IPTables] and [plan.IP6Tables].
func (f *Firewall) Programs(ctx context.Context, dev string) (programs []string, err error) {
	if err := checkName(dev); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var have ours
	if f.probe(); f.noTables == nil {
		if have, err = findTables(dev); err != nil {
			return nil, err
		}
	}
	if len(have.tables) > 0 {
		programs = append(programs, plan.NFT)
	}
	for _, v6 := range []bool{false, true} {
		there := have.compat(v6)
		if !there {
			_, old, err := f.findLegacy(dev, v6)
			if err != nil {
				return nil, err
			}
			there = len(old) > 0
		}
		if there {
			programs = append(programs, plan.AddFirewall{FirewallRules: plan.FirewallRules{V6: v6}, Kind: plan.IPTables}.Program())
		}
	}
	return programs, nil
}

// comment is how the original marks its rules in iptables.
func comment(dev string) string { return "wg-quick(8) rule for " + dev }

// checkName refuses what can't be a tunnel's name, and could be more than a
// name in the text for iptables-restore.
func checkName(dev string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_=+.-"
	if dev == "" || len(dev) >= unix.IFNAMSIZ || strings.Trim(dev, letters) != "" {
		return fmt.Errorf("firewall rules for %q: not a tunnel's name", dev)
	}
	return nil
}

func check(r plan.FirewallRules) error {
	for _, a := range r.Addresses {
		if !a.IsValid() || a.Is6() != r.V6 {
			return fmt.Errorf("firewall rules for %s: the address %v is of the other family", r.Dev, a)
		}
	}
	return checkName(r.Dev)
}

// cause returns the first errno of err, if there is one: when a part of a
// transaction fails, those that build on it do too.
func cause(err error) error {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno
	}
	return err
}

// lacking reports whether err says that the kernel lacks nf_tables or a part
// of it, such as the fib expression.
func lacking(err error) bool {
	for _, errno := range []error{unix.EPROTONOSUPPORT, unix.EAFNOSUPPORT, unix.EOPNOTSUPP, unix.ENOENT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}

// An UnavailableError says that the host has no packet filter for the rules
// of a family. It is [errors.ErrUnsupported].
type UnavailableError struct {
	V6       bool
	NFT      error // what nf_tables lacks
	IPTables error // [exec.ErrNotFound] if it isn't installed
}

// Error returns why neither would do.
func (e *UnavailableError) Error() string {
	return fmt.Sprintf("no packet filter for the rules: nf_tables: %v; %v", e.NFT, e.IPTables)
}

// Is implements what [errors.Is] asks for.
func (e *UnavailableError) Is(target error) bool { return target == errors.ErrUnsupported }

// Original returns what the program printed that the original would run too.
func (e *UnavailableError) Original() []string {
	if failed, ok := errors.AsType[*restoreError](e.IPTables); ok {
		return failed.lines
	}
	return nil
}

// Advice says what to load or to install.
func (e *UnavailableError) Advice() []string {
	family, program := "ipv4", "iptable"
	if e.V6 {
		family, program = "ipv6", "ip6table"
	}
	hints := []string{fmt.Sprintf("hint: load the kernel's nf_tables with what the rules need: `modprobe -a nf_tables nft_ct nft_fib_%s'", family)}
	if errors.Is(e.IPTables, exec.ErrNotFound) {
		return append(hints, "hint: or install the package iptables")
	}
	return append(hints, fmt.Sprintf("hint: or, for iptables: `modprobe -a %s_raw %[1]s_mangle xt_addrtype xt_connmark xt_mark xt_comment'", program))
}
