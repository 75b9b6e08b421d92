// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"slices"
	"strings"
	"testing"

	"wgtools/internal/plan"
)

// settings are those for the file, from lists with blanks.
func settings(dev, servers, search string) plan.DNSSettings {
	return plan.DNSSettings{Dev: dev, Backend: plan.ResolvFile, Servers: strings.Fields(servers), Search: strings.Fields(search)}
}

const hostFile = "# by dhclient\nsearch lan.example\nnameserver 192.0.2.53\noptions edns0\n"

// What is in the file while tunnels are up; without them it is what it was.
func TestBlocks(t *testing.T) {
	tests := map[string]struct {
		text string
		set  []plan.DNSSettings
		want string
	}{
		"servers": {hostFile, []plan.DNSSettings{settings("wg0", "10.0.0.1 fd00::1 fe80::1%wg0", "corp.example lab.example")}, `# wg-quick wg0: begin
nameserver 10.0.0.1
nameserver fd00::1
nameserver fe80::1%wg0
search corp.example lab.example
# wg-quick wg0: end
# by dhclient
#wg-quick# search lan.example
#wg-quick# nameserver 192.0.2.53
options edns0
`},
		"search domains alone": {hostFile, []plan.DNSSettings{settings("wg0", "", "corp.example ~lab.example")}, `# wg-quick wg0: begin
search corp.example
# wg-quick wg0: end
# by dhclient
#wg-quick# search lan.example
nameserver 192.0.2.53
options edns0
`},
		"two tunnels, the newest in force": {"nameserver 192.0.2.53\n", []plan.DNSSettings{
			settings("wg0", "10.0.0.1", "a.example"), settings("wg1", "10.1.0.1", "")}, `# wg-quick wg1: begin
nameserver 10.1.0.1
# wg-quick wg1: end
# wg-quick wg0: begin
#wg-quick# nameserver 10.0.0.1
#wg-quick# search a.example
# wg-quick wg0: end
#wg-quick# nameserver 192.0.2.53
`},
		"search domains before servers": {"nameserver 192.0.2.53\n", []plan.DNSSettings{
			settings("wg0", "10.0.0.1", "a.example"), settings("wg1", "", "b.example")}, `# wg-quick wg1: begin
search b.example
# wg-quick wg1: end
# wg-quick wg0: begin
nameserver 10.0.0.1
#wg-quick# search a.example
# wg-quick wg0: end
#wg-quick# nameserver 192.0.2.53
`},
		"set again, in its place": {"nameserver 192.0.2.53\n", []plan.DNSSettings{
			settings("wg0", "10.0.0.1", ""), settings("wg1", "10.1.0.1", ""), settings("wg0", "10.0.0.2:53", "")}, `# wg-quick wg1: begin
nameserver 10.1.0.1
# wg-quick wg1: end
# wg-quick wg0: begin
#wg-quick# nameserver 10.0.0.2
# wg-quick wg0: end
#wg-quick# nameserver 192.0.2.53
`},
		"odd lines": {"domain x\r\n nameserver\t192.0.2.53\r\nnameservers\nnameserver 192.0.2.54", []plan.DNSSettings{settings("wg0", "10.0.0.1", "")},
			"# wg-quick wg0: begin\nnameserver 10.0.0.1\n# wg-quick wg0: end\n" +
				"#wg-quick# domain x\r\n#wg-quick#  nameserver\t192.0.2.53\r\nnameservers\n#wg-quick# nameserver 192.0.2.54"},
		"marks of nothing": {"# wg-quick wg0: begin\nnameserver 192.0.2.53\n#wg-quick# nameserver 192.0.2.54\n", []plan.DNSSettings{settings("wg0", "10.0.0.1", "")},
			"# wg-quick wg0: begin\nnameserver 10.0.0.1\n# wg-quick wg0: end\n" +
				"#wg-quick# # wg-quick wg0: begin\n#wg-quick# nameserver 192.0.2.53\n#wg-quick# #wg-quick# nameserver 192.0.2.54\n"},
		"an empty file": {"", []plan.DNSSettings{settings("wg0", "10.0.0.1", "")},
			"# wg-quick wg0: begin\nnameserver 10.0.0.1\n# wg-quick wg0: end\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			now := tt.text
			for _, s := range tt.set {
				f := parse(now)
				f.set(s)
				now = f.String()
			}
			if now != tt.want {
				t.Errorf("got\n%s\nwant\n%s", now, tt.want)
			}
			for _, dev := range []string{"wg0", "wg1"} {
				f := parse(now)
				if f.String() != now {
					t.Errorf("read and written, it is\n%s\nwant\n%s", f, now)
				}
				f.unset(dev)
				now = f.String()
			}
			if now != tt.text {
				t.Errorf("without tunnels it is %q, want %q", now, tt.text)
			}
		})
	}
}

// That we made the file is known as long as there is a block.
func TestBlocksMade(t *testing.T) {
	f := parse("")
	f.made = true
	f.set(settings("wg0", "10.0.0.1", ""))
	f.set(settings("wg1", "10.1.0.1", ""))
	f = parse(f.String())
	f.unset("wg0")
	if got, want := f.String(), "# wg-quick wg1: begin, file made\nnameserver 10.1.0.1\n# wg-quick wg1: end\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !parse(f.String()).made {
		t.Error("it is forgotten that the file was made")
	}
}

// What others do to the file meanwhile stays.
func TestOthersChanges(t *testing.T) {
	f := parse("nameserver 192.0.2.53\n")
	f.set(settings("wg0", "10.0.0.1", ""))
	f = parse("options rotate\n" + f.String() + "nameserver 192.0.2.54\n")
	f.set(settings("wg1", "10.1.0.1", ""))
	if text := f.String(); !strings.HasPrefix(text, mark+"wg1") || strings.Contains(text, "\nnameserver 192.0.2.54") {
		t.Errorf("what others added is in force:\n%s", text)
	}
	f = parse(f.String())
	if !f.unset("wg0") || !f.unset("wg1") {
		t.Fatal("a block is gone")
	}
	if got, want := f.String(), "options rotate\nnameserver 192.0.2.53\nnameserver 192.0.2.54\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if parse("nameserver 192.0.2.99\n").unset("wg0") { // all of it replaced
		t.Error("there is a block in a text without marks")
	}
}

// Whatever a file is, and in whatever order three tunnels come and go, in the
// end it is what it was, and meanwhile no server but the newest tunnel's is in
// force.
func FuzzBlocks(f *testing.F) {
	f.Add("nameserver 192.0.2.53\nsearch lan\n", []byte{0, 1, 2, 0, 1, 2})
	f.Add("", []byte{0, 0, 1, 1})
	f.Add("domain x\r\n nameserver\t1.1.1.1\r\noptions a", []byte{2, 1, 0, 2})
	f.Add("no newline", []byte{1})
	f.Add("#wg-quick# # wg-quick wg0: end\n# wg-quick wg0: begin\n# wg-quick wg1: begin\n# wg-quick wg0: end\n# wg-quick", []byte{1, 0, 1, 2})
	f.Fuzz(func(t *testing.T, text string, order []byte) {
		if len(parse(text).blocks) > 0 {
			t.Skip("it has a block already")
		}
		devs := []string{"wg0", "wg1", "wg+2="}
		var up []string // newest first
		now := text
		toggle := func(dev string) {
			file := parse(now)
			if slices.Contains(up, dev) {
				if !file.unset(dev) {
					t.Fatalf("%s isn't in\n%s", dev, now)
				}
				up = slices.DeleteFunc(up, func(d string) bool { return d == dev })
			} else {
				file.set(settings(dev, "10.0.0.1", "search."+dev))
				up = slices.Insert(up, 0, dev)
			}
			now = file.String()
		}
		for _, n := range order {
			toggle(devs[int(n)%len(devs)])
			for line := range strings.Lines(now) {
				if len(up) > 0 && keyword(line) == "nameserver" && !strings.HasPrefix(now, mark+up[0]+begin+"\n"+line) {
					t.Fatalf("with %q up, %q is in force:\n%s", up, line, now)
				}
			}
		}
		for len(up) > 0 {
			toggle(up[len(up)-1])
		}
		if now != text {
			t.Errorf("%q became %q", text, now)
		}
	})
}
