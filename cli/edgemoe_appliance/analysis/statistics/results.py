"""What a statistic comes to: an interval, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

CONFIDENCE = 0.90


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A result that there is not, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided interval; `confidence` in 0-1."""

    low: float
    high: float
    confidence: float = CONFIDENCE

    @property
    def half_width(self) -> float:
        """Return half the distance from low to high."""
        return (self.high - self.low) / 2

    def mapped(self, function: Callable[[float], float]) -> Interval:
        """Return the interval of a monotonic function of what this one is of."""
        low, high = sorted((function(self.low), function(self.high)))
        return Interval(low=low, high=high, confidence=self.confidence)
