"""Rates against what a memory bandwidth allows: points below or above a line, both axes log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    INK,
    LINE_HEIGHT,
    MUTED,
    RULE,
    Words,
    new_panel,
    spread_apart,
    wrapped,
)
from edgemoe_appliance.report.palette import model_colour

_HEIGHT = 250
_NAMES_WIDTH = 150
_NAME_LETTERS = 20


@dataclass(frozen=True, kw_only=True)
class RoofPoint:
    """A model's rate at the bytes that it reads for a token, active ones and, hollow, all."""

    label: str
    model: str
    rate_tok_s: float
    active_gb: float
    total_gb: float | None = None


@dataclass(frozen=True, kw_only=True)
class RoofChart:
    """The models of one condition under the ceiling of its peak bandwidth, in GB/s."""

    title: str
    subtitle: str
    bandwidth_gb_s: float
    points: tuple[RoofPoint, ...]
    legend: str = ""


def draw_roofline(chart: RoofChart, models: Sequence[str]) -> Figure:
    """Draw a roofline; models have their colours by their place among `models`."""
    words = Words(
        title=chart.title,
        axis="GB read for a token",
        subtitle=chart.subtitle,
        legend=chart.legend,
    )
    figure, axes = new_panel(words, _HEIGHT, left=40, right=_NAMES_WIDTH)
    sizes = [size for p in chart.points for size in (p.active_gb, p.total_gb or p.active_gb)]
    left, right = min(sizes) / 1.6, max(sizes) * 1.6
    rates = [point.rate_tok_s for point in chart.points]
    ceiling = [chart.bandwidth_gb_s / left, chart.bandwidth_gb_s / right]
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    axes.set_ylim(min(*rates, ceiling[1]) / 1.5, max(*rates, ceiling[0]) * 1.2)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: format(value, "g")))
    axes.grid(color=RULE, linewidth=0.8)
    axes.plot([left, right], ceiling, color=INK, linewidth=2)
    for point in chart.points:
        _draw_point(axes, point, models)
    _name_points(axes, chart, models)
    return figure


def _draw_point(axes: Axes, point: RoofPoint, models: Sequence[str]) -> None:
    colour = model_colour(point.model, models)
    if point.total_gb is not None:
        axes.plot([point.active_gb, point.total_gb], [point.rate_tok_s] * 2, color=colour,
                  linewidth=1.2, linestyle=(0, (2, 2)))  # fmt: skip
        axes.plot([point.total_gb], [point.rate_tok_s], marker="o", markersize=9,
                  markerfacecolor=GROUND, markeredgecolor=colour, markeredgewidth=2)  # fmt: skip
    axes.plot([point.active_gb], [point.rate_tok_s], marker="o", markersize=9, color=colour)


def _name_points(axes: Axes, chart: RoofChart, models: Sequence[str]) -> None:
    """Write each model's name and share of the bandwidth beside the plot, none over another."""
    ordered = sorted(chart.points, key=lambda point: point.rate_tok_s)
    to_units = axes.transData + axes.transAxes.inverted()
    heights = [
        float(to_units.transform((point.active_gb, point.rate_tok_s))[1]) * _HEIGHT
        for point in ordered
    ]
    names = [wrapped(point.label, _NAME_LETTERS) for point in ordered]
    tall = LINE_HEIGHT * (1 + max(map(len, names), default=1))
    spread = spread_apart(heights, tall, _HEIGHT)
    for point, name, at, height in zip(ordered, names, heights, spread, strict=True):
        shown = point.total_gb or point.active_gb
        end = float(to_units.transform((shown, point.rate_tok_s))[0])
        axes.plot([end, 1.03], [at / _HEIGHT, height / _HEIGHT], transform=axes.transAxes,
                  color=model_colour(point.model, models), linewidth=0.8, clip_on=False,
                  zorder=1)  # fmt: skip
        text = "\n".join((*name, _shares(point, chart.bandwidth_gb_s)))
        axes.text(1.04, height / _HEIGHT, text, transform=axes.transAxes, va="center",
                  fontsize=12, linespacing=1.15, clip_on=False, color=MUTED)  # fmt: skip


def _shares(point: RoofPoint, bandwidth_gb_s: float) -> str:
    """Return the traffic as a share of the bandwidth, by active and by all bytes."""
    share = 100 * point.rate_tok_s * point.active_gb / bandwidth_gb_s
    if point.total_gb is None:
        return f"{share:.0f} % of peak"
    return (
        f"{share:.0f} %, all bytes {100 * point.rate_tok_s * point.total_gb / bandwidth_gb_s:.0f} %"
    )
