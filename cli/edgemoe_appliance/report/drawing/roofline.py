"""Rates against what a memory bandwidth allows: points below or above a line, both axes log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgemoe_appliance.report.drawing.canvas import (
    GROUND,
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
from edgemoe_appliance.report.drawing.scales import LogScale
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


def draw_roofline(chart: RoofChart, models: Sequence[str]) -> Sheet:
    """Draw a roofline; models have their colours by their place among `models`."""
    words = PanelWords(
        title=chart.title,
        axis="GB read for a token",
        subtitle=chart.subtitle,
        legend=chart.legend,
    )
    sizes = [size for p in chart.points for size in (p.active_gb, p.total_gb or p.active_gb)]
    left, right = min(sizes) / 1.6, max(sizes) * 1.6
    rates = [point.rate_tok_s for point in chart.points]
    ceiling = [chart.bandwidth_gb_s / left, chart.bandwidth_gb_s / right]
    low, high = min(*rates, ceiling[1]) / 1.5, max(*rates, ceiling[0]) * 1.2
    across, up = LogScale(low=left, high=right), LogScale(low=low, high=high)
    plot = new_plot(words, _HEIGHT, across, up, left=40, right=_NAMES_WIDTH)
    plot.grid_across()
    plot.name_up()
    plot.name_across()
    ends = plot.at(left, ceiling[0]), plot.at(right, ceiling[1])
    plot.sheet.draw(*ends, colour=INK, width=2)
    for point in chart.points:
        _draw_point(plot, point, model_colour(point.model, models))
    _name_points(plot, chart, models)
    return plot.sheet


def _draw_point(plot: Plot, point: RoofPoint, colour: str) -> None:
    active = plot.at(point.active_gb, point.rate_tok_s)
    if point.total_gb is not None:
        total = plot.at(point.total_gb, point.rate_tok_s)
        plot.sheet.draw(active, total, colour=colour, width=1.2, dashes=(2.4, 2.4))
        plot.sheet.pieces.append(
            Sign(at=total, shape="circle", size=9, edge=colour, edge_width=2, fill=GROUND)
        )
    plot.sheet.pieces.append(
        Sign(at=active, shape="circle", size=9, edge=colour, edge_width=1, fill=colour)
    )


def _name_points(plot: Plot, chart: RoofChart, models: Sequence[str]) -> None:
    """Write each model's name and share of the bandwidth beside the plot, none over another."""
    ordered = sorted(chart.points, key=lambda point: point.rate_tok_s)
    heights = [plot.bottom - plot.up(point.rate_tok_s) for point in ordered]
    names = [wrapped(point.label, _NAME_LETTERS) for point in ordered]
    tall = LINE_HEIGHT * (1 + max(map(len, names), default=1))
    for point, name, height in zip(
        ordered, names, spread_apart(heights, tall, _HEIGHT), strict=True
    ):
        lines = (*name, _shares(point, chart.bandwidth_gb_s))
        end = plot.at(point.total_gb or point.active_gb, point.rate_tok_s)
        plot.name_beside(end, lines, height, model_colour(point.model, models))


def _shares(point: RoofPoint, bandwidth_gb_s: float) -> str:
    """Return the traffic as a share of the bandwidth, by active and by all bytes."""
    share = 100 * point.rate_tok_s * point.active_gb / bandwidth_gb_s
    if point.total_gb is None:
        return f"{share:.0f} % of peak"
    return (
        f"{share:.0f} %, all bytes {100 * point.rate_tok_s * point.total_gb / bandwidth_gb_s:.0f} %"
    )
