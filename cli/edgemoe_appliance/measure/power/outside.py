"""A meter outside the machine: any command that prints a time and a power in watts, line by line.

Such a meter has a clock of its own. When it is opened, the appliance switches a load of all cores
on and off at moments that it knows, and looks where that pattern lies in the readings
(alignment.py). What cannot be aligned is absent with the reason, and so is what comes after the
clock has left its place: a shifted reading would be given to another run.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from statistics import median
from types import TracebackType
from typing import Final, Protocol

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.host import usable_cores
from edgemoe_appliance.measure.power.alignment import Alignment, align
from edgemoe_appliance.measure.power.child import MAX_QUOTE, ChildEnd, ChildLine, LineChild
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    MeterReading,
    PowerScope,
    Rail,
    RailRole,
    UnparsedReadings,
    as_taken,
    check_power,
)
from edgemoe_appliance.schema.configs import OutsideMeter, PowerSource
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.units import NS_PER_S

RAIL: Final = "meter"
_SCOPES: Final = {
    "module": PowerScope.MODULE,
    "processor": PowerScope.PROCESSOR,
    "gpu": PowerScope.GPU,
    "device": PowerScope.DEVICE,
}
# A wall meter gives a value a second; one that is silent for longer than this is not there.
_FIRST_LINES: Final = 5
_FIRST_LINES_S: Final = 20.0
# On and off in turn, in steps. No part of it repeats, so that it fits in one place only.
_PATTERN: Final = (1, 2, 2, 1, 1, 1, 3, 2, 1, 2)
_STEP_S: Final = 0.8
_STEP_PERIODS: Final = 3.0
# Readings may come some time after they were made.
_AFTER_S: Final = 2.0
_AFTER_PERIODS: Final = 2.0
# More readings a second than this say no more about where a load begins.
_MOST_READINGS: Final = 500
# A run does not wait longer than this for readings that come late.
_LONGEST_WAIT_S: Final = 5.0
# A clock that has left its place by more than this, beyond what is known of it, is not followed.
_DRIFT_S: Final = 0.25
_DRIFT_WINDOW: Final = 30
_SEPARATORS: Final = re.compile(r"\s*[,;\t]\s*|\s+")


class SwitchableLoad(Protocol):
    """A load that the appliance can switch; it is there inside its `with` block only."""

    def __enter__(self) -> SwitchableLoad:
        """Prepare it, switched off."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""

    def switch(self, on: bool) -> None:
        """Switch it on or off; done when this returns."""


class BusyCores:
    """A busy loop on every core, held and let go by signals, whose edges take microseconds."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> BusyCores:
        """Start a loop for each core and hold it."""
        try:
            for _ in range(usable_cores()):
                self._processes.append(
                    subprocess.Popen(
                        ["/bin/sh", "-c", "while :; do :; done"],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        start_new_session=True,
                    )
                )
        except OSError as error:
            self._end()
            raise MeasureError(
                f"no load can be made ({error.strerror})", where="/bin/sh"
            ) from error
        self.switch(on=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End all loops."""
        self._end()

    def switch(self, on: bool) -> None:
        """Hold or let go all loops."""
        for process in self._processes:
            process.send_signal(signal.SIGCONT if on else signal.SIGSTOP)

    def _end(self) -> None:
        for process in self._processes:
            process.kill()  # also one that is held
            process.wait()
        self._processes = []


@dataclass(frozen=True, kw_only=True)
class RawReading:
    """A reading as the meter gave it: `time_s` is of its own clock, `arrived_ns` of ours."""

    time_s: float
    power_w: float
    arrived_ns: int

    @property
    def delay_s(self) -> float:
        """Return our clock at its arrival less the meter's at its making."""
        return self.arrived_ns / NS_PER_S - self.time_s


def parse_reading(meter: OutsideMeter, line: ChildLine) -> RawReading | None:
    """Parse a line of a meter; None for one that holds no two numbers where they should be."""
    words = _SEPARATORS.split(line.text.strip())
    try:
        time_s = _parse_time_s(words[meter.time_column], meter.time_unit_s)
        power_w = float(words[meter.watts_column])
    except (ValueError, IndexError, OverflowError):
        return None
    if not (math.isfinite(time_s) and math.isfinite(power_w)):
        return None
    return RawReading(time_s=time_s, power_w=power_w, arrived_ns=line.t_mono_ns)


def _parse_time_s(word: str, unit_s: float) -> float:
    """Return seconds of the meter's clock. Raises ValueError where it is no time."""
    try:
        return float(word) * unit_s
    except ValueError:
        # Python 3.10 knows no Z.
        return datetime.fromisoformat(re.sub("[Zz]$", "+00:00", word)).timestamp()


class OutsideMeterSource:
    """One rail, `meter`, whose readings are put on the machine's clock."""

    source = PowerSource.METER

    def __init__(self, meter: OutsideMeter, load: Callable[[], SwitchableLoad] = BusyCores) -> None:
        """Keep what to start; nothing is started yet."""
        self._meter = meter
        self._load = load
        self._child: LineChild | None = None
        self._clock: _Clock | None = None
        self._rail = _build_rail(meter, None)

    @property
    def scope(self) -> PowerScope:
        """Return what it was declared to cover."""
        return _SCOPES[self._meter.covers]

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return the rail; how well its clock is known stands in it once it is open."""
        return (self._rail,)

    def __enter__(self) -> OutsideMeterSource:
        """Start the meter and align its clock; takes 17 s, with one reading a second a minute.

        Raises MeasureError where it does not start, gives no readings, or does not follow a load.
        """
        try:
            self._child = LineChild(self._meter.words, "the meter")
        except OSError as error:
            raise MeasureError(
                f"the meter cannot be started ({error.strerror})", where=self._meter.words[0]
            ) from error
        try:
            self._clock = self._align(self._child)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        self._rail = _build_rail(self._meter, self._clock)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the meter."""
        if self._child is not None:
            self._child.stop()
        self._child = self._clock = None

    def take(self) -> UnparsedReadings:
        """Read what is new since the last call."""
        return as_taken(self.read())

    def read(self) -> tuple[MeterReading, ...]:
        """Return the readings of all lines that came since the last call, on our clock."""
        readings: list[MeterReading] = []
        while self._child is not None and not self._child.arrived.empty():
            arrival = self._child.arrived.get_nowait()
            if isinstance(arrival, ChildEnd):
                readings.append(_dead(arrival.t_mono_ns, arrival.reason))
            elif (reading := parse_reading(self._meter, arrival)) is None:
                why = f"not a reading: {arrival.text[:MAX_QUOTE]!r}"
                readings.append(_dead(arrival.t_mono_ns, why))
            elif self._clock is not None:
                readings.append(self._clock.place(reading, self._rail))
        return tuple(sorted(readings, key=lambda reading: reading.t_mono_ns))

    def _align(self, child: LineChild) -> _Clock:
        first = _first_readings(self._meter, child)
        period_s = _period_s(first)
        with self._load() as load:
            edges_s = switch_pattern(load, max(_STEP_S, _STEP_PERIODS * period_s))
        time.sleep(_AFTER_S + _AFTER_PERIODS * period_s)
        seen = [*first, *_drained(self._meter, child)]
        offset_s = min(reading.delay_s for reading in seen)
        thinned = seen[:: 1 + len(seen) // _MOST_READINGS]
        found = align(
            [reading.time_s + offset_s for reading in thinned],
            [reading.power_w for reading in thinned],
            edges_s,
            period_s=period_s,
        )
        if isinstance(found, str):
            raise MeasureError(
                f"the meter's clock cannot be aligned: {found}",
                hint="does it measure this machine, and is the machine idle?",
            )
        return _Clock(found, offset_s + found.offset_s, seen, period_s)


class _Clock:
    """Where the meter's clock stands to ours, and whether it stays there."""

    def __init__(
        self,
        alignment: Alignment,
        offset_s: float,
        seen: Sequence[RawReading],
        period_s: float,
    ) -> None:
        self.bound_s = alignment.bound_s
        self.period_s = period_s
        self._offset_s = offset_s
        delays_s = [reading.delay_s - offset_s for reading in seen]
        self._least_s = min(delays_s)
        self.arrives_s = min(_LONGEST_WAIT_S, max(0.0, *delays_s))
        self._recent_s: list[float] = []
        self._last_s = -math.inf

    def place(self, reading: RawReading, rail: Rail) -> MeterReading:
        """Return a reading on our clock, a dead one where it cannot be put there."""
        t_mono_ns = round((reading.time_s + self._offset_s) * NS_PER_S)
        why = self._why_lost(reading)
        self._last_s = reading.time_s
        if why is not None:
            return _dead(reading.arrived_ns, why)
        return check_power(rail, t_mono_ns, reading.power_w)

    def _why_lost(self, reading: RawReading) -> str | None:
        if reading.time_s <= self._last_s:
            return f"the meter's clock went back from {self._last_s:g} to {reading.time_s:g} s"
        late_s = reading.delay_s - self._offset_s
        ahead_s = self._least_s - late_s
        if ahead_s > self.bound_s + _DRIFT_S:
            return f"the meter's clock runs {ahead_s:.2f} s ahead of where it was aligned"
        # One reading may come late; when none of many comes as soon as before, the clock is slow.
        self._recent_s = [*self._recent_s[1 - _DRIFT_WINDOW :], late_s]
        behind_s = min(self._recent_s) - self._least_s
        if len(self._recent_s) == _DRIFT_WINDOW and behind_s > self.bound_s + _DRIFT_S:
            return f"the meter's clock is {behind_s:.2f} s behind where it was aligned"
        return None


def switch_pattern(load: SwitchableLoad, step_s: float) -> tuple[float, ...]:
    """Switch a load by the pattern and return when: on, off, on, ... in seconds of our clock."""
    edges_s: list[float] = []
    on = False
    for steps in _PATTERN:
        time.sleep(steps * step_s)
        on = not on
        before_ns = time.monotonic_ns()
        load.switch(on=on)
        edges_s.append((before_ns + time.monotonic_ns()) / 2 / NS_PER_S)
    return tuple(edges_s)


def _first_readings(meter: OutsideMeter, child: LineChild) -> list[RawReading]:
    """Wait for some readings. Raises MeasureError with what came instead of them."""
    deadline_s = time.monotonic() + _FIRST_LINES_S
    found: list[RawReading] = []
    last = ""
    while len(found) < _FIRST_LINES and (left_s := deadline_s - time.monotonic()) > 0:
        with contextlib.suppress(queue.Empty):
            arrival = child.arrived.get(timeout=left_s)
            if isinstance(arrival, ChildEnd):
                raise MeasureError(arrival.reason)
            last = arrival.text
            reading = parse_reading(meter, arrival)
            found += [] if reading is None else [reading]
    if len(found) == _FIRST_LINES:
        return found
    said = f"; its last line: {last[:MAX_QUOTE]!r}" if last else ""
    raise MeasureError(
        f"{len(found)} lines with a time and watts within {_FIRST_LINES_S:g} s, "
        f"{_FIRST_LINES} are needed{said}"
    )


def _drained(meter: OutsideMeter, child: LineChild) -> Iterator[RawReading]:
    while not child.arrived.empty():
        arrival = child.arrived.get_nowait()
        if isinstance(arrival, ChildEnd):
            raise MeasureError(arrival.reason)
        reading = parse_reading(meter, arrival)
        if reading is not None:
            yield reading


def _period_s(readings: Sequence[RawReading]) -> float:
    """Return the median distance of readings. Raises MeasureError where the clock stands still."""
    times_s = [reading.time_s for reading in readings]
    period_s = median(later - earlier for earlier, later in pairwise(times_s))
    if period_s <= 0:
        raise MeasureError(f"the meter's clock does not move: {times_s[0]:g}, {times_s[-1]:g} s")
    return period_s


def find_outside(meter: OutsideMeter | None) -> OutsideMeterSource | AbsentSource:
    """Look whether an outside meter is declared and its command or file is here."""
    if meter is None:
        return _absent("none is declared for this target")
    if shutil.which(meter.words[0]) is None:
        return _absent(f"no program {meter.words[0]}")
    if meter.file is not None and not os.access(meter.file, os.R_OK):
        return _absent(f"{meter.file} cannot be read")
    return OutsideMeterSource(meter)


def _build_rail(meter: OutsideMeter, clock: _Clock | None) -> Rail:
    rail = Rail(
        name=RAIL,
        source=PowerSource.METER,
        sensor=f"{meter.name} (pretended)" if meter.pretended else meter.name,
        unit=Unit.WATTS,
        role=RailRole.TOTAL,
        step=meter.step_w,
        offset_bound_w=meter.offset_bound_w,
        gain_bound=meter.gain_bound,
        refresh_s=0.0,
    )
    if clock is None:
        return rail
    return replace(rail, refresh_s=clock.period_s, late_s=clock.bound_s, arrives_s=clock.arrives_s)


def _dead(t_mono_ns: int, reason: str) -> DeadReading:
    return DeadReading(t_mono_ns=t_mono_ns, rail=RAIL, reason=reason)


def _absent(reason: str) -> AbsentSource:
    return AbsentSource(source=PowerSource.METER, reason=reason)
