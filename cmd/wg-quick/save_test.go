// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// savedFile has all that a file can lose: comments, spacing, a hook with "&",
// a host part, names, a key that only people read.
const savedFile = `# home, by hand
[Interface]   # Name = home
PrivateKey = oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=
  Address=10.7.0.2/24   # office
PostUp = true && true # %i
MTU = 1400
SaveConfig = true

### Client anna
[Peer]
PublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=
AllowedIPs = 10.50.0.0/16
`

const other = "vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM="

// set changes the tunnel with programs that aren't wg-quick.
func (s *site) set(program string, args ...string) {
	s.t.Helper()
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
}

// TestSaveKeepsTheFile: what didn't change on the device stays to the byte, and
// what did is changed in its place. (The original writes the file anew: no
// comments, and a hook with "&" is torn apart.)
func TestSaveKeepsTheFile(t *testing.T) {
	if _, err := exec.LookPath("wg"); err != nil {
		t.Skip("wg is needed to change the device (package wireguard-tools)")
	}
	isolated(t, func(s *site) {
		before := s.state()
		path := filepath.Join(s.dir, "wg0.conf")
		link := filepath.Join(s.dir, "real.conf")
		if err := os.WriteFile(link, []byte(savedFile), 0o640); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("real.conf", path); err != nil {
			t.Fatal(err)
		}
		if r := s.wgQuick("up", path); r.status != 0 {
			t.Fatal(r.err)
		}
		s.expect(s.wgQuick("save", path), result{err: "[#] wg showconf wg0\n"})
		s.content(path, savedFile)

		s.set("wg", "set", "wg0", "peer", other, "allowed-ips", "10.51.0.0/16", "endpoint", "127.0.0.1:9")
		s.set("ip", "address", "add", "10.8.0.2/24", "dev", "wg0")
		s.set("ip", "link", "set", "mtu", "1300", "dev", "wg0")
		want := strings.NewReplacer("# office\n", "# office\nAddress = 10.8.0.2/24\n", "MTU = 1400", "MTU = 1300").Replace(savedFile) +
			"\n[Peer]\nPublicKey = " + other + "\nAllowedIPs = 10.51.0.0/16\nEndpoint = 127.0.0.1:9\n"
		s.expect(s.wgQuick("save", path), result{err: "[#] wg showconf wg0\n"})
		s.content(path, want)
		if st, err := os.Lstat(path); err != nil || st.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link is gone: %v, %v", st, err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("the file is now %v, %v", st.Mode(), err)
		}

		// Going down saves too, before the link goes.
		s.set("wg", "set", "wg0", "peer", other, "remove")
		s.expect(s.wgQuick("down", path), result{err: "[#] wg showconf wg0\n[#] ip link delete dev wg0\n"})
		s.content(path, strings.NewReplacer("# office\n", "# office\nAddress = 10.8.0.2/24\n", "MTU = 1400", "MTU = 1300").Replace(savedFile))
		s.same(before)
		if left, _ := filepath.Glob(filepath.Join(s.dir, "*.tmp")); left != nil {
			t.Errorf("left behind: %q", left)
		}
	})
}

// A file that can't be written is as it was, and the tunnel stays up: nothing
// is lost that isn't in the file.
func TestSaveFails(t *testing.T) {
	if _, err := exec.LookPath("wg"); err != nil {
		t.Skip("wg is needed to change the device (package wireguard-tools)")
	}
	isolated(t, func(s *site) {
		path := filepath.Join(s.dir, "wg0.conf")
		if err := os.WriteFile(path, []byte(savedFile), 0o600); err != nil {
			t.Fatal(err)
		}
		if r := s.wgQuick("up", path); r.status != 0 {
			t.Fatal(r.err)
		}
		s.set("ip", "link", "set", "mtu", "1300", "dev", "wg0")
		if err := os.Mkdir(path+".tmp", 0o700); err != nil { // stands in the way,
			t.Fatal(err)
		}
		if err := os.WriteFile(path+".tmp/x", nil, 0o600); err != nil { // for root too
			t.Fatal(err)
		}
		r := s.wgQuick("down", path)
		if r.status != 1 || !strings.Contains(r.err, "wg-quick: Could not write configuration file\nDIR/wg0.conf: ") || !strings.Contains(r.err, "the old one is as it was\n") {
			t.Errorf("down: exit status %d\n%s", r.status, r.err)
		}
		s.content(path, savedFile)
		if !strings.Contains(s.ip("-o link show"), "wg0") {
			t.Error("the tunnel is down")
		}
		if err := os.RemoveAll(path + ".tmp"); err != nil {
			t.Fatal(err)
		}
		if r := s.wgQuick("down", path); r.status != 0 {
			t.Error(r.err)
		}
		s.content(path, strings.Replace(savedFile, "MTU = 1400", "MTU = 1300", 1))
	})
}

func (s *site) content(path, want string) {
	s.t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		s.t.Errorf("%s is\n%s\nwant\n%s(%v)", path, got, want, err)
	}
}
