# What the stack needs from a machine, one function for each need. `make up` runs them and fixes what it can; `make doctor`
# only reports. A check that fails sets PROBLEM: what is wrong, and what to do.
# shellcheck shell=bash disable=SC2034

PROBLEM=

# at_least VERSION MINIMUM
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

check_docker_installed() {
    command -v docker >/dev/null && return
    PROBLEM="there is no docker command; install Docker Engine 20.10 or newer (docs.docker.com/engine/install), then run this again."
    return 1
}

check_docker_answers() {
    local answer
    answer=$(docker version --format '{{.Server.Version}}' 2>&1) && return
    case $answer in
        *'permission denied'*)
            PROBLEM="you may not use Docker's socket; add yourself to its group (sudo usermod -aG docker $(id -un), then log in again) or run as root."
            ;;
        *)
            PROBLEM="Docker Engine does not answer at ${DOCKER_HOST:-its socket}; start it (sudo systemctl start docker, or Docker Desktop), then run this again."
            ;;
    esac
    return 1
}

check_docker_version() {
    local version
    version=$(docker version --format '{{.Server.Version}}')
    at_least "$version" 20.10 && return
    PROBLEM="Docker Engine $version is too old; install 20.10 or newer."
    return 1
}

check_compose() {
    local version
    version=$(docker compose version --short 2>/dev/null) && at_least "${version#v}" 2.17 && return
    PROBLEM="Docker Compose V2 (2.17 or newer) is missing; install the package docker-compose-plugin (Docker's), docker-compose-v2 (Ubuntu's) or docker-compose (Debian 13's)."
    return 1
}

check_buildx() {
    docker buildx version >/dev/null 2>&1 && return
    PROBLEM="the buildx plugin is missing; install the package docker-buildx-plugin (Docker's) or docker-buildx (Debian's and Ubuntu's)."
    return 1
}

# The images take about 1.5 GB, their builds as much again.
DISK_NEEDED_MB=4000

check_disk() {
    local root free
    root=$(docker info --format '{{.DockerRootDir}}' 2>/dev/null)
    # If this machine has no such folder, the engine runs elsewhere (in a virtual machine, on another host).
    [ -d "$root" ] || return 0
    free=$(df -Pm "$root" | awk 'NR == 2 {print $4}')
    [ "$free" -ge "$DISK_NEEDED_MB" ] && return
    # Images that are already built need no more room.
    image_present "$STACK_IMAGES/worker" && [ "$free" -ge 500 ] && return
    PROBLEM="only $free MB are free at $root, $DISK_NEEDED_MB MB are needed; make room (docker system df shows what Docker holds), then run this again."
    return 1
}

PORTS='API_PORT=8080 LAMBDA_PORT=9000 RESONATE_PORT=8001 RESONATE_METRICS_PORT=9090 S3_PORT=4566'

# check_ports: none of the stack's ports is taken by another program (or another stack).
check_ports() {
    local pair name port ours
    ours=$(docker ps --filter "label=com.docker.compose.project=$(project)" --format '{{.Ports}}' 2>/dev/null || true)
    for pair in $PORTS; do
        name=${pair%%=*}
        port=$(setting "$name" "${pair#*=}")
        if ! [[ $port =~ ^[0-9]+$ ]] || [ "$port" -gt 65535 ]; then
            PROBLEM="$name is '$port', which is no port; set it to a number from 1 to 65535, or to 0 for any free port."
            return 1
        fi
        [ "$port" -eq 0 ] && continue
        case $ours in *"127.0.0.1:$port->"*) continue ;; esac
        if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            PROBLEM="port $port on 127.0.0.1 is taken by another program; stop it, or choose another with $name=… (0 takes any free port): make up $name=0"
            return 1
        fi
    done
}

# check_index: the Python package index answers, asked the way a build asks it. Needs a Python image.
check_index() {
    local image ca conf
    image=$(found PYTHON_IMAGE)
    [ -n "$image" ] && image_present "$image" || return 0
    ca=$(ca_bundle) conf=$(pip_conf)
    [ "${conf#./}" = "$conf" ] || conf=$PWD/${conf#./}
    if docker run --rm --read-only --tmpfs /tmp:exec -e HOME=/tmp \
        -v "$PWD/images/base/build-tools:/opt/build-tools:ro" \
        -v "$ca:/run/secrets/ca:ro" -v "$conf:/run/secrets/pip_conf:ro" \
        "$image" timeout 60 /opt/build-tools/with-index /opt/build-tools/probe-index >/dev/null 2>&1; then
        return
    fi
    PROBLEM="$INDEX_PROBLEM"
    return 1
}

# check_reader: this kernel can confine the process that reads a document, in a container like the worker's. Needs a
# Python image.
check_reader() {
    local image lacks
    image=$(found PYTHON_IMAGE)
    [ -n "$image" ] && image_present "$image" || return 0
    lacks=$(docker run --rm --read-only --network none --user 10001:10001 --cap-drop ALL --security-opt no-new-privileges \
        -v "$PWD/durable_lambda/src/durable_lambda/worker/confinement:/code/confinement:ro" -w /code "$image" python3 -B -m confinement 2>&1) || lacks="It could not be asked: $lacks"
    [ -n "$lacks" ] || return 0
    PROBLEM="${lacks//$'\n'/ } The worker runs anyway; with READER_ISOLATION=required it refuses to start."
    return 1
}

INDEX_PROBLEM="the Python package index does not answer from inside a container; check the network, or name your mirror with PIP_INDEX_URL=… and your proxy's certificate authority with CA_BUNDLE=/path/to/bundle.pem"
