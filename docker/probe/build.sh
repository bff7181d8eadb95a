#!/bin/sh
# Compiles the probe against the public headers of one llama.cpp source tree.
# Usage: build.sh SOURCE OUTPUT [COMPILER]     (OUTPUT: the library file to write)
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
source=$1
output=$2
compiler=${3:-${CXX:-c++}}

case $(uname -s) in
    Darwin)
        kind="-dynamiclib -undefined dynamic_lookup"
        # What a program for x86 starts on an Apple chip builds for x86, too.
        if [ "$(sysctl -n sysctl.proc_translated 2>/dev/null)" = 1 ]; then kind="$kind -arch arm64"; fi
        ;;
    *) kind="-shared -Wl,--as-needed -ldl" ;;
esac

# Later engines decode through another function.
process=
if grep -q 'llama_process(' "$source/include/llama.h"; then process=-DEDGEMOE_LLAMA_PROCESS; fi

# The engine's headers are not ours to keep free of warnings, hence -isystem.
# shellcheck disable=SC2086
exec "$compiler" -std=c++17 -O2 -fPIC -fno-exceptions -fno-rtti -fvisibility=hidden \
    -Wall -Wextra -Werror $process \
    -isystem "$source/include" -isystem "$source/ggml/include" \
    "$here/node_class.cpp" "$here/report.cpp" "$here/probe.cpp" -o "$output" $kind
