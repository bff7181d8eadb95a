"""Temperatures by sensor and throttling, as far as the kernel shows them.

Files are opened once. A sensor that gives no value is named with its reason; none is guessed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from edgemoe_appliance.measure.power.interface import describe_failure
from edgemoe_appliance.measure.sysfs import (
    NumberFile,
    SystemRoots,
    close_all,
    read_number,
    read_text,
)
from edgemoe_appliance.schema.records import Caveat

# Below this a sensor says that it is switched off (Jetson: -256 degrees).
_LOWEST_MILLI_C = -60_000
# The hottest point of the die, where the kernel gives it a sensor of its own (Jetson).
_JUNCTION = "tj"
# Sensors on a processor or graphics die: Jetson zones, Intel, AMD, Arm boards, NVML.
_DIE_SENSORS = (
    "cpu",
    "gpu",
    "soc",
    "cv",
    "x86_pkg_temp",
    "coretemp",
    "k10temp",
    "zenpower",
)
# Cooling devices that slow the machine down. Fans, screens, batteries and radios are cooling
# devices too and slow nothing that is measured here. Source: the kernel's drivers (ACPI Processor,
# intel_powerclamp, cpufreq_cooling, cpuidle_cooling, devfreq_cooling) and NVIDIA's device trees of
# Jetson Linux R32 to R39 (`*-throttle-alert`, `*-balanced`, `*-heavy`).
_THROTTLES = re.compile(
    r"processor|intel_powerclamp|(thermal-)?(cpufreq|cpuidle|idle|devfreq|gpufreq)\b.*"
    r"|(cpu|gpu|soc|cv|tj)\d*-throttle(-alert)?|(cpu|gpu|emergency)-(balanced|heavy)",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class HeatReading:
    """Temperatures at one moment by sensor; `failed` are the sensors that gave no value."""

    t_mono_ns: int
    temps_c: dict[str, float]
    failed: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class ThrottleReading:
    """Throttling at one moment.

    `states` are levels of cooling devices (0: none), `counts` are events since boot; `unread` are
    those that should be there and gave no value, with the reason.
    """

    t_mono_ns: int
    states: dict[str, int]
    counts: dict[str, int]
    unread: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DieTemperature:
    """The hottest sensor on the die and its temperature."""

    sensor: str
    temp_c: float


class HeatSensors:
    """All sensors of this machine; open inside its `with` block only."""

    def __init__(
        self,
        *,
        temps: Mapping[str, Path],
        states: Mapping[str, Path],
        counts: Mapping[str, Path],
        read_more: Callable[[], dict[str, float]] | None = None,
    ) -> None:
        """Keep the files by name; `read_more` gives temperatures that are no files."""
        self._paths = {"temps": temps, "states": states, "counts": counts}
        self._read_more = read_more
        self._open: dict[str, dict[str, NumberFile]] = {}
        self.unreadable: dict[str, str] = {}

    def __enter__(self) -> HeatSensors:
        """Open what can be opened and read; the rest is named in `unreadable`."""
        self.unreadable = {}
        self._open = {kind: {} for kind in self._paths}
        for kind, paths in self._paths.items():
            for name, path in paths.items():
                self._try_open(kind, name, path)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close all files."""
        for files in self._open.values():
            close_all(files.values())
        self._open = {}

    def read(self) -> HeatReading:
        """Return all temperatures."""
        t_mono_ns = time.monotonic_ns()
        numbers, failed = _read_files(self._open["temps"])
        temps_c = {name: value / 1e3 for name, value in numbers.items() if _is_on(value)}
        failed |= {name: "switched off" for name, value in numbers.items() if not _is_on(value)}
        if self._read_more is not None:
            temps_c |= self._read_more()
        return HeatReading(t_mono_ns=t_mono_ns, temps_c=temps_c, failed=failed)

    def read_throttle(self) -> ThrottleReading:
        """Return all levels and counters of throttling; those that fail are named apart."""
        t_mono_ns = time.monotonic_ns()
        states, failed_states = _read_files(self._open["states"])
        counts, failed_counts = _read_files(self._open["counts"])
        expected = {*self._paths["states"], *self._paths["counts"]}
        never = {name: why for name, why in self.unreadable.items() if name in expected}
        return ThrottleReading(
            t_mono_ns=t_mono_ns,
            # Powerclamp says -1 while it does nothing.
            states={name: max(0, level) for name, level in states.items()},
            counts=counts,
            unread=never | failed_states | failed_counts,
        )

    def _try_open(self, kind: str, name: str, path: Path) -> None:
        try:
            file = NumberFile(path)
        except OSError as error:
            self.unreadable[name] = describe_failure(error)
            return
        _, failed = _read_files({name: file})
        if failed:
            # Sensors of blocks that are powered down refuse every read: ask them only once.
            self.unreadable |= failed
            file.close()
        else:
            self._open[kind][name] = file


def find_heat(
    roots: SystemRoots | None = None, read_more: Callable[[], dict[str, float]] | None = None
) -> HeatSensors:
    """Look for sensors; `read_more` gives further temperatures (graphics boards), by name."""
    where = roots or SystemRoots()
    zones = _named(_zones(where))
    taken = {name.replace("-", "_") for name in zones}
    chips = {name: p for name, p in _named(_chip_temps(where)).items() if _chip(name) not in taken}
    return HeatSensors(
        temps={**zones, **chips},
        states=_named(_cooling_devices(where)),
        counts={**_named(_core_counters(where)), **_named(_overcurrent_counters(where))},
        read_more=read_more,
    )


def hottest_on_die(temps_c: Mapping[str, float]) -> DieTemperature | None:
    """Return the junction where there is a sensor for it, else the hottest sensor of the die.

    None where no sensor is known to be on a die: boards, disks and batteries do not count.
    """
    junctions = {name: t for name, t in temps_c.items() if _starts_with(name, (_JUNCTION,))}
    on_die = junctions or {n: t for n, t in temps_c.items() if _starts_with(n, _DIE_SENSORS)}
    if not on_die:
        return None
    sensor = max(on_die, key=lambda name: on_die[name])
    return DieTemperature(sensor=sensor, temp_c=on_die[sensor])


def check_throttling(readings: Sequence[ThrottleReading]) -> tuple[Caveat, ...]:
    """Return a caveat where any level or counter rose after the first reading."""
    if not readings:
        return ()
    first = readings[0]
    risen: dict[str, float] = {}
    for reading in readings[1:]:
        for before, now in ((first.states, reading.states), (first.counts, reading.counts)):
            for name, value in now.items():
                rise = value - before.get(name, value)
                if rise > risen.get(name, 0):
                    risen[name] = float(rise)
    if not risen:
        return ()
    text = f"the machine was throttled during the run: {', '.join(sorted(risen))}"
    return (Caveat(code="throttled", text=text, numbers=risen),)


def _is_on(milli_c: int) -> bool:
    return milli_c > _LOWEST_MILLI_C


def _read_files(files: Mapping[str, NumberFile]) -> tuple[dict[str, int], dict[str, str]]:
    numbers: dict[str, int] = {}
    failed: dict[str, str] = {}
    for name, file in files.items():
        try:
            numbers[name] = file.read()
        except (OSError, ValueError) as error:
            failed[name] = describe_failure(error)
    return numbers, failed


def _named(found: Iterator[tuple[str, Path]]) -> dict[str, Path]:
    """Return files by name; a second one of the same name gets a number."""
    named: dict[str, Path] = {}
    for name, path in found:
        number = 1
        unique = name
        while unique in named:
            number += 1
            unique = f"{name} {number}"
        named[unique] = path
    return named


def _zones(roots: SystemRoots) -> Iterator[tuple[str, Path]]:
    for folder in roots.found("sys/class/thermal/thermal_zone*"):
        yield read_text(folder / "type") or folder.name, folder / "temp"


def _chip_temps(roots: SystemRoots) -> Iterator[tuple[str, Path]]:
    for path in roots.found("sys/class/hwmon/hwmon*/temp*_input"):
        chip = read_text(path.parent / "name") or path.parent.name
        channel = path.name.removesuffix("_input")
        yield f"{chip}/{read_text(path.parent / f'{channel}_label') or channel}", path


def _chip(name: str) -> str:
    """Return the chip of a sensor; the kernel shows each thermal zone as a chip once more."""
    return name.partition("/")[0].replace("-", "_")


def _cooling_devices(roots: SystemRoots) -> Iterator[tuple[str, Path]]:
    for folder in roots.found("sys/class/thermal/cooling_device*"):
        name = read_text(folder / "type") or folder.name
        if _THROTTLES.fullmatch(name):
            yield name, folder / "cur_state"


def _core_counters(roots: SystemRoots) -> Iterator[tuple[str, Path]]:
    """Yield the counters of x86: of each core, and of each package once.

    A folder for them without the files is one that a container runtime has masked.
    """
    packages: set[int] = set()
    for folder in roots.found("sys/devices/system/cpu/cpu[0-9]*/thermal_throttle"):
        cpu = folder.parent
        yield f"{cpu.name} core throttled", folder / "core_throttle_count"
        try:
            package = read_number(cpu / "topology/physical_package_id")
        except (OSError, ValueError):
            package = 0
        if package not in packages:
            packages.add(package)
            yield f"package {package} throttled", folder / "package_throttle_count"


def _overcurrent_counters(roots: SystemRoots) -> Iterator[tuple[str, Path]]:
    """Yield the counters of a Jetson: under-voltage, average and instantaneous over-current."""
    for path in roots.found("sys/class/hwmon/hwmon*/oc*_event_cnt"):
        yield f"{path.name.removesuffix('_event_cnt')} over-current events", path


def _starts_with(name: str, beginnings: Sequence[str]) -> bool:
    return name.lower().startswith(tuple(beginnings))
