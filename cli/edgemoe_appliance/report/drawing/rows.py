"""Charts of rows: one model or kind a row, values as marks and bars over a common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    INK,
    MARGIN,
    MUTED,
    RULE,
    Words,
    new_panel,
)
from edgemoe_appliance.report.palette import model_colour

_ROW_HEIGHT = 46
_SEGMENT_SHADES = (0.35, 0.65, 1.0, 0.2)
# The first is that of the reader's marks, the others those of a study's devices in their order.
MarkShape = Literal["circle", "triangle", "square", "diamond", "cross"]
_MARKERS: dict[MarkShape, str] = {
    "circle": "o",
    "triangle": "^",
    "square": "s",
    "diamond": "D",
    "cross": "X",
}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One value on a row; `shape` says whose it is, `low` and `high` bound its interval.

    Without a value it is a range, drawn as a line with ends.
    """

    value: float | None
    shape: MarkShape
    low: float | None = None
    high: float | None = None

    @property
    def right(self) -> float:
        """Return the rightmost point of the mark."""
        return max(end for end in (self.value, self.high, 0.0) if end is not None)


@dataclass(frozen=True, kw_only=True)
class MarkRow:
    """One model: its values in words, its marks, and bars that start at zero behind them.

    `bounds` is the interval of the outer bar, `tick` an upright line. `segments` are the lengths
    of bars that follow one another.
    """

    label: str
    model: str | None
    text: str
    marks: tuple[Mark, ...]
    bar: float | None = None
    bounds: tuple[float, float] | None = None
    inner_bar: float | None = None
    tick: float | None = None
    segments: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RowChart:
    """Rows of marks over a common axis that starts at zero.

    `reference` draws an upright line; without one, each mark stands on a line from zero.
    """

    title: str
    axis: str
    rows: tuple[MarkRow, ...]
    key: str = ""
    warning: str = ""
    subtitle: str = ""
    reference: float | None = None


def draw_rows(chart: RowChart, models: Sequence[str]) -> Figure:
    """Draw a chart of rows; models have their colours by their place among `models`."""
    words = Words(
        title=chart.title,
        axis=chart.axis,
        warning=chart.warning,
        subtitle=chart.subtitle,
        key=chart.key,
    )
    figure, axes = new_panel(words, _ROW_HEIGHT * len(chart.rows), left=MARGIN, right=MARGIN + 6)
    ends = [_right_end(row) for row in chart.rows]
    right = max(ends + ([chart.reference] if chart.reference else []))
    axes.set_xlim(0, 1.04 * right or 1.0)
    axes.set_ylim(len(chart.rows) - 0.42, -0.5)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, "g")))
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=MUTED, linewidth=1.2, zorder=1)
    for place, row in enumerate(chart.rows):
        colour = model_colour(row.model, models)
        _draw_row(axes, place + 0.2, row, colour, stems=chart.reference is None)
    return figure


def _right_end(row: MarkRow) -> float:
    parts: list[float] = [*(mark.right for mark in row.marks), *(row.bounds or ())]
    bars = (row.bar, row.inner_bar, row.tick, sum(row.segments))
    return max(parts + [value for value in bars if value is not None])


def _draw_row(axes: Axes, y: float, row: MarkRow, colour: str, *, stems: bool) -> None:
    over_grid = {"facecolor": GROUND, "edgecolor": "none", "pad": 1.0}
    across = axes.get_yaxis_transform()
    axes.text(0, y - 0.36, row.label, va="center", transform=across, bbox=over_grid, zorder=2)
    axes.text(1, y - 0.36, row.text, va="center", ha="right", transform=across, bbox=over_grid,
              fontweight="bold", zorder=2)  # fmt: skip
    if row.bar is not None:
        axes.barh(y, row.bar, height=0.3, color=colour, alpha=0.4, linewidth=0)
    _draw_segments(axes, y, row.segments, colour)
    if row.inner_bar is not None:
        axes.barh(y, row.inner_bar, height=0.3, color=colour, linewidth=0)
    if row.bounds is not None:
        axes.plot(row.bounds, [y, y], color=INK, linewidth=1.6)
    if row.tick is not None:
        axes.plot([row.tick] * 2, [y - 0.2, y + 0.2], color=INK, linewidth=2)
    first = row.marks[0].value if row.marks else None
    if stems and row.bar is None and first is not None:
        axes.plot([0, first], [y, y], color=colour, linewidth=1.2, zorder=1)
    for mark in row.marks:
        _draw_mark(axes, y, mark, colour)


def _draw_segments(axes: Axes, y: float, segments: Sequence[float], colour: str) -> None:
    """Draw bars after one another, told apart by their shade and by a gap."""
    for place, length in enumerate(segments):
        axes.barh(y, length, left=sum(segments[:place]), height=0.3, color=colour,
                  alpha=_SEGMENT_SHADES[place % len(_SEGMENT_SHADES)], edgecolor=GROUND,
                  linewidth=1)  # fmt: skip


def _draw_mark(axes: Axes, y: float, mark: Mark, colour: str) -> None:
    own = mark.shape == "circle"
    if mark.value is None:
        axes.plot([mark.low or 0.0, mark.high or 0.0], [y, y], color=INK, linewidth=1.6, zorder=4,
                  marker="|", markersize=11)  # fmt: skip
        return
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
    )
