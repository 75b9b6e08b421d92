// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Replace implements [plan.Files]: it writes a file beside the old one, with
// all its bytes on the disk before it takes the old one's name. So there is
// one of the two whatever happens, be it a full disk or a power cut. A file
// that has the text already is left alone. Symbolic links are resolved by now.
// What a crash left under the temporary name, keys in it, goes in any case.
func (host) Replace(_ context.Context, path string, text []byte) error {
	temporary := path + ".tmp"
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return removeIfThere(temporary)
	}
	if err := writeSynced(temporary, text); err != nil {
		return errors.Join(&saveError{"Could not write configuration file", err}, removeIfThere(temporary))
	}
	if err := os.Rename(temporary, path); err != nil {
		return errors.Join(&saveError{"Could not move configuration file", err}, removeIfThere(temporary))
	}
	return syncDir(filepath.Dir(path))
}

// writeSynced makes a file that only its owner may read. One that is there,
// left by a crash, is replaced, never written into: it might be a link.
func writeSynced(path string, text []byte) error {
	if err := removeIfThere(path); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncDir puts a directory's names on the disk.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// A saveError says at which step a file could not be saved.
type saveError struct {
	step string // the original's words
	err  error
}

func (e *saveError) Error() string { return fmt.Sprintf("%s: %v", e.step, e.err) }
func (e *saveError) Unwrap() error { return e.err }
