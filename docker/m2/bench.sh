#!/bin/bash
# The study's runs on an Apple Silicon Mac: checks first, then builds and measures natively.
#
# Metal cannot be reached from a container, as those run in a Linux machine on macOS; so this
# wrapper stands where the Dockerfile stands for the other targets. The flags of the build come
# from configs/devices.yaml, target m2, as everywhere.
#
#   docker/m2/bench.sh [--dry-run] [--force] [ARGUMENT...]
#
# --dry-run    print the commands and check nothing; works on any system
# --force      measure although a check failed
# ARGUMENT...  passed on to `edgemoe-appliance bench` (--experiment E, --session NAME, ...)
#
# Exit codes are those of edgemoe-appliance; 3 where this Mac is not ready, 2 for a wrong flag.
set -euo pipefail

top="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
readonly top
# Ventura: the first with Metal 3, which the study's machine has.
readonly least_macos=13

dry_run=false
force=false
failures=0

usage() { sed -n '2,/^set -e/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

finding() { printf '%-8s %s\n' "$1" "$2"; }

fail() {
    failures=$((failures + 1))
    finding fail "$1"
}

check_system() {
    if [[ "$(uname -s)" != Darwin || "$(uname -m)" != arm64 ]]; then
        fail "this is $(uname -s) on $(uname -m): the m2 target needs an Apple Silicon Mac"
        return
    fi
    local version
    version="$(sw_vers -productVersion)"
    if ((${version%%.*} >= least_macos)); then
        finding ok "macOS ${version}"
    else
        fail "macOS ${version}: ${least_macos} or newer is needed for Metal 3"
    fi
    finding ok "$(sysctl -n machdep.cpu.brand_string), the study's machine is an Apple M2 Pro"
}

check_tools() {
    if xcode-select -p >/dev/null 2>&1; then
        finding ok "compilers in $(xcode-select -p)"
    else
        fail "no compilers: run xcode-select --install"
    fi
}

check_power() {
    if pmset -g batt | grep -q 'AC Power'; then
        finding ok "on AC power"
    else
        fail "on battery, which slows the processor down: plug it in"
    fi
    if pmset -g | grep -Eq '^ *lowpowermode +1'; then
        fail "low power mode is on: turn it off in System Settings, Battery"
    fi
}

# Both start by themselves and take a core and the disk for minutes; only reminders, because
# nothing here turns off what belongs to the user.
check_background() {
    if mdutil -s / 2>/dev/null | grep -q 'Indexing enabled'; then
        finding warn "Spotlight indexes this disk: sudo mdutil -a -i off before, on afterwards"
    else
        finding ok "Spotlight does not index this disk"
    fi
    if tmutil status 2>/dev/null | grep -q 'Running = 1'; then
        finding warn "Time Machine is backing up: wait, or tmutil stopbackup"
    else
        finding ok "Time Machine is idle"
    fi
}

preflight() {
    check_system
    if ((failures == 0)); then
        check_tools
        check_power
        check_background
    fi
    if ((failures > 0)) && ! ${force}; then
        printf 'error: %d of the checks failed; mend them, or use --force\n' "${failures}" >&2
        exit 3
    fi
}

# The one in the checkout's environment first: it belongs to this wrapper.
program() {
    if [[ -x "${top}/.venv/bin/edgemoe-appliance" ]]; then
        printf '%s\n' "${top}/.venv/bin/edgemoe-appliance"
    else
        printf 'edgemoe-appliance\n'
    fi
}

run() {
    if ${dry_run}; then
        printf 'would run:'
        printf ' %q' "$@"
        printf '\n'
    else
        "$@"
    fi
}

refuse_set_flags() {
    local argument
    for argument in "$@"; do
        case "${argument}" in
            --target | --target=* | --runtime | --runtime=*)
                printf 'error: %s is set by this wrapper\n' "${argument}" >&2
                exit 2
                ;;
        esac
    done
}

main() {
    while (($#)); do
        case "$1" in
            --dry-run) dry_run=true ;;
            --force) force=true ;;
            --help | -h)
                usage
                exit 0
                ;;
            *) break ;;
        esac
        shift
    done
    refuse_set_flags "$@"
    if ${dry_run}; then
        printf 'would check: macOS, compilers, AC power, Spotlight, Time Machine\n'
    else
        preflight
    fi
    local appliance
    appliance="$(program)"
    run "${appliance}" build --target m2
    # Awake until the last run: a sleeping Mac would count the sleep as run time.
    run caffeinate -ims "${appliance}" bench --target m2 --runtime native "$@"
}

main "$@"
