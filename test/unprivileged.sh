#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The wgtools authors
#
# Runs the tests that change links, routes and firewalls once more without
# root: as nobody, in a user namespace whose root it is. It prints what they do
# as "go test -json" does.
set -euo pipefail
cd "$(dirname "$0")/.."

as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
[[ $(id -u) == 0 ]] || as_nobody=()
in_namespace=(unshare --map-root-user --net --mount)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
chmod 777 "$dir"

if ! "${as_nobody[@]}" "${in_namespace[@]}" true 2>"$dir/why"; then
	printf '{"Action":"output","Package":"wgtools/test/unprivileged","Test":"all","Output":"%s\\n"}\n' "$(tr -d '"\\' <"$dir/why")"
	printf '{"Action":"skip","Package":"wgtools/test/unprivileged","Test":"all"}\n'
	exit 0
fi
failed=0
for package in internal/rtnl internal/firewall internal/dns; do
	go test -c -o "$dir/test" "./$package"
	(cd "$dir" && "${as_nobody[@]}" env HOME="$dir" TMPDIR="$dir" \
		go tool test2json -t -p "wgtools/$package (without root)" \
		"${in_namespace[@]}" ./test -test.v=test2json) || failed=1
done
exit "$failed"
