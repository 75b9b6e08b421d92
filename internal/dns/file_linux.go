// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package dns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"wgtools/internal/plan"
)

// lockTime is how long others may keep resolv.conf locked, and lockPause how
// long to wait before asking again.
const (
	lockTime  = 10 * time.Second
	lockPause = 10 * time.Millisecond
)

// errLocked is why we give up after lockTime.
var errLocked = errors.New("another process keeps it locked")

func (r *Resolver) setBlock(ctx context.Context, s plan.DNSSettings) error {
	if r.ownDir {
		if err := os.MkdirAll(filepath.Dir(r.resolvConf), 0o755); err != nil {
			return fileFailure(ctx, r.resolvConf, err)
		}
	}
	h, isMade, err := openLocked(ctx, r.resolvConf, true)
	if err != nil {
		return fileFailure(ctx, r.resolvConf, err)
	}
	defer h.Close()
	old, err := io.ReadAll(h)
	if err == nil {
		f := parse(string(old))
		f.set(s)
		f.made = f.made || isMade
		err = overwrite(h, string(old), f.String())
	}
	if err != nil {
		if isMade && len(old) == 0 {
			_ = os.Remove(r.resolvConf)
		}
		return fileFailure(ctx, r.resolvConf, err)
	}
	return nil
}

func (r *Resolver) unsetBlock(ctx context.Context, dev string) error {
	h, _, err := openLocked(ctx, r.resolvConf, false)
	if err != nil {
		return fileFailure(ctx, r.resolvConf, err)
	}
	defer h.Close()
	old, err := io.ReadAll(h)
	if err != nil {
		return fileFailure(ctx, r.resolvConf, err)
	}
	f := parse(string(old))
	if !f.unset(dev) {
		return fmt.Errorf("%s: what was %s's: %w", r.resolvConf, dev, fs.ErrNotExist)
	}
	if f.made && len(f.blocks) == 0 && f.rest == "" {
		err = os.Remove(r.resolvConf)
		if r.ownDir {
			_ = os.Remove(filepath.Dir(r.resolvConf)) // if it is empty
		}
	} else {
		err = overwrite(h, string(old), f.String())
	}
	if err != nil {
		return fileFailure(ctx, r.resolvConf, err)
	}
	return nil
}

// openLocked opens the file that path leads to, for nobody else who locks it.
// With create it makes the file if there is none.
func openLocked(ctx context.Context, path string, create bool) (h *os.File, isMade bool, err error) {
	for {
		h, isMade, err = open(path, create)
		if err != nil {
			return nil, false, err
		}
		current := false
		if err = lock(ctx, h); err == nil {
			current, err = isAt(h, path)
		}
		if current {
			return h, isMade, nil
		}
		h.Close()
		if err != nil {
			return nil, false, err
		}
		// While we waited, it was removed or others put their own there.
	}
}

func open(path string, create bool) (h *os.File, isMade bool, err error) {
	h, err = os.OpenFile(path, os.O_RDWR, 0)
	if !create || !errors.Is(err, fs.ErrNotExist) {
		return h, false, err
	}
	if target, err := os.Readlink(path); err == nil {
		return nil, false, &danglingError{target} // what is there, and how, others decide
	}
	h, err = os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) { // somebody was faster
		return open(path, create)
	}
	if err != nil {
		return nil, false, err
	}
	if err := h.Chmod(0o644); err != nil { // all read it, whatever our umask is
		h.Close()
		_ = os.Remove(path)
		return nil, false, err
	}
	return h, true, nil
}

// lock waits for the lock of a file. It asks again and again, since the kernel
// would not stop waiting when ctx is done.
func lock(ctx context.Context, h *os.File) error {
	ctx, cancel := context.WithTimeoutCause(ctx, lockTime, errLocked)
	defer cancel()
	for {
		err := unix.Flock(int(h.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lockPause):
		}
	}
}

// isAt reports whether path still leads to h.
func isAt(h *os.File, path string) (bool, error) {
	mine, err := h.Stat()
	if err != nil {
		return false, err
	}
	if !mine.Mode().IsRegular() {
		return false, errors.New("it is not a regular file")
	}
	there, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(mine, there), err
}

// overwrite makes text the content of h in place of old: the file may be
// mounted by itself, as in containers, and then can't be replaced. Who reads it
// meanwhile finds all of text, with empty lines after it rather than with half
// a line of old.
func overwrite(h *os.File, old, text string) error {
	if text == old {
		return nil
	}
	padding := strings.Repeat("\n", max(0, len(old)-len(text)))
	_, err := h.WriteAt([]byte(text+padding), 0)
	if err == nil {
		err = h.Truncate(int64(len(text)))
	}
	if err != nil { // a full disk: there is still room for what was there
		_, _ = h.WriteAt([]byte(old), 0)
		_ = h.Truncate(int64(len(old)))
	}
	return err
}

// fileFailure returns err as that of a file, unless it is that ctx is done.
func fileFailure(ctx context.Context, path string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if inner, ok := errors.AsType[*fs.PathError](err); ok {
		err = inner.Err // it has the path, too
	}
	return &fileError{path, err}
}

// A danglingError says that resolv.conf is a symbolic link to nothing.
type danglingError struct{ target string }

func (e *danglingError) Error() string { return "it is a link to " + e.target + ", which isn't there" }

// A fileError says why resolv.conf can't be changed.
type fileError struct {
	path string
	err  error
}

func (e *fileError) Error() string { return fmt.Sprintf("%s: %v", e.path, e.err) }
func (e *fileError) Unwrap() error { return e.err }

// Advice says what to do about it.
func (e *fileError) Advice() []string {
	_, dangling := errors.AsType[*danglingError](e.err)
	switch {
	case dangling:
		return []string{fmt.Sprintf("hint: start the service that keeps that file, or remove the link: `rm %s'", e.path)}
	case errors.Is(e.err, syscall.EROFS):
		return []string{"hint: it is read-only here, as in some containers: mount it writable, or leave DNS= out and set the name servers from outside (docker run --dns)"}
	case errors.Is(e.err, syscall.EPERM):
		return []string{fmt.Sprintf("hint: somebody may have made it immutable: `lsattr %s' shows an i then, and `chattr -i %[1]s' takes it away", e.path)}
	case errors.Is(e.err, syscall.EACCES):
		return []string{"hint: this needs root"}
	case errors.Is(e.err, errLocked):
		return []string{fmt.Sprintf("hint: `fuser -v %s' shows which", e.path)}
	}
	return nil
}
