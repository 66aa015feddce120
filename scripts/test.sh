#!/usr/bin/env bash
# Every check, cheap ones first; the first failure ends it. The tests' own summary comes last.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh

stage_name=setup
stage_start=$SECONDS
finish() {
    local status=$?
    if ((status)); then
        echo "FAILED: $stage_name (exit status $status, after $((SECONDS - stage_start)) s)" >&2
    fi
}
trap finish EXIT

# stage NAME COMMAND...: a heading, the command, the seconds it took.
stage() {
    stage_name=$1
    stage_start=$SECONDS
    shift
    printf '\n==> %s\n' "$stage_name"
    "$@"
    printf '    %s: %d s\n' "$stage_name" "$((SECONDS - stage_start))"
}

# tool COMMAND CRATE: installs a cargo subcommand that is missing.
tool() {
    command -v "$1" >/dev/null || cargo install --locked "$2"
}

file_sizes() {
    local status=0 lines file
    while IFS= read -r -d '' file; do
        [[ -f "$file" ]] || continue
        lines=$(wc -l <"$file")
        if ((lines > 800)); then
            echo "$file has $lines lines, expected at most 800" >&2
            status=1
        fi
    done < <(git ls-files -z --cached --others --exclude-standard -- '*.rs')
    return "$status"
}

dependencies() {
    tool cargo-deny cargo-deny
    local deny=(cargo deny --manifest-path Cargo.toml --config scripts/deny.toml)
    "${deny[@]}" --locked check --hide-inclusion-graph bans licenses sources
    # Advisories change without us: they need the network, and one published today must not fail yesterday's commit.
    local log
    log=$(mktemp)
    if ! timeout 120 "${deny[@]}" fetch db >"$log" 2>&1; then
        echo "    advisories NOT checked: the advisory database could not be fetched"
    elif ! "${deny[@]}" --frozen check --hide-inclusion-graph advisories; then
        echo "    WARNING: the advisories above concern this commit's dependencies"
    fi
    rm -f "$log"
}

doc_tests() {
    # It compiles every crate once more, which only pays where a doc comment holds a block of Rust.
    if has_doc_test; then
        cargo test --release --locked --doc --workspace --quiet
    else
        echo "    no doc tests in the sources"
    fi
}

# A closing fence looks like an opening one without a language, so fences are counted in pairs.
has_doc_test() {
    local file
    while IFS= read -r -d '' file; do
        if ! awk '
            /^[ \t]*\/\/[\/!][ \t]*```/ {
                open = !open
                if (open && $0 ~ /```(rust|no_run|should_panic|compile_fail)?(,.*)?[ \t]*$/) { found = 1; exit }
            }
            END { exit found }
        ' "$file"; then
            return 0
        fi
    done < <(git ls-files -z --cached --others --exclude-standard -- '*.rs')
    return 1
}

benches() {
    if compgen -G '*/benches/*.rs' >/dev/null; then
        # Only bench targets: with libraries and binaries among them, all unit tests would run a second time.
        cargo bench --workspace --locked --bench '*' -- --test
    else
        echo "    no benches"
    fi
}

stage "formatting" cargo fmt --all --check
stage "file sizes" file_sizes
stage "crate graph" scripts/check-graph.sh
stage "dependencies" dependencies
stage "clippy" cargo clippy --release --locked --workspace --all-targets -- -D warnings
stage "documentation" env RUSTDOCFLAGS="-D warnings" \
    cargo doc --release --locked --no-deps --workspace --document-private-items
stage "doc tests" doc_tests
tool cargo-nextest cargo-nextest
# The bits must not depend on the build profile: nothing optimized, overflow checked. It fails if no test is found.
stage "golden tests, unoptimized" \
    cargo nextest run --locked -p ml-kernels -p consensus-upow -E 'test(golden)'
stage "benches, once each" benches
stage "tests" cargo nextest run --release --locked --workspace

printf '\nall checks passed in %d s\n' "$SECONDS"
