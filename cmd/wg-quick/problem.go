// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"syscall"

	"wgtools/internal/cli"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/rtnl"
	"wgtools/internal/userspace"
)

// A problem is an error in the words that are printed.
type problem struct {
	line   string // the original's; "" if it prints nothing
	cause  error
	advice []string
}

func (p *problem) Error() string {
	if p.line == "" && len(p.advice) > 0 {
		return p.advice[0]
	}
	return p.line
}

func (p *problem) Unwrap() error { return p.cause }

// Original implements [cli.Problem].
func (p *problem) Original() []string {
	if p.line == "" {
		return nil
	}
	return []string{p.line}
}

// Advice implements [cli.Problem].
func (p *problem) Advice() []string { return p.advice }

// report prints err and returns the exit status: a failed hook's own, else 1.
func (a *app) report(err error) int {
	if err == nil {
		return 0
	}
	if told, ok := err.(status); ok {
		return int(told)
	}
	for _, e := range parts(err) {
		cli.Report(a.Err, a.explain(e))
	}
	if e, ok := errors.AsType[*notRoot](err); ok {
		return e.status
	}
	failed, isStep := errors.AsType[*plan.Error](err)
	if status, ok := errors.AsType[*exec.ExitError](err); isStep && ok {
		if _, ok := failed.Op.(plan.Hook); ok {
			return exitStatus(status)
		}
	}
	return 1
}

// parts takes apart what was joined: a failure and those of its clean-up.
func parts(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var list []error
	for _, e := range joined.Unwrap() {
		list = append(list, parts(e)...)
	}
	return list
}

// exitStatus is that of a shell that waited for the process.
func exitStatus(e *exec.ExitError) int {
	if w, ok := e.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return 128 + int(w.Signal())
	}
	return e.ExitCode()
}

// explain returns err in the words that are printed.
func (a *app) explain(err error) error {
	if failed, ok := errors.AsType[*plan.Error](err); ok {
		return a.explainStep(err, failed)
	}
	if refusal, ok := errors.AsType[*quick.Refusal](err); ok {
		p := &problem{line: a.prog + ": " + refusal.Text, cause: err}
		if refusal.Hint != "" {
			p.advice = []string{"hint: " + refusal.Hint}
		}
		return p
	}
	var told cli.Problem
	if errors.As(err, &told) {
		return told
	}
	return &problem{line: fmt.Sprintf("%s: %v", a.prog, err), cause: err}
}

// explainStep returns the failure of a step: what the program that the
// original calls would print, the step, and what to do about it.
func (a *app) explainStep(err error, failed *plan.Error) error {
	p := &problem{cause: err, advice: []string{fmt.Sprintf("%s: %v", a.prog, err)}}
	switch op := failed.Op.(type) {
	case plan.Hook:
		p.advice = []string{fmt.Sprintf("%s: %v", op.Origin, failed.Err)}
		return p
	case plan.Configure:
		p.line = "Unable to modify interface: " + cli.Strerror(failed.Err)
		if errors.Is(failed.Err, syscall.EADDRINUSE) {
			p.hint("another program uses the ListenPort; `ss -ulpn' shows which")
		}
		return p
	case plan.SaveConfig:
		if saving, ok := errors.AsType[*saveError](failed.Err); ok {
			p.line, p.advice = a.prog+": "+saving.step, []string{fmt.Sprintf("%s: %v; the old one is as it was", op.Path, saving.err)}
		}
		return p
	case plan.SetSysctl, plan.SetFirewall, plan.SetKillSwitch, plan.SetMasquerade, plan.SetDNS, plan.UnsetDNS:
		var told interface{ Advice() []string }
		if errors.As(failed.Err, &told) {
			p.advice = append(p.advice, told.Advice()...)
		}
		return p
	case plan.StartDevice:
		if tun, ok := errors.AsType[*userspace.TUNError](failed.Err); ok {
			p.advice = append(p.advice, tun.Advice()...)
		}
		if op.Program == "" && errors.Is(failed.Err, fs.ErrExist) {
			p.hint("a device of this name is up in another network namespace that shares /var/run/wireguard: take another name")
		}
		if errors.Is(failed.Err, exec.ErrNotFound) {
			p.hint(fmt.Sprintf("WG_QUICK_USERSPACE_IMPLEMENTATION is `%s'; without it the userspace device that is built in is used", op.Program))
		}
		return p
	}
	if kernel, ok := errors.AsType[*rtnl.Error](failed.Err); ok {
		p.line = kernelLine(kernel)
	}
	switch _, isRoute := failed.Op.(plan.AddRoutes); {
	case isRoute && errors.Is(failed.Err, fs.ErrExist):
		dst := failed.Line[:max(strings.Index(failed.Line, " dev "), 0)]
		p.hint(fmt.Sprintf("there is such a route already: `%s' shows it", strings.Replace(dst, " add ", " show ", 1)))
	case errors.Is(failed.Err, syscall.EPERM):
		p.hint("this needs the capability CAP_NET_ADMIN in the network namespace")
	case strings.HasPrefix(failed.Line, "ip -6") && (errors.Is(failed.Err, syscall.EACCES) || errors.Is(failed.Err, syscall.EOPNOTSUPP)):
		p.hint("IPv6 is switched off here: `sysctl net.ipv6.conf.all.disable_ipv6'")
	}
	return p
}

func (p *problem) hint(text string) { p.advice = append(p.advice, "hint: "+text) }

// kernelLine is how ip(8) prints the kernel's refusal.
func kernelLine(e *rtnl.Error) string {
	if e.Message == "" {
		return "RTNETLINK answers: " + cli.Strerror(e)
	}
	return "Error: " + strings.TrimSuffix(e.Message, ".") + "."
}
