// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package main

import (
	"context"
	"os"

	"wgtools/internal/cli"
	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/netlinkwg"
	"wgtools/internal/resolve"
)

func runSetconf(ctx context.Context, a *app, args []string) error {
	return a.apply(ctx, args, func(_ string, c *device.Change) error {
		stateAll(c)
		c.ReplacePeers = true
		return nil
	})
}

func runAddconf(ctx context.Context, a *app, args []string) error {
	return a.apply(ctx, args, func(string, *device.Change) error { return nil })
}

func runSyncconf(ctx context.Context, a *app, args []string) error {
	return a.apply(ctx, args, func(name string, c *device.Change) error {
		stateAll(c)
		if len(c.Peers) == 0 { // no need to know what is there
			c.ReplacePeers = true
			return nil
		}
		sink := syncSink{device.NewSync(c)}
		if err := a.client.Read(ctx, name, sink); err != nil {
			return &cli.Failure{
				Line:   "Unable to retrieve current interface configuration: " + cli.Strerror(err),
				Cause:  err,
				Advise: deviceAdvice(ctx, a.client, name, err),
			}
		}
		*c = *sink.Change()
		return nil
	})
}

// apply reads a configuration file whole, lets complete turn it into the
// request to make, and makes it: nothing is sent before all is understood.
func (a *app) apply(ctx context.Context, args []string, complete func(name string, c *device.Change) error) error {
	if len(args) != 2 {
		return a.usage("<interface> <configuration filename>")
	}
	f, err := os.Open(args[1])
	if err != nil {
		return openFailure(args[1], err)
	}
	defer f.Close()
	c, err := config.DecodeReader(args[1], f, config.Options{
		Dialect:  config.WG,
		Resolver: resolve.New(ctx, a.LookupEnv, a.Err),
		Warn:     a.warn,
	})
	if err != nil {
		return err
	}
	name := linkName(args[0])
	if err := complete(name, &c.Change); err != nil {
		return err
	}
	return a.modify(ctx, name, &c.Change)
}

// stateAll makes c say something about every setting of the device: what a
// file doesn't mention is none, random or off.
func stateAll(c *device.Change) {
	c.PrivateKey.Set, c.ListenPort.Set, c.Fwmark.Set = true, true, true
}

// A syncSink tells a [device.Sync] what a client reads.
type syncSink struct{ *device.Sync }

func (s syncSink) Device(*device.Device) error { return nil }
func (s syncSink) Peer(p *device.Peer) error   { s.Sync.Peer(p); return nil }
func (s syncSink) Restart() bool               { s.Reset(); return true }

var _ netlinkwg.Sink = syncSink{}
