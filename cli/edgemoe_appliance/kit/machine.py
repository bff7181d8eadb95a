"""Whether a borrowed machine will do: the doctor's checks, and those of a stranger's GPU.

A finding that fails ends the visit before anything is built; nothing here changes the machine.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from edgemoe_appliance.doctor import check_target
from edgemoe_appliance.engine.toolchain import read_cuda_compiler
from edgemoe_appliance.engine.tools import find_tool, run_tool
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.kit.programme import twin_sizes
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Backend, Target
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.units import GB, MIB, human_bytes
from edgemoe_appliance.studies.study import Study

# The doctor's finding that names the boards.
GPU: Final = "GPU"
_ANSWER_S: Final = 30.0
# Two trees, two builds with CUDA objects, the environment, sessions.
_BESIDE_MODELS_BYTES: Final = 3 * GB
# Context, compute buffers and the system beside the weights of the largest model.
_BESIDE_WEIGHTS_BYTES: Final = 1 * GB
# One nvcc of llama.cpp's template instances; a host compiler needs half of it.
_COMPILER_BYTES: Final = 1.5 * GB
# A desktop or a driver takes as much without anybody working there.
_IDLE_DEVICE_BYTES: Final = 600 * MIB
_IDLE_LOAD_PCT: Final = 5
_USE_QUERY: Final = (
    "--query-gpu=memory.total,memory.used,utilization.gpu",
    "--format=csv,noheader,nounits",
)
_FACTS_QUERY: Final = (
    "--query-gpu=name,compute_cap,driver_version,vbios_version,memory.total,memory.used,"
    "utilization.gpu,temperature.gpu,power.draw,power.limit,clocks.sm,clocks.max.sm,clocks.mem,"
    "pstate,persistence_mode,ecc.mode.current,mig.mode.current,pcie.link.gen.current,"
    "pcie.link.width.current",
    "--format=csv",
)
# Whole outputs that are kept as they are; none of them names a serial number.
_TOLD: Final = {
    "lscpu": ("lscpu",),
    "memory": ("free", "-b"),
    "disk": ("df", "-B1", "."),
    "nvidia-smi": ("nvidia-smi", *_FACTS_QUERY),
    "nvcc": ("nvcc", "--version"),
    "compiler": ("c++", "--version"),
    "power mode": ("nvpmodel", "-q"),
    "clocks": ("jetson_clocks", "--show"),
}


@dataclass(frozen=True, kw_only=True)
class DeviceUse:
    """What a GPU has and what others do with it now; None where it does not tell."""

    total_bytes: int | None
    used_bytes: int | None
    load_pct: int | None


def parse_device_use(lines: Sequence[str]) -> DeviceUse:
    """Parse the first board's line of nvidia-smi: MiB, MiB, per cent; `[N/A]` is not known."""
    first = lines[0] if lines else ""
    cells = [cell.strip() for cell in first.split(",")]
    known = [int(cell) if cell.isdigit() else None for cell in (*cells, "", "", "")[:3]]
    total, used, load = known
    return DeviceUse(
        total_bytes=None if total is None else total * MIB,
        used_bytes=None if used is None else used * MIB,
        load_pct=load,
    )


def parse_cuda_of_driver(text: str) -> tuple[int, int] | None:
    """Return the newest CUDA that a driver runs, from the head of nvidia-smi's output."""
    return _parse_version(r"CUDA Version:\s*(\d+)\.(\d+)", text)


def parse_cuda_of_compiler(text: str) -> tuple[int, int] | None:
    """Return the release of nvcc from its `--version`."""
    return _parse_version(r"release (\d+)\.(\d+)", text)


def _parse_version(pattern: str, text: str) -> tuple[int, int] | None:
    match = re.search(pattern, text)
    return (int(match[1]), int(match[2])) if match else None


def check_machine(
    target: Target, folder: Path, model_bytes: tuple[int, ...], root: Path = Path("/")
) -> Iterator[Finding]:
    """Check a machine for a visit; `folder` is where everything large will lie."""
    gpu = ""
    for finding in check_target(target, folder=folder, model_bytes=model_bytes, root=root):
        if finding.check == GPU:
            gpu = finding.seen
        if finding.check == "glslc" and finding.level is Level.WARN:
            # No engine is built there already.
            hint = finding.hint.partition(": ")[2]
            yield finding.model_copy(update={"level": Level.FAIL, "hint": hint})
        elif finding.check not in ("git", "nvcc", "g++"):  # git is not needed; the others below
            yield finding
    yield _check_compiler()
    if target.backend is Backend.CUDA:
        yield from _check_cuda(target, max(model_bytes), gpu)


def _check_compiler() -> Finding:
    found = next((path for name in ("c++", "g++", "clang++") if (path := find_tool(name))), None)
    if found is None:
        hint = "apt-get install g++"
        return Finding(check="compiler", level=Level.FAIL, seen="no C++ compiler", hint=hint)
    return Finding(check="compiler", level=Level.OK, seen=str(found))


def _check_cuda(target: Target, largest_bytes: int, gpu: str) -> Iterator[Finding]:
    try:
        nvcc = read_cuda_compiler()
    except HostError as error:
        yield Finding(check="nvcc", level=Level.FAIL, seen=error.what, hint=error.hint)
        return
    release = parse_cuda_of_compiler(_told(str(nvcc), "--version"))
    yield Finding(
        check="nvcc",
        level=Level.OK if release else Level.FAIL,
        seen=f"{nvcc}, release {_dotted(release)}",
        hint="" if release else "it does not run",
    )
    yield _check_cublas(nvcc)
    yield from _check_architecture(_architectures(target, gpu), nvcc)
    if find_tool("nvidia-smi") is not None:
        yield _check_driver(release, parse_cuda_of_driver(_told("nvidia-smi")))
        yield _check_use(read_device_use(), largest_bytes)


def _check_cublas(nvcc: Path) -> Finding:
    """Look for the header of cuBLAS, without which cmake fails late and says little."""
    root = nvcc.resolve().parent.parent
    places = (root / "include", *root.glob("targets/*/include"), Path("/usr/include"))
    found = next((place for place in places if (place / "cublas_v2.h").is_file()), None)
    if found is not None:
        return Finding(check="cuBLAS", level=Level.OK, seen=str(found))
    return Finding(
        check="cuBLAS",
        level=Level.WARN,
        seen=f"no cublas_v2.h beside {nvcc}",
        hint="the build will fail without it: install libcublas-dev of that CUDA",
    )


def _check_driver(compiler: tuple[int, int] | None, driver: tuple[int, int] | None) -> Finding:
    """Compare driver and toolkit; within one major version a driver runs newer code."""
    if compiler is None or driver is None:
        seen = "nvidia-smi does not tell which CUDA the driver runs"
        return Finding(check="driver", level=Level.UNKNOWN, seen=seen)
    seen = f"runs CUDA {_dotted(driver)}, nvcc is {_dotted(compiler)}"
    if compiler[0] > driver[0]:
        hint = f"name an nvcc of CUDA {driver[0]} with CUDACXX, or update the driver"
        return Finding(check="driver", level=Level.FAIL, seen=f"older: {seen}", hint=hint)
    return Finding(check="driver", level=Level.OK, seen=seen)


def _check_architecture(wanted: set[str], nvcc: Path) -> Iterator[Finding]:
    known = set(re.findall(r"compute_(\d+)", _told(str(nvcc), "--list-gpu-arch")))
    unknown = sorted(wanted - known)
    if known and unknown:
        yield Finding(
            check="architecture",
            level=Level.FAIL,
            seen=f"{nvcc} does not compile for sm_{', sm_'.join(unknown)}",
            hint="name a newer nvcc with CUDACXX",
        )


def _architectures(target: Target, gpu: str) -> set[str]:
    """Return what a build is for; `gpu` is what the doctor has just seen, as asking takes time."""
    named = target.cmake.get("CMAKE_CUDA_ARCHITECTURES", "native")
    return set(re.findall(r"sm_(\d+)", gpu) if named == "native" else named.split(";"))


def _check_use(use: DeviceUse, largest_bytes: int) -> Finding:
    if use.total_bytes is None or use.used_bytes is None:
        return Finding(check="GPU use", level=Level.UNKNOWN, seen="nvidia-smi does not tell")
    load = "" if use.load_pct is None else f", {use.load_pct} % busy"
    seen = f"{human_bytes(use.used_bytes)} of {human_bytes(use.total_bytes)} in use{load}"
    needed = largest_bytes + _BESIDE_WEIGHTS_BYTES
    if use.total_bytes - use.used_bytes < needed:
        hint = f"the largest model needs {human_bytes(needed)}; end what others run there"
        return Finding(check="GPU use", level=Level.FAIL, seen=seen, hint=hint)
    if use.used_bytes > _IDLE_DEVICE_BYTES or (use.load_pct or 0) > _IDLE_LOAD_PCT:
        hint = "others use this GPU: rates and energy are theirs too"
        return Finding(check="GPU use", level=Level.WARN, seen=seen, hint=hint)
    return Finding(check="GPU use", level=Level.OK, seen=seen)


def read_device_use() -> DeviceUse:
    """Return what the first board that is visible here has and does."""
    return parse_device_use(_told("nvidia-smi", *_USE_QUERY).splitlines())


def choose_scale(study: Study, folder: Path, there_bytes: int = 0) -> TwinScale:
    """Return the largest scale of twins that disk and memory have room for.

    `there_bytes` are of twins that are there already. Raises HostError where not even the
    smallest has room.
    """
    free_bytes = shutil.disk_usage(folder).free + there_bytes - _BESIDE_MODELS_BYTES
    memory_bytes = psutil.virtual_memory().available - _BESIDE_WEIGHTS_BYTES
    for scale in (TwinScale.FULL, TwinScale.THIN, TwinScale.TINY):
        sizes = [size.file_bytes for size in twin_sizes(study, scale).values()]
        if sum(sizes) <= free_bytes and max(sizes) <= memory_bytes:
            return scale
    raise HostError(
        f"{human_bytes(shutil.disk_usage(folder).free)} of disk and "
        f"{human_bytes(psutil.virtual_memory().available)} of memory are free, "
        f"{human_bytes(_BESIDE_MODELS_BYTES)} of disk and "
        f"{human_bytes(_BESIDE_WEIGHTS_BYTES)} of memory are the least",
        where=str(folder),
        hint="name a larger disk with --work",
    )


def compile_jobs(cores: int) -> int:
    """Return how many compilers a machine has cores and memory for."""
    by_memory = int(psutil.virtual_memory().available / _COMPILER_BYTES)
    return max(1, min(cores, by_memory))


def read_told() -> dict[str, str]:
    """Return what the machine's own tools say of it; one that is not there says nothing."""
    return {name: text for name, command in _TOLD.items() if (text := _told(*command))}


def _told(*command: str) -> str:
    if find_tool(command[0]) is None:
        return ""
    try:
        result = run_tool(command, env=os.environ | {"LC_ALL": "C"}, timeout_s=_ANSWER_S)
    except HostError:
        return ""
    return "\n".join(result.lines) if result.exit_code == 0 else ""


def _dotted(version: tuple[int, int] | None) -> str:
    return "unknown" if version is None else f"{version[0]}.{version[1]}"
