"""Panels drawn with matplotlib: small charts with direct labels, in fixed sizes.

Equal data give equal bytes: no date, no version, no random ids, no settings of the user's. Text
stays text and is never read as a formula, as names can come from strangers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.report.palette import SHADES, model_colour

FileKind = Literal["svg", "png", "pdf"]
# One unit is one CSS pixel at the width that a phone gives a figure.
WIDTH = 420
_UNITS_PER_INCH = 72
_TITLE_HEIGHT = 30
_LINE_HEIGHT = 17
_AXIS_HEIGHT = 48
_ROW_HEIGHT = 46
_LINES_HEIGHT = 190
_MARGIN = 8
_PNG_DPI = 200

_INK, _MUTED = SHADES["ink"].light, SHADES["muted"].light
_RULE, _GROUND, _WARN = SHADES["rule"].light, SHADES["ground"].light, SHADES["warn"].light
_SETTINGS: dict[Any, Any] = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 13,
    "svg.fonttype": "none",
    # Type 3 keeps text selectable; Type 42 takes seconds per panel to cut the fonts down.
    "pdf.fonttype": 3,
    "text.color": _INK,
    "text.parse_math": False,
    "text.usetex": False,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _MUTED,
    "axes.facecolor": "none",
    "axes.formatter.use_mathtext": False,
    "xtick.color": _MUTED,
    "ytick.color": _MUTED,
    "figure.facecolor": _GROUND,
    "savefig.facecolor": "auto",
    "path.simplify": False,
}
_SHAPES = {"reader": "o", "m2": "^", "jetson": "s"}


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One value on a row; `shape` says whose it is, `low` and `high` bound its interval."""

    value: float
    shape: Literal["reader", "m2", "jetson"]
    low: float | None = None
    high: float | None = None

    @property
    def right(self) -> float:
        """Return the rightmost point of the mark."""
        return self.value if self.high is None else max(self.value, self.high)


@dataclass(frozen=True, kw_only=True)
class MarkRow:
    """One model: its values in words, its marks, and bars that start at zero behind them.

    `bounds` is the interval of the outer bar, `tick` an upright line.
    """

    label: str
    model: str | None
    text: str
    marks: tuple[Mark, ...]
    bar: float | None = None
    bounds: tuple[float, float] | None = None
    inner_bar: float | None = None
    tick: float | None = None


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
    reference: float | None = None


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
    warning: str = ""


def draw(chart: RowChart | LineChart, salt: str, kind: FileKind) -> bytes:
    """Draw a chart as a file; `salt` keeps the ids inside different panels of a page apart."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        mpl.rcParams["svg.hashsalt"] = salt
        figure = _draw_rows(chart) if isinstance(chart, RowChart) else _draw_lines(chart)
        content = _save(figure, kind)
    return _clean_svg(content) if kind == "svg" else content


def _save(figure: Figure, kind: FileKind) -> bytes:
    dated = {"svg": ("Date", "Creator", "Format", "Type"), "png": ("Software",)}
    names = dated.get(kind, ("CreationDate", "Producer", "Creator"))
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=_PNG_DPI, metadata=dict.fromkeys(names))
    return buffer.getvalue()


def _new_panel(
    chart: RowChart | LineChart, plot_height: int, *, left: int, right: int
) -> tuple[Figure, Axes]:
    """Return a figure with its title and axis name, and empty axes of `plot_height` units."""
    lines = [(line, colour) for line, colour in _lines_under_title(chart) if line]
    above = _TITLE_HEIGHT + _LINE_HEIGHT * len(lines)
    height = above + plot_height + _AXIS_HEIGHT
    figure = Figure(figsize=(WIDTH / _UNITS_PER_INCH, height / _UNITS_PER_INCH))
    margin = _MARGIN / WIDTH
    figure.text(margin, 1 - 8 / height, chart.title, va="top", fontsize=13.5, fontweight="bold")
    for place, (line, colour) in enumerate(lines):
        y = 1 - (_TITLE_HEIGHT + _LINE_HEIGHT * place - 3) / height
        figure.text(margin, y, line, va="top", fontsize=12, color=colour)
    figure.text(1 - margin, 7 / height, chart.axis, ha="right", fontsize=12, color=_MUTED)
    if isinstance(chart, RowChart):
        figure.text(margin, 7 / height, chart.key, fontsize=12, color=_MUTED)
    box = (left / WIDTH, _AXIS_HEIGHT / height, 1 - (left + right) / WIDTH, plot_height / height)
    axes = figure.add_axes(box)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0, labelsize=12)
    axes.set_axisbelow(True)
    return figure, axes


def _lines_under_title(chart: RowChart | LineChart) -> tuple[tuple[str, str], ...]:
    subtitle = chart.subtitle if isinstance(chart, LineChart) else ""
    return ((chart.warning, _WARN), (subtitle, _MUTED))


def _draw_rows(chart: RowChart) -> Figure:
    figure, axes = _new_panel(chart, _ROW_HEIGHT * len(chart.rows), left=_MARGIN, right=_MARGIN + 6)
    ends = [_right_end(row) for row in chart.rows]
    axes.set_xlim(0, 1.04 * max(ends + ([chart.reference] if chart.reference else [])))
    axes.set_ylim(len(chart.rows) - 0.42, -0.5)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, "g")))
    axes.grid(axis="x", color=_RULE, linewidth=0.8)
    if chart.reference is not None:
        axes.axvline(chart.reference, color=_MUTED, linewidth=1.2, zorder=1)
    for place, row in enumerate(chart.rows):
        _draw_row(axes, place + 0.2, row, stems=chart.reference is None)
    return figure


def _right_end(row: MarkRow) -> float:
    parts: list[float] = [*(mark.right for mark in row.marks), *(row.bounds or ())]
    return max(parts + [value for value in (row.bar, row.inner_bar, row.tick) if value is not None])


def _draw_row(axes: Axes, y: float, row: MarkRow, *, stems: bool) -> None:
    colour = model_colour(row.model)
    over_grid = {"facecolor": _GROUND, "edgecolor": "none", "pad": 1.0}
    across = axes.get_yaxis_transform()
    axes.text(0, y - 0.36, row.label, va="center", transform=across, bbox=over_grid, zorder=2)
    axes.text(1, y - 0.36, row.text, va="center", ha="right", transform=across, bbox=over_grid,
              fontweight="bold", zorder=2)  # fmt: skip
    if row.bar is not None:
        axes.barh(y, row.bar, height=0.3, color=colour, alpha=0.4, linewidth=0)
    if row.inner_bar is not None:
        axes.barh(y, row.inner_bar, height=0.3, color=colour, linewidth=0)
    if row.bounds is not None:
        axes.plot(row.bounds, [y, y], color=_INK, linewidth=1.6)
    if row.tick is not None:
        axes.plot([row.tick] * 2, [y - 0.2, y + 0.2], color=_INK, linewidth=2)
    if stems and row.bar is None:
        axes.plot([0, row.marks[0].value], [y, y], color=colour, linewidth=1.2, zorder=1)
    for mark in row.marks:
        _draw_mark(axes, y, mark, colour)


def _draw_mark(axes: Axes, y: float, mark: Mark, colour: str) -> None:
    own = mark.shape == "reader"
    if mark.low is not None and mark.high is not None:
        axes.plot([mark.low, mark.high], [y, y], color=colour, linewidth=6, alpha=0.45, zorder=2,
                  solid_capstyle="butt")  # fmt: skip
    axes.plot(
        [mark.value],
        [y],
        linestyle="none",
        marker=_SHAPES[mark.shape],
        markersize=8,
        markerfacecolor=colour if own else "none",
        markeredgecolor=colour if own else _INK,
        markeredgewidth=1.4,
        zorder=3 if own else 4,
    )


def _draw_lines(chart: LineChart) -> Figure:
    figure, axes = _new_panel(chart, _LINES_HEIGHT, left=44, right=170)
    places = range(len(chart.classes))
    axes.set_xlim(-0.08, len(chart.classes) - 1 + 0.02)
    axes.set_ylim(chart.low, chart.high)
    axes.set_xticks(list(places), list(chart.classes))
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 5, 10]))
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    for line in chart.lines:
        points = [(x, y) for x, y in zip(places, line.values, strict=True) if y is not None]
        axes.plot(
            [x for x, _ in points],
            [y for _, y in points],
            color=model_colour(line.model),
            linewidth=2,
            marker="o",
            markersize=6,
            clip_on=False,
        )
        for x, bounds in zip(places, line.bounds, strict=True):
            if bounds is not None:
                axes.plot([x, x], bounds, color=model_colour(line.model), linewidth=6, alpha=0.45)
    _label_lines(axes, chart)
    return figure


def _label_lines(axes: Axes, chart: LineChart) -> None:
    """Write each line's name at its right end, spread so that no two names overlap."""
    ends = [(line.values[-1], line) for line in chart.lines]
    drawn = sorted(((value, line) for value, line in ends if value is not None), key=lambda e: e[0])
    per_unit = _LINES_HEIGHT / (chart.high - chart.low)
    heights = spread_apart(
        [(value - chart.low) * per_unit for value, _ in drawn], _LINE_HEIGHT, _LINES_HEIGHT
    )
    last = len(chart.classes) - 1
    for at, (value, line) in zip(heights, drawn, strict=True):
        axes.annotate(
            f"{line.label} {format_number(value, 1)}",
            (last, value),
            xytext=(last + 0.16, chart.low + at / per_unit),
            va="center",
            fontsize=12,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": model_colour(line.model),
                "linewidth": 1.2,
                "relpos": (0, 0.5),
                "shrinkA": 2,
                "shrinkB": 4,
            },
        )


def spread_apart(heights: Sequence[float], distance: float, room: float) -> list[float]:
    """Return ascending heights at least `distance` apart, moved as little as a block allows.

    Blocks stay between 0 and `room` where they fit into it.
    """
    blocks: list[list[float]] = []
    for height in heights:
        blocks.append([height])
        while len(blocks) > 1 and _overlap(blocks[-2], blocks[-1], distance, room):
            upper = blocks.pop()
            blocks[-1] = blocks[-1] + upper
    return [at for block in blocks for at in _stacked(block, distance, room)]


def _stacked(block: Sequence[float], distance: float, room: float) -> list[float]:
    tall = distance * (len(block) - 1)
    start = sum(block) / len(block) - tall / 2
    start = max(0.0, min(start, room - tall))
    return [start + distance * place for place in range(len(block))]


def _overlap(lower: Sequence[float], upper: Sequence[float], distance: float, room: float) -> bool:
    gap = _stacked(upper, distance, room)[0] - _stacked(lower, distance, room)[-1]
    return gap < distance


def _clean_svg(svg: bytes) -> bytes:
    """Return the svg element alone, scalable, with only the ids that it refers to.

    The style sheet that matplotlib puts in would apply to the whole page.
    """
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    used = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', text))

    def keep(match: re.Match[str]) -> str:
        return f' id="{match[1]}"' if match[1] in used else ""

    text = re.sub(r' id="([^"]*)"', keep, text)
    return text.strip().encode() + b"\n"


def themed(svg: bytes) -> str:
    """Return an svg for the page: its colours named, so that they follow the page's theme."""
    text = svg.decode()
    for role, shade in SHADES.items():
        text = text.replace(shade.light, f"var(--{role})")
    return text
