"""Checks of a Mac: system, chip, Python's architecture, compilers, power, what works beside.

Everything is asked of Apple's own tools; nothing is changed. That the machine stays awake is seen
to by the bench (`caffeinate`), not here.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgemoe_appliance.doctor.jetson import run_tool
from edgemoe_appliance.measure.hardware import parse_mac_power_mode
from edgemoe_appliance.schema.findings import Finding, Level

# Ventura: the first with Metal 3, which the study's machine has.
_LEAST_MACOS: Final = 13
_STUDY_CHIP: Final = "M2 Pro"


def check_mac(folder: Path) -> Iterator[Finding]:
    """Check everything that is particular to a Mac; `folder` is where builds will lie.

    On another system that is the one thing to say.
    """
    if platform.system() != "Darwin":
        yield Finding(
            check="Mac",
            level=Level.FAIL,
            seen=f"this is {platform.system()} on {platform.machine()}, not a Mac",
            hint="this target needs an Apple Silicon Mac; choose another --target",
        )
        return
    yield _check_python()
    yield _check_chip()
    yield _check_macos()
    yield _check_compilers()
    yield _check_folder(folder)
    yield _check_supply()
    yield _check_power_mode()
    yield from _check_background()


def _check_python() -> Finding:
    """Tell a Python for x86, which Rosetta runs: what it starts and builds is for x86 too."""
    translated = (run_tool("sysctl", "-n", "sysctl.proc_translated") or "").strip() == "1"
    if platform.machine() == "arm64" and not translated:
        return Finding(check="Python", level=Level.OK, seen="for arm64")
    if translated or _has_arm_chip():
        return Finding(
            check="Python",
            level=Level.FAIL,
            seen=f"for {platform.machine()}, translated by Rosetta",
            hint="use one for arm64 (python.org or Homebrew in /opt/homebrew): make PYTHON=...",
        )
    return Finding(
        check="Python",
        level=Level.FAIL,
        seen=f"for {platform.machine()}: this Mac has no Apple chip",
        hint="this target needs an Apple Silicon Mac; choose another --target",
    )


def _has_arm_chip() -> bool:
    return (run_tool("sysctl", "-n", "hw.optional.arm64") or "").strip() == "1"


def _check_chip() -> Finding:
    chip = (run_tool("sysctl", "-n", "machdep.cpu.brand_string") or "").strip()
    if not chip:
        return Finding(check="chip", level=Level.UNKNOWN, seen="sysctl does not tell")
    same = chip.endswith(_STUDY_CHIP)
    return Finding(
        check="chip",
        level=Level.OK if same else Level.WARN,
        seen=chip,
        hint="" if same else f"the study's is an Apple {_STUDY_CHIP}: figures differ by more",
    )


def _check_macos() -> Finding:
    version = platform.mac_ver()[0]
    first = version.partition(".")[0]
    enough = first.isdigit() and int(first) >= _LEAST_MACOS
    return Finding(
        check="macOS",
        level=Level.OK if enough else Level.FAIL,
        seen=version or "not told",
        hint="" if enough else f"{_LEAST_MACOS} or newer is needed for Metal 3",
    )


def _check_compilers() -> Finding:
    folder = (run_tool("xcode-select", "-p") or "").strip()
    return Finding(
        check="Xcode tools",
        level=Level.OK if folder else Level.FAIL,
        seen=folder or "no developer folder",
        hint="" if folder else "xcode-select --install",
    )


def _check_folder(folder: Path) -> Finding:
    """Tell of a blank in the path: ggml's step that embeds its Metal source breaks there."""
    has_blank = any(character.isspace() for character in str(folder))
    return Finding(
        check="folder",
        level=Level.FAIL if has_blank else Level.OK,
        seen=str(folder),
        hint="llama.cpp's Metal step breaks at a blank: move the checkout, or set EDGEMOE_CACHE "
        "to a folder without one"
        if has_blank
        else "",
    )


def _check_supply() -> Finding:
    told = run_tool("pmset", "-g", "batt")
    if told is None:
        return Finding(check="power supply", level=Level.UNKNOWN, seen="pmset does not answer")
    on_mains = "AC Power" in told
    return Finding(
        check="power supply",
        level=Level.OK if on_mains else Level.FAIL,
        seen="AC" if on_mains else "battery",
        hint="" if on_mains else "a battery slows the chip down: plug it in",
    )


def _check_power_mode() -> Finding:
    found = parse_mac_power_mode(run_tool("pmset", "-g") or "")
    if found is None:
        return Finding(check="power mode", level=Level.UNKNOWN, seen="pmset does not tell")
    mode = found.name or ""
    return Finding(
        check="power mode",
        level=Level.FAIL if mode == "low" else Level.OK,
        seen=mode,
        hint="turn it off in System Settings, Battery" if mode == "low" else "",
    )


def _check_background() -> Iterator[Finding]:
    """Look for what starts by itself and takes a core and the disk for minutes."""
    indexes = "Indexing enabled" in (run_tool("mdutil", "-s", "/") or "")
    yield Finding(
        check="Spotlight",
        level=Level.WARN if indexes else Level.OK,
        seen="indexes this disk" if indexes else "does not index this disk",
        hint="sudo mdutil -a -i off before, on afterwards" if indexes else "",
    )
    backs_up = "Running = 1" in (run_tool("tmutil", "status") or "")
    yield Finding(
        check="Time Machine",
        level=Level.WARN if backs_up else Level.OK,
        seen="is backing up" if backs_up else "is idle",
        hint="wait for it, or tmutil stopbackup" if backs_up else "",
    )
