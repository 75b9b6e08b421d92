// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package netns is about network namespaces (network_namespaces(7)) and their
// names, as ip-netns(8) keeps them.
package netns
