// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package netnstest runs tests in network namespaces of their own, so that
// nothing they do is seen on the machine. It is for tests only.
package netnstest
