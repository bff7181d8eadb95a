"""What is lost against what is gained: a mark for each model, hollow where another one beats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
    LINE_HEIGHT,
    RULE,
    PanelWords,
    Plot,
    Sheet,
    Sign,
    new_plot,
    spread_apart,
    wrapped,
)
from edgemoe_appliance.report.drawing.scales import LinearScale, LogFromZeroScale
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


def draw_frontier(chart: FrontierChart, models: Sequence[str]) -> Sheet:
    """Draw a frontier; models have their colours by their place among `models`."""
    words = PanelWords(
        title=chart.title, axis=chart.axis, subtitle=chart.subtitle, legend=chart.legend
    )
    losses = [point.loss[0] for point in chart.points]
    # The 16-bit file loses nothing, which has no logarithm: up to the least loss it is linear.
    smallest = min((loss for loss in losses if loss > 0), default=1.0)
    up = LogFromZeroScale(low=-smallest / 2, high=1.6 * max(*losses, smallest), smallest=smallest)
    ends = [end for point in chart.points for end in point.gain]
    margin = 0.1 * (max(ends) - min(ends)) or 0.1 * max(ends)
    across = LinearScale(low=min(ends) - margin, high=max(ends) + margin)
    height = max(_HEIGHT, _name_height(chart) * len(chart.points))
    plot = new_plot(words, height, across, up, left=48, right=_NAMES_WIDTH)
    plot.grid_across()
    plot.name_up()
    plot.name_across()
    for point in chart.points:
        _draw_point(plot, point, model_colour(point.model, models))
    _name_points(plot, chart)
    return plot.sheet


def _draw_point(plot: Plot, point: FrontierPoint, colour: str) -> None:
    (gain, low, high), (loss, least, most) = point.gain, point.loss
    plot.sheet.draw(plot.at(low, loss), plot.at(high, loss), colour=colour, width=1.2)
    # What is uncertain may reach beyond the axis, which is that of the values.
    lower, upper = (min(max(plot.up(end), plot.top), plot.bottom) for end in (least, most))
    x = plot.across(gain)
    plot.sheet.draw((x, lower), (x, upper), colour=colour, width=1.2)
    fill = GROUND if point.is_beaten else colour
    plot.sheet.pieces.append(
        Sign(at=plot.at(gain, loss), shape="circle", size=9, edge=colour, edge_width=2, fill=fill)
    )


def _name_points(plot: Plot, chart: FrontierChart) -> None:
    """Write each model's name beside the plot, none over another."""
    ordered = sorted(chart.points, key=lambda point: point.loss[0])
    names = [wrapped(point.label, _NAME_LETTERS) for point in ordered]
    tall = _name_height(chart)
    heights = [plot.bottom - plot.up(point.loss[0]) for point in ordered]
    # Half of the topmost name stands above its middle, and must not reach the words above the plot.
    room = plot.height - tall / 2
    for point, name, height in zip(ordered, names, spread_apart(heights, tall, room), strict=True):
        plot.name_beside(plot.at(point.gain[0], point.loss[0]), name, height, RULE)


def _name_height(chart: FrontierChart) -> float:
    """Return the height of the name that takes most lines."""
    names = (wrapped(point.label, _NAME_LETTERS) for point in chart.points)
    return LINE_HEIGHT * max(map(len, names), default=1)
