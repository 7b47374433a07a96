#!/usr/bin/env bash
# Runs every fuzz target of the repository: for so many inputs, or so long, each.
# usage: test/fuzz.sh [COUNTx|TIME, default 30000x]
set -euo pipefail
cd "$(dirname "$0")/.."
time=${1:-30000x}
grep -rlE '^func Fuzz' --include='*_test.go' internal cmd | while read -r file; do
	for target in $(grep -oE '^func Fuzz[A-Za-z0-9_]+' "$file" | cut -d' ' -f2); do
		echo "fuzz $target (./$(dirname "$file"), $time)"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "./$(dirname "$file")"
	done
done
