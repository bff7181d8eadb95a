"""What builds an engine on this host: cmake, generator, compilers, and who they are.

Reads the host; builds nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.engine.tools import find_tool, install_hint, require_tool, run_tool
from edgemoe_appliance.errors import HostError

_ANSWER_S: Final = 30.0
# By the kernel's names; AVX-512 and AMX, which virtual machines announce and do not always let
# through, are not among them.
_PORTABLE_SETS: Final = {
    "sse4_2": "GGML_SSE42",
    "avx": "GGML_AVX",
    "avx2": "GGML_AVX2",
    "fma": "GGML_FMA",
    "f16c": "GGML_F16C",
    "bmi2": "GGML_BMI2",
}
_CUDA_COMPILER: Final = Path("/usr/local/cuda/bin/nvcc")
# Flags and job servers of the caller that would decide about the build behind our key's back.
# SOURCE_DATE_EPOCH switches llama.cpp's GGML_NATIVE off.
_REMOVED: Final = frozenset(
    {
        *("CC", "CXX", "CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS", "CUDAFLAGS", "CUDAARCHS"),
        *("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "GNUMAKEFLAGS", "MAKEOVERRIDES"),
        *("SOURCE_DATE_EPOCH", "VERBOSE", "DESTDIR"),
    }
)


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The programs of a build; `compiler` names compilers, versions and machine in one line."""

    cmake: Path
    generator: str
    make_program: Path
    c: Path
    cxx: Path
    cuda: Path | None
    compiler: str
    machine: str

    @property
    def flags(self) -> dict[str, str]:
        """Return the cmake variables that choose exactly these programs."""
        flags = {
            "CMAKE_MAKE_PROGRAM": str(self.make_program),
            "CMAKE_C_COMPILER": str(self.c),
            "CMAKE_CXX_COMPILER": str(self.cxx),
        }
        if self.cuda is not None:
            flags["CMAKE_CUDA_COMPILER"] = str(self.cuda)
        return flags


def is_on(value: str) -> bool:
    """Return whether cmake takes a value of an option for true."""
    return value.upper() not in {"OFF", "0", "NO", "FALSE", "N", "IGNORE", "NOTFOUND", ""}


def build_environment(base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for cmake and compilers: in English, without the caller's flags."""
    kept = {
        name: value
        for name, value in base.items()
        if name not in _REMOVED and not name.startswith("CMAKE_")
    }
    return {**kept, "LC_ALL": "C", "NINJA_STATUS": "[%f/%t] "}


def read_toolchain(cmake_flags: Mapping[str, str]) -> Toolchain:
    """Find out what a build with these flags would use.

    Raises HostError with what to install where something is missing.
    """
    environment = build_environment(os.environ)
    cmake = require_tool("cmake", "cmake")
    ninja = find_tool("ninja")
    c = _read_compiler(cmake_flags.get("CMAKE_C_COMPILER"), "CC", ("cc", "gcc", "clang"))
    cxx = find_cxx_compiler(cmake_flags.get("CMAKE_CXX_COMPILER"))
    cuda = read_cuda_compiler() if is_on(cmake_flags.get("GGML_CUDA", "OFF")) else None
    vulkan = read_shader_compiler() if is_on(cmake_flags.get("GGML_VULKAN", "OFF")) else None
    names = [_first_line(c, "--version", environment), _first_line(cxx, "--version", environment)]
    if _version(names[0]) == _version(names[1]):
        del names[1]
    if cuda is not None:
        names.append(_nvcc_version(cuda, environment))
    if vulkan is not None:
        require_vulkan_headers(cxx)
        names.append(f"glslc {_first_line(vulkan, '--version', environment)}")
    return Toolchain(
        cmake=cmake,
        generator="Ninja" if ninja else "Unix Makefiles",
        make_program=ninja or require_tool("make", "build-essential"),
        c=c,
        cxx=cxx,
        cuda=cuda,
        compiler=" + ".join(names),
        machine=_first_line(c, "-dumpmachine", environment),
    )


def read_native_cpu() -> str:
    """Return what a build for "this processor" depends on: its model and instruction sets."""
    wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n", maxsplit=1)[0]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    return "\n".join(line for line in first.splitlines() if line.startswith(wanted))


def portable_flags(cmake: Mapping[str, str]) -> dict[str, str]:
    """Return a target's flags for a build that needs no more than most processors have.

    Instruction sets are named one by one, those of x86-64-v3 that this processor has: the default
    of GGML_NATIVE=OFF depends on the environment, see devices.yaml. On ARM they are ignored.
    """
    known = set(read_native_cpu().split())
    named = {option: "ON" if name in known else "OFF" for name, option in _PORTABLE_SETS.items()}
    return {**cmake, "GGML_NATIVE": "OFF", **named}


def find_cxx_compiler(named: str | None = None) -> Path:
    """Return the C++ compiler of a build. Raises HostError where there is none."""
    return _read_compiler(named, "CXX", ("c++", "g++", "clang++"))


def _read_compiler(named: str | None, variable: str, usual: tuple[str, ...]) -> Path:
    """Return a compiler: the target's own, the one of the environment, or the system's."""
    asked = named or os.environ.get(variable)
    if asked:
        path = find_tool(asked)
        if path is None:
            raise HostError(f"{variable} compiler {asked!r} is not a program", hint="name another")
        return path
    found = (find_tool(name) for name in usual)
    path = next((path for path in found if path), None)
    if path is None:
        raise HostError(
            f"no compiler ({', '.join(usual)}) is installed", hint=install_hint("build-essential")
        )
    return path


def read_cuda_compiler() -> Path:
    """Return nvcc: that of CUDACXX, on PATH or at its usual place. Raises HostError without."""
    path = find_tool(os.environ.get("CUDACXX", "nvcc")) or find_tool(str(_CUDA_COMPILER))
    if path is None:
        raise HostError(
            "nvcc is not installed", hint=install_hint("nvidia-cuda-toolkit") + ", or set CUDACXX"
        )
    return path


def read_shader_compiler() -> Path:
    """Return glslc, which compiles Vulkan's kernels. Raises HostError without."""
    return require_tool("glslc", "glslc")


def require_vulkan_headers(cxx: Path) -> None:
    """Raise HostError where a compiler does not find Vulkan's headers; an SDK is trusted."""
    if os.environ.get("VULKAN_SDK"):
        return
    asked: list[str | Path] = [cxx, "-x", "c++", "-E", "-include", "vulkan/vulkan.hpp"]
    asked += [os.devnull, "-o", os.devnull]
    result = run_tool(asked, env=build_environment(os.environ), timeout_s=_ANSWER_S)
    if result.exit_code != 0:
        raise HostError(
            "Vulkan's headers are not installed",
            hint=install_hint("libvulkan-dev") + ", or set VULKAN_SDK",
        )


def _first_line(program: Path, option: str, environment: Mapping[str, str]) -> str:
    result = run_tool([program, option], env=environment, timeout_s=_ANSWER_S)
    if result.exit_code != 0 or not result.lines:
        raise HostError(
            f"does not work ({result.last_error})",
            where=str(program),
            hint=install_hint("build-essential"),
        )
    return result.lines[0].strip()


def _version(first_line: str) -> str:
    """Return the line without the program's name: `cc` and `c++` of one compiler differ there."""
    return first_line.partition(" ")[2]


def _nvcc_version(program: Path, environment: Mapping[str, str]) -> str:
    result = run_tool([program, "--version"], env=environment, timeout_s=_ANSWER_S)
    release = [line for line in result.lines if "release" in line]
    if result.exit_code != 0 or not release:
        raise HostError(f"does not work ({result.last_error})", where=str(program))
    return f"nvcc {release[0].strip()}"
