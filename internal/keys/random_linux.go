// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package keys

import "golang.org/x/sys/unix"

// random fills b, of at most 256 bytes, from getrandom(2), which gives so few
// whole. crypto/rand would end the program on an error, and it starts a timer
// that takes a tenth of the time of `wg genkey'.
func random(b []byte) error {
	for {
		_, err := unix.Getrandom(b, 0)
		if err != unix.EINTR {
			return err
		}
	}
}
