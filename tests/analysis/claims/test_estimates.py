"""Estimates, limits, printed digits and forecasts: properties and values by hand."""

from __future__ import annotations

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgemoe_appliance.analysis.claims.estimates import (
    Basis,
    Bounds,
    Estimate,
    Repeats,
    combine,
    exact,
    printed_estimate,
    ratio,
    scaled,
    widened,
    within,
)
from edgemoe_appliance.analysis.claims.formatting import in_words, limits_in_words, with_unit
from edgemoe_appliance.analysis.claims.judging import verdict_of
from edgemoe_appliance.analysis.claims.repetitions import more_runs
from edgemoe_appliance.analysis.claims.verdicts import Verdict
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.studies.claims import Limits
from edgemoe_appliance.studies.printed import PrintedFigures

positive = st.floats(min_value=0.01, max_value=1e6)
widths = st.floats(min_value=0, max_value=0.5)
bases = st.sampled_from([Basis.ROUNDING, Basis.INTERVAL])


@st.composite
def estimates(draw: st.DrawFn) -> Estimate:
    value = draw(positive)
    low, high = value * (1 - draw(widths)), value * (1 + draw(widths))
    return within(low, high, draw(bases), value)


def bounds_of(estimate: Estimate | Absent) -> Bounds:
    assert isinstance(estimate, Estimate)
    assert isinstance(estimate.bounds, Bounds)
    return estimate.bounds


@given(estimates(), estimates())
def test_bounds_hold_the_value_and_lie_inside_the_extremes(one: Estimate, other: Estimate) -> None:
    found = ratio(one, other)
    assert isinstance(found, Estimate)
    bounds = bounds_of(found)
    assert found.value == one.value / other.value
    assert bounds.low <= found.value <= bounds.high
    corners = [
        a / b
        for a, b in product(
            (bounds_of(one).low, bounds_of(one).high), (bounds_of(other).low, bounds_of(other).high)
        )
    ]
    slack = 1e-9 * max(corners)
    assert min(corners) - slack <= bounds.low
    assert bounds.high <= max(corners) + slack


@given(estimates(), estimates(), st.floats(min_value=0.001, max_value=1000))
def test_a_ratio_does_not_know_its_unit(one: Estimate, other: Estimate, factor: float) -> None:
    plain = bounds_of(ratio(one, other))
    again = bounds_of(ratio(scaled(one, factor), scaled(other, factor)))
    assert again.low == pytest.approx(plain.low, rel=1e-9, abs=1e-12)
    assert again.high == pytest.approx(plain.high, rel=1e-9, abs=1e-12)


@given(estimates())
def test_an_exact_number_widens_nothing(one: Estimate) -> None:
    doubled = bounds_of(combine(lambda a, b: a * b, one, exact(2)))
    assert doubled.high == pytest.approx(2 * bounds_of(one).high)
    assert doubled.low == pytest.approx(2 * bounds_of(one).low)
    assert bounds_of(combine(lambda a, b: a * b, exact(3), exact(2))).basis is Basis.EXACT


def test_intervals_add_as_squares_and_roundings_as_they_are() -> None:
    measured = within(9, 11, Basis.INTERVAL)
    printed = within(9, 11, Basis.ROUNDING)
    assert bounds_of(combine(lambda a, b: a + b, measured, measured)).high == pytest.approx(
        20 + math.sqrt(2)
    )
    assert bounds_of(combine(lambda a, b: a + b, printed, printed)).high == 22


def test_a_missing_bound_keeps_its_reason_and_a_zero_divides_nothing() -> None:
    unknown = Estimate(value=2.0, bounds=Absent(reason="one run"))
    found = ratio(exact(1), unknown)
    assert isinstance(found, Estimate)
    assert found.bounds == Absent(reason="one run")
    assert isinstance(ratio(exact(1), within(-1, 1, Basis.INTERVAL)), Absent)


@given(st.floats(min_value=-5, max_value=5), st.floats(min_value=0, max_value=5), positive)
def test_limits_never_both_hold_and_exclude(middle: float, width: float, tolerance: float) -> None:
    bounds = Bounds(low=middle - width, high=middle + width, basis=Basis.INTERVAL)
    for limits in (Limits(about=0, tolerance=tolerance), Limits(above=1), Limits(at_most=-1)):
        inside = [limits.low <= end <= limits.high for end in (bounds.low, bounds.high)]
        verdict = verdict_of(bounds, limits)
        if verdict is Verdict.REPRODUCED:
            assert all(inside)
        elif all(inside):
            # Only an end that the limit itself leaves out can be what keeps it open.
            assert {bounds.low, bounds.high} & {limits.low, limits.high}
        if verdict is Verdict.NOT_REPRODUCED:
            assert bounds.high <= limits.low or bounds.low >= limits.high


@pytest.mark.parametrize(
    ("limits", "value", "verdict"),
    [
        ({"below": 9}, 9, Verdict.NOT_REPRODUCED),
        ({"at_most": 9}, 9, Verdict.REPRODUCED),
        ({"above": 0}, 0, Verdict.NOT_REPRODUCED),
        ({"at_least": 100}, 100, Verdict.REPRODUCED),
        ({"about": 1, "tolerance": 0.5}, 1.5, Verdict.REPRODUCED),
    ],
)
def test_a_limit_itself_is_in_or_out_as_declared(
    limits: dict[str, float], value: float, verdict: Verdict
) -> None:
    assert verdict_of(exact(value).bounds, Limits(**limits)) is verdict


def test_without_bounds_nothing_is_decided() -> None:
    assert verdict_of(Absent(reason="one run"), Limits(above=1)) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "limits",
    [{}, {"about": 1}, {"tolerance": 1}, {"above": 1, "at_least": 1}, {"above": 2, "below": 1}],
)
def test_limits_that_mean_nothing_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValidationError):
        Limits(**limits)


@pytest.mark.parametrize(
    ("limits", "unit", "words"),
    [
        ({"about": 0.9, "tolerance": 0.05}, "ratio", "0.85 to 0.95"),
        ({"below": 9}, "%", "below 9 %"),
        ({"about": 4.5e9, "tolerance": 0.45e9}, "B", "4.05 to 4.95 GB"),
        ({"above": 1, "at_most": 2}, "W", "above 1 and at most 2 W"),
    ],
)
def test_limits_in_words(limits: dict[str, float], unit: str, words: str) -> None:
    assert limits_in_words(Limits(**limits), unit) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.000012345, "0.000012345"), (12345.678, "12345.7"), (2e9, "2000000000"), (0.9, "0.9")],
)
def test_numbers_have_no_exponent(value: float, words: str) -> None:
    assert in_words(value) == words
    assert "e" not in with_unit(value, "W")


def figures(**digits: str) -> PrintedFigures:
    names = {name.replace("__", "/"): text for name, text in digits.items()}
    return PrintedFigures(digits=names)


@pytest.mark.parametrize(
    ("digits", "low", "high"),
    [("12.30", 12.295, 12.305), ("8", 7.5, 8.5), ("0.45", 0.445, 0.455), ("120", 119.5, 120.5)],
)
def test_a_printed_number_is_known_within_its_last_digit(
    digits: str, low: float, high: float
) -> None:
    bounds = bounds_of(printed_estimate(figures(cell__mean_tok_s=digits), "cell/mean_tok_s"))
    assert (bounds.low, bounds.high) == pytest.approx((low, high))


def test_a_range_reaches_from_end_to_end_and_counts_are_exact() -> None:
    printed = figures(stated__x_gb__low="0.8", stated__x_gb__high="1.0", stated__runs__value="45")
    found = bounds_of(printed_estimate(printed, "stated/x_gb"))
    assert (found.low, found.high) == pytest.approx((0.75, 1.05))
    assert bounds_of(printed_estimate(printed, "stated/runs")).basis is Basis.EXACT
    assert printed.text("stated/x_gb") == "0.8 to 1.0"
    assert isinstance(printed_estimate(printed, "stated/y"), Absent)
    assert [name for name, _ in printed.matching("stated/*")] == ["stated/x_gb", "stated/runs"]


def measured(half: float, prompts: int, within_share: float) -> Estimate:
    return Estimate(
        value=0.97,
        bounds=Bounds(low=0.97 - half, high=0.97 + half, basis=Basis.INTERVAL),
        repeats=Repeats(repetitions=3, prompts=prompts, within_share=within_share),
    )


def test_repetitions_are_asked_for_where_they_help() -> None:
    # Half the width must fall from 0.06 to 0.03 / 1.512: the variance to a 9.14th, so 28 for 3.
    more = more_runs(measured(0.06, 15, 1.0), Limits(below=1))
    assert more is not None
    assert (more.repetitions, more.prompts) == (25, None)


def test_prompts_are_asked_for_where_repetitions_do_not_help() -> None:
    more = more_runs(measured(0.06, 15, 0.1), Limits(below=1))
    assert more is not None
    assert more.repetitions is None
    # 9.14 times the prompts are 138, a few fewer because Student's t falls too.
    assert more.prompts is not None
    assert 100 <= more.prompts <= 138 - 15


def test_for_one_prompt_student_s_t_falls_with_the_repetitions() -> None:
    # Three runs have t = 2.92, eleven 1.81: 1.81 / 2.92 x sqrt(3 / 11) is 0.324, below the 0.331
    # needed; ten give 0.344.
    more = more_runs(measured(0.06, 1, 1.0), Limits(below=1))
    assert more is not None
    assert more.repetitions == 8


@given(st.floats(min_value=0.031, max_value=0.5), st.integers(3, 40), st.floats(0, 1))
def test_a_wider_interval_never_asks_for_less(half: float, prompts: int, share: float) -> None:
    one, other = (
        more_runs(measured(each, prompts, share), Limits(below=1)) for each in (half, 1.1 * half)
    )
    assert one is not None
    assert other is not None
    if one.prompts is not None and other.prompts is not None:
        assert other.prompts >= one.prompts >= 1
    if one.repetitions is not None and other.repetitions is not None:
        assert other.repetitions >= one.repetitions >= 1


def test_a_value_on_the_limit_is_settled_by_no_number_of_runs() -> None:
    more = more_runs(measured(0.06, 15, 0.1), Limits(below=0.97))
    assert more is not None
    assert (more.repetitions, more.prompts) == (None, None)
    assert "no number of runs" in more.text


def test_too_few_units_are_told_how_many_are_missing() -> None:
    bare = Estimate(
        value=0.97,
        bounds=Absent(reason="2 prompts"),
        repeats=Repeats(repetitions=3, prompts=2, within_share=0),
    )
    more = more_runs(bare, Limits(below=1))
    assert more is not None
    assert more.text == "1 more prompt would give it an interval"
    assert more_runs(exact(1.0), Limits(below=1)) is None


def test_what_all_runs_share_widens_bounds_as_a_square() -> None:
    known = within(95.0, 108.0, Basis.INTERVAL, value=100.0)
    found = widened(known, 0.03, 0.04)
    assert isinstance(found, Estimate)
    assert isinstance(found.bounds, Bounds)
    assert found.bounds.low == pytest.approx(100 - math.hypot(5, 5))
    assert found.bounds.high == pytest.approx(100 + math.hypot(8, 5))
    assert widened(known) == known
    peak = widened(exact(10.0), 0.1)
    assert isinstance(peak, Estimate)
    assert peak.bounds == Bounds(low=9.0, high=11.0, basis=Basis.INTERVAL)
