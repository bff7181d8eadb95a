"""What a statistic comes to: an interval, or why there is none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

CONFIDENCE = 0.90
# Two units say next to nothing about their spread: Student's t would be 6.3.
MIN_UNITS = 3


@dataclass(frozen=True, kw_only=True)
class Absent:
    """A result that there is not, and why."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A two-sided interval; `confidence` in 0-1.

    `sessions` is how many it rests on: with one it covers prompts and repetitions of that session
    and says nothing about another hour, another start or another board.
    """

    low: float
    high: float
    confidence: float = CONFIDENCE
    sessions: int = 1

    @property
    def half_width(self) -> float:
        """Return half the distance from low to high."""
        return (self.high - self.low) / 2

    def mapped(self, function: Callable[[float], float]) -> Interval:
        """Return the interval of a monotonic function of what this one is of."""
        low, high = sorted((function(self.low), function(self.high)))
        return replace(self, low=low, high=high)
