// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"context"
	"iter"
)

// Files changes configuration files.
type Files interface {
	// Replace makes text the content of the file at path, whole or not at all:
	// with an error the file is as it was. It is readable by its owner only.
	Replace(ctx context.Context, path string, text []byte) error
}

// SaveConfig writes the file of a tunnel anew. Its text has keys in it.
type SaveConfig struct {
	Dev, Path string
	Text      []byte
}

// Apply implements [Op].
func (o SaveConfig) Apply(ctx context.Context, h *Host) error {
	return h.Files.Replace(ctx, o.Path, o.Text)
}

// Lines implements [Op]. Programs look for this line when they call "save".
func (o SaveConfig) Lines() iter.Seq[string] { return one("wg showconf " + o.Dev) }
