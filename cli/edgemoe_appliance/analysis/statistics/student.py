"""How wide an interval is: Student's t, and the error of what several sets of units move."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import Final

import numpy as np

from edgemoe_appliance.analysis.results import Interval
from edgemoe_appliance.analysis.statistics.samples import Floats

# Fewer units in a row than this tell nothing of neighbours.
_LEAST_IN_ROW: Final = 8
_LEAST_ALIKE, _MOST_ALIKE = -0.3, 0.45


@lru_cache(maxsize=1024)
def student_t(probability: float, freedom: float) -> float:
    """Return a quantile (above a half) of Student's t with any freedom from 1 on, to about 1e-6.

    The angle whose tangent is t / sqrt(freedom) has the density cos^(freedom - 1), which is
    summed up and looked up.
    """
    if freedom < 1:
        raise ValueError(f"{freedom} degrees of freedom: at least 1 is needed")
    angles = np.linspace(0.0, math.pi / 2, 20_001)
    density = np.cos(angles) ** (freedom - 1)
    sums = np.concatenate([[0.0], np.cumsum(density[1:] + density[:-1])])
    angle = float(np.interp(2 * probability - 1, sums / sums[-1], angles))
    return math.sqrt(freedom) * math.tan(angle)


@dataclass(frozen=True, kw_only=True)
class Error:
    """A result, the variance of its error, and the degrees of freedom that this rests on.

    With several `sessions` the variance between them is part of it.
    """

    centre: float
    variance: float
    freedom: float
    confidence: float
    sessions: int = 1

    @property
    def _t(self) -> float:
        return student_t(1 - (1 - self.confidence) / 2, self.freedom)

    def symmetric(self) -> Interval:
        """Return the interval of Student's t."""
        swing = self._t * math.sqrt(self.variance)
        return Interval(
            low=self.centre - swing,
            high=self.centre + swing,
            confidence=self.confidence,
            sessions=self.sessions,
        )

    def shaped(self, resampled: Floats) -> Interval:
        """Return the percentile interval of a two-level bootstrap, brought to its true width.

        Drawing repetitions inside drawn prompts counts their spread twice, as it is in the means
        of the prompts already; so the resampled values keep their shape and are scaled to the
        unbiased variance over units. The levels are widened as Student's t widens the normal.
        Sources: Kalibera and Jones, Rigorous benchmarking in reasonable time (2013), the levels
        of resampling; Davison and Hinkley, Bootstrap methods and their application (1997), 3.8,
        the double count; Hesterberg, arXiv 1411.5279, the levels of the percentiles.
        """
        spread_of_values = float(resampled.std())
        scale = math.sqrt(self.variance) / spread_of_values if spread_of_values else 0.0
        tail = NormalDist().cdf(-self._t)
        ends = np.quantile(resampled, (tail, 1 - tail))
        low, high = self.centre + (ends - self.centre) * scale
        return Interval(low=float(low), high=float(high), confidence=self.confidence)


def error_of(
    centre: float,
    influences: Sequence[Floats],
    confidence: float,
    sessions: int = 1,
    *,
    in_row: int = 0,
) -> Error:
    """Return the error of a result that several independent sets of units move.

    Each set brings degrees of freedom. Source: Welch, Biometrika 34 (1947) 28. Prompts and
    sessions cross, so that each is such a set; what is left of single runs is in both, which
    makes the interval a little too wide rather than too narrow. The units of the first `in_row`
    sets follow one another, so that neighbours may be alike; such a set has half the freedom.
    """
    follow = [
        place < in_row and each.size >= _LEAST_IN_ROW for place, each in enumerate(influences)
    ]
    parts = [_variance_of_mean(*each) for each in zip(influences, follow, strict=True)]
    freedoms = [
        each.size // 2 - 1 if is_in_row else each.size - 1
        for each, is_in_row in zip(influences, follow, strict=True)
    ]
    variance = sum(parts)
    squares = sum(part**2 / freedom for part, freedom in zip(parts, freedoms, strict=True))
    return Error(
        centre=centre,
        variance=variance,
        freedom=variance**2 / squares if squares else min(freedoms),
        confidence=confidence,
        sessions=sessions,
    )


def _variance_of_mean(influence: Floats, is_in_row: bool) -> float:
    """Return the variance of a mean over units, from each unit's influence on it.

    Of units in a row what neighbours have in common is part of it: their correlation, of which the
    estimate from so few is too low by one over their number, and is kept from being absurd.
    Sources: Bartlett, Supplement to the Journal of the Royal Statistical Society 8 (1946) 27, the
    variance; Marriott and Pope, Biometrika 41 (1954) 390, the correction. docs/statistics.md has
    how often such intervals hold.
    """
    size, squares = influence.size, float((influence**2).sum())
    variance = squares / (size * (size - 1))
    if not is_in_row or not squares:
        return variance
    alike = float((influence[1:] * influence[:-1]).sum()) / squares + 1 / size
    return variance * (1 + 2 * min(max(alike, _LEAST_ALIKE), _MOST_ALIKE) * (size - 1) / size)
