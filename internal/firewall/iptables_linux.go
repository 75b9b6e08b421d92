// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/coreos/go-iptables/iptables"

	"wgtools/internal/plan"
)

// patience is how long programs wait for others that change the same rules,
// in seconds.
const patience = 10

// A program is one of the variants of iptables. The library finds rules; for
// changes it would start a process for each rule and leave half of them after
// a failure, while iptables-restore replaces a table at once.
type program struct {
	restore string // the path of iptables-restore
	args    []string
	ipt     *iptables.IPTables
}

// find returns the program whose name ends in variant. The error is
// [exec.ErrNotFound] if it isn't installed.
func find(variant string, v6 bool) (*program, error) {
	name, family := plan.IPTables, iptables.ProtocolIPv4
	if v6 {
		name, family = plan.IP6Tables, iptables.ProtocolIPv6
	}
	path, err := lookPath(name + variant)
	if err != nil {
		return nil, err
	}
	restore, err := lookPath(name + variant + "-restore")
	if err != nil {
		return nil, err
	}
	ipt, err := iptables.New(iptables.IPFamily(family), iptables.Path(path), iptables.Timeout(patience))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name+variant, err)
	}
	p := &program{restore: restore, args: []string{"-n"}, ipt: ipt}
	major, minor, patch := ipt.GetIptablesVersion()
	if slices.Compare([]int{major, minor, patch}, []int{1, 6, 2}) >= 0 { // older ones don't know it
		p.args = append(p.args, "-w", strconv.Itoa(patience))
	}
	return p, nil
}

// lookPath finds a program also where people's own PATH doesn't look.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin/", "/sbin/"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(dir + name)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, exec.ErrNotFound)
	}
	return path, nil
}

// changes are lines for iptables-restore, by table.
type changes map[string][]string

// text returns the input for iptables-restore.
func (c changes) text() string {
	var b strings.Builder
	for _, table := range []string{"raw", "mangle"} {
		if len(c[table]) > 0 {
			fmt.Fprintf(&b, "*%s\n%s\nCOMMIT\n", table, strings.Join(c[table], "\n"))
		}
	}
	return b.String()
}

// additions returns the lines that add r. Of a name that ends in "+", iptables
// takes the rest for the beginning of names: so named, a tunnel trusts links
// whose names begin alike.
func additions(r plan.FirewallRules) changes {
	c := changes{}
	add := func(table, format string, args ...any) {
		c[table] = append(c[table], fmt.Sprintf(format, args...)+` -m comment --comment "`+comment(r.Dev)+`"`)
	}
	for _, a := range r.Addresses {
		add("raw", "-I PREROUTING ! -i %s -d %v -m addrtype ! --src-type LOCAL -j DROP", r.Dev, a.WithZone(""))
	}
	add("mangle", "-I POSTROUTING -m mark --mark %d -p udp -j CONNMARK --save-mark", r.Mark)
	add("mangle", "-I PREROUTING -p udp -j CONNMARK --restore-mark")
	return c
}

// deletions returns the lines that delete the rules for a link which the
// tables have: those by which iptables shows them.
func (p *program) deletions(dev string, tables []string) (changes, error) {
	c := changes{}
	for _, table := range tables {
		for _, chain := range chains[table] {
			lines, err := p.ipt.List(table, chain)
			if err != nil {
				return nil, listError(err)
			}
			for _, line := range lines {
				rule, ok := strings.CutPrefix(line, "-A ")
				if ok && strings.Contains(rule+" ", ` --comment "`+comment(dev)+`" `) {
					c[table] = append(c[table], "-D "+rule)
				}
			}
		}
	}
	return c, nil
}

// run makes changes, those of a table all or none.
func (p *program) run(c changes) error {
	if len(c) == 0 {
		return nil
	}
	var complaint strings.Builder
	cmd := exec.Command(p.restore, p.args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.text()), io.Discard, &complaint
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	if err := cmd.Run(); err != nil {
		return newRestoreError(p.restore, complaint.String(), err)
	}
	return nil
}

// restoreRules adds rules by iptables, in place of those of the same link
// which the same variant knows of.
func (f *Firewall) restoreRules(r plan.FirewallRules) error {
	var missing error
	var errs []error
	for _, variant := range f.variants {
		p, err := find(variant, r.V6)
		if errors.Is(err, exec.ErrNotFound) {
			missing = cmp.Or(missing, err)
			continue
		}
		if err == nil {
			err = p.replace(r)
		}
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if errs == nil {
		return missing
	}
	return errors.Join(errs...)
}

func (p *program) replace(r plan.FirewallRules) error {
	tables := []string{"raw", "mangle"}
	c, err := p.deletions(r.Dev, tables)
	if err != nil {
		return err
	}
	for table, lines := range additions(r) {
		c[table] = append(c[table], lines...)
	}
	err = p.run(c)
	if err == nil {
		return nil
	}
	// Each table is a transaction of its own: the first may be done.
	if c, undo := p.deletions(r.Dev, tables); undo == nil {
		_ = p.run(c)
	}
	return err
}

// legacyTables reads which of the tables that may have our rules the kernel
// has outside nf_tables.
func legacyTables(v6 bool) (tables []string) {
	name := "/proc/thread-self/net/ip_tables_names"
	if v6 {
		name = "/proc/thread-self/net/ip6_tables_names"
	}
	names, err := os.ReadFile(name)
	if err != nil {
		return nil // the kernel hasn't even the module
	}
	for _, table := range strings.Fields(string(names)) {
		if chains[table] != nil {
			tables = append(tables, table)
		}
	}
	return tables
}

// findLegacy returns the program for the tables outside nf_tables, and what
// would delete the rules for a link; nothing if there are no such tables.
func (f *Firewall) findLegacy(dev string, v6 bool) (*program, changes, error) {
	tables := f.inUse(v6)
	if tables == nil {
		return nil, nil, nil
	}
	for _, variant := range f.legacy {
		p, err := find(variant, v6)
		if errors.Is(err, exec.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		c, err := p.deletions(dev, tables)
		return p, c, err
	}
	return nil, nil, nil // then nobody can have put rules there
}

func (f *Firewall) delLegacy(dev string, v6 bool) (deleted bool, err error) {
	p, c, err := f.findLegacy(dev, v6)
	if err != nil || len(c) == 0 {
		return false, err
	}
	return true, p.run(c)
}

// A restoreError is what a program complains about.
type restoreError struct {
	program string
	lines   []string
	err     error
}

func newRestoreError(path, complaint string, err error) *restoreError {
	e := &restoreError{program: path[strings.LastIndex(path, "/")+1:], err: err}
	if complaint = strings.TrimSpace(complaint); complaint != "" {
		e.lines = strings.Split(complaint, "\n")
	}
	return e
}

// Error returns the first complaint, without the program's name that it begins
// with, or else how the program ended.
func (e *restoreError) Error() string {
	if len(e.lines) == 0 {
		return fmt.Sprintf("%s: %v", e.program, e.err)
	}
	return e.lines[0]
}

// Unwrap returns how the program ended.
func (e *restoreError) Unwrap() error { return e.err }

// listError shortens the library's error to what the program complains about.
func listError(err error) error {
	failed, ok := errors.AsType[*iptables.Error](err)
	if !ok {
		return err
	}
	_, complaint, _ := strings.Cut(failed.Error(), fmt.Sprintf("exit status %d: ", failed.ExitStatus()))
	return newRestoreError(plan.IPTables, complaint, err)
}
