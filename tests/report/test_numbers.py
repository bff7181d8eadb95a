"""Numbers as printed: fixed digits, honest zeros, readable signs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.report.numbers import format_interval, format_number


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (0.0, 2, "0.00"),
        (1.25, 1, "1.2"),
        (127.4, 1, "127.4"),
        (9999.0, 0, "9999"),
        (27751.0, 0, "27\N{NARROW NO-BREAK SPACE}751"),
        (-3.21, 1, "\N{MINUS SIGN}3.2"),
        (0.004, 1, "0.004"),
        (-0.0004, 2, "\N{MINUS SIGN}0.0004"),
        (0.96, 0, "1"),
        (0.00001, 1, "<0.001"),  # a pause that was none
        (-0.00001, 1, ">\N{MINUS SIGN}0.001"),
        (0.001, 1, "0.001"),
    ],
)
def test_format(value: float, digits: int, text: str) -> None:
    assert format_number(value, digits) == text


@given(st.floats(min_value=1e-8, max_value=1e9), st.integers(min_value=0, max_value=4))
def test_what_is_not_zero_does_not_read_as_zero(value: float, digits: int) -> None:
    text = format_number(value, digits).replace("\N{NARROW NO-BREAK SPACE}", "")
    assert float(text.removeprefix("<")) > 0


def test_intervals() -> None:
    assert format_interval(Interval(low=0.9, high=1.1), 1) == "0.9\N{EN DASH}1.1"
    assert format_interval(Interval(low=-0.9, high=1.1), 1) == "\N{MINUS SIGN}0.9 to 1.1"
