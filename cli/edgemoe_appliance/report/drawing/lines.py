"""Charts of lines over the classes of prompt length, each named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgemoe_appliance.report.drawing.canvas import (
    INK,
    LINE_HEIGHT,
    PanelWords,
    Plot,
    Sheet,
    Sign,
    new_plot,
    spread_apart,
    wrapped,
)
from edgemoe_appliance.report.drawing.scales import LinearScale
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.report.palette import model_colour

_LINES_HEIGHT = 190
_NAME_LETTERS = 18
_NAME_LINES = 5
_NAME_GAP = 12


@dataclass(frozen=True, kw_only=True)
class Line:
    """One model over the classes of prompt length, None where there is no value or interval."""

    label: str
    model: str | None
    values: tuple[float | None, ...]
    bounds: tuple[tuple[float, float] | None, ...]


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Lines over named classes; `low` and `high` bound the axis so that panels compare."""

    title: str
    subtitle: str
    axis: str
    classes: tuple[str, ...]
    lines: tuple[Line, ...]
    low: float
    high: float
    legend: str = ""


def draw_lines(chart: LineChart, models: Sequence[str]) -> Sheet:
    """Draw a chart of lines; models have their colours by their place among `models`."""
    words = PanelWords(
        title=chart.title, axis=chart.axis, subtitle=chart.subtitle, legend=chart.legend
    )
    across = LinearScale(low=-0.08, high=len(chart.classes) - 1 + 0.02)
    up = LinearScale(low=chart.low, high=chart.high)
    plot = new_plot(words, _LINES_HEIGHT, across, up, left=40, right=150)
    plot.name_up()
    for place, name in enumerate(chart.classes):
        plot.write_below(plot.across(place), name)
    for line in chart.lines:
        _draw_line(plot, line, model_colour(line.model, models))
    _label_lines(plot, chart, models)
    return plot.sheet


def _draw_line(plot: Plot, line: Line, colour: str) -> None:
    for x, bounds in enumerate(line.bounds):
        if bounds is not None:
            ends = [plot.at(x, end) for end in bounds]
            plot.sheet.draw(*ends, colour=colour, width=6, opacity=0.45)
    points = [plot.at(x, y) for x, y in enumerate(line.values) if y is not None]
    plot.sheet.draw(*points, colour=colour, width=2)
    plot.sheet.pieces += [
        Sign(at=point, shape="circle", size=6, edge=colour, edge_width=1, fill=colour)
        for point in points
    ]


def _label_lines(plot: Plot, chart: LineChart, models: Sequence[str]) -> None:
    """Write each line's name at its right end, spread so that no two names overlap."""
    ends = [(line.values[-1], line) for line in chart.lines]
    drawn = sorted(((value, line) for value, line in ends if value is not None), key=lambda e: e[0])
    names = [
        wrapped(f"{line.label} {format_number(value, 1)}", _NAME_LETTERS, _NAME_LINES)
        for value, line in drawn
    ]
    heights = spread_apart(
        [plot.bottom - plot.up(value) for value, _ in drawn],
        LINE_HEIGHT * max(map(len, names), default=1),
        _LINES_HEIGHT,
    )
    last = len(chart.classes) - 1
    for height, name, (value, line) in zip(heights, names, drawn, strict=True):
        (x, y), beside = plot.at(last, value), plot.bottom - height
        left = plot.right + _NAME_GAP
        colour = model_colour(line.model, models)
        plot.sheet.draw((x + 4, y), (left - 2, beside), colour=colour, width=1.2)
        plot.sheet.write(name, left, beside, colour=INK)
