// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

//go:build openbsd || windows

package netlinkwg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.zx2c4.com/wireguard/wgctrl"
	"golang.zx2c4.com/wireguard/wgctrl/wgtypes"

	"wgtools/internal/device"
	"wgtools/internal/keys"
)

// control is a [Client] by way of wgctrl.
type control struct {
	kernelOnly bool // leave the userspace devices out of the list
}

func (k control) List(context.Context) ([]string, error) {
	c, err := wgctrl.New()
	if err != nil {
		return nil, err
	}
	defer c.Close()
	devices, err := c.Devices()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range devices {
		if !k.kernelOnly || d.Type != wgtypes.Userspace {
			names = append(names, d.Name)
		}
	}
	return names, nil
}

func (control) Read(_ context.Context, name string, sink Sink) error {
	c, err := wgctrl.New()
	if err != nil {
		return err
	}
	defer c.Close()
	d, err := c.Device(name)
	if err != nil {
		return explain(err)
	}
	head := device.Device{Name: d.Name, ListenPort: uint16(d.ListenPort), Fwmark: uint32(d.FirewallMark)}
	if d.PrivateKey != (wgtypes.Key{}) {
		head.PrivateKey = device.Some(keys.Key(d.PrivateKey))
		head.PublicKey = device.Some(keys.Key(d.PublicKey))
	}
	if err := sink.Device(&head); err != nil {
		return err
	}
	for i := range d.Peers {
		if err := sink.Peer(fromPeer(&d.Peers[i])); err != nil {
			return err
		}
	}
	return nil
}

func fromPeer(p *wgtypes.Peer) *device.Peer {
	q := &device.Peer{
		PublicKey:           keys.Key(p.PublicKey),
		PresharedKey:        keys.Key(p.PresharedKey),
		ReceivedBytes:       uint64(p.ReceiveBytes),
		SentBytes:           uint64(p.TransmitBytes),
		PersistentKeepalive: uint16(p.PersistentKeepaliveInterval / time.Second),
	}
	if p.Endpoint != nil {
		e := p.Endpoint.AddrPort()
		q.Endpoint = netip.AddrPortFrom(e.Addr().Unmap(), e.Port())
	}
	if !p.LastHandshakeTime.IsZero() {
		q.LatestHandshake = device.Time{Sec: p.LastHandshakeTime.Unix(), Nsec: int64(p.LastHandshakeTime.Nanosecond())}
	}
	for _, ip := range p.AllowedIPs {
		if addr, ok := netip.AddrFromSlice(ip.IP); ok {
			ones, _ := ip.Mask.Size()
			q.AllowedIPs = append(q.AllowedIPs, netip.PrefixFrom(addr.Unmap(), ones))
		}
	}
	return q
}

func (control) Configure(_ context.Context, name string, change *device.Change) error {
	config := wgtypes.Config{ReplacePeers: change.ReplacePeers}
	if change.PrivateKey.Set {
		k := wgtypes.Key(change.PrivateKey.Value)
		config.PrivateKey = &k
	}
	if change.ListenPort.Set {
		port := int(change.ListenPort.Value)
		config.ListenPort = &port
	}
	if change.Fwmark.Set {
		mark := int(change.Fwmark.Value)
		config.FirewallMark = &mark
	}
	for i := range change.Peers {
		p, err := toPeer(&change.Peers[i])
		if err != nil {
			return err
		}
		config.Peers = append(config.Peers, p)
	}
	c, err := wgctrl.New()
	if err != nil {
		return err
	}
	defer c.Close()
	return explain(c.ConfigureDevice(name, config))
}

func toPeer(p *device.PeerChange) (wgtypes.PeerConfig, error) {
	q := wgtypes.PeerConfig{PublicKey: wgtypes.Key(p.PublicKey), Remove: p.Remove, UpdateOnly: p.UpdateOnly, ReplaceAllowedIPs: p.ReplaceAllowedIPs}
	if p.PresharedKey.Set {
		k := wgtypes.Key(p.PresharedKey.Value)
		q.PresharedKey = &k
	}
	if p.Endpoint.IsValid() {
		q.Endpoint = net.UDPAddrFromAddrPort(p.Endpoint)
	}
	if p.PersistentKeepalive.Set {
		d := time.Duration(p.PersistentKeepalive.Value) * time.Second
		q.PersistentKeepaliveInterval = &d
	}
	if slices.ContainsFunc(p.AllowedIPs, func(ip device.AllowedIP) bool { return ip.Remove }) {
		return q, fmt.Errorf("allowed IPs can't be removed one by one on this system: %w", errors.ErrUnsupported)
	}
	for _, ip := range p.AllowedIPs {
		q.AllowedIPs = append(q.AllowedIPs, net.IPNet{IP: ip.Addr().AsSlice(), Mask: net.CIDRMask(ip.Bits(), ip.Addr().BitLen())})
	}
	return q, nil
}

// explain turns wgctrl's word for no such device into its errno.
func explain(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return syscall.ENODEV
	}
	return err
}
