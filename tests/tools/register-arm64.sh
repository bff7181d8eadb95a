#!/bin/bash
# Makes sure that programs for arm64 run on this machine, also in containers: qemu-user and its
# registration with the kernel (binfmt_misc).
#
# Does nothing on an arm64 machine or where one is registered already. Else, as root on a
# Debian-like system, installs the distribution's qemu-user-static and registers it; nothing else
# of the machine changes, and a restart forgets it.
set -euo pipefail

readonly formats="/proc/sys/fs/binfmt_misc"

say() { printf 'register-arm64: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 3
}

# F: the interpreter was opened when it was registered, so that containers need no copy of it.
is_registered() { grep -qs '^flags: .*F' "${formats}/qemu-aarch64"; }

main() {
    case "$(uname -m)" in aarch64 | arm64) return 0 ;; esac
    is_registered && return 0
    [[ $EUID -eq 0 ]] || die "not root: install qemu-user-static and binfmt-support yourself"
    command -v apt-get >/dev/null || die "no apt-get: install qemu-user-static yourself"
    if ! command -v qemu-aarch64-static >/dev/null || ! command -v update-binfmts >/dev/null; then
        say "installing qemu-user-static, binfmt-support and arch-test"
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends \
            qemu-user-static binfmt-support arch-test >/dev/null
    fi
    mountpoint -q "${formats}" || mount -t binfmt_misc binfmt_misc "${formats}" ||
        die "this kernel has no binfmt_misc"
    update-binfmts --enable qemu-aarch64 || true
    is_registered || die "qemu-aarch64 is not registered in ${formats}"
    say "programs for arm64 run through qemu-user now"
}

main
