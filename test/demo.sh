#!/bin/bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The wgtools authors
#
# demo.sh [DIRECTORY]: a real tunnel, between two network namespaces that are
# joined by a cable, with the wg and wg-quick of DIRECTORY (bin).
#
# All of it happens in namespaces that have no name outside: network, mounts,
# processes. They and what runs in them end with this script, however it ends.

set -euo pipefail

fail() {
	printf 'demo: %s\n' "$@" >&2
	exit 1
}

# need COMMAND PACKAGE
need() {
	command -v "$1" >/dev/null || fail "$1 is missing. On Debian: apt-get install $2"
}

if [[ ${1-} != --inside ]]; then
	bin=$(realpath "${1:-bin}")
	[[ -x $bin/wg && -x $bin/wg-quick ]] || fail "there is no wg and wg-quick in $bin: run \`make build' first"
	[[ $(id -u) == 0 ]] || fail "making namespaces needs root: sudo make demo"
	need unshare util-linux
	need nsenter util-linux
	need mount mount
	need ip iproute2
	need ping iputils-ping
	[[ -e /proc/sys/net/ipv4 ]] || fail "/proc is not mounted"
	unshare --mount --net --pid --fork true ||
		fail "no namespaces can be made here (in a container: docker run --privileged)"
	exec unshare --mount --net --pid --fork --kill-child --mount-proc -- "$0" --inside "$bin"
fi

trap '(($? == 0)) || echo "demo: FAILED" >&2' EXIT
trap 'exit 130' INT TERM HUP
bin=$2
umask 077
mount -t tmpfs tmpfs /run
work=/run/demo
sockets=$(realpath -m /var/run/wireguard)
mkdir -p "$work/left" "$work/right" "$sockets"

step() { printf '\n=== %s\n' "$*"; }
indent() { sed 's/^/    /'; }

# Each side is a network namespace and a view of the files in which the
# sockets of userspace devices are its own.
declare -A pid
for side in left right; do
	exec {ready}< <(exec unshare --mount --net -- bash -c '
		mount -t tmpfs tmpfs "$1" && echo $$ && exec sleep infinity' - "$sockets")
	read -r -t 60 pid[$side] <&"$ready" || fail "the namespace \"$side\" did not come up"
done

# on SIDE COMMAND...: runs a command on a side
on() { nsenter -t "${pid[$1]}" --mount --net -- "${@:2}"; }

# run SIDE COMMAND...: shows the command and its output
run() {
	printf '%-5s $ %s\n' "$1" "${*:2}" | sed "s,$bin/,,"
	on "$@" 2>&1 | indent
}

# state SIDE: all that a tunnel could leave behind
state() {
	on "$1" ip -d link show
	on "$1" ip address show
	on "$1" ip rule show
	on "$1" ip route show table all
	if [[ -n $v6 ]]; then
		on "$1" ip -6 rule show
		on "$1" ip -6 route show table all
	fi
	if command -v nft >/dev/null; then on "$1" nft list ruleset; fi
	on "$1" find /run -path "$work" -prune -o -print
	on "$1" cat /proc/sys/net/ipv4/conf/all/src_valid_mark
	ls -A "$work/$1"
}

# processes: those here that are not this script's
processes() {
	local p line
	for p in /proc/[0-9]*; do
		line=$(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) || continue
		[[ -z $line || $line == *"$0 --inside"* || $line == @(tr|sort)\ * ]] || echo "$line"
	done | sort
}

# await WHAT COMMAND...: repeats a command until it succeeds
await() {
	local deadline=$((SECONDS + 60))
	until "${@:2}" >/dev/null 2>&1; do
		((SECONDS < deadline)) || fail "$1 did not happen within a minute"
		sleep 0.05
	done
}

remember() {
	for side in left right; do state $side >"$work/$side.before"; done
	processes >"$work/processes.before"
}

compare() {
	local same=yes
	for side in left right; do
		state $side >"$work/$side.after"
		diff -u --label before --label after "$work/$side.before" "$work/$side.after" | indent || {
			same=
			echo "$side: NOT as it was"
			continue
		}
		echo "$side: links, addresses, rules, routes, firewall and sockets are as they were"
	done
	processes >"$work/processes.after"
	diff -u --label before --label after "$work/processes.before" "$work/processes.after" | indent || same=
	[[ -n $same ]] || fail "something is not as it was before"
	echo "no process was left"
}

link_is_up() { on "$1" ip link show dev uplink | grep -q 'state UP'; }

v6=
if [[ -e /proc/sys/net/ipv6 ]]; then v6=yes; fi

step "two namespaces, joined by a cable"
ip link add left0 type veth peer name right0
ip link set left0 netns "${pid[left]}"
ip link set right0 netns "${pid[right]}"
for side in left right; do
	on $side ip link set lo up
	on $side ip link set ${side}0 name uplink
	if [[ -n $v6 ]]; then on $side ip link set uplink addrgenmode none; fi
	on $side ip link set uplink up
done
on left ip address add 192.0.2.1/24 dev uplink
on right ip address add 192.0.2.2/24 dev uplink
for side in left right; do
	await "the link on the side \"$side\"" link_is_up $side
	run $side ip -brief address show
done

step "keys, and the two configuration files"
for side in left right; do
	"$bin/wg" genkey >"$work/$side.key"
	"$bin/wg" pubkey <"$work/$side.key" >"$work/$side.pub"
done

# config SIDE NUMBER OTHER-SIDE OTHER-NUMBER
config() {
	cat <<-END
		[Interface]
		Address = 10.77.0.$2/24${v6:+, fd77::$2/64}
		PrivateKey = $(<"$work/$1.key")
		ListenPort = 5182$2
		PostUp = echo "%i is up" > $work/$1.hook
		PostDown = rm $work/$1.hook

		[Peer]
		# $3
		PublicKey = $(<"$work/$3.pub")
		Endpoint = 192.0.2.$4:5182$4
		AllowedIPs = 10.77.0.$4/32, 198.51.100.$4/32${v6:+, fd77::$4/128}
		PersistentKeepalive = 25
	END
}
config left 1 right 2 >"$work/left/wg0.conf"
config right 2 left 1 >"$work/right/wg0.conf"
echo "$work/left/wg0.conf:"
sed 's/^PrivateKey = .*/PrivateKey = (hidden)/' "$work/left/wg0.conf" | indent
remember

step "check, and what up would do"
run left "$bin/wg-quick" check "$work/left/wg0.conf"
run left "$bin/wg-quick" plan up "$work/left/wg0.conf"

step "up"
for side in left right; do
	run $side "$bin/wg-quick" up "$work/$side/wg0.conf"
	[[ $(<"$work/$side.hook") == "wg0 is up" ]] || fail "the PostUp hook did not run"
done
device="the kernel's device"
if on left test -S "$sockets/wg0.sock"; then device="the userspace device"; fi
on left ip route show | grep -q '^198.51.100.2 dev wg0' || fail "the route of an allowed IP is missing"

step "packets through the tunnel"
run left ping -q -c 3 -i 0.2 -W 20 10.77.0.2
run right ping -q -c 3 -i 0.2 -W 20 10.77.0.1
if [[ -n $v6 ]]; then run left ping -q -c 3 -i 0.2 -W 20 fd77::2; fi

step "wg show"
for side in left right; do
	run $side "$bin/wg" show
	read -r _ at < <(on $side "$bin/wg" show wg0 latest-handshakes)
	((at > 0 && $(date +%s) - at < 120)) || fail "$side: there was no handshake in the last two minutes"
	read -r _ received sent < <(on $side "$bin/wg" show wg0 transfer)
	((received > 0 && sent > 0)) || fail "$side: no bytes went through the tunnel"
done

step "status"
run left "$bin/wg-quick" status "$work/left/wg0.conf"

step "reload: all of the left side's traffic through the tunnel"
cp "$work/left/wg0.conf" "$work/split.conf"
sed "s,^AllowedIPs = .*,AllowedIPs = 0.0.0.0/0${v6:+\, ::/0}," "$work/split.conf" >"$work/left/wg0.conf"
on right ip address add 203.0.113.9/32 dev lo
run left "$bin/wg-quick" reload "$work/left/wg0.conf"
run left ip rule show
run left ip route get 203.0.113.9
run left ping -q -c 3 -i 0.2 -W 20 203.0.113.9
on left ip route get 203.0.113.9 | grep -q 'dev wg0' || fail "traffic does not go into the tunnel"
on right ip address delete 203.0.113.9/32 dev lo
cp "$work/split.conf" "$work/left/wg0.conf"

step "down"
for side in left right; do
	run $side "$bin/wg-quick" down "$work/$side/wg0.conf"
done
compare

step "up, with a hook that fails: all is taken back"
sed 's/^PostUp = .*/PostUp = exit 7/' "$work/left/wg0.conf" >"$work/wg0.conf"
status=0
run left "$bin/wg-quick" up "$work/wg0.conf" || status=$?
((status == 7)) || fail "wg-quick ended with status $status, not the hook's 7"
compare

printf '\ndemo: a tunnel on %s went up, carried packets and went down; both namespaces are as they were\n' "$device"
