// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"wgtools/internal/netns"
	"wgtools/internal/quick"
	"wgtools/internal/rtnl"
)

// exec runs a command that can only use the tunnel: in the network namespace
// that the tunnel is in or, if it isn't up, in a new one, where the tunnel is for
// as long as the command runs.
func (a *app) exec(ctx context.Context, args []string) error {
	if len(args) > 1 && args[1] == "--" {
		args = slices.Delete(slices.Clone(args), 1, 2)
	}
	if len(args) < 2 {
		return errUsage
	}
	if err := a.needRoot(); err != nil {
		return err
	}
	dev := cmp.Or(deviceOf(args[0]), args[0])
	if a.home == nil {
		where, err := namespacesOf(dev)
		if err != nil {
			return err
		}
		if len(where) > 1 {
			return &quick.Refusal{
				Text: fmt.Sprintf("`%s' is in several network namespaces: %s", dev, strings.Join(where, ", ")),
				Hint: fmt.Sprintf("say in which one to run the command: `%s --netns %s exec %s ...'", a.prog, where[0], dev),
			}
		}
		if len(where) == 1 {
			if err := a.enter(where[0]); err != nil {
				return err
			}
		}
	}
	if a.home != nil {
		// Without its tunnel a namespace may lead anywhere.
		if err := a.session(ctx, func(s *quick.Session) error { return s.RequireDevice(ctx, dev) }); err != nil {
			return err
		}
		return a.become(a.home.etc, args[1:])
	}
	if _, err := net.InterfaceByName(dev); err == nil {
		return &quick.Refusal{
			Text: fmt.Sprintf("`%s' is in this network namespace, where the command could use other links too", dev),
			Hint: fmt.Sprintf("take it down, and `%s exec' brings it up for the command; or `%[1]s --netns NAME up %s'", a.prog, dev),
		}
	}
	return a.execInNew(ctx, args[0], args[1:])
}

// namespacesOf returns the names of the network namespaces that tunnels called
// dev are in, by their records. Namespaces without a name don't count.
func namespacesOf(dev string) (names []string, err error) {
	records, err := filepath.Glob(filepath.Join(runDir, dev+"@*.json"))
	if err != nil {
		return nil, err
	}
	for _, path := range records {
		number := strings.TrimSuffix(filepath.Base(path)[len(dev)+1:], ".json")
		inode, err := strconv.ParseUint(number, 10, 64)
		if err != nil {
			continue
		}
		if name := netns.NameOf(inode); name != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// become makes this process the command, in the namespace that it is in, with
// what is in the directory etc instead of in /etc. It only returns if that fails.
func (a *app) become(etc string, command []string) error {
	if err := netns.MountEtc(etc); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return a.notFound(err)
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, command, os.Environ()))
}

// notFound reports that there is no such command, as a shell does.
func (a *app) notFound(err error) error {
	a.report(err)
	return status(127)
}

// execInNew brings the tunnel up in a new network namespace, where nothing else
// is, and takes it down when the command has ended.
func (a *app) execInNew(ctx context.Context, arg string, command []string) error {
	if _, err := exec.LookPath(command[0]); err != nil {
		return a.notFound(err)
	}
	birth, err := netns.Current()
	if err != nil {
		return err
	}
	defer birth.Close()
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return err
	}
	etc, err := os.MkdirTemp(runDir, "exec-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(etc)
	// Without name servers of its own it has none.
	if err := errors.Join(os.Chmod(etc, 0o755), os.WriteFile(filepath.Join(etc, "resolv.conf"), nil, 0o644)); err != nil {
		return err
	}
	if err := netns.EnterNew(); err != nil {
		return err
	}
	if err := loopbackUp(ctx); err != nil {
		return err
	}
	a.home = &home{birth: birth, etc: etc, mortal: true}
	up, err := a.up(ctx, arg)
	if err != nil {
		return err
	}
	down, err := a.down(ctx, arg)
	if err != nil {
		return err
	}
	if err := a.carryOut(ctx, up); err != nil {
		return err
	}
	ended := a.runIn(ctx, etc, command)
	if err := a.carryOut(context.WithoutCancel(ctx), down); err != nil {
		return err
	}
	return ended
}

func loopbackUp(ctx context.Context) error {
	k, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer k.Close()
	return k.SetLink(ctx, "lo", 65536, true)
}

// execName is argv[0] of the process that becomes a command; its arguments are
// the directory of what is in /etc, and the command.
const execName = "wg-quick-exec"

func isExec(args []string) bool { return len(args) > 2 && args[0] == execName }

// execMain is the main function of that process. It is alone in it: no other
// goroutine was started.
func execMain(args []string) int {
	err := netns.MountEtc(args[1])
	path := ""
	if err == nil {
		path, err = exec.LookPath(args[2])
	}
	if err == nil {
		err = syscall.Exec(path, args[2:], os.Environ())
	}
	fmt.Fprintf(os.Stderr, "%s: %v\n", execName, err)
	return 126
}

// runIn runs a command in the namespace of the goroutine. What ends wg-quick is
// passed on to it; Ctrl-C it gets from the terminal. The error is its status.
func (a *app) runIn(ctx context.Context, etc string, command []string) error {
	c := exec.Command("/proc/self/exe", append([]string{etc}, command...)...)
	c.Args[0] = execName
	c.Stdin, c.Stdout, c.Stderr = a.In, a.Out, a.Err
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := c.Start(); err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case s := <-signals:
				_ = c.Process.Signal(s)
			case <-ended:
				return
			}
		}
	}()
	err := c.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return status(exitStatus(exit))
	}
	return err
}
