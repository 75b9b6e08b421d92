// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"wgtools/internal/config"
	"wgtools/internal/quick"
	"wgtools/internal/routing"
	"wgtools/internal/rtnl"
)

// configDir is where the file of a bare interface name is.
const configDir = "/etc/wireguard"

var (
	bareName = regexp.MustCompile(`^[a-zA-Z0-9_=+.-]{1,15}$`)
	fileName = regexp.MustCompile(`^(.*/)?([a-zA-Z0-9_=+.-]{1,15})\.conf$`)
)

// A file is a configuration file.
type file struct {
	dev     string // the interface, by the name that was asked for
	path    string // links resolved
	dropIns string // the directory of files that are included without being named
	text    []byte
}

// open finds the file that arg means and reads it. The interface's name is
// the file's as asked for, even if that is a link to one of another name.
func (a *app) open(ctx context.Context, arg string) (*file, error) {
	path := arg
	if bareName.MatchString(arg) {
		path = filepath.Join(configDir, arg+".conf")
	}
	st, err := os.Stat(path)
	if err != nil {
		p := &problem{line: fmt.Sprintf("%s: `%s' does not exist", a.prog, path), cause: err}
		switch {
		case os.IsPermission(err):
			p.advice = []string{"hint: only root may look: run it with sudo"}
		case path != arg && exists(arg):
			p.advice = []string{fmt.Sprintf("hint: there is a file `%s' here: say ./%[1]s", arg)}
		}
		return nil, p
	}
	m := fileName.FindStringSubmatch(path)
	if m == nil {
		return nil, &problem{line: a.prog + ": The config file must be a valid interface name, followed by .conf",
			advice: []string{"hint: a name has 1 to 15 letters, digits and _=+.-"}}
	}
	f := &file{dev: m[2], path: path, dropIns: path + ".d"}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		f.path = resolved
	}
	for _, p := range []*string{&f.path, &f.dropIns} {
		if abs, err := filepath.Abs(*p); err == nil {
			*p = abs
		}
	}
	if !isFile(st) {
		return nil, &problem{line: fmt.Sprintf("%s: `%s' is no file", a.prog, path)}
	}
	if f.text, err = readFile(ctx, f.path); err != nil {
		return nil, err
	}
	a.warnAccessible(f.path)
	return f, nil
}

// isFile reports whether something is no directory, nor a device, which may
// have no end.
func isFile(st fs.FileInfo) bool { return st.Mode()&(fs.ModeDir|fs.ModeDevice) == 0 }

// readFile is [os.ReadFile], until ctx is done.
func readFile(ctx context.Context, path string) ([]byte, error) {
	return orDone(ctx, func() ([]byte, error) { return os.ReadFile(path) })
}

// orDone returns what f does, until ctx is done: nobody may ever write to a
// pipe, and a server may not answer.
func orDone[T any](ctx context.Context, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := f()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// warnAccessible warns of a file that all users can get at: its mode and its
// directory's have a bit for others in common, as wg-quick(8) looks at it.
func (a *app) warnAccessible(path string) {
	st, err := os.Stat(path)
	dir, err2 := os.Stat(filepath.Dir(path))
	if err == nil && err2 == nil && st.Mode()&dir.Mode()&0o007 != 0 {
		fmt.Fprintf(a.Err, "Warning: `%s' is world accessible\n", path)
	}
}

// decode reads all of the file, and what it has from elsewhere, but for a key
// that a command prints. The names in it are resolved later.
func (a *app) decode(ctx context.Context, f *file) (*quick.Tunnel, error) {
	return a.tunnel(f, a.decoding(ctx, f))
}

// decodeToApply is decode for what will be done, so that also a command that prints
// the key is run; but not for a rehearsal.
func (a *app) decodeToApply(ctx context.Context, f *file) (*quick.Tunnel, error) {
	o := a.decoding(ctx, f)
	o.Sources = &sources{app: a, ctx: ctx, file: f, commands: !a.dryRun}
	return a.tunnel(f, o)
}

func (a *app) tunnel(f *file, o config.Options) (*quick.Tunnel, error) {
	o.Warn, o.PeerInfo = a.warn, true
	c, err := config.Decode(f.path, f.text, o)
	if err != nil {
		return nil, err
	}
	return quick.NewTunnel(f.dev, f.path, c, rtnl.TableNumber)
}

func (a *app) warn(w config.Warning) {
	for _, line := range append([]string{w.Text}, w.Advice()...) {
		a.say(line)
	}
}

// decodeOwn reads only what concerns wg-quick itself: for the rest it is too
// late, or it is somebody else's.
func (a *app) decodeOwn(f *file) (*config.QuickOptions, error) {
	c, err := config.Decode(f.path, f.text, config.Options{Dialect: config.Quick, Program: a.prog, OwnKeys: true})
	if err != nil {
		return nil, err
	}
	return &c.Quick, nil
}

// A job is what is to be done to one tunnel. Whatever its file could have
// against it has been found.
type job struct {
	dev string
	do  func(ctx context.Context, s *quick.Session) error
}

func (a *app) up(ctx context.Context, arg string) (*job, error) {
	f, err := a.open(ctx, arg)
	if err != nil {
		return nil, err
	}
	t, err := a.decodeToApply(ctx, f)
	if err != nil {
		return nil, err
	}
	a.withHooks(t)
	if err := f.trusted(t); err != nil {
		return nil, err
	}
	if err := a.askKillSwitch(t); err != nil {
		return nil, err
	}
	return &job{f.dev, func(ctx context.Context, s *quick.Session) error {
		if a.replace {
			return s.Replace(ctx, t)
		}
		return s.Up(ctx, t)
	}}, nil
}

// reload needs no trust in the file: it doesn't run its hooks.
func (a *app) reload(ctx context.Context, arg string) (*job, error) {
	f, err := a.open(ctx, arg)
	if err != nil {
		return nil, err
	}
	t, err := a.decodeToApply(ctx, f)
	if err != nil {
		return nil, err
	}
	return &job{f.dev, func(ctx context.Context, s *quick.Session) error { return s.Reload(ctx, t) }}, nil
}

// down needs the file for its hooks only, if we brought the tunnel up.
func (a *app) down(ctx context.Context, arg string) (*job, error) {
	f, t, err := a.teardown(ctx, arg)
	if err != nil {
		if t = a.recorded(arg); t == nil || ctx.Err() != nil {
			return nil, err
		}
		a.report(err)
		a.say(fmt.Sprintf("[!] `%s' is taken down as it was brought up, without its hooks.", t.Dev))
	} else {
		a.withHooks(t)
		if err := f.trusted(t); err != nil {
			return nil, err
		}
	}
	return &job{t.Dev, func(ctx context.Context, s *quick.Session) error { return s.Down(ctx, t) }}, nil
}

// withHooks leaves the hooks of t out if that is asked for.
func (a *app) withHooks(t *quick.Tunnel) {
	if n := t.CountHooks(); a.noHooks && n > 0 {
		a.say(fmt.Sprintf("[!] The hooks of `%s' are not run: %d.", t.Dev, n))
		t.DropHooks()
	}
}

// teardown returns what the file of arg says of taking its tunnel down.
func (a *app) teardown(ctx context.Context, arg string) (*file, *quick.Tunnel, error) {
	f, err := a.open(ctx, arg)
	if err != nil {
		return nil, nil, err
	}
	q, err := a.decodeOwn(f)
	if err != nil {
		return nil, nil, err
	}
	t := quick.NewTeardown(f.dev, f.path, f.text, q, rtnl.TableNumber)
	if t.Save != nil {
		t.Borrowed = a.borrowed(ctx, f)
	}
	return f, t, nil
}

// recorded returns the tunnel that arg names, without what only its file has;
// nil if it isn't one of ours.
func (a *app) recorded(arg string) *quick.Tunnel {
	dev := deviceOf(arg)
	if dev == "" {
		return nil
	}
	if r, err := newJournal(runDir).Read(dev); err != nil || r == nil {
		return nil
	}
	return &quick.Tunnel{Dev: dev, Table: routing.Chosen(0)}
}

// deviceOf returns the interface that arg names, by itself or by its file; "" if
// it can't be either.
func deviceOf(arg string) string {
	if bareName.MatchString(arg) {
		return arg
	}
	if m := fileName.FindStringSubmatch(arg); m != nil {
		return m[2]
	}
	return ""
}

// trusted fails if t has hooks and the file could have been written by anybody:
// root would run what they like.
func (f *file) trusted(t *quick.Tunnel) error {
	hooks := slices.Concat(t.PreUp, t.PostUp, t.PreDown, t.PostDown)
	if len(hooks) == 0 {
		return nil
	}
	path, err := writableByAll(f.path)
	if err != nil || path == "" {
		return err
	}
	return &config.Error{Problems: []config.Problem{{
		Pos:    hooks[0].Pos,
		Reason: fmt.Sprintf("the hook is not run: all users may write to `%s'", path),
		Hint:   trustHint(path),
	}}}
}

// writableByAll returns the file at path or its directory if all users may
// write to it, else "".
func writableByAll(path string) (string, error) {
	for _, path := range []string{path, filepath.Dir(path)} {
		st, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if st.Mode()&0o002 != 0 && st.Mode()&fs.ModeSticky == 0 {
			return path, nil
		}
	}
	return "", nil
}

func trustHint(path string) string {
	return fmt.Sprintf("make sure that it is what you want to run as root, then `chmod o-w %s'", path)
}

func (a *app) save(ctx context.Context, arg string) error {
	if err := a.needRoot(); err != nil {
		return err
	}
	f, err := a.open(ctx, arg)
	if err != nil {
		return err
	}
	if _, err := a.decodeOwn(f); err != nil {
		return err
	}
	return a.session(ctx, func(s *quick.Session) error {
		return s.Save(ctx, f.dev, config.Scan(f.path, f.text), a.borrowed(ctx, f))
	})
}

// strip needs no root: it only reads a file, if it may.
func (a *app) strip(ctx context.Context, arg string) error {
	f, err := a.open(ctx, arg)
	if err != nil {
		return err
	}
	if _, err := a.decodeOwn(f); err != nil {
		return err
	}
	if !f.isExtended() {
		_, err = a.Out.Write(config.Scan(f.path, f.text).Strip())
		return err
	}
	o := a.decoding(ctx, f)
	o.PeerInfo, o.Warn = true, a.warn
	c, err := config.Decode(f.path, f.text, o)
	if err != nil {
		return err
	}
	if v := c.Quick.PrivateKeyCommand; v.Text != "" {
		a.say(fmt.Sprintf("%s: the private key is left out: strip does not run the PrivateKeyCommand (%v)", a.prog, v.Pos))
	}
	_, err = a.Out.Write(config.StripExtended(f.path, f.text, c))
	return err
}
