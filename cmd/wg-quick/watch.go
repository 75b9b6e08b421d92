// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/plan"
	"wgtools/internal/quick"
	"wgtools/internal/resolve"
	"wgtools/internal/rtnl"
	watching "wgtools/internal/watch"
)

// watch watches tunnels until it is told to end, or until those that were named
// are gone.
func (a *app) watch(ctx context.Context, args []string) error {
	if (len(args) > 0) == a.all {
		return errUsage
	}
	if err := a.needRoot(); err != nil {
		return err
	}
	if a.home != nil {
		return &quick.Refusal{
			Text: "watch doesn't go with --netns",
			Hint: fmt.Sprintf("start it inside: `ip netns exec %s %s watch'; it looks names up there then", a.netns, a.prog),
		}
	}
	h, err := a.watchHost(ctx, args)
	if err != nil {
		return err
	}
	moved, err := rtnl.Monitor(ctx)
	if err != nil {
		return err
	}
	come, err := recordChanges(ctx, runDir)
	if err != nil {
		return err
	}
	if err := h.allUp(ctx); err != nil {
		return err
	}
	if err := notifyReady(a.Getenv("NOTIFY_SOCKET")); err != nil {
		return err
	}
	w := watching.Watch{Host: h, Say: a.sayEvent, Times: watching.DefaultTimes, Jitter: rand.Float64}
	if a.times != nil {
		w.Times = *a.times
	}
	return w.Run(ctx, !a.all, come, moved)
}

// notifyReady tells who started this that all is set up (sd_notify(3)): systemd,
// if there is such a socket.
func notifyReady(socket string) error {
	if socket == "" {
		return nil
	}
	if socket[0] == '@' {
		socket = "\x00" + socket[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd that it is ready: %w", err)
	}
	defer conn.Close()
	_, err = conn.Write([]byte("READY=1"))
	return err
}

// A watchHost is the real host, as a watch sees it.
type watchHost struct {
	app     *app
	named   map[string]string // the tunnels' files by their names; nil: all that are up
	journal *journal
	names   *resolve.Resolver
	devices host

	mu    sync.Mutex
	files map[string]namesFile
}

var _ watching.Host = (*watchHost)(nil)

// A namesFile is what was read of a file, and of which state of it.
type namesFile struct {
	path  string
	state os.FileInfo
	peers []watching.Named
}

// watchHost returns the host for the tunnels that args name, or for all. What
// their files could have against it is found now.
func (a *app) watchHost(ctx context.Context, args []string) (*watchHost, error) {
	h := &watchHost{
		app: a, journal: newJournal(runDir), names: resolve.New(ctx, a.LookupEnv, a.Err),
		devices: host{client: netlinkwg.New()}, files: map[string]namesFile{},
	}
	if len(args) == 0 {
		return h, nil
	}
	h.named = map[string]string{}
	_, err := each(a, args, func(arg string) (struct{}, error) {
		f, err := a.open(ctx, arg)
		if err == nil {
			h.named[f.dev] = f.path
			_, err = a.decode(ctx, f)
		}
		return struct{}{}, err
	})
	return h, err
}

// allUp refuses if a tunnel that was named isn't up.
func (h *watchHost) allUp(ctx context.Context) error {
	there, err := h.Tunnels(ctx)
	if err != nil {
		return err
	}
	for dev := range h.named {
		if !slices.Contains(there, dev) {
			return &quick.Refusal{Text: fmt.Sprintf("`%s' is not up", dev), Hint: fmt.Sprintf("`%s up %s' brings it up", h.app.prog, dev)}
		}
	}
	return nil
}

// Tunnels implements [watching.Host]. One that was named may be another program's,
// without a record.
func (h *watchHost) Tunnels(context.Context) (list []string, err error) {
	records, err := h.journal.Others("")
	if err != nil {
		return nil, err
	}
	recorded := map[string]bool{}
	for _, r := range records {
		recorded[r.Dev] = true
		_, wanted := h.named[r.Dev]
		if link, err := net.InterfaceByName(r.Dev); err == nil && link.Index == r.Link && r.Phase == quick.Up && (wanted || h.named == nil) {
			list = append(list, r.Dev)
		}
	}
	for dev := range h.named {
		if _, err := net.InterfaceByName(dev); err == nil && !recorded[dev] {
			list = append(list, dev)
		}
	}
	return list, nil
}

// Named implements [watching.Host].
func (h *watchHost) Named(ctx context.Context, dev string) ([]watching.Named, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.files[dev]
	path := h.named[dev]
	if h.named == nil {
		r, err := h.journal.Read(dev)
		if err != nil {
			return nil, err
		}
		if r != nil {
			path = r.Config
		}
	}
	state, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if known.path == path && os.SameFile(state, known.state) && state.ModTime().Equal(known.state.ModTime()) && state.Size() == known.state.Size() {
		return known.peers, nil
	}
	env := *h.app.Env
	env.Err = io.Discard // what there is to warn of, up has said
	quiet := *h.app
	quiet.Env = &env
	f, err := quiet.open(ctx, path)
	if err != nil {
		return nil, err
	}
	t, err := quiet.decode(ctx, f)
	if err != nil {
		return nil, err
	}
	known = namesFile{path, state, nil}
	index := map[keys.Key]int{}
	for _, n := range t.Names {
		key := t.Device.Peers[n.Peer].PublicKey
		peer := watching.Named{Key: key, Name: t.PeerNames[key], Endpoint: n.Text}
		if i, twice := index[key]; twice {
			known.peers[i] = peer
			continue
		}
		index[key] = len(known.peers)
		known.peers = append(known.peers, peer)
	}
	h.files[dev] = known
	return known.peers, nil
}

// Contacts implements [watching.Host]. A device that is gone has none.
func (h *watchHost) Contacts(ctx context.Context, dev string, peers []watching.Named) (map[keys.Key]watching.Contact, error) {
	wanted := map[keys.Key]bool{}
	for _, p := range peers {
		wanted[p.Key] = true
	}
	there, err := h.devices.Some(ctx, dev, wanted)
	if gone(err) {
		return nil, nil
	}
	contacts := map[keys.Key]watching.Contact{}
	for key, p := range there {
		contacts[key] = watching.Contact{Endpoint: p.Endpoint, Handshake: p.LatestHandshake, Sent: p.SentBytes, Keepalive: p.PersistentKeepalive > 0}
	}
	return contacts, err
}

// gone reports whether err says that there is no such device: a tunnel that goes
// down takes it along before that is told.
func gone(err error) bool {
	return errors.Is(err, syscall.ENODEV) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

// lookupTime is how long a look-up may take: a C library's two attempts at three
// name servers.
const lookupTime = 30 * time.Second

// Lookup implements [watching.Host]. Name servers are asked as by every program: a
// query that the tunnel should carry never goes outside, even if it is dead.
func (h *watchHost) Lookup(ctx context.Context, dev, endpoint string) ([]netip.AddrPort, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	all, err := h.names.All(ctx, endpoint)
	if err == nil {
		return all, nil
	}
	if r, e := h.journal.Read(dev); e == nil && r != nil && len(r.Defaults) > 0 {
		return nil, fmt.Errorf("%w; this tunnel takes all traffic, so name servers are asked through it, and never outside", err)
	}
	if dev, blocks := h.killSwitch(); blocks {
		return nil, fmt.Errorf("%w; the kill switch of `%s' lets nobody ask outside its tunnel", err, dev)
	}
	return nil, err
}

// killSwitch returns a tunnel with a kill switch, if there is one.
func (h *watchHost) killSwitch() (dev string, ok bool) {
	records, err := h.journal.Others("")
	if err != nil {
		return "", false
	}
	for _, r := range records {
		if r.KillSwitch != nil {
			return r.Dev, true
		}
	}
	return "", false
}

// SetEndpoint implements [watching.Host].
func (h *watchHost) SetEndpoint(ctx context.Context, dev string, peer keys.Key, endpoint netip.AddrPort) error {
	err := h.devices.Configure(ctx, dev, &device.Change{Peers: []device.PeerChange{{PublicKey: peer, UpdateOnly: true, Endpoint: endpoint}}})
	if gone(err) {
		return nil
	}
	return err
}

// Repair implements [watching.Host]. Whether there is anything to do is found out
// without the tunnel's lock, so that commands nearly never meet it.
func (h *watchHost) Repair(ctx context.Context, dev string, moved bool) (watching.Repair, error) {
	planned, err := h.repair(ctx, dev, moved, (*quick.Session).Rehearsal)
	if err != nil || len(planned.Steps) == 0 {
		return watching.Repair{}, err
	}
	unlock, err := h.journal.lockBriefly(ctx, dev)
	if errors.Is(err, errLocked) {
		return watching.Repair{}, watching.ErrBusy
	}
	if err != nil {
		return watching.Repair{}, err
	}
	defer unlock()
	return h.repair(ctx, dev, moved, func(s *quick.Session) *quick.Session { return s })
}

func (h *watchHost) repair(ctx context.Context, dev string, moved bool, as func(*quick.Session) *quick.Session) (done watching.Repair, err error) {
	err = h.app.session(ctx, func(s *quick.Session) error {
		s.Tx.Trace = func(op plan.Op) { done.Steps = slices.AppendSeq(done.Steps, op.Lines()) }
		s.Say = func(line string) { done.Notes = append(done.Notes, strings.TrimPrefix(line, "[!] ")) }
		return as(s).Repair(ctx, dev, moved)
	})
	if err != nil {
		err = errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return done, err
}

// sayEvent prints an event.
func (a *app) sayEvent(e watching.Event) {
	if a.json {
		a.printEventJSON(e)
		return
	}
	tunnel := ""
	if e.Tunnel != "" {
		tunnel = e.Tunnel + ": "
	}
	lines := []string{e.Text}
	if e.Kind == watching.Repaired {
		lines = e.Repair.Notes
		for _, step := range e.Repair.Steps {
			lines = append(lines, "[#] "+step)
		}
	}
	var b strings.Builder
	for _, line := range lines {
		fmt.Fprintf(&b, "%s%s\n", tunnel, line)
	}
	io.WriteString(a.Out, b.String())
}

// An eventJSON is a line of --json (docs/json.md).
type eventJSON struct {
	Version  int      `json:"version"`
	Time     string   `json:"time"`
	TimeUnix int64    `json:"time_unix"`
	Tunnel   *string  `json:"tunnel"`
	Event    string   `json:"event"`
	Peer     *string  `json:"peer"`
	Name     *string  `json:"name"`
	Endpoint *string  `json:"endpoint"`
	Notes    []string `json:"notes"`
	Steps    []string `json:"steps"`
	Text     string   `json:"text"`
}

func (a *app) printEventJSON(e watching.Event) {
	line := eventJSON{
		Version: 1, Time: e.Time.UTC().Format(time.RFC3339Nano), TimeUnix: e.Time.Unix(), Tunnel: textOrNull(e.Tunnel), Event: string(e.Kind),
		Notes: list(e.Repair.Notes), Steps: list(e.Repair.Steps), Text: e.Text,
	}
	if e.Peer != nil {
		line.Peer, line.Name = new(e.Peer.Key.Base64()), textOrNull(e.Peer.Name)
	}
	if e.Endpoint.IsValid() {
		line.Endpoint = new(string(device.AppendEndpoint(nil, e.Endpoint)))
	}
	_ = a.printJSON(line) // who doesn't read it misses nothing else
}

// textOrNull returns a text that is null in JSON if there is none.
func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
