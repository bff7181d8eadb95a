#!/bin/bash
# Makes CUDA's folder of a board, /usr/local/cuda of JetPack, without a board or JetPack: arm64's
# libraries and headers, and a compiler that runs on this x86-64 machine.
#
# From the non-free packages of Debian 13 (CUDA 12.4; JetPack 6 has 12.6), fetched and verified by
# apt through a configuration of its own: nothing is installed, and this machine's apt learns of no
# other release. 1.3 GB are fetched; the folder takes 0.9 GB. Prints the folder as its last line.
#
# EDGEMOE_CACHE   cache folder (.cache at the top of the checkout); the folder is cuda/12.4
set -euo pipefail

top="$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)"
readonly cache="${EDGEMOE_CACHE:-${top}/.cache}/cuda"
readonly toolkit="${cache}/12.4"
readonly partial="${cache}/partial"
readonly release="trixie"
readonly packages=(
    nvidia-cuda-toolkit:amd64 nvidia-cuda-dev:arm64 libcudart12:arm64 libcublas12:arm64
    libcublaslt12:arm64 libcub-dev:amd64 libthrust-dev:amd64 libcu++-dev:amd64
)
# cudafe++ and the others that nvcc starts; cuobjdump, with which the result is looked at.
readonly programs=(
    __nvcc_device_query bin2c cu++filt cudafe++ cuobjdump fatbinary nvdisasm nvlink nvprune ptxas
)

say() { printf 'make-cuda-toolkit: %s\n' "$*" >&2; }

die() {
    say "$*"
    exit 3
}

# The address that this machine has its packages from: of deb822 or one-line sources.
mirror() {
    { grep -rhoE '^(URIs: *|deb +(\[[^]]*\] +)?)[a-z]+://[^ ]+/debian/?( |$)' /etc/apt || true; } |
        grep -oE '[a-z]+://[^ ]+' | head -n 1 || true
}

fetch_packages() {
    local address
    address="$(mirror)"
    [[ -n "${address}" ]] || die "no address of Debian packages in /etc/apt"
    mkdir -p "${partial}/lists/partial" "${partial}/apt/archives/partial" "${partial}/debs"
    cat >"${partial}/sources.list" <<SOURCES
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${address} ${release} main non-free
SOURCES
    cat >"${partial}/apt.conf" <<CONF
Dir::State::Lists "${partial}/lists";
Dir::Cache "${partial}/apt";
Dir::Etc::sourcelist "${partial}/sources.list";
Dir::Etc::sourceparts "/dev/null";
APT::Architectures { "amd64"; "arm64"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
    say "fetching 1.3 GB of packages"
    export APT_CONFIG="${partial}/apt.conf"
    apt-get update -qq
    (cd "${partial}/debs" && apt-get download -qq "${packages[@]}")
    unset APT_CONFIG
}

unpack_packages() {
    local deb libraries="./usr/lib/aarch64-linux-gnu"
    mkdir -p "${partial}/root"
    for deb in "${partial}"/debs/*.deb; do
        say "unpacking ${deb##*/}"
        case "${deb##*/}" in
            # Two gigabytes of static libraries stay out.
            nvidia-cuda-dev_*)
                dpkg-deb --fsys-tarfile "${deb}" | tar -x -C "${partial}/root" --wildcards \
                    './usr/include*' "${libraries}/stubs/libcuda.so*" "${libraries}/libcuda*" \
                    "${libraries}/libcublas*.so*" "${libraries}/libculibos*"
                ;;
            *) dpkg-deb --fsys-tarfile "${deb}" | tar -x -C "${partial}/root" ;;
        esac
    done
}

# As on a board: bin, nvvm, targets/aarch64-linux/{include,lib}, and the two links beside them.
arrange() {
    local usr="${partial}/root/usr" made="${partial}/toolkit" name
    local own="${made}/targets/aarch64-linux"
    mkdir -p "${made}/bin" "${made}/nvvm/bin" "${own}/lib/stubs"
    for name in "${programs[@]}"; do cp "${usr}/bin/${name}" "${made}/bin/"; done
    cp -r "${usr}/lib/nvidia-cuda-toolkit/bin"/{nvcc,crt} "${made}/bin/"
    cp "${usr}/lib/nvidia-cuda-toolkit/bin/cicc" "${made}/nvvm/bin/"
    cp -r "${usr}/lib/nvidia-cuda-toolkit/libdevice" "${made}/nvvm/"
    cp -r "${usr}/include" "${own}/"
    cp -a "${usr}/lib/aarch64-linux-gnu"/lib{cudart,cudadevrt,cublas,culibos}* "${own}/lib/"
    cp -L "${usr}/lib/aarch64-linux-gnu/stubs/libcuda.so" "${own}/lib/stubs/"
    ln -s targets/aarch64-linux/include "${made}/include"
    ln -s targets/aarch64-linux/lib "${made}/lib64"
    # Where nvcc finds the rest, relative to itself ($(_HERE_), as NVIDIA's own file has it).
    cat >"${made}/bin/nvcc.profile" <<'PROFILE'
TOP                = $(_HERE_)/..
CICC_PATH          = $(TOP)/nvvm/bin
NVVMIR_LIBRARY_DIR = $(TOP)/nvvm/libdevice
PATH            += $(CICC_PATH):$(_HERE_):
INCLUDES        += "-I$(TOP)/targets/aarch64-linux/include" $(_SPACE_)
LIBRARIES       =+ $(_SPACE_) "-L$(TOP)/targets/aarch64-linux/lib/stubs" "-L$(TOP)/targets/aarch64-linux/lib"
PROFILE
    chmod -R a+rX "${made}"
    mv "${made}" "${toolkit}"
}

main() {
    if [[ ! -d "${toolkit}" ]]; then
        [[ "$(uname -m)" == x86_64 ]] || die "the compiler is for x86-64 machines"
        command -v apt-get >/dev/null || die "no apt-get: this needs Debian or Ubuntu"
        rm -rf "${partial}"
        fetch_packages
        unpack_packages
        arrange
        rm -rf "${partial}"
    fi
    printf '%s\n' "${toolkit}"
}

main
