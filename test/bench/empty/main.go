// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command empty does nothing: its start-up is the floor for every Go program.
package main

func main() {}
