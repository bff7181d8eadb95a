"""Fans and cooling devices as they are when a measuring period begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from edgemoe_appliance.measure.absences import Absences, line, number
from edgemoe_appliance.measure.sysfs import SystemRoots, read_text
from edgemoe_appliance.schema.hardware import CoolingState, Fan


def read_fans(absences: Absences) -> tuple[Fan, ...]:
    """Read the fans of all hardware monitors. Source: the kernel's hwmon sysfs interface."""
    fans = tuple(_fans(absences.roots))
    if not fans:
        absences.missing("fans", "no pwm or fan input below /sys/class/hwmon")
    return fans


def _fans(roots: SystemRoots) -> Iterator[Fan]:
    for monitor in roots.found("sys/class/hwmon/hwmon*"):
        name = line(read_text(monitor / "name")) or monitor.name
        for channel in _channels(monitor):
            pwm = number(monitor / f"pwm{channel}")
            rpm = number(monitor / f"fan{channel}_input")
            # A Jetson's tachometer calls its only value rpm.
            rpm = number(monitor / "rpm") if rpm is None and channel == "1" else rpm
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
        state, maximum = number(folder / "cur_state"), number(folder / "max_state")
        if state is not None and maximum is not None:
            seen[(line(read_text(folder / "type")) or "unnamed", state, maximum)] += 1
    if not seen:
        absences.missing("cooling devices", "none below /sys/class/thermal tells its state")
    return tuple(
        CoolingState(kind=kind, count=count, state=state, maximum=maximum)
        for (kind, state, maximum), count in sorted(seen.items())
    )
