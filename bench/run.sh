#!/usr/bin/env bash
# Measures berth on this machine; prints what docs/performance.md shows.
# Everything happens in network and mount namespaces of its own.
set -euo pipefail
cd "$(dirname "$0")/.."
exec go run ./bench/nics -bin bin "$@"
