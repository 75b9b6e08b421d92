// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// withEtc puts a copy in the place of /etc, in which all may be changed.
func (s *site) withEtc() {
	s.t.Helper()
	copied := filepath.Join(s.t.TempDir(), "etc")
	s.sh("cp -a /etc " + copied)
	if err := syscall.Mount(copied, "/etc", "", syscall.MS_BIND, ""); err != nil {
		s.t.Fatal(err)
	}
}

// apart returns a site with a namespace called app, and two tunnels that lead to
// each other: wg1 of the site's own is up, the file of the full tunnel wg0 is for
// the namespace. What is sent to the latter's peer can only go by the site's.
func apart(t *testing.T, f func(s *site, path string)) {
	isolated(t, func(s *site) {
		s.withEtc()
		s.ip("netns add app")
		const server = "[Interface]\nPrivateKey = 6JyxoOi2Rk5jbQk2ahlhbNVpeRcmDsmvkQ0iLOeLd2c=\nListenPort = 52000\nAddress = 10.9.0.2/24, fd09::2/64\n[Peer]\nPublicKey = %s\nAllowedIPs = 10.9.0.1/32, fd09::1/128\n"
		key := strings.TrimSpace(s.sh("echo oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc= | wg pubkey"))
		far := filepath.Join(s.dir, "wg1.conf")
		if err := os.WriteFile(far, []byte(strings.Replace(server, "%s", key, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.wgQuick("up", far); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		path := s.file("wg0", "Address = 10.9.0.1/24, fd09::1/64\nDNS = 10.9.0.2\nPostUp = ip link show %i >>links", "0.0.0.0/0, ::/0\nEndpoint = 127.0.0.1:52000")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		key = strings.TrimSpace(s.sh("echo 6JyxoOi2Rk5jbQk2ahlhbNVpeRcmDsmvkQ0iLOeLd2c= | wg pubkey"))
		if err := os.WriteFile(path, []byte(strings.Replace(string(text), firstKey, key, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		f(s, path)
		if got := s.wgQuick("down", far); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
	})
}

// The link is in the namespace with all that belongs to it, and the packets to
// its peer go by the one that wg-quick was started in.
func TestNetns(t *testing.T) {
	apart(t, func(s *site, path string) {
		inside := func() string {
			return s.sh("ip -n app -d link; ip -n app rule; ip -n app route show table all; ip netns exec app nft list ruleset")
		}
		before, emptyInside := s.state(), inside()
		if got := s.wgQuick("--netns", "app", "up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		for _, line := range changed(before, s.state()) {
			if !strings.Contains(line, "/run/w") {
				t.Errorf("outside of the namespace: %s", line)
			}
		}
		for _, dst := range []string{"10.9.0.2", "fd09::2"} {
			s.sh("ip netns exec app ping -n -c 1 -W 5 " + dst)
		}
		if got := s.sh("cat /etc/netns/app/resolv.conf"); !strings.Contains(got, "\nnameserver 10.9.0.2\n") {
			t.Errorf("the namespace's resolv.conf is %q", got)
		}
		if got := s.sh("cat links"); !strings.Contains(got, " wg0: ") {
			t.Errorf("the hook saw %q", got)
		}
		// A program gets the namespace's view of /etc, and its exit status through.
		got := s.wgQuick("exec", "wg0", "--", "sh", "-c", "ping -n -c 1 -W 5 10.9.0.2 >/dev/null && cat /etc/resolv.conf; ls /sys/class/net; exit 7")
		if got.status != 7 || !strings.Contains(got.out, "\nnameserver 10.9.0.2\n") || strings.Contains(got.out, "uplink") {
			t.Errorf("exec: %+v", got)
		}
		if got := s.wgQuick("exec", "wg0", "no-such-command"); got.status != 127 {
			t.Errorf("exec of nothing: %+v", got)
		}
		// It is never run where its tunnel isn't.
		for _, dev := range []string{"wg1", "wg9"} {
			got := s.wgQuick("--netns", "app", "exec", dev, "echo", "run")
			if got.status != 1 || got.out != "" || !strings.HasPrefix(got.err, "wg-quick: `"+dev+"' is not a WireGuard interface\nhint: ") {
				t.Errorf("exec of %s, which is not in the namespace: %+v", dev, got)
			}
		}
		if got := s.wgQuick("--netns", "app", "status", path); got.status != 0 {
			t.Errorf("status: %+v", got)
		}
		if got := s.wgQuick("down", path); got.status != 1 || !strings.Contains(got.err, "hint: it is in the network namespace `app': say --netns app\n") {
			t.Errorf("down in the wrong namespace: %+v", got)
		}
		s.ip("-n app link delete wg0")
		if got := s.wgQuick("exec", "wg0", "echo", "run"); got.status != 1 || got.out != "" {
			t.Errorf("exec of a tunnel whose link is gone: %+v", got)
		}
		if got := s.wgQuick("--netns", "app", "down", path); got.status != 0 {
			t.Errorf("down: %+v", got)
		}
		s.same(before)
		if after := inside(); after != emptyInside {
			t.Errorf("the namespace was\n%s\nand is\n%s", emptyInside, after)
		}
		if exists("/etc/netns/app") {
			t.Error("/etc/netns/app is left")
		}
	})
}

// Without a tunnel that is up elsewhere, exec makes a namespace, and nothing is
// left of it, however the command ends.
func TestExec(t *testing.T) {
	apart(t, func(s *site, path string) {
		before := s.state()
		got := s.wgQuick("exec", path, "--", "sh", "-c", "ping -n -c 1 -W 5 10.9.0.2 >/dev/null && cat /etc/resolv.conf; ls /sys/class/net; exit 7")
		if got.status != 7 || !strings.Contains(got.out, "\nnameserver 10.9.0.2\n") || strings.Contains(got.out, "uplink") {
			t.Errorf("exec: %+v", got)
		}
		s.same(before)
		c := s.command("exec", path, "sh", "-c", "echo up; exec sleep 1000")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := out.Read(make([]byte, 3)); err != nil {
			t.Fatal(err)
		}
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); c.ProcessState.ExitCode() != 128+15 {
			t.Errorf("after SIGTERM: %v", err)
		}
		s.same(before)

		// A sudden end takes device and command along.
		c = s.command("exec", path, "sh", "-c", "echo $$; exec sleep 1000")
		if out, err = c.StdoutPipe(); err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		pid := make([]byte, 20)
		n, err := out.Read(pid)
		if err != nil {
			t.Fatal(err)
		}
		kill(c.Process.Pid)
		c.Wait()
		if err := await(func() bool {
			served, err := net.Dial("unix", "/run/wireguard/wg0.sock")
			if err == nil {
				served.Close()
			}
			return !exists("/proc/"+strings.TrimSpace(string(pid[:n]))) && err != nil
		}); err != nil {
			t.Errorf("the command or the device goes on: %v", err)
		}
		if got := s.wgQuick("exec", path, "true"); got.status != 0 {
			t.Errorf("after a sudden end: %+v", got)
		}
	})
}

// A command that prints the key may have to ask a server for it.
func TestNetnsKeyCommand(t *testing.T) {
	apart(t, func(s *site, path string) {
		text := s.read(path)
		key := strings.TrimPrefix(regexp.MustCompile("(?m)^PrivateKey = .*").FindString(text), "PrivateKey = ")
		text = strings.Replace(text, "PrivateKey = "+key, "PrivateKeyCommand = ip link show wg1 >/dev/null && cat "+s.dir+"/key", 1)
		for name, content := range map[string]string{path: text, filepath.Join(s.dir, "key"): key} {
			if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for _, args := range [][]string{{"exec", path, "true"}, {"--netns", "app", "up", path}, {"--netns", "app", "reload", path}, {"--netns", "app", "down", path}} {
			if got := s.wgQuick(args...); got.status != 0 {
				t.Errorf("%q: %+v", args, got)
			}
		}
	})
}

func TestNetnsRefusals(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary+"\nDNS = 10.7.0.1", "10.50.0.0/16")
		s.expect(s.wgQuick("--netns", "nowhere", "up", path), result{"", "wg-quick: the network namespace `nowhere': open /run/netns/nowhere: no such file or directory\n" +
			"hint: `ip netns add nowhere' makes it, `ip netns' lists those that there are\n", 1})
		s.expect(s.wgQuick("--netns", "/etc/passwd", "up", path), result{"", "wg-quick: the network namespace `/etc/passwd': /etc/passwd: not a network namespace\n", 1})
		if got := s.wgQuick("--netns", "/proc/self/ns/net", "up", path); got.status != 1 || !strings.Contains(got.err, "has no resolv.conf of its own\nhint: give it a name") {
			t.Errorf("DNS of a namespace without a name: %+v", got)
		}
		if got := s.wgQuick("up", s.file("wg0", ordinary, "10.50.0.0/16")); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		if got := s.wgQuick("exec", "wg0", "true"); got.status != 1 || !strings.HasPrefix(got.err, "wg-quick: `wg0' is in this network namespace") {
			t.Errorf("exec of a tunnel that is here: %+v", got)
		}
		s.wgQuick("down", path)
	})
}

// A tunnel elsewhere has no mark of a tunnel here: its packets would go past the
// rules and the kill switch of that one.
func TestNetnsMark(t *testing.T) {
	apart(t, func(s *site, path string) {
		here := s.file("wg9", "Address = 10.99.0.2/24", "0.0.0.0/0"+far)
		if got := s.wgQuick("up", here); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		if got := s.wgQuick("--netns", "app", "up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		if a, b := s.sh("wg show wg9 fwmark"), s.sh("wg show wg0 fwmark"); a == b {
			t.Errorf("both have the mark %s", a)
		}
		s.wgQuick("--netns", "app", "down", path)
		s.wgQuick("down", here)
	})
}
