"""The hardware record of a measuring period: what the study kept by hand, as the machine tells it.

Files alone are read and no program of the board is run, so that it is the same in a container
without privileges; the engine itself lists the devices that it computes on. Serial numbers are not
read.
"""

from __future__ import annotations

import platform
import re
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.measure.clocks import read_clocks
from edgemoe_appliance.measure.sysfs import (
    Absences,
    SystemRoots,
    first_line,
    read_amount,
    read_text,
)
from edgemoe_appliance.schema.hardware import (
    DEVICE_TREE_MODEL,
    POWER_MODE_FILE,
    POWER_MODES_FILE,
    Accelerator,
    CoolingState,
    Fan,
    HardwareFacts,
    PowerMode,
    SwapArea,
)
from edgemoe_appliance.schema.l4t import Release, parse_release
from edgemoe_appliance.schema.units import KIB

_DMI = "sys/class/dmi/id"
# Maker, product and its version, without serial numbers.
_PRODUCT_NAMES = ("sys_vendor", "product_name", "product_version")
_TOOL_S = 10
# Since macOS 12 `powermode` (0 automatic, 1 low, 2 high) on Macs that have a high power mode,
# `lowpowermode` on the others.
_MAC_POWER_MODE = re.compile(r"^\s*(low)?powermode\s+(\d)\s*$", re.MULTILINE)
_MAC_MODES = {0: "automatic", 1: "low"}
_SWAP_COLUMNS = 5
NO_DEVICE: Final = "the engine finds no device"


def read_hardware(
    roots: SystemRoots,
    temps_c: dict[str, float],
    list_accelerators: Callable[[], tuple[Accelerator, ...]] | None = None,
) -> HardwareFacts:
    """Read the record; `temps_c` are the temperatures of the period's own sensors by name.

    `list_accelerators` asks the engine for its devices, where the target computes on any.
    """
    absences = Absences(roots)
    release = _read_release(absences)
    return HardwareFacts(
        device=_read_device(absences),
        firmware=_read_firmware(absences),
        release=None if release is None else f"R{release.text}",
        jetpack=_jetpack(release, absences),
        kernel=f"{platform.release()} {platform.version()}".strip(),
        system=_read_system(absences),
        power_mode=_read_power_mode(absences),
        clocks=read_clocks(absences),
        swap=_read_swap(absences),
        fans=read_fans(absences),
        cooling=read_cooling(absences),
        temps_c=_known(temps_c, absences),
        accelerators=_read_accelerators(list_accelerators, absences),
        absent=dict(sorted(absences.reasons.items())),
    )


def _read_device(absences: Absences) -> str | None:
    """Return the board's name: from its device tree, else from DMI, else from a Mac's kernel."""
    roots = absences.roots
    for path in (DEVICE_TREE_MODEL.lstrip("/"), "proc/device-tree/model"):
        found = first_line((read_text(roots.below(path)) or "").strip("\0 "))
        if found:
            return found
    if platform.system() == "Darwin":
        return _read_mac_model(absences)
    names = [first_line(read_text(roots.below(f"{_DMI}/{name}"))) for name in _PRODUCT_NAMES]
    known = list(dict.fromkeys(name for name in names if name))
    if not known:
        absences.missing("device", f"neither a device tree nor names in /{_DMI}")
    return " ".join(known) or None


def _read_mac_model(absences: Absences) -> str | None:
    try:
        done = subprocess.run(
            ["/usr/sbin/sysctl", "-n", "hw.model"], capture_output=True, timeout=_TOOL_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        absences.missing("device", f"sysctl hw.model: {type(error).__name__}")
        return None
    return done.stdout.decode(errors="replace").strip() or None


def _read_firmware(absences: Absences) -> str | None:
    roots = absences.roots
    names = ("bios_vendor", "bios_version", "bios_date")
    known = [
        text for name in names if (text := first_line(read_text(roots.below(f"{_DMI}/{name}"))))
    ]
    if not known:
        absences.missing("firmware", f"/{_DMI} names none")
    return " ".join(known) or None


def _read_release(absences: Absences) -> Release | None:
    path = "etc/nv_tegra_release"
    text = absences.text("release", path)
    release = parse_release(text or "")
    if text and release is None:
        absences.missing("release", f"/{path} says {first_line(text)!r}")
    return release


def _jetpack(release: Release | None, absences: Absences) -> str | None:
    if release is None:
        absences.missing("jetpack", "no release of Jetson Linux is known")
    elif release.jetpack is None:
        absences.missing("jetpack", release.why_no_jetpack or "")
    return release.jetpack if release else None


def _read_system(absences: Absences) -> str | None:
    if platform.system() == "Darwin":
        return f"macOS {platform.mac_ver()[0]}"
    text = absences.text("system", "etc/os-release", "usr/lib/os-release") or ""
    match = re.search(r'^PRETTY_NAME="?([^"\n]+)"?$', text, re.MULTILINE)
    if text and match is None:
        absences.missing("system", "/etc/os-release has no PRETTY_NAME")
    return match[1] if match else None


def _read_power_mode(absences: Absences) -> PowerMode | None:
    """Return the mode that nvpmodel keeps, its name out of the board's table; a Mac's by pmset."""
    if platform.system() == "Darwin":
        return _read_mac_power_mode(absences)
    status = absences.text("power mode", POWER_MODE_FILE.lstrip("/"))
    match = re.search(r"pmode:(\d+)", status or "")
    if match is None:
        if status:
            absences.missing("power mode", f"{POWER_MODE_FILE} says {first_line(status)!r}")
        return None
    mode_id = int(match[1])
    table = absences.text("name of the power mode", POWER_MODES_FILE.lstrip("/"))
    name = None if table is None else parse_power_modes(table).get(mode_id)
    if table is not None and name is None:
        absences.missing("name of the power mode", f"{POWER_MODES_FILE} has no mode {mode_id}")
    return PowerMode(id=mode_id, name=name)


def _read_mac_power_mode(absences: Absences) -> PowerMode | None:
    try:
        done = subprocess.run(
            ["/usr/bin/pmset", "-g"], capture_output=True, timeout=_TOOL_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        absences.missing("power mode", f"pmset: {type(error).__name__}")
        return None
    mode = parse_mac_power_mode(done.stdout.decode(errors="replace"))
    if mode is None:
        absences.missing("power mode", "pmset -g names none")
    return mode


def parse_mac_power_mode(settings: str) -> PowerMode | None:
    """Return the power mode in `pmset -g`, None where it names none."""
    match = _MAC_POWER_MODE.search(settings)
    if match is None:
        return None
    mode_id = int(match[2])
    return PowerMode(id=mode_id, name=_MAC_MODES.get(mode_id, "high"))


def parse_power_modes(table: str) -> dict[int, str]:
    """Return the names of power modes by id: `< POWER_MODEL ID=0 NAME=15W >` in nvpmodel.conf."""
    pattern = r"^\s*<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>"
    return {int(found[1]): found[2] for found in re.finditer(pattern, table, re.MULTILINE)}


def _read_swap(absences: Absences) -> tuple[SwapArea, ...]:
    """Return the swap areas; none at all is a fact, and no reason is given for it."""
    text = absences.text("swap", "proc/swaps")
    lines = (text or "").splitlines()[1:]
    return tuple(
        _swap_area(words, absences.roots)
        for words in map(str.split, lines)
        if len(words) == _SWAP_COLUMNS and words[2].isdigit() and words[3].isdigit()
    )


def _swap_area(words: list[str], roots: SystemRoots) -> SwapArea:
    """Return an area out of its line of /proc/swaps: name, kind, size and use in KiB, priority."""
    device = words[0].rpartition("/")[2]
    algorithms = read_text(roots.below(f"sys/block/{device}/comp_algorithm")) or ""
    chosen = re.search(r"\[(\S+)\]", algorithms)
    return SwapArea(
        name=words[0],
        size_bytes=int(words[2]) * KIB,
        used_bytes=int(words[3]) * KIB,
        priority=int(words[4]),
        compression=chosen[1] if chosen else None,
    )


def _read_accelerators(
    list_accelerators: Callable[[], tuple[Accelerator, ...]] | None, absences: Absences
) -> tuple[Accelerator, ...]:
    if list_accelerators is None:
        return ()
    try:
        found = list_accelerators()
    except HostError as error:
        absences.missing("accelerators", str(error))
        return ()
    if not found:
        absences.missing("accelerators", NO_DEVICE)
    return found


def _known(temps_c: dict[str, float], absences: Absences) -> dict[str, float]:
    if not temps_c:
        absences.missing("temperatures", "no sensor gives a temperature")
    return temps_c


def read_fans(absences: Absences) -> tuple[Fan, ...]:
    """Read the fans of all hardware monitors. Source: the kernel's hwmon sysfs interface."""
    fans = tuple(_fans(absences.roots))
    if not fans:
        absences.missing("fans", "no pwm or fan input below /sys/class/hwmon")
    return fans


def _fans(roots: SystemRoots) -> Iterator[Fan]:
    for monitor in roots.found("sys/class/hwmon/hwmon*"):
        name = first_line(read_text(monitor / "name")) or monitor.name
        for channel in _channels(monitor):
            pwm = read_amount(monitor / f"pwm{channel}")
            rpm = read_amount(monitor / f"fan{channel}_input")
            # A Jetson's tachometer calls its only value rpm.
            rpm = read_amount(monitor / "rpm") if rpm is None and channel == "1" else rpm
            yield Fan(name=f"{name} {channel}", pwm=pwm, rpm=rpm)


def _channels(monitor: Path) -> list[str]:
    found = {path.name.removeprefix("pwm") for path in monitor.glob("pwm[0-9]")}
    found |= {path.name[len("fan") : -len("_input")] for path in monitor.glob("fan[0-9]_input")}
    if (monitor / "rpm").exists():
        found.add("1")
    return sorted(found)


def read_cooling(absences: Absences) -> tuple[CoolingState, ...]:
    """Read the cooling devices, equal ones counted. Source: the kernel's thermal sysfs ABI."""
    seen: Counter[tuple[str, int, int]] = Counter()
    for folder in absences.roots.found("sys/class/thermal/cooling_device*"):
        state, maximum = read_amount(folder / "cur_state"), read_amount(folder / "max_state")
        if state is not None and maximum is not None:
            seen[(first_line(read_text(folder / "type")) or "unnamed", state, maximum)] += 1
    if not seen:
        absences.missing("cooling devices", "none below /sys/class/thermal tells its state")
    return tuple(
        CoolingState(kind=kind, count=count, state=state, maximum=maximum)
        for (kind, state, maximum), count in sorted(seen.items())
    )
