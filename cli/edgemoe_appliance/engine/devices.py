"""The devices that an engine would compute on, as its own program lists them.

No tool of a vendor is needed, and it is the engine's view that counts: which driver the loader
found, which of several devices the environment leaves. A driver that computes on the processor
(Mesa's llvmpipe, SwiftShader, POCL) makes a device of it that is none: such a one is told apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from edgemoe_appliance.engine.tools import run_tool
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.hardware import Accelerator
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import MIB

# A driver that is new to a machine may look for its hardware for a while; CUDA starts in seconds.
_ANSWER_S: Final = 120.0
_MAX_NAME_CHARS: Final = 120
# `  Vulkan0: llvmpipe (LLVM 15.0.6, 256 bits) (24035 MiB, 24035 MiB free)`; known since November
# 2024 (b4173).
_DEVICE: Final = re.compile(
    r"\s+(?P<name>[A-Za-z]+\d*): (?P<text>.+) \((?P<mib>\d{1,9}) MiB, \d{1,9} MiB free\)"
)
_HEAD: Final = "Available devices:"
# Vulkan's loader without a driver, and drivers without a device: ggml (b4447) lets the exception of
# either end the program, whatever it was asked.
_NO_DRIVER: Final = re.compile(r"\bvk::.*(?:IncompatibleDriver|InitializationFailed)")
# By the names that their drivers give: ggml has no word for it, and newer engines leave them out.
_SOFTWARE: Final = re.compile(r"llvmpipe|lavapipe|softpipe|swiftshader|\bpocl\b", re.IGNORECASE)


def read_accelerators(program: Path, environment: Mapping[str, str]) -> tuple[Accelerator, ...]:
    """Return the devices of an engine; none where it finds none.

    Raises HostError where the program does not answer.
    """
    result = run_tool([program, "--list-devices"], env=environment, timeout_s=_ANSWER_S)
    if has_no_driver("\n".join(result.lines)):
        return ()
    if result.exit_code != 0 or _HEAD not in result.lines:
        told = "no answer in time" if result.timed_out else result.last_error
        raise HostError(f"the engine does not list its devices ({told})", where=str(program))
    return parse_accelerators(result.lines)


def parse_accelerators(lines: Iterable[str]) -> tuple[Accelerator, ...]:
    """Parse what `--list-devices` prints; other lines, as those of a driver, are left out."""
    found = (_DEVICE.fullmatch(line) for line in lines)
    return tuple(
        Accelerator(
            name=match["name"],
            description=on_one_line(match["text"], _MAX_NAME_CHARS),
            memory_bytes=int(match["mib"]) * MIB,
            is_software=is_software(match["text"]),
        )
        for match in found
        if match
    )


def has_no_driver(text: str) -> bool:
    """Return whether an engine said that it ended because no driver has a device for it."""
    return _NO_DRIVER.search(text) is not None


def is_software(description: str) -> bool:
    """Return whether a device's name is that of a driver that computes on the processor."""
    return _SOFTWARE.search(description) is not None
