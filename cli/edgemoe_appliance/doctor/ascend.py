"""Checks of a machine with an Ascend NPU: its driver's tool, and the toolkit of the build.

Never run on such a machine: both are what llama.cpp's docs/backend/CANN.md and its build ask for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from edgemoe_appliance.doctor.jetson import run_tool
from edgemoe_appliance.schema.findings import Finding, Level

# Where the engine's build finds the toolkit; the toolkit's set_env.sh names it.
TOOLKIT_VARIABLE: Final = "ASCEND_TOOLKIT_HOME"


def check_ascend(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Check everything that is particular to such a machine."""
    yield _check_driver(run_tool("npu-smi", "info"))
    yield _check_toolkit(environment)


def _check_driver(told: str | None) -> Finding:
    if told is None:
        return Finding(
            check="NPU",
            level=Level.FAIL,
            seen="npu-smi does not answer",
            hint="install the Ascend driver and firmware; the engine's build asks npu-smi too",
        )
    return Finding(check="NPU", level=Level.OK, seen="npu-smi answers")


def _check_toolkit(environment: Mapping[str, str]) -> Finding:
    home = environment.get(TOOLKIT_VARIABLE)
    if not home:
        return Finding(
            check="CANN toolkit",
            level=Level.FAIL,
            seen=f"{TOOLKIT_VARIABLE} is not set",
            hint="source the toolkit's set_env.sh; 8.0.RC2.alpha002 or later is needed",
        )
    return Finding(check="CANN toolkit", level=Level.OK, seen=home)
