// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

// newKernel returns wgctrl without the userspace devices, which we reach
// ourselves.
func newKernel() Client { return control{kernelOnly: true} }
