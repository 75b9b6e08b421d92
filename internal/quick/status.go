// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package quick

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/plan"
)

// A Status is what of a tunnel there is, beside what its file says.
type Status struct {
	Dev, Config string
	Phase       Phase // "" if there is nothing of it
	Peers       []PeerStatus
	// KillSwitch is the one that stands, with the tunnel or without it; nil: none.
	// Whole says that nobody has changed it.
	KillSwitch *plan.KillSwitch
	Whole      bool
	// Edits are what the file would have to say for the tunnel to be as it is.
	Edits []config.Edit
	// Elsewhere is what is otherwise and isn't for the file to say.
	Elsewhere []string
	// Steps are those of a reload, but for the device.
	Steps []string
	// Notes are what else a reload would say, as of changes by others.
	Notes []string
	// Left is what there is of a tunnel that came to a sudden end: the steps that
	// would remove it.
	Left []string
	// Busy says that it came to no end: somebody is just bringing it up or taking
	// it down.
	Busy bool
}

// A PeerStatus is what of a peer tells whether the way to it works.
type PeerStatus struct {
	PublicKey       keys.Key
	Name            string // by the file's comments
	Endpoint        netip.AddrPort
	LatestHandshake device.Time
	Contact         Contact
}

// A Contact says how a device is in touch with a peer.
type Contact string

// The contacts that there are.
const (
	Fresh Contact = "fresh" // there is a session
	Idle  Contact = "idle"  // none, and nothing that says that there should be
	Stale Contact = "stale" // none, although the device tries
)

// sessionTime is how long a session lasts after its handshake at the most
// (Reject-After-Time in section 6.1 of the WireGuard paper).
const sessionTime = 180 * time.Second

// contact judges a peer at the time now. Who sends keepalives has a handshake
// every two minutes; who has sent something and never had one, tries in vain.
func contact(p *device.Peer, now time.Time) Contact {
	age := now.Sub(time.Unix(p.LatestHandshake.Sec, p.LatestHandshake.Nsec))
	never := p.LatestHandshake.IsZero()
	switch {
	case !never && age <= sessionTime:
		return Fresh
	case p.PersistentKeepalive > 0 && p.Endpoint.IsValid(), never && p.SentBytes > 0:
		return Stale
	}
	return Idle
}

// InTouch reports whether a peer has a session or, if none is tried, whether
// none has to have one.
func (s *Status) InTouch() bool {
	stale := false
	for i := range s.Peers {
		switch s.Peers[i].Contact {
		case Fresh:
			return true
		case Stale:
			stale = true
		}
	}
	return !stale
}

// Drifted reports whether the tunnel isn't what its file says.
func (s *Status) Drifted() bool { return len(s.Edits)+len(s.Elsewhere)+len(s.Steps) > 0 }

// Status compares the tunnel with t, of whose file doc is the text. It changes
// nothing, and waits for nobody.
func (s *Session) Status(ctx context.Context, t *Tunnel, doc *config.Document, now time.Time) (*Status, error) {
	status := &Status{Dev: t.Dev, Config: t.Config}
	busy := s.Journal.Busy(t.Dev) // it may be done when we come to ask again
	record, link, err := s.found(ctx, t)
	if _, refused := errors.AsType[*Refusal](err); refused {
		return status, nil // there is none, or something else of that name
	}
	if err != nil {
		return nil, err
	}
	status.Phase = record.Phase
	standing, err := s.Look.Standing(ctx, t.Dev)
	if err != nil {
		return nil, err
	}
	status.KillSwitch, status.Whole = standing.KillSwitch, standing.Whole
	if record.Phase != Up && (busy || s.Journal.Busy(t.Dev)) {
		status.Busy = true
		return status, nil
	}
	if link.Index == 0 || record.Phase != Up {
		_, status.Left, err = s.rehearse(func(r *Session) error {
			told, err := r.clear(ctx, record, link.Index != 0)
			return errors.Join(told, err, r.endKillSwitch(ctx, record))
		})
		return status, err
	}
	live, err := s.Look.Live(ctx, t.Dev)
	if err != nil {
		return nil, err
	}
	for i := range live.Peers {
		p := &live.Peers[i]
		status.Peers = append(status.Peers, PeerStatus{p.PublicKey, t.PeerNames[p.PublicKey], p.Endpoint, p.LatestHandshake, contact(p, now)})
		p.Endpoint = netip.AddrPort{} // a peer may roam
	}
	if doc == nil {
		return status, nil
	}
	live.Addresses = withoutLinkLocal(live.Addresses, t.Addresses)
	live.Addresses = append(live.Addresses, s.leftOut(ctx, t.Dev, t.Addresses, live.Addresses)...)
	base, err := s.Journal.Baseline(t.Dev)
	if err != nil {
		return nil, err
	}
	if base != nil && base.Link == link.Index {
		live.Addresses = but(live.Addresses, but(base.Addresses, t.Addresses)) // what hooks added belongs here
	}
	status.Edits, status.Elsewhere = doc.Update(live, t.Borrowed, parseAddress)
	status.Notes, status.Steps, err = s.rehearse(func(r *Session) error {
		r.anyEndpoint = true // nothing has to be looked up
		return r.Reload(ctx, t)
	})
	if base != nil && base.Link == link.Index {
		for _, e := range t.endpoints() {
			if _, there := base.Peers[e.peer]; there && base.Endpoints[e.peer] != e.digest() {
				status.Steps = append(status.Steps, "wg set "+t.Dev+" peer "+e.peer.Base64()+" endpoint "+e.text)
			}
		}
	}
	return status, err
}

// rehearse returns what a rehearsal says and the steps that it takes, those of
// the device apart.
func (s *Session) rehearse(do func(*Session) error) (said, steps []string, err error) {
	quiet := *s
	quiet.Tx = &plan.Tx{Host: s.Tx.Host, Trace: func(op plan.Op) {
		if _, ok := op.(plan.Configure); !ok {
			steps = slices.AppendSeq(steps, op.Lines())
		}
	}}
	quiet.Say = func(line string) {
		said = append(said, strings.TrimSuffix(strings.TrimPrefix(line, "[!] "), " Put right."))
	}
	r := quiet.Rehearsal()
	r.KeepRuntime = false
	err = do(r)
	return said, steps, err
}
