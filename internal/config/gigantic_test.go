// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"strings"
	"testing"

	"wgtools/internal/config"
)

// Lists that no interface can have are refused before they fill the memory.
func TestGiganticLists(t *testing.T) {
	many := strings.Repeat("a,", 1<<16)
	tests := map[string]struct{ text, want string }{
		"one line":   {"Address = " + many + "b", "f.conf:2:11: Address: more than 65536 addresses and names in this file"},
		"many lines": {strings.Repeat("DNS = "+many[:1<<15]+"\n", 4) + "\nAddress = x", "f.conf:7:11: Address: more than 65536 addresses and names in this file"},
		"as many":    {"Address = " + many, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := config.Decode("f.conf", []byte("[Interface]\n"+tt.text), config.Options{Dialect: config.Quick, OwnKeys: true})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
				t.Errorf("Decode: %.200s, want %s", got, tt.want)
			}
		})
	}
}
