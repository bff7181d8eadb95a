#!/bin/bash
# Makes a small Debian 12 base image without a registry and loads it into the engine.
#
# Stands in, in the tests, for the base that images/bases.yaml names: same distribution, same
# package manager, trimmed alike (no manuals, translations or documentation). Bit-identical when
# made twice from the same package versions. The tar is kept in the cache folder and used again
# from there; remove it for newer packages. Prints the tag as its last line.
#
# EDGEMOE_BASE_ARCH  amd64 or arm64 (this machine's); another one runs after register-arm64.sh
# EDGEMOE_CACHE   cache folder (.cache at the top of the checkout); the tar is base/bookworm.tar,
#                 of another architecture base/bookworm-ARCH.tar
# DOCKER          docker client to load it with (docker)
set -euo pipefail

own="$(dpkg --print-architecture 2>/dev/null || echo amd64)"
readonly arch="${EDGEMOE_BASE_ARCH:-${own}}"
suffix=""
[[ "${arch}" == "${own}" ]] || suffix="-${arch}"
readonly tag="edgemoe-test-base:bookworm${suffix}"
# One day before the packages of Debian 12.0; any constant would do.
readonly epoch="${SOURCE_DATE_EPOCH:-1686355200}"
top="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
readonly cache="${EDGEMOE_CACHE:-${top}/.cache}/base"
readonly tar_file="${cache}/bookworm${suffix}.tar"
readonly docker="${DOCKER:-docker}"

say() { printf 'make-base-image: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 3
}

install_packages() {
    command -v mmdebstrap >/dev/null && command -v arch-test >/dev/null && return 0
    [[ $EUID -eq 0 ]] || die "not root: install mmdebstrap and arch-test yourself"
    say "installing mmdebstrap and arch-test"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends mmdebstrap arch-test >/dev/null
}

make_tar() {
    [[ $EUID -eq 0 ]] || die "only root can make ${tar_file}"
    install_packages
    mkdir -p "${cache}"
    say "making ${tar_file} (about a minute; longer for another architecture)"
    # shellcheck disable=SC2016 # mmdebstrap expands $1
    SOURCE_DATE_EPOCH="${epoch}" mmdebstrap --quiet --arch="${arch}" --variant=minbase --mode=root \
        --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-include=/usr/share/doc/*/copyright' \
        --aptopt='APT::Install-Recommends "false"' \
        --customize-hook='rm -rf "$1"/var/cache/apt/*.bin "$1"/var/cache/debconf/*-old' \
        --customize-hook='rm -f "$1"/etc/hostname "$1"/etc/resolv.conf' \
        bookworm "${tar_file}.partial.tar"
    mv "${tar_file}.partial.tar" "${tar_file}"
}

# A docker-archive, not `docker import`: an import stamps the time and so gets another digest
# every time.
load_image() {
    say "loading ${tag}"
    python3 "${top}/tests/tools/docker_archive.py" --created-epoch-s "${epoch}" \
        --architecture "${arch}" --tag "${tag}" --layer "${tar_file}" | "${docker}" load >&2
}

main() {
    if [[ -f "${tar_file}" ]]; then
        say "using ${tar_file}"
    else
        make_tar
    fi
    load_image
    printf '%s\n' "${tag}"
}

main
