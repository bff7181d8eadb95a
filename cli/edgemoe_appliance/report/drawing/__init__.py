"""Panels drawn with matplotlib: small charts with direct labels, in fixed sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import matplotlib as mpl

from edgemoe_appliance.report.drawing.canvas import (
    FILE_KINDS,
    SETTINGS,
    FileKind,
    file_of,
    spread_apart,
    themed,
)
from edgemoe_appliance.report.drawing.frontier import FrontierChart, FrontierPoint, draw_frontier
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
    "FILE_KINDS",
    "SIGNS",
    "Chart",
    "Drawing",
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
    "draw",
    "spread_apart",
    "themed",
]
Chart: TypeAlias = RowChart | LineChart | RoofChart | FrontierChart


class Drawing:
    """A chart that is drawn once, and saved in each form that is asked for."""

    def __init__(self, chart: Chart, models: Sequence[str], salt: str) -> None:
        """Draw a chart; models have their colours by their place among `models`.

        `salt` keeps the ids inside different panels of a page apart.
        """
        self._salt = salt
        with self._own_settings():
            if isinstance(chart, RowChart):
                self._figure = draw_rows(chart, models)
            elif isinstance(chart, LineChart):
                self._figure = draw_lines(chart, models)
            elif isinstance(chart, FrontierChart):
                self._figure = draw_frontier(chart, models)
            else:
                self._figure = draw_roofline(chart, models)

    def as_file(self, kind: FileKind) -> bytes:
        """Return the drawing as a file of a kind."""
        with self._own_settings():
            return file_of(self._figure, kind)

    @contextmanager
    def _own_settings(self) -> Iterator[None]:
        with mpl.rc_context():
            mpl.rcdefaults()
            mpl.rcParams.update(SETTINGS)
            mpl.rcParams["svg.hashsalt"] = self._salt
            yield


def draw(chart: Chart, models: Sequence[str], salt: str, kind: FileKind) -> bytes:
    """Draw a chart as one file, see `Drawing`."""
    return Drawing(chart, models, salt).as_file(kind)
