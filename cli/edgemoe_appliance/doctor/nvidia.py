"""Checks of a machine with a discrete NVIDIA GPU: board, compiler, reader of its energy."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

from edgemoe_appliance.engine.nvidia import read_nvidia_boards
from edgemoe_appliance.engine.toolchain import read_cuda_compiler
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.findings import Finding, Level


def check_nvidia() -> Iterator[Finding]:
    """Check everything that is particular to such a machine."""
    yield _check_boards()
    yield _check_compiler()
    yield _check_energy()


def _check_boards() -> Finding:
    try:
        boards = read_nvidia_boards()
    except HostError as error:
        return Finding(check="GPU", level=Level.FAIL, seen=error.what, hint=error.hint)
    seen = "; ".join(f"{b.name} (sm_{b.architecture}, driver {b.driver})" for b in boards)
    if len(boards) == 1:
        return Finding(check="GPU", level=Level.OK, seen=seen)
    return Finding(
        check="GPU",
        level=Level.WARN,
        seen=seen,
        hint="llama.cpp spreads a model over all of them; CUDA_VISIBLE_DEVICES names one",
    )


def _check_compiler() -> Finding:
    try:
        return Finding(check="nvcc", level=Level.OK, seen=str(read_cuda_compiler()))
    except HostError as error:
        hint = f"needed unless the engine is built already: {error.hint}"
        return Finding(check="nvcc", level=Level.WARN, seen=error.what, hint=hint)


def _check_energy() -> Finding:
    if importlib.util.find_spec("pynvml") is not None:
        return Finding(check="energy", level=Level.OK, seen="the reader of NVML is installed")
    return Finding(
        check="energy",
        level=Level.WARN,
        seen="the Python package nvidia-ml-py is not installed",
        hint="runs will have no energy; pip install 'edgemoe-appliance[nvml]'",
    )
