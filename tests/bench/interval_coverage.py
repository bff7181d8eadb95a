"""How often a 90 % interval holds the truth, on simulated studies.

`python -m tests.bench.interval_coverage [STUDIES] [--answers]` prints the coverage of every kind of
interval that verdicts rest on: means, ratios, combinations, variations; of answers (alone where
they are asked for) those over chunks of a text and over items, with the margin that so many allow.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.analysis.claims.estimates import Estimate, ratio
from edgemoe_appliance.analysis.claims.sample_estimates import (
    difference_estimate,
    mean_estimate,
    median_estimate,
    ratio_estimate,
    variation_estimate,
)
from edgemoe_appliance.analysis.statistics import Absent, Sample
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


# Answers: chunks of a text and items of multiple choice are what is drawn. A fifth of paired items
# differ between two files. Chunks are drawn from those that were measured (chunks.json), so that
# neighbours have a rank correlation.
_MOST_OF_ANSWERS = 1000
_CHANGED, _LOST, _CHANCE = 0.2, 0.12, 0.25
_CHUNKS = json.loads(Path(__file__).with_name("chunks.json").read_text())["chunks"]
_ALIKE = (0.0, 0.1, 0.2)


def _items(generator: np.random.Generator, number: int) -> tuple[Sample, Sample]:
    """Return answers by 16 bits and by fewer: 12 of 100 items are lost and 8 won."""
    right = generator.random(number) < 0.7
    draw = generator.random(number)
    lost, won = _LOST / 0.7, (_CHANGED - _LOST) / 0.3
    after = np.where(right, draw >= lost, draw < won)
    return _series(100.0 * right), _series(100.0 * after)


def _chunks(
    generator: np.random.Generator, number: int, metric: str, alike: float
) -> tuple[float, Sample]:
    """Return the mean of the measured chunks of a file, and so many drawn from them in a row."""
    file = list(_CHUNKS)[generator.integers(len(_CHUNKS))]
    known = np.sort(np.array(_CHUNKS[file][metric]))
    noise = generator.normal(size=number)
    for place in range(1, number):
        noise[place] = alike * noise[place - 1] + math.sqrt(1 - alike**2) * noise[place]
    ranks = np.array([NormalDist().cdf(each) for each in noise])
    drawn = known[np.minimum((ranks * known.size).astype(int), known.size - 1)]
    return float(known.mean()), _series(drawn, is_in_row=True)


def _series(values: NDArray[np.floating[Any]], *, is_in_row: bool = False) -> Sample:
    named = {f"{number:05d}": [float(value)] for number, value in enumerate(values)}
    return Sample(named, is_in_row=is_in_row)


def _interval_of(kind: str, generator: np.random.Generator, number: int) -> tuple[float, Estimate]:
    """Return the truth of a kind of figure, and one estimate of it."""
    if kind.startswith("chunks, "):
        _, metric, alike = kind.split(", ")
        truth, sample = _chunks(generator, number, metric, float(alike))
        found: Estimate | Absent = mean_estimate(sample)
    elif kind == "items less 16 bits, paired":
        found, truth = difference_estimate(*_items(generator, number)), 100 * (2 * _LOST - _CHANGED)
    else:
        found = mean_estimate(_series(100.0 * (generator.random(number) < _CHANCE)))
        truth = 100 * _CHANCE
    assert isinstance(found, Estimate)
    return truth, found


ANSWERS: Mapping[str, tuple[int, ...]] = {
    **{
        f"chunks, {metric}, {alike}": (10, 24)
        for metric in ("kl_divergence_nat", "ln_perplexity_ratio", "same_top_pct")
        for alike in _ALIKE
    },
    "items less 16 bits, paired": (60, 240, 1600),
    "items, near chance": (60, 240, 1600),
}


def answers_coverage(kind: str, number: int, studies: int) -> tuple[float, float]:
    """Return how often an interval over chunks or items holds the truth, and its half width."""
    generator = np.random.default_rng(number)
    hits, widths = 0, []
    for _ in range(studies):
        truth, found = _interval_of(kind, generator, number)
        assert not isinstance(found.bounds, Absent)
        hits += found.bounds.low <= truth <= found.bounds.high
        widths.append((found.bounds.high - found.bounds.low) / 2)
    return hits / studies, float(np.mean(widths))


def main(studies: int, *, only_answers: bool) -> None:
    """Print the coverage of every kind."""
    sys.stdout.write(f"{studies} studies, 90 % intervals\n")
    sys.stdout.write(f"{'':36}   holds   says what it does not cover\n")
    with fewer_resamples(RESAMPLES):
        for name, case in ({} if only_answers else {**CASES, **DOUBTFUL}).items():
            found = coverage(case, studies)
            told = f"{100 * found.holds:5.1f} %  {100 * found.doubted:5.1f} %"
            sys.stdout.write(f"{name:36} {told}\n")
        sys.stdout.write(f"\n{'answers':36}   holds   half the width (nat, points)\n")
        for name, numbers in ANSWERS.items():
            for number in numbers:
                holds, width = answers_coverage(name, number, min(studies, _MOST_OF_ANSWERS))
                label = f"{number} {name}"
                sys.stdout.write(f"{label:36} {100 * holds:5.1f} %  {width:.3g}\n")


if __name__ == "__main__":
    main(int(next(filter(str.isdigit, sys.argv[1:]), 2000)), only_answers="--answers" in sys.argv)
