// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build !linux

package keys

import "crypto/rand"

// random fills b. Where there is no randomness crypto/rand ends the program.
func random(b []byte) error {
	_, err := rand.Read(b)
	return err
}
