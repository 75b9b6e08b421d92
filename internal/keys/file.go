// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package keys

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrLength reports a key file that is too short to hold a key.
var ErrLength = errors.New("invalid length key in key file")

// A TrailingError reports what follows a key in its file and isn't white space.
type TrailingError byte

// Error tells the first such byte; a whole line could be another secret.
func (e TrailingError) Error() string {
	return fmt.Sprintf("found trailing character in key file: %q", byte(e))
}

// ReadFile reads a private or preshared key from a file: 44 characters of
// base64, then nothing but white space. A regular file or character device
// without a single byte stands for no key, the zero Key; a pipe doesn't, since
// there the program at its other end has failed.
//
// It returns what [os.Open] returns, [ErrLength], a [TrailingError] or [ErrFormat].
func ReadFile(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	var text [TextLen]byte
	n, err := io.ReadFull(r, text[:])
	if n == 0 && err == io.EOF {
		if st, err := f.Stat(); err == nil && (st.Mode().IsRegular() || st.Mode()&os.ModeCharDevice != 0) {
			return Key{}, nil
		}
	}
	if err != nil {
		return Key{}, ErrLength
	}
	for {
		c, err := r.ReadByte()
		if err != nil {
			break
		}
		if c != ' ' && (c < '\t' || c > '\r') {
			return Key{}, TrailingError(c)
		}
	}
	return Parse(text[:])
}
