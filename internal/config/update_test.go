// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package config_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wgtools/internal/config"
	"wgtools/internal/device"
	"wgtools/internal/keys"
)

const saved = `# my server
[Interface]   # Name = home
  Address = 10.8.0.1/24,fd42::1/64   # both
DNS = 10.8.0.1, corp.example
PrivateKey = 4PklHGEB8OIVq1yHalYPLOk+WELeqvFVJ7UXjvT6KGE=
ListenPort = 51820
PostUp = echo a && echo b # %i

### Client anna
[Peer]
PublicKey=vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM=
AllowedIPs = 10.8.0.2/32 , fd42::2
Endpoint = vpn.example.org:51820
PersistentKeepalive = off

# BEGIN_PEER bob
[Peer]
PublicKey = OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=
AllowedIPs = 10.8.0.3/32
# Disabled = no
# END_PEER bob
# BEGIN_PEER eve
[Peer]
PublicKey = +qGv5gZtmD+/ik08rG/1YTqj98xehRB+s2D2X8ke1wo=
`

// parseAddress is as much as these tests need.
func parseAddress(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	return netip.ParsePrefix(s)
}

func mustKey(t testing.TB, s string) keys.Key {
	t.Helper()
	k, err := keys.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// asSaved is the tunnel that the file above describes, as a device tells it.
func asSaved(t testing.TB) config.Live {
	prefix := netip.MustParsePrefix
	return config.Live{
		PrivateKey: device.Some(mustKey(t, "4PklHGEB8OIVq1yHalYPLOk+WELeqvFVJ7UXjvT6KGE=").Clamp()),
		ListenPort: 51820, Fwmark: 0xca6c, MTU: 1420,
		Addresses: []netip.Prefix{prefix("fd42::1/64"), prefix("10.8.0.1/24")},
		Peers: []device.Peer{
			{PublicKey: mustKey(t, "+qGv5gZtmD+/ik08rG/1YTqj98xehRB+s2D2X8ke1wo=")},
			{
				PublicKey: mustKey(t, "vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM="), Endpoint: netip.MustParseAddrPort("192.0.2.9:51820"),
				AllowedIPs: []netip.Prefix{prefix("fd42::2/128"), prefix("10.8.0.2/32")},
			},
			{PublicKey: mustKey(t, "OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o="), AllowedIPs: []netip.Prefix{prefix("10.8.0.3/32")}},
		},
	}
}

func TestUpdate(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := map[string]struct {
		change   func(l *config.Live)
		old, new string // what is replaced in the file
	}{
		"nothing":         {func(*config.Live) {}, "", ""},
		"a new address":   {func(l *config.Live) { l.Addresses = append(l.Addresses, prefix("10.9.0.1/24")) }, "# both\n", "# both\nAddress = 10.9.0.1/24\n"},
		"no v6 address":   {func(l *config.Live) { l.Addresses = l.Addresses[1:] }, "10.8.0.1/24,fd42::1/64", "10.8.0.1/24"},
		"the same server": {func(l *config.Live) { l.DNS = []string{"10.8.0.1"} }, "", ""},
		"other servers":   {func(l *config.Live) { l.DNS = []string{"9.9.9.9", "fd00::1%x"} }, "DNS = 10.8.0.1, corp.example\n", "DNS = corp.example\nDNS = 9.9.9.9\nDNS = fd00::1%x\n"},
		"a server more":   {func(l *config.Live) { l.DNS = []string{"10.8.0.1", "9.9.9.9"} }, "corp.example\n", "corp.example\nDNS = 9.9.9.9\n"},
		"the port":        {func(l *config.Live) { l.ListenPort = 7 }, "ListenPort = 51820", "ListenPort = 7"},
		"a private key":   {func(l *config.Live) { l.PrivateKey.Value = keys.Key{8, 31: 64} }, "4PklHGEB8OIVq1yHalYPLOk+WELeqvFVJ7UXjvT6KGE=", "CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA="},
		"a keepalive":     {func(l *config.Live) { l.Peers[1].PersistentKeepalive = 25 }, "PersistentKeepalive = off", "PersistentKeepalive = 25"},
		"a preshared key": {func(l *config.Live) { l.Peers[2].PresharedKey = keys.Key{1} }, "AllowedIPs = 10.8.0.3/32\n", "AllowedIPs = 10.8.0.3/32\nPresharedKey = " + keys.Key{1}.Base64() + "\n"},
		"allowed IPs":     {func(l *config.Live) { l.Peers[1].AllowedIPs = l.Peers[1].AllowedIPs[:1] }, "10.8.0.2/32 , fd42::2", "fd42::2/128"},
		"no allowed IPs":  {func(l *config.Live) { l.Peers[2].AllowedIPs = nil }, "AllowedIPs = 10.8.0.3/32\n", ""},
		"first allowed IPs": {func(l *config.Live) { l.Peers[0].AllowedIPs = []netip.Prefix{prefix("::/0")} },
			"PublicKey = +qGv5gZtmD+/ik08rG/1YTqj98xehRB+s2D2X8ke1wo=\n", "PublicKey = +qGv5gZtmD+/ik08rG/1YTqj98xehRB+s2D2X8ke1wo=\nAllowedIPs = ::/0\n"},
		"an endpoint where none was": {func(l *config.Live) { l.Peers[2].Endpoint = netip.MustParseAddrPort("[::1]:5") },
			"AllowedIPs = 10.8.0.3/32\n", "AllowedIPs = 10.8.0.3/32\nEndpoint = [::1]:5\n"},
		"a peer less": {func(l *config.Live) { l.Peers = slices.Delete(l.Peers, 2, 3) },
			"# BEGIN_PEER bob\n[Peer]\nPublicKey = OkduQ+ONe4CjBN2SHsWE+qUuomoOlHD3GhzsblUe73o=\nAllowedIPs = 10.8.0.3/32\n# Disabled = no\n# END_PEER bob\n", ""},
		"the first peer less": {func(l *config.Live) { l.Peers = slices.Delete(l.Peers, 1, 2) },
			"### Client anna\n[Peer]\nPublicKey=vXmvBliE20JOSB5DUD+s+53ZsWqQ7ENiQT61eidEoXM=\nAllowedIPs = 10.8.0.2/32 , fd42::2\nEndpoint = vpn.example.org:51820\nPersistentKeepalive = off\n\n", ""},
		"a peer more": {func(l *config.Live) {
			l.Peers = append(l.Peers, device.Peer{PublicKey: keys.Key{9}, AllowedIPs: []netip.Prefix{prefix("10.8.0.9/32"), prefix("::1/128")}, PersistentKeepalive: 5})
		}, "PublicKey = +qGv5gZtmD+/ik08rG/1YTqj98xehRB+s2D2X8ke1wo=\n", "PublicKey = +qGv5gZtmD+/ik08rG/1YTqj98xehRB+s2D2X8ke1wo=\n\n[Peer]\nPublicKey = " +
			keys.Key{9}.Base64() + "\nAllowedIPs = 10.8.0.9/32, ::1/128\nPersistentKeepalive = 5\n"},
	}
	for name, tt := range tests {
		for _, ending := range []string{"\n", "\r\n"} {
			t.Run(name+fmt.Sprintf("%q", ending), func(t *testing.T) {
				in := strings.ReplaceAll(saved, "\n", ending)
				if tt.old != "" && strings.Count(saved, tt.old) != 1 {
					t.Fatalf("%q stands %d times in the file", tt.old, strings.Count(saved, tt.old))
				}
				want := strings.ReplaceAll(strings.Replace(saved, tt.old, tt.new, 1), "\n", ending)
				live := asSaved(t)
				tt.change(&live)
				d := config.Scan("f", []byte(in))
				d.Update(live, config.Borrowed{}, parseAddress)
				if got := string(d.Bytes()); got != want {
					t.Errorf("Update:\n%s\nwant:\n%s", got, want)
				}
			})
		}
	}
}

func TestUpdateWithoutMuch(t *testing.T) {
	k := keys.Key{8, 31: 64}
	live := config.Live{PrivateKey: device.Some(k), Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.0.1/24")}, Peers: []device.Peer{{PublicKey: keys.Key{9}}}}
	d := config.Scan("f", nil)
	d.Update(live, config.Borrowed{}, parseAddress)
	want := "[Interface]\nAddress = 10.0.0.1/24\nPrivateKey = " + k.Base64() + "\n\n[Peer]\nPublicKey = " + keys.Key{9}.Base64() + "\n"
	if got := string(d.Bytes()); got != want {
		t.Errorf("an empty file:\n%s\nwant:\n%s", got, want)
	}
	d = config.Scan("f", []byte("[Interface]\nSaveConfig = true"))
	d.Update(live, config.Borrowed{}, parseAddress)
	want = "[Interface]\nAddress = 10.0.0.1/24\nSaveConfig = true\nPrivateKey = " + k.Base64() + "\n\n[Peer]\nPublicKey = " + keys.Key{9}.Base64() + "\n"
	if got := string(d.Bytes()); got != want {
		t.Errorf("no final newline:\n%s\nwant:\n%s", got, want)
	}
}

// Keys that a hook sets, from wherever they are kept, don't get into the file.
func TestUpdateKeysOfHooks(t *testing.T) {
	const file = "[Interface]\nPostUp = wg set %i private-key /k peer CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA= preshared-key /p\n\n[Peer]\nPublicKey = CAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAEA=\n"
	live := config.Live{PrivateKey: device.Some(keys.Key{8, 31: 64}), Peers: []device.Peer{{PublicKey: keys.Key{8, 31: 64}, PresharedKey: keys.Key{1}}}}
	for text, want := range map[string]string{
		file: file,
		// Of other keys nothing is known but what is live.
		strings.NewReplacer("private-key", "fwmark", "preshared-key", "endpoint").Replace(file): strings.NewReplacer(
			"private-key", "fwmark", "preshared-key", "endpoint",
			"/p\n", "/p\nPrivateKey = "+keys.Key{8, 31: 64}.Base64()+"\n").Replace(file) + "PresharedKey = " + keys.Key{1}.Base64() + "\n",
	} {
		d := config.Scan("f", []byte(text))
		d.Update(live, config.Borrowed{}, parseAddress)
		if got := string(d.Bytes()); got != want {
			t.Errorf("Update:\n%s\nwant:\n%s", got, want)
		}
	}
}

// What a tunnel has from elsewhere isn't written into its file; if it is
// otherwise, that is told.
func TestUpdateBorrowed(t *testing.T) {
	const peer = "[Peer]\nPublicKey = " + key2 + "\nPresharedKeyFile = psk\nAllowedIPs = 10.0.0.0/8, 192.168.0.0/16\nExcludedIPs = 10.0.0.0/9\n"
	const file = "[Interface]\nPrivateKeyFile = own.key\nInclude = peers\n" + peer
	prefix := netip.MustParsePrefix
	live := func() config.Live {
		return config.Live{PrivateKey: device.Some(mustKey(t, own).Clamp()), Peers: []device.Peer{
			{PublicKey: mustKey(t, key), AllowedIPs: []netip.Prefix{prefix("10.1.128.0/17")}},
			{PublicKey: mustKey(t, key2), PresharedKey: mustKey(t, key2), AllowedIPs: []netip.Prefix{prefix("10.128.0.0/9"), prefix("192.168.0.0/16")}},
		}}
	}
	f := surroundings(t)
	f.dropIns = nil
	c, err := config.Decode("wg0.conf", []byte(file), config.Options{Dialect: config.Quick, Sources: f, PeerInfo: true, Resolver: &literal{}, Later: true})
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*config.Live)
		lost   bool // what is elsewhere can't be read
		want   string
		told   string
	}{
		"nothing":             {func(*config.Live) {}, false, file, ""},
		"the private key":     {func(l *config.Live) { l.PrivateKey.Value = mustKey(t, key) }, false, file, "the private key: it isn't any more the one that the file's comes from"},
		"the preshared key":   {func(l *config.Live) { l.Peers[1].PresharedKey = keys.Key{} }, false, file, "the preshared key of the peer " + key2 + ": it isn't any more that of its file"},
		"a borrowed peer":     {func(l *config.Live) { l.Peers[0].PersistentKeepalive = 7 }, false, file, "the peer " + key + ": it isn't any more as peers has it"},
		"no borrowed peer":    {func(l *config.Live) { l.Peers = l.Peers[1:] }, false, file, "the peer " + key + " of peers is gone"},
		"where a peer roamed": {func(l *config.Live) { l.Peers[0].Endpoint = netip.MustParseAddrPort("192.0.2.1:1") }, false, file, ""},
		"more allowed IPs": {func(l *config.Live) { l.Peers[1].AllowedIPs = append(l.Peers[1].AllowedIPs, prefix("10.0.0.1/32")) }, false,
			strings.Replace(file, "10.0.0.0/8, 192.168.0.0/16\nExcludedIPs = 10.0.0.0/9\n", "10.128.0.0/9, 192.168.0.0/16, 10.0.0.1/32\n", 1), ""},
		"no allowed IPs": {func(l *config.Live) { l.Peers[1].AllowedIPs = nil }, false,
			strings.Replace(file, "AllowedIPs = 10.0.0.0/8, 192.168.0.0/16\nExcludedIPs = 10.0.0.0/9\n", "", 1), ""},
		"an own peer":  {func(l *config.Live) { l.Peers = l.Peers[:1] }, false, strings.TrimSuffix(file, peer), ""},
		"another peer": {func(l *config.Live) { l.Peers = append(l.Peers, device.Peer{PublicKey: mustKey(t, own)}) }, false, file + "\n[Peer]\nPublicKey = " + own + "\n", ""},
		"what can't be read": {func(l *config.Live) { l.PrivateKey.Value = mustKey(t, key) }, true, file,
			"the peer " + key + ": it may be of a file that can't be read"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			now, borrowed := live(), c.Borrowed("wg0.conf")
			tt.change(&now)
			if tt.lost {
				borrowed = config.Borrowed{Unknown: true}
			}
			d := config.Scan("wg0.conf", []byte(file))
			_, told := d.Update(now, borrowed, parseAddress)
			if got := string(d.Bytes()); got != tt.want {
				t.Errorf("saved:\n%s\nwant:\n%s", got, tt.want)
			}
			if strings.Join(told, "\n") != tt.told {
				t.Errorf("told %q, want %q", told, tt.told)
			}
		})
	}
}

// Whatever the file was, after an update it says what is live, and a second
// update changes nothing.
func FuzzUpdate(f *testing.F) {
	addFiles(f)
	f.Add([]byte(saved))
	f.Add([]byte(strings.Replace(saved, "AllowedIPs = 10.8.0.3/32", "AllowedIPs = 10.8.0.2/31\nExcludedIPs = 10.8.0.2\nPresharedKeyFile = x", 1)))
	f.Fuzz(func(t *testing.T, src []byte) {
		if bytes.IndexByte(src, 0) >= 0 {
			t.Skip("bash drops NULs, wg ends a line there: such a file has no one meaning")
		}
		c, err := config.Decode("f", src, config.Options{Dialect: config.Quick})
		if err != nil {
			t.Skip("not a file that a tunnel comes from")
		}
		if bytes.Contains(src, []byte("private-key")) || bytes.Contains(src, []byte("preshared-key")) {
			t.Skip("its keys may be a hook's")
		}
		if c.Quick.PrivateKeyFile.Text != "" || c.Quick.PrivateKeyCommand.Text != "" {
			t.Skip("its key is elsewhere")
		}
		live := asSaved(t)
		d := config.Scan("f", src)
		d.Update(live, config.Borrowed{}, parseAddress)
		once := d.Bytes()
		d.Update(live, config.Borrowed{}, parseAddress)
		if twice := d.Bytes(); !bytes.Equal(once, twice) {
			t.Fatalf("%q\nonce  %q\ntwice %q", src, once, twice)
		}
		c, err = config.Decode("f", once, config.Options{Dialect: config.Quick})
		if err != nil {
			t.Fatalf("%q became %q: %v", src, once, err)
		}
		got := map[keys.Key]string{}
		for _, p := range c.Peers {
			got[p.PublicKey] = fmt.Sprint(prefixes(p.AllowedIPs), p.PersistentKeepalive.Value, p.PresharedKey.Value.IsZero())
		}
		for _, p := range live.Peers {
			var ips []device.AllowedIP
			for _, ip := range p.AllowedIPs {
				ips = append(ips, device.AllowedIP{Prefix: ip})
			}
			if want := fmt.Sprint(prefixes(ips), p.PersistentKeepalive, p.PresharedKey.IsZero()); got[p.PublicKey] != want {
				t.Errorf("%q became %q:\n%s\nwant\n%s", src, once, got[p.PublicKey], want)
			}
		}
		if len(got) != len(live.Peers) || c.PrivateKey.Value.Clamp() != live.PrivateKey.Value {
			t.Errorf("%q became %q", src, once)
		}
	})
}

func prefixes(ips []device.AllowedIP) string {
	var list []string
	for _, ip := range ips {
		list = append(list, ip.Masked().String())
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}
