// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// namespaceVariable tells a process of this program what it is: "" for the
// one that the user started, [asInit] for the first one of a process
// namespace, else one that has namespaces of its own.
const (
	namespaceVariable = "WGTOOLS_BENCH_NAMESPACE"
	asInit            = "init"
)

// reexec runs the program again in mount and network namespaces of its own,
// where nothing else's devices are seen or touched. With processes too it is
// as a child of a first process, with which all others end.
func reexec(processes bool) int {
	runtime.LockOSThread() // the child ends with this thread
	cmd := again("1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET,
		Pdeathsig:    syscall.SIGKILL,
	}
	if processes {
		cmd.Env = append(cmd.Env, namespaceVariable+"="+asInit)
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	}
	err := cmd.Run()
	if cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, "bench: no namespaces of its own (needs root):", err)
		return 1
	}
	return cmd.ProcessState.ExitCode()
}

// again is this program with the same arguments.
func again(namespace string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), namespaceVariable+"="+namespace, "LC_ALL=C")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

// initMain is the first process of a process namespace: it waits for the
// processes that daemons leave to it, until the one that it started ends.
func initMain() int {
	if err := syscall.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		fmt.Fprintln(os.Stderr, "bench: mount /proc:", err)
		return 1
	}
	cmd := again("1")
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "bench: wait:", err)
			return 1
		case pid == cmd.Process.Pid && status.Exited():
			return status.ExitStatus()
		case pid == cmd.Process.Pid:
			return 1
		}
	}
}

// emptyRun covers /run, and /var/run if that is another directory.
func emptyRun() error {
	for _, dir := range []string{"/run", "/var/run"} {
		if real, err := filepath.EvalSymlinks(dir); err != nil || real != dir {
			continue
		}
		if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", dir, err)
		}
	}
	return os.MkdirAll("/var/run/wireguard", 0o755)
}

// stubResolvconf puts a resolvconf that does nothing first on PATH, and over
// the real one, which the original finds before it. An empty file covers
// resolv.conf, should a program want to write that one.
func stubResolvconf(dir string) error {
	bin := filepath.Join(dir, "bin")
	stub := filepath.Join(bin, "resolvconf")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(stub, []byte("#!/bin/sh\nexec cat >/dev/null\n"), 0o755); err != nil {
		return err
	}
	covers := map[string]string{"/etc/resolv.conf": filepath.Join(dir, "resolv.conf")}
	if err := os.WriteFile(covers["/etc/resolv.conf"], nil, 0o644); err != nil {
		return err
	}
	if path, err := exec.LookPath("resolvconf"); err == nil {
		covers[path] = stub
	}
	for path, with := range covers {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue // there is nothing to cover
		}
		if err := syscall.Mount(with, real, "", syscall.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount over %s: %w", real, err)
		}
	}
	return os.Setenv("PATH", bin+":"+os.Getenv("PATH"))
}

// isolated calls f in a new network namespace that has an uplink with default
// routes. What f starts is in it; what goroutines of f start is not.
func isolated(f func() error) error {
	errc := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			errc <- fmt.Errorf("unshare: %w", err)
			return
		}
		if err := uplink(); err != nil {
			errc <- err
			return
		}
		errc <- f()
	}()
	return <-errc
}

func uplink() error {
	for _, args := range []string{
		"link set lo up",
		"link add uplink type veth peer name beyond",
		"link set uplink up",
		"link set beyond up",
		"address add 192.0.2.2/24 dev uplink",
		"address add 2001:db8::2/64 dev uplink nodad",
		"-4 route add default via 192.0.2.1",
		"-6 route add default via 2001:db8::1",
	} {
		if err := ip(args); err != nil {
			return err
		}
	}
	return nil
}

// ip runs ip(8).
func ip(args string) error {
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w\n%s", args, err, out)
	}
	return nil
}

// server returns the process that serves the device dev, 0 if there is none:
// it is the one that has the device's name as its only argument.
func server(dev string) int {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		text, _ := os.ReadFile(path)
		if words := strings.Split(string(text), "\x00"); len(words) == 3 && words[1] == dev {
			var pid int
			fmt.Sscan(filepath.Base(filepath.Dir(path)), &pid)
			return pid
		}
	}
	return 0
}

// settle waits until nothing serves the device dev: its process ends a moment
// after the link, and takes the socket of its name with it.
func settle(dev string) error {
	for deadline := time.Now().Add(20 * time.Second); server(dev) != 0; time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("the device %s did not end within 20 seconds", dev)
		}
	}
	return nil
}

// serverPeak returns the greatest resident size of the device's process in KiB.
func serverPeak(dev string) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server(dev)))
	if err != nil {
		return 0, fmt.Errorf("the process of %s: %w", dev, err)
	}
	_, after, _ := strings.Cut(string(text), "\nVmHWM:")
	var kib int
	_, err = fmt.Sscan(after, &kib)
	return kib, err
}
