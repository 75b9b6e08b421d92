// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package firewall

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// tableName is that of the original's tables.
func tableName(dev string) string { return "wg-quick-" + dev }

// dial returns the library's handle for one operation, which opens a socket
// for each: answers of one that failed half-way can't be taken for the next
// one's.
func dial() *nftables.Conn {
	c, err := nftables.New(nftables.WithSockOptions(socket))
	if err != nil {
		panic(err) // without AsLasting, nothing is done yet that could fail
	}
	return c
}

// begin returns a handle for one transaction, and what ends it. Its socket is
// closed aside: the kernel cleans up after a transaction then, some 10 ms in
// which it waits for what may still use the old rules.
func begin() (c *nftables.Conn, end func(), err error) {
	c, err = nftables.New(nftables.AsLasting(), nftables.WithSockOptions(socket))
	if err != nil {
		return nil, nil, fmt.Errorf("nftables: %w", cause(err))
	}
	return c, func() { go c.CloseLasting() }, nil
}

// socket sets up the netlink connection c. That it is generic spares the
// import of the library of its type.
func socket[Conn interface {
	SetReadBuffer(bytes int) error
	SetWriteBuffer(bytes int) error
	SetDeadline(t time.Time) error
}](c Conn) error {
	// A transaction is one message, and all its answers wait at once: some
	// hundred addresses fit into the default, and all of these into what only
	// root may ask for.
	const buffer = 16 << 20
	_ = c.SetReadBuffer(buffer)
	_ = c.SetWriteBuffer(buffer)
	// The kernel answers before the send returns; this only keeps a fault from
	// becoming a hang.
	return c.SetDeadline(time.Now().Add(10 * time.Second))
}

// addTable makes the table of one family, in place of one that is there.
func addTable(r plan.FirewallRules) error {
	table := &nftables.Table{Name: tableName(r.Dev), Family: nftables.TableFamilyIPv4}
	if r.V6 {
		table.Family = nftables.TableFamilyIPv6
	}
	c, end, err := begin()
	if err != nil {
		return err
	}
	defer end()
	c.AddTable(table) // so that there is one to delete
	c.DelTable(table)
	c.AddTable(table)
	chain := func(name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
		return c.AddChain(&nftables.Chain{Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority})
	}
	rule := func(chain *nftables.Chain, exprs []expr.Any) {
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: exprs})
	}
	preraw := chain("preraw", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	premangle := chain("premangle", nftables.ChainHookPrerouting, nftables.ChainPriorityMangle)
	postmangle := chain("postmangle", nftables.ChainHookPostrouting, nftables.ChainPriorityMangle)
	for _, a := range r.Addresses {
		rule(preraw, dropSpoofed(r.Dev, a))
	}
	rule(postmangle, saveMark(r.Mark))
	rule(premangle, restoreMark())

	err = c.Flush()
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, os.ErrDeadlineExceeded) {
		// The answer is lost and all may be done: none shall be.
		c := dial() // the socket may still have some of it, or no time left
		c.DelTable(table)
		_ = c.Flush()
	}
	return tableError(table, err)
}

func tableError(t *nftables.Table, err error) error {
	family := map[nftables.TableFamily]string{
		nftables.TableFamilyINet: "inet ", nftables.TableFamilyIPv4: "ip ", nftables.TableFamilyIPv6: "ip6 ",
		nftables.TableFamilyARP: "arp ", nftables.TableFamilyNetdev: "netdev ", nftables.TableFamilyBridge: "bridge ",
	}[t.Family]
	return fmt.Errorf("nftables table %s%s: %w", family, t.Name, cause(err))
}

// dropSpoofed is: iifname != "dev" ip daddr a fib saddr type != local drop
func dropSpoofed(dev string, a netip.Addr) []expr.Any {
	daddr := &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
	if a.Is6() {
		daddr.Offset, daddr.Len = 24, 16
	}
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, dev)
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: name},
		daddr,
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: a.AsSlice()},
		&expr.Fib{Register: 1, FlagSADDR: true, ResultADDRTYPE: true},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

// saveMark is: meta l4proto udp mark mark ct mark set mark
func saveMark(mark uint32) []expr.Any {
	return append(udp(),
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1},
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1, SourceRegister: true},
	)
}

// restoreMark is: meta l4proto udp meta mark set ct mark
func restoreMark() []expr.Any {
	return append(udp(),
		&expr.Ct{Key: expr.CtKeyMARK, Register: 1},
		&expr.Meta{Key: expr.MetaKeyMARK, Register: 1, SourceRegister: true},
	)
}

func udp() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_UDP}},
	}
}

// chains are those of iptables that have the original's rules, by table.
var chains = map[string][]string{
	"raw":    {"PREROUTING"},
	"mangle": {"PREROUTING", "POSTROUTING"},
}

// ours is what nf_tables has for a link: tables, and rules in the tables that
// today's iptables keeps there.
type ours struct {
	tables []*nftables.Table
	rules  []*nftables.Rule
}

// compat reports whether there are rules of iptables.
func (o ours) compat(v6 bool) bool {
	return slices.ContainsFunc(o.rules, func(r *nftables.Rule) bool { return (r.Table.Family == nftables.TableFamilyIPv6) == v6 })
}

// findTables reads no chain but those in which the rules would be.
func findTables(dev string) (found ours, err error) {
	c := dial()
	all, err := c.ListTables()
	if err != nil {
		return found, fmt.Errorf("nftables: list tables: %w", cause(err))
	}
	for _, t := range all {
		switch {
		case t.Name == tableName(dev):
			found.tables = append(found.tables, t)
		case t.Family == nftables.TableFamilyIPv4 || t.Family == nftables.TableFamilyIPv6:
			for _, chain := range chains[t.Name] {
				rules, err := c.GetRules(t, &nftables.Chain{Name: chain})
				if err != nil {
					return found, tableError(t, err)
				}
				for _, r := range rules {
					if commentOf(r) == comment(dev) {
						found.rules = append(found.rules, r)
					}
				}
			}
		}
	}
	return found, nil
}

// commentOf returns the comment of a rule that iptables made, "" if it has none.
func commentOf(r *nftables.Rule) string {
	for _, e := range r.Exprs {
		if m, ok := e.(*expr.Match); ok {
			if text, ok := m.Info.(*xt.Comment); ok {
				return string(*text)
			}
		}
	}
	text, _ := userdata.GetString(r.UserData, userdata.TypeComment) // early versions
	return text
}

// delTables removes what nf_tables has for a link, all in one transaction, and
// reports whether there was any.
func delTables(dev string) (deleted bool, err error) {
	// If somebody else removes a part of it meanwhile, the rest stays.
	for range 3 {
		found, err := findTables(dev)
		if err != nil || len(found.tables)+len(found.rules) == 0 {
			return deleted, err
		}
		c, end, err := begin()
		if err != nil {
			return deleted, err
		}
		defer end()
		for _, t := range found.tables {
			c.DelTable(t)
		}
		for _, r := range found.rules {
			if err := c.DelRule(r); err != nil {
				return deleted, tableError(r.Table, err)
			}
		}
		if err := cause(c.Flush()); err == nil {
			return true, nil
		} else if !errors.Is(err, unix.ENOENT) {
			return deleted, fmt.Errorf("nftables: delete the rules for %s: %w", dev, err)
		}
		deleted = true // by whoever was faster
	}
	return deleted, fmt.Errorf("nftables: the rules for %s keep changing", dev)
}
