"""The readings of one rail in order of time, and whether a window can be integrated. Pure.

Never an energy itself: only what makes one impossible, with its reason, or doubtful.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from edgemoe_appliance.measure.power.interface import DeadReading, MeterReading, PowerReading, Rail
from edgemoe_appliance.schema.records import Caveat, Window
from edgemoe_appliance.schema.units import NS_PER_S

# A source that is silent for longer than this many periods has stalled.
GAP_PERIODS = 3.0
# Without a reading beyond an edge, the nearest is held for at most this many periods.
_HOLD_PERIODS = 1.0
_MIN_READINGS = 3


@dataclass(frozen=True, kw_only=True)
class RailTrace:
    """The readings of one rail in order of time: W, or J of a counter; and its failures."""

    rail: Rail
    times_ns: tuple[int, ...]
    values: tuple[float, ...]
    failures: tuple[DeadReading, ...]

    @cached_property
    def period_s(self) -> float:
        """Return the median distance of two readings; 0 for fewer than two."""
        steps = [later - earlier for earlier, later in pairwise(self.times_ns)]
        return median(steps) / NS_PER_S if steps else 0.0

    @property
    def hold_ns(self) -> float:
        """Return how far from an edge the nearest reading may be."""
        return _HOLD_PERIODS * self.period_s * NS_PER_S


def build_trace(readings: Iterable[MeterReading], rail: Rail) -> RailTrace:
    """Return the readings of a rail in order of time, one for each moment."""
    values: dict[int, float] = {}
    failures: list[DeadReading] = []
    for reading in readings:
        if reading.rail != rail.name:
            continue
        if isinstance(reading, DeadReading):
            failures.append(reading)
        else:
            value = reading.power_w if isinstance(reading, PowerReading) else reading.energy_j
            values[reading.t_mono_ns] = value
    times_ns = tuple(sorted(values))
    return RailTrace(
        rail=rail,
        times_ns=times_ns,
        values=tuple(values[t_ns] for t_ns in times_ns),
        failures=tuple(sorted(failures, key=lambda failure: failure.t_mono_ns)),
    )


def moving_trace(trace: RailTrace) -> RailTrace:
    """Return only the readings of a counter at which it had moved.

    A counter that is read more often than it moves repeats itself: such a value is old.
    """
    kept = [
        index
        for index, value in enumerate(trace.values)
        if index == 0 or value != trace.values[index - 1]
    ]
    return RailTrace(
        rail=trace.rail,
        times_ns=tuple(trace.times_ns[index] for index in kept),
        values=tuple(trace.values[index] for index in kept),
        failures=trace.failures,
    )


def why_no_energy(trace: RailTrace, window: Window) -> str | None:
    """Return why a window cannot be integrated, or None where it can."""
    if window.end_ns == window.start_ns:
        return "the window has no length"
    if len(trace.times_ns) < _MIN_READINGS:
        why = f": {trace.failures[-1].reason}" if trace.failures else ""
        count = len(trace.times_ns)
        return f"{count} readings of {trace.rail.name}, {_MIN_READINGS} are needed{why}"
    fatal = next((f for f in trace.failures if _is_fatal(trace, window, f)), None)
    if fatal is not None:
        return f"the source failed during the window: {fatal.reason}"
    if not readings_inside(trace, window):
        return "no reading inside the window"
    return _why_no_edge(trace, window)


def _why_no_edge(trace: RailTrace, window: Window) -> str | None:
    late_ns = trace.times_ns[0] - window.start_ns
    early_ns = window.end_ns - trace.times_ns[-1]
    if late_ns > trace.hold_ns:
        return f"the first reading comes {late_ns / NS_PER_S:.3f} s after the window began"
    if early_ns > trace.hold_ns:
        return f"the last reading comes {early_ns / NS_PER_S:.3f} s before the window ended"
    return None


def _is_fatal(trace: RailTrace, window: Window, failure: DeadReading) -> bool:
    """Return whether good readings around a failure are too far apart to do without it."""
    index = bisect_left(trace.times_ns, failure.t_mono_ns)
    before_ns = trace.times_ns[index - 1] if index > 0 else None
    after_ns = trace.times_ns[index] if index < len(trace.times_ns) else None
    if before_ns is None:
        return after_ns is not None and after_ns - window.start_ns > trace.hold_ns
    if after_ns is None:
        return window.end_ns - before_ns > trace.hold_ns
    overlaps = before_ns < window.end_ns and after_ns > window.start_ns
    return overlaps and after_ns - before_ns > GAP_PERIODS * trace.period_s * NS_PER_S


def readings_inside(trace: RailTrace, window: Window) -> int:
    """Return how many readings lie in a window, its edges included."""
    first = bisect_left(trace.times_ns, window.start_ns)
    return bisect_right(trace.times_ns, window.end_ns) - first


def check_trace(trace: RailTrace, window: Window, gaps_s: Sequence[float]) -> tuple[Caveat, ...]:
    """Return the caveats about a window that can be integrated; `gaps_s` are its stalls."""
    caveats: list[Caveat] = []
    name = trace.rail.name
    if gaps_s:
        numbers = {"gaps": float(len(gaps_s)), "longest_s": max(gaps_s)}
        text = f"{name}: no reading for more than {GAP_PERIODS:.0f} periods"
        caveats.append(Caveat(code="energy-gap", text=text, numbers=numbers))
    failed = [f for f in trace.failures if window.start_ns <= f.t_mono_ns <= window.end_ns]
    if failed:
        text = f"{name}: single readings failed: {failed[0].reason}"
        numbers = {"failed": float(len(failed))}
        caveats.append(Caveat(code="energy-reading-failed", text=text, numbers=numbers))
    held_ns = (trace.times_ns[0] - window.start_ns, window.end_ns - trace.times_ns[-1])
    if max(held_ns) > 0:
        text = f"{name}: the nearest reading was held up to an edge of the window"
        numbers = {"held_s": max(held_ns) / NS_PER_S}
        caveats.append(Caveat(code="energy-edge-held", text=text, numbers=numbers))
    return tuple(caveats)
