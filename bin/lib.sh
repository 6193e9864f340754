# Sourced by the verbs in bin/: how they speak, where settings come from, what every one of them needs.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# ---------------------------------------------------------------- speaking

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
# The one sentence a user gets when something cannot be done: what happened, and what helps.
fail() {
    printf '\n%s: %s\n' "make ${VERB:-$(basename "$0")}" "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- settings

# What `make up` found out about this machine stands in .env between these two lines, so that a plain
# `docker compose` works with it as well.
MACHINE_BEGIN='# --- found on this machine by make up; change settings above this line, not below ---'
MACHINE_END='# --- end of what make up found ---'

# setting NAME [DEFAULT]: the environment's value, else the one in .env, else DEFAULT.
setting() {
    local name=$1 default=${2-} line
    if [ -n "${!name-}" ]; then
        printf '%s' "${!name}"
        return
    fi
    line=$(own_settings | grep -E "^[[:space:]]*(export[[:space:]]+)?$name=" | tail -n 1 || true)
    line=${line#*=}
    line=${line%$'\r'}
    case $line in
        \"*\" | \'*\') line=${line:1:${#line}-2} ;;
    esac
    printf '%s' "${line:-$default}"
}

# own_settings: the user's part of .env.
own_settings() {
    [ -f .env ] || return 0
    awk -v b="$MACHINE_BEGIN" -v e="$MACHINE_END" '$0 == b {skip = 1} !skip {print} $0 == e {skip = 0}' .env
}

# found NAME: what an earlier `make up` found on this machine.
found() {
    [ -f .env ] || return 0
    awk -v b="$MACHINE_BEGIN" -v e="$MACHINE_END" '$0 == e {on = 0} on {print} $0 == b {on = 1}' .env |
        sed -n "s/^$1=//p" | tail -n 1
}

# write_found NAME=VALUE…: replaces the machine's part of .env, in one move.
write_found() {
    local new
    [ -f .env ] || cp .env.example .env
    new=$(mktemp .env.XXXXXX)
    {
        own_settings
        printf '%s\n' "$MACHINE_BEGIN"
        printf '%s\n' "$@"
        printf '%s\n' "$MACHINE_END"
    } >"$new"
    chmod --reference=.env "$new" 2>/dev/null || true
    mv "$new" .env
}

# change_found NAME=VALUE…: replaces these among what was found, and keeps the others.
change_found() {
    local line
    while read -r line; do
        case " $* " in *" ${line%%=*}="*) ;; *) set -- "$@" "$line" ;; esac
    done < <(awk -v b="$MACHINE_BEGIN" -v e="$MACHINE_END" '$0 == e {on = 0} on {print} $0 == b {on = 1}' .env)
    write_found "$@"
}

# use_store STORE: where the official server keeps its jobs; with postgres, Compose starts that service as well.
use_store() {
    case $1 in
        sqlite) unset COMPOSE_PROFILES ;;
        postgres) export RESONATE_STORE=postgres COMPOSE_PROFILES=postgres ;;
        *) fail "RESONATE_STORE is '$1'; set it to sqlite or postgres." ;;
    esac
}
use_store "$(setting RESONATE_STORE sqlite)"

# lambda_from: which artefact the stack runs the function from.
lambda_from() {
    local from
    from=$(setting LAMBDA_FROM image)
    case $from in
        image | zip | layer) printf '%s\n' "$from" ;;
        *) fail "LAMBDA_FROM is '$from'; set it to image, zip or layer." ;;
    esac
}

project() { setting COMPOSE_PROJECT_NAME durable-lambda; }
# Here while make restore is filling this stack's volumes.
# shellcheck disable=SC2034
RESTORING=.state/restoring-$(project)

# ---------------------------------------------------------------- the machine

is_root() { [ "$(id -u)" -eq 0 ]; }

# os_release KEY: a field of /etc/os-release, empty where there is none.
os_release() {
    # shellcheck disable=SC1091
    (. /etc/os-release 2>/dev/null && eval "printf '%s' \"\${$1-}\"") || true
}

is_debian() { case " $(os_release ID) $(os_release ID_LIKE) " in *' debian '*) command -v apt-get >/dev/null ;; *) false ;; esac; }

# may_install: this machine's packages are ours to add to.
may_install() { is_debian && is_root; }

# apt_install PACKAGE…: as root on Debian and Ubuntu; quiet, but for its errors.
apt_install() {
    local log
    log=$(mktemp)
    if ! {
        apt-get install -y -qq --no-install-recommends "$@" ||
            { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; }
    } >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# The host's certificate bundle, for builds behind a proxy with an authority of its own; the image never sees it.
ca_bundle() {
    local file
    for file in "$(setting CA_BUNDLE)" "${SSL_CERT_FILE-}" /etc/ssl/certs/ca-certificates.crt \
        /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        if [ -n "$file" ] && [ -s "$file" ]; then
            printf '%s' "$file"
            return
        fi
    done
    printf '/dev/null'
}

# The host's pip configuration: a company's package index serves the builds as well.
pip_conf() {
    local file made=.state/pip.conf index=${PIP_INDEX_URL:-${UV_DEFAULT_INDEX:-${UV_INDEX_URL-}}}
    if [ -n "$index" ]; then
        mkdir -p .state
        (umask 077 && printf '[global]\nindex-url = %s\n' "$index" >"$made")
        printf '%s' "./$made"
        return
    fi
    for file in "$(setting PIP_CONF)" "${PIP_CONFIG_FILE-}" "${XDG_CONFIG_HOME:-$HOME/.config}/pip/pip.conf" \
        "$HOME/.pip/pip.conf" /etc/pip.conf; do
        if [ -n "$file" ] && [ -s "$file" ]; then
            printf '%s' "$file"
            return
        fi
    done
    printf '/dev/null'
}

# image_present IMAGE
image_present() { docker image inspect "$1" >/dev/null 2>&1; }
volume_present() { docker volume inspect "$1" >/dev/null 2>&1; }

# services_with_data STORE: the services that keep something in a volume, where jobs are in STORE (sqlite or postgres).
services_with_data() {
    printf '%s\n' server localstack gateway
    [ "$1" = sqlite ] || printf '%s\n' postgres
}

# stack_images: the names of the images this stack is made of, as settings and machine have it.
stack_images() {
    local prefix
    prefix=$(setting STACK_IMAGES durable-lambda)
    printf '%s\n' "$prefix"/{gateway,worker} "$prefix/lambda-$(lambda_from)" "$prefix/server-$(found RESONATE_TARGET)" "$prefix/localstack-$(found LOCALSTACK_TARGET)"
    [ "$(setting RESONATE_STORE sqlite)" = sqlite ] || printf '%s\n' "$prefix/postgres-$(found POSTGRES_TARGET)"
}
