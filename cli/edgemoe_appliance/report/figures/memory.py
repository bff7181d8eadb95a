"""Peaks of resident memory and what they are made of."""

from __future__ import annotations

from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import MarkRow
from edgemoe_appliance.report.figures.pairs import PairedPanels
from edgemoe_appliance.report.figures.parts import (
    FigureSet,
    draw_all,
    drawn_note,
    interval_bounds,
    label_of,
    with_study,
)
from edgemoe_appliance.schema.units import GB, GIB
from edgemoe_appliance.studies import Study


def memory_figure(table: Table, study: Study) -> FigureSet:
    """Return the peaks of memory, alone and relative to the model file."""
    panels = PairedPanels(
        column="peak_rss_gib",
        axis="peak resident memory, GiB",
        build_row=_memory_row,
        ratio_column="peak_over_file",
        ratio_title="Peak relative to the model file",
        ratio_axis="bytes over bytes",
        ratio_digits=2,
    )
    charts = panels.of_reader(table, study) or panels.of_study(table, study)
    return FigureSet(
        id="memory",
        title="Peak memory",
        caption="Bars are the peak of resident memory, mean over runs, with a thin line for the "
        "90 % interval; the dark part is anonymous memory, the upright line the size of the model "
        "file. Mapped model pages count as resident, though the kernel may drop them."
        + drawn_note(table),
        table=table.id,
        panels=draw_all("memory", charts, study),
    )


def _memory_row(row: Row, group: RowGroup, study: Study) -> MarkRow:
    marks, words = with_study(row, group, study, ("peak_rss_gib", "study_peak_rss_gib"), 2)
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
