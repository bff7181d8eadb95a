#!/bin/bash
# Makes sure that a Docker engine answers on this machine, for the tests.
#
# Does nothing where one answers already. Else, as root on a Debian-like system, installs the
# distribution's docker.io and starts dockerd by hand (no init system is needed). Says what it
# does on stderr; prints the address to use as DOCKER_HOST on stdout, as its last line.
#
# EDGEMOE_ENGINE_ROOT  folder of the engine's images and state (/var/lib/edgemoe-engine)
# DOCKER_HOST          engine to look for, and socket to serve (unix:///var/run/docker.sock)
set -euo pipefail

readonly engine_root="${EDGEMOE_ENGINE_ROOT:-/var/lib/edgemoe-engine}"
readonly host="${DOCKER_HOST:-unix:///var/run/docker.sock}"
readonly log_file="${engine_root}/dockerd.log"
readonly wait_s=60

say() { printf 'start-engine: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 3
}

# The API itself is asked: a docker client on PATH may be of another version, or absent.
answers() {
    [[ -S "${host#unix://}" ]] &&
        curl --silent --fail --max-time 5 --unix-socket "${host#unix://}" \
            http://engine/_ping >/dev/null 2>&1
}

install_packages() {
    local missing=()
    command -v dockerd >/dev/null || missing+=(docker.io)
    command -v curl >/dev/null || missing+=(curl)
    ((${#missing[@]})) || return 0
    [[ $EUID -eq 0 ]] || die "not root: install ${missing[*]} and start the engine yourself"
    command -v apt-get >/dev/null || die "no apt-get: install ${missing[*]} yourself"
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # The package would start a second engine through the init system where there is one.
    RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

start_engine() {
    [[ $EUID -eq 0 ]] || die "no engine answers on ${host} and only root can start one"
    install -d -m 0710 "${engine_root}"
    # What a hard stop left of the last engine's running state (pid files, sockets) would keep the
    # new one from starting; images and volumes lie in data.
    rm -rf "${engine_root}/dockerd.pid" "${engine_root}/exec" || true
    say "starting dockerd, data in ${engine_root}, log in ${log_file}"
    # A session of its own, so that it outlives the shell or CI step that started it.
    setsid nohup dockerd \
        --host "${host}" \
        --data-root "${engine_root}/data" \
        --exec-root "${engine_root}/exec" \
        --pidfile "${engine_root}/dockerd.pid" \
        >>"${log_file}" 2>&1 </dev/null &
    local engine_pid=$! waited=0
    until answers; do
        kill -0 "${engine_pid}" 2>/dev/null || fail_with_log "dockerd ended"
        ((waited < wait_s)) || fail_with_log "no answer after ${wait_s} s"
        sleep 1
        waited=$((waited + 1))
    done
    say "answers after ${waited} s"
}

fail_with_log() {
    say "$1; the end of its log:"
    tail -n 20 "${log_file}" >&2 || true
    exit 3
}

main() {
    [[ "${host}" == unix://* ]] || die "DOCKER_HOST=${host} is not a unix socket"
    install_packages
    if answers; then
        say "an engine answers on ${host}"
    else
        start_engine
    fi
    printf '%s\n' "${host}"
}

main
