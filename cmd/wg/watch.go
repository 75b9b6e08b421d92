// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"wgtools/internal/cli"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/show"
)

const (
	defaultInterval  = 2 * time.Second
	shortestInterval = 100 * time.Millisecond
)

// rejectAfter is when a session's keys are thrown away (WireGuard paper,
// section 6.1): a peer that exchanges packets shakes hands again before.
const rejectAfter = 180 // seconds

func parseInterval(s string) (time.Duration, error) {
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(seconds) || seconds < shortestInterval.Seconds() || seconds > 24*3600 {
		return 0, &cli.Failure{
			Line:   fmt.Sprintf("--watch takes a number of seconds from 0.1 to 86400: `%s'", s),
			Advise: []string{"hint: --watch=2 shows a new picture every two seconds"},
		}
	}
	return time.Duration(seconds * float64(time.Second)), nil
}

// watching shows devices again and again: all of them if name is empty.
func (s *showing) watching(ctx context.Context, name string) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	w := &watcher{showing: s, name: name, ticks: time.NewTicker(s.watch).C}
	if s.json {
		return w.lines(ctx)
	}
	resized := make(chan os.Signal, 1)
	notifyResize(resized)
	defer signal.Stop(resized)
	w.resized = resized
	w.size = func() (int, int) {
		if f, ok := s.Out.(*os.File); ok {
			if width, height, err := term.GetSize(int(f.Fd())); err == nil {
				return width, height
			}
		}
		return 80, 24
	}
	return w.screen(ctx)
}

// A watcher is a live view.
type watcher struct {
	*showing
	name    string
	ticks   <-chan time.Time
	resized <-chan os.Signal
	size    func() (width, height int)

	before map[counterKey]counters // of the picture before this
	now    map[counterKey]counters
}

// A counterKey says whose counters they are.
type counterKey struct {
	device string
	peer   keys.Key
}

type counters struct {
	at             time.Time
	received, sent uint64
}

// lines prints a document on a line of its own each time.
func (w *watcher) lines(ctx context.Context) error {
	for {
		names, err := w.watched(ctx)
		if err != nil {
			return err
		}
		doc := w.out.JSON(w.Now(), w.showKeys, true)
		for _, name := range names {
			if err := w.jsonDevice(ctx, doc, name); err != nil {
				cli.Report(w.Err, accessFailure(ctx, w.client, name, err))
			}
		}
		doc.Close()
		select {
		case <-ctx.Done():
			return nil
		case <-w.ticks:
		}
	}
}

func accessFailure(ctx context.Context, client netlinkwg.Client, name string, err error) error {
	return &cli.Failure{
		Line:   fmt.Sprintf("Unable to access interface %s: %s", name, cli.Strerror(err)),
		Cause:  err,
		Advise: deviceAdvice(ctx, client, name, err),
	}
}

// watched returns the names of the devices to show now; they may come and go.
func (w *watcher) watched(ctx context.Context) ([]string, error) {
	if w.name != "" {
		return []string{w.name}, nil
	}
	return w.list(ctx)
}

// What a terminal does (ECMA-48 and xterm's private modes).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l" // another screen, without cursor
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// screen draws a picture each time, until it is interrupted. A device that
// isn't there when it begins is an error; one that goes away later is said.
func (w *watcher) screen(ctx context.Context) error {
	if w.name != "" {
		if _, _, err := netlinkwg.ReadAll(ctx, w.client, w.name); err != nil {
			return accessFailure(ctx, w.client, w.name, err)
		}
	}
	io.WriteString(w.Out, enterScreen)
	defer io.WriteString(w.Out, leaveScreen)
	for {
		text, err := w.picture(ctx)
		if err != nil {
			return err
		}
		width, height := w.size()
		io.WriteString(w.Out, frame(text, width, height))
		select {
		case <-ctx.Done():
			return nil
		case <-w.ticks:
		case <-w.resized:
		}
	}
}

// picture returns the text of all devices as they are now.
func (w *watcher) picture(ctx context.Context) (string, error) {
	names, err := w.watched(ctx)
	if err != nil {
		return "", err
	}
	w.before, w.now = w.now, map[counterKey]counters{}
	now := w.Now()
	b := fmt.Appendf(nil, "%s, every %v; stale: no handshake for %d seconds\n\n", now.Format("15:04:05"), w.watch, rejectAfter)
	if len(names) == 0 {
		b = append(b, "no WireGuard device\n"...)
	}
	for i, name := range names {
		if i > 0 {
			b = append(b, '\n')
		}
		d, peers, err := netlinkwg.ReadAll(ctx, w.client, name)
		if err != nil {
			var p cli.Problem
			if errors.As(accessFailure(ctx, w.client, name, err), &p) {
				b = append(append(b, strings.Join(p.Original(), "\n")...), '\n')
			}
			continue
		}
		style := w.style()
		style.Names = peerNames(name)
		style.Rate = func(p *device.Peer) (float64, float64) { return w.rate(name, p, now) }
		style.Stale = func(p *device.Peer) bool { return now.Unix()-p.LatestHandshake.Sec > rejectAfter }
		b = show.Pretty(b, d, peers, style)
	}
	return string(b), nil
}

// rate returns how many bytes a second came and went since the last picture.
func (w *watcher) rate(name string, p *device.Peer, now time.Time) (received, sent float64) {
	key := counterKey{name, p.PublicKey}
	c := counters{now, p.ReceivedBytes, p.SentBytes}
	w.now[key] = c
	old, ok := w.before[key]
	seconds := now.Sub(old.at).Seconds()
	if !ok || seconds <= 0 || c.received < old.received || c.sent < old.sent { // new, or made anew
		return 0, 0
	}
	return float64(c.received-old.received) / seconds, float64(c.sent-old.sent) / seconds
}

// frame returns what draws text on a terminal of that size over what is there.
// What doesn't fit is cut off, and the last line says so.
func frame(text string, width, height int) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if height > 1 && len(lines) > height {
		more := len(lines) - height + 1
		lines = append(lines[:height-1:height-1], fmt.Sprintf("… %d more lines", more))
	}
	var b strings.Builder
	b.WriteString(home)
	for i, line := range lines {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(cut(line, width))
		b.WriteString(clearLine)
	}
	b.WriteString(clearBelow)
	return b.String()
}

// cut returns as much of a line as fits into width columns; colours take none.
func cut(line string, width int) string {
	columns := 0
	colored := false
	for i := 0; i < len(line); {
		if strings.HasPrefix(line[i:], "\x1b[") {
			end := strings.IndexByte(line[i:], 'm')
			if end < 0 {
				return line[:i]
			}
			colored = line[i:i+end+1] != "\x1b[0m"
			i += end + 1
			continue
		}
		if columns == width {
			if colored {
				return line[:i] + "\x1b[0m"
			}
			return line[:i]
		}
		columns++
		for i++; i < len(line) && line[i]&0xc0 == 0x80; i++ { // the rest of a character
		}
	}
	return line
}
