"""Where a known pattern of load lies in the readings of a power meter. Pure.

The readings are compared with the share of each of them in which the load was on, for every shift
of the meter's clock within reach; the best shift is where a straight line of power over load leaves
least (the highest correlation). How well it is known follows from the shifts that leave hardly
more, and from the time that a reading stands for.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

# How far a clock that was set by the arrival of its readings can be off: readings come after they
# were made, by this at most, and hardly before.
_LATE_S: Final = 6.0
_EARLY_S: Final = 0.5
_COARSE_S: Final = 0.05
_FINE_STEPS: Final = 25
# Below it the readings show other things than the load.
_LEAST_CORRELATION: Final = 0.8
_LEAST_READINGS: Final = 12
# F at 95 % for one parameter and many readings: by how much a shift may leave more than the best.
_WORSE: Final = 4.0
_LARGEST_BOUND_S: Final = 0.6


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """How far a clock is to be moved, and how well that is known.

    `bound_s` holds the truth either way: the interval of 95 %, and half of a reading's period, as
    it is not known which moment of it a reading stands for. `rise_w` is what the load added.
    """

    offset_s: float
    bound_s: float
    correlation: float
    rise_w: float


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """What a straight line of power over load leaves at one shift."""

    offset_s: float
    correlation: float
    rise_w: float
    left: float


def align(
    times_s: Sequence[float],
    powers_w: Sequence[float],
    edges_s: Sequence[float],
    *,
    period_s: float,
) -> Alignment | str:
    """Return where the clock of readings stands to that of the edges, or why it is not known.

    `edges_s` are the moments at which the load went on, off, on, ...; what lies before the first
    and after the last is off.
    """
    if len(times_s) < _LEAST_READINGS:
        return f"{len(times_s)} readings, {_LEAST_READINGS} are needed"
    busy = _BusyTime(edges_s)
    coarse_s = max(_COARSE_S, period_s / 8)
    steps = round((_LATE_S + _EARLY_S) / coarse_s)
    coarse = [
        _fit(times_s, powers_w, busy, -_LATE_S + n * coarse_s, period_s) for n in range(steps + 1)
    ]
    near = max(coarse, key=lambda fit: fit.correlation)
    if near.correlation < _LEAST_CORRELATION:
        return (
            f"the readings do not follow a load of all cores (correlation "
            f"{near.correlation:.2f}, {_LEAST_CORRELATION} is needed)"
        )
    fine = [
        _fit(times_s, powers_w, busy, near.offset_s + n * coarse_s / _FINE_STEPS, period_s)
        for n in range(-3 * _FINE_STEPS, 3 * _FINE_STEPS + 1)
    ]
    best = max(fine, key=lambda fit: fit.correlation)
    bound_s = _half_width_s(fine, best, len(times_s)) + period_s / 2
    if bound_s > max(_LARGEST_BOUND_S, period_s):
        return f"the load is found to within {bound_s:.2f} s only"
    return Alignment(
        offset_s=best.offset_s,
        bound_s=bound_s,
        correlation=best.correlation,
        rise_w=best.rise_w,
    )


class _BusyTime:
    """How long the load had been on at any moment."""

    def __init__(self, edges_s: Sequence[float]) -> None:
        self._edges_s = tuple(edges_s)
        sums_s = [0.0]
        for number, (earlier_s, later_s) in enumerate(pairwise(self._edges_s)):
            sums_s.append(sums_s[-1] + (later_s - earlier_s if number % 2 == 0 else 0.0))
        self._sums_s = sums_s

    def at(self, moment_s: float) -> float:
        """Return the seconds of load before a moment."""
        index = bisect_right(self._edges_s, moment_s)
        if index == 0:
            return 0.0
        is_on = index % 2 == 1 and index < len(self._edges_s)
        since_s = moment_s - self._edges_s[index - 1] if is_on else 0.0
        return self._sums_s[index - 1] + since_s

    def share(self, moment_s: float, width_s: float) -> float:
        """Return the share of a stretch of time around a moment in which the load was on."""
        half_s = width_s / 2
        return (self.at(moment_s + half_s) - self.at(moment_s - half_s)) / width_s


def _fit(
    times_s: Sequence[float],
    powers_w: Sequence[float],
    busy: _BusyTime,
    offset_s: float,
    period_s: float,
) -> _Fit:
    loads = [busy.share(time_s + offset_s, period_s) for time_s in times_s]
    n = len(loads)
    mean_load, mean_w = math.fsum(loads) / n, math.fsum(powers_w) / n
    of_load = math.fsum((load - mean_load) ** 2 for load in loads)
    of_power = math.fsum((power - mean_w) ** 2 for power in powers_w)
    both = math.fsum(
        (load - mean_load) * (power - mean_w) for load, power in zip(loads, powers_w, strict=True)
    )
    if of_load <= 0 or of_power <= 0:
        return _Fit(offset_s=offset_s, correlation=0.0, rise_w=0.0, left=of_power)
    return _Fit(
        offset_s=offset_s,
        correlation=both / math.sqrt(of_load * of_power),
        rise_w=both / of_load,
        left=of_power - both**2 / of_load,
    )


def _half_width_s(fits: Sequence[_Fit], best: _Fit, readings: int) -> float:
    """Return how far from the best shift those lie that leave hardly more, at least one step."""
    limit = max(best.left, 0.0) * (1 + _WORSE / max(1, readings - 3))
    as_good_s = [abs(fit.offset_s - best.offset_s) for fit in fits if fit.left <= limit]
    step_s = abs(fits[1].offset_s - fits[0].offset_s)
    return max(max(as_good_s, default=0.0), step_s)
