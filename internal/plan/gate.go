// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package plan

import (
	"cmp"
	"context"
	"iter"
	"net/netip"
	"slices"
)

// Gate keeps what the packet filter does for a tunnel by the keys of its file
// that are ours: which packets leave the host, and by which address. It has
// nothing to do with the rules of full tunnels, which [Firewall] keeps.
type Gate interface {
	// SetKillSwitch closes the host to all that the kill switches there are
	// don't let through, k among them, in place of an earlier one of that link.
	// It does so for both families at once, or with an error not at all.
	SetKillSwitch(ctx context.Context, k KillSwitch) error
	// DelKillSwitch removes the kill switch of the link dev; with the last one
	// the host is open. It fails with [fs.ErrNotExist] if there is none. The
	// link needn't be there.
	DelKillSwitch(ctx context.Context, dev string) error

	// SetMasquerade and DelMasquerade do the same with a [Masquerade].
	SetMasquerade(ctx context.Context, m Masquerade) error
	DelMasquerade(ctx context.Context, dev string) error
}

// A KillSwitch lets packets out of the host by the link Dev, and the encrypted
// ones of its device. What else may leave, the [Gate] knows.
type KillSwitch struct {
	Dev  string
	Mark uint32 // of the device's own packets; never 0
	LAN  bool   // local networks may be reached too
	// Inner are private networks that are behind the tunnel, so that they aren't
	// local ones, whatever there is at the uplink.
	Inner []netip.Prefix `json:",omitempty"`
}

// Equal reports whether k and other let the same through.
func (k KillSwitch) Equal(other KillSwitch) bool {
	return k.Dev == other.Dev && k.Mark == other.Mark && k.LAN == other.LAN && slices.Equal(k.Inner, other.Inner)
}

// A Masquerade gives what is forwarded the address of the link that it leaves
// by. If Out is Dev, it is for what goes into the tunnel; else for what comes
// out of it and leaves by Out or, if that is "", by any link.
type Masquerade struct {
	Dev string
	Out string `json:",omitempty"`
}

// A Standing is what of a link's stands in the gate.
type Standing struct {
	KillSwitch *KillSwitch // nil: none
	// Whole says that the kill switch lets through what it should, and nothing
	// else: nobody has changed it.
	Whole      bool
	Masquerade bool
}

// Is reports whether the kill switch k stands, as it should.
func (s Standing) Is(k *KillSwitch) bool { return s.Whole && s.KillSwitch.Equal(*k) }

type (
	// SetKillSwitch sets the kill switch of a link in place of the one that it
	// had; without Want it removes that.
	SetKillSwitch struct {
		Dev       string
		Had, Want *KillSwitch
	}
	// SetMasquerade does the same with a masquerade.
	SetMasquerade struct {
		Dev       string
		Had, Want *Masquerade
	}
)

// Undo returns what takes o back.
func (o SetKillSwitch) Undo() SetKillSwitch {
	return SetKillSwitch{Dev: o.Dev, Had: o.Want, Want: o.Had}
}

// Undo returns what takes o back.
func (o SetMasquerade) Undo() SetMasquerade {
	return SetMasquerade{Dev: o.Dev, Had: o.Want, Want: o.Had}
}

// Apply implements [Op].
func (o SetKillSwitch) Apply(ctx context.Context, h *Host) error {
	if o.Want == nil {
		return h.Gate.DelKillSwitch(ctx, o.Dev)
	}
	return h.Gate.SetKillSwitch(ctx, *o.Want)
}

// Apply implements [Op].
func (o SetMasquerade) Apply(ctx context.Context, h *Host) error {
	if o.Want == nil {
		return h.Gate.DelMasquerade(ctx, o.Dev)
	}
	return h.Gate.SetMasquerade(ctx, *o.Want)
}

// Lines implements [Op]. What the program gets is told by the key of a file.
func (o SetKillSwitch) Lines() iter.Seq[string] {
	value := "false"
	switch {
	case o.Want != nil && o.Want.LAN:
		value = "lan"
	case o.Want != nil:
		value = "true"
	}
	return one(firewallLine(NFT) + " # KillSwitch = " + value)
}

// Lines implements [Op].
func (o SetMasquerade) Lines() iter.Seq[string] {
	value := "off"
	if o.Want != nil {
		value = cmp.Or(o.Want.Out, "auto")
	}
	return one(firewallLine(NFT) + " # Masquerade = " + value)
}
