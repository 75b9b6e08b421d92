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
	"internal/rtnl":          {"internal/plan", "internal/routing"},
	"internal/firewall":      {"internal/plan"},
	"internal/dns":           {"internal/plan"},
	"internal/userspace":     {"internal/netns"},
	"internal/doctor":        {"internal/device", "internal/keys", "internal/machine", "internal/plan", "internal/routing"},
	"internal/quick":         {"internal/config", "internal/device", "internal/keys", "internal/plan", "internal/routing"},
	"internal/check":         {"internal/config", "internal/device", "internal/keys", "internal/quick", "internal/routing"},
	"internal/watch":         {"internal/device", "internal/keys"},
	"cmd/wg": {"internal/cli", "internal/config", "internal/device", "internal/keys", "internal/netlinkwg",
		"internal/resolve", "internal/show"},
	"cmd/wg-quick": {"internal/check", "internal/cli", "internal/config", "internal/device", "internal/dns", "internal/doctor", "internal/firewall", "internal/keys",
		"internal/machine", "internal/netlinkwg", "internal/netns", "internal/plan", "internal/probe", "internal/quick", "internal/resolve", "internal/routing", "internal/rtnl", "internal/userspace", "internal/watch"},
	"test/fakewg": {"internal/fakedevice"},
	"test/bench":  {"internal/plan", "internal/rtnl"},
}

// only lists the libraries that we decided on, and os/exec, with the packages
// that may import them and what is below them: the rest of the house knows our
// own types. The longest one that fits counts; "tests" are all tests.
var only = map[string][]string{
	"golang.org/x/sys":                  nil, // anywhere
	"golang.org/x/net":                  {"tests"},
	"golang.org/x/term":                 {"cmd/wg", "cmd/wg-quick"},
	"github.com/vishvananda/netlink":    {"internal/rtnl"},
	"github.com/mdlayher/netlink":       {"internal/netlinkwg"},
	"github.com/mdlayher/genetlink":     {"internal/netlinkwg"},
	"golang.zx2c4.com/wireguard/wgctrl": {"internal/netlinkwg"},
	"golang.zx2c4.com/wireguard":        {"internal/userspace"},
	"github.com/spf13/cobra":            {"cmd/wg-quick"},
	"github.com/coreos/go-iptables":     {"internal/firewall"},
	"github.com/google/nftables":        {"internal/firewall"},
	"github.com/godbus/dbus/v5":         {"internal/dns"},
	"go4.org/netipx":                    {"internal/config"},
	"gopkg.in/ini.v1":                   {"internal/convert"},
	"github.com/creack/pty":             {"tests"},
	"github.com/rogpeppe/go-internal":   {"tests"},
	"os/exec": {"cmd/wg-quick", "internal/resolve", "internal/userspace", "internal/firewall", "internal/dns",
		"test/bench", "test/confs", "test/summary", "tests"},
}

// heavy is what wg, which starts fast and stays small, must not reach by any way.
var heavy = []string{
	"net/http", "crypto/tls", "text/template", "html/template", "github.com/spf13/cobra", "github.com/vishvananda/netlink",
	"github.com/google/nftables", "github.com/coreos/go-iptables", "github.com/godbus/dbus/v5", "gopkg.in/ini.v1",
	"golang.zx2c4.com/wireguard/device", "golang.zx2c4.com/wireguard/tun", "golang.zx2c4.com/wireguard/conn",
	"golang.zx2c4.com/wireguard/ipc",
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
	imports := map[string][]string{} // of what is built, by package
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
			if !strings.HasSuffix(name, "_test.go") {
				imports[pkg] = append(imports[pkg], imported)
			}
		}
		return nil
	})
	checkLean("cmd/wg", imports, add)
	return broken, err
}

// below reports whether an import path is that of a library or below it.
func below(imported, library string) bool {
	return imported == library || strings.HasPrefix(imported, library+"/")
}

// checkLean follows the imports of a program.
func checkLean(program string, imports map[string][]string, add func(string, ...any)) {
	from := map[string]string{program: program} // how each package is reached
	for queue := []string{program}; len(queue) > 0; queue = queue[1:] {
		for _, imported := range imports[queue[0]] {
			for _, library := range heavy {
				if below(imported, library) {
					add("%s reaches %s, by %s", program, imported, from[queue[0]])
				}
			}
			ours, is := strings.CutPrefix(imported, module)
			if _, known := from[ours]; is && !known {
				from[ours] = from[queue[0]] + ", " + ours
				queue = append(queue, ours)
			}
		}
	}
}

func checkImport(name, pkg, imported string, add func(string, ...any)) {
	isTest := strings.HasSuffix(name, "_test.go") || testOnly(pkg) || strings.HasPrefix(pkg, "test/")
	library := ""
	for l := range only {
		if below(imported, l) && len(l) > len(library) {
			library = l
		}
	}
	who := only[library]
	domain, _, _ := strings.Cut(imported, "/")
	switch {
	case library == "" && strings.Contains(domain, "."):
		add("%s: %s is not among the libraries that we decided on", name, imported)
	case who != nil && !slices.Contains(who, pkg) && !(isTest && slices.Contains(who, "tests")):
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
		"below a library":      {"internal/show/a.go", imports("golang.zx2c4.com/wireguard/wgctrl/wgtypes"), "internal/show/a.go: only internal/netlinkwg may import golang.zx2c4.com/wireguard/wgctrl/wgtypes"},
		"the library's home":   {"internal/netlinkwg/a_test.go", imports("golang.zx2c4.com/wireguard/wgctrl"), ""},
		"the device's code":    {"internal/netlinkwg/a.go", imports("golang.zx2c4.com/wireguard/tun/netstack"), "internal/netlinkwg/a.go: only internal/userspace may import"},
		"an unknown library":   {"internal/show/a.go", imports("github.com/x/y"), "internal/show/a.go: github.com/x/y is not among"},
		"one for tests":        {"cmd/wg/a.go", imports("github.com/creack/pty"), "cmd/wg/a.go: only tests may import github.com/creack/pty"},
		"one of a test":        {"cmd/wg/a_test.go", imports("github.com/creack/pty"), ""},
		"wg stays light":       {"cmd/wg/a.go", imports("net/http"), "cmd/wg reaches net/http, by cmd/wg"},
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

// What is heavy is found behind other packages too.
func TestHouseLean(t *testing.T) {
	file := func(imported string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("// SPDX-License-Identifier: MIT\n// SPDX-FileCopyrightText: x\n\npackage x\nimport _ \"" + imported + "\"\n")}
	}
	broken, err := check(fstest.MapFS{
		"cmd/wg/a.go":               file("wgtools/internal/config"),
		"internal/config/a.go":      file("wgtools/internal/device"),
		"internal/device/a.go":      file("text/template"),
		"internal/unrelated.go":     file("net/http"),
		"internal/device/b_test.go": file("net/http"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(broken, "\n"), "cmd/wg reaches text/template, by cmd/wg, internal/config, internal/device"; got != want {
		t.Errorf("found %q, want %q", got, want)
	}
}
