"""Panels: small charts with direct labels, in fixed sizes, drawn once and saved in any form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from edgemoe_appliance.report.drawing.canvas import MarkShape, Sheet, spread_apart
from edgemoe_appliance.report.drawing.files import (
    FILE_KINDS,
    FileKind,
    file_of,
    render_pdf,
    render_png,
    render_svg,
    themed,
)
from edgemoe_appliance.report.drawing.frontier import FrontierChart, FrontierPoint, draw_frontier
from edgemoe_appliance.report.drawing.lines import Line, LineChart, draw_lines
from edgemoe_appliance.report.drawing.roofline import RoofChart, RoofPoint, draw_roofline
from edgemoe_appliance.report.drawing.rows import (
    SIGNS,
    Mark,
    MarkRow,
    RowChart,
    draw_rows,
)

__all__ = [
    "FILE_KINDS",
    "SIGNS",
    "Chart",
    "FileKind",
    "FrontierChart",
    "FrontierPoint",
    "Line",
    "LineChart",
    "Mark",
    "MarkRow",
    "MarkShape",
    "RoofChart",
    "RoofPoint",
    "RowChart",
    "Sheet",
    "draw",
    "file_of",
    "render_pdf",
    "render_png",
    "render_svg",
    "spread_apart",
    "themed",
]
Chart: TypeAlias = RowChart | LineChart | RoofChart | FrontierChart


def draw(chart: Chart, models: Sequence[str]) -> Sheet:
    """Draw a chart; models have their colours by their place among `models`."""
    if isinstance(chart, RowChart):
        return draw_rows(chart, models)
    if isinstance(chart, LineChart):
        return draw_lines(chart, models)
    if isinstance(chart, FrontierChart):
        return draw_frontier(chart, models)
    return draw_roofline(chart, models)
