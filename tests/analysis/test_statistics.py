"""Statistics: values by hand, properties, and how often an interval covers the truth."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgemoe_appliance.analysis.statistics import (
    Absent,
    Difference,
    Drift,
    Floats,
    Interval,
    Ratio,
    Sample,
    Summary,
    difference_of_means,
    doubts_of,
    drift_of,
    intervals,
    mean_interval,
    median_interval,
    on_common_prompts,
    prompt_variance_interval,
    ratio_of_means,
    resampling,
    student_t,
    summarise,
    units,
    variation_interval,
)

Values = dict[str, list[float]]
rates = st.floats(min_value=0.1, max_value=1000, allow_subnormal=False)
samples = st.lists(st.lists(rates, min_size=1, max_size=4), min_size=5, max_size=9).map(
    lambda groups: {f"p{place}": group for place, group in enumerate(groups)}
)


def summary_of(values: Values) -> Summary:
    found = summarise(Sample(values))
    assert isinstance(found, Summary)
    return found


def interval_of(values: Values) -> Interval:
    found = mean_interval(Sample(values))
    assert isinstance(found, Interval)
    return found


@given(samples)
@settings(max_examples=25, deadline=None)
def test_a_summary_agrees_with_the_standard_library(values: Values) -> None:
    flat = [value for group in values.values() for value in group]
    found = summary_of(values)
    assert found.n == len(flat)
    assert found.prompts == len(values)
    assert found.mean == pytest.approx(plain.fmean(flat))
    assert found.median == pytest.approx(plain.median(flat))
    assert found.sd == pytest.approx(plain.stdev(flat), abs=1e-9)
    assert found.cv_pct == pytest.approx(100 * plain.stdev(flat) / plain.fmean(flat), abs=1e-9)


@given(samples)
@settings(max_examples=15, deadline=None)
def test_an_interval_is_ordered_deterministic_and_blind_to_the_order_of_prompts(
    values: Values,
) -> None:
    interval = interval_of(values)
    assert interval.low <= interval.high
    assert interval == interval_of(dict(reversed(values.items())))


@given(samples, st.floats(min_value=0.5, max_value=20))
@settings(max_examples=10, deadline=None)
def test_an_interval_scales_with_its_values(values: Values, factor: float) -> None:
    scaled = {key: [factor * value for value in group] for key, group in values.items()}
    half = interval_of(values).half_width
    # Other data, other seed: the ends agree within the error of the resampling.
    assert interval_of(scaled).half_width == pytest.approx(factor * half, rel=0.15, abs=1e-9)


def test_equal_values_have_an_interval_without_width() -> None:
    values = {f"p{i}": [7.0, 7.0, 7.0] for i in range(6)}
    assert interval_of(values) == Interval(low=7.0, high=7.0)


def test_the_width_is_that_of_students_t_over_prompts() -> None:
    means = [10.0, 11.0, 12.0, 13.0, 14.0, 15.0, 16.0, 17.0]
    values = {f"p{i}": [mean, mean, mean] for i, mean in enumerate(means)}
    expected = student_t(0.95, 7) * plain.stdev(means) / math.sqrt(8)
    assert interval_of(values).half_width == pytest.approx(expected, rel=0.05)


def test_repetitions_are_not_taken_for_independent_runs() -> None:
    apart = {f"p{i}": [float(i)] * 9 for i in range(6)}
    pooled = {f"p{i}": [float(i % 6)] for i in range(54)}
    assert interval_of(apart).half_width > 2.5 * interval_of(pooled).half_width


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({}, "no run with this reading"),
        ({"p": [1.0, 2.0]}, "2 repetitions of one prompt; an interval needs 3"),
        ({"p": [1.0]}, "1 repetition of one prompt; an interval needs 3"),
        ({f"p{i}": [1.0, 2.0] for i in range(2)}, "2 prompts; an interval over prompts needs 3"),
    ],
)
def test_too_few_are_refused_with_the_reason(values: Values, reason: str) -> None:
    found = summarise(Sample(values))
    if isinstance(found, Summary):
        assert mean_interval(Sample(values)) == Absent(reason=reason)
    else:
        assert found == Absent(reason=reason)


def test_one_run_has_no_spread() -> None:
    found = summary_of({"p": [1.0]})
    assert isinstance(found.sd, Absent)
    assert isinstance(found.cv_pct, Absent)
    assert isinstance(found.sd_within, Absent)


def test_repetitions_of_a_single_prompt_are_the_units() -> None:
    interval = interval_of({"p": [1.0, 2.0, 3.0, 4.0, 5.0]})
    assert interval.low < 3.0 < interval.high


def test_a_sample_refuses_what_is_not_a_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        Sample({"p": [1.0, math.nan]})


def test_within_is_the_spread_of_repetitions_alone() -> None:
    found = summary_of({"a": [1.0, 3.0], "b": [101.0, 103.0]})
    assert found.sd_within == pytest.approx(math.sqrt(2))


def ratio_of(top: Values, bottom: Values) -> Ratio:
    found = ratio_of_means(Sample(top), Sample(bottom))
    assert isinstance(found, Ratio)
    return found


def test_a_ratio_of_equal_prompt_effects_is_sharp() -> None:
    bottom = {f"p{i}": [10.0 + i, 10.1 + i] for i in range(8)}
    top = {key: [2 * value for value in group] for key, group in bottom.items()}
    ratio = ratio_of(top, bottom)
    assert ratio.value == pytest.approx(2.0)
    assert isinstance(ratio.interval, Interval)
    assert ratio.interval.half_width < 1e-9
    others = {f"q{i}": group for i, group in enumerate(top.values())}
    unpaired = ratio_of(others, bottom).interval
    assert isinstance(unpaired, Interval)
    assert unpaired.half_width > 0.2


@pytest.mark.parametrize(
    ("top", "bottom", "reason"),
    [
        ({}, {"p": [1.0]}, "one side of the ratio has no run"),
        ({"p": [1.0]}, {}, "one side of the ratio has no run"),
        ({"p": [1.0]}, {"p": [0.0]}, "the mean to divide by is not above 0"),
    ],
)
def test_a_ratio_that_cannot_be_had_says_why(top: Values, bottom: Values, reason: str) -> None:
    assert ratio_of_means(Sample(top), Sample(bottom)) == Absent(reason=reason)


def test_a_ratio_over_few_prompts_has_no_interval() -> None:
    ratio = ratio_of({"p": [2.0]}, {"p": [1.0]})
    assert ratio.value == 2.0
    assert isinstance(ratio.interval, Absent)


def test_three_units_are_judged_by_students_t_alone() -> None:
    half = 2.919986 * plain.stdev([10.0, 11.0, 13.0]) / math.sqrt(3)
    of_runs = interval_of({"p": [10.0, 11.0, 13.0]})
    of_prompts = interval_of({"a": [10.0, 10.0], "b": [11.0, 11.0], "c": [13.0, 13.0]})
    assert of_runs.half_width == pytest.approx(half, rel=1e-5)
    assert of_prompts == of_runs


def test_the_interval_of_a_median_lies_between_two_prompts() -> None:
    medians = {f"p{i:02d}": [float(i), i + 0.1, i + 0.2] for i in range(15)}
    # Of 15 prompts 3 may be left out at each end: 2 x P(at most 3 of 15) is 3.5 %, with 4 it is 12.
    assert median_interval(Sample(medians)) == Interval(low=3.1, high=11.1)
    found = median_interval(Sample({f"p{i}": [1.0] for i in range(4)}))
    assert found == Absent(reason="4 prompts; an interval of a median needs 5")


def test_unpaired_sides_bring_their_freedom_together() -> None:
    # Equal variances of five runs each: Welch's freedom is 8, not 4.
    runs = [9.0, 9.5, 10.0, 10.5, 11.0]
    ratio = ratio_of({"p": runs}, {"p": runs}).interval
    assert isinstance(ratio, Interval)
    error = math.sqrt(2) * plain.stdev(runs) / math.sqrt(5) / 10
    assert ratio.half_width == pytest.approx(student_t(0.95, 8) * error, rel=0.06)


# Student's t, 95 % one-sided, as in any table of it.
@pytest.mark.parametrize(
    ("freedom", "quantile"),
    [(1, 6.3138), (2, 2.9200), (3, 2.3534), (4, 2.1318), (5, 2.0150), (14, 1.7613), (60, 1.6706)],
)
def test_student_t(freedom: int, quantile: float) -> None:
    assert student_t(0.95, freedom) == pytest.approx(quantile, abs=1e-4)


def test_student_t_needs_a_freedom() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        student_t(0.95, 0.5)


def coverage(
    studies: int, *, prompts: int, between: float, within: float, paired_ratio: bool = False
) -> float:
    """Return the share of simulated studies of 3 repetitions whose interval holds the truth."""
    rng = np.random.default_rng(20260102)
    hits = 0
    for _ in range(studies):
        effects = rng.normal(100, between, prompts)

        def sample(effects: np.ndarray = effects) -> Sample:
            noise = rng.normal(0, within, (prompts, 3))
            return Sample({f"{i:02d}": effects[i] + noise[i] for i in range(prompts)})

        if paired_ratio:
            ratio = ratio_of_means(sample(), sample())
            assert isinstance(ratio, Ratio)
            found, truth = ratio.interval, 1.0
        else:
            found, truth = mean_interval(sample()), 100.0
        assert isinstance(found, Interval)
        hits += found.low <= truth <= found.high
    return hits / studies


def test_intervals_cover_about_as_often_as_they_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 400)
    # 300 studies: the standard error of the share is 1.7 %.
    assert 0.84 <= coverage(300, prompts=15, between=2, within=1) <= 0.96


@pytest.mark.slow
@pytest.mark.parametrize(
    ("between", "within", "paired_ratio"), [(3.0, 1.0, False), (0.0, 1.0, False), (3.0, 1.0, True)]
)
def test_a_90_percent_interval_covers_in_88_to_92_percent_of_2000_studies(
    monkeypatch: pytest.MonkeyPatch, between: float, within: float, paired_ratio: bool
) -> None:
    monkeypatch.setattr(resampling, "RESAMPLES", 1000)
    share = coverage(2000, prompts=15, between=between, within=within, paired_ratio=paired_ratio)
    assert 0.88 <= share <= 0.92


def test_a_difference_pairs_the_prompts_of_both_sides() -> None:
    first = {f"p{n}": [10.0 * n + 1, 10.0 * n + 3] for n in range(6)}
    second = {f"p{n}": [10.0 * n, 10.0 * n] for n in range(6)}
    found = difference_of_means(Sample(first), Sample(second))
    assert isinstance(found, Difference)
    assert found.value == pytest.approx(2.0)
    assert isinstance(found.interval, Interval)
    # The prompts differ by 10, the sides by 2 at each of them.
    assert found.interval.half_width < 1
    other = Sample({f"q{n}": values for n, values in enumerate(second.values())})
    unpaired = difference_of_means(Sample(first), other)
    assert isinstance(unpaired, Difference)
    assert isinstance(unpaired.interval, Interval)
    assert unpaired.interval.half_width > 10


def test_a_difference_of_few_units_is_student_s() -> None:
    found = difference_of_means(Sample({"p": [3.0, 4.0, 5.0]}), Sample({"p": [1.0, 1.0, 1.0]}))
    assert isinstance(found, Difference)
    assert isinstance(found.interval, Interval)
    # Variance 1 / 3 with the two degrees of freedom of the side that varies.
    assert found.interval.half_width == pytest.approx(2.920 / math.sqrt(3), abs=1e-3)


def test_a_difference_needs_two_sides() -> None:
    found = difference_of_means(Sample({}), Sample({"p": [1.0]}))
    assert found == Absent(reason="one side of the difference has no run")
    lone = difference_of_means(Sample({"p": [3.0]}), Sample({"p": [1.0]}))
    assert isinstance(lone, Difference)
    assert isinstance(lone.interval, Absent)


def test_only_common_prompts_are_compared() -> None:
    first, second = on_common_prompts(Sample({"a": [1.0], "b": [2.0]}), Sample({"b": [3.0]}))
    assert (list(first.by_prompt), list(second.by_prompt)) == (["b"], ["b"])


def test_the_interval_of_a_variation_holds_it() -> None:
    sample = Sample({f"p{n}": [10.0 + n, 10.5 + n] for n in range(6)})
    summary, found = summarise(sample), variation_interval(sample)
    assert isinstance(summary, Summary)
    assert isinstance(found, Interval)
    assert isinstance(summary.cv_pct, float)
    assert found.low * found.high == pytest.approx(summary.cv_pct**2)
    assert isinstance(variation_interval(Sample({"p": [1.0, 2.0]})), Absent)


def skewed(prompts: int, runs: int, seed: int) -> Sample:
    """Return runs with long upper tails: prompts differ by a tenth, runs by a fifth."""
    draws = np.random.default_rng(seed)
    means = 10 + draws.exponential(1.0, prompts)
    return Sample({f"p{i:02d}": m + draws.exponential(2.0, runs) for i, m in enumerate(means)})


def both_intervals(sample: Sample, other: Sample) -> list[Interval]:
    ratio = ratio_of_means(sample, other)
    assert isinstance(ratio, Ratio)
    found = [mean_interval(sample), ratio.interval]
    return [each for each in found if isinstance(each, Interval)]


@pytest.mark.parametrize(
    ("prompts", "runs", "limit"),
    [(12, units.MANY_RUNS + 1, "MANY_RUNS"), (1, units.MANY_UNITS + 1, "MANY_UNITS")],
)
def test_many_runs_may_be_drawn_from_the_normal_limit(
    prompts: int, runs: int, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, other = skewed(prompts, runs, 1), skewed(prompts, runs, 2)
    near = both_intervals(sample, other)
    monkeypatch.setattr(units, limit, runs)
    monkeypatch.setattr(intervals, "_KNOWN", {})
    for found, exact in zip(near, both_intervals(sample, other), strict=True):
        # Both are of 10,000 resamples, whose ends scatter by a hundredth of the width.
        assert found.low == pytest.approx(exact.low, abs=0.04 * exact.half_width)
        assert found.high == pytest.approx(exact.high, abs=0.04 * exact.half_width)
        assert found != exact


def test_a_huge_sample_costs_as_many_draws_as_it_has_prompts() -> None:
    prompts = units.units_of(skewed(15, 10_000, 3))
    assert not isinstance(prompts, Absent)
    assert prompts.draws == 15
    crowd = units.units_of(skewed(1, 100_000, 3))
    assert not isinstance(crowd, Absent)
    assert crowd.draws == 1


def over_sessions(rates: Sequence[Sequence[float]], first: int = 1) -> Sample:
    """Sessions x prompts, one run each."""
    numbers = range(first, first + len(rates))
    prompts = range(len(rates[0]))
    return Sample(
        {f"p{place}": [session[place] for session in rates] for place in prompts},
        {f"p{place}": list(numbers) for place in prompts},
    )


APART = ((9.0, 9.1, 9.2, 9.3, 9.4), (10.0, 10.1, 10.2, 10.3, 10.4), (11.0, 11.1, 11.2, 11.3, 11.4))


def test_what_sessions_move_is_free_of_their_prompts() -> None:
    sample = over_sessions(APART)
    assert sample.session_influence == pytest.approx({1: -1.0, 2: 0.0, 3: 1.0})
    uneven = Sample({"a": [1.0, 1.0], "b": [5.0]}, {"a": [1, 2], "b": [1]})
    assert uneven.session_influence == pytest.approx({1: 0.0, 2: 0.0})


def test_the_variation_between_sessions_is_in_the_interval_of_a_mean() -> None:
    several, one = over_sessions(APART), Sample(over_sessions(APART).by_prompt)
    wide, narrow = mean_interval(several), mean_interval(one)
    assert isinstance(wide, Interval)
    assert isinstance(narrow, Interval)
    assert (wide.sessions, narrow.sessions) == (3, 1)
    # Three sessions of standard deviation 1: t(2) = 2.92 standard errors of 1 / sqrt(3), and a
    # little for the prompts.
    assert wide.half_width == pytest.approx(2.92 / math.sqrt(3), rel=0.1)
    assert narrow.half_width < 0.2 * wide.half_width


def test_what_a_session_does_to_both_sides_of_a_ratio_cancels() -> None:
    bottom, top = over_sessions(APART), over_sessions(APART).scaled(0.9)
    other = over_sessions(APART, first=11)
    paired, apart = ratio_of_means(top, bottom), ratio_of_means(top, other)
    assert isinstance(paired, Ratio)
    assert isinstance(paired.interval, Interval)
    assert isinstance(apart, Ratio)
    assert isinstance(apart.interval, Interval)
    assert paired.value == apart.value == pytest.approx(0.9)
    assert paired.interval.half_width < 1e-9
    assert apart.interval.half_width > 0.05


def test_a_single_session_is_drawn_as_ever() -> None:
    plain = Sample({f"p{place}": [10.0 + place, 10.5 + place] for place in range(6)})
    numbered = Sample(plain.by_prompt, {key: [0, 0] for key in plain.by_prompt})
    assert plain.digest() == numbered.digest()
    assert mean_interval(plain) == mean_interval(numbered)


def test_sessions_that_do_not_fit_the_values_are_refused() -> None:
    with pytest.raises(ValueError, match="another number of sessions"):
        Sample({"a": [1.0, 2.0]}, {"a": [1]})


def drifting(share: float, stray: float = 0.0) -> Sample:
    """Return fifteen prompts by three whose rates change by a share from first to last."""
    rng = np.random.default_rng(3)
    steps = np.linspace(1, 1 + share, 3)
    rows = [rate * steps * np.exp(rng.normal(0, 0.002, 3)) for rate in np.linspace(20, 40, 15)]
    rows[4][1] *= 1 - stray
    return Sample({f"p{place:02d}": row for place, row in enumerate(rows)})


def test_drift_is_the_trend_within_prompts_whatever_they_differ_by() -> None:
    drift = drift_of(drifting(-0.05))
    assert isinstance(drift, Drift)
    assert drift.share == pytest.approx(-0.05 / 0.975, abs=0.003)
    assert drift.interval.low < drift.share < drift.interval.high < 0
    assert drift.matters
    small = drift_of(drifting(-0.006))  # seen, and too little to bear on anything
    assert isinstance(small, Drift)
    assert small.interval.high < 0
    assert not small.matters


@pytest.mark.parametrize(
    ("sample", "words"),
    [
        (drifting(0.0), ()),
        (drifting(-0.05), ("drift within the session",)),
        (drifting(0.0, stray=0.5), ("1 run is far from the others",)),
        (Sample({"p": [1.0, 1.01, 0.99]}), ("3 repetitions of one prompt",)),
        (Sample({"a": [1.0], "b": [1.1], "c": [1.2]}), ("it rests on 3 prompts",)),
    ],
)
def test_an_interval_is_told_with_what_it_does_not_cover(
    sample: Sample, words: tuple[str, ...]
) -> None:
    told = doubts_of(sample)
    assert len(told) == len(words)
    assert all(word in text for word, text in zip(words, told, strict=True))


def test_the_part_of_variance_between_prompts_has_an_interval() -> None:
    rng = np.random.default_rng(5)
    means = rng.normal(30, 1.0, 15)
    sample = Sample({f"p{n:02d}": mean + rng.normal(0, 1.0, 3) for n, mean in enumerate(means)})
    found = prompt_variance_interval(sample)
    assert isinstance(found, Interval)
    assert 0 <= found.low < 50 < found.high <= 100  # as much between prompts as between runs
    assert isinstance(prompt_variance_interval(Sample({"p": [1.0, 2.0]})), Absent)


def in_a_row(values: Sequence[float] | Floats, *, is_in_row: bool = True) -> Sample:
    named = {f"{place:03d}": [value] for place, value in enumerate(values)}
    return Sample(named, is_in_row=is_in_row)


def half_width(values: Sequence[float] | Floats, *, is_in_row: bool) -> float:
    found = mean_interval(in_a_row(values, is_in_row=is_in_row))
    assert isinstance(found, Interval)
    return found.half_width


def test_neighbours_that_are_alike_widen_the_interval_of_their_mean() -> None:
    drawn = np.random.default_rng(3).normal(10.0, 1.0, 12)
    alike = np.repeat(drawn, 2)  # each twice, so that 24 say what 12 say
    alone, together = (half_width(alike, is_in_row=each) for each in (False, True))
    assert together > 1.25 * alone
    assert together == pytest.approx(half_width(drawn, is_in_row=False), rel=0.15)


def test_so_few_in_a_row_tell_nothing_of_neighbours() -> None:
    drawn = np.random.default_rng(4).normal(10.0, 1.0, 7)
    assert half_width(drawn, is_in_row=True) == pytest.approx(
        half_width(drawn, is_in_row=False), rel=0.05
    )


def test_two_samples_in_a_row_are_paired_piece_by_piece() -> None:
    drawn = np.random.default_rng(5).normal(10.0, 1.0, 24)
    first, second = in_a_row(drawn + 1.0), in_a_row(drawn)
    found = difference_of_means(first, second)
    assert isinstance(found, Difference)
    assert isinstance(found.interval, Interval)
    assert found.interval.half_width == pytest.approx(0.0, abs=1e-9)
    assert first.digest() != Sample(first.by_prompt).digest()
