// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build unix

package netlinkwg

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wgtools/internal/device"
)

// A fakeKernel notes which devices it was asked for and has none of them.
type fakeKernel struct{ names, asked []string }

func (k *fakeKernel) List(context.Context) ([]string, error) { return k.names, nil }

func (k *fakeKernel) Read(_ context.Context, name string, _ Sink) error {
	k.asked = append(k.asked, "read "+name)
	return syscall.ENODEV
}

func (k *fakeKernel) Configure(_ context.Context, name string, _ *device.Change) error {
	k.asked = append(k.asked, "configure "+name)
	return syscall.ENODEV
}

func clientAt(kernel *fakeKernel, dirs ...string) *client {
	return &client{user: userspaceAt(dirs...), kernel: kernel}
}

// stale leaves a socket in dir that nobody listens on.
func stale(t *testing.T, dir, name string) string {
	t.Helper()
	path := socketPath(dir, name)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return path
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func TestReadChoosesUserspace(t *testing.T) {
	dir := socketDir(t)
	s := serve(t, dir, "wg0", answer("listen_port=7\nerrno=0\n\n"))
	kernel := &fakeKernel{}
	d, peers, err := ReadAll(t.Context(), clientAt(kernel, dir), "wg0")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := describe(d, peers), "wg0 port 7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"get=1\n\n"}; !slices.Equal(s.heard(), want) || kernel.asked != nil {
		t.Errorf("the device heard %q, the kernel %q; want %q, nothing", s.heard(), kernel.asked, want)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connections != 2 {
		t.Errorf("%d connections, want 2: a trial and the request", s.connections)
	}
}

func TestFallsThroughToKernel(t *testing.T) {
	tests := map[string]func(t *testing.T, dir string){
		"no socket":    func(*testing.T, string) {},
		"no directory": func(t *testing.T, dir string) { os.Remove(dir) },
		"stale socket": func(t *testing.T, dir string) { stale(t, dir, "wg0") },
		"regular file": func(t *testing.T, dir string) { os.WriteFile(socketPath(dir, "wg0"), nil, 0o600) },
		"directory":    func(t *testing.T, dir string) { os.Mkdir(socketPath(dir, "wg0"), 0o700) },
		"dead link":    func(t *testing.T, dir string) { os.Symlink("nowhere", socketPath(dir, "wg0")) },
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			dir := socketDir(t)
			prepare(t, dir)
			kernel := &fakeKernel{}
			c := clientAt(kernel, dir)
			if err := c.Read(t.Context(), "wg0", &collector{}); err != syscall.ENODEV {
				t.Errorf("Read: %v, want %v", err, syscall.ENODEV)
			}
			if err := c.Configure(t.Context(), "wg0", &device.Change{}); err != syscall.ENODEV {
				t.Errorf("Configure: %v, want %v", err, syscall.ENODEV)
			}
			if want := []string{"read wg0", "configure wg0"}; !slices.Equal(kernel.asked, want) {
				t.Errorf("the kernel was asked %q, want %q", kernel.asked, want)
			}
		})
	}
}

// A socket behind a link is one; so are two directories' sockets.
func TestFindSocket(t *testing.T) {
	first, second := socketDir(t), socketDir(t)
	serve(t, second, "other", answer("errno=0\n\n"))
	if err := os.Symlink(socketPath(second, "other"), socketPath(first, "wg0")); err != nil {
		t.Fatal(err)
	}
	u := userspaceAt(first, second)
	for name, want := range map[string]string{
		"wg0": socketPath(first, "wg0"), "other": socketPath(second, "other"), "wg1": "",
		"../" + filepath.Base(second) + "/other": "", // no way out of the directory
	} {
		if got := u.find(name); got != want {
			t.Errorf("find(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestRemovesStaleSocketOnly(t *testing.T) {
	dir := socketDir(t)
	old := stale(t, dir, "old")
	file := socketPath(dir, "file")
	os.WriteFile(file, nil, 0o600)
	serve(t, dir, "wg0", answer("errno=0\n\n"))
	names, err := clientAt(&fakeKernel{}, dir).List(t.Context())
	if want := []string{"wg0"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("List = %q, %v; want %q", names, err, want)
	}
	if exists(old) || !exists(file) || !exists(socketPath(dir, "wg0")) {
		t.Errorf("stale socket there: %t, file: %t, socket: %t; want false, true, true", exists(old), exists(file), exists(socketPath(dir, "wg0")))
	}
}

func TestList(t *testing.T) {
	dir, other := socketDir(t), socketDir(t)
	for _, name := range []string{"b", "a", "c"} {
		serve(t, dir, name, answer(""))
	}
	serve(t, other, "d", answer(""))
	os.WriteFile(filepath.Join(dir, "a.name"), nil, 0o600)
	os.WriteFile(socketPath(dir, ""), nil, 0o600)
	same := filepath.Join(other, "link")
	if err := os.Symlink(dir, same); err != nil {
		t.Fatal(err)
	}
	c := clientAt(&fakeKernel{names: []string{"wg1", "a"}}, dir, same, other, filepath.Join(other, "missing"))
	got, err := c.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 6 || !slices.Equal(got[:2], []string{"wg1", "a"}) || got[5] != "d" {
		t.Errorf("List = %q; want the kernel's wg1 and a, then a, b and c in any order, then d", got)
	}
	slices.Sort(got[2:])
	if want := []string{"a", "b", "c", "d"}; !slices.Equal(got[2:], want) {
		t.Errorf("userspace devices %q, want %q", got[2:], want)
	}
}

func TestListUnreadableDirectory(t *testing.T) {
	file := filepath.Join(socketDir(t), "wireguard")
	os.WriteFile(file, nil, 0o600)
	names, err := clientAt(&fakeKernel{names: []string{"wg0"}}, file).List(t.Context())
	if !errors.Is(err, syscall.ENOTDIR) || names != nil {
		t.Errorf("List = %q, %v; want nothing, %v", names, err, syscall.ENOTDIR)
	}
}

// The name that a socket serves under may be longer than a link's; it is cut
// where the device is told, and before a device is configured.
func TestLongNames(t *testing.T) {
	dir := socketDir(t)
	const long, cut = "sixteen-letters-", "sixteen-letters"
	get := serve(t, dir, long, answer("errno=0\n\n"))
	set := serve(t, dir, cut, answer("errno=0\n\n"))
	kernel := &fakeKernel{}
	c := clientAt(kernel, dir)
	d, _, err := ReadAll(t.Context(), c, long)
	if err != nil || d.Name != cut || len(get.heard()) != 1 {
		t.Errorf("read %q as %q, %v; want %q", long, d.Name, err, cut)
	}
	if err := c.Configure(t.Context(), long, &device.Change{}); err != nil || len(set.heard()) != 1 {
		t.Errorf("Configure(%q): %v, %s heard %q; want one request", long, err, cut, set.heard())
	}
	// Nothing that doesn't fit into a socket's address is tried.
	unfit := strings.Repeat("x", 108)
	if err := os.Symlink(socketPath(dir, cut), socketPath(dir, unfit)); err != nil {
		t.Fatal(err)
	}
	if err := c.Read(t.Context(), unfit, &collector{}); err != syscall.ENODEV {
		t.Errorf("Read(108 bytes) = %v, want the kernel's %v", err, syscall.ENODEV)
	}
	if want := []string{"read " + unfit}; !slices.Equal(kernel.asked, want) {
		t.Errorf("the kernel was asked %q, want %q", kernel.asked, want)
	}
}

// The directories are the original's, so that a name may have 83 bytes.
func TestNewDirectories(t *testing.T) {
	want := []string{"/var/run/wireguard", "/run/wireguard"}
	if got := newUserspace().dirs; !slices.Equal(got, want) {
		t.Errorf("directories %q, want %q", got, want)
	}
}

// A device that has as many waiting as its queue takes is waited for.
func TestBusyDevice(t *testing.T) {
	dir := socketDir(t)
	path := socketPath(dir, "wg0")
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	var waiting []net.Conn
	defer func() {
		for _, c := range waiting {
			c.Close()
		}
	}()
	for {
		c, err := dial(path)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil || len(waiting) > 1000 {
			t.Skipf("a queue is never full here: %v", err)
		}
		waiting = append(waiting, c)
	}
	u := userspaceAt(dir)
	if !usable(path) {
		t.Fatal("a busy device counts as none")
	}
	u.silence = 30 * time.Millisecond
	isSilence(t, u.read(t.Context(), path, "wg0", &collector{}), u.silence)

	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if hear(c) != "" {
				c.Write([]byte("errno=0\n\n"))
			}
			c.Close()
		}
	}()
	for _, c := range waiting {
		c.Close()
	}
	u.silence = time.Minute
	if err := u.read(t.Context(), path, "wg0", &collector{}); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}
