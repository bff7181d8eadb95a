"""Checks of a machine with an Ascend NPU: its driver and devices, and the toolkit of the build.

Never run on such a machine: all follows from llama.cpp's docs/backend/CANN.md and its build, as of
b4447 and b11312.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from edgemoe_appliance.doctor.jetson import run_tool
from edgemoe_appliance.schema.findings import Finding, Level

# Where the engine's build finds the toolkit; the toolkit's set_env.sh names it.
TOOLKIT_VARIABLE: Final = "ASCEND_TOOLKIT_HOME"
_CHOOSES: Final = "ASCEND_RT_VISIBLE_DEVICES"
# `| 2     910B4          | OK   | 64.4 ...`: number, chip and health of an NPU.
_NPU: Final = re.compile(
    r"^\|\s*(\d{1,3})\s+([\w-]{1,24})\s*\|\s*([A-Za-z]{1,12})\s*\|", re.MULTILINE
)
# Later engines multiply quantised matrices of these chips on the processor.
_WHOLE_TYPES_ALONE: Final = "310P"
# What every process that computes there opens.
_NODES: Final = ("davinci_manager", "devmm_svm", "hisi_hdc")


def check_ascend(environment: Mapping[str, str], devices: Path = Path("/dev")) -> Iterator[Finding]:
    """Check everything that is particular to such a machine; `devices` holds its device nodes."""
    yield from _check_driver(run_tool("npu-smi", "info"), environment)
    yield _check_nodes(devices)
    yield _check_toolkit(environment)


def _check_driver(told: str | None, environment: Mapping[str, str]) -> Iterator[Finding]:
    found = _NPU.findall(told or "")
    if not found:
        yield Finding(
            check="NPU",
            level=Level.FAIL,
            seen="npu-smi does not answer" if told is None else "npu-smi names no NPU",
            hint="install the Ascend driver and firmware; the engine's build asks npu-smi too",
        )
        return
    hint = ""
    if any(health != "OK" for *_, health in found):
        hint = "npu-smi info -t health tells what an NPU lacks"
    elif len(found) > 1 and not environment.get(_CHOOSES):
        hint = f"llama.cpp spreads a model over all of them; {_CHOOSES} names one"
    yield Finding(
        check="NPU",
        level=Level.WARN if hint else Level.OK,
        seen="; ".join(f"{chip} ({health})" for _, chip, health in found),
        hint=hint,
    )
    if any(chip.startswith(_WHOLE_TYPES_ALONE) for _, chip, _ in found):
        yield Finding(
            check="chip",
            level=Level.WARN,
            seen=f"a {_WHOLE_TYPES_ALONE}, which multiplies F16 alone with engines since 2025",
            hint="Q8_0 and Q4_0 would be computed by the processor: name F16 files with --model",
        )


def _check_nodes(devices: Path) -> Finding:
    closed = [name for name in _NODES if not os.access(devices / name, os.R_OK | os.W_OK)]
    if not closed:
        return Finding(check="NPU devices", level=Level.OK, seen="can be opened")
    return Finding(
        check="NPU devices",
        level=Level.FAIL,
        seen=f"{', '.join(closed)} cannot be opened",
        hint="sudo usermod -aG HwHiAiUser $USER, and log in again",
    )


def _check_toolkit(environment: Mapping[str, str]) -> Finding:
    home = environment.get(TOOLKIT_VARIABLE)
    if not home:
        return Finding(
            check="CANN toolkit",
            level=Level.FAIL,
            seen=f"{TOOLKIT_VARIABLE} is not set",
            hint="source the toolkit's set_env.sh; b4447 asks for 8.0.RC2.alpha002 or later, "
            "b11312 names 8.5.0",
        )
    return Finding(check="CANN toolkit", level=Level.OK, seen=home)
