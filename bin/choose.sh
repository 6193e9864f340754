# Chooses the image of each service: the official one if this machine can get it, else ours. Sourced by bin/setup.
# shellcheck shell=bash disable=SC2034

# built_before SERVICE NAME: the target NAME an earlier run chose, if its image is still here.
built_before() {
    local target
    target=$(found "$2")
    [ -n "$target" ] && image_present "$STACK_IMAGES/$1-$target" && printf '%s' "$target" || true
}

# choose_resonate: official or embedded, for RESONATE_SERVER=auto|official|embedded. A server that already has data is kept.
choose_resonate() {
    local wanted kept='' image
    image=$(setting RESONATE_IMAGE resonatehqio/resonate:v0.9.8)
    wanted=$(setting RESONATE_SERVER auto)
    volume_present "$(project)_server-official" && kept=official
    volume_present "$(project)_server-embedded" && kept=${kept:+both}${kept:-embedded}
    [ "$kept" != bothofficial ] || kept=
    case $wanted in
        auto) ;;
        official | embedded)
            if [ -n "$kept" ] && [ "$kept" != "$wanted" ]; then
                fail "RESONATE_SERVER=$wanted, but this stack's jobs are with the $kept server; go on with RESONATE_SERVER=$kept, or delete them with make reset."
            fi
            kept=$wanted
            ;;
        *) fail "RESONATE_SERVER is '$wanted'; set it to auto, official or embedded." ;;
    esac
    # Ask the registry only once: if it cannot be reached, asking again would delay every start by the time-out.
    [ -n "$kept" ] || kept=$(built_before server RESONATE_TARGET)
    if [ "$kept" != embedded ]; then
        if obtain_image "$image" >&2; then
            kept=official
        elif [ "$kept" = official ]; then
            fail "the official Resonate server's image $image is not here and cannot be pulled; load it (docker load), or use RESONATE_SERVER=embedded."
        fi
    fi
    if [ "${kept:-embedded}" = embedded ] && [ "$(setting RESONATE_STORE sqlite)" = postgres ]; then
        fail "RESONATE_STORE=postgres is for the official server, and only the embedded one is available: the image $image is not here and cannot be pulled. Load it (docker load), name it in a registry that answers (RESONATE_IMAGE=…), or go on with RESONATE_STORE=sqlite, which serves one machine."
    fi
    check_store || fail "$PROBLEM"
    printf '%s' "${kept:-embedded}"
}

# check_store: RESONATE_STORE is the store that this stack's jobs are in, the server's own file or PostgreSQL.
check_store() {
    local store here=''
    store=$(setting RESONATE_STORE sqlite)
    volume_present "$(project)_server-official" && here=sqlite
    # With PostgreSQL, the server's own volume exists as well, but is empty.
    volume_present "$(project)_postgres" && here=postgres
    [ -z "$here" ] || [ "$here" = "$store" ] && return
    PROBLEM="RESONATE_STORE=$store, but this stack's jobs are in $here; go on with RESONATE_STORE=$here, or delete them with make reset."
    return 1
}

# choose_postgres: the official image if it can be pulled, else the same version from Debian's packages.
choose_postgres() {
    if [ "$(built_before postgres POSTGRES_TARGET)" = packages ]; then
        printf packages
    elif obtain_image postgres:17 >&2; then printf official; else printf packages; fi
}

# choose_localstack: the official image if it can be pulled, else the same version from packages.
choose_localstack() {
    if [ "$(built_before localstack LOCALSTACK_TARGET)" = packages ]; then
        printf packages
    elif obtain_image localstack/localstack:4.14.0 >&2; then printf official; else printf packages; fi
}

# choose_health_checks: which file of images/base/health this engine and this Compose support (docs/decisions/0058).
choose_health_checks() {
    local engine compose
    engine=$(docker version --format '{{.Server.Version}}')
    compose=$(docker compose version --short)
    if at_least "$engine" 25 && at_least "${compose#v}" 2.20.2; then echo starting; else echo always; fi
}
