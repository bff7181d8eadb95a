"""tegrastats as a child process whose lines are stamped as they come.

The lines are parsed when they are asked for, so that their cost is the caller's and is counted.
A child that ends on its own leaves dead readings behind, with what it said last.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import Final

from edgemoe_appliance.errors import MeasureError
from edgemoe_appliance.measure.power.child import MAX_QUOTE, ChildEnd, ChildLine, LineChild
from edgemoe_appliance.measure.power.ina3221 import (
    GAIN_BOUND,
    MODULE_INPUT_RAILS,
    SENSOR,
    Averaging,
    read_averaging,
)
from edgemoe_appliance.measure.power.interface import (
    AbsentSource,
    DeadReading,
    MeterReading,
    PowerScope,
    Rail,
    RailRole,
    UnparsedReadings,
    check_power,
    total_rails,
)
from edgemoe_appliance.measure.power.tegraline import parse_tegrastats_line
from edgemoe_appliance.measure.sysfs import SystemRoots
from edgemoe_appliance.schema.configs import PowerSource
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.units import NS_PER_S

INTERVAL_MS: Final = 100  # the study's 10 Hz
_PLACES = ("usr/bin/tegrastats", "usr/local/bin/tegrastats", "home/nvidia/tegrastats")
# tegrastats reads the INA3221 of the module: 8 mA steps and at most 16 mA of offset (see
# ina3221.py) at the module's 5 V.
_STEP_W = 0.040
_OFFSET_BOUND_W = 0.080
# A line is stamped as it arrives, after it was made; how long after is not published: at most
# the time to the next one.
_FIRST_LINE_S = 3.0


class TegrastatsMeter:
    """The rails that tegrastats prints; each line gives one reading of each."""

    source = PowerSource.TEGRASTATS
    scope = PowerScope.MODULE

    def __init__(
        self, command: Sequence[str], rail_names: Sequence[str], averaging: Averaging
    ) -> None:
        """Keep what to start and the rails that its lines hold; nothing is started yet."""
        self._command = tuple(command)
        self._rails = tuple(_build_rail(name, averaging) for name in rail_names)
        self._child: LineChild | None = None

    @property
    def rails(self) -> tuple[Rail, ...]:
        """Return the rails by the names that tegrastats prints."""
        return self._rails

    def __enter__(self) -> TegrastatsMeter:
        """Start tegrastats."""
        try:
            self._child = LineChild(self._command, "tegrastats")
        except OSError as error:
            raise MeasureError(
                f"{self._command[0]} cannot be started ({error.strerror})"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop tegrastats."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def take(self) -> UnparsedReadings:
        """Take all lines that came since the last call."""
        arrivals: list[ChildLine | ChildEnd] = []
        while self._child is not None and not self._child.arrived.empty():
            arrivals.append(self._child.arrived.get_nowait())
        return partial(_parse_arrivals, tuple(arrivals), self._rails)

    def read(self) -> tuple[MeterReading, ...]:
        """Return the readings of all lines that came since the last call."""
        return self.take()()


def _parse_arrivals(
    arrivals: Sequence[ChildLine | ChildEnd], rails: Sequence[Rail]
) -> tuple[MeterReading, ...]:
    readings: list[MeterReading] = []
    for arrival in arrivals:
        if isinstance(arrival, ChildLine):
            readings += line_readings(arrival.text, arrival.t_mono_ns, rails)
        else:
            readings += [_dead(arrival.t_mono_ns, rail, arrival.reason) for rail in rails]
    return tuple(readings)


def line_readings(line: str, t_mono_ns: int, rails: Sequence[Rail]) -> tuple[MeterReading, ...]:
    """Return the readings of one line: a rail that it does not hold is dead in it."""
    powers = parse_tegrastats_line(line).rails
    readings: list[MeterReading] = []
    for rail in rails:
        power = powers.get(rail.name)
        if power is None:
            readings.append(_dead(t_mono_ns, rail, f"not in the line: {line[:MAX_QUOTE]}"))
        else:
            readings.append(check_power(rail, t_mono_ns, power.now_mw / 1e3))
    return tuple(readings)


def find_tegrastats(roots: SystemRoots) -> TegrastatsMeter | AbsentSource:
    """Look for tegrastats and start it once to learn its rails (up to 3 s)."""
    places = [roots.below(place) for place in _PLACES]
    program = next((place for place in places if os.access(place, os.X_OK)), None)
    if program is None:
        return _absent(f"no executable {places[0]}")
    command = (str(program), "--interval", str(INTERVAL_MS))
    names = _first_rails(command)
    if isinstance(names, AbsentSource):
        return names
    meter = TegrastatsMeter(command, names, read_averaging(roots))
    if total_rails(meter.rails):
        return meter
    wanted = " or ".join(MODULE_INPUT_RAILS)
    return _absent(f"prints no input of the module ({wanted}); its rails: {', '.join(names)}")


def _first_rails(command: Sequence[str]) -> tuple[str, ...] | AbsentSource:
    try:
        child = LineChild(command, "tegrastats")
    except OSError as error:
        return _absent(f"{command[0]} cannot be started ({error.strerror})")
    try:
        return _wait_for_rails(child)
    finally:
        child.stop()


def _wait_for_rails(child: LineChild) -> tuple[str, ...] | AbsentSource:
    deadline_ns = time.monotonic_ns() + round(_FIRST_LINE_S * NS_PER_S)
    last = ""
    while (left_s := (deadline_ns - time.monotonic_ns()) / NS_PER_S) > 0:
        try:
            arrival = child.arrived.get(timeout=left_s)
        except queue.Empty:
            break
        if isinstance(arrival, ChildEnd):
            return _absent(arrival.reason)
        last = arrival.text
        if rails := parse_tegrastats_line(last).rails:
            return tuple(rails)
    said = f"; it said: {last[:MAX_QUOTE]}" if last else ""
    return _absent(f"no line with a power rail within {_FIRST_LINE_S:g} s{said}")


def _build_rail(name: str, averaging: Averaging) -> Rail:
    return Rail(
        name=name,
        source=PowerSource.TEGRASTATS,
        sensor=SENSOR,
        unit=Unit.WATTS,
        role=RailRole.TOTAL if name in MODULE_INPUT_RAILS else RailRole.PART,
        step=_STEP_W,
        offset_bound_w=_OFFSET_BOUND_W,
        gain_bound=GAIN_BOUND,
        refresh_s=averaging.refresh_s,
        lag_s=averaging.lag_s,
        lag_bound_s=averaging.lag_bound_s,
        late_s=INTERVAL_MS / 1e3,
    )


def _dead(t_mono_ns: int, rail: Rail, reason: str) -> DeadReading:
    return DeadReading(t_mono_ns=t_mono_ns, rail=rail.name, reason=reason)


def _absent(reason: str) -> AbsentSource:
    return AbsentSource(source=PowerSource.TEGRASTATS, reason=reason)
