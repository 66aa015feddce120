#!/usr/bin/env bash
# Writes genesis/data/corpus.txt: this project's own sources and prose, which the built-in chains train on.
# The same commit gives the same bytes. A new corpus is a new task, so dev and local become other chains by it.
set -euo pipefail
# Sorting by bytes, whatever the user's language.
export LC_ALL=C

cd "$(dirname "${BASH_SOURCE[0]}")/.."
corpus=genesis/data/corpus.txt
fresh=$(mktemp)
trap 'rm -f "$fresh"' EXIT

mapfile -d '' -t files < <(git ls-files -z -- '*.rs' '*.md' '*.toml' '*.sh' ":!$corpus" | sort -z)
for file in "${files[@]}"; do
    # A file that git knows may be gone from the checkout.
    [[ -f "$file" ]] || continue
    printf '=== %s ===\n' "$file"
    cat -- "$file"
    # One line break at least between a file and the next header.
    [[ -z "$(tail -c 1 -- "$file")" ]] || printf '\n'
done >"$fresh"

if ! iconv -f UTF-8 -t UTF-8 "$fresh" >/dev/null; then
    echo "make-dataset: a source is not UTF-8" >&2
    exit 1
fi
# mktemp keeps files private; the corpus is as readable as any source.
install -m 644 "$fresh" "$corpus"
echo "$corpus: ${#files[@]} files, $(wc -c <"$corpus") bytes"
