"""The sources of a run, opened as the run will open them: what they give here, and what is absent.

In a container some of them are hidden; what is known to be hidden is told without starting one.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edgemoe_appliance.measure.heat import HeatSensors, hottest_on_die
from edgemoe_appliance.measure.instruments import open_instruments
from edgemoe_appliance.measure.power.discovery import Discovery
from edgemoe_appliance.measure.power.interface import total_rails
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import PowerSource, Target
from edgemoe_appliance.schema.findings import Finding, Level

_THROTTLE_FOLDERS: Final = "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"
_INA3221_FILES: Final = "sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*/*_input"


def check_sources(target: Target, root: Path, *, is_container: bool = False) -> Iterator[Finding]:
    """Open what a run on a target reads, as this user, and say what will be absent in it."""
    roots = SystemRoots(root=root)
    with open_instruments(target.power_sources, roots, meter=target.meter) as instruments:
        yield from _power(target, instruments.power)
        yield _temperature(instruments.heat)
        yield _throttling(instruments.heat)
    if is_container:
        yield from _hidden_in_containers(target, roots)


def _power(target: Target, power: Discovery) -> Iterator[Finding]:
    if not target.power_sources:
        yield Finding(check="power", level=Level.OK, seen=f"none is read: {power.reason}")
        return
    if power.primary is None:
        yield Finding(
            check="power",
            level=Level.WARN,
            seen=power.reason or "no source",
            hint="runs will have no energy",
        )
        return
    totals = ", ".join(rail.name for rail in total_rails(power.primary.rails))
    yield Finding(check="power", level=Level.OK, seen=f"{power.primary.source.value}: {totals}")
    for source, reason in power.absent.items():
        yield Finding(
            check=f"power by {source.value}",
            level=Level.WARN,
            seen=reason,
            hint=f"{power.primary.source.value} will have nothing to be checked by",
        )


def _temperature(heat: HeatSensors) -> Finding:
    hottest = hottest_on_die(heat.read().temps_c)
    if hottest is None:
        return Finding(
            check="die temperature",
            level=Level.WARN,
            seen="no sensor of the die gives a value",
            hint="runs will have no temperature, and a rule of cooling down cannot hold",
        )
    seen = f"{hottest.sensor} {hottest.temp_c:.1f} C"
    return Finding(check="die temperature", level=Level.OK, seen=seen)


def _throttling(heat: HeatSensors) -> Finding:
    reading = heat.read_throttle()
    known = [*reading.states, *reading.counts]
    if reading.unread:
        name, why = next(iter(reading.unread.items()))
        return Finding(
            check="throttling",
            level=Level.WARN,
            seen=f"{len(reading.unread)} of {len(known) + len(reading.unread)} sources cannot be "
            f"read: {name} ({why})",
            hint="a run without throttling cannot be told from one whose throttling is unseen",
        )
    if not known:
        return Finding(check="throttling", level=Level.WARN, seen="this machine shows none")
    return Finding(check="throttling", level=Level.OK, seen=f"{len(known)} sources")


def _hidden_in_containers(target: Target, roots: SystemRoots) -> Iterator[Finding]:
    """Tell what engines hide (moby, `DefaultSpec`), and what the container's user may not read."""
    if PowerSource.RAPL in target.power_sources and roots.found("sys/class/powercap/intel-rapl:*"):
        yield Finding(
            check="power in a container",
            level=Level.WARN,
            seen="engines hide /sys/devices/virtual/powercap (since 2023)",
            hint="RAPL will be absent there; measure with --runtime native for energy",
        )
    if roots.found(_THROTTLE_FOLDERS):
        yield Finding(
            check="throttling in a container",
            level=Level.WARN,
            seen="engines from 28.0.2 on hide the counters of thermal_throttle",
            hint="throttling will be absent there, not 0; --runtime native sees it",
        )
    if target.meter is not None:
        yield Finding(
            check="power in a container",
            level=Level.WARN,
            seen="a container sees no outside meter",
            hint="it will be absent there; measure with --runtime native",
        )
    shut = [p for p in roots.found(_INA3221_FILES) if not p.stat().st_mode & stat.S_IROTH]
    if PowerSource.INA3221 in target.power_sources and shut:
        yield Finding(
            check="power in a container",
            level=Level.WARN,
            seen=f"{shut[0].name} of the INA3221 is not readable for others than root",
            hint="a container's user is never root: as root, chmod a+r that folder's *_input",
        )
