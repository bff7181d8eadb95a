"""Quantiles of a run's own readings, without a numerical library."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float | None:
    """Return the nearest-rank quantile at a share (0-1) of the values, or None of none.

    The value at rank ceil(share * n), so that it is always one that was measured.
    """
    if not values:
        return None
    # A product such as 0.95 * 100 can lie a rounding error above the whole number it stands for.
    rank = math.ceil(share * len(values) - 1e-9)
    return sorted(values)[max(1, rank) - 1]
