# Sourced by bin/build and bin/application: builds images, and knows when there is nothing to build.
# shellcheck shell=bash

# A stamp holds a digest of what images were built from, and the ids that they had: since then, another clone with the same
# project name may have given a tag to another image.

# ids IMAGE…: prints a line `image id` for each; fails if one is missing.
ids() {
    local found
    found=$(docker image inspect --format '{{.Id}}' "$@" 2>/dev/null) || return 1
    paste -d ' ' <(printf '%s\n' "$@") <(printf '%s\n' "$found")
}

# built STAMP DIGEST IMAGE…: the stamp holds this digest, and these images are still those that were built then.
built() {
    local stamp=$1 digest=$2
    shift 2
    [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$digest"$'\n'"$(ids "$@")" ]
}

# stamp STAMP DIGEST IMAGE…
stamp() {
    local stamp=$1 digest=$2
    shift 2
    mkdir -p "$(dirname "$stamp")"
    printf '%s\n%s\n' "$digest" "$(ids "$@")" >"$stamp"
}

# digest_of PATH…: prints a checksum of every file and link below these paths, without hidden files and bytecode.
digest_of() {
    find "$@" -mindepth 1 \( -name '.*' -o -name __pycache__ -o -name '*.pyc' \) -prune -o \( -type f -o -type l \) -print0 |
        sort -z | xargs -0 sha256sum 2>&1 || true
}

# build WHAT ARGUMENT…: runs `docker compose ARGUMENT…`, which builds WHAT; if it fails, prints the builder's last lines.
build() {
    local what=$1 log progress=plain
    shift
    log=$(mktemp)
    [ ! -t 1 ] || progress=auto
    if docker compose --progress "$progress" "$@" 2>&1 | tee "$log" | if [ "$progress" = plain ]; then
        # Without a terminal: a line for each step that took a second or more, not pages.
        awk '/^#[0-9]+ \[/ {name[$1] = substr($0, length($1) + 2, 70)}
             /^#[0-9]+ DONE [0-9.]+s/ {took = substr($3, 1, length($3) - 1); if (took >= 1 && $1 in name) {printf "    %5.1f s  %s\n", took, name[$1]; fflush()}}'
    else cat; fi; then
        rm -f "$log"
        return
    fi
    # shellcheck source=bin/checks.sh
    . bin/checks.sh
    if grep -qE 'Could not find a version|Failed to (fetch|download)|error sending request|CERTIFICATE_VERIFY|Name or service not known|Temporary failure in name resolution|No matching distribution' "$log"; then
        rm -f "$log"
        fail "$INDEX_PROBLEM"
    fi
    # packages.py explains in its own message why it refuses a package.
    grep -oE 'PackageError: .*' "$log" | sort -u | sed 's/PackageError: //' | grep . >&2 || grep -vE '^\s*$' "$log" | tail -n 25 >&2
    if grep -q 'no space left on device' "$log"; then
        rm -f "$log"
        fail "the disk is full; make room (docker system df shows what Docker holds), then run this again."
    fi
    rm -f "$log"
    fail "$what could not be built; the builder's last lines are above."
}
