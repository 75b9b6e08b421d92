// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"errors"
	"fmt"

	"wgtools/internal/cli"
	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
	"wgtools/internal/resolve"
)

const setUsage = "<interface> [listen-port <port>] [fwmark <mark>] [private-key <file path>] " +
	"[peer <base64 public key> [remove] [preshared-key <file path>] [endpoint <ip>:<port>] " +
	"[persistent-keepalive <interval seconds>] [allowed-ips [+|-]<ip1>/<cidr1>[,[+|-]<ip2>/<cidr2>]...] ]..."

func runSet(ctx context.Context, a *app, args []string) error {
	if len(args) < 2 {
		return a.usage(setUsage)
	}
	w := setWords{app: a, resolver: resolve.New(ctx, a.LookupEnv, a.Err)}
	change, err := w.parse(args[1:])
	if err != nil {
		return err
	}
	return a.modify(ctx, linkName(args[0]), change)
}

// linkName cuts a name to the 15 bytes that a link's has: where devices are
// changed the original does so, without a word.
func linkName(name string) string { return name[:min(len(name), 15)] }

// modify makes one request to the device name.
func (a *app) modify(ctx context.Context, name string, change *device.Change) error {
	if err := a.client.Configure(ctx, name, change); err != nil {
		return &cli.Failure{
			Line:   "Unable to modify interface: " + cli.Strerror(err),
			Cause:  err,
			Advise: deviceAdvice(ctx, a.client, name, err),
		}
	}
	return nil
}

// setWords reads the words of "wg set" after the interface, from left to
// right, up to the first mistake.
type setWords struct {
	*app
	resolver *resolve.Resolver
	change   device.Change
	peer     *device.PeerChange // the last one named; nil before the first
}

// A setting is a word that takes a value, and what it does with it.
type setting struct {
	word, value string
	peer        bool // it belongs to a peer, else to the interface
	set         func(w *setWords, value string) error
}

var settings = []setting{
	{"listen-port", "a port", false, (*setWords).setListenPort},
	{"fwmark", "a number, or off", false, (*setWords).setFwmark},
	{"private-key", "a file with the key", false, (*setWords).setPrivateKey},
	{"preshared-key", "a file with the key", true, (*setWords).setPresharedKey},
	{"endpoint", "HOST:PORT", true, (*setWords).setEndpoint},
	{"persistent-keepalive", "seconds, or off", true, (*setWords).setKeepalive},
	{"allowed-ips", "a list of IP/CIDR", true, (*setWords).setAllowedIPs},
}

func (w *setWords) parse(words []string) (*device.Change, error) {
	for len(words) > 0 {
		word := words[0]
		if word == "remove" && w.peer != nil {
			w.peer.Remove = true
			words = words[1:]
			continue
		}
		if len(words) < 2 {
			return nil, w.unexpected(word)
		}
		if err := w.set(word, words[1]); err != nil {
			return nil, err
		}
		words = words[2:]
	}
	return &w.change, nil
}

func (w *setWords) set(word, value string) error {
	if word == "peer" {
		key, err := config.ParseKey(value, false)
		if err != nil {
			return err
		}
		w.change.Peers = append(w.change.Peers, device.PeerChange{PublicKey: key})
		w.peer = &w.change.Peers[len(w.change.Peers)-1]
		return nil
	}
	for _, s := range settings {
		if s.word == word && s.peer == (w.peer != nil) {
			return s.set(w, value)
		}
	}
	return w.unexpected(word)
}

// unexpected says why word can't stand where it does.
func (w *setWords) unexpected(word string) error {
	f := &cli.Failure{Line: "Invalid argument: " + word}
	for _, s := range settings {
		switch {
		case s.word != word:
		case s.peer == (w.peer != nil):
			f.Advise = []string{fmt.Sprintf("hint: after `%s' comes %s", word, s.value)}
		case s.peer:
			f.Advise = []string{fmt.Sprintf("hint: `%s' belongs to a peer: say `peer PUBLIC-KEY' before it", word)}
		default:
			f.Advise = []string{fmt.Sprintf("hint: `%s' belongs to the interface: it must come before the first `peer'", word)}
		}
	}
	switch {
	case f.Advise != nil:
	case word == "peer":
		f.Advise = []string{"hint: after `peer' comes its public key"}
	case word == "remove":
		f.Advise = []string{"hint: `remove' belongs to a peer: peer PUBLIC-KEY remove"}
	case w.peer != nil:
		f.Advise = []string{"hint: a peer takes remove, preshared-key, endpoint, persistent-keepalive or allowed-ips; or name the next peer"}
	default:
		f.Advise = []string{"hint: an interface takes listen-port, fwmark or private-key, then peer PUBLIC-KEY and its settings"}
	}
	return f
}

func (w *setWords) setListenPort(value string) error {
	port, err := w.resolver.Port(value)
	w.change.ListenPort = device.Some(port)
	return err
}

func (w *setWords) setFwmark(value string) error {
	mark, err := config.ParseFwmark(value)
	w.change.Fwmark = device.Some(mark)
	return err
}

func (w *setWords) setPrivateKey(path string) error {
	key, err := readKeyFile(path)
	w.change.PrivateKey = device.Some(key)
	return err
}

func (w *setWords) setPresharedKey(path string) error {
	key, err := readKeyFile(path)
	w.peer.PresharedKey = device.Some(key)
	return err
}

func (w *setWords) setEndpoint(value string) error {
	endpoint, err := w.resolver.Endpoint(value)
	w.peer.Endpoint = endpoint
	return err
}

func (w *setWords) setKeepalive(value string) error {
	seconds, err := config.ParseKeepalive(value)
	w.peer.PersistentKeepalive = device.Some(seconds)
	return err
}

func (w *setWords) setAllowedIPs(list string) (err error) {
	w.peer.AllowedIPs, w.peer.ReplaceAllowedIPs, err = config.AppendAllowedIPs(w.peer.AllowedIPs, list, w.warn)
	return err
}

// readKeyFile reads a key from a file, with the original's words for failures.
func readKeyFile(path string) (keys.Key, error) {
	key, err := keys.ReadFile(path)
	if err == nil {
		return key, nil
	}
	f := &cli.Failure{Cause: err}
	var trailing keys.TrailingError
	switch {
	case errors.Is(err, keys.ErrLength):
		f.Line = "Invalid length key in key file"
		f.Advise = []string{fmt.Sprintf("%s: shorter than the 44 characters of a key", path)}
	case errors.As(err, &trailing):
		f.Line = fmt.Sprintf("Found trailing character in key file: `%s'", string([]byte{byte(trailing)}))
		f.Advise = []string{
			fmt.Sprintf("%s: the key must stand first and alone; only white space may follow it", path),
		}
	case errors.Is(err, keys.ErrFormat):
		f.Line = "Key is not the correct length or format: `(hidden)'"
		f.Advise = []string{fmt.Sprintf("%s: not a key: 44 characters of base64 that end in =, as `wg genkey' prints them", path)}
	default:
		return key, openFailure(path, err)
	}
	return key, f
}

// openFailure says that a file can't be opened.
func openFailure(path string, err error) error {
	f := &cli.Failure{Line: "fopen: " + cli.Strerror(err), Cause: err, Advise: []string{path + ": cannot be opened"}}
	if path == "-" {
		f.Advise = append(f.Advise, "hint: standard input is /dev/stdin")
	}
	if _, notKey := keys.Parse(path); notKey == nil { // must not be printed once more
		f.Advise = []string{"hint: the name of a file is wanted here, not the key itself: others can read command lines"}
	}
	return f
}

// warn prints a warning about the value of an option.
func (a *app) warn(w config.Warning) {
	fmt.Fprintln(a.Err, w.Text)
	for _, line := range w.Advice() {
		fmt.Fprintln(a.Err, line)
	}
}

var _ config.Resolver = (*resolve.Resolver)(nil)
