#!/usr/bin/env bash
# Crates may use each other downwards only, and the pure ones see no clock, disk, socket or environment.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
failed=0

# Every line of the tree whose source is a path of this workspace is a sibling.
siblings() {
    cargo tree --locked --package "$1" --edges "$2" --depth 1 --prefix none --all-features \
        | tail -n +2 | sed -n "s|^\([a-z0-9-]*\) v[^ ]* ($PWD/.*|\1|p" | sort -u
}

# allow CRATE SIBLING...: the crate's normal, build and dev dependencies are among the siblings named.
allow() {
    local crate=$1 uses found
    shift
    # Not in the loop's head, where a failure of cargo would pass for a crate without siblings.
    uses=$(siblings "$crate" normal,build,dev)
    for found in $uses; do
        if [[ " $* " != *" $found "* ]]; then
            echo "crate graph: $crate uses $found, expected only: ${*:-no sibling}" >&2
            failed=1
        fi
    done
}

allow ml-kernels
allow descent-runtime
allow consensus-upow ml-kernels descent-runtime
allow descent-genesis consensus-upow descent-runtime
allow descent-rpc descent-runtime
allow descent-node descent-rpc descent-genesis consensus-upow descent-runtime

# Benches use anything, but only as dev-dependencies: nothing may come to rest on them.
uses=$(siblings descent-benches normal,build)
if [[ -n "$uses" ]]; then
    echo "crate graph: descent-benches has sibling dependencies outside [dev-dependencies]: $uses" >&2
    failed=1
fi

# Without a row above, a new crate would go unchecked.
members=$(cargo tree --locked --workspace --depth 0 --prefix none | sed -n 's/^\([a-z0-9-]*\) v.*/\1/p' | sort -u)
for member in $members; do
    case $member in
        ml-kernels | descent-runtime | consensus-upow | descent-genesis | descent-rpc | descent-node | descent-benches) ;;
        *)
            echo "crate graph: $member has no rule in scripts/check-graph.sh" >&2
            failed=1
            ;;
    esac
done

# Test code may do as it likes: files under tests/ or named tests.rs, and items behind #[cfg(test)].
pure=(ml-kernels runtime consensus-upow)
while IFS= read -r -d '' file; do
    if ! awk -v file="$file" '
        function begins(word) { return line ~ ("(^|[^A-Za-z0-9_])" word) }
        # A test module ends with its closing brace in the first column; any other test item is one line.
        skipping { if ($0 ~ /^}/) skipping = 0; next }
        after_attribute { after_attribute = 0; if ($0 ~ /\{$/) skipping = 1; next }
        /^#\[cfg\(test\)\]/ { after_attribute = 1; next }
        { line = $0; sub(/\/\/.*/, "", line) }
        begins("std::(time|net|fs|env|process)($|[^A-Za-z0-9_])") || begins("std::\\{.*(time|net|fs|env|process)[,:}]") ||
        begins("tokio($|[^A-Za-z0-9_])") || begins("async (fn|move|\\{)") {
            printf "pure crate: %s:%d: %s\n", file, NR, $0
            found = 1
        }
        END { exit found }
    ' "$file" >&2; then
        failed=1
    fi
done < <(find "${pure[@]/%//src}" -name '*.rs' ! -name tests.rs ! -path '*/tests/*' -print0 | sort -z)

exit "$failed"
