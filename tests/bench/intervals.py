"""Medians of paired ratios with a bootstrap interval, as the benchmarks print them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 4000
_SEED = 7
_FEWEST = 6


@dataclass(frozen=True, kw_only=True)
class MedianInterval:
    """A median of `n` values and its 95 % interval."""

    n: int
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as a benchmark prints it."""
        return f"{self.value:.4f}  ({self.low:.4f} to {self.high:.4f}), n = {self.n}"


def bootstrap_median(values: Sequence[float]) -> MedianInterval:
    """Return the median with its percentile bootstrap interval, resampling whole values.

    Raises ValueError where they are too few to say anything.
    """
    if len(values) < _FEWEST:
        raise ValueError(f"{len(values)} values are too few: run it longer")
    given = np.asarray(values)
    draws = np.random.default_rng(_SEED).integers(0, len(given), (RESAMPLES, len(given)))
    low, high = np.percentile(np.median(given[draws], axis=1), (2.5, 97.5))
    return MedianInterval(
        n=len(given), value=float(np.median(given)), low=float(low), high=float(high)
    )
