#!/usr/bin/env bash
# Builds the node and starts a development chain that mines. Arguments go to the node.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh

# With one test, so that cargo resolves the same features as for scripts/test.sh and RocksDB is compiled once.
cargo build --release --locked --workspace --bin descent --test e2e
exec "$CARGO_TARGET_DIR/release/descent" --dev --mine "$@"
