"""When a cell is known well enough, when more would not help, and how wide its interval is."""

from __future__ import annotations

import statistics

import numpy as np
import pytest

from edgemoe_appliance.analysis.statistics import Interval, Sample, mean_interval, student_t
from edgemoe_appliance.measure import precision
from edgemoe_appliance.measure.precision import (
    StopReason,
    reachable_half_width,
    relative_half_width,
    settle,
)
from edgemoe_appliance.schema.plan import PrecisionRule

RULE = PrecisionRule(within=0.02, at_most=10)


def rates(
    prompts: int, repetitions: int, *, between: float, inside: float
) -> dict[str, list[float]]:
    """Return rates around 100 whose two spreads are exactly as given (of a mean of 100, in %)."""
    means = np.linspace(-1, 1, prompts)
    means *= between / means.std(ddof=1) if prompts > 1 else 0
    runs = np.linspace(-1, 1, repetitions)
    runs *= inside / runs.std(ddof=1) if repetitions > 1 else 0
    return {f"p{n:02d}": [float(100 + mean + run) for run in runs] for n, mean in enumerate(means)}


def test_the_factors_are_those_of_student() -> None:
    for freedom, factor in enumerate(precision._T_95, start=1):
        assert factor == pytest.approx(student_t(0.95, freedom), abs=6e-4)


def test_the_interval_is_that_of_student_over_the_means_of_prompts() -> None:
    given = rates(12, 3, between=5.0, inside=1.0)
    expected = 1.796 * 5.0 / 12**0.5 / 100
    assert relative_half_width(given) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_the_interval_is_close_to_that_of_the_analysis(seed: int) -> None:
    rng = np.random.default_rng(seed)
    given = {
        f"p{number}": list(30 + mean + rng.normal(0, 0.5, 3))
        for number, mean in enumerate(rng.normal(0, 1.0, 12))
    }
    interval = mean_interval(Sample(given))
    assert isinstance(interval, Interval)
    own = relative_half_width(given)
    mean = statistics.fmean(value for values in given.values() for value in values)
    assert own == pytest.approx(interval.half_width / mean, rel=0.1)


def test_the_runs_of_a_single_prompt_are_the_units() -> None:
    given = {"p": [99.0, 100.0, 101.0]}
    assert relative_half_width(given) == pytest.approx(2.920 / 3**0.5 / 100, rel=1e-6)


@pytest.mark.parametrize(
    "given", [{}, {"p": [1.0]}, {"p": [1.0, 1.0]}, {"p": [1.0] * 9, "q": [1.0] * 9}]
)
def test_two_units_have_no_interval(given: dict[str, list[float]]) -> None:
    assert relative_half_width(given) is None
    assert reachable_half_width(given, 10) is None


def test_repeating_takes_away_the_spread_inside_prompts_only() -> None:
    # The means of two repetitions hold half of the variance of one: 2 = 8 / 2 + 0 between.
    noisy = {f"p{n}": [100 + m - 2, 100 + m + 2] for n, m in enumerate((-2.0, 0.0, 2.0))}
    inside, means = 8.0, 4.0
    at_ten = means - inside * (1 / 2 - 1 / 10)
    expected = 2.920 * (at_ten / 3) ** 0.5 / 100
    assert reachable_half_width(noisy, 10) == pytest.approx(expected, rel=1e-6)
    apart = rates(12, 3, between=9.0, inside=0.0)
    assert reachable_half_width(apart, 1000) == pytest.approx(relative_half_width(apart) or 0)


def test_what_was_never_repeated_may_come_down_all_the_way() -> None:
    once = rates(12, 1, between=9.0, inside=0.0)
    now, then = relative_half_width(once), reachable_half_width(once, 9)
    assert now is not None
    assert then == pytest.approx(now / 3)


def test_a_cell_is_settled_when_it_is_known_well_enough() -> None:
    assert settle(RULE, rates(12, 2, between=1.0, inside=1.0), 2) is StopReason.PRECISE


def test_fewer_than_ten_samples_are_never_enough() -> None:
    still = rates(3, 3, between=0.01, inside=0.01)
    assert settle(RULE, still, 3) is None
    assert settle(RULE, rates(3, 4, between=0.01, inside=0.01), 4) is StopReason.PRECISE
    assert settle(RULE, {"p": [100.0] * 9}, 9) is None
    assert settle(RULE, {"p": [100.0] * 10}, 10) is StopReason.PRECISE


def test_a_noisy_cell_goes_on_to_the_cap() -> None:
    # Of the variance 25 of its means, 64 x (1/3 - 1/10) are noise that seven more take away.
    noisy = rates(12, 3, between=5.0, inside=8.0)
    assert settle(RULE, noisy, 3) is None
    assert settle(RULE, noisy, 10) is StopReason.CAP


def test_prompts_that_differ_are_not_repeated_in_vain() -> None:
    lengths = rates(3, 4, between=10.0, inside=0.1)
    assert settle(RULE, lengths, 4) is StopReason.PROMPTS
    assert settle(RULE, {"p": [1.0] * 5, "q": [1.1] * 5}, 5) is StopReason.PROMPTS


def test_a_cell_without_a_good_run_is_not_repeated() -> None:
    assert settle(RULE, {}, 2) is StopReason.NO_RUN
