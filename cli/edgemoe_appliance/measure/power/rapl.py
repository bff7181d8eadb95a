"""RAPL energy counters of x86 processors (Intel and AMD) through the powercap folder.

Some machines show one counter under several names: of those that advance alike one is the total.
Counters wrap at a range that the kernel states; a fall that is no wrap is a reset, and is passed
on as a fall, so that no window across it can be integrated.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, pairwise
from pathlib import Path
from types import TracebackType

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    EnergyReading,
    MeterReading,
    PowerScope,
    Rail,
    RailRole,
    UnparsedReadings,
    as_taken,
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
# Two that look alike over that time are watched for longer. What is read of one counter twice
# differs by what the machine draws between the two readings, of which each may be an update old.
_WATCHES = 5
_WATCHED_S = 0.1
_STALE_S = 2 * _REFRESH_S
# Drawn between reading two names of one counter, were the reader interrupted in between.
_APART_S = 0.010
_DIE = re.compile(r"(package-\d+)-die-\d+")
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
    scope = PowerScope.PROCESSOR

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

    def take(self) -> UnparsedReadings:
        """Read what is new since the last call."""
        return as_taken(self.read())

    def read(self) -> tuple[MeterReading, ...]:
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
    zones = [zone for folder in folders if (zone := _find_zone(folder, roots))]
    meter = _counting(_with_own_names(zones), wait)
    if total_rails(meter.rails):
        return meter
    return _absent("the package counters stand still or cannot be read")


def _with_own_names(zones: Sequence[_Zone]) -> tuple[_Zone, ...]:
    """Return zones with names of their own: a second one of a name gets a number."""
    named: dict[str, _Zone] = {}
    for zone in zones:
        name, number = zone.rail.name, 1
        while name in named:
            number += 1
            name = f"{zone.rail.name} {number}"
        named[name] = replace(zone, rail=replace(zone.rail, name=name, sensor=f"rapl {name}"))
    return tuple(named.values())


def _counting(zones: tuple[_Zone, ...], wait: Callable[[float], None]) -> RaplMeter:
    """Return a meter of the zones that count; of none where a package does not."""
    before = _values_of(zones)
    wait(_STANDSTILL_S)
    after = _values_of(zones)
    moving = tuple(
        zone for zone in zones if after[zone.rail.name] not in (None, before[zone.rail.name])
    )
    packages = {zone.rail.name for zone in zones if _is_package(zone.rail)}
    if not packages <= {zone.rail.name for zone in moving}:
        return RaplMeter(())
    repeated = _find_repeated(moving, before, after, wait)
    return RaplMeter(tuple(_beside(z) if z.rail.name in repeated else z for z in moving))


def _beside(zone: _Zone) -> _Zone:
    return replace(zone, rail=replace(zone.rail, role=RailRole.BESIDE))


def _values_of(zones: Sequence[_Zone]) -> dict[str, int | None]:
    return {zone.rail.name: _value_of(zone) for zone in zones}


def _find_repeated(
    zones: Sequence[_Zone],
    before: Mapping[str, int | None],
    after: Mapping[str, int | None],
    wait: Callable[[float], None],
) -> frozenset[str]:
    """Return the totals that are one counter with an earlier total, under another name."""
    totals = [zone for zone in zones if zone.rail.role is RailRole.TOTAL]
    pairs = [p for p in combinations(totals, 2) if _is_alike(p, before, after, _STANDSTILL_S)]
    if not pairs:
        return frozenset()
    seen = [after]
    for _ in range(_WATCHES):
        wait(_WATCHED_S)
        seen.append(_values_of(totals))
    repeated: set[str] = set()
    for pair in pairs:
        first, second = (zone.rail.name for zone in pair)
        if first not in repeated and _stays_alike(pair, seen):
            repeated.add(second)
    return frozenset(repeated)


def _stays_alike(pair: tuple[_Zone, _Zone], seen: Sequence[Mapping[str, int | None]]) -> bool:
    """Return whether two counters gain the same in each watch and in all of them together.

    Where nothing more was drawn, the dies of one package are believed to be one.
    """
    names = [zone.rail.name for zone in pair]
    if all(seen[0][name] == seen[-1][name] for name in names):
        return _package_of(names[0]) == _package_of(names[1])
    return _is_alike(pair, seen[0], seen[-1], _WATCHES * _WATCHED_S) and all(
        _is_alike(pair, earlier, later, _WATCHED_S) for earlier, later in pairwise(seen)
    )


def _is_alike(
    pair: tuple[_Zone, _Zone],
    before: Mapping[str, int | None],
    after: Mapping[str, int | None],
    elapsed_s: float,
) -> bool:
    """Return whether two counters gained the same, and stand at the same value or in one package.

    Two packages that idle alike gain nearly the same too, but their sums since boot differ.
    """
    gains = []
    for zone in pair:
        start, end = before[zone.rail.name], after[zone.rail.name]
        if start is None or end is None:
            return False
        gains.append(end - start if end >= start else end + zone.range_uj - start)
    most = max(gains)
    is_same_gain = abs(gains[0] - gains[1]) <= most * _STALE_S / elapsed_s
    names = [zone.rail.name for zone in pair]
    values = [after[name] or 0 for name in names]
    drawn_apart_uj = most / elapsed_s * _APART_S
    is_same_value = abs(values[0] - values[1]) <= drawn_apart_uj
    return is_same_gain and (is_same_value or _package_of(names[0]) == _package_of(names[1]))


def _package_of(name: str) -> str:
    """Return the package that a counter belongs to as one of its dies, else its own name."""
    owner, slash, zone = name.partition("/")
    die = _DIE.match(owner)
    return f"{die[1]}{slash}{zone}" if die else name


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


def _read_zone(rail: str, file: NumberFile, counter: CounterUnwrapper) -> MeterReading:
    t_mono_ns = time.monotonic_ns()
    try:
        value_uj = file.read()
    except (OSError, ValueError) as error:
        return DeadReading(t_mono_ns=t_mono_ns, rail=rail, reason=describe_failure(error))
    energy_j = counter.follow(t_mono_ns, value_uj)
    return EnergyReading(t_mono_ns=t_mono_ns, rail=rail, energy_j=energy_j)


def _absent(reason: str) -> AbsentSource:
    return AbsentSource(source=PowerSource.RAPL, reason=reason)
