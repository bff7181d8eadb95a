"""RAPL energy counters of x86 processors (Intel and AMD) through the powercap folder.

Counters wrap at a range that the kernel states; a fall that is no wrap is a reset, and is passed
on as a fall, so that no window across it can be integrated.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    EnergyReading,
    Rail,
    RailRole,
    Reading,
    Scope,
    describe_failure,
    total_rails,
)
from edgemoe_appliance.measure.sysfs import NumberFile, SystemRoots, read_number, read_text
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.units import NS_PER_S

# Intel SDM vol. 3, section on RAPL: the unit is 2^-14 J by default and counters are updated about
# every millisecond. No bound on offset or gain is published by Intel or AMD.
_STEP_J = 2**-14
_REFRESH_S = 0.001
# More than one package can draw: a fall that would need more is a reset and not a wrap.
_MAX_POWER_W = 2000.0
# A counter that stands still for this long does not count (some hypervisors show zeros).
_STANDSTILL_S = 0.05
_CHMOD_HINT = "as root: chmod o+r /sys/class/powercap/intel-rapl:*/energy_uj (until the next boot)"


@dataclass(frozen=True, kw_only=True)
class _Zone:
    """One counter: its rail, its file and the value at which it wraps."""

    rail: Rail
    path: Path
    range_uj: int


class CounterUnwrapper:
    """Makes one wrapping counter (uJ) a cumulative energy (J)."""

    def __init__(self, range_uj: int) -> None:
        """Begin before the first value."""
        self._range_uj = range_uj
        self._wrapped_uj = 0
        self._last: tuple[int, int] | None = None

    def follow(self, t_mono_ns: int, value_uj: int) -> float:
        """Return the energy so far; it falls where the counter was reset."""
        if self._last is not None and value_uj < self._last[1]:
            last_ns, last_uj = self._last
            gained_uj = value_uj + self._range_uj - last_uj
            elapsed_s = max(_REFRESH_S, (t_mono_ns - last_ns) / NS_PER_S)
            is_wrap = 0 < gained_uj / 1e6 <= _MAX_POWER_W * elapsed_s
            self._wrapped_uj = self._wrapped_uj + self._range_uj if is_wrap else 0
        self._last = (t_mono_ns, value_uj)
        return (self._wrapped_uj + value_uj) / 1e6


class RaplMeter:
    """All zones that count; reads each of them at every call."""

    source = PowerSource.RAPL
    scope = Scope.PROCESSOR

    def __init__(self, zones: tuple[_Zone, ...]) -> None:
        """Keep the zones; nothing is opened yet."""
        self._zones = zones
        self._open: list[tuple[str, NumberFile, CounterUnwrapper]] = []

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return the rails: packages, what lies in them, their memory, the platform."""
        return tuple(zone.rail for zone in self._zones)

    def __enter__(self) -> RaplMeter:
        """Open the counters."""
        try:
            for zone in self._zones:
                counter = CounterUnwrapper(zone.range_uj)
                self._open.append((zone.rail.name, NumberFile(zone.path), counter))
        except OSError as error:
            self._close()
            raise MeasureError(f"RAPL: {describe_failure(error)}", hint=_CHMOD_HINT) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the counters."""
        self._close()

    def read(self) -> tuple[Reading, ...]:
        """Return one reading of each rail."""
        return tuple(_read_zone(*opened) for opened in self._open)

    def _close(self) -> None:
        for _, file, _ in self._open:
            file.close()
        self._open = []


def find_rapl(
    roots: SystemRoots, wait: Callable[[float], None] = time.sleep
) -> RaplMeter | AbsentSource:
    """Look for package counters that may be read and that count.

    `wait` passes the 50 ms after which a counter must have moved.
    """
    folders = roots.found("sys/class/powercap/intel-rapl:*")
    if not folders:
        return _absent("no intel-rapl zone under /sys/class/powercap (not x86, or a virtual host)")
    hidden = next((folder for folder in folders if not folder.exists()), None)
    if hidden is not None:
        return _absent(f"{hidden.name} is masked, as container runtimes do")
    unreadable = next((f for f in folders if not os.access(f / "energy_uj", os.R_OK)), None)
    if unreadable is not None:
        return _absent(f"{unreadable.name}/energy_uj may not be read; {_CHMOD_HINT}")
    meter = _counting(tuple(zone for f in folders if (zone := _find_zone(f, roots))), wait)
    if total_rails(meter.rails):
        return meter
    return _absent("the package counters stand still or cannot be read")


def _counting(zones: tuple[_Zone, ...], wait: Callable[[float], None]) -> RaplMeter:
    """Return a meter of the zones that count; of none where a package does not."""
    before = {zone.rail.name: _value_of(zone) for zone in zones}
    wait(_STANDSTILL_S)
    moving = tuple(zone for zone in zones if _value_of(zone) not in (None, before[zone.rail.name]))
    packages = {zone.rail.name for zone in zones if _is_package(zone.rail)}
    return RaplMeter(moving if packages <= {zone.rail.name for zone in moving} else ())


def _is_package(rail: Rail) -> bool:
    return rail.role is RailRole.TOTAL and "/" not in rail.name


def _value_of(zone: _Zone) -> int | None:
    try:
        return read_number(zone.path)
    except (OSError, ValueError):
        return None


def _find_zone(folder: Path, roots: SystemRoots) -> _Zone | None:
    name = read_text(folder / "name")
    try:
        range_uj = read_number(folder / "max_energy_range_uj")
    except (OSError, ValueError):
        return None
    if not name:
        return None
    parts = folder.name.split(":")
    if len(parts) > 2:
        parent = read_text(roots.below(f"sys/class/powercap/{':'.join(parts[:2])}/name"))
        name = f"{parent or parts[1]}/{name}"
    return _Zone(rail=_build_rail(name), path=folder / "energy_uj", range_uj=range_uj)


def _build_rail(name: str) -> Rail:
    return Rail(
        name=name,
        source=PowerSource.RAPL,
        sensor=f"rapl {name}",
        unit=Unit.JOULES,
        role=_role_of(name),
        step=_STEP_J,
        offset_bound_w=None,
        gain_bound=None,
        refresh_s=_REFRESH_S,
    )


def _role_of(name: str) -> RailRole:
    """Return the role of a zone: memory lies outside its package, the platform encloses all."""
    owner, _, zone = name.partition("/")
    if owner.startswith("package") and zone in ("", "dram"):
        return RailRole.TOTAL
    return RailRole.PART if zone else RailRole.BESIDE


def _read_zone(rail: str, file: NumberFile, counter: CounterUnwrapper) -> Reading:
    t_mono_ns = time.monotonic_ns()
    try:
        value_uj = file.read()
    except (OSError, ValueError) as error:
        return DeadReading(t_mono_ns=t_mono_ns, rail=rail, reason=describe_failure(error))
    energy_j = counter.follow(t_mono_ns, value_uj)
    return EnergyReading(t_mono_ns=t_mono_ns, rail=rail, energy_j=energy_j)


def _absent(reason: str) -> AbsentSource:
    return AbsentSource(source=PowerSource.RAPL, reason=reason)
