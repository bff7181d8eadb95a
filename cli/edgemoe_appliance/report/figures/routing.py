"""Share of routing in the time of MoE blocks, never without what the timing costs."""

from __future__ import annotations

from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import MarkRow, RowChart
from edgemoe_appliance.report.figures.parts import (
    TITLE_LETTERS,
    FigureSet,
    draw_all,
    drawn_note,
    own_groups,
    shortened,
    study_key,
    warning_of,
    with_study,
    with_value,
)
from edgemoe_appliance.studies import Study

_WHOLE_RUN = "whole run"
_LABEL_LETTERS = 30


def routing_figure(table: Table, study: Study) -> FigureSet:
    """Return the routing shares of whole runs by prompts and mode, the study's beside them."""
    own = [_chart(group, study) for group in own_groups(table)]
    printed = [_chart(group, study) for group in table.groups if group.source == "study"]
    return FigureSet(
        id="routing",
        title="Routing share, and what its timing costs",
        caption="Share of routing in the time of the MoE blocks over whole runs. Timing waits at "
        "every node or at the edges of groups, and slows the engine down by the factor that stands "
        "beside each share: the larger it is, the less of the share is the engine's own."
        + drawn_note(table),
        table=table.id,
        panels=draw_all("routing", [*own, *printed], study),
    )


def _chart(group: RowGroup, study: Study) -> RowChart:
    rows = [row for row in with_value(group, "routing_share_pct") if _is_whole(row)]
    return RowChart(
        title=shortened(group.label, TITLE_LETTERS),
        axis="routing share, %",
        rows=tuple(_row(row, group, study) for row in rows),
        key=study_key(group, "study_share_pct", study),
        warning=warning_of(group),
        subtitle="share, and how many times slower its timing makes a token",
    )


def _is_whole(row: Row) -> bool:
    return row.cells["part"].value == _WHOLE_RUN


def _row(row: Row, group: RowGroup, study: Study) -> MarkRow:
    marks, words = with_study(row, group, study, ("routing_share_pct", "study_share_pct"), 1)
    slowdown = row.cells["slowdown"].number
    cost = "slowdown not known" if slowdown is None else f"\N{MULTIPLICATION SIGN}{slowdown:.3g}"
    stratum = str(row.cells["stratum"].value).partition(" (")[0]
    return MarkRow(
        label=shortened(f"{stratum}, {row.cells['mode'].value}", _LABEL_LETTERS),
        model=row.model,
        text=f"{words} %, {cost}",
        marks=tuple(marks),
    )
