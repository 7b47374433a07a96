#!/usr/bin/env bash
# Measures a controller with many simulated nodes and one real one: from a change
# to the message at the node, and to the rule in the kernel. It needs root, and
# makes namespaces of its own. Writes a JSON line to standard output, and with
# -results bench/results into the table and the plot there.
# usage: bench/controller.sh [-nodes 1000] [-nics 1000] [-links 1000] [-changes 200] [-results DIR] [-lock FILE]
set -euo pipefail
cd "$(dirname "$0")/.."

bin=$PWD/.cache/bench/bin
mkdir -p "$bin"
export CGO_ENABLED=0
go build -trimpath -ldflags '-s -w' -o "$bin/" ./cmd/berthd ./cmd/berth-controller ./test/fleet-sim
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/fleet-sim.XXXXXX") # on a disk: etcd syncs
trap 'rm -rf "$dir"' EXIT
unshare --net --mount --propagation private sh -ec '
	ip link set lo up
	mount -t bpf bpf /sys/fs/bpf
	exec "$@"' sh "$bin/fleet-sim" -bin "$bin" -dir "$dir" "$@"
