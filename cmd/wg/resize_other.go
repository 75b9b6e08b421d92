// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build !unix

package main

import "os"

// notifyResize does nothing where the system doesn't tell; the next picture
// has the right size.
func notifyResize(chan<- os.Signal) {}
