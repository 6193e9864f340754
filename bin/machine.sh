# Sourced by lib.sh: what this machine is, and what builds take from it.
# shellcheck shell=bash

is_root() { [ "$(id -u)" -eq 0 ]; }

# os_release KEY: a field of /etc/os-release, or nothing if it is not there.
os_release() {
    # shellcheck disable=SC1091
    (. /etc/os-release 2>/dev/null && eval "printf '%s' \"\${$1-}\"") || true
}

is_debian() { case " $(os_release ID) $(os_release ID_LIKE) " in *' debian '*) command -v apt-get >/dev/null ;; *) false ;; esac; }

# may_install: whether we can install packages on this machine.
may_install() { is_debian && is_root; }

# apt_install PACKAGE…: needs root on Debian or Ubuntu; prints only errors.
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

# The host's certificate bundle, for builds behind a proxy with its own certificate authority. No image contains it.
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

# The host's pip configuration, so that builds use a company's package index as well.
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
