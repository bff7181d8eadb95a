"""Charts of lines over the classes of prompt length, each named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from edgemoe_appliance.report.drawing.canvas import (
    LINE_HEIGHT,
    RULE,
    Words,
    new_panel,
    spread_apart,
    wrapped,
)
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.report.palette import model_colour

_LINES_HEIGHT = 190
_NAME_LETTERS = 18
_NAME_LINES = 5


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


def draw_lines(chart: LineChart, models: Sequence[str]) -> Figure:
    """Draw a chart of lines; models have their colours by their place among `models`."""
    words = Words(title=chart.title, axis=chart.axis, subtitle=chart.subtitle, legend=chart.legend)
    figure, axes = new_panel(words, _LINES_HEIGHT, left=40, right=150)
    places = range(len(chart.classes))
    axes.set_xlim(-0.08, len(chart.classes) - 1 + 0.02)
    axes.set_ylim(chart.low, chart.high)
    axes.set_xticks(list(places), list(chart.classes))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    for line in chart.lines:
        colour = model_colour(line.model, models)
        points = [(x, y) for x, y in zip(places, line.values, strict=True) if y is not None]
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            color=colour,
            linewidth=2,
            marker="o",
            markersize=6,
            clip_on=False,
        )
        for x, bounds in zip(places, line.bounds, strict=True):
            if bounds is not None:
                axes.plot(
                    [x, x], bounds, color=model_colour(line.model, models), linewidth=6, alpha=0.45
                )
    _label_lines(axes, chart, models)
    return figure


def _label_lines(axes: Axes, chart: LineChart, models: Sequence[str]) -> None:
    """Write each line's name at its right end, spread so that no two names overlap."""
    ends = [(line.values[-1], line) for line in chart.lines]
    drawn = sorted(((value, line) for value, line in ends if value is not None), key=lambda e: e[0])
    per_unit = _LINES_HEIGHT / (chart.high - chart.low)
    names = [
        wrapped(f"{line.label} {format_number(value, 1)}", _NAME_LETTERS, _NAME_LINES)
        for value, line in drawn
    ]
    heights = spread_apart(
        [(value - chart.low) * per_unit for value, _ in drawn],
        LINE_HEIGHT * max(map(len, names), default=1),
        _LINES_HEIGHT,
    )
    last = len(chart.classes) - 1
    for at, name, (value, line) in zip(heights, names, drawn, strict=True):
        axes.annotate(
            "\n".join(name),
            (last, value),
            xytext=(last + 0.16, chart.low + at / per_unit),
            va="center",
            fontsize=12,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": model_colour(line.model, models),
                "linewidth": 1.2,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 4,
            },
        )
