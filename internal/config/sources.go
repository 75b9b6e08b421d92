// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// Sources are where a file takes what isn't in it. What a name stands for is
// theirs to say, by the directory of the file that has it ([Value.Pos]).
//
// An error may have a method Hint, with what to do, or Environment, which
// reports that the fault is not the file's.
type Sources interface {
	// KeyFile returns the key of the file that PrivateKeyFile or
	// PresharedKeyFile names.
	KeyFile(name Value) (keys.Key, error)
	// KeyCommand returns the key that a PrivateKeyCommand prints; it is absent
	// where commands aren't run.
	KeyCommand(command Value) (device.Optional[keys.Key], error)
	// Include returns the files that an Include names.
	Include(pattern Value) ([]File, error)
	// DropIns returns the files that are included without being named.
	DropIns() ([]File, error)
}

// A File is one that another one includes.
type File struct {
	Name string
	Text []byte
}

// sourceError notes what Sources say about a key of the file.
func (d *decoder) sourceError(key string, v Value, err error) {
	if isEnvironment(err) {
		if d.err == nil {
			d.environment = err
		}
		return
	}
	p := Problem{Pos: v.Pos, Code: Elsewhere, Reason: key + ": " + sourceReason(v, err)}
	var advises interface{ Hint() string }
	if errors.As(err, &advises) {
		p.Hint = advises.Hint()
	}
	d.problem(nil, p)
}

// sourceReason is what Sources say about a value, with the value hidden if a
// key stands where a path should.
func sourceReason(v Value, err error) string {
	reason := err.Error()
	if !looksSecret([]byte(v.Text)) {
		return reason
	}
	if reason = strings.ReplaceAll(reason, v.Text, "(hidden)"); !looksSecret([]byte(reason)) {
		return reason
	}
	return "(hidden) can't be read"
}

func isEnvironment(err error) bool {
	var env interface{ Environment() bool }
	return errors.As(err, &env) && env.Environment()
}

// openIncluded reads the files that are included, each once.
func (d *decoder) openIncluded() {
	if d.options.Sources == nil {
		return
	}
	known := map[string]bool{}
	add := func(key string, v Value, files []File, err error) {
		if err != nil {
			d.sourceError(key, v, err)
		}
		for _, f := range files {
			if !known[f.Name] {
				known[f.Name], d.config.borrows = true, true
				d.config.Included = append(d.config.Included, f)
			}
		}
	}
	for _, v := range d.config.Quick.Include {
		files, err := d.options.Sources.Include(v)
		add("Include", v, files, err)
	}
	files, err := d.options.Sources.DropIns()
	add("drop-ins", Value{Pos: Pos{d.file, 1, 1}}, files, err)
	if len(d.config.Included) > 0 {
		d.options.PeerInfo = true // says where a peer is
	}
}

// include decodes the files that are included. The file itself is through.
func (d *decoder) include() {
	if len(d.config.Included) == 0 {
		return
	}
	if d.config.PrivateKey.Set {
		d.self = device.Some(d.config.PrivateKey.Value.Public())
	}
	d.seen = make(map[keys.Key]Pos, len(d.config.Peers))
	for i := range d.config.Peers {
		d.seen[d.config.Peers[i].PublicKey] = d.config.PeerInfo[i].Pos
	}
	for _, f := range d.config.Included {
		d.file, d.included, d.section, d.quick = f.Name, true, noSection, false
		d.names = commentNames{}
		d.nul = bytes.IndexByte(f.Text, 0) >= 0
		d.lines(f.Text, d.quickLine)
		d.endSection()
	}
}

// privateKeyFromElsewhere gives the interface the key that a file or a command
// has. It is false if there should be one and isn't.
func (d *decoder) privateKeyFromElsewhere() bool {
	q := &d.config.Quick
	type source struct {
		key string
		pos Pos
	}
	var all []source
	if d.config.PrivateKey.Set {
		all = append(all, source{"PrivateKey", d.privateKeyPos})
	}
	if q.PrivateKeyFile.Text != "" {
		all = append(all, source{"PrivateKeyFile", q.PrivateKeyFile.Pos})
	}
	if q.PrivateKeyCommand.Text != "" {
		all = append(all, source{"PrivateKeyCommand", q.PrivateKeyCommand.Pos})
	}
	switch {
	case len(all) > 1:
		d.twice(all[1].key, all[1].pos, all[0].key, all[0].pos)
		return false
	case q.PrivateKeyFile.Text != "":
		d.config.PrivateKey = d.keyFile("PrivateKeyFile", q.PrivateKeyFile)
		return d.config.PrivateKey.Set || d.options.Sources == nil
	case q.PrivateKeyCommand.Text != "":
		return d.keyCommand(q.PrivateKeyCommand)
	}
	return true
}

// keyCommand gives the interface the key that a command prints. Nothing is run
// for a file that isn't taken.
func (d *decoder) keyCommand(command Value) bool {
	if _, err := keys.Parse(command.Text); err == nil {
		d.keyItself("PrivateKeyCommand", "a command that prints the key", command)
	}
	if d.err != nil {
		return false
	}
	if d.options.Sources == nil {
		return true
	}
	d.config.borrows = true
	k, err := d.options.Sources.KeyCommand(command)
	if err != nil {
		d.sourceError("PrivateKeyCommand", command, err)
	}
	d.config.PrivateKey = k
	return err == nil
}

// twice notes two keys of which a section may have one.
func (d *decoder) twice(key string, pos Pos, other string, at Pos) {
	d.problem(nil, Problem{Pos: pos, Code: Twice, Reason: fmt.Sprintf("%s: there is %s too, at %v", key, other, at), Hint: "keep one of the two"})
}

// keyFile returns the key of a file; absent with an error, which is noted.
func (d *decoder) keyFile(key string, v Value) (k device.Optional[keys.Key]) {
	if isKey(v.Text) {
		d.keyItself(key, "the path of a file", v)
		return k
	}
	if d.options.Sources == nil {
		return k
	}
	d.config.borrows = true
	read, err := d.options.Sources.KeyFile(v)
	switch {
	case err == nil:
		return device.Some(read)
	case d.maybeSelf() && !isEnvironment(err):
		d.warnAt(v.Pos, fmt.Sprintf("Warning: %s: %s", key, sourceReason(v, err)),
			"the peer is left out: perhaps it is this node itself, whose private key is not known here")
		d.dropPeer()
	default:
		d.sourceError(key, v, err)
	}
	return k
}

// maybeSelf reports whether the peer that ends could be this node itself: its
// command wasn't run, so its key isn't known. It may well lack what it needs
// as a peer.
func (d *decoder) maybeSelf() bool {
	return d.included && !d.self.Set && d.config.Quick.PrivateKeyCommand.Text != ""
}

// keyItself notes a key in the place of what tells where it is.
func (d *decoder) keyItself(key, expects string, v Value) {
	itself := strings.TrimSuffix(strings.TrimSuffix(key, "File"), "Command")
	d.problem(nil, Problem{
		Pos: v.Pos, Code: BadValue, Reason: key + ": a key stands here",
		Hint: fmt.Sprintf("%s takes %s; the key itself is for %s", key, expects, itself),
	})
}

// isKey reports whether what should be a path is a key, or most of one.
func isKey(s string) bool {
	if _, err := keys.Parse(string(squeeze(nil, []byte(s)))); err == nil {
		return true
	}
	return s[0] != '/' && s[0] != '.' && s[0] != '@' && looksSecret([]byte(s))
}

func (d *decoder) presharedKeyFile(value []byte) error {
	d.pskFile = Value{string(d.value), d.place(d.value, 0)}
	return nil
}

// endPeer ends a peer: what it has from elsewhere is fetched, unless it is this
// node's own entry in a file that all nodes share.
func (d *decoder) endPeer() {
	p := d.peer()
	file := d.pskFile
	psk := d.pskPos
	d.pskFile, d.pskPos = Value{}, Pos{}
	if d.included && d.keyed {
		if d.self.Set && p.PublicKey == d.self.Value {
			d.dropPeer()
			return
		}
		here := d.config.PeerInfo[len(d.config.PeerInfo)-1].Pos
		if at, ok := d.seen[p.PublicKey]; ok && at.File != here.File && !p.PublicKey.IsZero() {
			d.problem(nil, Problem{Pos: here, Code: Twice, Reason: fmt.Sprintf("this peer is at %v too", at), Hint: "keep one of the two"})
		}
		d.seen[p.PublicKey] = here
	}
	switch {
	case file.Text == "":
	case psk.Line > 0:
		d.twice("PresharedKeyFile", file.Pos, "PresharedKey", psk)
	default:
		n := len(d.config.Peers)
		k := d.keyFile("PresharedKeyFile", file)
		if len(d.config.Peers) < n {
			return // it is left out
		}
		p.PresharedKey = k
	}
	d.exclude()
}

// dropPeer forgets the last peer.
func (d *decoder) dropPeer() {
	n := len(d.config.Peers) - 1
	d.config.Peers, d.config.PeerInfo, d.excluded = d.config.Peers[:n], d.config.PeerInfo[:n], nil
	d.config.Names = slices.DeleteFunc(d.config.Names, func(o Name) bool { return o.Peer == n })
	d.config.Settings = slices.DeleteFunc(d.config.Settings, func(s Setting) bool { return s.Peer == n })
	d.config.Headers = slices.DeleteFunc(d.config.Headers, func(h Header) bool { return h.Peer == n })
}
