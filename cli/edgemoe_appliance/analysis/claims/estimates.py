"""Estimates: a number, the bounds it is known within, and what those bounds come from.

A printed figure is known within the rounding of its digits, a measured one within its interval.
Combining them keeps the difference: rounding errors may all lie on one side, intervals rarely do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from itertools import product
from typing import TypeAlias

from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.studies.printed import PrintedFigures


class Basis(str, Enum):
    """What bounds come from."""

    EXACT = "exact"
    ROUNDING = "rounding"
    INTERVAL = "interval"
    TOLERANCE = "tolerance"


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The least and the greatest value that a number may have."""

    low: float
    high: float
    basis: Basis

    @property
    def half_width(self) -> float:
        """Return half the distance from low to high."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, kw_only=True)
class Repeats:
    """The runs behind an interval: repetitions of each of a number of prompts.

    `within_share` (0-1) is the part of the variance that more repetitions would reduce; the rest
    lies between prompts, and only more prompts would.
    """

    repetitions: int
    prompts: int
    within_share: float


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its bounds, or the reason why there are no bounds.

    `doubts` say what the bounds do not cover.
    """

    value: float
    bounds: Bounds | Absent
    repeats: Repeats | None = None
    doubts: tuple[str, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Return whether it is a number; one that is not is worse than any, see `beyond`."""
        return math.isfinite(self.value)


# A number, or why there is none.
MaybeEstimate: TypeAlias = Estimate | Absent


def exact(value: float) -> Estimate:
    """Return a number without doubt: a count, a size."""
    return Estimate(value=value, bounds=Bounds(low=value, high=value, basis=Basis.EXACT))


def beyond(*, is_above: bool) -> Estimate:
    """Return what lies above every number, or below: of answers that are no numbers, the worse."""
    return exact(math.inf if is_above else -math.inf)


def within(low: float, high: float, basis: Basis, value: float | None = None) -> Estimate:
    """Return an estimate with bounds, by default their middle."""
    middle = (low + high) / 2 if value is None else value
    return Estimate(value=middle, bounds=Bounds(low=low, high=high, basis=basis))


def printed_estimate(printed: PrintedFigures, name: str) -> Estimate | Absent:
    """Return a printed figure with the rounding of its digits; a count is exact."""
    found = printed.find(name)
    if found is None:
        return Absent(reason="the study does not print it")
    if found.is_counted:
        return exact(found.low)
    return within(found.low, found.high, Basis.ROUNDING, found.value)


def combine(function: Callable[..., float], *parts: Estimate) -> Estimate | Absent:
    """Return a function of independent estimates; it must be monotone in each of them.

    With printed figures among them the bounds are the extremes over all corners; with intervals
    alone the deviations that each part causes add as squares (MOVER: Zou and Donner, Statistics
    in Medicine 27 (2008) 1693).
    """
    try:
        value = function(*(part.value for part in parts))
        if math.isnan(value):
            return Absent(reason="neither is a finite number, so neither is less or more")
        bounds = _combined_bounds(function, parts, value)
    except (ArithmeticError, ValueError):
        return Absent(reason="it cannot be worked out from these numbers: one may be 0, or huge")
    return Estimate(
        value=value,
        bounds=bounds,
        repeats=_joined_repeats(function, parts),
        doubts=tuple(dict.fromkeys(doubt for part in parts for doubt in part.doubts)),
    )


def ratio(top: Estimate, bottom: Estimate) -> Estimate | Absent:
    """Return top / bottom of independent estimates; there is none unless the bottom is above 0."""
    least = bottom.value if isinstance(bottom.bounds, Absent) else bottom.bounds.low
    if least <= 0:
        return Absent(reason="the number to divide by is not clearly above 0")
    return combine(lambda a, b: a / b, top, bottom)


def low_of(estimate: Estimate) -> float:
    """Return the lower bound, the value where there is none."""
    return estimate.value if isinstance(estimate.bounds, Absent) else estimate.bounds.low


def high_of(estimate: Estimate) -> float:
    """Return the upper bound, the value where there is none."""
    return estimate.value if isinstance(estimate.bounds, Absent) else estimate.bounds.high


def scaled(part: Estimate, factor: float) -> Estimate:
    """Return an estimate in another unit; `factor` is above 0."""
    if isinstance(part.bounds, Absent):
        return replace(part, value=part.value * factor)
    bounds = replace(part.bounds, low=part.bounds.low * factor, high=part.bounds.high * factor)
    return replace(part, value=part.value * factor, bounds=bounds)


def widened(part: MaybeEstimate, *shares: float) -> MaybeEstimate:
    """Return a number whose bounds take in errors that all its runs share, as shares of it.

    They add to the interval as squares, whatever the number of runs behind it (MOVER, as above).
    """
    share = math.hypot(*shares)
    if isinstance(part, Absent) or isinstance(part.bounds, Absent) or not share:
        return part
    swing = abs(part.value) * share
    return replace(
        part,
        bounds=Bounds(
            low=part.value - math.hypot(part.value - part.bounds.low, swing),
            high=part.value + math.hypot(part.bounds.high - part.value, swing),
            basis=Basis.INTERVAL,
        ),
    )


def _combined_bounds(
    function: Callable[..., float], parts: Sequence[Estimate], value: float
) -> Bounds | Absent:
    bounds = [part.bounds for part in parts]
    known = [each for each in bounds if isinstance(each, Bounds)]
    if len(known) < len(bounds):
        reasons = dict.fromkeys(each.reason for each in bounds if isinstance(each, Absent))
        return Absent(reason="; ".join(reasons))
    if any(each.basis in (Basis.ROUNDING, Basis.TOLERANCE) for each in known):
        corners = [function(*point) for point in product(*((b.low, b.high) for b in known))]
        return Bounds(low=min(*corners, value), high=max(*corners, value), basis=Basis.ROUNDING)
    swings = [_swing(function, parts, place, value) for place in range(len(parts))]
    moved = any(each.basis is Basis.INTERVAL for each in known)
    return Bounds(
        low=value - math.hypot(*(down for down, _ in swings)),
        high=value + math.hypot(*(up for _, up in swings)),
        basis=Basis.INTERVAL if moved else Basis.EXACT,
    )


def _swing(
    function: Callable[..., float], parts: Sequence[Estimate], place: int, value: float
) -> tuple[float, float]:
    """Return how far one part alone can move the result down and up."""
    bounds = parts[place].bounds
    if isinstance(bounds, Absent):
        return 0.0, 0.0
    ends = []
    for end in (bounds.low, bounds.high):
        arguments = [part.value for part in parts]
        arguments[place] = end
        ends.append(function(*arguments))
    return max(0.0, value - min(ends)), max(0.0, max(ends) - value)


def _joined_repeats(function: Callable[..., float], parts: Sequence[Estimate]) -> Repeats | None:
    """Return the repeats of a combination: shares weighted by the variance each part brings."""
    known = [(place, p.repeats) for place, p in enumerate(parts) if p.repeats is not None]
    if not known:
        return None
    value = function(*(part.value for part in parts))
    weights = [sum(_swing(function, parts, place, value)) ** 2 for place, _ in known]
    total = sum(weights)
    shares = [repeats.within_share for _, repeats in known]
    weighted = sum(weight * share for weight, share in zip(weights, shares, strict=True))
    return Repeats(
        repetitions=min(repeats.repetitions for _, repeats in known),
        prompts=min(repeats.prompts for _, repeats in known),
        within_share=weighted / total if total else min(shares),
    )
