"""Charts of rows: names and values above, marks and bars below them, over one common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    INK,
    LETTER_WIDTH,
    LINE_HEIGHT,
    MARGIN,
    MUTED,
    RULE,
    WIDTH,
    Words,
    new_panel,
    wrapped,
)
from edgemoe_appliance.report.palette import model_colour

# Heights in units: the heads of columns, the room of marks below the words, the gap below these.
_HEAD, _MARKS, _GAP = 20, 20, 6
_LEFT, _RIGHT = MARGIN, MARGIN + 6
_PLOT_WIDTH = WIDTH - _LEFT - _RIGHT
_LEAST_LABEL_WIDTH = 110
_LABEL_LINES = 3
_COLUMN_GAP = 14
_SEGMENT_SHADES = (0.35, 0.65, 1.0, 0.2)
# The first is that of the reader's marks, the others those of a study's devices in their order.
MarkShape = Literal["circle", "triangle", "square", "diamond", "cross"]
SIGNS: dict[MarkShape, str] = {
    "circle": "● ",
    "triangle": "△ ",
    "square": "□ ",
    "diamond": "◇ ",
    "cross": "✕ ",
}
_MARKERS: dict[MarkShape, str] = {
    "circle": "o",
    "triangle": "^",
    "square": "s",
    "diamond": "D",
    "cross": "X",
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One value on a row; `shape` says whose it is, `low` and `high` bound its interval."""

    value: float
    shape: MarkShape
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, ...]:
        """Return everything of the mark that must lie on the axis."""
        return tuple(end for end in (self.value, self.low, self.high) if end is not None)


@dataclass(frozen=True, kw_only=True)
class MarkRow:
    """One model: a value in words for each head of the chart, its marks, bars that stand on zero.

    `bounds` is the interval of the outer bar, `tick` an upright line. `segments` are the lengths
    of bars that follow one another.
    """

    label: str
    model: str | None
    values: tuple[str, ...]
    marks: tuple[Mark, ...] = ()
    bar: float | None = None
    bounds: tuple[float, float] | None = None
    inner_bar: float | None = None
    tick: float | None = None
    segments: tuple[float, ...] = ()

    @property
    def ends(self) -> tuple[float, ...]:
        """Return everything of the row that must lie on the axis."""
        marks = [end for mark in self.marks for end in mark.ends]
        bars = (self.bar, self.inner_bar, self.tick, sum(self.segments))
        return (*marks, *(self.bounds or ()), *(end for end in bars if end is not None))


@dataclass(frozen=True, kw_only=True)
class RowChart:
    """Rows over a common axis that holds zero; `heads` say whose the values of a column are.

    `low` and `high` are the ends of the axis, the same for all panels of a figure. `reference`
    draws an upright line; without one, a mark stands on a line from zero.
    """

    title: str
    axis: str
    heads: tuple[str, ...]
    rows: tuple[MarkRow, ...]
    low: float
    high: float
    subtitle: str = ""
    legend: str = ""
    reference: float | None = None


def draw_rows(chart: RowChart, models: Sequence[str]) -> Figure:
    """Draw a chart of rows; models have their colours by their place among `models`."""
    columns = _column_ends(chart)
    letters = int(max(_LEAST_LABEL_WIDTH, columns[0] if columns else _PLOT_WIDTH) / LETTER_WIDTH)
    labels = [wrapped(row.label, letters, _LABEL_LINES) for row in chart.rows]
    heights = [LINE_HEIGHT * len(lines) + _MARKS + _GAP for lines in labels]
    tops = list(accumulate(heights, initial=_HEAD))
    words = Words(title=chart.title, axis=chart.axis, subtitle=chart.subtitle, legend=chart.legend)
    figure, axes = new_panel(words, tops[-1], left=_LEFT, right=_RIGHT)
    room = 0.03 * (chart.high - chart.low)
    axes.set_xlim(chart.low - (room if chart.low < 0 else 0), chart.high + room)
    axes.set_ylim(tops[-1], 0)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, "g")))
    _write_values(axes, columns, chart.heads, 8, colour=MUTED)
    for row, lines, top in zip(chart.rows, labels, tops, strict=False):
        below = top + LINE_HEIGHT * len(lines)
        for place, line in enumerate(lines):
            axes.text(
                0, top + LINE_HEIGHT * (place + 0.5), line, va="center", transform=_across(axes)
            )
        _write_values(axes, columns, row.values, top + LINE_HEIGHT / 2, weight="bold")
        _draw_grid(axes, chart, below)
        stems = chart.reference is None
        _draw_row(axes, below + _MARKS / 2, row, model_colour(row.model, models), stems=stems)
    return figure


def _across(axes: Axes) -> Any:
    """Return the transform in which x is a share of the width and y a height in units."""
    return axes.get_yaxis_transform()


def _column_ends(chart: RowChart) -> list[float]:
    """Return where names end, in units from the left, then the right end of each column."""
    texts = zip(chart.heads, *(row.values for row in chart.rows), strict=True)
    widths = [max(map(len, column)) * LETTER_WIDTH + _COLUMN_GAP for column in texts]
    left = _PLOT_WIDTH - sum(widths)
    return list(accumulate(widths, initial=left))


def _write_values(
    axes: Axes,
    columns: Sequence[float],
    values: Sequence[str],
    y: float,
    *,
    colour: str = INK,
    weight: str = "normal",
) -> None:
    for end, value in zip(columns[1:], values, strict=True):
        axes.text(end / _PLOT_WIDTH, y, value, va="center", ha="right", transform=_across(axes),
                  color=colour, fontweight=weight, fontsize=12)  # fmt: skip


def _draw_grid(axes: Axes, chart: RowChart, top: float) -> None:
    """Draw the lines of the axis where marks stand, so that none runs through words."""
    low, high = axes.get_xlim()
    ends = top, top + _MARKS
    for at in axes.xaxis.get_major_locator().tick_values(low, high):
        if low <= at <= high:
            axes.plot([at, at], ends, color=RULE, linewidth=0.8, zorder=0)
    axes.plot([low, high], [ends[1]] * 2, color=RULE, linewidth=0.8, zorder=0)
    if chart.reference is not None:
        axes.plot([chart.reference] * 2, ends, color=MUTED, linewidth=1.4, zorder=1)


def _draw_row(axes: Axes, y: float, row: MarkRow, colour: str, *, stems: bool) -> None:
    if row.bar is not None:
        axes.barh(y, row.bar, height=14, color=colour, alpha=0.4, linewidth=0)
    _draw_segments(axes, y, row.segments, colour)
    if row.inner_bar is not None:
        axes.barh(y, row.inner_bar, height=14, color=colour, linewidth=0)
    if row.bounds is not None:
        axes.plot(row.bounds, [y, y], color=INK, linewidth=1.6)
    if row.tick is not None:
        axes.plot([row.tick] * 2, [y - 9, y + 9], color=INK, linewidth=2)
    if stems and row.bar is None and row.marks:
        axes.plot([0, row.marks[0].value], [y, y], color=colour, linewidth=1.2, zorder=1)
    for mark in row.marks:
        _draw_mark(axes, y, mark, colour)


def _draw_segments(axes: Axes, y: float, segments: Sequence[float], colour: str) -> None:
    """Draw bars after one another, told apart by their shade and by a gap."""
    for place, length in enumerate(segments):
        axes.barh(y, length, left=sum(segments[:place]), height=14, color=colour,
                  alpha=_SEGMENT_SHADES[place % len(_SEGMENT_SHADES)], edgecolor=GROUND,
                  linewidth=1)  # fmt: skip


def _draw_mark(axes: Axes, y: float, mark: Mark, colour: str) -> None:
    own = mark.shape == "circle"
    if mark.low is not None and mark.high is not None:
        axes.plot([mark.low, mark.high], [y, y], color=colour, linewidth=6, alpha=0.45, zorder=2,
                  solid_capstyle="butt")  # fmt: skip
    axes.plot(
        [mark.value],
        [y],
        linestyle="none",
        marker=_MARKERS[mark.shape],
        markersize=8,
        markerfacecolor=colour if own else "none",
        markeredgecolor=colour if own else INK,
        markeredgewidth=1.4,
        zorder=3 if own else 4,
        clip_on=False,
    )
