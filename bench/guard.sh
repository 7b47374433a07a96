#!/usr/bin/env bash
# Measures what filtering a NIC costs, berth's beside what others write into
# nftables and ebtables; prints tables, and leaves samples and plots in
# bench/results. Everything happens in namespaces of its own.
# usage: bench/guard.sh [-nics 1,10,100,1000] [-rounds 15] ...    as root
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
command -v nft >/dev/null || missing+=(nftables)
command -v ebtables-nft-restore >/dev/null || missing+=(iptables) # Debian has it there
if ((${#missing[@]})); then
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
export CGO_ENABLED=0
go build -trimpath -o "$bin/" ./cmd/berthd ./bench/guard
"$bin/guard" -bin "$bin" "$@"
