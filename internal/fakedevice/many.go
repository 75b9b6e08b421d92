// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package fakedevice

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"wgtools/internal/keys"
)

// Many returns the answer to a get request of a device with that many peers,
// each with a preshared key, an endpoint, a handshake and that many allowed
// IPs. All of it follows from the numbers.
func Many(peers, ips int) []byte {
	private := keys.Key(sha256.Sum256([]byte("private")))
	b := append(private.AppendHex([]byte("private_key=")), "\nlisten_port=51820\n"...)
	for i := range peers {
		var seed [8]byte
		binary.BigEndian.PutUint64(seed[:], uint64(i))
		key := keys.Key(sha256.Sum256(seed[:]))
		b = append(key.AppendHex(append(b, "public_key="...)), '\n')
		key = sha256.Sum256(key[:])
		b = append(key.AppendHex(append(b, "preshared_key="...)), '\n')
		b = fmt.Appendf(b, "protocol_version=1\nendpoint=198.%d.%d.%d:51820\n", 18+i>>16&1, i>>8&255, i&255)
		b = fmt.Appendf(b, "last_handshake_time_sec=%d\nlast_handshake_time_nsec=%d\n", 1_700_000_000+i, i)
		b = fmt.Appendf(b, "tx_bytes=%d\nrx_bytes=%d\npersistent_keepalive_interval=25\n", 1000*i, 2000*i)
		for j := range ips {
			n := i*ips + j
			if j%2 == 0 {
				b = fmt.Appendf(b, "allowed_ip=%d.%d.%d.%d/32\n", 10+n>>24, n>>16&255, n>>8&255, n&255)
			} else {
				b = fmt.Appendf(b, "allowed_ip=fd00::%x:%x/128\n", n>>16, n&0xffff)
			}
		}
	}
	return append(b, "errno=0\n\n"...)
}
