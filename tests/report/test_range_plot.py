"""Small plots: the band is what was asked, the bar the interval, nothing is off the paper."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgemoe_appliance.report.range_plot import (
    LimitBand,
    PlotMark,
    ValueAxis,
    draw_names,
    draw_row,
    draw_scaled,
)

FINITE = st.floats(min_value=-1e9, max_value=1e9)


def attribute(svg: str, kind: str, name: str) -> float:
    (element,) = (e for e in ET.fromstring(svg) if e.get("class") == kind)
    return float(str(element.get(name)).rstrip("%"))


def axis_of(asked: LimitBand, *values: float) -> ValueAxis:
    axis = ValueAxis.around(asked, values)
    assert axis is not None
    return axis


def test_a_value_inside_the_limits_lies_on_the_band() -> None:
    svg = draw_row(axis_of(LimitBand(low=0.85, high=0.95), 0.9, 0.88, 0.92), 0.9, (0.88, 0.92))
    left = attribute(svg, "r-band", "x")
    right = left + attribute(svg, "r-band", "width")
    assert left < attribute(svg, "r-bar", "x1") < attribute(svg, "r-dot", "cx")
    assert attribute(svg, "r-dot", "cx") < attribute(svg, "r-bar", "x2") < right


def test_an_open_end_reaches_the_edge() -> None:
    svg = draw_row(axis_of(LimitBand(low=1.0), 0.9), 0.9, None)
    assert attribute(svg, "r-band", "x") + attribute(svg, "r-band", "width") == pytest.approx(100)
    assert attribute(svg, "r-dot", "cx") < attribute(svg, "r-band", "x")
    assert "r-bar" not in svg


def test_a_line_to_compare_with_has_no_band() -> None:
    svg = draw_row(axis_of(LimitBand(line=1.0), 0.9, 1.3), 0.9, None)
    assert "r-band" not in svg
    assert svg.count("r-edge") == 1


@given(st.lists(FINITE, min_size=1, max_size=5), FINITE)
def test_nothing_is_off_the_paper(values: list[float], limit: float) -> None:
    axis = axis_of(LimitBand(high=limit), *values)
    for value in values:
        svg = draw_row(axis, value, (min(values), max(values)))
        assert all(0 <= float(x) <= 100 for x in re.findall(r'(?:x|cx|x1|x2)="(-?[\d.]+)%"', svg))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_not_drawn(value: float) -> None:
    assert ValueAxis.around(LimitBand(low=1.0), [value]) is None


def test_names_that_would_overlap_are_one() -> None:
    near, far = LimitBand(low=0.9, high=1.1), LimitBand(low=0.0, high=10.0)
    assert draw_names(axis_of(near, 15.0), str).count("<text") == 1
    assert draw_names(axis_of(far, 5.0), str).count("<text") == 2


def test_names_are_escaped() -> None:
    names = draw_names(axis_of(LimitBand(low=1.0), 2.0), lambda _: "<script>")
    assert "<script>" not in names
    assert "&lt;script&gt;" in names


INF = math.inf


@pytest.mark.parametrize(
    ("low", "high", "value", "is_inside"),
    [
        (0.85, 0.95, 0.9, True),
        (0.85, 0.95, 0.96, False),
        (1.0, INF, 1.2, True),
        (1.0, INF, 0.9, False),
        (-INF, 9.0, 8.0, True),
        (-INF, 9.0, 33.0, False),
        (0.0, INF, 3.2e9, True),  # a limit of 0 has no unit of its own
        (-INF, 2.0, -40.0, True),  # far off: an arrow at the edge
    ],
)
def test_all_limits_have_one_band(low: float, high: float, value: float, is_inside: bool) -> None:
    mark = PlotMark(value=value, bounds=None, is_hollow=False)
    svg = draw_scaled(LimitBand(low=low, high=high), [mark])
    assert svg is not None
    left = attribute(svg, "r-band", "x")
    right = left + attribute(svg, "r-band", "width")
    assert round(left) == (33 if math.isfinite(low) else 0)
    assert round(right) == (67 if math.isfinite(high) else 100)
    shapes = [e for e in ET.fromstring(svg).iter() if e.get("class") == "r-dot own"]
    (shape,) = shapes
    place = shape.get("cx") or next(e.get("x") for e in ET.fromstring(svg) if e.tag == "svg")
    assert (left <= float(str(place).rstrip("%")) <= right) is is_inside


def test_the_study_s_numbers_are_hollow_and_what_is_not_finite_is_not_drawn() -> None:
    asked = LimitBand(line=1.0)
    marks = [
        PlotMark(value=0.9, bounds=(0.8, 1.0), is_hollow=True),
        PlotMark(value=1.1, bounds=None, is_hollow=False),
    ]
    svg = str(draw_scaled(asked, marks))
    assert (svg.count("r-dot study"), svg.count("r-dot own")) == (1, 1)
    assert 'class="r-bar study"' in svg
    beyond = PlotMark(value=INF, bounds=None, is_hollow=False)
    assert draw_scaled(asked, [*marks, beyond]) is None
