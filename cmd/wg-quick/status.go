// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/quick"
	"wgtools/internal/routing"
)

// The exit statuses of status. With several tunnels it is the worst one's; a
// tunnel that has drifted and isn't in touch either, isn't in touch.
const (
	statusDrift   status = 3 // not what its file says
	statusDown    status = 4 // not up
	statusNoTouch status = 5 // no fresh handshake where there should be one
)

// status says of tunnels, of all that are up if none are named, how they are.
func (a *app) status(ctx context.Context, args []string) error {
	if err := a.needRoot(); err != nil {
		return err
	}
	if len(args) == 0 {
		var err error
		if args, err = a.candidates(true); err != nil {
			return err
		}
		// What blocks the net is told in any case.
		if args, err = a.withKillSwitches(ctx, args); err != nil {
			return err
		}
		if len(args) == 0 {
			return statusDown
		}
	}
	all, err := each(a, args, func(arg string) (*quick.Status, error) { return a.statusOf(ctx, arg) })
	if a.json {
		return cmp.Or(err, a.printStatusJSON(all), worst(all))
	}
	for _, s := range all {
		if s != nil {
			a.printStatus(s)
		}
	}
	return cmp.Or(err, worst(all))
}

// withKillSwitches returns args and the tunnels whose kill switch stands.
func (a *app) withKillSwitches(ctx context.Context, args []string) ([]string, error) {
	err := a.session(ctx, func(s *quick.Session) error {
		standing, err := s.Look.KillSwitches(ctx)
		for _, dev := range standing {
			if !slices.ContainsFunc(args, func(arg string) bool { return deviceOf(arg) == dev }) {
				args = append(args, dev)
			}
		}
		return err
	})
	return args, err
}

// statusOf returns how one tunnel is. Without a file that can be used, that is
// what can be told by its record and what stands of it, beside the error.
func (a *app) statusOf(ctx context.Context, arg string) (s *quick.Status, err error) {
	var doc *config.Document
	var t *quick.Tunnel
	f, unusable := a.open(ctx, arg)
	if unusable == nil {
		doc = config.Scan(f.path, f.text)
		t, unusable = a.decode(ctx, f)
	}
	if unusable != nil {
		dev := deviceOf(arg)
		if dev == "" {
			return nil, unusable
		}
		t, doc = &quick.Tunnel{Dev: dev, Config: arg, Table: routing.Chosen(0)}, nil
	}
	err = a.session(ctx, func(session *quick.Session) error {
		s, err = session.Status(ctx, t, doc, a.Now())
		return err
	})
	switch {
	case unusable == nil || err != nil:
	case s.Phase == "":
		s = nil // there is nothing to tell
	case s.Phase != quick.Up:
		a.report(unusable) // it doesn't matter for what is left
		return s, nil
	}
	return s, errors.Join(unusable, err)
}

// verdict returns the exit status of one tunnel, 0 if all is well.
func verdict(s *quick.Status) status {
	switch {
	case s.Phase != quick.Up || len(s.Left) > 0:
		return statusDown
	case !s.InTouch():
		return statusNoTouch
	case s.Drifted():
		return statusDrift
	}
	return 0
}

// words are the verdicts for people and programs.
var words = map[status]string{0: "healthy", statusDrift: "drift", statusDown: "not up", statusNoTouch: "no handshake"}

// worst returns the verdict of several tunnels, nil if all is well.
func worst(all []*quick.Status) error {
	verdicts := map[status]bool{}
	for _, s := range all {
		if s != nil {
			verdicts[verdict(s)] = true
		}
	}
	for _, bad := range []status{statusDown, statusNoTouch, statusDrift} {
		if verdicts[bad] {
			return bad
		}
	}
	return nil
}

// becoming says what another process makes of a tunnel.
var becoming = map[quick.Phase]string{
	quick.Coming: "another process is bringing it up", quick.Going: "another process is taking it down"}

// mostPeers is how many peers are listed one by one, unless they are stale.
const mostPeers = 20

func (a *app) printStatus(s *quick.Status) {
	var b strings.Builder
	defer func() { io.WriteString(a.Out, b.String()) }()
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	v := verdict(s)
	line("%s: %s", s.Dev, map[status]string{
		0: "up, healthy", statusDrift: "up, but not what its file says", statusDown: "not up", statusNoTouch: "up, without a fresh handshake",
	}[v])
	if s.Phase == "" {
		return
	}
	if text := a.killSwitchOf(s); text != "" {
		line("  %s", text)
	}
	if s.Busy {
		line("  %s", becoming[s.Phase])
		return
	}
	if len(s.Left) > 0 {
		line("  came to a sudden end; `%s down %s' would remove what is left:", a.prog, s.Dev)
		for _, step := range s.Left {
			line("    %s", step)
		}
		return
	}
	a.printContacts(line, s.Peers)
	if len(s.Edits) > 0 {
		line("  %s (-) and what there is (+):", s.Config)
		for _, e := range s.Edits {
			number := fmt.Sprint(e.Line)
			for i, old := range e.Old {
				line("  %5s - %s", fmt.Sprint(e.Line+i), old)
			}
			for _, text := range e.New {
				if len(e.Old) > 0 {
					number = ""
				}
				line("  %5s + %s", number, text)
			}
		}
	}
	if len(s.Steps) > 0 {
		line("  `%s reload %s' would:", a.prog, s.Dev)
		for _, step := range s.Steps {
			line("    %s", step)
		}
	}
	for _, note := range slices.Concat(s.Elsewhere, s.Notes) {
		line("  %s", note)
	}
}

// killSwitchOf says what the kill switch of a tunnel blocks, "" if there is none.
func (a *app) killSwitchOf(s *quick.Status) string {
	k := s.KillSwitch
	if k == nil {
		return ""
	}
	what := "kill switch: nothing leaves but by the tunnel"
	if k.LAN {
		what += " and to local networks"
	}
	switch {
	case !s.Whole:
		return fmt.Sprintf("kill switch: others have changed it (table inet wg-killswitch); `%s reload %s' puts it right", a.prog, s.Dev)
	case !s.Busy && (s.Phase != quick.Up || len(s.Left) > 0):
		return fmt.Sprintf("%s, which isn't up: this blocks the net. `%s up %s' brings it up, `%[2]s unlock %[3]s' opens the net", what, a.prog, s.Dev)
	}
	return what
}

func (a *app) printContacts(line func(string, ...any), peers []quick.PeerStatus) {
	count := map[quick.Contact]int{}
	for i := range peers {
		p := &peers[i]
		count[p.Contact]++
		if n := count[p.Contact]; n > mostPeers || len(peers) > mostPeers && p.Contact != quick.Stale {
			continue
		}
		text := "no handshake yet"
		if !p.LatestHandshake.IsZero() {
			text = "handshake " + age(a.Now().Sub(time.Unix(p.LatestHandshake.Sec, p.LatestHandshake.Nsec)))
		}
		switch p.Contact {
		case quick.Stale:
			text += "; it doesn't answer"
		case quick.Idle:
			text += "; idle"
		}
		at := ""
		if p.Endpoint.IsValid() {
			at = " at " + string(device.AppendEndpoint(nil, p.Endpoint))
		}
		line("  peer %s%s: %s", cmp.Or(p.Name, p.PublicKey.Base64()), at, text)
	}
	if len(peers) > mostPeers {
		line("  %d peers: %d with a session, %d idle, %d that don't answer", len(peers), count[quick.Fresh], count[quick.Idle], count[quick.Stale])
	}
}

// age says how long ago something was.
func age(d time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := d / unit.of; n >= 1 {
			if n > 1 {
				unit.name += "s"
			}
			return fmt.Sprintf("%d %s ago", n, unit.name)
		}
	}
	return "just now"
}

// The document of --json (docs/json.md).
type (
	statusJSON struct {
		Version  int          `json:"version"`
		TimeUnix int64        `json:"time_unix"`
		Tunnels  []tunnelJSON `json:"tunnels"`
	}
	tunnelJSON struct {
		Name    string `json:"name"`
		Config  string `json:"config"`
		Verdict string `json:"verdict"`
		// KillSwitch is "on", "lan" or "changed".
		KillSwitch *string    `json:"kill_switch"`
		Peers      []peerJSON `json:"peers"`
		Edits      []editJSON `json:"edits"`
		Reload     []string   `json:"reload"`
		Notes      []string   `json:"notes"`
		Left       []string   `json:"left"`
	}
	peerJSON struct {
		PublicKey           string  `json:"public_key"`
		Name                *string `json:"name"`
		Endpoint            *string `json:"endpoint"`
		LatestHandshakeUnix *int64  `json:"latest_handshake_unix"`
		Contact             string  `json:"contact"`
	}
	editJSON struct {
		Line   int      `json:"line"`
		File   []string `json:"file"`
		Tunnel []string `json:"tunnel"`
	}
)

func (a *app) printStatusJSON(all []*quick.Status) error {
	doc := statusJSON{Version: 1, TimeUnix: a.Now().Unix(), Tunnels: []tunnelJSON{}}
	for _, s := range all {
		if s == nil {
			continue
		}
		t := tunnelJSON{
			Name: s.Dev, Config: s.Config, Verdict: words[verdict(s)], Peers: []peerJSON{}, Edits: []editJSON{},
			Reload: list(s.Steps), Notes: list(slices.Concat(s.Elsewhere, s.Notes)), Left: list(s.Left),
		}
		if s.Busy {
			t.Notes = append(t.Notes, becoming[s.Phase])
		}
		if k := s.KillSwitch; k != nil {
			text := "on"
			if k.LAN {
				text = "lan"
			}
			if !s.Whole {
				text = "changed"
			}
			t.KillSwitch = &text
		}
		for i := range s.Peers {
			p := &s.Peers[i]
			one := peerJSON{PublicKey: p.PublicKey.Base64(), Contact: string(p.Contact)}
			if p.Name != "" {
				one.Name = &p.Name
			}
			if p.Endpoint.IsValid() {
				one.Endpoint = new(string(device.AppendEndpoint(nil, p.Endpoint)))
			}
			if !p.LatestHandshake.IsZero() {
				one.LatestHandshakeUnix = &p.LatestHandshake.Sec
			}
			t.Peers = append(t.Peers, one)
		}
		for _, e := range s.Edits {
			t.Edits = append(t.Edits, editJSON{e.Line, list(e.Old), list(e.New)})
		}
		doc.Tunnels = append(doc.Tunnels, t)
	}
	return a.printJSON(doc)
}

// list returns a list that isn't null in JSON.
func list(l []string) []string {
	if l == nil {
		return []string{}
	}
	return l
}

// printJSON prints a document on one line.
func (a *app) printJSON(doc any) error {
	e := json.NewEncoder(a.Out)
	e.SetEscapeHTML(false)
	return e.Encode(doc)
}
