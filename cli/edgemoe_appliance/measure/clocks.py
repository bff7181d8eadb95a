"""Clocks as the kernel shows them: of processors, of devices, of a Jetson's memory.

Read from sysfs, so that a container sees what the host sees; jetson_clocks shows the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgemoe_appliance.measure.sysfs import (
    Absences,
    SystemRoots,
    first_line,
    read_amount,
    read_text,
)
from edgemoe_appliance.schema.hardware import Clock

_KHZ = 1000
# Of a Jetson's memory controller, for root only.
_EMC = "sys/kernel/debug/bpmp/debug/clk/emc"
# The power mode's cap, 0 for none. Source: NVIDIA's nvpmodel, PARAM EMC of nvpmodel.conf.
_EMC_CAP = "sys/kernel/nvpmodel_clk_cap/emc"


def read_clocks(absences: Absences) -> tuple[Clock, ...]:
    """Read all clocks; a group that shows none is absent with its reason."""
    roots = absences.roots
    groups = {
        "processor clocks": (
            tuple(_processor_clocks(roots)),
            "no cpufreq policy below /sys/devices/system/cpu/cpufreq",
        ),
        "device clocks": (tuple(_device_clocks(roots)), "nothing in /sys/class/devfreq"),
        "memory clock": (tuple(_memory_clock(roots)), f"/{_EMC} cannot be read"),
    }
    for fact, (clocks, reason) in groups.items():
        if not clocks:
            absences.missing(fact, reason)
    return tuple(clock for clocks, _ in groups.values() for clock in clocks)


def _processor_clocks(roots: SystemRoots) -> Iterator[Clock]:
    """Yield a clock for each policy: processors that share one have one. Source: cpufreq docs.

    One whose processors are all off has no clock.
    """
    for folder in roots.found("sys/devices/system/cpu/cpufreq/policy*"):
        if read_text(folder / "affected_cpus") == "":
            continue
        members = first_line(read_text(folder / "related_cpus")) or folder.name.removeprefix(
            "policy"
        )
        yield Clock(
            kind="processor",
            name=members,
            governor=first_line(read_text(folder / "scaling_governor")),
            minimum_hz=read_amount(folder / "scaling_min_freq", _KHZ),
            maximum_hz=read_amount(folder / "scaling_max_freq", _KHZ),
            current_hz=read_amount(folder / "scaling_cur_freq", _KHZ),
        )


def _device_clocks(roots: SystemRoots) -> Iterator[Clock]:
    """Yield the clocks of devices, a Jetson's GPU among them. Source: sysfs-class-devfreq."""
    for folder in roots.found("sys/class/devfreq/*"):
        yield Clock(
            kind="device",
            name=folder.name,
            governor=first_line(read_text(folder / "governor")),
            minimum_hz=read_amount(folder / "min_freq"),
            maximum_hz=read_amount(folder / "max_freq"),
            current_hz=read_amount(folder / "cur_freq"),
        )


def _memory_clock(roots: SystemRoots) -> Iterator[Clock]:
    """Yield the clock of a Jetson's memory: its range ends at the cap of the power mode.

    jetson_clocks holds it by a lock on its rate and leaves the range as it is: one that is locked
    has no room to move. Where the clock itself is hidden, the cap alone may still be told.
    """
    folder = roots.below(_EMC)
    rate_hz, highest_hz = read_amount(folder / "rate"), read_amount(folder / "max_rate")
    is_locked = first_line(read_text(folder / "mrq_rate_locked")) == "1"
    cap_hz = read_amount(roots.below(_EMC_CAP)) or None
    known_hz = [hz for hz in (cap_hz, highest_hz) if hz]
    if _is_readable(folder / "rate") or cap_hz:
        yield Clock(
            kind="memory",
            name="EMC",
            minimum_hz=rate_hz if is_locked else read_amount(folder / "min_rate"),
            maximum_hz=rate_hz if is_locked else min(known_hz, default=None),
            current_hz=rate_hz,
        )


def _is_readable(path: Path) -> bool:
    return read_text(path) is not None
