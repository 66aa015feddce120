#!/usr/bin/env bash
# Starts nodes of one local chain on this machine, prints their heads and losses, and stops them with Ctrl-C.
#
#   scripts/testnet.sh [NODES]            3 by default; all mine but the last
#   PRESET=nano scripts/testnet.sh 3      another model than tiny
#   SECONDS_TO_RUN=60 scripts/testnet.sh  ends by itself, with an error if the nodes don't agree
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh

nodes=${1:-3}
preset=${PRESET:-tiny}
run=${SECONDS_TO_RUN:-0}
names=(Alice Bob Charlie Dave Eve Ferdie)
if ! [[ "$nodes" =~ ^[1-6]$ ]]; then
    echo "got $nodes nodes, expected 1 to ${#names[@]}" >&2
    exit 1
fi

# With one test, so that cargo resolves the same features as for scripts/test.sh and RocksDB is compiled once.
cargo build --release --locked --workspace --bin descent --test e2e
binary="$CARGO_TARGET_DIR/release/descent"
folder=$(mktemp -d)
pids=()

cleanup() {
    trap - EXIT INT TERM
    ((${#pids[@]})) && kill "${pids[@]}" 2>/dev/null || true
    wait || true
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# call PORT METHOD PARAMS: the result of a method as JSON.
call() {
    curl -s --max-time 5 -H 'content-type: application/json' \
        -d "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"$2\",\"params\":$3}" "127.0.0.1:$1"
}

# field NAME: a field of a JSON object on standard input.
field() {
    sed -n "s/.*\"$1\":\"\{0,1\}\([^\",}]*\).*/\1/p"
}

start() {
    local index=$1 name=${names[$1]}
    local args=(--chain local --preset "$preset" --base-path "$folder/$name" --name "$name"
        --port $((31333 + index)) --rpc-port $((9954 + index)) --no-mdns --threads 1)
    if ((index < nodes - 1 || nodes == 1)); then
        echo "//$name" >"$folder/$name.key"
        args+=(--mine --key-file "$folder/$name.key")
    fi
    if ((index > 0)); then
        args+=(--bootnode "/ip4/127.0.0.1/tcp/31333/p2p/$boot")
    fi
    "$binary" "${args[@]}" >"$folder/$name.log" 2>&1 &
    pids+=($!)
}

start 0
boot=
for _ in $(seq 100); do
    boot=$(call 9954 system_localPeerId '[]' | field result) && [[ -n "$boot" ]] && break
    sleep 0.2
done
[[ -n "$boot" ]] || { cat "$folder/Alice.log" >&2; exit 1; }
for ((i = 1; i < nodes; i++)); do start "$i"; done

# agreed HEIGHT: how many different blocks the nodes have at a height.
agreed() {
    for ((i = 0; i < nodes; i++)); do call $((9954 + i)) chain_getBlockHash "[$1]" | field result; done | sort -u | wc -l
}

begin=$SECONDS
while true; do
    sleep 5
    printf '\n%-8s %7s %6s %6s %8s  %s\n' node height round peers loss checkpoint
    lowest=
    for ((i = 0; i < nodes; i++)); do
        kill -0 "${pids[$i]}" 2>/dev/null || { echo "${names[$i]} ended:" >&2; cat "$folder/${names[$i]}.log" >&2; exit 1; }
        status=$(call $((9954 + i)) descent_trainingStatus '[]')
        height=$(field height <<<"$status")
        peers=$(call $((9954 + i)) system_health '[]' | field peers)
        printf '%-8s %7s %6s %6s %8.8s  %.18s\n' "${names[$i]}" "$height" "$(field round <<<"$status")" "$peers" \
            "$(field trainingLoss <<<"$status")" "$(field checkpointRoot <<<"$status")"
        if [[ -z "$lowest" ]] || ((height < lowest)); then lowest=$height; fi
    done
    settled=$((lowest > 3 ? lowest - 3 : 0))
    different=$(agreed "$settled")
    echo "block $settled: $([[ "$different" == 1 ]] && echo 'all nodes agree' || echo "$different branches")"
    if ((run && SECONDS - begin >= run)); then
        ((different == 1 && lowest > 0)) || exit 1
        break
    fi
done
