#!/bin/bash
# The whole way of a kit on this machine: made twice, run offline in a clean home, taken, judged.
#
#   tests/kit/check.sh [MINUTES]
#
# Without network by a namespace of its own (unshare; where not root, with a user namespace too).
set -euo pipefail

minutes="${1:-4}"
scratch="$(mktemp -d "${TMPDIR:-/tmp}/edgemoe-kit-check-XXXXXX")"
trap 'rm -rf "${scratch}"' EXIT
offline=(unshare -n)
((EUID == 0)) || offline=(unshare -rn)

for copy in first second; do
    edgemoe-appliance kit make --target host --out "${scratch}/${copy}/kit.tar" >"${scratch}/${copy}.txt"
done
cmp "${scratch}/first/kit.tar" "${scratch}/second/kit.tar"
echo "made twice, equal bytes: $(tail -n 2 "${scratch}/first.txt" | head -n 1)"

mkdir "${scratch}/home"
tar -xf "${scratch}/first/kit.tar" -C "${scratch}"
"${offline[@]}" env -i HOME="${scratch}/home" PATH=/usr/local/bin:/usr/bin:/bin \
    bash "${scratch}/kit/run.sh" --minutes "${minutes}" --out "${scratch}/out"
[[ -z "$(ls -A "${scratch}/home")" ]] || { echo "something was written into the home" >&2; exit 1; }

export EDGEMOE_WORK="${scratch}/work"
mkdir "${EDGEMOE_WORK}"
parcel="$(echo "${scratch}"/out/kit-*.tar)"
edgemoe-appliance kit take "${parcel}"
session="$(basename "${parcel}" .tar)"
if [[ ! -d "${EDGEMOE_WORK}/data/raw/${session}" ]]; then
    echo "no run was begun in ${minutes} minutes on this machine; give it MINUTES=8" >&2
    exit 1
fi
edgemoe-appliance report "${session}" | tail -n 1
edgemoe-appliance claims "${session}" | head -n 12
edgemoe-appliance archive "${session}" | tail -n 1
edgemoe-appliance verify "${EDGEMOE_WORK}/results/${session}.tar"
