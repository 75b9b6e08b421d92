// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFaultsOfUp(t *testing.T) {
	// A signal that is ignored here, as in background jobs, would be there too.
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGINT)
	defer signal.Stop(ours)
	noIPv6 := func(p *program) {
		p.sysctl("net.ipv6.conf.all.disable_ipv6", "1")
		p.sysctl("net.ipv6.conf.default.disable_ipv6", "1")
	}
	testFaults(t, map[string]fault{
		"two full tunnels in each other": {symptom: "packets to 203.0.113.99 mark 51820 go not by dev uplink but", scenario: func(p *program) error {
			before := p.state()
			p.file("wg0", address, full4)
			p.file("wg1", second, full4)
			if err := p.run("up wg0", "up wg1"); err != nil {
				return err
			}
			if err := p.ways(internet+" mark 51820", "dev uplink", internet+" mark 51821", "dev uplink", internet, "dev wg1", lan, "dev uplink"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg1", "down wg0"), p.clean(before))
		}},
		"a second full tunnel that fails": {symptom: "packets to 192.0.2.77 go not by dev uplink but", scenario: func(p *program) error {
			p.file("wg0", address, full)
			p.file("wg1", second+"\nPostUp = false", full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			before := p.state()
			if err := p.run("up wg1"); err == nil {
				return errors.New("up succeeds although its hook fails")
			}
			if err := p.ways(internet, "dev wg0", lan, "dev uplink"); err != nil {
				return err
			}
			return p.clean(before)
		}},
		"two full tunnels with the same mark": {symptom: "packets to 203.0.113.99 go not by dev wg", scenario: func(p *program) error {
			before := p.state()
			p.file("wg0", address+"\nFwMark = 99", full)
			p.file("wg1", second+"\nFwMark = 99", full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			failed := p.run("up wg1")
			if err := p.ways(internet, "dev wg", lan, "dev uplink", internet+" mark 99", "dev uplink"); err != nil {
				return err
			}
			if err := errors.Join(failed, p.run("down wg1"), p.ways(internet, "dev wg0", lan, "dev uplink")); err != nil {
				return err
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"a rule of the user's before all others": {symptom: "packets to 192.0.2.77 go not by dev uplink but", scenario: func(p *program) error {
			p.ip("rule add from 198.51.100.1 lookup main priority 1")
			before := p.state()
			p.file("wg0", address, full4)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if err := p.ways(internet, "dev wg0", lan, "dev uplink", internet+" mark 51820", "dev uplink"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"a name with a plus and an equals sign": {symptom: "syntax error", scenario: func(p *program) error {
			before := p.state()
			p.file("a=b+c", address, full)
			if err := p.run("up a=b+c"); err != nil {
				return err
			}
			if err := p.ways(internet, "dev a=b+c", lan, "dev uplink"); err != nil {
				return err
			}
			return errors.Join(p.run("down a=b+c"), p.clean(before))
		}},
		"a name that ip takes for a word of its own": {unseen: "its link can be made, by wireguard-go, where the kernel has no WireGuard", scenario: func(p *program) error {
			before := p.state()
			p.file("type", "Address = 10.7.0.2/24", "10.50.0.0/16")
			return errors.Join(p.run("up type", "down type"), p.clean(before))
		}},
		"two at once": {symptom: "of two are up", scenario: func(p *program) error {
			before := p.state()
			// Where hooks run before there is a link, both get as far as that.
			path := p.file("wg0", address+"\nPreUp = touch $$.ready; until [ -e go ]; do sleep 0.01; done", "10.50.0.0/16")
			var both [2]*exec.Cmd
			var errs [2]strings.Builder
			ended := make(chan int, len(both))
			for i := range both {
				both[i] = p.command("up", path)
				both[i].Stderr = &errs[i]
				if err := both[i].Start(); err != nil {
					return err
				}
			}
			for i, c := range both {
				go func() { c.Wait(); ended <- i }()
			}
			if err := await(func() bool {
				ready, _ := filepath.Glob(filepath.Join(p.dir, "*.ready"))
				return len(ready)+len(ended) == len(both)
			}); err != nil {
				return err
			}
			p.write("go", "", 0o600)
			up, told := 0, 0
			for range both {
				i := <-ended
				text := errs[i].String()
				switch {
				case both[i].ProcessState.Success():
					up++
				case strings.Contains(text, "wg0' already exists"), strings.Contains(text, "wg0' is being brought up"):
					told++
				}
			}
			out, _ := exec.Command("ip", "-4", "route", "show", "dev", "wg0").CombinedOutput()
			if up != 1 || told != 1 || !strings.Contains(string(out), "10.50.0.0/16") {
				return fmt.Errorf("%d of two are up, %d say why not, and the routes are: %s\n%s\n%s", up, told, out, errs[0].String(), errs[1].String())
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"Ctrl-C": {symptom: "lookup 51820", userspace: true, scenario: func(p *program) error {
			before := p.state()
			hook, reached := p.hang("PostUp")
			c := p.command("up", p.file("wg0", address+"\n"+hook, full))
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a terminal's foreground job
			if err := c.Start(); err != nil {
				return err
			}
			defer time.AfterFunc(time.Minute, func() { syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }).Stop()
			reached()
			if err := syscall.Kill(-c.Process.Pid, syscall.SIGINT); err != nil {
				return err
			}
			if err := c.Wait(); err == nil {
				return errors.New("up succeeds although it was interrupted")
			}
			return p.clean(before)
		}},
		"killed before": {symptom: "already exists", scenario: func(p *program) error {
			before := p.state()
			hook, reached := p.hang("PostUp")
			c := p.command("up", p.file("wg0", address+"\n"+hook, full))
			if err := c.Start(); err != nil {
				return err
			}
			reached()
			c.Process.Kill()
			c.Wait()
			p.file("wg0", address, full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"firewall rules that were left": {symptom: "the packet filter has more", scenario: func(p *program) error {
			p.file("wg0", "Address = 10.7.0.2/24", full4)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			want := p.ruleset()
			if err := p.run("down wg0"); err != nil {
				return err
			}
			p.set("nft", "-f", p.write("left", want, 0o600))
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if got := p.ruleset(); got != want {
				return fmt.Errorf("the packet filter has more:\n%s\nthan\n%s", got, want)
			}
			return nil
		}},
		"search domains alone": {symptom: "resolvconf has nothing", scenario: func(p *program) error {
			p.withResolvconf()
			before := p.state()
			p.file("wg0", address+"\nDNS = corp.example", "10.50.0.0/16")
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if text, _ := os.ReadFile("/run/resolvconf/wg0"); string(text) != "search corp.example\n" {
				return fmt.Errorf("resolvconf has nothing of the search domain: %q", text)
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"names are asked for outside the tunnel": {symptom: "dev uplink", scenario: func(p *program) error {
			p.withResolvconf()
			p.file("wg0", fullOwn, full)
			if err := p.run("up wg0", "down wg0"); err != nil {
				return err
			}
			// Where a packet to the internet goes at the moment of each call.
			return p.says(filepath.Join(p.dir, "resolvconf.log"), "-a wg0 -m 0 -x dev wg0\n-d wg0 -f dev wg0\n")
		}},
		"no resolvconf": {symptom: "resolvconf: command not found", scenario: func(p *program) error {
			if _, err := exec.LookPath("resolvconf"); err == nil {
				p.t.Skip("there is a resolvconf here")
			}
			p.over("/etc/resolv.conf", "nameserver 192.0.2.53\n")
			before := p.state()
			p.file("wg0", address+"\nDNS = 10.7.0.1, corp.example", "10.50.0.0/16")
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if err := p.says("/etc/resolv.conf", "\nnameserver 10.7.0.1\n", "\nsearch corp.example\n"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"IPv6 is off, addresses": {symptom: "IPv6 is disabled", scenario: func(p *program) error {
			noIPv6(p)
			before := p.state()
			p.file("wg0", address, "10.50.0.0/16")
			return errors.Join(p.run("up wg0"), p.way("10.50.0.1", "dev wg0"), p.run("down wg0"), p.clean(before))
		}},
		"IPv6 is off, routes": {symptom: "IPv6 is disabled", scenario: func(p *program) error {
			noIPv6(p)
			before := p.state()
			p.file("wg0", "Address = 10.7.0.2/24", full)
			return errors.Join(p.run("up wg0"), p.way(internet, "dev wg0"), p.run("down wg0"), p.clean(before))
		}},
		"parameters of the kernel that are right and read-only": {symptom: "permission denied on key", scenario: func(p *program) error {
			before := p.state()
			if err := errors.Join(
				syscall.Mount(sysctlDir, sysctlDir, "", syscall.MS_BIND, ""),
				syscall.Mount("none", sysctlDir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""),
			); err != nil {
				return err
			}
			p.file("wg0", address, full)
			return errors.Join(p.run("up wg0"), p.way(internet, "dev wg0"), p.run("down wg0"), p.clean(before))
		}},
		"a PATH without sbin": {symptom: "command not found", scenario: func(p *program) error {
			before := p.state()
			p.env = append(p.env, "PATH=/usr/bin:/bin") // cron's
			p.file("wg0", address, full)
			return errors.Join(p.run("up wg0"), p.way(internet, "dev wg0"), p.run("down wg0"), p.clean(before))
		}},
		"a key in a hook": {symptom: "a key is printed", scenario: func(p *program) error {
			const key = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
			path := p.file("wg0", address+"\nPostUp = wg set %i private-key <(echo "+key+")", "10.50.0.0/16")
			out, err := p.command("up", path).CombinedOutput()
			if err != nil {
				return fmt.Errorf("up: %v\n%s", err, out)
			}
			if strings.Contains(string(out), key) {
				return fmt.Errorf("a key is printed, and so lands in the journal:\n%s", out)
			}
			return nil
		}},
		"a number sign in a hook": {symptom: "the hook didn't get", scenario: func(p *program) error {
			got := filepath.Join(p.dir, "got")
			p.file("wg0", address+"\nPostUp = echo 'room #3' > "+got, "10.50.0.0/16")
			err := p.run("up wg0")
			if text, _ := os.ReadFile(got); string(text) != "room #3\n" {
				return fmt.Errorf("the hook didn't get its text: %q, %v", text, err)
			}
			return err
		}},
		"a value that matches a file": {symptom: "10.9.9.9", scenario: func(p *program) error {
			p.write("10.9.9.9", "", 0o600)
			p.file("wg0", "Address = 10.9.*", "10.50.0.0/16")
			if err := p.run("up wg0"); err == nil {
				return fmt.Errorf("the address is taken from the names of files:\n%s", p.ip("-4 -o address show dev wg0"))
			}
			return nil
		}},
		"the MTU of several ways": {symptom: "mtu 1420", scenario: func(p *program) error {
			p.ip("route add 198.51.100.0/24 via 192.0.2.1 mtu 1350")
			p.file("wg0", address, "10.50.0.0/16\nEndpoint = 203.0.113.7:51820\n[Peer]\nPublicKey = "+other+"\nEndpoint = 198.51.100.1:51820")
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if got := p.ip("-o link show dev wg0"); !strings.Contains(got, " mtu 1270 ") {
				return fmt.Errorf("packets don't fit the narrowest way: %s", got)
			}
			return nil
		}},
		"a mistake in the file": {symptom: "PreUp ran", scenario: func(p *program) error {
			ran := filepath.Join(p.dir, "ran")
			p.file("wg0", address+"\nPreUp = touch "+ran, "10.50.0.0/16\nEndpint = 203.0.113.7:51820")
			if err := p.run("up wg0"); err == nil {
				return errors.New("a mistake in the file isn't found")
			}
			if exists(ran) {
				return errors.New("PreUp ran, for a tunnel that can't come up")
			}
			return nil
		}},
		"a name that nobody knows": {symptom: "for nothing", scenario: func(p *program) error {
			p.over("/etc/resolv.conf", "nameserver 127.0.0.1\n")
			p.env = append(p.env, "WG_ENDPOINT_RESOLUTION_RETRIES=1")
			p.file("wg0", address, "10.50.0.0/16\nEndpoint = no-such-host.invalid:51820")
			err := p.run("up wg0")
			if err == nil {
				return errors.New("up succeeds without the peer's address")
			}
			if strings.Contains(err.Error(), "ip link add") {
				return fmt.Errorf("there is a link, for nothing, while the name is looked up:\n%w", err)
			}
			return nil
		}},
		"hooks that anybody can write": {symptom: "anybody's command was run", scenario: func(p *program) error {
			ran := filepath.Join(p.dir, "ran")
			if err := os.Chmod(p.file("wg0", address+"\nPostUp = touch "+ran, "10.50.0.0/16"), 0o666); err != nil {
				return err
			}
			if err := p.run("up wg0"); err == nil || exists(ran) {
				return fmt.Errorf("anybody's command was run by root: %v", err)
			}
			return nil
		}},
		"a directory in the place of the file": {symptom: "a directory is taken", scenario: func(p *program) error {
			if err := os.Mkdir(p.conf("wg0"), 0o700); err != nil {
				return err
			}
			if err := p.run("up wg0"); err == nil {
				return errors.New("a directory is taken for a file without settings")
			}
			return nil
		}},
		"a thousand allowed IPs in a line": {unseen: "it gets there too, after half a minute", scenario: func(p *program) error {
			before := p.state()
			var list []string
			for i := range 1000 {
				list = append(list, fmt.Sprintf("10.%d.%d.0/24", 100+i/256, i%256))
			}
			p.file("wg0", "Address = 10.7.0.2/24", strings.Join(list, ", "))
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if n := strings.Count(p.ip("-4 route show dev wg0"), "/24 scope link"); n != 1000 {
				return fmt.Errorf("%d routes of 1000", n)
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
	})
}

// ruleset is all of the packet filter.
func (p *program) ruleset() string {
	out, err := exec.Command("nft", "list", "ruleset").CombinedOutput()
	if err != nil {
		p.t.Fatalf("nft: %v\n%s", err, out)
	}
	return string(out)
}
