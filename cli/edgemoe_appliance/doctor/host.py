"""Checks that hold for every host: tools, disk, memory, swap, clock governor, other load."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psutil

from edgemoe_appliance.engine.argv import device_variables
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.units import human_bytes

# llama.cpp's source and build, beside the models: measured at 0.4 GB, with room to spare.
_BUILD_BYTES = 1_000_000_000
# The engine's context, compute buffers and the system beside the weights.
_BESIDE_WEIGHTS_BYTES = 1_000_000_000
_LOAD_SAMPLE_S = 1.0
_OTHER_LOAD_PCT = 5.0
_UNIFIED_MEMORY = "GGML_CUDA_ENABLE_UNIFIED_MEMORY"


def check_tools() -> Iterator[Finding]:
    """Look for what a build of llama.cpp needs."""
    for names, package in ((("c++", "g++", "clang++"), "g++"), (("git",), "git")):
        found = next((path for name in names if (path := shutil.which(name))), None)
        if found:
            yield Finding(check=package, level=Level.OK, seen=found)
        else:
            yield Finding(
                check=package,
                level=Level.WARN,
                seen="not found",
                hint=f"needed unless the engine is built already: apt-get install {package}",
            )


def check_disk(folder: Path, models_bytes: int) -> Iterator[Finding]:
    """Compare the free disk space with what models and builds need."""
    free = shutil.disk_usage(folder).free
    need = models_bytes + _BUILD_BYTES
    enough = free >= need
    yield Finding(
        check="disk",
        level=Level.OK if enough else Level.FAIL,
        seen=f"{human_bytes(free)} free, {human_bytes(need)} needed at most",
        hint="" if enough else f"free space below {folder}",
    )


def check_memory(largest_model_bytes: int) -> Iterator[Finding]:
    """Compare the memory that is available with the largest model."""
    memory = psutil.virtual_memory()
    need = largest_model_bytes + _BESIDE_WEIGHTS_BYTES
    enough = memory.available >= need
    yield Finding(
        check="memory",
        level=Level.OK if enough else Level.WARN,
        seen=f"{human_bytes(memory.available)} available of {human_bytes(memory.total)}, "
        f"the largest model wants about {human_bytes(need)}",
        hint="" if enough else "end other programs; an out-of-memory end will be recorded as such",
    )


def check_swap(root: Path) -> Iterator[Finding]:
    """Tell of swap, above all of compressed swap in memory: both hide a lack of memory."""
    swap = psutil.swap_memory()
    zram = sorted(path.name for path in (root / "sys/block").glob("zram*"))
    if not swap.total:
        yield Finding(check="swap", level=Level.OK, seen="none")
        return
    kind = f"with {', '.join(zram)} (compressed, in memory)" if zram else "on disk"
    yield Finding(
        check="swap",
        level=Level.WARN,
        seen=f"{human_bytes(swap.total)} {kind}, {human_bytes(swap.used)} used",
        hint="the study had it on; swap hides a lack of memory, its use is recorded in each run",
    )


def check_governor(root: Path) -> Iterator[Finding]:
    """Look at the clock governor of every core."""
    folder = root / "sys/devices/system/cpu"
    files = sorted(folder.glob("cpu[0-9]*/cpufreq/scaling_governor"))
    governors = {text for file in files if (text := read_line(file))}
    if not governors:
        yield Finding(check="governor", level=Level.UNKNOWN, seen="this host does not tell")
        return
    steady = governors == {"performance"}
    yield Finding(
        check="governor",
        level=Level.OK if steady else Level.WARN,
        seen=", ".join(sorted(governors)),
        hint="" if steady else "clocks vary with load; set performance for steadier figures",
    )


def check_other_load() -> Iterator[Finding]:
    """Measure for a second how busy the host is with other work."""
    own_start_s, start = time.process_time(), time.monotonic()
    busy_pct = psutil.cpu_percent(interval=_LOAD_SAMPLE_S) * (psutil.cpu_count() or 1)
    own_pct = 100 * (time.process_time() - own_start_s) / (time.monotonic() - start)
    other_pct = max(0.0, busy_pct - own_pct)
    quiet = other_pct <= _OTHER_LOAD_PCT
    yield Finding(
        check="other load",
        level=Level.OK if quiet else Level.WARN,
        seen=f"{other_pct:.0f} % of a core over {_LOAD_SAMPLE_S:.0f} s",
        hint="" if quiet else "end other programs; runs beside such a load carry a caveat",
    )


def check_virtual(root: Path) -> Iterator[Finding]:
    """Tell of a virtual machine: others share its cores."""
    text = read_text(root / "proc/cpuinfo")
    if text is None:
        yield Finding(check="hypervisor", level=Level.UNKNOWN, seen="this host does not tell")
    elif any(line.startswith("flags") and " hypervisor" in line for line in text.splitlines()):
        yield Finding(
            check="hypervisor",
            level=Level.WARN,
            seen="a virtual machine",
            hint="its cores may be shared: compare within one session only",
        )
    else:
        yield Finding(check="hypervisor", level=Level.OK, seen="none seen")


def check_cgroup(root: Path) -> Iterator[Finding]:
    """Tell the version of control groups and whether the kernel keeps a peak of memory."""
    unified = root / "sys/fs/cgroup/cgroup.controllers"
    first = root / "sys/fs/cgroup/memory/memory.max_usage_in_bytes"
    if first.exists():
        yield Finding(check="cgroup", level=Level.OK, seen="version 1, with a peak of memory")
    elif unified.exists():
        # The root group has no memory.peak even where the kernel knows it: look one level down.
        peak = next((root / "sys/fs/cgroup").glob("*/memory.peak"), None)
        seen = "version 2, with memory.peak" if peak else "version 2, without memory.peak"
        yield Finding(
            check="cgroup",
            level=Level.OK if peak else Level.WARN,
            seen=seen,
            hint="" if peak else "the peak in a container is sampled (kernel before 5.19)",
        )
    else:
        yield Finding(check="cgroup", level=Level.UNKNOWN, seen="not mounted")


def check_environment(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Tell of variables that change the engine, or choose the device it computes on."""
    chosen = device_variables(environment)
    if chosen:
        told = ", ".join(f"{name}={value or '(empty)'}" for name, value in chosen.items())
        yield Finding(
            check="device choice",
            level=Level.WARN,
            seen=told,
            hint="the engine sees what these leave it; they stay, and the record names them",
        )
    if _UNIFIED_MEMORY in environment:
        yield Finding(
            check="environment",
            level=Level.WARN,
            seen=f"{_UNIFIED_MEMORY} is set",
            hint="it is removed for the runs, and the record says so",
        )


def read_text(path: Path) -> str | None:
    """Return the content of a file, or None where it cannot be read."""
    try:
        return path.read_text(errors="replace").rstrip("\0\n")
    except OSError:
        return None


def read_line(path: Path) -> str | None:
    """Return the first line of a file, or None where it cannot be read or is empty."""
    text = read_text(path)
    return text.splitlines()[0].strip() if text else None
