"""A sample laid out for drawing again: its units, and the mean of a resample of them.

How a resample's mean is had depends on how many runs there are: drawn run by run where they are
few, from the normal limit where they are many.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np

from edgemoe_appliance.analysis.results import MIN_UNITS, Absent
from edgemoe_appliance.analysis.statistics.samples import Floats, Ints, Sample
from edgemoe_appliance.schema.text import counted

# With more runs of a prompt than this, the mean of runs drawn again is drawn from its normal
# limit; where the runs are the units there is no mean over units to help, so it takes more.
MANY_RUNS = 50
MANY_UNITS = 1_000
# A quarter of a megabyte.
_BLOCK_DRAWS = 32_768


class Units(Protocol):
    """A sample laid out for resampling by units: prompts, or the runs of a single prompt."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Return the names of the units."""

    @property
    def size(self) -> int:
        """Return the number of units."""

    @property
    def draws(self) -> int:
        """Return how many numbers one resample draws."""

    @property
    def mean(self) -> float:
        """Return the mean over all runs."""

    @property
    def influence(self) -> Floats:
        """Return by how much each unit moves the mean: its share of the sum of deviations."""

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        """Draw units with replacement: shape (resamples, units)."""

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        """Return the mean of each resample: runs are drawn again inside each drawn unit."""


@dataclass(frozen=True, kw_only=True)
class _Runs:
    """Units of which each has its own number of runs."""

    keys: tuple[str, ...]
    counts: Ints

    @property
    def size(self) -> int:
        return self.counts.size

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        return (rng.random((size, self.size)) * self.size).astype(np.int64)

    def _shares(self, deviations: Floats) -> Floats:
        """Return by how much each unit moves the mean, from the deviations of its sum."""
        shares: Floats = deviations * self.size / self.counts.sum()
        return shares


@dataclass(frozen=True, kw_only=True)
class _FewRuns(_Runs):
    """Units of few runs each, one row per unit, rows padded to the longest."""

    values: Floats

    @property
    def draws(self) -> int:
        return self.values.size

    @property
    def mean(self) -> float:
        return float(self.values.sum() / self.counts.sum())

    @property
    def influence(self) -> Floats:
        return self._shares(self.values.sum(axis=1) - self.counts * self.mean)

    @cached_property
    def _is_even(self) -> bool:
        """Return whether no row is padded."""
        return bool((self.counts == self.values.shape[1]).all())

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        # The numbers drawn are the same however many at a time, and whoever draws them.
        # numpy draws outside Python's lock: the second half is drawn beside the first, by a
        # generator that is as far ahead as the first half has numbers.
        middle = len(picks) // 2
        ahead = np.random.PCG64()
        ahead.state = rng.bit_generator.state  # type: ignore[assignment]
        ahead.advance(middle * self.draws)
        with ThreadPoolExecutor(1) as beside:
            second = beside.submit(self._blocks, np.random.Generator(ahead), picks[middle:])
            means = np.concatenate([self._blocks(rng, picks[:middle]), second.result()])
        rng.bit_generator.state = ahead.state
        return means

    def _blocks(self, rng: np.random.Generator, picks: Ints) -> Floats:
        """Return the mean of each resample; a few at a time stay in the cache."""
        rows = max(1, _BLOCK_DRAWS // self.draws)
        starts = range(0, len(picks), rows)
        means = [self._means(rng, picks[start : start + rows]) for start in starts]
        return np.concatenate(means) if means else np.empty(0)

    def _means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        longest = self.values.shape[1]
        counts = longest if self._is_even else self.counts[picks][..., None]
        # Each number is the place of a run in the values, which stand unit after unit.
        places = (rng.random((*picks.shape, longest)) * counts).astype(np.int64)
        places += picks[..., None] * longest
        values = self.values.ravel().take(places)
        if isinstance(counts, int):
            even: Floats = values.sum(axis=(1, 2)) / self.draws
            return even
        values[np.arange(longest) >= counts] = 0.0
        means: Floats = values.sum(axis=(1, 2)) / counts.sum(axis=(1, 2))
        return means


@dataclass(frozen=True, kw_only=True)
class _ManyRuns(_Runs):
    """Units of many runs: the mean of runs drawn inside a unit is drawn from its normal limit.

    It has the exact mean and variance of such a draw; its shape differs by about a sixth of the
    skewness over the root of the runs, which the mean over units makes smaller still.
    Source: Bickel and Freedman, Annals of Statistics 9 (1981) 1196, theorem 2.1.
    """

    means: Floats
    spreads: Floats

    @property
    def draws(self) -> int:
        return self.counts.size

    @property
    def mean(self) -> float:
        return float((self.means * self.counts).sum() / self.counts.sum())

    @property
    def influence(self) -> Floats:
        return self._shares(self.counts * (self.means - self.mean))

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        counts = self.counts[picks]
        errors = (self.spreads / np.sqrt(self.counts))[picks]
        drawn = self.means[picks] + errors * rng.standard_normal(picks.shape)
        means: Floats = (drawn * counts).sum(axis=1) / counts.sum(axis=1)
        return means


@dataclass(frozen=True, kw_only=True)
class _ManyUnits:
    """Very many runs of one prompt, each a unit: their resampled mean has its normal limit."""

    values: Floats

    @property
    def keys(self) -> tuple[str, ...]:
        return ()

    @property
    def size(self) -> int:
        return self.values.size

    @property
    def draws(self) -> int:
        return 1

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    @property
    def influence(self) -> Floats:
        shares: Floats = self.values - self.mean
        return shares

    def pick(self, rng: np.random.Generator, size: int) -> Ints:
        return np.zeros((size, 0), dtype=np.int64)

    def resampled_means(self, rng: np.random.Generator, picks: Ints) -> Floats:
        error = float(self.values.std()) / math.sqrt(self.values.size)
        return self.mean + error * rng.standard_normal(len(picks))


def units_of(sample: Sample) -> Units | Absent:
    """Return the units of the outer level: prompts, or the runs of a single prompt."""
    groups = sample.by_prompt
    if len(groups) == 1:
        (values,) = groups.values()
        if values.size < MIN_UNITS:
            count = counted(values.size, "repetition")
            return Absent(reason=f"{count} of one prompt; an interval needs {MIN_UNITS}")
        if values.size > MANY_UNITS:
            return _ManyUnits(values=values)
        groups = {str(index): values[index : index + 1] for index in range(values.size)}
    if len(groups) < MIN_UNITS:
        count = counted(len(groups), "prompt")
        return Absent(reason=f"{count}; an interval over prompts needs {MIN_UNITS}")
    counts = np.array([values.size for values in groups.values()], dtype=np.int64)
    if counts.max() > MANY_RUNS:
        return _ManyRuns(
            keys=tuple(groups),
            means=np.array([values.mean() for values in groups.values()]),
            spreads=np.array([values.std() for values in groups.values()]),
            counts=counts,
        )
    padded = np.zeros((counts.size, int(counts.max())))
    for row, values in enumerate(groups.values()):
        padded[row, : values.size] = values
    return _FewRuns(keys=tuple(groups), values=padded, counts=counts)
