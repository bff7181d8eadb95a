"""How often a 90 % interval holds the truth, on simulated studies.

`python -m tests.bench.interval_coverage [STUDIES]` prints the coverage of every kind of interval
that verdicts rest on: means, ratios, combinations, variations.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from edgemoe_appliance.analysis.claims.estimates import Estimate, ratio
from edgemoe_appliance.analysis.claims.sample_estimates import (
    mean_estimate,
    median_estimate,
    ratio_estimate,
    variation_estimate,
)
from edgemoe_appliance.analysis.statistics import Absent
from tests.bench.simulated import BASE_TOK_S, Setup, SimulatedStudy, fewer_resamples, simulate

RESAMPLES = 1000
TRUE_RATIO = 0.9


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kind of interval, what it is to hold, and the layout of the study."""

    setup: Setup
    truth: Callable[[Setup], float]
    estimate: Callable[[SimulatedStudy], Estimate | Absent]


def _true_mean(setup: Setup) -> float:
    variance = setup.shared**2 + setup.own**2 + setup.noise**2
    return BASE_TOK_S * float(np.exp(variance / 2))


def _true_median(setup: Setup) -> float:
    return BASE_TOK_S


def _true_variation(setup: Setup) -> float:
    variance = setup.shared**2 + setup.own**2 + setup.noise**2
    return 100 * float(np.sqrt(np.expm1(variance)))


def _true_ratio(setup: Setup) -> float:
    return TRUE_RATIO


def _of_means(study: SimulatedStudy) -> Estimate | Absent:
    top, bottom = study.samples
    return ratio(mean_estimate(top), mean_estimate(bottom))


def _one_prompt(repetitions: int) -> Setup:
    return Setup(prompts=1, repetitions=repetitions, shared=0.0, own=0.0, noise=0.03)


UNPAIRED = Setup(shared=0.0, own=0.03)
CASES: Mapping[str, Case] = {
    "mean": Case(
        setup=Setup(), truth=_true_mean, estimate=lambda study: mean_estimate(study.samples[1])
    ),
    "mean, noise between prompts only": Case(
        setup=Setup(noise=0.001),
        truth=_true_mean,
        estimate=lambda study: mean_estimate(study.samples[1]),
    ),
    "mean, noise between runs only": Case(
        setup=Setup(shared=0.0, own=0.0),
        truth=_true_mean,
        estimate=lambda study: mean_estimate(study.samples[1]),
    ),
    "ratio, prompts paired": Case(
        setup=Setup(), truth=_true_ratio, estimate=lambda study: ratio_estimate(*study.samples)
    ),
    **{
        f"ratio, {prompts} prompts paired": Case(
            setup=Setup(prompts=prompts),
            truth=_true_ratio,
            estimate=lambda study: ratio_estimate(*study.samples),
        )
        for prompts in (3, 4, 5, 8)
    },
    **{
        f"ratio of one prompt, {repetitions} repetitions": Case(
            setup=_one_prompt(repetitions),
            truth=_true_ratio,
            estimate=lambda study: ratio_estimate(*study.samples),
        )
        for repetitions in (3, 6)
    },
    "median": Case(
        setup=Setup(),
        truth=_true_median,
        estimate=lambda study: median_estimate(study.samples[1]),
    ),
    "ratio of two intervals": Case(setup=UNPAIRED, truth=_true_ratio, estimate=_of_means),
    **{
        f"variation, {prompts} prompts": Case(
            setup=Setup(prompts=prompts),
            truth=_true_variation,
            estimate=lambda study: variation_estimate(study.samples[1]),
        )
        for prompts in (6, 15)
    },
}


def coverage(case: Case, studies: int) -> float:
    """Return the share of studies whose interval holds the truth."""
    truth = case.truth(case.setup)
    hits = 0
    for study in simulate(studies, TRUE_RATIO, case.setup):
        found = case.estimate(study)
        assert isinstance(found, Estimate)
        assert not isinstance(found.bounds, Absent)
        hits += found.bounds.low <= truth <= found.bounds.high
    return hits / studies


def main(studies: int) -> None:
    """Print the coverage of every kind."""
    sys.stdout.write(f"{studies} studies, 90 % intervals\n")
    with fewer_resamples(RESAMPLES):
        for name, case in CASES.items():
            sys.stdout.write(f"{name:36} {100 * coverage(case, studies):5.1f} %\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
