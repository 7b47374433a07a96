#!/usr/bin/env bash
# Measures berth's answers beside those of other DHCP servers on this machine.
# Installs the servers with apt, starts none of them as a service, and writes
# JSON lines, tables and pictures into bench/results.
# usage: bench/answers.sh [compare|change|restart|flood] [flags]
set -euo pipefail
cd "$(dirname "$0")/.."

packages=(isc-dhcp-server kea-dhcp4-server kea-dhcp6-server dnsmasq-base busybox-static util-linux)
bin=$PWD/.cache/bench/bin

missing() {
	local p
	for p in "${packages[@]}"; do
		dpkg-query -W -f='${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^.i' || echo "$p"
	done
}

# What policy-rc.d said before says it again afterwards.
policy=/usr/sbin/policy-rc.d
restore() {
	rm -f "$policy"
	[[ ! -e $policy.berth ]] || mv "$policy.berth" "$policy"
}

install_packages() {
	local want
	mapfile -t want < <(missing)
	((${#want[@]})) || return 0
	[[ ! -e $policy ]] || mv "$policy" "$policy.berth"
	trap restore EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${want[@]}" >/dev/null
	restore
	trap - EXIT
}

install_packages
mkdir -p "$bin"
export CGO_ENABLED=0
go build -trimpath -ldflags '-s -w' -o "$bin/" ./cmd/berthd ./bench/answers
(cd bench/answers/peers && go build -trimpath -o "$bin/" ./plain)
exec "$bin/answers" "${1:-compare}" -bin "$bin" "${@:2}"
