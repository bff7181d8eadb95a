"""Two samples against each other: the ratio and the difference of their means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from edgemoe_appliance.analysis.results import CONFIDENCE, Absent, Interval
from edgemoe_appliance.analysis.statistics import resampling
from edgemoe_appliance.analysis.statistics.samples import Floats, Sample
from edgemoe_appliance.analysis.statistics.student import Error, error_of
from edgemoe_appliance.analysis.statistics.units import Units, units_of


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """A ratio of two means and its interval."""

    value: float
    interval: Interval | Absent


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A difference of two means and its interval, in the unit of both."""

    value: float
    interval: Interval | Absent


def ratio_of_means(
    numerator: Sample, denominator: Sample, confidence: float = CONFIDENCE
) -> Ratio | Absent:
    """Return mean(numerator) / mean(denominator) with its bootstrap interval.

    Where both hold the same prompts, the same prompts are drawn for both: what a prompt does to
    both sides then cancels, as it does in the runs.
    """
    if not numerator.n or not denominator.n:
        return Absent(reason="one side of the ratio has no run")
    base = float(denominator.values.mean())
    if base <= 0:
        return Absent(reason="the mean to divide by is not above 0")
    return Ratio(
        value=float(numerator.values.mean()) / base,
        interval=_ratio_interval(numerator, denominator, confidence),
    )


def difference_of_means(
    first: Sample, second: Sample, confidence: float = CONFIDENCE
) -> Difference | Absent:
    """Return mean(first) - mean(second) with its interval; prompts are paired as in a ratio."""
    if not first.n or not second.n:
        return Absent(reason="one side of the difference has no run")
    return Difference(
        value=float(first.values.mean()) - float(second.values.mean()),
        interval=_difference_interval(first, second, confidence),
    )


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """Two samples laid out for resampling; `paired` says that they draw the same prompts."""

    top: Units
    bottom: Units
    paired: bool
    seed: tuple[Sample, Sample]

    @property
    def is_drawn(self) -> bool:
        """Return whether the interval is drawn: enough units on both sides, and one session.

        A handful of sessions is too few to draw from.
        """
        few = min(self.top.size, self.bottom.size) < resampling.MIN_RESAMPLED
        return not few and self._sessions == 1

    @property
    def _sessions(self) -> int:
        return min(len(sample.session_influence) for sample in self.seed)

    def error_of_ratio(self, confidence: float) -> Error:
        """Return the error of top / bottom to first order."""
        ratio, base = self.top.mean / self.bottom.mean, self.bottom.mean
        return self._error(ratio, 1 / base, ratio / base, confidence)

    def error_of_difference(self, confidence: float) -> Error:
        """Return the error of top - bottom."""
        return self._error(self.top.mean - self.bottom.mean, 1.0, 1.0, confidence)

    def _error(self, centre: float, up: float, down: float, confidence: float) -> Error:
        """Return the error of what moves `up` with the top and `down` with the bottom."""
        above, below = up * self.top.influence, down * self.bottom.influence
        influences = [above - below] if self.paired else [above, below]
        in_row = len(influences) if all(sample.is_in_row for sample in self.seed) else 0
        influences += self._session_influences(up, down)
        return error_of(centre, influences, confidence, self._sessions, in_row=in_row)

    def _session_influences(self, up: float, down: float) -> Iterator[Floats]:
        """Yield what sessions move; where both sides ran in the same ones, they move together."""
        top, bottom = (sample.session_influence for sample in self.seed)
        above, below = (np.array(list(each.values())) for each in (top, bottom))
        if top.keys() == bottom.keys():
            parts = [up * above - down * below]
        else:
            parts = [up * above, down * below]
        yield from (part for part in parts if part.size > 1)

    def draw(self) -> Iterator[tuple[Floats, Floats]]:
        """Yield resampled means of both, a chunk at a time."""
        rng = resampling.generator_of(*self.seed)
        for size in resampling.chunks(max(self.top.draws, self.bottom.draws)):
            picks = self.top.pick(rng, size)
            other = picks if self.paired else self.bottom.pick(rng, size)
            below = self.bottom.resampled_means(rng, other)
            yield self.top.resampled_means(rng, picks), below


def _pair(first: Sample, second: Sample) -> _Pair | Absent:
    top, bottom = units_of(first), units_of(second)
    if isinstance(top, Absent):
        return top
    if isinstance(bottom, Absent):
        return bottom
    paired = top.keys == bottom.keys and len(first.by_prompt) > 1
    return _Pair(top=top, bottom=bottom, paired=paired, seed=(first, second))


def _ratio_interval(numerator: Sample, denominator: Sample, confidence: float) -> Interval | Absent:
    pair = _pair(numerator, denominator)
    if isinstance(pair, Absent):
        return pair
    error = pair.error_of_ratio(confidence)
    if not pair.is_drawn:
        return error.symmetric()
    resampled = np.concatenate(
        [above / np.where(below > 0, below, np.nan) for above, below in pair.draw()]
    )
    if not np.isfinite(resampled).all():
        return Absent(reason="the mean to divide by is not clearly above 0")
    return error.shaped(resampled)


def _difference_interval(first: Sample, second: Sample, confidence: float) -> Interval | Absent:
    pair = _pair(first, second)
    if isinstance(pair, Absent):
        return pair
    error = pair.error_of_difference(confidence)
    if not pair.is_drawn:
        return error.symmetric()
    return error.shaped(np.concatenate([above - below for above, below in pair.draw()]))
