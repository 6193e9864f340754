# Sourced by the scripts in deploy/: every command is shown before it runs; with DRY_RUN=1 it is only shown.
# shellcheck shell=bash

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$here/.."

fail() {
    printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# show COMMAND…: as one would type it.
show() { { printf '+' && printf ' %q' "$@" && printf '\n'; } >&2; }

# run COMMAND…: shown, then run.
run() {
    show "$@"
    [ -n "${DRY_RUN-}" ] || "$@"
}

# ask PLACEHOLDER COMMAND…: a command whose answer is needed; a dry run answers PLACEHOLDER.
ask() {
    local placeholder=$1
    shift
    show "$@"
    if [ -n "${DRY_RUN-}" ]; then printf '%s\n' "$placeholder"; else "$@"; fi
}

# there COMMAND…: whether what the command asks for exists. Any other error (no permission, no network) ends the script.
# In a dry run everything counts as missing, so that each step of a first deployment is shown.
there() {
    local said
    show "$@"
    [ -z "${DRY_RUN-}" ] || return 1
    said=$("$@" 2>&1 >/dev/null) && return 0
    case $said in *NotFound* | *NoSuch* | *'Not Found'* | *'does not exist'*) return 1 ;; esac
    fail "${said#$'\n'}"
}

# need_tools NAME…
need_tools() {
    local name
    for name in "$@"; do
        command -v "$name" >/dev/null || fail "there is no command '$name'; install it (aws: docs.aws.amazon.com/cli), then run this again."
    done
}

# need_credentials: sets ACCOUNT and REGION; the account is asked for at AWS, except in a dry run.
need_credentials() {
    REGION=${AWS_REGION:-${AWS_DEFAULT_REGION-}}
    [ -n "$REGION" ] || REGION=$(aws configure get region 2>/dev/null || true)
    [ -n "$REGION" ] || fail "no region; set AWS_REGION=… (or aws configure)."
    export AWS_REGION=$REGION AWS_PAGER='' ACCOUNT=
    if [ -n "${DRY_RUN-}" ]; then
        ACCOUNT=123456789012
        return
    fi
    ACCOUNT=$(aws sts get-caller-identity --query Account --output text 2>/dev/null) ||
        fail "AWS does not know who you are: no credentials, or they have expired; see aws configure, aws sso login, or AWS_PROFILE=…, then run this again."
}

# need_package FILE…: these files of make package are there.
need_package() {
    local file
    for file in "$@"; do [ -s "$file" ] || fail "there is no $file; run make package first."; done
}

# key_of FILE: its name in the bucket of packages. It has the content's hash in it, so that earlier packages stay.
key_of() { printf 'durable-lambda/%s-%s' "$(sha256sum "$1" | cut -c 1-16)" "$(basename "$1")"; }
