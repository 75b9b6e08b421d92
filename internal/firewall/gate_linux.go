// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

var _ plan.Gate = (*Firewall)(nil)

// The kill switches of all tunnels are one table: a filter that drops what is
// not its own tunnel's would drop that of another one, since a packet has to get
// through all. It has a chain for each tunnel with what may pass because of it.
// The name can't be that of a table of the original's, nor of a full tunnel.
var switches = &nftables.Table{Name: "wg-killswitch", Family: nftables.TableFamilyINet}

// permits is how the name of a tunnel's chain begins.
const permits = "for-"

// masquerades returns the table of a tunnel's masquerade.
func masquerades(dev string) *nftables.Table {
	return &nftables.Table{Name: "wg-masquerade-" + dev, Family: nftables.TableFamilyINet}
}

// SetKillSwitch implements [plan.Gate]. Where the kernel has no nf_tables, the
// error is a [*NoTablesError].
func (f *Firewall) SetKillSwitch(ctx context.Context, k plan.KillSwitch) error {
	if err := f.ready(ctx, k.Dev); err != nil {
		return err
	}
	if k.Mark == 0 {
		return fmt.Errorf("the kill switch of %s: its packets have no mark", k.Dev) // all others have none either
	}
	names, err := switched()
	if err != nil {
		return err
	}
	if !slices.Contains(names, k.Dev) {
		names = append(names, k.Dev)
		slices.Sort(names)
	}
	return transaction(switches, func(c *nftables.Conn) {
		c.AddTable(switches)
		own := c.AddChain(&nftables.Chain{Name: permits + k.Dev, Table: switches})
		fill(c, own, passages(k))
		hookSwitches(c, names)
	})
}

// DelKillSwitch implements [plan.Gate].
func (f *Firewall) DelKillSwitch(ctx context.Context, dev string) error {
	gone := fmt.Errorf("the kill switch of %s: %w", dev, fs.ErrNotExist)
	if err := f.ready(ctx, dev); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return gone
		}
		return err
	}
	names, err := switched()
	if err != nil {
		return err
	}
	if !slices.Contains(names, dev) {
		return gone
	}
	names = slices.DeleteFunc(names, func(n string) bool { return n == dev })
	err = transaction(switches, func(c *nftables.Conn) {
		if len(names) == 0 {
			c.DelTable(switches)
			return
		}
		hookSwitches(c, names)
		own := &nftables.Chain{Name: permits + dev, Table: switches}
		c.FlushChain(own)
		c.DelChain(own)
	})
	if errors.Is(err, unix.ENOENT) { // somebody was faster
		return gone
	}
	return err
}

// SetMasquerade implements [plan.Gate].
func (f *Firewall) SetMasquerade(ctx context.Context, m plan.Masquerade) error {
	if err := f.ready(ctx, m.Dev); err != nil {
		return err
	}
	table := masquerades(m.Dev)
	return transaction(table, func(c *nftables.Conn) {
		c.AddTable(table) // so that there is one to delete
		c.DelTable(table)
		c.AddTable(table)
		accept := nftables.ChainPolicyAccept
		chain := c.AddChain(&nftables.Chain{
			Name: "postrouting", Table: table, Type: nftables.ChainTypeNAT, Policy: &accept,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: masquerade(m)})
	})
}

// DelMasquerade implements [plan.Gate].
func (f *Firewall) DelMasquerade(ctx context.Context, dev string) error {
	gone := fmt.Errorf("the masquerade of %s: %w", dev, fs.ErrNotExist)
	if err := f.ready(ctx, dev); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return gone
		}
		return err
	}
	table := masquerades(dev)
	err := transaction(table, func(c *nftables.Conn) { c.DelTable(table) })
	if errors.Is(err, unix.ENOENT) {
		return gone
	}
	return err
}

// Standing returns what of dev's stands in the gate. Where the kernel has no
// nf_tables, nothing does.
func (f *Firewall) Standing(ctx context.Context, dev string) (s plan.Standing, err error) {
	if err := f.ready(ctx, dev); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return s, nil
		}
		return s, err
	}
	tables, err := dial().ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return s, fmt.Errorf("nftables: list tables: %w", cause(err))
	}
	s.Masquerade = slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == masquerades(dev).Name })
	names, err := switched()
	if err != nil || !slices.Contains(names, dev) {
		return s, err
	}
	own, err := rules(permits + dev)
	if err != nil {
		return s, err
	}
	// Which one it is, its rules tell, as far as they are as they were.
	s.KillSwitch = &plan.KillSwitch{Dev: dev}
	for _, exprs := range own {
		if mark, ok := markOf(exprs); ok {
			s.KillSwitch.Mark = mark
		}
	}
	s.KillSwitch.LAN = len(own) > len(passages(*s.KillSwitch))
	for _, exprs := range own {
		if v, ok := exprs[len(exprs)-1].(*expr.Verdict); ok && v.Kind == expr.VerdictReturn {
			if p, ok := destinationOf(exprs); ok {
				s.KillSwitch.Inner = append(s.KillSwitch.Inner, p)
			}
		}
	}
	s.Whole = same(own, passages(*s.KillSwitch))
	for _, hook := range hooks {
		have, err := rules(hook.name)
		if err != nil {
			return s, err
		}
		s.Whole = s.Whole && same(have, hookRules(hook, names))
	}
	return s, nil
}

// KillSwitches returns the links that have a kill switch.
func (f *Firewall) KillSwitches(ctx context.Context) ([]string, error) {
	if err := f.ready(ctx, "any"); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, nil
		}
		return nil, err
	}
	return switched()
}

// Dropping returns the chains that drop what is forwarded unless a rule of
// theirs lets it through, such as "chain FORWARD of table ip filter".
func (f *Firewall) Dropping(ctx context.Context) (list []string, err error) {
	if err := f.ready(ctx, "any"); err != nil {
		return nil, nil // for want of chains
	}
	chains, err := dial().ListChains()
	if err != nil {
		return nil, fmt.Errorf("nftables: list chains: %w", cause(err))
	}
	families := map[nftables.TableFamily]string{nftables.TableFamilyINet: "inet", nftables.TableFamilyIPv4: "ip", nftables.TableFamilyIPv6: "ip6"}
	for _, chain := range chains {
		family, routed := families[chain.Table.Family]
		if routed && chain.Table.Name != switches.Name && chain.Hooknum != nil && *chain.Hooknum == *nftables.ChainHookForward &&
			chain.Policy != nil && *chain.Policy == nftables.ChainPolicyDrop {
			list = append(list, fmt.Sprintf("chain %s of table %s %s", chain.Name, family, chain.Table.Name))
		}
	}
	return list, nil
}

// ready fails if nothing can be done for the link dev.
func (f *Firewall) ready(ctx context.Context, dev string) error {
	if err := checkName(dev); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.probe(); f.noTables != nil {
		return &NoTablesError{f.noTables}
	}
	return nil
}

// transaction makes all changes of f, or none.
func transaction(table *nftables.Table, f func(c *nftables.Conn)) error {
	c, end, err := begin()
	if err != nil {
		return err
	}
	defer end()
	f(c)
	err = c.Flush()
	if lacking(cause(err)) {
		return &NoTablesError{cause(err)}
	}
	if err != nil {
		return tableError(table, err)
	}
	return nil
}

// switched returns the links that have a kill switch, sorted.
func switched() (names []string, err error) {
	chains, err := dial().ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, tableError(switches, err)
	}
	for _, chain := range chains {
		if name, ok := strings.CutPrefix(chain.Name, permits); ok && chain.Table.Name == switches.Name {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// A hook is where the switches' table looks at packets.
type hook struct {
	name  string
	place *nftables.ChainHook
}

// What comes in needs no hook: nobody gets an answer.
var hooks = []hook{{"output", nftables.ChainHookOutput}, {"forward", nftables.ChainHookForward}}

// hookSwitches makes the chains through which all packets go, which lead to
// those of the links that have a kill switch.
func hookSwitches(c *nftables.Conn, names []string) {
	drop := nftables.ChainPolicyDrop
	for _, h := range hooks {
		chain := c.AddChain(&nftables.Chain{
			Name: h.name, Table: switches, Type: nftables.ChainTypeFilter, Policy: &drop,
			Hooknum: h.place, Priority: nftables.ChainPriorityFilter,
		})
		fill(c, chain, hookRules(h, names))
	}
}

// fill puts rules in the place of those that a chain has.
func fill(c *nftables.Conn, chain *nftables.Chain, rules [][]expr.Any) {
	c.FlushChain(chain)
	for _, exprs := range rules {
		c.AddRule(&nftables.Rule{Table: switches, Chain: chain, Exprs: exprs})
	}
}

// hookRules returns what every packet goes through. Who is not let through is
// told, so that nobody waits for an answer.
func hookRules(h hook, names []string) (rules [][]expr.Any) {
	if h.name == "output" {
		rules = append(rules, basics()...)
	}
	for _, name := range names {
		rules = append(rules, []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: permits + name}})
	}
	return append(rules, []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}})
}

// rules returns the rules of a chain of the switches' table.
func rules(chain string) (list [][]expr.Any, err error) {
	found, err := dial().GetRules(switches, &nftables.Chain{Name: chain})
	if err != nil && !errors.Is(cause(err), unix.ENOENT) {
		return nil, tableError(switches, err)
	}
	for _, r := range found {
		list = append(list, r.Exprs)
	}
	return list, nil
}

func same(a, b [][]expr.Any) bool {
	return slices.EqualFunc(a, b, func(a, b []expr.Any) bool { return reflect.DeepEqual(a, b) })
}

// markOf returns the mark that a rule asks for.
func markOf(exprs []expr.Any) (uint32, bool) {
	if len(exprs) < 2 {
		return 0, false
	}
	meta, isMeta := exprs[0].(*expr.Meta)
	is, isCmp := exprs[1].(*expr.Cmp)
	if !isMeta || !isCmp || meta.Key != expr.MetaKeyMARK || len(is.Data) != 4 {
		return 0, false
	}
	return binaryutil.NativeEndian.Uint32(is.Data), true
}

// A NoTablesError says that the kernel has no nf_tables, or not enough of it
// for the gate. It is [errors.ErrUnsupported].
type NoTablesError struct{ Err error }

// Error returns the cause.
func (e *NoTablesError) Error() string { return fmt.Sprintf("nf_tables: %v", e.Err) }

// Is implements what [errors.Is] asks for.
func (e *NoTablesError) Is(target error) bool { return target == errors.ErrUnsupported }

// Unwrap returns the cause.
func (e *NoTablesError) Unwrap() error { return e.Err }

// Advice says what to load.
func (e *NoTablesError) Advice() []string {
	return []string{
		"hint: load the kernel's nf_tables with what this needs: `modprobe -a nf_tables nft_ct nft_reject_inet nft_chain_nat nft_masq'",
		"hint: without it there is neither KillSwitch nor Masquerade, be there iptables or not: leave them out of the file if you do without",
	}
}
