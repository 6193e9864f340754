# Sourced by the scripts in bin/: their messages, their settings, and what else every one of them needs.
# shellcheck shell=bash

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. bin/machine.sh

# ---------------------------------------------------------------- messages

say() { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }
# The one sentence a user gets when something cannot be done: what happened, and what to do next.
fail() {
    printf '\n%s: %s\n' "make ${VERB:-$(basename "$0")}" "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- settings

# What `make up` found out about this machine is in .env between these two lines, so that a plain `docker compose` uses it
# as well.
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
        sed -n "s/^$1=//p" | tail -n 1 | sed "s/^'\\(.*\\)'\$/\\1/"
}

# write_found NAME=VALUE…: replaces the machine's part of .env, by a rename.
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

# change_found NAME=VALUE…: replaces these values in the machine's part of .env, and keeps the others.
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
# This file exists while make restore fills this stack's volumes.
# shellcheck disable=SC2034
RESTORING=.state/restoring-$(project)

# What the names of this stack's images begin with: the project's name, so that two clones do not share them.
STACK_IMAGES=$(setting STACK_IMAGES "$(project)")
export STACK_IMAGES

# ---------------------------------------------------------------- the application

# application_folder [FOLDER]: the absolute path of FOLDER, else of the folder that APP names, else of apps/documents.
application_folder() {
    local folder=${1:-$(setting APP apps/documents)}
    [ -d "$folder" ] || fail "there is no folder $folder; name the folder of an application: make ${VERB:-up} APP=path"
    # The path is written into .env and passed to Docker.
    [[ $folder$(pwd -P) != *[\'\"$'\n']* ]] || fail "the path of $folder holds a quotation mark, which Compose cannot read back; rename the folder."
    (cd "$folder" && pwd -P)
}

# application_place FOLDER: the folder it is staged in, relative to the repository's root.
application_place() {
    local name
    name=$(basename "$1" | tr -c 'a-zA-Z0-9\n' - | tr '[:upper:]' '[:lower:]')
    printf '.state/apps/%s-%s' "$name" "$(printf '%s' "$1" | sha256sum | cut -c 1-8)"
}

# application_shown FOLDER: the folder as a user would write it.
application_shown() { printf '%s' "${1#"$(pwd -P)"/}"; }

# Somebody may have removed .state, and with it the application's compose file. Then use the stack's own alone.
for file in $(found COMPOSE_FILE | tr : ' '); do
    [ -f "$file" ] || export COMPOSE_FILE=compose.yaml
done
unset file

# ---------------------------------------------------------------- images and volumes

# image_present IMAGE
image_present() { docker image inspect "$1" >/dev/null 2>&1; }
volume_present() { docker volume inspect "$1" >/dev/null 2>&1; }

# services_with_data STORE: the services that keep data in a volume, if jobs are in STORE (sqlite or postgres).
services_with_data() {
    printf '%s\n' server localstack gateway
    [ "$1" = sqlite ] || printf '%s\n' postgres
}

# stack_images: the names of the images that this stack is made of, without an application's.
stack_images() {
    printf '%s\n' "$STACK_IMAGES"/{gateway,lambda,worker,tools} "$STACK_IMAGES/server-$(found RESONATE_TARGET)" "$STACK_IMAGES/localstack-$(found LOCALSTACK_TARGET)"
    [ "$(setting RESONATE_STORE sqlite)" = sqlite ] || printf '%s\n' "$STACK_IMAGES/postgres-$(found POSTGRES_TARGET)"
}

# application_images FOLDER: the names of the images of an application that has been staged.
application_images() { sed "s|^|$STACK_IMAGES/|; s|\$LAMBDA_FROM|$(lambda_from)|" "$(application_place "$1")/images"; }
