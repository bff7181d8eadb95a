"""The NVIDIA boards of this host as the driver's own tool tells them.

A build for "the GPU found here" is named by its architecture, so that its record says what it
is for, and a cache that two machines share keeps their builds apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edgemoe_appliance.engine.toolchain import build_environment, is_on
from edgemoe_appliance.engine.tools import find_tool, run_tool
from edgemoe_appliance.errors import HostError

_TOOL: Final = "nvidia-smi"
# compute_cap is known to drivers from 510 on.
_QUERY: Final = ("--query-gpu=compute_cap,driver_version,name", "--format=csv,noheader")
_ANSWER_S: Final = 30.0
_BOARD: Final = re.compile(r"(\d{1,2})\.(\d), ?([\w.]+), ?(.+)")
_ARCHITECTURES: Final = "CMAKE_CUDA_ARCHITECTURES"
_OF_THIS_HOST: Final = "native"
_HINT: Final = "install NVIDIA's driver, or name another --target"


@dataclass(frozen=True, kw_only=True)
class NvidiaBoard:
    """One board; `architecture` is its compute capability as compilers write it (8.9: 89)."""

    name: str
    architecture: str
    driver: str


def read_nvidia_boards() -> tuple[NvidiaBoard, ...]:
    """Return the boards of this host, at least one. Raises HostError where none answers."""
    program = find_tool(_TOOL)
    if program is None:
        raise HostError(f"no NVIDIA GPU was found: there is no {_TOOL}", hint=_HINT)
    environment = build_environment(os.environ)
    result = run_tool([program, *_QUERY], env=environment, timeout_s=_ANSWER_S)
    boards = parse_nvidia_boards(result.lines)
    if result.exit_code != 0 or not boards:
        raise HostError(f"no NVIDIA GPU answers {_TOOL} ({result.last_error})", hint=_HINT)
    return boards


def parse_nvidia_boards(lines: tuple[str, ...]) -> tuple[NvidiaBoard, ...]:
    """Parse what the tool prints; other lines (warnings, a board that is lost) are left out."""
    found = (_BOARD.fullmatch(line.strip()) for line in lines)
    return tuple(
        NvidiaBoard(name=match[4], architecture=match[1] + match[2], driver=match[3])
        for match in found
        if match
    )


def with_gpu_of_this_host(cmake: Mapping[str, str]) -> dict[str, str]:
    """Return a target's flags with the architectures of the boards found here, where it asks so.

    Raises HostError where no board answers.
    """
    flags = dict(cmake)
    if is_on(flags.get("GGML_CUDA", "OFF")) and flags.get(_ARCHITECTURES) == _OF_THIS_HOST:
        found = {board.architecture for board in read_nvidia_boards()}
        flags[_ARCHITECTURES] = ";".join(sorted(found, key=int))
    return flags
