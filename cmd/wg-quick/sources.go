// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
	"wgtools/internal/resolve"
)

// sources are where a file takes what isn't in it: files, credentials of
// systemd's, a command that prints the private key.
type sources struct {
	app  *app
	ctx  context.Context
	file *file

	// commands says that a PrivateKeyCommand is run; without it, its key is
	// not known.
	commands bool
}

var _ config.Sources = (*sources)(nil)

// decoding is how all of the file is read where nothing is done with it.
func (a *app) decoding(ctx context.Context, f *file) config.Options {
	return config.Options{
		Dialect: config.Quick, Program: a.prog, Later: true,
		Resolver: resolve.New(ctx, a.LookupEnv, a.Err),
		Sources:  &sources{app: a, ctx: ctx, file: f},
	}
}

// isExtended reports whether the file says things that the original refuses or
// doesn't look at: then not all is in its own lines.
func (f *file) isExtended() bool {
	return exists(f.dropIns) || config.Scan(f.path, f.text).IsExtended()
}

// borrowed returns what isn't for the file when it is saved. If it can't be
// read, it says so: that is no reason to leave a tunnel up.
func (a *app) borrowed(ctx context.Context, f *file) config.Borrowed {
	if !f.isExtended() {
		return config.Borrowed{}
	}
	o := a.decoding(ctx, f)
	o.PeerInfo = true
	c, err := config.Decode(f.path, f.text, o)
	if err != nil {
		a.say(fmt.Sprintf("[!] What `%s' has from elsewhere can't be read; only what is surely its own is saved. %v", f.path, err))
		return config.Borrowed{Unknown: true}
	}
	return c.Borrowed(f.path)
}

// A missing says why something isn't there, and what to do.
type missing struct{ reason, hint string }

func (e *missing) Error() string { return e.reason }

// Hint implements what [config.Sources] says of errors.
func (e *missing) Hint() string { return e.hint }

// An interruption ends a reading, and is no fault of the file's.
type interruption struct{ error }

func (interruption) Environment() bool { return true }

// path returns which file a value names: a relative path counts from the
// directory of the file that has it, "%i" is the interface.
func (s *sources) path(v config.Value) string {
	path := strings.ReplaceAll(v.Text, "%i", s.file.dev)
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(v.Pos.File), path)
}

// KeyFile implements [config.Sources].
func (s *sources) KeyFile(name config.Value) (keys.Key, error) {
	path, own := s.path(name), true
	if credential, ok := strings.CutPrefix(strings.ReplaceAll(name.Text, "%i", s.file.dev), "@"); ok {
		dir := s.app.Getenv("CREDENTIALS_DIRECTORY")
		switch {
		case credential == "" || credential == "." || credential == ".." || strings.Contains(credential, "/"):
			return keys.Key{}, &missing{"not the name of a credential", "a credential is @NAME, a file in a directory called @ is ./@…"}
		case dir == "":
			return keys.Key{}, &missing{"there are no credentials: $CREDENTIALS_DIRECTORY is not set",
				fmt.Sprintf("systemd sets it for a unit that has LoadCredential=%s:PATH", credential)}
		}
		path, own = filepath.Join(dir, credential), false
	}
	k, err := orDone(s.ctx, func() (keys.Key, error) { return keys.ReadFile(path) })
	if err != nil {
		return k, s.unreadable(name, path, err)
	}
	if own {
		s.app.warnAccessible(path)
	}
	if k.IsZero() {
		return k, &missing{path + ": no key in it", "`wg genkey' and `wg genpsk' make one"}
	}
	return k, nil
}

// unreadable says why a file that a value names can't be read.
func (s *sources) unreadable(name config.Value, path string, err error) error {
	if s.ctx.Err() != nil {
		return interruption{err}
	}
	m := &missing{reason: fmt.Sprintf("%s: %v", path, err)}
	failed, ok := errors.AsType[*fs.PathError](err)
	if ok {
		m.reason = fmt.Sprintf("%s: %v", path, failed.Err)
	}
	switch {
	case !ok:
		m.hint = "in the file is one key of 44 characters, and nothing else"
	case errors.Is(err, fs.ErrPermission):
		m.hint = "only root may read it: run it with sudo"
	case errors.Is(err, fs.ErrNotExist) && !filepath.IsAbs(name.Text):
		m.hint = fmt.Sprintf("paths count from the directory of %s", name.Pos.File)
	}
	return m
}

// Include implements [config.Sources].
func (s *sources) Include(pattern config.Value) ([]config.File, error) {
	path := s.path(pattern)
	if !strings.ContainsAny(pattern.Text, "*?[") {
		return s.readAll(pattern, []string{path})
	}
	paths, err := filepath.Glob(path)
	if err != nil {
		return nil, &missing{reason: fmt.Sprintf("%s: %v", path, err)}
	}
	return s.readAll(pattern, paths)
}

// DropIns implements [config.Sources]: they are the files wg0.conf.d/*.conf,
// beside the name that the file was asked for by.
func (s *sources) DropIns() ([]config.File, error) {
	v := config.Value{Pos: config.Pos{File: s.file.path}}
	names, err := os.ReadDir(s.file.dropIns)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, s.unreadable(v, s.file.dropIns, err)
	}
	var paths []string
	for _, e := range names { // sorted
		if strings.HasSuffix(e.Name(), ".conf") && !strings.HasPrefix(e.Name(), ".") {
			paths = append(paths, filepath.Join(s.file.dropIns, e.Name()))
		}
	}
	return s.readAll(v, paths)
}

func (s *sources) readAll(v config.Value, paths []string) (files []config.File, err error) {
	for _, path := range paths {
		f, err := s.read(v, path)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

func (s *sources) read(v config.Value, path string) (config.File, error) {
	if st, err := os.Stat(path); err == nil && !isFile(st) {
		return config.File{}, &missing{reason: path + ": no file"}
	}
	text, err := readFile(s.ctx, path)
	if err != nil {
		return config.File{}, s.unreadable(v, path, err)
	}
	s.app.warnAccessible(path)
	return config.File{Name: path, Text: text}, nil
}

// keyPatience is how long a command may take to print a key. Somebody may have
// to type a passphrase.
var keyPatience = time.Minute

// KeyCommand implements [config.Sources]. Neither the command nor what it
// prints is shown anywhere: both may be secret.
func (s *sources) KeyCommand(command config.Value) (device.Optional[keys.Key], error) {
	var none device.Optional[keys.Key]
	if !s.commands {
		return none, nil
	}
	if s.app.noHooks {
		return none, &missing{"not run, as --no-hooks asks", "without the key there is no tunnel: PrivateKeyFile can name a file with it"}
	}
	if open, err := writableByAll(s.file.path); err != nil {
		return none, err
	} else if open != "" {
		return none, &missing{fmt.Sprintf("not run: all users may write to `%s'", open), trustHint(open)}
	}
	ctx, cancel := context.WithTimeoutCause(s.ctx, keyPatience, fmt.Errorf("no key within %v", keyPatience))
	defer cancel()
	var out keyOutput
	err := s.app.home.atBirth(func() error { return s.run(ctx, strings.ReplaceAll(command.Text, "%i", s.file.dev), &out) })
	switch {
	case s.ctx.Err() != nil:
		return none, interruption{context.Cause(s.ctx)}
	case ctx.Err() != nil:
		return none, context.Cause(ctx)
	case err != nil && !errors.Is(err, exec.ErrWaitDelay): // what it left running has the pipe still
		return none, err
	}
	k, err := out.key()
	return device.Some(k), err
}

// run runs a command that is words only as it is, others by the hooks' shell.
func (s *sources) run(ctx context.Context, command string, out io.Writer) error {
	if !isPlain(command) {
		return newShell(s.app).run(ctx, plan.Hook{Script: command}, out)
	}
	words := strings.Fields(command)
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	prepare(c, s.app, out)
	return c.Run()
}

// isPlain reports whether a command has nothing in it that a shell would
// understand.
func isPlain(command string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	words := strings.Fields(command)
	return strings.Trim(command, letters+"_-./:@,+=% \t") == "" && len(words) > 0 && !strings.Contains(words[0], "=")
}

// keyOutput keeps what should be a key.
type keyOutput struct {
	text bytes.Buffer
	more bool
}

func (o *keyOutput) Write(p []byte) (int, error) {
	const most = 1 << 10 // a key and white space
	if room := most - o.text.Len(); len(p) > room {
		o.more = true
		o.text.Write(p[:room])
	} else {
		o.text.Write(p)
	}
	return len(p), nil
}

func (o *keyOutput) key() (keys.Key, error) {
	text := bytes.TrimSpace(o.text.Bytes())
	k, err := keys.Parse(text)
	switch {
	case o.more, len(text) > keys.TextLen:
		return k, &missing{"it prints more than a key", "on its standard output is the key alone"}
	case len(text) == 0:
		return k, &missing{"it prints nothing", "on its standard output is the key"}
	case err != nil:
		return k, &missing{fmt.Sprintf("it prints no key, but %d characters", len(text)), "a key is 44 characters, as `wg genkey' prints it"}
	}
	return k, nil
}
