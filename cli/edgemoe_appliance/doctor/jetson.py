"""Checks of a Jetson: release, power mode by name and by clock caps, clocks, memory blocks.

Ids of power modes differ between firmwares, so the mode is known by its name and its caps only.
Sources: NVIDIA's Jetson Linux developer guide (nvpmodel, jetson_clocks, tegrastats).
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from edgemoe_appliance.doctor.host import read_line, read_text
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.l4t import FRAGMENTS_MEMORY, Release, parse_release
from edgemoe_appliance.schema.units import human_bytes

_COMMAND_TIMEOUT_S = 10
# Clock caps of the Orin Nano 8 GB by power mode: CPU in kHz, GPU and EMC in Hz. Source: the files
# nvpmodel_p3767_0003.conf (GPU 624.75 MHz at 15 W) and nvpmodel_p3767_0003_super.conf (612 MHz) of
# Jetson Linux R36.
_CAPS: Final[dict[str, dict[str, tuple[int, ...]]]] = {
    "15W": {"cpu": (1_497_600,), "gpu": (612_000_000, 624_750_000), "emc": (2_133_000_000,)},
    "25W": {"cpu": (1_344_000,), "gpu": (918_000_000,), "emc": (3_199_000_000,)},
}
# What the device tree calls the board of the target, and the memory that tells its 8 GB from 4 GB.
_STUDY_BOARD = "Orin Nano"
_STUDY_MEMORY_BYTES = 6_000_000_000
_DEVICE_TREE_MODELS = ("sys/firmware/devicetree/base/model", "proc/device-tree/model")
_STUDY_MODE = "15W"
# A board that has just started has hundreds of 4 MiB blocks; one seen failing had one or two.
_FEW_BLOCKS = 16


def parse_power_mode(text: str) -> str | None:
    """Parse the output of `nvpmodel -q`, or return None where it names no mode."""
    match = re.search(r"^NV Power Mode:\s*(\S+)", text, re.MULTILINE)
    return match[1] if match else None


@dataclass(frozen=True, kw_only=True)
class Clocks:
    """Clock ranges as `jetson_clocks --show` prints them: CPU in kHz, GPU and EMC in Hz."""

    maximum: dict[str, int]
    locked: dict[str, bool]


def parse_clocks(text: str) -> Clocks:
    """Parse the output of `jetson_clocks --show`; what is not there, or off, stays out."""
    maximum: dict[str, int] = {}
    locked: dict[str, bool] = {}
    # A core that the power mode has switched off runs at no clock, whatever its range says.
    pattern = r"^(cpu|GPU|EMC)\d*:?\s(?!\s*Online=0\b).*?MinFreq=(\d+)\s+MaxFreq=(\d+)(.*)$"
    for match in re.finditer(pattern, text, re.MULTILINE):
        name = match[1].lower()
        maximum[name] = max(int(match[3]), maximum.get(name, 0))
        held = match[2] == match[3] or "FreqOverride=1" in match[4]
        locked[name] = held and locked.get(name, True)
    return Clocks(maximum=maximum, locked=locked)


def check_jetson(root: Path) -> Iterator[Finding]:
    """Check everything that is particular to a Jetson."""
    release_line = read_line(root / "etc/nv_tegra_release")
    release = parse_release(release_line or "")
    yield _release_finding(release_line, release)
    yield from check_board(root)
    mode = parse_power_mode(run_tool("nvpmodel", "-q") or "")
    clocks = parse_clocks(run_tool("jetson_clocks", "--show") or "")
    yield _mode_finding(mode)
    yield from _cap_findings(mode, clocks)
    yield _lock_finding(clocks)
    yield from _off_findings(root)
    yield _fragmentation_finding(release)
    yield check_free_blocks(root)


def _release_finding(line: str | None, release: Release | None) -> Finding:
    if release is None:
        return Finding(
            check="L4T release",
            level=Level.FAIL,
            seen=line or "/etc/nv_tegra_release is not there",
            hint="this is not a Jetson; choose another --target",
        )
    supported = release.version[0] == 36
    hints = [
        release.why_no_jetpack,
        None if supported else "the images are made for JetPack 6 (R36)",
    ]
    return Finding(
        check="L4T release",
        level=Level.OK if supported else Level.WARN,
        seen=f"R{release.text}",
        hint="; ".join(hint for hint in hints if hint),
    )


def check_board(root: Path) -> Iterator[Finding]:
    """Compare the board's model, as its device tree has it, with the target's."""
    texts = (read_text(root / path) for path in _DEVICE_TREE_MODELS)
    model = next((text.strip("\0 \n") for text in texts if text), None)
    if model is None:
        return
    memory_bytes = psutil.virtual_memory().total
    if _STUDY_BOARD not in model:
        yield Finding(
            check="board",
            level=Level.WARN,
            seen=model,
            hint=f"this target is the {_STUDY_BOARD} 8 GB: its clocks, bandwidth and comparison "
            "with the study do not hold here; give your board a target of its own (--devices)",
        )
    elif memory_bytes < _STUDY_MEMORY_BYTES:
        yield Finding(
            check="board",
            level=Level.WARN,
            seen=f"{model} with {human_bytes(memory_bytes)}",
            hint="the study's has 8 GB: models that fit there may not fit here",
        )
    else:
        yield Finding(check="board", level=Level.OK, seen=model)


def _mode_finding(mode: str | None) -> Finding:
    if mode is None:
        return Finding(
            check="power mode",
            level=Level.UNKNOWN,
            seen="nvpmodel does not answer",
            hint="run as root, or on the board itself",
        )
    same = mode == _STUDY_MODE
    return Finding(
        check="power mode",
        level=Level.OK if same else Level.WARN,
        seen=mode,
        hint="" if same else f"the study ran at {_STUDY_MODE}: choose it by name with nvpmodel",
    )


def _cap_findings(mode: str | None, clocks: Clocks) -> Iterator[Finding]:
    for name, caps in _CAPS.get(mode or "", {}).items():
        seen = clocks.maximum.get(name)
        if seen is None:
            yield Finding(
                check=f"{name} clock cap",
                level=Level.UNKNOWN,
                seen="jetson_clocks does not tell",
                hint="run as root",
            )
            continue
        # The kernel rounds clocks to steps of its tables; a per cent tells the modes apart.
        agrees = any(abs(seen - cap) <= 0.01 * cap for cap in caps)
        yield Finding(
            check=f"{name} clock cap",
            level=Level.OK if agrees else Level.WARN,
            seen=f"{seen}, {mode} has {' or '.join(map(str, caps))}",
            hint="" if agrees else "the mode's name and its clocks disagree: check nvpmodel.conf",
        )


def _lock_finding(clocks: Clocks) -> Finding:
    if not clocks.locked:
        return Finding(
            check="jetson_clocks",
            level=Level.UNKNOWN,
            seen="jetson_clocks does not tell",
            hint="run as root",
        )
    loose = sorted(name for name, held in clocks.locked.items() if not held)
    return Finding(
        check="jetson_clocks",
        level=Level.WARN if loose else Level.OK,
        seen=f"not locked: {', '.join(loose)}" if loose else "clocks are locked",
        hint="the study locked them: sudo jetson_clocks" if loose else "",
    )


def _off_findings(root: Path) -> Iterator[Finding]:
    off = (read_text(root / "sys/devices/system/cpu/offline") or "").strip()
    if off:
        yield Finding(
            check="processor cores",
            level=Level.WARN,
            seen=f"off: {off}",
            hint=f"the study had all of them: its mode is {_STUDY_MODE}",
        )


def _fragmentation_finding(release: Release | None) -> Finding:
    prone = release is not None and FRAGMENTS_MEMORY.holds_for(release.version)
    return Finding(
        check="memory fragmentation",
        level=Level.WARN if prone else Level.OK,
        seen=FRAGMENTS_MEMORY.text if prone else "not known of this release",
        hint=FRAGMENTS_MEMORY.hint if prone else "",
    )


def count_largest_blocks(buddyinfo: str) -> int | None:
    """Return the free blocks of the largest size (4 MiB with 4 KiB pages) in all zones, or None.

    It is the number that tegrastats prints as `lfb`. Source: proc(5), buddyinfo.
    """
    lines = [line.split() for line in buddyinfo.splitlines() if line.startswith("Node")]
    counts = [words[-1] for words in lines if words[-1].isdigit()]
    return sum(map(int, counts)) if counts else None


def check_free_blocks(root: Path) -> Finding:
    """Count the large free blocks of memory, which device allocations need."""
    blocks = count_largest_blocks(read_text(root / "proc/buddyinfo") or "")
    if blocks is None:
        return Finding(
            check="free memory blocks", level=Level.UNKNOWN, seen="this host does not tell"
        )
    enough = blocks >= _FEW_BLOCKS
    return Finding(
        check="free memory blocks",
        level=Level.OK if enough else Level.WARN,
        seen=f"{blocks} of the largest size",
        hint="" if enough else "memory is in pieces: reboot before a session",
    )


def run_tool(*command: str) -> str | None:
    """Return what a tool of the board prints, or None where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, timeout=_COMMAND_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None
