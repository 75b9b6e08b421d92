// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"wgtools/internal/cli"
	"wgtools/internal/keys"
)

func runGenkey(_ context.Context, a *app, args []string) error {
	return a.generate(args, keys.NewPrivate)
}

func runGenpsk(_ context.Context, a *app, args []string) error {
	return a.generate(args, keys.NewPreshared)
}

func (a *app) generate(args []string, make func() (keys.Key, error)) error {
	if len(args) != 0 {
		return a.usage("")
	}
	if worldAccessible(a.Out) {
		fmt.Fprint(a.Err, "Warning: writing to world accessible file.\nConsider setting the umask to 077 and trying again.\n")
	}
	k, err := make()
	if err != nil {
		return &cli.Failure{Line: "getrandom: " + cli.Strerror(err), Cause: err}
	}
	a.printKey(k)
	return nil
}

// worldAccessible reports whether w is a regular file that others may read,
// write or execute. Pipes, terminals and devices aren't files that stay.
func worldAccessible(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	st, err := f.Stat()
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o007 != 0
}

func runPubkey(_ context.Context, a *app, args []string) error {
	if len(args) != 0 {
		return a.usage("")
	}
	format := &cli.Failure{
		Line:   a.Prog + ": Key is not the correct length or format",
		Advise: []string{"hint: a private key is 44 characters, as `wg genkey' prints them: wg pubkey < private.key"},
	}
	var text [keys.TextLen]byte
	if _, err := io.ReadFull(a.In, text[:]); err != nil {
		return format
	}
	for buf := make([]byte, 4096); ; {
		n, err := a.In.Read(buf)
		for _, c := range buf[:n] {
			if c != 0 && !isSpace(c) {
				return &cli.Failure{
					Line:   a.Prog + ": Trailing characters found after key",
					Advise: []string{"hint: the key must come first and alone: no blank or line before it, nothing but white space after it"},
				}
			}
		}
		if err != nil {
			break
		}
	}
	k, err := keys.Parse(text[:])
	if err != nil {
		return format
	}
	a.printKey(k.Public())
	return nil
}

// printKey prints k on a line. Like the original it doesn't notice that the
// output can't be written.
func (a *app) printKey(k keys.Key) {
	a.Out.Write(append(k.AppendBase64(make([]byte, 0, keys.TextLen+1)), '\n'))
}

// isSpace reports whether c is white space in the C locale.
func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
