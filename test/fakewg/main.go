// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Command fakewg serves a WireGuard device of many peers for benchmarks. Its
// answers are made beforehand and requests are only read to their end, so that
// what is measured is the program that asks.
//
//	fakewg -dir /var/run/wireguard -name wg0 -peers 100000 -ips 2
//
// It prints "ready" once it listens, and serves until it is killed.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"wgtools/internal/fakedevice"
)

func main() {
	dir := flag.String("dir", "", "`directory` of the socket")
	name := flag.String("name", "wg0", "`name` of the device")
	peers := flag.Int("peers", 1, "how many peers it has")
	ips := flag.Int("ips", 1, "how many allowed IPs each has")
	flag.Parse()
	ln, err := net.Listen("unix", filepath.Join(*dir, *name+".sock"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "fakewg:", err)
		os.Exit(1)
	}
	answer := fakedevice.Many(*peers, *ips)
	fmt.Println("ready")
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		go serve(c, answer)
	}
}

// serve answers requests until the other side hangs up.
func serve(c net.Conn, answer []byte) {
	defer c.Close()
	buf := make([]byte, 256<<10)
	for {
		get, err := request(c, buf)
		if err != nil {
			return
		}
		reply := []byte("errno=0\n\n")
		if get {
			reply = answer
		}
		if _, err := c.Write(reply); err != nil {
			return
		}
	}
}

// request reads up to the empty line that ends a request and reports whether
// it was a get.
func request(r io.Reader, buf []byte) (get bool, err error) {
	var tail [2]byte
	for first := true; ; first = false {
		n, err := r.Read(buf)
		if n == 0 {
			return false, err
		}
		if first {
			get = bytes.HasPrefix(buf[:n], []byte("get=1\n"))
		}
		if n == 1 {
			tail[0], tail[1] = tail[1], buf[0]
		} else {
			copy(tail[:], buf[n-2:n])
		}
		if tail == [2]byte{'\n', '\n'} {
			return get, nil
		}
	}
}
