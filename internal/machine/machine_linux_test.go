// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package machine

import (
	"io/fs"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/fstest"
)

func TestFindModule(t *testing.T) {
	root := fstest.MapFS{
		"lib/modules/1/modules.dep": {Data: []byte("kernel/drivers/net/wireguard/wireguard.ko.xz: kernel/lib/x.ko.xz\n")},
		"lib/modules/2/modules.dep": {Data: []byte("kernel/drivers/net/wireguard/wireguard.ko: kernel/lib/x.ko\n")},
		"lib/modules/3/modules.dep": {Data: []byte("kernel/lib/x.ko: kernel/drivers/net/wireguard/wireguard.ko\nkernel/not-wireguard.ko:\n")},
		"lib/modules/4/x":           {},
	}
	for release, want := range map[string]Module{"1": ModuleThere, "2": ModuleThere, "3": ModuleAbsent, "4": ModuleUnseen, "5": ModuleUnseen} {
		if got := FindModule(root, release, "wireguard"); got != want {
			t.Errorf("release %s: %s, want %s", release, got, want)
		}
	}
}

// A real socket of this process is found, with its name.
func TestSocketsAt(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		c, err := net.ListenPacket("udp", address)
		if err != nil {
			t.Logf("%s: %v", address, err) // without IPv6
			continue
		}
		defer c.Close()
		at := c.LocalAddr().(*net.UDPAddr).AddrPort()
		list, err := SocketsAt(os.DirFS("/"), at.Port())
		if err != nil {
			t.Fatal(err)
		}
		comm, _ := os.ReadFile("/proc/self/comm")
		found := false
		for _, s := range list {
			found = found || s.Address == at.Addr() && s.PID == os.Getpid() && s.Process+"\n" == string(comm) && s.Port == at.Port()
		}
		if !found {
			t.Errorf("%v: %+v, want one of this process (%d)", at, list, os.Getpid())
		}
	}
}

// Sockets of the kernel have no process, and there may be no IPv6.
func TestKernelSocket(t *testing.T) {
	root := fstest.MapFS{"proc/thread-self/net/udp": {Data: []byte("  sl  local_address rem_address\n" +
		"  1: 00000000:CA6C 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 0 2 0000000000000000 0\n")}}
	list, err := SocketsAt(root, 51820)
	if err != nil || len(list) != 1 || list[0].PID != 0 || list[0].Address != netip.IPv4Unspecified() {
		t.Errorf("%+v, %v", list, err)
	}
	if list, err := SocketsAt(root, 51821); err != nil || len(list) != 0 {
		t.Errorf("at another port: %+v, %v", list, err)
	}
	if _, err := SocketsAt(fstest.MapFS{}, 1); err == nil {
		t.Error("without /proc there is no error")
	}
}

func TestRPFilters(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	got := RPFilters(fstest.MapFS{
		"proc/sys/net/ipv4/conf/all/rp_filter":   file("0\n"),
		"proc/sys/net/ipv4/conf/wg0.1/rp_filter": file("2\n"),
		"proc/sys/net/ipv4/conf/bad/rp_filter":   file("x\n"),
	})
	if len(got) != 2 || got["all"] != 0 || got["wg0.1"] != 2 {
		t.Errorf("%v", got)
	}
	if _, err := fs.Stat(os.DirFS("/"), "proc/sys/net/ipv4/conf/lo/rp_filter"); err == nil {
		if _, ok := RPFilters(os.DirFS("/"))["lo"]; !ok {
			t.Error("the real one of lo isn't read")
		}
	}
}

func FuzzParseSocket(f *testing.F) {
	f.Add("  1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 12345 2 0 0")
	f.Add("  1: 00000000000000000000000001000000:0035 0:0 07 0:0 00:0 0 0 0 12345")
	f.Add("1: x:y z 1 2 3 4 5 6 7")
	f.Fuzz(func(t *testing.T, line string) {
		if a, _, ok := parseSocket(line); ok && !a.IsValid() {
			t.Errorf("%q: %v", line, a)
		}
	})
}
