#!/usr/bin/env bash
# Builds the node and starts a development chain that mines. Arguments go to the node.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh

cargo build --release --locked -p descent-node
exec "$CARGO_TARGET_DIR/release/descent" --dev --mine "$@"
