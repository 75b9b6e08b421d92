// SPDX-License-Identifier: MIT
// SPDX-FileCopyrightText: 2026 The wgtools authors

package netlinkwg

// Attributes of linux/if_link.h.
const (
	ifInfomsg    = 16 // size of what stands before the attributes
	linkName     = 3
	linkInfo     = 18
	linkInfoKind = 1
)

// appendLinks appends the request for a dump of the links whose kind is
// WireGuard. Kernels before 4.6 tell all links.
func appendLinks(b []byte) []byte {
	e := encoder{data: append(b, make([]byte, ifInfomsg)...)}
	info := e.open(linkInfo)
	e.text(linkInfoKind, familyName)
	e.close(info)
	return e.data
}

// wireguardLink returns the name of the link that an RTM_NEWLINK message is
// about, if its kind is WireGuard.
func wireguardLink(message []byte) (name string, ok bool) {
	if len(message) < ifInfomsg {
		return "", false
	}
	rest := attributes(message[ifInfomsg:])
	for {
		kind, data, more := rest.next()
		if !more {
			return name, ok && name != ""
		}
		switch kind {
		case linkName:
			name = decodeText(data)
		case linkInfo:
			ok = isWireguard(data)
		}
	}
}

func isWireguard(info attributes) bool {
	for {
		kind, data, more := info.next()
		if !more {
			return false
		}
		if kind == linkInfoKind {
			return decodeText(data) == familyName
		}
	}
}
