"""Simulated studies of two models, for the rates of verdicts and the coverage of intervals.

Rates are products: a prompt's effect that both models share, a model's own at that prompt, and
noise of each run. Made-up figures for tests; nothing here was measured.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest import mock

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.statistics import Sample, resampling

BASE_TOK_S = 30.0
SEED = 20_260_102


@dataclass(frozen=True, kw_only=True)
class Setup:
    """How a study is laid out and how its rates spread (standard deviations of the logarithm).

    With `skewed` the noise of runs is that of waiting times: most are near the best, few far below.
    `stray` is by what one run of each study, of the first model, is below what it would be;
    `drift` what rates lose from the first repetition to the last.
    """

    prompts: int = 15
    repetitions: int = 3
    shared: float = 0.03
    own: float = 0.02
    noise: float = 0.02
    skewed: bool = False
    stray: float = 0.0
    drift: float = 0.0


@dataclass(frozen=True, kw_only=True)
class SimulatedStudy:
    """The rates of two models, prompts x repetitions."""

    top: NDArray[np.float64]
    bottom: NDArray[np.float64]

    @property
    def samples(self) -> tuple[Sample, Sample]:
        """Return both models' rates by prompt."""
        return sample_of(self.top), sample_of(self.bottom)


def sample_of(rates: NDArray[np.float64]) -> Sample:
    """Return rates (prompts x repetitions) as a sample."""
    return Sample({f"p{place:04d}": row for place, row in enumerate(rates)})


def simulate(
    studies: int, ratio: float, setup: Setup, seed: int = SEED
) -> Iterator[SimulatedStudy]:
    """Yield studies whose true ratio of means is `ratio`; all are drawn at once."""
    rng = np.random.default_rng([seed, round(1e6 * ratio), setup.prompts, setup.repetitions])
    runs = (studies, setup.prompts, setup.repetitions)
    shared = rng.normal(0, setup.shared, (studies, setup.prompts, 1))
    rates = [
        BASE_TOK_S
        * factor
        * np.exp(
            shared
            + rng.normal(0, setup.own, (studies, setup.prompts, 1))
            + _noise(rng, setup, runs)
        )
        * np.linspace(1, 1 - setup.drift, setup.repetitions)
        for factor in (ratio, 1.0)
    ]
    for top, bottom in zip(*rates, strict=True):
        if setup.stray:
            top[rng.integers(setup.prompts), rng.integers(setup.repetitions)] *= 1 - setup.stray
        yield SimulatedStudy(top=top, bottom=bottom)


def _noise(
    rng: np.random.Generator, setup: Setup, runs: tuple[int, int, int]
) -> NDArray[np.float64]:
    """Return what single runs are off, with mean 0 and the standard deviation of the setup."""
    if setup.skewed:
        return setup.noise * (1 - rng.exponential(1.0, runs))
    return rng.normal(0, setup.noise, runs)


@contextmanager
def fewer_resamples(number: int) -> Iterator[None]:
    """Make bootstraps of `number` resamples while the context is open, to save time."""
    with mock.patch.object(resampling, "RESAMPLES", number):
        yield
