// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package rtnl

import (
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

// TableNumber returns the number of the routing table that /etc/iproute2 or
// /usr/share/iproute2 calls name.
func TableNumber(name string) (uint32, bool) { return tableNumber(os.DirFS("/"), name) }

func tableNumber(root fs.FS, name string) (uint32, bool) {
	for _, dir := range []string{"etc/iproute2", "usr/share/iproute2", "usr/lib/iproute2"} {
		files := []string{path.Join(dir, "rt_tables")}
		more, _ := fs.Glob(root, path.Join(dir, "rt_tables.d", "*.conf"))
		for _, file := range append(files, more...) {
			text, err := fs.ReadFile(root, file)
			if err != nil {
				continue
			}
			if n, ok := findTable(string(text), name); ok {
				return n, true
			}
		}
	}
	n, ok := map[string]uint32{"default": 253, "main": 254, "local": 255}[name]
	return n, ok
}

// findTable looks for name in lines of a number and a name.
func findTable(text, name string) (uint32, bool) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		f := strings.Fields(line)
		if len(f) != 2 || f[1] != name {
			continue
		}
		if n, err := strconv.ParseUint(f[0], 0, 32); err == nil {
			return uint32(n), true
		}
	}
	return 0, false
}
