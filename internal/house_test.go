// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package internal_test holds the rules of the house as tests: who imports
// whom, where a library is at home, what stands at the head of a file.
package internal_test

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const module = "wgtools/"

// mayImport lists, for each package, those of this module that it may import.
// Commands and programs for tests may import all but what is below; a package
// that isn't listed, none.
var mayImport = map[string][]string{
	"internal/device":        {"internal/keys"},
	"internal/config":        {"internal/device", "internal/keys"},
	"internal/netlinkwg":     {"internal/device", "internal/keys"},
	"internal/show":          {"internal/device", "internal/keys"},
	"internal/fakedevice":    {"internal/device", "internal/keys"},
	"internal/plan":          {"internal/device", "internal/keys"},
	"internal/plan/plantest": {"internal/plan", "internal/device", "internal/keys"},
	"internal/routing":       {"internal/plan"},
	"internal/rtnl":          {"internal/plan"},
	"internal/quick":         {"internal/config", "internal/device", "internal/keys", "internal/plan", "internal/routing"},
	"cmd/wg": {"internal/cli", "internal/config", "internal/device", "internal/keys", "internal/netlinkwg",
		"internal/resolve", "internal/show"},
	"cmd/wg-quick": {"internal/cli", "internal/config", "internal/device", "internal/keys", "internal/netlinkwg",
		"internal/plan", "internal/quick", "internal/resolve", "internal/routing", "internal/rtnl", "internal/userspace"},
	"test/fakewg": {"internal/fakedevice"},
}

// only lists, for each guarded module or package, the packages that may import
// it: the rest of the house knows our own types.
var only = map[string][]string{
	"github.com/vishvananda/netlink":         {"internal/rtnl"},
	"github.com/mdlayher/netlink":            {"internal/netlinkwg"},
	"github.com/mdlayher/genetlink":          {"internal/netlinkwg"},
	"golang.zx2c4.com/wireguard/wgctrl":      {"internal/netlinkwg"},
	"golang.zx2c4.com/wireguard/device":      {"internal/userspace"},
	"golang.zx2c4.com/wireguard/tun":         {"internal/userspace"},
	"golang.zx2c4.com/wireguard/conn":        {"internal/userspace"},
	"golang.zx2c4.com/wireguard/ipc":         {"internal/userspace"},
	"github.com/spf13/cobra":                 {"cmd/wg-quick"},
	"github.com/coreos/go-iptables/iptables": {"internal/firewall"},
	"github.com/google/nftables":             {"internal/firewall"},
	"github.com/godbus/dbus/v5":              {"internal/dns"},
	"gopkg.in/ini.v1":                        {"internal/convert"},
	"os/exec": {"cmd/wg-quick", "internal/resolve", "internal/userspace", "internal/firewall", "internal/dns",
		"test/bench", "test/summary"},
}

// testOnly are packages that only tests and programs for tests import.
func testOnly(pkg string) bool {
	return strings.HasSuffix(pkg, "test") || pkg == "internal/fakedevice"
}

// vague are names that say nothing about what a package owns.
var vague = []string{"util", "utils", "common", "types", "helper", "helpers", "misc", "base", "impl"}

// longest is how many lines a file may have; a longer one does more than one thing.
const longest = 700

// check returns what in the tree breaks a rule.
func check(tree fs.FS) (broken []string, err error) {
	add := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	err = fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".go") {
			return err
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		pkg := path.Dir(name)
		if !strings.HasPrefix(string(src), "// SPDX-License-Identifier: MIT\n// SPDX-FileCopyrightText: ") {
			add("%s: does not begin with the two SPDX lines", name)
		}
		if n := strings.Count(string(src), "\n"); n > longest {
			add("%s: %d lines, more than %d", name, n, longest)
		}
		if slices.Contains(vague, path.Base(pkg)) {
			add("%s: a package called %s", name, path.Base(pkg))
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			checkImport(name, pkg, imported, add)
		}
		return nil
	})
	return broken, err
}

func checkImport(name, pkg, imported string, add func(string, ...any)) {
	isTest := strings.HasSuffix(name, "_test.go") || testOnly(pkg) || strings.HasPrefix(pkg, "test/")
	if who := only[imported]; who != nil && !slices.Contains(who, pkg) && !(imported == "os/exec" && isTest) {
		add("%s: only %s may import %s", name, strings.Join(who, ", "), imported)
	}
	ours, is := strings.CutPrefix(imported, module)
	if !is {
		return
	}
	if testOnly(ours) && !isTest {
		add("%s: %s is for tests", name, ours)
	}
	if !strings.HasSuffix(name, "_test.go") && !slices.Contains(mayImport[pkg], ours) {
		add("%s: %s may not import %s", name, pkg, ours)
	}
}

// The files are read here rather than by "go list", whose reads the test cache
// doesn't see: it would go on passing after a bad import.
func TestHouse(t *testing.T) {
	broken, err := check(os.DirFS(".."))
	if err != nil {
		t.Fatal(err)
	}
	for _, rule := range broken {
		t.Error(rule)
	}
}

// Each rule fails on a fault.
func TestHouseRules(t *testing.T) {
	const head = "// SPDX-License-Identifier: MIT\n// SPDX-FileCopyrightText: x\n\npackage x\n"
	imports := func(p string) string { return head + "import _ \"" + p + "\"\n" }
	tests := map[string]struct {
		file, text, want string
	}{
		"all is well":          {"internal/show/a.go", imports("wgtools/internal/keys"), ""},
		"an arrow that isn't":  {"internal/show/a.go", imports("wgtools/internal/netlinkwg"), "internal/show/a.go: internal/show may not import internal/netlinkwg"},
		"an unlisted package":  {"internal/new/a.go", imports("wgtools/internal/keys"), "internal/new/a.go: internal/new may not import internal/keys"},
		"wg stays lean":        {"cmd/wg/a.go", imports("wgtools/internal/rtnl"), "cmd/wg/a.go: cmd/wg may not import internal/rtnl"},
		"a guarded library":    {"cmd/wg/a.go", imports("github.com/vishvananda/netlink"), "cmd/wg/a.go: only internal/rtnl may import github.com/vishvananda/netlink"},
		"in tests too":         {"cmd/wg/a_test.go", imports("github.com/vishvananda/netlink"), "cmd/wg/a_test.go: only internal/rtnl may import github.com/vishvananda/netlink"},
		"a package for tests":  {"cmd/wg-quick/a.go", imports("wgtools/internal/plan/plantest"), "cmd/wg-quick/a.go: internal/plan/plantest is for tests"},
		"but tests may":        {"cmd/wg/a_test.go", imports("wgtools/internal/fakedevice"), ""},
		"processes":            {"internal/config/a.go", imports("os/exec"), "internal/config/a.go: only "},
		"but tests start some": {"internal/config/a_test.go", imports("os/exec"), ""},
		"a vague name":         {"internal/util/a.go", head, "internal/util/a.go: a package called util"},
		"no licence":           {"internal/show/a.go", "package x\n", "internal/show/a.go: does not begin with the two SPDX lines"},
		"too long":             {"internal/show/a.go", head + strings.Repeat("// x\n", longest), "internal/show/a.go: 704 lines, more than 700"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			broken, err := check(fstest.MapFS{tt.file: {Data: []byte(tt.text)}})
			if err != nil {
				t.Fatal(err)
			}
			got := strings.Join(broken, "\n")
			if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
				t.Errorf("found %q, want %q", got, tt.want)
			}
		})
	}
}
