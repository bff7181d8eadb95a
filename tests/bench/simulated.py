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
    """How a study is laid out and how its rates spread (standard deviations of the logarithm)."""

    prompts: int = 15
    repetitions: int = 3
    shared: float = 0.03
    own: float = 0.02
    noise: float = 0.02


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
            + rng.normal(0, setup.noise, runs)
        )
        for factor in (ratio, 1.0)
    ]
    for top, bottom in zip(*rates, strict=True):
        yield SimulatedStudy(top=top, bottom=bottom)


@contextmanager
def fewer_resamples(number: int) -> Iterator[None]:
    """Make bootstraps of `number` resamples while the context is open, to save time."""
    with mock.patch.object(resampling, "RESAMPLES", number):
        yield
