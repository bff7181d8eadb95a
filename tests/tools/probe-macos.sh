#!/bin/sh
# Compiles the routing probe for macOS on arm64, with zig's clang and the recipe that a Mac runs.
#
#   probe-macos.sh CACHE PIP SOURCE...
#
# CACHE keeps the compiler; each SOURCE is a llama.cpp tree. Prints what each library is.
set -eu

here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=$1
pip=$2
shift 2

zig=$cache/zig
if [ ! -x "$zig/ziglang/zig" ]; then
    "$pip" install -q --no-deps --require-hashes --target "$zig" -r "$here/zig.lock"
fi
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
# The recipe asks the system for its name, and whether Rosetta translates.
printf '#!/bin/sh\necho Darwin\n' >"$tools/uname"
printf '#!/bin/sh\necho 0\n' >"$tools/sysctl"
printf '#!/bin/sh\nexec "%s" c++ -target aarch64-macos.13.0 "$@"\n' "$zig/ziglang/zig" >"$tools/c++"
chmod +x "$tools"/*
for source in "$@"; do
    library=$tools/probe.dylib
    PATH=$tools:$PATH ZIG_GLOBAL_CACHE_DIR=$cache/zig-cache \
        sh "$here/../../docker/probe/build.sh" "$source" "$library" "$tools/c++"
    # Mach-O of 64 bit for arm64, a dynamic library (loader.h: magic, cputype, filetype).
    head=$(od -An -tx4 -N16 "$library" | tr -s ' ')
    case $head in
        " feedfacf 0100000c "*" 00000006") ;;
        *) echo "not a library for macOS on arm64:$head" >&2; exit 1 ;;
    esac
    # Interposing works by a section of pairs that the loader reads.
    grep -q __interpose "$library" || { echo "no __interpose section" >&2; exit 1; }
    echo "$(basename "$(dirname "$source")"): $(wc -c <"$library") bytes, Mach-O arm64, interposing"
done
