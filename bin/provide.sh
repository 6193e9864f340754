# What `make up` provides if a machine lacks it. Each function says what it does and why, and leaves nothing half-built.
# shellcheck shell=bash disable=SC2034

# provide_engine: installs the distribution's own package, if we may.
provide_engine() {
    if ! may_install; then
        is_debian && PROBLEM="there is no docker command; install the engine (sudo apt-get install docker.io), then run this again."
        return 1
    fi
    say "Installing Docker Engine (docker.io, docker-cli): there is none"
    # docker-cli is a package of its own since Debian 13; elsewhere docker.io holds the command.
    apt_install docker.io || {
        PROBLEM="the package docker.io could not be installed (apt-get said why, above); install Docker Engine by hand, then run this again."
        return 1
    }
    command -v docker >/dev/null || apt_install docker-cli || {
        PROBLEM="the package docker-cli could not be installed (apt-get said why, above)."
        return 1
    }
    check_docker_answers || provide_engine_start
}

# provide_engine_start: starts an engine on this machine; only as root.
provide_engine_start() {
    is_root && [ -z "${DOCKER_HOST-}" ] && command -v dockerd >/dev/null || return 1
    case $PROBLEM in *'does not answer'*) ;; *) return 1 ;; esac
    say "Starting Docker Engine: it is installed and does not answer"
    if [ -d /run/systemd/system ]; then
        systemctl start docker >/dev/null 2>&1 || true
    elif ! service docker start >/dev/null 2>&1; then
        # Without an init system (in a container or a rescue system), start the daemon itself.
        setsid dockerd >/var/log/dockerd.log 2>&1 </dev/null &
    fi
    for _ in $(seq 60); do
        check_docker_answers && return
        sleep 0.5
    done
    PROBLEM="Docker Engine is installed and does not start; see journalctl -u docker, or /var/log/dockerd.log."
    return 1
}

# ---------------------------------------------------------------- packages of a distribution, unpacked and not installed

# debian_mirror: DEBIAN_MIRROR, else the Debian mirror that this machine's apt uses.
debian_mirror() {
    local mirror
    mirror=$(setting DEBIAN_MIRROR)
    # shellcheck disable=SC2016  # apt's own variables
    [ -n "$mirror" ] || mirror=$(apt-get indextargets --format '$(CREATED_BY) $(ORIGIN) $(CODENAME) $(REPO_URI)' 2>/dev/null |
        awk -v code="$(os_release VERSION_CODENAME)" '$1 == "Packages" && $2 == "Debian" && $3 == code {print $4; exit}')
    if [ -z "$mirror" ]; then
        # apt knows its sources' names only after an update: read the files themselves.
        mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources /etc/apt/sources.list.d/*.list 2>/dev/null |
            grep -Eo 'https?://[^ ]+/debian/?( |$)' | head -n 1 | tr -d ' ')
    fi
    printf '%s' "${mirror%/}"
}

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# trixie_apt FOLDER ARGUMENT…: apt-get for Debian 13, with package lists of its own; this machine's lists do not change.
trixie_apt() {
    local folder=$1
    shift
    mkdir -p "$folder/lists/partial" "$folder/cache/archives/partial"
    printf 'Types: deb\nURIs: %s\nSuites: trixie\nComponents: main\nSigned-By: %s\n' \
        "$(debian_mirror)" "$DEBIAN_KEYRING" >"$folder/trixie.sources"
    apt-get -qq -o Dir::Etc::sourcelist="$folder/trixie.sources" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$folder/lists" -o Dir::Cache="$folder/cache" \
        -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none \
        -o APT::Sandbox::User=root "$@"
}

# provide_plugins PLUGIN…: compose, buildx, or both, from the first package that has them; no root needed.
provide_plugins() {
    is_debian || return 1
    local plugin work package target missing=()
    target=${DOCKER_CONFIG:-$HOME/.docker}/cli-plugins
    say "Fetching Docker's plugins into $target: this machine lacks $* (or has too old a one)"
    work=$(mktemp -d)
    for plugin in "$@"; do
        for package in "docker-$plugin-plugin" "docker-$plugin-v2" "docker-$plugin"; do
            (cd "$work" && apt-get -qq download "$package") >/dev/null 2>&1 &&
                unpack_plugin "$work" "$plugin" "$target" && check_"$plugin" && continue 2
        done
        missing+=("$plugin")
    done
    # If this distribution is too old to have them, take them from Debian 13.
    if [ ${#missing[@]} -gt 0 ] && [ -f "$DEBIAN_KEYRING" ] && [ -n "$(debian_mirror)" ]; then
        if { trixie_apt "$work/apt" update && (cd "$work" && trixie_apt "$work/apt" download "${missing[@]/#/docker-}"); } >"$work/log" 2>&1; then
            for plugin in "${missing[@]}"; do unpack_plugin "$work" "$plugin" "$target" || true; done
        else
            grep -v '^W:' "$work/log" | tail -n 3 >&2
        fi
    fi
    rm -rf "$work"
    # Each check says what is still missing and which package has it.
    for plugin in "$@"; do check_"$plugin" || return 1; done
}

# unpack_plugin FOLDER PLUGIN TARGET: copies the plugin from the downloaded package into TARGET, by a rename.
unpack_plugin() {
    local work=$1 plugin=$2 target=$3 file
    for file in "$work"/*.deb; do
        if [ -e "$file" ]; then dpkg -x "$file" "$work/x" && rm -f "$file"; fi
    done
    file=$(find "$work/x" -path "*cli-plugins/docker-$plugin" -type f | head -n 1)
    [ -n "$file" ] || return 1
    mkdir -p "$target"
    cp "$file" "$target/.docker-$plugin.new" && chmod 755 "$target/.docker-$plugin.new" &&
        mv "$target/.docker-$plugin.new" "$target/docker-$plugin"
}

# ---------------------------------------------------------------- images

# obtain_image IMAGE: succeeds if the image is here already, or could be pulled.
obtain_image() {
    image_present "$1" && return
    [ "$(setting REGISTRY auto)" = none ] && return 1
    local log answer=0
    log=$(mktemp)
    # The time limit is for a registry that accepts the connection and then sends nothing.
    say "Asking the registry for $1"
    timeout 600 docker pull "$1" >"$log" 2>&1 || answer=$?
    if [ "$answer" -ne 0 ]; then
        note "no: $(tail -n 1 "$log" | cut -c 1-150)"
    fi
    rm -f "$log"
    return "$answer"
}

# provide_base IMAGE: makes an image of Debian 13 with Python 3.13, from Debian's packages.
provide_base() {
    local image=$1 log
    if ! is_debian; then
        PROBLEM="no container registry answers, and the Python base image can be made only on Debian and Ubuntu; load one (docker load) and name it: make up PYTHON_IMAGE=…"
        return 1
    fi
    if ! command -v mmdebstrap >/dev/null; then
        if ! is_root; then
            PROBLEM="no container registry answers, so the Python base image must be made here, for which mmdebstrap is missing; run sudo apt-get install mmdebstrap, then this again."
            return 1
        fi
        say "Installing mmdebstrap: no registry answers, so the base image is made from Debian's packages"
        apt_install mmdebstrap || {
            PROBLEM="the package mmdebstrap could not be installed (apt-get said why, above); check the network and /etc/apt."
            return 1
        }
    fi
    if [ ! -f "$DEBIAN_KEYRING" ]; then
        is_root && apt_install debian-archive-keyring
        [ -f "$DEBIAN_KEYRING" ] || {
            PROBLEM="Debian's archive key is missing; run sudo apt-get install debian-archive-keyring, then this again."
            return 1
        }
    fi
    if [ -z "$(debian_mirror)" ]; then
        PROBLEM="this machine's apt names no Debian mirror; name one: make up DEBIAN_MIRROR=http://…/debian"
        return 1
    fi
    say "Making the base image $image from Debian 13's packages (about 30 s)"
    log=$(mktemp)
    if ! images/base/make "$image" "$(debian_mirror)" "$DEBIAN_KEYRING" 2>"$log"; then
        grep -E '^(E|W|Err)' "$log" | tail -n 3 >&2
        rm -f "$log"
        PROBLEM="the base image could not be made from $(debian_mirror) (mmdebstrap said why, above); check the network, or name another mirror with DEBIAN_MIRROR=…"
        return 1
    fi
    rm -f "$log"
}
