"""The uncertainty of an energy, part by part, and how the parts are put together. Pure.

After JCGM 100:2008 (GUM): standard uncertainties add in quadrature, a bound +/-b without more
knowledge is a rectangle of standard uncertainty b/sqrt(3), and the expanded uncertainty is the
standard one times Student's factor for 95.45 % at the effective degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

# GUM table G.2, column 95.45 %: Student's factor by degrees of freedom.
_FACTORS = (
    (1, 13.97),
    (2, 4.53),
    (3, 3.31),
    (4, 2.87),
    (5, 2.65),
    (6, 2.52),
    (7, 2.43),
    (8, 2.37),
    (9, 2.32),
    (10, 2.28),
    (12, 2.23),
    (15, 2.18),
    (20, 2.13),
    (25, 2.11),
    (30, 2.09),
    (40, 2.06),
    (50, 2.05),
    (100, 2.025),
)
_FACTOR_AT_INFINITY = 2.0

# The parts that are drawn anew for each window; the others belong to the sensor.
_RANDOM = ("sampling_j", "edges_j", "gaps_j", "lag_j", "ripple_j")


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """Standard uncertainties of one energy in joules, by cause.

    `sampling_j` is what happened between readings, `edges_j` at the ends of the window, `gaps_j`
    where the source stalled, `lag_j` what the correction for the sensor's lag leaves,
    `ripple_j` a ripple in step with the sampling, `quantisation_j` the sensor's step; `offset_j`
    and `gain_j` are the sensor's own and are None where no bound is published. `sampling_dof`
    are the degrees of freedom behind `sampling_j`.
    """

    sampling_j: float
    edges_j: float
    gaps_j: float
    quantisation_j: float
    offset_j: float | None
    gain_j: float | None
    sampling_dof: float
    lag_j: float = 0.0
    ripple_j: float = 0.0

    @property
    def standard_j(self) -> float:
        """Return the combined standard uncertainty."""
        return math.hypot(*(getattr(self, part) for part in _RANDOM), self.systematic_j)

    @property
    def systematic_j(self) -> float:
        """Return the part that belongs to the sensor and does not shrink with time."""
        return math.hypot(self.quantisation_j, self.offset_j or 0.0, self.gain_j or 0.0)

    @property
    def expanded_j(self) -> float:
        """Return the half-width of the interval that holds the energy in 95 % of all cases."""
        return coverage_factor(self.effective_dof) * self.standard_j

    @property
    def effective_dof(self) -> float:
        """Return the effective degrees of freedom. Source: Welch-Satterthwaite, GUM G.4.1."""
        if self.sampling_j == 0:
            return math.inf
        return self.sampling_dof * (self.standard_j / self.sampling_j) ** 4

    @property
    def not_covered(self) -> tuple[str, ...]:
        """Return the causes that are left out because no bound is published."""
        parts = {"sensor offset": self.offset_j, "sensor gain": self.gain_j}
        return tuple(name for name, value in parts.items() if value is None)


def coverage_factor(dof: float) -> float:
    """Return Student's factor for 95.45 %: of the next lower number in the table."""
    if math.isinf(dof):
        return _FACTOR_AT_INFINITY
    factors = [factor for table_dof, factor in _FACTORS if table_dof <= dof]
    return factors[-1] if factors else _FACTORS[0][1]


def add_uncertainties(parts: Sequence[Uncertainty]) -> Uncertainty:
    """Return the uncertainty of a sum of energies of different rails.

    What is random adds in quadrature; what belongs to a sensor adds up, as sensors of one kind
    may err the same way.
    """
    return Uncertainty(
        **random_parts([(1.0, part) for part in parts]),
        quantisation_j=math.hypot(*(part.quantisation_j for part in parts)),
        offset_j=_sum_known([part.offset_j for part in parts]),
        gain_j=_sum_known([part.gain_j for part in parts]),
        sampling_dof=min(part.sampling_dof for part in parts),
    )


def random_parts(weighted: Sequence[tuple[float, Uncertainty]]) -> dict[str, float]:
    """Return the random parts of a weighted sum of energies by name, added in quadrature."""
    return {
        name: math.hypot(*(weight * getattr(part, name) for weight, part in weighted))
        for name in _RANDOM
    }


def rectangular(half_width: float) -> float:
    """Return the standard uncertainty of a bound +/-half_width. Source: GUM 4.3.7."""
    return half_width / math.sqrt(3)


def _sum_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None
