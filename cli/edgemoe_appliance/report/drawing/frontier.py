"""What is lost against what is gained: a mark for each model, hollow where another one beats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    LINE_HEIGHT,
    MUTED,
    RULE,
    Words,
    new_panel,
    spread_apart,
    wrapped,
)
from edgemoe_appliance.report.palette import model_colour

_HEIGHT = 300
_NAMES_WIDTH = 190
_NAME_LETTERS = 26


@dataclass(frozen=True, kw_only=True)
class FrontierPoint:
    """A model: what it gains and loses, each with what it is known within, and if one beats it."""

    label: str
    model: str
    gain: tuple[float, float, float]
    loss: tuple[float, float, float]
    is_beaten: bool


@dataclass(frozen=True, kw_only=True)
class FrontierChart:
    """The models of one condition: value, low and high of the gain across, of the loss upwards."""

    title: str
    subtitle: str
    axis: str
    points: tuple[FrontierPoint, ...]
    legend: str = ""


def draw_frontier(chart: FrontierChart, models: Sequence[str]) -> Figure:
    """Draw a frontier; models have their colours by their place among `models`."""
    words = Words(title=chart.title, axis=chart.axis, subtitle=chart.subtitle, legend=chart.legend)
    figure, axes = new_panel(words, _HEIGHT, left=48, right=_NAMES_WIDTH)
    losses = [point.loss[0] for point in chart.points]
    # The 16-bit file loses nothing, which has no logarithm: up to the least loss it is linear.
    smallest = min((loss for loss in losses if loss > 0), default=1.0)
    axes.set_yscale("symlog", linthresh=smallest)
    axes.set_ylim(-smallest / 2, 1.6 * max(*losses, smallest))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, "g")))
    ends = [end for point in chart.points for end in point.gain]
    margin = 0.1 * (max(ends) - min(ends)) or 0.1 * max(ends)
    axes.set_xlim(min(ends) - margin, max(ends) + margin)
    axes.grid(color=RULE, linewidth=0.8)
    for point in chart.points:
        colour = model_colour(point.model, models)
        (gain, low, high), (loss, least, most) = point.gain, point.loss
        axes.plot([low, high], [loss, loss], color=colour, linewidth=1.2)
        axes.plot([gain, gain], [least, most], color=colour, linewidth=1.2)
        axes.plot([gain], [loss], marker="o", markersize=9, markeredgecolor=colour,
                  markerfacecolor=GROUND if point.is_beaten else colour, markeredgewidth=2,
                  color=colour)  # fmt: skip
    ordered = sorted(chart.points, key=lambda point: point.loss[0])
    to_units = axes.transData + axes.transAxes.inverted()
    places = [to_units.transform((point.gain[0], point.loss[0])) for point in ordered]
    names = [wrapped(point.label, _NAME_LETTERS) for point in ordered]
    tall = LINE_HEIGHT * max(map(len, names), default=1)
    spread = spread_apart([float(place[1]) * _HEIGHT for place in places], tall, _HEIGHT)
    for name, place, height in zip(names, places, spread, strict=True):
        axes.plot([float(place[0]), 1.03], [float(place[1]), height / _HEIGHT],
                  transform=axes.transAxes, color=RULE,
                  linewidth=0.8, clip_on=False, zorder=1)  # fmt: skip
        axes.text(1.04, height / _HEIGHT, "\n".join(name), transform=axes.transAxes, va="center",
                  fontsize=12, linespacing=1.15, clip_on=False, color=MUTED)  # fmt: skip
    return figure
