// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/fakedevice"
)

// A fault is what the original does wrong, and ours right.
type fault struct {
	// scenario returns what is wrong for the user, nil if nothing is.
	scenario func(p *program) error
	// symptom is part of what is wrong with the original of Debian 12,
	// 1.0.20210914. Without one the original isn't run, for the reason unseen.
	symptom, unseen string
	// userspace says that the kernel's own device doesn't show it.
	userspace bool
}

// A program is ours or the original on a site.
type program struct {
	*site
	path string
}

// command is the program with these arguments.
func (p *program) command(args ...string) *exec.Cmd {
	c := exec.Command(p.path, args...)
	c.Dir = p.dir
	c.Env = append(os.Environ(), p.env...)
	return c
}

// run runs commands such as "up wg0", up to the first that fails.
func (p *program) run(commands ...string) error {
	for _, command := range commands {
		verb, dev, _ := strings.Cut(command, " ")
		c := p.command(verb, p.conf(dev))
		timer := time.AfterFunc(time.Minute, func() { c.Process.Kill() })
		out, err := c.CombinedOutput()
		if timer.Stop(); err != nil {
			return fmt.Errorf("%s: %v\n%s", command, err, out)
		}
	}
	return nil
}

// conf returns the path of a tunnel's file.
func (p *program) conf(dev string) string { return filepath.Join(p.dir, dev+".conf") }

// way checks the way of packets to dst, which may be followed by a mark.
func (p *program) way(dst, want string) error {
	out, _ := exec.Command("ip", append([]string{"route", "get"}, strings.Fields(dst)...)...).CombinedOutput()
	if !strings.Contains(string(out), want) {
		return fmt.Errorf("packets to %s go not by %s but:\n%s", dst, want, out)
	}
	return nil
}

// ways checks several pairs of a destination and its way.
func (p *program) ways(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if err := p.way(pairs[i], pairs[i+1]); err != nil {
			return err
		}
	}
	return nil
}

// clean checks that nothing is left of what was done since before.
func (p *program) clean(before string) error {
	// The original doesn't wait for the end of its device.
	waited := await(func() bool {
		return len(inside(p.t, "wireguard-go")) == 0 || strings.Contains(p.ip("-o link show"), "POINTOPOINT")
	})
	if list := changed(before, p.state()); len(list) > 0 {
		return fmt.Errorf("left behind: %s", strings.Join(list, ""))
	}
	return waited
}

// says checks that the file at path has these texts, and with a "!" before one
// that it hasn't.
func (p *program) says(path string, texts ...string) error {
	got, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	for _, text := range texts {
		want, not := strings.CutPrefix(text, "!")
		if strings.Contains(string(got), want) == not {
			return fmt.Errorf("%s should say %q:\n%s", filepath.Base(path), text, got)
		}
	}
	return nil
}

// write writes a file of the site and returns its path.
func (p *program) write(name, text string, mode os.FileMode) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), mode), os.Chmod(path, mode)); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// over lays a file over the system's, on this site only.
func (p *program) over(path, text string) {
	p.t.Helper()
	own := p.write(strings.ReplaceAll(path, "/", "_"), text, 0o644)
	if err := syscall.Mount(own, path, "", syscall.MS_BIND, ""); err != nil {
		p.t.Fatal(err)
	}
}

func (p *program) sysctl(name, value string) {
	p.t.Helper()
	if err := os.WriteFile(sysctlPath(name), []byte(value), 0); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until done reports true.
func await(done func() bool) error {
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return errors.New("nothing happens for 20 seconds")
		}
	}
	return nil
}

// hang returns a hook that doesn't end but by a signal, and what waits until it
// is reached. The trap is there before: a shell that is about to start another
// program may lose a signal.
func (p *program) hang(key string) (hook string, reached func()) {
	p.t.Helper()
	fifo := filepath.Join(p.dir, "reached")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return fmt.Sprintf(`%s = sh -c 'trap "exit 1" INT; echo > %s; while :; do sleep 1; done'`, key, fifo), func() {
		if _, err := os.ReadFile(fifo); err != nil {
			p.t.Fatal(err)
		}
	}
}

// reap kills what a scenario left running on its site.
func (s *site) reap() {
	for _, pid := range inside(s.t) {
		syscall.Kill(pid, syscall.SIGKILL)
	}
}

// testFaults runs each scenario with ours, and with the original to see that
// it really shows it.
func testFaults(t *testing.T, faults map[string]fault) {
	t.Helper()
	rows, err := os.ReadFile("../../docs/compatibility.md")
	if err != nil {
		t.Fatal(err)
	}
	section := strings.TrimPrefix(t.Name(), "TestFaultsOf")
	for name := range faults {
		if row := "`" + section + "/" + name + "`"; !strings.Contains(string(rows), row) {
			t.Errorf("docs/compatibility.md has no row with %s", row)
		}
	}
	for _, m := range regexp.MustCompile("`"+section+"/([^`]+)`").FindAllStringSubmatch(string(rows), -1) {
		if _, ok := faults[m[1]]; !ok {
			t.Errorf("docs/compatibility.md has a row for %q, which isn't tried", m[1])
		}
	}
	try := func(t *testing.T, path string, f fault) (err error) {
		t.Helper()
		isolated(t, func(s *site) {
			defer s.reap()
			if f.userspace && hasKernelDevice() {
				t.Skip("the kernel has WireGuard: its device doesn't show this")
			}
			p := &program{s, path}
			p.sysctl(srcValidMark, "1") // the original never puts it back, which is a fault of its own
			err = f.scenario(p)
		})
		return err
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath("wg"); err != nil {
				t.Skip("wg is needed (Debian: wireguard-tools)")
			}
			t.Run("ours", func(t *testing.T) {
				if err := try(t, "wg-quick", f); err != nil {
					t.Error(err)
				}
			})
			t.Run("theirs", func(t *testing.T) {
				if f.symptom == "" {
					t.Skip("not run: " + f.unseen)
				}
				needOriginal(t)
				err := try(t, original, f)
				if err == nil || !strings.Contains(err.Error(), f.symptom) {
					t.Errorf("the original should show %q, but: %v", f.symptom, err)
				}
				t.Log(err)
			})
		})
	}
}

const (
	srcValidMark = "net.ipv4.conf.all.src_valid_mark"

	full    = "0.0.0.0/0, ::/0\nEndpoint = 203.0.113.7:51820"
	full4   = "0.0.0.0/0\nEndpoint = 203.0.113.7:51820"
	address = "Address = 10.7.0.2/24, fd07::2/64"
	second  = "Address = 10.8.0.2/24, fd08::2/64"

	lan, internet = "192.0.2.77", "203.0.113.99"
)

func TestFaultsOfSave(t *testing.T) {
	testFaults(t, map[string]fault{
		"a hook with an ampersand": {symptom: `"PostUp = true && true"`, scenario: func(p *program) error {
			path := p.file("wg0", address+"\nPostUp = true && true", "10.50.0.0/16")
			if err := p.run("up wg0", "save wg0"); err != nil {
				return err
			}
			if err := p.says(path, "PostUp = true && true"); err != nil {
				return err
			}
			return p.run("down wg0", "up wg0")
		}},
		"addresses of a name with a plus": {symptom: `"10.7.0.2/24"`, scenario: func(p *program) error {
			path := p.file("a+b", address, "10.50.0.0/16")
			if err := p.run("up a+b", "save a+b"); err != nil {
				return err
			}
			return p.says(path, "10.7.0.2/24", "fd07::2/64")
		}},
		"link-local addresses pile up": {symptom: `"!fe80"`, userspace: true, scenario: func(p *program) error {
			path := p.file("wg0", address+"\nSaveConfig = true", "10.50.0.0/16")
			if err := p.run("up wg0", "down wg0", "up wg0", "down wg0"); err != nil {
				return err
			}
			return p.says(path, "!fe80")
		}},
		"comments and order": {symptom: `should say "# home, by hand`, scenario: func(p *program) error {
			path := p.write("wg0.conf", savedFile, 0o600)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			p.set("wg", "set", "wg0", "peer", other, "allowed-ips", "10.51.0.0/16")
			if err := p.run("save wg0"); err != nil {
				return err
			}
			head, _, _ := strings.Cut(savedFile, "AllowedIPs")
			return p.says(path, head, other)
		}},
		"search domains": {symptom: `"corp.example"`, scenario: func(p *program) error {
			p.withResolvconf()
			path := p.file("wg0", fullOwn+"\nSaveConfig = true", "10.50.0.0/16")
			if err := p.run("up wg0", "down wg0"); err != nil {
				return err
			}
			return p.says(path, "10.7.0.1", "corp.example")
		}},
		"name servers where resolvconf tells none": {symptom: `"DNS = 10.7.0.1"`, scenario: func(p *program) error {
			// systemd's knows no -l.
			p.env = append(p.env, "PATH="+filepath.Dir(p.write("bin/resolvconf", "#!/bin/sh\ncat > /dev/null\ntest $1 != -l\n", 0o755))+":"+os.Getenv("PATH"))
			path := p.file("wg0", address+"\nDNS = 10.7.0.1\nSaveConfig = true", "10.50.0.0/16")
			if err := p.run("up wg0", "down wg0"); err != nil {
				return err
			}
			return p.says(path, "DNS = 10.7.0.1")
		}},
		"a port and a mark that were chosen at run time": {symptom: `"!FwMark"`, scenario: func(p *program) error {
			path := p.file("wg0", address, full)
			if err := p.run("up wg0", "save wg0"); err != nil {
				return err
			}
			return p.says(path, "!FwMark", "!ListenPort")
		}},
		"the name of an endpoint": {symptom: `"localhost:51820"`, scenario: func(p *program) error {
			path := p.file("wg0", address, "10.50.0.0/16\nEndpoint = localhost:51820")
			if err := p.run("up wg0", "save wg0"); err != nil {
				return err
			}
			return p.says(path, "localhost:51820")
		}},
		"a key that a hook gave": {symptom: `"!PrivateKey"`, scenario: func(p *program) error {
			key := p.write("key", "oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=\n", 0o600)
			path := p.write("wg0.conf", "[Interface]\n"+address+"\nSaveConfig = true\nPostUp = wg set %i private-key "+key+"\n", 0o600)
			if err := p.run("up wg0", "down wg0"); err != nil {
				return err
			}
			return p.says(path, "!PrivateKey")
		}},
		"an address with a peer": {symptom: `"!Address = peer"`, scenario: func(p *program) error {
			path := p.file("wg0", address, "10.50.0.0/16")
			if err := p.run("up wg0"); err != nil {
				return err
			}
			p.ip("address add 10.9.0.2 peer 10.9.0.3/32 dev wg0")
			if err := p.run("save wg0"); err != nil {
				return err
			}
			if err := p.says(path, "!Address = peer", "10.9.0.2/32"); err != nil {
				return err
			}
			return p.run("down wg0", "up wg0")
		}},
	})
}

func TestFaultsOfDown(t *testing.T) {
	// gone brings a full tunnel up, changes something, and takes it down.
	gone := func(change func(p *program, path string)) func(p *program) error {
		return func(p *program) error {
			p.withResolvconf()
			before := p.state()
			path := p.file("wg0", fullOwn, full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			change(p, path)
			return errors.Join(p.run("down wg0"), p.clean(before))
		}
	}
	testFaults(t, map[string]fault{
		"rules of another full tunnel": {symptom: "packets to 192.0.2.77 go not by dev uplink but", scenario: func(p *program) error {
			before := p.state()
			p.file("wg0", address, full)
			p.file("wg1", second, full)
			if err := p.run("up wg0", "up wg1", "down wg0"); err != nil {
				return err
			}
			if err := p.ways(internet, "dev wg1", "2001:db8:ffff::1", "dev wg1", lan, "dev uplink"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg1"), p.clean(before))
		}},
		"rules of the user's own": {symptom: "the state has no more: 200:", scenario: func(p *program) error {
			p.ip("rule add from 198.51.100.1 lookup 51820 priority 100")
			p.ip("rule add lookup main suppress_prefixlength 0 priority 200")
			before := p.state()
			p.file("wg0", address, full)
			return errors.Join(p.run("up wg0", "down wg0"), p.clean(before))
		}},
		"a table whose number begins as another's": {symptom: "down wg0: exit status 2", scenario: func(p *program) error {
			p.ip("rule add from 198.51.100.1 lookup 51820 priority 100")
			before := p.state()
			p.file("wg0", address+"\nFwMark = 5182", full)
			return errors.Join(p.run("up wg0", "down wg0"), p.clean(before))
		}},
		"a table that has a name": {symptom: "lookup vpn", scenario: func(p *program) error {
			names, err := os.ReadFile("/etc/iproute2/rt_tables")
			if err != nil {
				return err
			}
			p.over("/etc/iproute2/rt_tables", string(names)+"51820 vpn\n")
			before := p.state()
			p.file("wg0", address, full)
			return errors.Join(p.run("up wg0", "down wg0"), p.clean(before))
		}},
		"a mark that is the main table's number": {symptom: "File exists", scenario: func(p *program) error {
			before := p.state()
			p.file("wg0", address+"\nFwMark = 254", full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			if err := p.ways(internet, "dev wg0", lan, "dev uplink", internet+" mark 254", "dev uplink"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"a mark that was cleared": {symptom: "lookup 51820", scenario: gone(func(p *program, _ string) {
			p.set("wg", "set", "wg0", "fwmark", "0")
		})},
		"a mark that was changed": {symptom: "lookup 51820", scenario: gone(func(p *program, _ string) {
			p.set("wg", "set", "wg0", "fwmark", "7")
		})},
		"a reload by wg syncconf": {symptom: "lookup 51820", scenario: gone(func(p *program, path string) {
			text, err := p.command("strip", path).Output()
			if err != nil {
				p.t.Fatal(err)
			}
			p.set("wg", "syncconf", "wg0", p.write("stripped", string(text), 0o600))
		})},
		"default routes that were taken off the peer": {symptom: "lookup 51820", scenario: gone(func(p *program, _ string) {
			p.set("wg", "set", "wg0", "peer", "oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=", "allowed-ips", "10.50.0.0/16")
		})},
		"a file that is gone": {symptom: "does not exist", scenario: gone(func(p *program, path string) {
			if err := os.Remove(path); err != nil {
				p.t.Fatal(err)
			}
		})},
		"a table that was edited in": {symptom: "lookup 51820", scenario: gone(func(p *program, _ string) {
			p.file("wg0", fullOwn+"\nTable = off", full)
		})},
		"DNS that was edited out": {symptom: "/run/resolvconf/wg0", scenario: gone(func(p *program, _ string) {
			p.file("wg0", address, full)
		})},
		"allowed IPs that were edited": {unseen: "it asks the device for them, not the file", scenario: gone(func(p *program, _ string) {
			p.file("wg0", fullOwn, "10.50.0.0/16")
		})},
		"a device that died": {symptom: "is not a WireGuard interface", userspace: true, scenario: func(p *program) error {
			p.withResolvconf()
			before := p.state()
			p.file("wg0", fullOwn, full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			for _, pid := range inside(p.t, "wireguard-go", "wg-quick-userspace") {
				syscall.Kill(pid, syscall.SIGKILL)
			}
			if err := await(func() bool { return !strings.Contains(p.state(), " wg0: ") }); err != nil {
				return err
			}
			if err := errors.Join(p.run("down wg0"), p.clean(before)); err != nil {
				return err
			}
			return errors.Join(p.run("up wg0", "down wg0"), p.clean(before))
		}},
		"firewall rules without the nft program": {symptom: "table ip wg-quick-wg0", scenario: func(p *program) error {
			before := p.state()
			p.file("wg0", address, full)
			if err := p.run("up wg0"); err != nil {
				return err
			}
			p.env = append(p.env, "PATH=/usr/bin:/bin")
			return errors.Join(p.run("down wg0"), p.clean(before))
		}},
		"src_valid_mark": {symptom: `src_valid_mark: "1`, scenario: func(p *program) error {
			p.sysctl(srcValidMark, "0")
			before := p.state()
			p.file("wg0", address, full)
			p.file("wg1", second, full)
			if err := p.run("up wg0", "up wg1", "down wg0"); err != nil {
				return err
			}
			if err := p.says(sysctlPath(srcValidMark), "1"); err != nil {
				return err
			}
			return errors.Join(p.run("down wg1"), p.clean(before))
		}},
		"a hook for a device of another namespace": {symptom: "PreDown ran", userspace: true, scenario: func(p *program) error {
			if err := os.MkdirAll("/run/wireguard", 0o755); err != nil {
				return err
			}
			d, err := fakedevice.Serve("/var/run/wireguard", "wg0", fakedevice.Spec{})
			if err != nil {
				return err
			}
			defer d.Close()
			ran := filepath.Join(p.dir, "ran")
			p.file("wg0", address+"\nPreDown = touch "+ran, full)
			if err := p.run("down wg0"); err == nil {
				return errors.New("down has taken nothing down, and doesn't say so")
			}
			if exists(ran) {
				return errors.New("PreDown ran, and then there is nothing to take down")
			}
			return nil
		}},
	})
}
