// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package machine reads what a machine is beside its network: its kernel and
// that one's modules, who has a UDP port, whether the clock is kept, which of
// the kernel's parameters are set. root is "/", as [os.DirFS] has it.
package machine

import (
	"bufio"
	"encoding/binary"
	"io/fs"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Release returns the kernel's release, such as "6.12.0-amd64".
func Release() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}

// A Module says what there is of a module for the kernel.
type Module string

// What there may be of it.
const (
	ModuleUnseen Module = "unseen" // there are no modules of this kernel, as in a container
	ModuleThere  Module = "there"
	ModuleAbsent Module = "absent"
)

// FindModule looks for the module of that name, for a kernel's release.
func FindModule(root fs.FS, release, name string) Module {
	dir := path.Join("lib/modules", release)
	text, err := fs.ReadFile(root, path.Join(dir, "modules.dep"))
	if err != nil {
		return ModuleUnseen
	}
	for line := range strings.Lines(string(text)) {
		file, _, _ := strings.Cut(line, ":")
		if base := path.Base(file); base == name+".ko" || strings.HasPrefix(base, name+".ko.") { // compressed
			return ModuleThere
		}
	}
	return ModuleAbsent
}

// ClockKept reports whether a time service keeps the clock, as far as the
// kernel knows.
func ClockKept() bool {
	var t unix.Timex // asks only
	_, err := unix.Adjtimex(&t)
	return err == nil && t.Status&unix.STA_UNSYNC == 0
}

// RPFilters returns the kernel's reverse path filter of each link, and of "all".
func RPFilters(root fs.FS) map[string]int {
	filters := map[string]int{}
	const dir = "proc/sys/net/ipv4/conf"
	links, _ := fs.ReadDir(root, dir)
	for _, l := range links {
		text, err := fs.ReadFile(root, path.Join(dir, l.Name(), "rp_filter"))
		if n, bad := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && bad == nil {
			filters[l.Name()] = n
		}
	}
	return filters
}

// A Socket is one that is bound to a UDP port.
type Socket struct {
	Port    uint16
	Address netip.Addr
	Process string // its name; "": the kernel's own, or of a process that can't be seen
	PID     int    // 0: likewise
}

// SocketsAt returns the sockets that are bound to a UDP port in this network
// namespace.
func SocketsAt(root fs.FS, port uint16) (list []Socket, err error) {
	inodes := map[uint64]int{}
	for _, name := range []string{"proc/thread-self/net/udp", "proc/thread-self/net/udp6"} {
		f, err := root.Open(name)
		if err != nil {
			if name == "proc/thread-self/net/udp" {
				return nil, err
			}
			continue // a kernel without IPv6
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			if a, inode, ok := parseSocket(s.Text()); ok && a.Port() == port {
				inodes[inode] = len(list)
				list = append(list, Socket{Port: port, Address: a.Addr()})
			}
		}
		f.Close()
		if s.Err() != nil {
			return nil, s.Err()
		}
	}
	delete(inodes, 0) // the kernel's
	if len(inodes) > 0 {
		findOwners(root, func(inode uint64, pid int, process string) {
			if i, ok := inodes[inode]; ok && list[i].PID == 0 {
				list[i].PID, list[i].Process = pid, process
			}
		})
	}
	return list, nil
}

// parseSocket reads a line of /proc/net/udp:
//
//	sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
//	1: 0100007F:0035 00000000:0000 07 00000000:00000000 00:00000000 00000000 0 0 12345 …
func parseSocket(line string) (local netip.AddrPort, inode uint64, ok bool) {
	const addressField, inodeField = 1, 9
	f := strings.Fields(line)
	if len(f) <= inodeField {
		return local, 0, false
	}
	address, portText, _ := strings.Cut(f[addressField], ":")
	port, err := strconv.ParseUint(portText, 16, 16)
	inode, err2 := strconv.ParseUint(f[inodeField], 10, 64)
	if err != nil || err2 != nil || len(address) != 8 && len(address) != 32 {
		return local, 0, false
	}
	var b []byte // words of the machine's order
	for i := 0; i < len(address); i += 8 {
		word, err := strconv.ParseUint(address[i:i+8], 16, 32)
		if err != nil {
			return local, 0, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(word))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), inode, true
}

// findOwners tells of the sockets of all processes that can be seen.
func findOwners(root fs.FS, tell func(inode uint64, pid int, process string)) {
	processes, _ := fs.ReadDir(root, "proc")
	for _, p := range processes {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := path.Join("proc", p.Name(), "fd")
		files, _ := fs.ReadDir(root, dir)
		for _, f := range files {
			target, err := fs.ReadLink(root, path.Join(dir, f.Name()))
			number, is := strings.CutPrefix(target, "socket:[")
			if err != nil || !is {
				continue
			}
			if inode, err := strconv.ParseUint(strings.TrimSuffix(number, "]"), 10, 64); err == nil {
				name, _ := fs.ReadFile(root, path.Join("proc", p.Name(), "comm"))
				tell(inode, pid, strings.TrimSpace(string(name)))
			}
		}
	}
}
