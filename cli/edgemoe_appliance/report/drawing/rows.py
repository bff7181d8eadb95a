"""Charts of rows: names and values above, marks and bars below them, over one common axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    INK,
    LETTER_WIDTH,
    LINE_HEIGHT,
    MARGIN,
    MUTED,
    RULE,
    WIDTH,
    Box,
    MarkShape,
    PanelWords,
    Plot,
    Sheet,
    Sign,
    new_plot,
    wrapped,
)
from edgemoe_appliance.report.drawing.scales import LinearScale
from edgemoe_appliance.report.palette import model_colour

# Heights in units: the heads of columns, the room of marks below the words, the gap below these.
_HEAD, _MARKS, _GAP = 20, 20, 6
_LEFT, _RIGHT = MARGIN, MARGIN + 6
_PLOT_WIDTH = WIDTH - _LEFT - _RIGHT
_LABEL_LINES = 3
_COLUMN_GAP = 14
_SEGMENT_SHADES = (0.35, 0.65, 1.0, 0.2)
_BAR_HEIGHT = 14
SIGNS: dict[MarkShape, str] = {
    "circle": "● ",
    "triangle": "△ ",
    "square": "□ ",
    "diamond": "◇ ",
    "cross": "✕ ",
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


def draw_rows(chart: RowChart, models: Sequence[str]) -> Sheet:
    """Draw a chart of rows; models have their colours by their place among `models`."""
    columns = _column_ends(chart)
    letters = int(min(_label_width(row, columns) for row in chart.rows) / LETTER_WIDTH)
    # Where names do not fit beside the values, these stand on a line of their own.
    own_line = 0 if all(_fits(row.label, letters) for row in chart.rows) else LINE_HEIGHT
    letters = int(_PLOT_WIDTH / LETTER_WIDTH) if own_line else letters
    labels = [wrapped(row.label, letters, _LABEL_LINES) for row in chart.rows]
    heights = [LINE_HEIGHT * len(lines) + own_line + _MARKS + _GAP for lines in labels]
    tops = list(accumulate(heights, initial=_HEAD))
    words = PanelWords(
        title=chart.title, axis=chart.axis, subtitle=chart.subtitle, legend=chart.legend
    )
    room = 0.03 * (chart.high - chart.low)
    across = LinearScale(low=chart.low - (room if chart.low < 0 else 0), high=chart.high + room)
    up = LinearScale(low=tops[-1], high=0)
    plot = new_plot(words, tops[-1], across, up, left=_LEFT, right=_RIGHT)
    plot.name_across()
    _write_values(plot, columns, chart.heads, 8, colour=MUTED)
    for row, lines, top in zip(chart.rows, labels, tops, strict=False):
        names = LINE_HEIGHT * len(lines)
        plot.sheet.write(lines, plot.left, plot.up(top + names / 2), size=12.5, colour=INK)
        beside = top + (names if own_line else 0) + LINE_HEIGHT / 2
        _write_values(plot, columns, row.values, beside, colour=INK, is_bold=True)
        tall = names + own_line
        _draw_grid(plot, chart, top + tall)
        stems = chart.reference is None
        middle = plot.up(top + tall + _MARKS / 2)
        _draw_row(plot, middle, row, model_colour(row.model, models), stems=stems)
    return plot.sheet


def _label_width(row: MarkRow, columns: Sequence[float]) -> float:
    """Return the units from the left that the first value of a row leaves to its name."""
    ends = zip(columns[1:], row.values, strict=True)
    starts = (end - len(value) * LETTER_WIDTH - _COLUMN_GAP for end, value in ends if value)
    return min(starts, default=_PLOT_WIDTH)


def _fits(label: str, letters: int) -> bool:
    """Return whether a name can be broken into the lines that a row has for it."""
    if letters < max(map(len, label.split()), default=0):
        return False
    return len(wrapped(label, letters, most=len(label) + 1)) <= _LABEL_LINES


def _column_ends(chart: RowChart) -> list[float]:
    """Return where names end, in units from the left, then the right end of each column."""
    texts = zip(chart.heads, *(row.values for row in chart.rows), strict=True)
    widths = [max(map(len, column)) * LETTER_WIDTH + _COLUMN_GAP for column in texts]
    left = _PLOT_WIDTH - sum(widths)
    return list(accumulate(widths, initial=left))


def _write_values(
    plot: Plot,
    columns: Sequence[float],
    values: Sequence[str],
    y: float,
    *,
    colour: str,
    is_bold: bool = False,
) -> None:
    for end, value in zip(columns[1:], values, strict=True):
        if value:
            plot.sheet.write([value], plot.left + end, plot.up(y), colour=colour, anchor="end",
                             is_bold=is_bold)  # fmt: skip


def _draw_grid(plot: Plot, chart: RowChart, top: float) -> None:
    """Draw the lines of the axis where marks stand, so that none runs through words."""
    upper, lower = plot.up(top), plot.up(top + _MARKS)
    for value in plot.x.ticks():
        x = plot.across(value)
        plot.sheet.draw((x, upper), (x, lower), colour=RULE, width=0.8)
    plot.sheet.draw((plot.left, lower), (plot.right, lower), colour=RULE, width=0.8)
    if chart.reference is not None:
        x = plot.across(chart.reference)
        plot.sheet.draw((x, upper), (x, lower), colour=MUTED, width=1.4)


def _draw_row(plot: Plot, y: float, row: MarkRow, colour: str, *, stems: bool) -> None:
    """Draw the marks and bars of a row around a height of the sheet."""
    zero = plot.across(0)
    if stems and row.bar is None and row.marks:
        plot.sheet.draw((zero, y), (plot.across(row.marks[0].value), y), colour=colour, width=1.2)
    if row.bar is not None:
        _draw_bar(plot, y, (0, row.bar), colour, opacity=0.4)
    for place, length in enumerate(row.segments):
        start = sum(row.segments[:place])
        shade = _SEGMENT_SHADES[place % len(_SEGMENT_SHADES)]
        _draw_bar(plot, y, (start, start + length), colour, opacity=shade, edge=GROUND)
    if row.inner_bar is not None:
        _draw_bar(plot, y, (0, row.inner_bar), colour)
    if row.bounds is not None:
        low, high = map(plot.across, row.bounds)
        plot.sheet.draw((low, y), (high, y), colour=INK, width=1.6)
    if row.tick is not None:
        x = plot.across(row.tick)
        plot.sheet.draw((x, y - 9), (x, y + 9), colour=INK, width=2)
    for mark in row.marks:
        _draw_mark(plot, y, mark, colour)


def _draw_bar(
    plot: Plot, y: float, ends: tuple[float, float], colour: str, *, opacity: float = 1.0,
    edge: str = "",
) -> None:  # fmt: skip
    """Draw a bar; one with an edge is told apart from the next by it."""
    left, right = sorted(map(plot.across, ends))
    plot.sheet.pieces.append(
        Box(
            left=left,
            top=y - _BAR_HEIGHT / 2,
            width=right - left,
            height=_BAR_HEIGHT,
            colour=colour,
            opacity=opacity,
            edge=edge,
        )
    )


def _draw_mark(plot: Plot, y: float, mark: Mark, colour: str) -> None:
    own = mark.shape == "circle"
    if mark.low is not None and mark.high is not None:
        low, high = plot.across(mark.low), plot.across(mark.high)
        plot.sheet.draw((low, y), (high, y), colour=colour, width=6, opacity=0.45)
    plot.sheet.pieces.append(
        Sign(
            at=(plot.across(mark.value), y),
            shape=mark.shape,
            size=8,
            edge=colour if own else INK,
            edge_width=1.4,
            fill=colour if own else "",
        )
    )
