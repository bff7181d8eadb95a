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
from edgemoe_appliance.measure.precision import settle
from edgemoe_appliance.schema.plan import LEAST_REPETITIONS, PrecisionRule
from tests.bench.simulated import (
    BASE_TOK_S,
    Setup,
    SimulatedStudy,
    fewer_resamples,
    sample_of,
    simulate,
)

RESAMPLES = 1000
RULE = PrecisionRule(within=0.02, at_most=10)
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


def _true_variation_with_drift(setup: Setup) -> float:
    """Return the variation of runs that drift: what drift moves them by is part of it."""
    steps = np.linspace(1, 1 - setup.drift, setup.repetitions)
    spread = float(steps.var()) / float(steps.mean()) ** 2
    return float(np.hypot(_true_variation(setup), 100 * np.sqrt(spread)))


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


def _until_precise(study: SimulatedStudy) -> Estimate | Absent:
    """Return the mean of the runs that a session repeated by need would have made."""
    for repetitions in range(LEAST_REPETITIONS, RULE.at_most + 1):
        made = study.bottom[:, :repetitions]
        if settle(RULE, {str(n): list(row) for n, row in enumerate(made)}, repetitions):
            break
    return mean_estimate(sample_of(made))


# Where runs are not exchangeable an interval says less than it seems, and says so.
DOUBTFUL: Mapping[str, Case] = {
    "ratio, one run halved": Case(
        setup=Setup(own=0.01, noise=0.01, stray=0.5),
        truth=_true_ratio,
        estimate=lambda study: ratio_estimate(*study.samples),
    ),
    "variation, rates drift by 10 %": Case(
        setup=Setup(drift=0.1),
        truth=_true_variation_with_drift,
        estimate=lambda study: variation_estimate(study.samples[1]),
    ),
    "ratio, rates drift by 10 %": Case(
        setup=Setup(drift=0.1),
        truth=_true_ratio,
        estimate=lambda study: ratio_estimate(*study.samples),
    ),
    "mean of one prompt by three, skewed": Case(
        setup=Setup(prompts=1, shared=0.0, own=0.0, noise=0.05, skewed=True),
        truth=lambda setup: BASE_TOK_S * float(np.exp(setup.noise)) / (1 + setup.noise),
        estimate=lambda study: mean_estimate(study.samples[1]),
    ),
    "mean, three prompts, until precise": Case(
        setup=Setup(prompts=3, repetitions=10, shared=0.01, own=0.005, noise=0.04),
        truth=_true_mean,
        estimate=_until_precise,
    ),
    "mean, twelve prompts, until precise": Case(
        setup=Setup(prompts=12, repetitions=10, shared=0.01, own=0.005, noise=0.04),
        truth=_true_mean,
        estimate=_until_precise,
    ),
}


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """Shares of studies: whose interval holds the truth, and whose says what it does not cover."""

    holds: float
    doubted: float


def coverage(case: Case, studies: int) -> Coverage:
    """Return how often an interval holds the truth, and how often it is told with a doubt."""
    truth = case.truth(case.setup)
    hits = doubted = 0
    for study in simulate(studies, TRUE_RATIO, case.setup):
        found = case.estimate(study)
        assert isinstance(found, Estimate)
        assert not isinstance(found.bounds, Absent)
        hits += found.bounds.low <= truth <= found.bounds.high
        doubted += bool(found.doubts)
    return Coverage(holds=hits / studies, doubted=doubted / studies)


def main(studies: int) -> None:
    """Print the coverage of every kind."""
    sys.stdout.write(f"{studies} studies, 90 % intervals\n")
    sys.stdout.write(f"{'':36}   holds   says what it does not cover\n")
    with fewer_resamples(RESAMPLES):
        for name, case in {**CASES, **DOUBTFUL}.items():
            found = coverage(case, studies)
            told = f"{100 * found.holds:5.1f} %  {100 * found.doubted:5.1f} %"
            sys.stdout.write(f"{name:36} {told}\n")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000)
