"""Metrics of one run in the making: each is a value, or absent with its reason."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


class Readings:
    """Collects metrics; a key is set once, as a value or as absent."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.metrics: dict[str, float] = {}
        self.absent: dict[str, str] = {}

    def put(self, key: str, value: float | None, reason: str) -> None:
        """Keep a value, or the reason why there is none."""
        if value is None:
            self.absent[key] = reason
        else:
            self.metrics[key] = value

    def withdraw(self, keys: Iterable[str], reason: str) -> None:
        """Take back several metrics that are there and mean nothing in this run."""
        for key in keys:
            self.metrics.pop(key, None)
            self.absent[key] = reason

    def put_absent(self, keys: Iterable[str], reason: str) -> None:
        """Say of several metrics why they are absent, unless they are there."""
        for key in keys:
            if key not in self.metrics:
                self.absent[key] = reason


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile at a share (0-1) of the values, or None of none.

    The value at rank ceil(share * n), so that it is always one that was measured.
    """
    if not values:
        return None
    # A product such as 0.95 * 100 can lie a rounding error above the whole number it stands for.
    rank = math.ceil(share * len(values) - 1e-9)
    return sorted(values)[max(1, rank) - 1]
