// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/netlinkwg"
	"wgtools/internal/netnstest"
)

// A site is a namespace with an uplink, and a folder of files.
type site struct {
	t   *testing.T
	dir string
	env []string
}

// isolated calls f on a site of its own.
func isolated(t *testing.T, f func(s *site)) {
	t.Helper()
	for program, of := range map[string]string{"ip": "iproute2", "bash": "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("%s isn't installed (Debian: %s)", program, of)
		}
	}
	s := &site{t: t, dir: t.TempDir()}
	netnstest.Run(t, func() error {
		s.ip("link add uplink type veth peer name far")
		for _, dev := range []string{"uplink", "far"} {
			s.ip("link set " + dev + " addrgenmode none")
		}
		for _, dev := range []string{"uplink", "far"} {
			s.ip("link set " + dev + " up")
		}
		s.ip("address add 192.0.2.2/24 dev uplink")
		s.ip("route add default via 192.0.2.1")
		// The state of a link that was just made settles by itself.
		for strings.Count(s.ip("-o link show type veth"), "state UP") < 2 {
			time.Sleep(time.Millisecond)
		}
		f(s)
		return nil
	})
}

func (s *site) ip(args string) string {
	s.t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// state is all that a tunnel could change.
func (s *site) state() string {
	// The kernel first makes sure that nobody else has an address of IPv6.
	if err := await(func() bool { return s.ip("-6 address show tentative") == "" }); err != nil {
		s.t.Error(err)
	}
	var b strings.Builder
	for _, batch := range []struct{ flags, commands string }{
		{"-d -batch -", "link show\naddress show\nrule show\nroute show table all\n"},
		{"-d -6 -batch -", "rule show\nroute show table all\n"},
	} {
		c := exec.Command("ip", strings.Fields(batch.flags)...)
		c.Stdin = strings.NewReader(batch.commands)
		out, _ := c.CombinedOutput()
		b.Write(out)
	}
	out, _ := exec.Command("nft", "list", "ruleset").CombinedOutput()
	b.Write(out)
	// Each file is one line, so that the order of its lines counts.
	for _, path := range []string{"/proc/sys/net/ipv4/conf/all/src_valid_mark", "/proc/sys/net/ipv4/ip_forward",
		"/proc/sys/net/ipv6/conf/all/forwarding", "/etc/resolv.conf"} {
		text, _ := os.ReadFile(path)
		fmt.Fprintf(&b, "%s: %q\n", path, text)
	}
	filepath.WalkDir("/run", func(path string, d os.DirEntry, _ error) error {
		switch {
		case path == "/run/wireguard": // where sockets are, which stays
		case d.Type().IsRegular():
			text, _ := os.ReadFile(path)
			fmt.Fprintf(&b, "%s: %q\n", path, text)
		default:
			fmt.Fprintln(&b, path)
		}
		return nil
	})
	return b.String()
}

// same checks that the state is again what it was.
func (s *site) same(before string) {
	s.t.Helper()
	for _, text := range changed(before, s.state()) {
		s.t.Error(text)
	}
}

// changed says which lines one of two states has, or has more often. Their
// order doesn't matter.
func changed(before, after string) (list []string) {
	count := map[string]int{}
	for line := range strings.Lines(before) {
		count[line]--
	}
	for line := range strings.Lines(after) {
		count[line]++
	}
	for _, line := range slices.Sorted(maps.Keys(count)) {
		switch n := count[line]; {
		case n > 0:
			list = append(list, "the state has now: "+line)
		case n < 0:
			list = append(list, "the state has no more: "+line)
		}
	}
	return list
}

// file writes a configuration file and returns its path.
func (s *site) file(dev, own, allowed string) string {
	s.t.Helper()
	path := filepath.Join(s.dir, dev+".conf")
	text := fmt.Sprintf("[Interface]\nPrivateKey = oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=\n%s\n[Peer]\nPublicKey = oPAV6vaDTbOoSToT9CosLOXKJeMMpc4BqH8gEWNsGTs=\nAllowedIPs = %s\n", own, allowed)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return path
}

// command is wg-quick with these arguments.
func (s *site) command(args ...string) *exec.Cmd {
	c := exec.Command("wg-quick", args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), s.env...)
	return c
}

// A result is what a command said and how it ended.
type result struct {
	out, err string
	status   int
}

func (s *site) wgQuick(args ...string) result {
	s.t.Helper()
	return s.run(s.command(args...))
}

func (s *site) run(c *exec.Cmd) (r result) {
	s.t.Helper()
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		r.status = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	// Which device there is decides which lines there are.
	text := strings.ReplaceAll(errs.String(), "[!] Missing WireGuard kernel module. Falling back to slow userspace implementation.\n[#] wg-quick-userspace wg0\n", "")
	return result{out.String(), strings.ReplaceAll(text, s.dir, "DIR"), r.status}
}

func (s *site) expect(got, want result) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("got exit status %d, stdout %q, stderr:\n%s\nwant %d, %q:\n%s", got.status, got.out, got.err, want.status, want.out, want.err)
	}
}

const ordinary = "Address = 10.7.0.2/24, fd07::2/64\nListenPort = 40123"

const upLines = `[#] ip link add dev wg0 type wireguard
[#] wg addconf wg0 /dev/fd/63
[#] ip -4 address add 10.7.0.2/24 dev wg0
[#] ip -6 address add fd07::2/64 dev wg0
[#] ip link set mtu 1420 up dev wg0
[#] ip -4 route add 10.50.0.0/16 dev wg0
`

func TestUpDown(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("wg0", ordinary, "10.50.0.0/16, 10.7.0.9/32")
		s.expect(s.wgQuick("up", path), result{err: upLines})

		d, peers, err := netlinkwg.ReadAll(t.Context(), netlinkwg.New(), "wg0")
		if err != nil {
			t.Fatal(err)
		}
		if d.ListenPort != 40123 || len(peers) != 1 || len(peers[0].AllowedIPs) != 2 {
			t.Errorf("the device has port %d and peers %v", d.ListenPort, peers)
		}
		for args, want := range map[string]string{
			"-o -4 address show dev wg0":              "inet 10.7.0.2/24 scope global wg0",
			"-o -6 address show dev wg0 scope global": "inet6 fd07::2/64",
			"-o link show dev wg0":                    ",UP,LOWER_UP> mtu 1420 ",
			"-4 route show dev wg0":                   "10.50.0.0/16 scope link",
		} {
			if got := s.ip(args); !strings.Contains(got, want) {
				t.Errorf("ip %s: %s\nwant %q", args, got, want)
			}
		}

		during := s.state()
		// Another namespace that shares the directory may have a wg0 too.
		if record := newJournal(runDir).path("wg0"); !strings.Contains(during, record) || !strings.HasPrefix(record, "/run/wgtools/wg0@") {
			t.Errorf("nothing is recorded in %s, for this namespace alone", record)
		}
		s.expect(s.wgQuick("up", path), result{status: 1, err: "wg-quick: `wg0' already exists\n" +
			"hint: `wg-quick down wg0' takes it down, if it is a tunnel; `ip link show dev wg0' tells what it is\n"})
		s.expect(s.wgQuick("save", path), result{err: "[#] wg showconf wg0\n"})
		s.same(during)

		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
		s.same(before)
		s.expect(s.wgQuick("down", path), result{status: 1, err: "wg-quick: `wg0' is not a WireGuard interface\n" +
			"hint: `wg show interfaces' lists those that there are\n"})
		// At once again: nothing of the first time is in the way.
		s.expect(s.wgQuick("up", path), result{err: upLines})
		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
		s.same(before)
	})
}

// down works on a file that has got worse since, as long as it can be read as
// far as it matters.
func TestDownOfEditedFile(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("wg0", ordinary, "10.50.0.0/16")
		s.expect(s.wgQuick("up", path), result{err: upLines})
		s.file("wg0", "Address = any\nTable = Nowhere\nMTU = big\nNonsense = 1", "here\nEndpoint = no-such-host.invalid:1")
		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
		s.same(before)
	})
}

func TestUpFails(t *testing.T) {
	const deleted = "[#] ip link delete dev wg0\n"
	tests := map[string]struct {
		own, allowed string
		want         result
	}{
		"a route that is there": {ordinary, "10.50.0.0/16, 192.0.2.0/24", result{status: 1,
			err: strings.Replace(upLines, "[#] ip -4 route", "[#] ip -4 route add 192.0.2.0/24 dev wg0\n[#] ip -4 route", 1) + deleted +
				"RTNETLINK answers: File exists\n" +
				"wg-quick: ip -4 route add 192.0.2.0/24 dev wg0: file exists\n" +
				"hint: there is such a route already: `ip -4 route show 192.0.2.0/24' shows it\n"}},
		"an address twice": {"Address = 10.7.0.2/24, 10.7.0.2/24", "10.50.0.0/16", result{status: 1,
			err: "[#] ip link add dev wg0 type wireguard\n[#] wg addconf wg0 /dev/fd/63\n" +
				strings.Repeat("[#] ip -4 address add 10.7.0.2/24 dev wg0\n", 2) + deleted}},
		"an MTU that is too small": {"MTU = 20", "10.50.0.0/16", result{status: 1,
			err: "[#] ip link add dev wg0 type wireguard\n[#] wg addconf wg0 /dev/fd/63\n[#] ip link set mtu 20 up dev wg0\n" + deleted +
				"Error: mtu less than device minimum.\n" +
				"wg-quick: ip link set mtu 20 up dev wg0: mtu less than device minimum\n"}},
		"a PreUp hook": {"PreUp = exit 7", "10.50.0.0/16", result{status: 7,
			err: "[#] ip link add dev wg0 type wireguard\n[#] exit 7\n" + deleted + "DIR/wg0.conf:3:9: PreUp: exit status 7\n"}},
		"a PostUp hook": {ordinary + "\nPostUp = true\nPostUp = echo said; kill -9 $$", "10.50.0.0/16", result{status: 137, out: "said\n",
			err: upLines + "[#] true\n[#] echo said; kill -9 $$\n" + deleted + "DIR/wg0.conf:6:10: PostUp: signal: killed\n"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			isolated(t, func(s *site) {
				if name == "an MTU that is too small" && hasKernelDevice() {
					t.Skip("to the kernel's device none is")
				}
				before := s.state()
				got := s.wgQuick("up", s.file("wg0", tt.own, tt.allowed))
				if name == "an address twice" { // kernels differ in their words
					got.err, _, _ = strings.Cut(got.err, deleted)
					got.err += deleted
				}
				s.expect(got, tt.want)
				s.same(before)
			})
		})
	}
}

// heedSignals makes the commands of a test heed signals: one that is ignored
// here, as in background jobs, would be ignored there too.
func heedSignals(t *testing.T) {
	ours := make(chan os.Signal, 1)
	signal.Notify(ours, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	t.Cleanup(func() { signal.Stop(ours) })
}

// Signals end up wherever it is, here in a hook, and nothing stays.
func TestUpInterrupted(t *testing.T) {
	heedSignals(t)
	for _, key := range []string{"PreUp", "PostUp"} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
			t.Run(fmt.Sprintf("%s %v", key, sig), func(t *testing.T) {
				isolated(t, func(s *site) {
					before := s.state()
					started := filepath.Join(s.dir, "started")
					if err := syscall.Mkfifo(started, 0o600); err != nil {
						t.Fatal(err)
					}
					path := s.file("wg0", ordinary+"\n"+key+" = echo > "+started+"; exec sleep 1000", "10.50.0.0/16")
					var errs bytes.Buffer
					c := s.command("up", path)
					c.Stderr = &errs
					if err := c.Start(); err != nil {
						t.Fatal(err)
					}
					if _, err := os.ReadFile(started); err != nil { // until the hook is there
						t.Fatal(err)
					}
					if err := c.Process.Signal(sig); err != nil {
						t.Fatal(err)
					}
					if err := c.Wait(); c.ProcessState.ExitCode() != 1 {
						t.Errorf("ended with %v, want exit status 1", err)
					}
					want := fmt.Sprintf("[#] ip link delete dev wg0\n%s:5:%d: %s: %v signal received\n", path, len(key)+4, key, sig)
					if !strings.HasSuffix(errs.String(), want) {
						t.Errorf("printed:\n%s\nwant at its end:\n%s", errs.String(), want)
					}
					s.same(before)
				})
			})
		}
	}
}

// A reader that goes away, as head(1) does, doesn't stop up halfway.
func TestUpWithoutReader(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("wg0", ordinary, "10.50.0.0/16")
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		c := s.command("up", path)
		c.Stderr = w
		err = c.Run()
		w.Close()
		if err != nil {
			t.Errorf("up: %v", err)
		}
		if got := s.ip("-4 route show dev wg0"); !strings.Contains(got, "10.50.0.0/16") {
			t.Errorf("routes: %s", got)
		}
		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
		s.same(before)
	})
}

// Two at once: one wins, and the other leaves the winner's alone.
func TestTwoAtOnce(t *testing.T) {
	isolated(t, func(s *site) {
		before := s.state()
		path := s.file("wg0", ordinary, "10.50.0.0/16")
		var both [2]*exec.Cmd
		var errs [2]bytes.Buffer
		for i := range both {
			both[i] = s.command("up", path)
			both[i].Stderr = &errs[i]
			if err := both[i].Start(); err != nil {
				t.Fatal(err)
			}
		}
		won := 0
		for i, c := range both {
			c.Wait()
			if c.ProcessState.ExitCode() == 0 {
				won++
			} else if !strings.Contains(errs[i].String(), "wg-quick: `wg0' already exists\n") &&
				!strings.Contains(errs[i].String(), "wg-quick: `wg0' is being brought up or taken down by another process\n") {
				t.Errorf("the loser printed:\n%s", errs[i].String())
			}
		}
		if won != 1 {
			t.Fatalf("%d of two won:\n%s\n%s", won, errs[0].String(), errs[1].String())
		}
		if got := s.ip("-4 route show dev wg0"); !strings.Contains(got, "10.50.0.0/16") {
			t.Errorf("routes: %s", got)
		}
		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
		s.same(before)
	})
}

// The hooks' surroundings.
func TestHooks(t *testing.T) {
	isolated(t, func(s *site) {
		s.env = []string{"LC_ALL=de_DE.UTF-8", "MINE=kept"}
		path := s.file("wg0", `Table = off
PreUp = echo "%i %%i $LC_ALL $MINE" # not a comment of ours
PreUp = x=1; cd /; shopt -q extglob && ip link show dev %i >/dev/null && echo extglob, link
PreUp = echo "${x-unset} $PWD $#"
PreUp = echo ${PATH%%:*}
PreUp = true | cat < <(echo bash)
PreUp = echo $PROGRAM $INTERFACE ${CONFIG_FILE##*/} ${ADDRESSES[1]-none} $TABLE ${#PRE_UP[@]}; declare -F cmd die
PostUp = cat
PostDown = false; echo unreached`, "10.50.0.0/16")
		self, err := exec.LookPath("wg-quick")
		if err != nil {
			t.Fatal(err)
		}
		if self, err = filepath.EvalSymlinks(self); err != nil {
			t.Fatal(err)
		}
		var out, errs bytes.Buffer
		c := s.command("up", path)
		c.Stdin = strings.NewReader("from standard input\n")
		c.Stdout, c.Stderr = &out, &errs
		if err := c.Run(); err != nil {
			t.Fatalf("up: %v\n%s", err, errs.String())
		}
		want := "wg0 %wg0 C kept\nextglob, link\nunset " + s.dir + " 6\n" + filepath.Dir(self) + "\nbash\nwg-quick wg0 wg0.conf none off 6\ncmd\ndie\nfrom standard input\n"
		if out.String() != want {
			t.Errorf("hooks printed:\n%s\nwant:\n%s", out.String(), want)
		}
		if want := "[#] echo \"wg0 %wg0 $LC_ALL $MINE\" # not a comment of ours\n"; !strings.Contains(errs.String(), want) {
			t.Errorf("stderr:\n%s\nhas no %q", errs.String(), want)
		}
		got := s.wgQuick("down", path)
		s.expect(got, result{status: 1, err: "[#] ip link delete dev wg0\n[#] false; echo unreached\nDIR/wg0.conf:11:12: PostDown: exit status 1\n"})
	})
}

// Where there is no bash, sh does, and says so.
func TestHooksWithoutBash(t *testing.T) {
	isolated(t, func(s *site) {
		bin := filepath.Join(s.dir, "bin")
		if err := os.Mkdir(bin, 0o700); err != nil {
			t.Fatal(err)
		}
		sh, err := exec.LookPath("sh")
		if err != nil {
			t.Skip("sh isn't installed")
		}
		if err := os.Symlink(sh, filepath.Join(bin, "sh")); err != nil {
			t.Fatal(err)
		}
		s.env = []string{"PATH=" + bin}
		path := s.file("wg0", "PreUp = echo one\nPreUp = echo two; exit 3", "10.50.0.0/16")
		s.expect(s.wgQuick("up", path), result{status: 3, out: "one\ntwo\n", err: `[#] ip link add dev wg0 type wireguard
[#] echo one
[!] bash is not installed. Hooks are run by sh, which does not know all of its syntax.
[#] echo two; exit 3
[#] ip link delete dev wg0
DIR/wg0.conf:4:9: PreUp: exit status 3
`})
	})
}

// The device outlives a hang-up of the terminal that up was started from.
func TestDeviceSurvivesTerminal(t *testing.T) {
	isolated(t, func(s *site) {
		path := s.file("wg0", ordinary, "10.50.0.0/16")
		c := s.command("up", path)
		c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		if err := c.Run(); err != nil {
			t.Fatal(err)
		}
		// All that is left of the group, which may be nothing.
		if err := syscall.Kill(-c.Process.Pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
		if _, _, err := netlinkwg.ReadAll(t.Context(), netlinkwg.New(), "wg0"); err != nil {
			t.Errorf("the device is gone: %v", err)
		}
		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
	})
}

// hasKernelDevice reports whether the kernel has WireGuard, which then is used.
func hasKernelDevice() bool {
	err := exec.Command("ip", "link", "add", "dev", "wgprobe0", "type", "wireguard").Run()
	if err == nil {
		exec.Command("ip", "link", "delete", "dev", "wgprobe0").Run()
	}
	return err == nil
}

func TestUserspaceImplementation(t *testing.T) {
	isolated(t, func(s *site) {
		if hasKernelDevice() {
			t.Skip("the kernel has WireGuard: no other implementation is asked for")
		}
		before := s.state()
		path := s.file("wg0", "Address = 10.7.0.2/24", "10.50.0.0/16")
		const begin = "[#] ip link add dev wg0 type wireguard\n[!] Missing WireGuard kernel module. Falling back to slow userspace implementation.\n"

		s.env = []string{"WG_QUICK_USERSPACE_IMPLEMENTATION=no-such-program"}
		s.expect(s.wgQuick("up", path), result{status: 1, err: begin + `[#] no-such-program wg0
wg-quick: no-such-program wg0: exec: "no-such-program": executable file not found in $PATH
` + "hint: WG_QUICK_USERSPACE_IMPLEMENTATION is `no-such-program'; without it the userspace device that is built in is used\n"})
		s.same(before)

		if _, err := exec.LookPath("wireguard-go"); err != nil {
			t.Skip("wireguard-go isn't installed")
		}
		s.env = []string{"WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go"}
		got := s.wgQuick("up", path)
		if !strings.HasPrefix(got.err, begin+"[#] wireguard-go wg0\n") || got.status != 0 {
			t.Errorf("up: %+v", got)
		}
		s.expect(s.wgQuick("down", path), result{err: "[#] ip link delete dev wg0\n"})
		s.same(before)
	})
}

func TestWithoutTUN(t *testing.T) {
	isolated(t, func(s *site) {
		if hasKernelDevice() {
			t.Skip("the kernel has WireGuard: no TUN link is asked for")
		}
		if err := syscall.Mount("none", "/dev/net", "tmpfs", 0, ""); err != nil {
			t.Skip(err)
		}
		before := s.state()
		s.expect(s.wgQuick("up", s.file("wg0", ordinary, "10.50.0.0/16")), result{status: 1, err: "[#] ip link add dev wg0 type wireguard\n" +
			"wg-quick: wg-quick-userspace wg0: /dev/net/tun: no such file or directory\n" +
			"hint: `modprobe tun'; in a container: docker run --cap-add NET_ADMIN --device /dev/net/tun\n"})
		s.same(before)
	})
}

// A device in another namespace has the name, and the socket is shared.
func TestForeignSocket(t *testing.T) {
	isolated(t, func(s *site) {
		if hasKernelDevice() {
			t.Skip("the kernel has WireGuard: no socket is made")
		}
		if err := os.MkdirAll("/run/wireguard", 0o755); err != nil {
			t.Fatal(err)
		}
		l, err := net.Listen("unix", "/var/run/wireguard/wg0.sock")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		before := s.state()
		s.expect(s.wgQuick("up", s.file("wg0", ordinary, "10.50.0.0/16")), result{status: 1, err: "[#] ip link add dev wg0 type wireguard\n" +
			"wg-quick: wg-quick-userspace wg0: socket /var/run/wireguard/wg0.sock: another program serves it: file already exists\n" +
			"hint: a device of this name is up in another network namespace that shares /var/run/wireguard: take another name\n"})
		s.same(before)
	})
}

// Many routes are one batch, and all go with the link.
func TestManyRoutes(t *testing.T) {
	isolated(t, func(s *site) {
		var allowed []string
		for i := range 1000 {
			allowed = append(allowed, fmt.Sprintf("10.%d.%d.0/24", 100+i/256, i%256))
		}
		path := s.file("wg0", "Address = 10.7.0.2/24", strings.Join(allowed, ", "))
		got := s.wgQuick("up", path)
		if n := strings.Count(got.err, "[#] ip -4 route add "); n != 1000 || got.status != 0 {
			t.Errorf("exit status %d and %d lines for routes, want 0 and 1000", got.status, n)
		}
		if n := strings.Count(s.ip("-4 route show dev wg0"), "scope link"); n != 1001 {
			t.Errorf("%d routes, want 1000 and the address's", n)
		}
		s.wgQuick("down", path)

		// One of them is there already, late in the batch.
		s.ip("route add 10.100.0.0/24 dev uplink")
		before := s.state()
		got = s.wgQuick("up", path)
		if want := "wg-quick: ip -4 route add 10.100.0.0/24 dev wg0: file exists\n"; !strings.Contains(got.err, want) || got.status != 1 {
			t.Errorf("exit status %d, no %q", got.status, want)
		}
		s.same(before)
	})
}

// No secret is in what wg-quick prints, whatever fails.
func TestNoSecrets(t *testing.T) {
	isolated(t, func(s *site) {
		const private, preshared = "oLJkWM8YxZQ1lGFYTKYjVXHr5YvswmjzurWpjx5/RFc=", "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
		for _, own := range []string{ordinary, "Address = x", "PostUp = exit 1", "ListenPort = x", "MTU = 20", private, "PresharedKey = " + private} {
			path := s.file("wg0", own, "10.50.0.0/16\nPresharedKey = "+preshared)
			c := s.command("up", path)
			out, err := c.CombinedOutput()
			if err != nil && c.ProcessState == nil {
				t.Fatal(err)
			}
			for _, secret := range []string{private[:40], preshared[:40]} {
				if bytes.Contains(out, []byte(secret)) {
					t.Errorf("with %q a key is in:\n%s", own, out)
				}
			}
			s.wgQuick("down", path)
		}
	})
}
