#!/bin/bash
# Measures on a borrowed machine, offline, and packs what was measured into one tar.
#
#   bash run.sh [--minutes 9] [--out DIR] [--work DIR] [OPTION...]
#   bash run.sh --pack --out DIR
#
# --minutes N   the time that there is, everything included            (default: 9)
# --out DIR     sessions, logs and the tar to take home                (default: out, beside this)
# --work DIR    environment, builds and twins, up to 12 GB             (default: work, beside this)
# --target T    another target than the kit's: host measures the processor of any machine
# --devices F   a file of targets or outside meters of yours, like the appliance's devices.yaml
# --twins S     tiny, thin or full; else the largest for which disk and memory have room
# --pack        pack what an earlier run left in --out, and do nothing else
#
# Stopped, killed or cut off, the same command goes on where it was. Nothing is written outside of
# the two folders, nothing is installed, and no network is used. Needs bash, sha256sum, Python of
# the kit's version (without venv and pip), a C++ compiler and, for NVIDIA boards, nvcc.
#
# Exit codes: 0 done, 2 wrong flag, 3 this machine lacks something, 4 the kit is damaged,
# 5 a run failed (all are recorded), 130 stopped.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
readonly here
out="${here}/out"
work="${here}/work"
minutes=9
pack=false
passed=()

usage() { sed -n '2,/^set -e/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" | sed '$d'; }

fail() { # fail CODE TEXT
    printf 'error: %s\n' "$2" >&2
    exit "$1"
}

# The kit's own words, out of its kit.json.
kit_fact() { sed -n "s/^ \"$1\": \"\(.*\)\",\{0,1\}$/\1/p" "${here}/kit.json"; }

check_kit() {
    local found wanted
    (cd "${here}" && sha256sum --check --quiet --strict SHA256SUMS >/dev/null 2>&1) ||
        fail 4 "the kit is damaged: its files do not have the digests in SHA256SUMS; copy it again"
    wanted="$(kit_fact architecture)"
    found="$(uname -m)"
    [[ "${found}" == "${wanted}" ]] ||
        fail 3 "the kit is for ${wanted}, this machine is ${found}; make one with ARCH=${found}"
}

python_of_kit() {
    local wanted name found seen=""
    wanted="$(kit_fact python)"
    for name in "${PYTHON:-}" "python${wanted}" "/usr/bin/python${wanted}" python3; do
        [[ -n "${name}" ]] || continue
        found="$("${name}" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)" ||
            continue
        if [[ "${found}" == "${wanted}" ]]; then
            command -v "${name}"
            return
        fi
        seen="${seen} ${found}"
    done
    fail 3 "the kit is for Python ${wanted}, here is${seen:- none};\
 make one with PYTHON_VERSION=${seen##* }"
}

# The few small wheels: what it takes to look at the machine and say what will be done.
unpack_first() {
    local python="$1" first="$2" stamp
    stamp="$(sha256sum "${here}/SHA256SUMS")"
    [[ "$(cat "${work}/.environment" 2>/dev/null)" == "${stamp}" ]] && return
    rm -rf "${work}/environment" "${work}/.environment"
    "${python}" "$(echo "${here}"/wheels/pip-*.whl)/pip" install --isolated --quiet --no-compile \
        --disable-pip-version-check --root-user-action=ignore --no-index \
        --find-links "${here}/wheels" --no-deps --require-hashes --target "${first}" \
        -r "${here}/wheels/first.lock" ||
        fail 3 "the environment could not be unpacked below ${work}"
    printf '%s\n' "${stamp}" >"${work}/.environment"
}

main() {
    while (($#)); do
        case "$1" in
            --help | -h)
                usage
                exit 0
                ;;
            --pack) pack=true ;;
            --minutes | --out | --work | --target | --twins | --devices)
                (($# > 1)) || fail 2 "$1 needs a value"
                case "$1" in
                    --minutes) minutes="$2" ;;
                    --out) out="$2" ;;
                    --work) work="$2" ;;
                    --devices)
                        [[ -r "$2" ]] || fail 2 "--devices $2 cannot be read"
                        passed+=("$1" "$(cd "$(dirname "$2")" && pwd)/$(basename "$2")")
                        ;;
                    *) passed+=("$1" "$2") ;;
                esac
                shift
                ;;
            *) fail 2 "unknown option $1; --help lists them" ;;
        esac
        shift
    done
    [[ "${minutes}" =~ ^[0-9]+(\.[0-9]+)?$ ]] || fail 2 "--minutes ${minutes} is no number"
    check_kit
    local python first rest
    python="$(python_of_kit)"
    mkdir -p "${out}" "${work}" || fail 3 "${out} or ${work} cannot be made"
    out="$(cd "${out}" && pwd)"
    work="$(cd "${work}" && pwd)"
    first="${work}/environment/first"
    rest="${work}/environment/rest"
    unpack_first "${python}" "${first}"
    export PYTHONPATH="${first}:${rest}" PYTHONNOUSERSITE=1
    export PATH="${rest}/cmake/data/bin:${rest}/bin:${PATH}"
    cd "${work}" # python -m looks into the present folder first
    if ${pack}; then
        exec "${python}" -m edgemoe_appliance.kit pack --out "${out}"
    fi
    exec "${python}" -m edgemoe_appliance.kit visit --kit "${here}" --out "${out}" \
        --work "${work}" --minutes "${minutes}" --environment "${rest}" --elapsed "${SECONDS}" \
        "${passed[@]+"${passed[@]}"}"
}

main "$@"
