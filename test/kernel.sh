#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The wgtools authors
#
# Runs the tests that need a kernel with WireGuard in an emulated machine, and
# prints what they do as "go test -json" does: make test-kernel sums it up.
# Arguments are handed on to the tests, such as -test.run=TestTunnel.
set -euo pipefail
cd "$(dirname "$0")/.."

LAB=$PWD/test/kernel-lab

skip() { # TEST REASON
	printf '{"Action":"output","Package":"wgtools/test/kernel","Test":"%s","Output":"%s\\n"}\n' "$1" "$2"
	printf '{"Action":"skip","Package":"wgtools/test/kernel","Test":"%s"}\n' "$1"
}

# Runs the tests of a package, built before, and prints their events. $append
# has parameters for the kernel.
run() { # KERNEL PACKAGE NAME ARGUMENT...
	local kernel=$1 package=$2 name=$3
	shift 3
	(cd "$package" && go tool test2json -t -p "$name" \
		"$LAB" run --kernel "$kernel" --timeout 1500 --append "${append-}" -- \
		"$built/${package//\//-}.test" -test.v=test2json -test.timeout=1450s "$@")
}

stable() {
	local failed=0
	run stable internal/netlinkwg wgtools/internal/netlinkwg "$@" || failed=1
	run stable internal/rtnl wgtools/internal/rtnl "$@" || failed=1
	run stable test/kernel wgtools/test/kernel -bin "$built" "$@" || failed=1
	return "$failed"
}

# What only the newest kernels have, and that they do all else as before.
newest() {
	local failed=0
	run newest internal/netlinkwg wgtools/internal/netlinkwg -test.run=Incremental || failed=1
	run newest test/kernel 'wgtools/test/kernel (newest kernel)' -bin "$built" -incremental "$@" || failed=1
	return "$failed"
}

# What is done in a second machine meanwhile: the newest kernel, and one
# without IPv6.
second() {
	local failed=0
	append=ipv6.disable=1 run stable test/kernel wgtools/test/kernel -bin "$built" -test.run=WithoutIPv6 || failed=1
	if "$LAB" setup --kernel newest >&2; then
		newest "$@" || failed=1
	else
		skip newest "the newest kernel can't be fetched here"
	fi
	return "$failed"
}

why=''
[[ $(uname -sm) == 'Linux x86_64' ]] || why="the emulated machine is an x86-64 Linux"
[[ -r /etc/debian_version ]] || why="the emulated machine needs a Debian host"
if [[ -n $why ]]; then
	skip all "$why"
	exit 0
fi

# Files of their own: nobody may build anew what a machine is running.
built=$(mktemp -d "$PWD/.cache/kernel.XXXXXX")
trap 'rm -rf "$built"' EXIT
cp bin/wg bin/wg-quick "$built"
for package in internal/netlinkwg internal/rtnl test/kernel; do
	CGO_ENABLED=0 go test -c -o "$built/${package//\//-}.test" "./$package"
done
"$LAB" setup >&2
second "$@" >"$built/second" &
machine=$!
failed=0
stable "$@" || failed=1
wait "$machine" || failed=1
cat "$built/second"
exit "$failed"
