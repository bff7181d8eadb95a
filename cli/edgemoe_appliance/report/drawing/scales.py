"""Scales: where a value stands on an axis, and which round values are named there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_STEPS = 5
_MOST_LOG_TICKS = 7
# How far, in parts of a step, rounding may put a tick beyond the end of an axis.
_ROUNDING = 1e-9


class Scale(Protocol):
    """An axis from its low end, at 0, to its high end, at 1."""

    def at(self, value: float) -> float:
        """Return the place of a value as a share of the axis."""

    def ticks(self) -> Sequence[float]:
        """Return the values that are named, in ascending order."""


@dataclass(frozen=True, kw_only=True)
class LinearScale:
    """Equal steps for equal differences."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the place of a value as a share of the axis."""
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> Sequence[float]:
        """Return at most six multiples of a round step."""
        least = (self.high - self.low) / _MOST_STEPS
        power = 10.0 ** math.floor(math.log10(least))
        steps = (step * power for step in _STEPS)
        step = next(each for each in steps if each >= least * (1 - _ROUNDING))
        first = math.ceil(self.low / step - _ROUNDING)
        last = math.floor(self.high / step + _ROUNDING)
        return [float(f"{step * place:.12g}") for place in range(first, last + 1)]


@dataclass(frozen=True, kw_only=True)
class LogScale:
    """Equal steps for equal ratios; both ends are above 0."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Return the place of a value as a share of the axis."""
        return math.log(value / self.low) / math.log(self.high / self.low)

    def ticks(self) -> Sequence[float]:
        """Return one, two and five times the powers of ten, or these alone where they suffice."""
        return _log_ticks(self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class LogFromZeroScale:
    """A logarithm that is linear up to `smallest`, so that it has a place for 0."""

    low: float
    high: float
    smallest: float

    def at(self, value: float) -> float:
        """Return the place of a value as a share of the axis."""
        low, high = self._stretched(self.low), self._stretched(self.high)
        return (self._stretched(value) - low) / (high - low)

    def ticks(self) -> Sequence[float]:
        """Return 0 and the round values above what is linear."""
        return [0.0, *_log_ticks(self.smallest * (1 - _ROUNDING), self.high)]

    def _stretched(self, value: float) -> float:
        """Return a value in units of `smallest`, in which a power of ten is one unit long."""
        share = value / self.smallest
        # As long as the linear part continued from the first power of ten on would be.
        linear = 10 / 9
        if abs(share) <= 1:
            return linear * share
        return math.copysign(linear + math.log10(abs(share)), share)


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 5), (1,)):
        found = [float(f"{factor}e{power}") for power in powers for factor in factors]
        found = [each for each in found if low <= each <= high]
        if len(found) <= _MOST_LOG_TICKS:
            return found
    return found[:: math.ceil(len(found) / _MOST_LOG_TICKS)]
