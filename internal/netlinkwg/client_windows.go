// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

// New returns the [Client] for this system: wgctrl, which knows WireGuardNT
// and the named pipes of userspace devices. It reads a device whole, and can't
// take single allowed IPs from a peer.
func New() Client { return control{} }
