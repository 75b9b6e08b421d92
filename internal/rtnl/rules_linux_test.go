// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"wgtools/internal/plan"
	"wgtools/internal/routing"
)

// shown is what ip(8) shows of a family's rules and of a table.
func shown(t *testing.T, v6 bool, table string) string {
	t.Helper()
	family := "-4"
	if v6 {
		family = "-6"
	}
	rules, err := exec.Command("ip", family, "rule", "show").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, rules)
	}
	// A table that never had a route is an error.
	routes, _ := exec.Command("ip", family, "route", "show", "table", table).Output()
	return strings.ReplaceAll(string(rules)+string(routes), "\t", " ")
}

func TestDefault(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		run(t, func(k *Kernel) {
			ctx := t.Context()
			ip(t, "link set wg0 up")
			before := shown(t, v6, "51825")
			policy, err := k.Policy(ctx)
			if err != nil {
				t.Fatal(err)
			}
			d := routing.DefaultOver(policy, "wg0", v6, 51825, 51825)
			if err := k.AddDefault(ctx, d); err != nil {
				t.Fatal(err)
			}
			route := "default dev wg0 scope link"
			if v6 {
				route = "default dev wg0 metric 1024 pref medium"
			}
			got := shown(t, v6, "51825")
			for _, want := range []string{"32764: from all lookup main suppress_prefixlength 0", "32765: not from all fwmark 0xca71 lookup 51825", route} {
				if !strings.Contains(got, want) {
					t.Errorf("v6 %t: ip shows\n%s\nwant %s", v6, got, want)
				}
			}

			// What was made is found again.
			policy, err = k.Policy(ctx)
			if err != nil {
				t.Fatal(err)
			}
			seen := routing.DefaultsOf(policy, "wg0", 0)
			if len(seen) != 1 || len(seen[0].Rules) != 2 || seen[0].Rules[0] != d.Rules[0] || seen[0].Rules[1] != d.Rules[1] {
				t.Errorf("v6 %t: seen %+v, want %+v", v6, seen, d)
			}
			if !policy.Used[51825] {
				t.Errorf("v6 %t: the table isn't in use", v6)
			}

			// A second one beside it, of which the last part fails: nothing of it
			// stays, and all of the first one.
			full := shown(t, v6, "all")
			second := routing.DefaultOver(policy, "wg0", v6, 51826, 51826)
			if len(second.Rules) != 4 {
				t.Errorf("v6 %t: %d rules, want 4", v6, len(second.Rules))
			}
			second.Rules = append(second.Rules, d.Rules[1])
			err = k.AddDefault(ctx, second)
			failed, ok := errors.AsType[*plan.LineError](err)
			if !ok || !errors.Is(err, fs.ErrExist) || !strings.HasSuffix(failed.Line, "rule add not fwmark 51825 table 51825") {
				t.Errorf("v6 %t: AddDefault of what is there: %v", v6, err)
			}
			if now := shown(t, v6, "all"); now != full {
				t.Errorf("v6 %t: afterwards there is\n%s\nbefore there was\n%s", v6, now, full)
			}

			// The rest goes, although a part of it is gone.
			ip(t, map[bool]string{false: "-4", true: "-6"}[v6]+" rule delete priority 32764")
			if err := k.DelDefault(ctx, d); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("v6 %t: DelDefault of what is partly gone: %v, want ErrNotExist", v6, err)
			}
			if now := shown(t, v6, "51825"); now != before {
				t.Errorf("v6 %t: afterwards there is\n%s\nbefore there was\n%s", v6, now, before)
			}

			// The route may go with its link.
			if err := k.AddDefault(ctx, d); err != nil {
				t.Fatal(err)
			}
			ip(t, "link delete wg0")
			if err := k.DelDefault(ctx, d); err != nil {
				t.Errorf("v6 %t: DelDefault without the link: %v", v6, err)
			}
			if now := shown(t, v6, "51825"); now != before {
				t.Errorf("v6 %t: afterwards there is\n%s\nbefore there was\n%s", v6, now, before)
			}
		})
	}
}

// Rules of other forms count by their priority only, and are never taken for
// a tunnel's.
func TestPolicyOfOthers(t *testing.T) {
	run(t, func(k *Kernel) {
		for _, rule := range []string{
			"from 10.0.0.0/8 not fwmark 7 table 7", "not fwmark 8/0xff table 8", "iif wg0 not fwmark 9 table 9",
			"not fwmark 10 table 10 suppress_prefixlength 16", "ipproto udp not fwmark 11 table 11", "not fwmark 12 table 12",
		} {
			ip(t, "rule add "+rule)
		}
		policy, err := k.Policy(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		diversions := 0
		for _, r := range policy.Rules {
			if routing.IsDiversion(r) {
				diversions++
				if r.Mark != 12 || r.Table != 12 {
					t.Errorf("%+v is taken for a tunnel's", r)
				}
			}
		}
		if diversions != 1 {
			t.Errorf("%d rules are taken for a tunnel's, want 1", diversions)
		}
		if n := len(policy.Rules); n != 9+2 {
			t.Errorf("%d rules, want 11", n)
		}
	})
}
