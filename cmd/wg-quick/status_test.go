// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// A pair of tunnels between two namespaces would take a second site; a device
// that knocks at its own address in vain is enough for what status says.
func TestStatus(t *testing.T) {
	const peer = "10.50.0.0/16, 10.51.0.0/16\nPersistentKeepalive = 25\n# Name = office" + far
	isolated(t, func(s *site) {
		s.withResolvconf()
		path := s.file("wg0", ordinary, peer)
		s.expect(s.wgQuick("status", path), result{"wg0: not up\n", "", 4})
		s.expect(s.wgQuick("status"), result{"", "wg-quick: no tunnel is up\n", 4})
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		s.expect(s.wgQuick("status", path), result{
			"wg0: up, without a fresh handshake\n  peer office at 203.0.113.7:51820: no handshake yet; it doesn't answer\n", "", 5})

		s.file("wg0", ordinary, strings.Replace(peer, "25", "off", 1))
		s.sh("wg set wg0 peer " + firstKey + " allowed-ips 10.50.0.0/16 persistent-keepalive off; ip route delete 10.51.0.0/16 dev wg0; ip address add 10.99.0.1/24 dev wg0")
		text := s.wgQuick("status", path)
		text.out = strings.ReplaceAll(text.out, s.dir, "DIR")
		s.expect(text, result{`wg0: up, without a fresh handshake
  peer office at 203.0.113.7:51820: no handshake yet; it doesn't answer
  DIR/wg0.conf (-) and what there is (+):
      4 + Address = 10.99.0.1/24
      7 - AllowedIPs = 10.50.0.0/16, 10.51.0.0/16
        + AllowedIPs = 10.50.0.0/16
  ` + "`wg-quick reload wg0'" + ` would:
    sysctl -q net/ipv4/conf/wg0/promote_secondaries=1
    ip -4 address delete 10.99.0.1/24 dev wg0
    ip -4 route add 10.51.0.0/16 dev wg0
  Changed by others: address 10.99.0.1/24, added.
  Changed by others: peer office ` + firstKey + `, other settings.
`, "", 5})
		got := s.wgQuick("status", "--json")
		var doc struct {
			Tunnels []struct {
				Name, Verdict string
				Edits         []struct{ File, Tunnel []string }
				Reload        []string
			}
		}
		if err := json.Unmarshal([]byte(got.out), &doc); err != nil || got.status != text.status {
			t.Fatalf("--json: %v: %+v", err, got)
		}
		asDocumented(t, got.out, map[string]string{
			"": "status: the document", "tunnels": "status: a tunnel", "tunnels.peers": "status: a peer", "tunnels.edits": "status: an edit"})
		if n := doc.Tunnels[0]; n.Name != "wg0" || len(n.Edits) != 2 || len(n.Reload) == 0 {
			t.Errorf("--json says %+v", n)
		}
		s.wgQuick("down", path)
	})
}

// While another process works on it, nothing came to a sudden end, and nobody
// knows what there is to do.
func TestStatusMeanwhile(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary+"\nKillSwitch = true\nPreUp = echo . >up; cat go\nPreDown = echo . >down\nPostDown = cat go", "0.0.0.0/0"+far)
		s.sh("mkfifo up down go")
		for _, run := range []struct{ verb, fifo, doing string }{{"up", "up", "bringing it up"}, {"down", "down", "taking it down"}} {
			c := s.command(run.verb, path)
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			s.sh("cat " + run.fifo)
			var got result
			if err := await(func() bool { got = s.wgQuick("status", path); return got.status == 4 }); err != nil {
				t.Error(err)
			}
			s.expect(got, result{"wg0: not up\n  kill switch: nothing leaves but by the tunnel\n  another process is " + run.doing + "\n", "", 4})
			got = s.wgQuick("status", "--json", path)
			if !strings.Contains(got.out, `"notes":["another process is `+run.doing+`"],"left":[]`) {
				t.Errorf("--json says %s", got.out)
			}
			s.expect(s.wgQuick("plan", "up", path), result{"", "wg-quick: `wg0' is being brought up or taken down by another process\n" +
				"hint: wait until that has ended; `pgrep -af wg-quick' shows it\n", 1})
			s.sh("echo . >go")
			if err := c.Wait(); err != nil {
				t.Errorf("%s: %v", run.verb, err)
			}
		}
	})
}

// After a crash status says what is left.
func TestStatusAfterCrash(t *testing.T) {
	isolated(t, func(s *site) {
		s.withResolvconf()
		path := s.file("wg0", fullOwn, "0.0.0.0/0, ::/0"+far)
		c := exec.Command(faultyName, "up", path)
		c.Env = append(append(os.Environ(), s.env...), faultsVariable+"=kills 13")
		s.run(c)
		got := s.wgQuick("status", path)
		if got.status != 4 || !regexp.MustCompile("^wg0: not up\n  came to a sudden end; `wg-quick down wg0' would remove what is left:\n(    .*\n)+$").MatchString(got.out) {
			t.Errorf("status says %+v", got)
		}
		s.wgQuick("down", path)
	})
}

// After a crash it says what blocks the net; with the tunnel, what leaves.
func TestStatusOfKillSwitch(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary+"\nKillSwitch = lan", "0.0.0.0/0, ::/0"+far)
		expect := func(value string, lines ...string) {
			t.Helper()
			got := s.wgQuick("status", path)
			for _, line := range lines {
				if !strings.Contains(got.out, "\n  "+line) {
					t.Errorf("status says\n%swant %q", got.out, line)
				}
			}
			doc := s.wgQuick("status", "--json", path)
			asDocumented(t, doc.out, map[string]string{"tunnels": "status: a tunnel"})
			if !strings.Contains(doc.out, `"kill_switch":`+value+",") {
				t.Errorf("--json says %s, want %s", doc.out, value)
			}
		}
		const lan = "kill switch: nothing leaves but by the tunnel and to local networks"
		s.up(path)
		expect(`"lan"`, lan+"\n")
		s.sh("nft insert rule inet wg-killswitch output accept")
		expect(`"changed"`, "kill switch: others have changed it (table inet wg-killswitch); `wg-quick reload wg0' puts it right\n", "  nft -f /dev/fd/63 # KillSwitch = lan\n")
		if got := s.wgQuick("reload", path); got.status != 0 {
			t.Errorf("reload: %+v", got)
		}
		expect(`"lan"`, lan+"\n")
		s.ip("link delete wg0")
		expect(`"lan"`, lan+", which isn't up: this blocks the net. `wg-quick up wg0' brings it up, `wg-quick unlock wg0' opens the net\n",
			"  nft -f /dev/fd/63 # KillSwitch = false\n")
		s.down(path)
		expect("null")
	})
}

// Where there is no IPv6, nobody removed the addresses that were left out, and
// the file keeps them.
func TestStatusWithoutIPv6(t *testing.T) {
	isolated(t, func(s *site) {
		s.sh("sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1")
		path := s.file("wg0", ordinary+"\nSaveConfig = true", "10.50.0.0/16, fd50::/16")
		text := s.read(path)
		s.up(path)
		s.expect(s.wgQuick("reload", path), result{"", "[!] There is no IPv6 here (net.ipv6.conf.wg0.disable_ipv6 is 1). Left out: fd07::2/64, fd50::/16\n", 0})
		got := s.wgQuick("status", path)
		s.expect(got, result{"wg0: up, healthy\n  peer " + firstKey + ": no handshake yet; idle\n" +
			"  There is no IPv6 here (net.ipv6.conf.wg0.disable_ipv6 is 1). Left out: fd07::2/64, fd50::/16\n", "", 0})
		s.down(path)
		if after := s.read(path); after != text {
			t.Errorf("the file was\n%sand is\n%s", text, after)
		}
	})
}

// No secret is printed, whatever differs.
func TestStatusSecrets(t *testing.T) {
	isolated(t, func(s *site) {
		const psk = "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
		path := s.file("wg0", ordinary, "10.50.0.0/16\nPresharedKey = "+psk)
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		other := s.sh("wg genkey | tee key; wg set wg0 private-key key; wg genpsk | tee psk; wg set wg0 peer " + firstKey + " preshared-key psk")
		for _, args := range [][]string{{"status", path}, {"status", "--json", path}, {"reload", "--dry-run", path}} {
			got := s.wgQuick(args...)
			for _, secret := range append(strings.Fields(other), psk, "oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=") {
				if strings.Contains(got.out+got.err, secret) {
					t.Errorf("%q prints a key", args)
				}
			}
			if args[0] == "status" && strings.Count(got.out, "PresharedKey = (hidden)") != 2 {
				t.Errorf("%q doesn't tell the keys apart: %+v", args, got)
			}
		}
		s.wgQuick("down", path)
	})
}

// What blocks the net is told without the tunnel's name, file, record and link.
func TestStatusOfLoneKillSwitch(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", "Address = 10.7.0.2/24\nKillSwitch = true", "0.0.0.0/0"+far)
		if got := s.wgQuick("up", path); got.status != 0 {
			t.Fatalf("up: %+v", got)
		}
		s.sh("ip link delete wg0; rm -r /run/wgtools wg0.conf")
		got := s.wgQuick("status")
		if got.status != 4 || !strings.Contains(got.out, "wg0: not up\n  kill switch: nothing leaves") || !strings.Contains(got.out, "`wg-quick unlock wg0'") {
			t.Errorf("status: %+v", got)
		}
		if got := s.wgQuick("unlock", "wg0"); got.status != 0 {
			t.Errorf("unlock: %+v", got)
		}
		s.expect(s.wgQuick("status"), result{"", "wg-quick: no tunnel is up\n", 4})
	})
}
