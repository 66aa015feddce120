#!/usr/bin/env bash
# Trains one model the chain's way and in candle f32 on the same windows, and prints both held-out losses side by side.
# usage: scripts/convergence.sh DATASET [STEPS] [OPTION...]   (--microbatches N, --preset NAME, --every N, --csv FILE)
set -euo pipefail

if (($# == 0)) || [[ "$1" == -* ]]; then
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
fi
# Paths are the caller's, the build is the checkout's.
dataset=$(realpath -- "$1")
steps=${2:-60}
shift $(($# < 2 ? $# : 2))
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$root/scripts/setup.sh"
# Candle's threads for element-wise operations spin while they wait: beside anything else they cost more than they give.
# Its matrix products use all cores all the same.
export CANDLE_NUM_THREADS=${CANDLE_NUM_THREADS:-1}

exec cargo run --manifest-path "$root/Cargo.toml" --release --locked --package descent-benches --example convergence -- \
    --dataset "$dataset" --steps "$steps" "$@"
