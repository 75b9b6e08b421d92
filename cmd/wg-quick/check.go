// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"wgtools/internal/check"
	"wgtools/internal/config"
	"wgtools/internal/resolve"
	"wgtools/internal/rtnl"
)

// checkOptions are the flags of check.
type checkOptions struct {
	strict  bool
	ignore  []string
	dialect string
}

// check returns the subcommand that finds what is wrong in files.
func (a *app) check() *cobra.Command {
	var o checkOptions
	c := a.subcommand("check CONFIG_FILE|INTERFACE...", "finds in files what breaks or surprises; runs nothing",
		func(ctx context.Context, args []string) error { return a.checkFiles(ctx, args, o) },
		asJSON, option(&o.strict, "strict", "exit status 2 if there are warnings"), tunnels(anyNumber, configured))
	c.Flags().StringSliceVar(&o.ignore, "ignore", nil, "leave out what has this `CODE`; several are separated by commas")
	c.Flags().StringVar(&o.dialect, "dialect", "wg-quick", "whose rules the files follow: wg-quick, or wg")
	values("ignore", ruleCodes()...)(a, c)
	values("dialect", "wg-quick", "wg")(a, c)
	return c
}

// The exit statuses of check, beside 0.
const (
	checkErrors   status = 1
	checkWarnings status = 2
)

func (a *app) checkFiles(ctx context.Context, args []string, o checkOptions) error {
	dialect, known := map[string]config.Dialect{"wg": config.WG, "wg-quick": config.Quick}[o.dialect]
	if !known {
		return &problem{line: fmt.Sprintf("%s: there is no dialect `%s'", a.prog, o.dialect), advice: []string{"hint: there are wg-quick and wg"}}
	}
	for _, code := range o.ignore {
		if !check.Known(code) {
			return &problem{line: fmt.Sprintf("%s: nothing has the code `%s'", a.prog, code), advice: []string{"hint: it is what stands in brackets behind a finding"}}
		}
	}
	if len(args) == 0 {
		return errUsage
	}
	surroundings, err := lookAround(ctx)
	if err != nil { // as in a sandbox: the files are there all the same
		a.say(fmt.Sprintf("[!] What is said depends less on this host than it could: %v", err))
	}
	files, found := []string{}, []check.Finding{}
	for _, arg := range args {
		name, list, err := a.checkFile(ctx, arg, dialect, surroundings)
		if err != nil {
			return err
		}
		files, found = append(files, name), append(found, list...)
	}
	found = slices.DeleteFunc(found, func(f check.Finding) bool { return slices.Contains(o.ignore, f.Code) })
	if a.json {
		err = check.WriteJSON(a.Out, files, found)
	} else {
		err = check.WriteText(a.Out, found)
	}
	switch {
	case err != nil:
		return err
	case check.Count(found, check.Error) > 0:
		return checkErrors
	case o.strict && check.Count(found, check.Warning) > 0:
		return checkWarnings
	}
	return nil
}

// checkFile returns what is wrong with the file that arg means, and what it is
// called.
func (a *app) checkFile(ctx context.Context, arg string, dialect config.Dialect, s surroundings) (name string, list []check.Finding, err error) {
	name = arg
	if bareName.MatchString(arg) {
		name = filepath.Join(configDir, arg+".conf")
	}
	text, err := readRegular(ctx, name)
	if ctx.Err() != nil {
		return "", nil, context.Cause(ctx)
	}
	if err != nil {
		return name, []check.Finding{check.Unreadable(name, err)}, nil
	}
	h := check.Host{
		Names: resolve.New(ctx, a.LookupEnv, a.Err), Tables: rtnl.TableNumber,
		Readers: readableByAll(name), PathMTU: s.mtu, Links: s.links,
	}
	if h.Writable, err = writableByAll(name); err != nil {
		return "", nil, err
	}
	sh := newShell(a)
	h.Syntax = func(hook string) string {
		mistake, failure := sh.mistake(ctx, hook)
		err = errors.Join(err, failure)
		return mistake
	}
	if m := fileName.FindStringSubmatch(name); m != nil {
		h.Interface = m[2]
		h.Sources = &sources{app: a, ctx: ctx, file: &file{dev: m[2], path: name, dropIns: name + ".d"}}
	} else if dialect == config.Quick {
		list = append(list, check.Unnamed(name))
	}
	h.Networks = slices.DeleteFunc(slices.Clone(s.networks), func(n check.Network) bool { return n.Link == h.Interface })
	h.IPv6 = slices.ContainsFunc(s.ipv6Uplinks, func(link string) bool { return link != h.Interface })
	h.NAT = behindNAT(h.Networks)
	h.Others = a.otherPorts(ctx, name)
	list = append(list, check.File(name, text, dialect, h)...)
	return name, list, err
}

// readRegular reads a file, or what comes through a pipe.
func readRegular(ctx context.Context, path string) ([]byte, error) {
	st, err := os.Stat(path)
	if err == nil && st.Mode()&(fs.ModeDir|fs.ModeDevice) != 0 { // one may have no end
		err = errors.New("it is no file")
	}
	var text []byte
	if err == nil {
		text, err = readFile(ctx, path)
	}
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		err = failed.Err
	}
	return text, err
}

// surroundings are what there is around all files, as far as it is known.
type surroundings struct {
	links       []string
	networks    []check.Network
	ipv6Uplinks []string // links with a default route for IPv6
	mtu         int      // of the default route
}

func lookAround(ctx context.Context) (s surroundings, err error) {
	k, err := rtnl.Open()
	if err != nil {
		return s, err
	}
	defer k.Close()
	s.mtu = k.DefaultMTU(ctx)
	if s.ipv6Uplinks, err = k.IPv6Uplinks(ctx); err != nil {
		return s, err
	}
	links, err := net.Interfaces()
	if err != nil {
		return s, err
	}
	for _, link := range links {
		s.links = append(s.links, link.Name)
		addresses, err := link.Addrs()
		if err != nil {
			continue // it is gone
		}
		for _, a := range addresses {
			p, err := netip.ParsePrefix(a.String())
			if err == nil && !p.Addr().IsLoopback() && !p.Addr().IsLinkLocalUnicast() {
				s.networks = append(s.networks, check.Network{Prefix: p, Link: link.Name})
			}
		}
	}
	return s, nil
}

// behindNAT reports whether all IPv4 addresses of a host are such as aren't
// routed in the internet.
func behindNAT(networks []check.Network) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10")
	has := false
	for _, n := range networks {
		if a := n.Prefix.Addr(); a.Is4() {
			has = true
			if !a.IsPrivate() && !shared.Contains(a) {
				return false
			}
		}
	}
	return has
}

// readableByAll reports whether all users may read the file at path.
func readableByAll(path string) bool {
	path, err := filepath.Abs(path)
	if err != nil {
		return false
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	st, err := os.Stat(path)
	if err != nil || st.Mode()&0o004 == 0 {
		return false
	}
	for path != "/" {
		path = filepath.Dir(path)
		if st, err := os.Stat(path); err != nil || st.Mode()&0o001 == 0 {
			return false
		}
	}
	return true
}

// otherPorts returns the ListenPorts of the other files in /etc/wireguard, if
// that is where the file at path is.
func (a *app) otherPorts(ctx context.Context, path string) (ports []check.Port) {
	abs, err := filepath.Abs(path)
	if err != nil || filepath.Dir(abs) != configDir {
		return nil
	}
	others, err := filepath.Glob(filepath.Join(configDir, "*.conf"))
	if err != nil {
		return nil
	}
	for _, other := range others {
		text, err := readRegular(ctx, other)
		if err != nil || other == abs {
			continue
		}
		c, _ := config.Decode(other, text, config.Options{
			Dialect: config.Quick, Program: a.prog, Later: true, Settings: true, Resolver: resolve.New(ctx, a.LookupEnv, a.Err),
		})
		if c == nil || !c.ListenPort.Set || c.ListenPort.Value == 0 {
			continue
		}
		port := check.Port{Number: c.ListenPort.Value}
		for _, s := range c.Settings {
			if s.Key == "ListenPort" {
				port.Pos = s.Pos
			}
		}
		ports = append(ports, port)
	}
	return ports
}
