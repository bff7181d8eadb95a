"""Peaks of resident memory and what they are made of."""

from __future__ import annotations

from edgemoe_appliance.analysis.cells import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import Chart, MarkRow, RowChart
from edgemoe_appliance.report.figures.parts import (
    TITLE_LETTERS,
    FigureSet,
    draw_all,
    drawn_note,
    interval_bounds,
    key_of,
    label_of,
    own_groups,
    relative_rows,
    relative_title,
    shortened,
    study_key,
    warning_of,
    with_study,
    with_value,
)
from edgemoe_appliance.study.reference import Study
from edgemoe_appliance.study.units import GB, GIB


def memory_figure(table: Table, study: Study) -> FigureSet:
    """Return the peaks of memory, alone and relative to the model file."""
    charts: list[Chart] = []
    for group in own_groups(table):
        charts.append(
            RowChart(
                title=shortened(group.label, TITLE_LETTERS),
                axis="peak resident memory, GiB",
                rows=tuple(_memory_row(row, group) for row in with_value(group, "peak_rss_gib")),
                key=study_key(group, "study_peak_rss_gib", study),
                warning=warning_of(group),
            )
        )
        charts.append(
            RowChart(
                title=relative_title(group, "Peak relative to the model file"),
                axis="bytes over bytes",
                rows=relative_rows(table, group, "peak_over_file", 2),
                key=key_of(study),
                warning=warning_of(group),
                reference=1.0,
            )
        )
    return FigureSet(
        id="memory",
        title="Peak memory",
        caption="Bars are the peak of resident memory, mean over runs, with a thin line for the "
        "90 % interval; the dark part is anonymous memory, the upright line the size of the model "
        "file. Mapped model pages count as resident, though the kernel may drop them."
        + drawn_note(table),
        table=table.id,
        panels=draw_all("memory", charts or _study_memory(table, study)),
    )


def _study_memory(table: Table, study: Study) -> list[Chart]:
    """Return the panels of a report without sessions."""
    charts: list[Chart] = [
        RowChart(
            title=group.label,
            axis="peak resident memory, GiB",
            rows=tuple(_memory_row(row, group) for row in group.rows),
        )
        for group in table.groups
    ]
    relative = RowChart(
        title="Peak relative to the model file",
        axis="bytes over bytes",
        rows=relative_rows(table, None, "peak_over_file", 2),
        key=key_of(study),
        reference=1.0,
    )
    return [*charts, relative]


def _memory_row(row: Row, group: RowGroup) -> MarkRow:
    marks, words = with_study(row, group, "peak_rss_gib", "study_peak_rss_gib", 2)
    file_gb = row.cells["file_gb"].number
    return MarkRow(
        label=label_of(row),
        model=row.model,
        text=words,
        marks=tuple(marks[1:]),
        bar=marks[0].value,
        bounds=interval_bounds(row.cells["peak_rss_gib"]),
        inner_bar=row.cells["anon_gib"].number,
        tick=None if file_gb is None else file_gb * GB / GIB,
    )
