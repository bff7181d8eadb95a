"""Panels drawn with matplotlib: small charts with direct labels, in fixed sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import matplotlib as mpl

from edgemoe_appliance.report.drawing.canvas import (
    SETTINGS,
    FileKind,
    file_of,
    spread_apart,
    themed,
)
from edgemoe_appliance.report.drawing.lines import Line, LineChart, draw_lines
from edgemoe_appliance.report.drawing.roofline import RoofChart, RoofPoint, draw_roofline
from edgemoe_appliance.report.drawing.rows import (
    SIGNS,
    Mark,
    MarkRow,
    MarkShape,
    RowChart,
    draw_rows,
)

__all__ = [
    "SIGNS",
    "Chart",
    "FileKind",
    "Line",
    "LineChart",
    "Mark",
    "MarkRow",
    "MarkShape",
    "RoofChart",
    "RoofPoint",
    "RowChart",
    "draw",
    "spread_apart",
    "themed",
]
Chart: TypeAlias = RowChart | LineChart | RoofChart


def draw(chart: Chart, models: Sequence[str], salt: str, kind: FileKind) -> bytes:
    """Draw a chart as a file; models have their colours by their place among `models`.

    `salt` keeps the ids inside different panels of a page apart.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(SETTINGS)
        mpl.rcParams["svg.hashsalt"] = salt
        if isinstance(chart, RowChart):
            return file_of(draw_rows(chart, models), kind)
        if isinstance(chart, LineChart):
            return file_of(draw_lines(chart, models), kind)
        return file_of(draw_roofline(chart, models), kind)
