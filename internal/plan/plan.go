// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

// Package plan holds ordered, reversible changes to the host, and runs them.
//
// A change is an [Op]: a plain value that says what shall be different. The
// same value prints the command lines that a person would type for it, which
// users know from wg-quick's "[#]" lines, and applies itself to a [Host],
// whose parts are narrow interfaces: the kernel's, or a model's in tests. A
// [Step] pairs a change with what takes it back; a [Tx] runs steps and, if
// need be, takes them back. Which steps, others decide.
package plan

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
)

// An Op is one change to the host, or a batch of changes of one kind. It is a
// plain value without a secret in its lines.
type Op interface {
	// Apply makes the change: all of it or, with an error, none of it. It
	// fails with [fs.ErrExist] for what is there already and with
	// [fs.ErrNotExist] for what is to be removed and isn't there.
	Apply(ctx context.Context, h *Host) error

	// Lines yields the command lines that would do the same, one for each
	// change of a batch.
	Lines() iter.Seq[string]
}

// A Step is a change and what takes it back. A nil Undo says that nothing
// does, or that an earlier step's Undo does it too: deleting a link drops its
// addresses and routes.
type Step struct {
	Do, Undo Op
	// Gone says that what Do removes may be gone already, or a part of it:
	// somebody else did it, and it is no failure.
	Gone bool
}

// A Tx runs steps and remembers how to take them back.
type Tx struct {
	Host  *Host
	Trace func(Op) // called before each change, those of a rollback included; may be nil

	undo []Op
}

// An Error says which change failed.
type Error struct {
	Op   Op
	Line string // the command line of the change, out of a batch the one that failed
	Err  error
}

// Error returns the line and the cause.
func (e *Error) Error() string { return fmt.Sprintf("%s: %v", e.Line, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Apply runs steps in order up to the first failure, an [*Error], or until ctx
// is done, which it returns as [context.Cause] has it. It doesn't roll back:
// that is the caller's, since later steps may be planned from what these did.
func (tx *Tx) Apply(ctx context.Context, steps ...Step) error {
	for _, s := range steps {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := tx.run(ctx, s.Do); err != nil && !(s.Gone && errors.Is(err, fs.ErrNotExist)) {
			return err
		}
		if s.Undo != nil {
			tx.undo = append(tx.undo, s.Undo)
		}
	}
	return nil
}

// Rollback takes back every applied step, newest first, even once ctx is done:
// Ctrl-C doesn't stop the clean-up. It goes on past failures and returns them
// all; what is gone already is no failure. After it, nothing is left to take back.
func (tx *Tx) Rollback(ctx context.Context) error {
	ctx = context.WithoutCancel(ctx)
	var errs []error
	for _, op := range slices.Backward(tx.undo) {
		if err := tx.run(ctx, op); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("undo: %w", err))
		}
	}
	tx.undo = nil
	return errors.Join(errs...)
}

func (tx *Tx) run(ctx context.Context, op Op) error {
	if tx.Trace != nil {
		tx.Trace(op)
	}
	err := op.Apply(ctx, tx.Host)
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*RouteError](err); ok {
		return &Error{Op: op, Line: r.line(op), Err: r.Err}
	}
	if l, ok := errors.AsType[*LineError](err); ok {
		return &Error{Op: op, Line: l.Line, Err: l.Err}
	}
	return &Error{Op: op, Line: firstLine(op), Err: err}
}

func firstLine(op Op) string {
	for line := range op.Lines() {
		return line
	}
	return ""
}
