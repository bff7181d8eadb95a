"""Variation of the rate, against the limit that the study sets."""

from __future__ import annotations

from functools import partial

from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import Chart, Mark, MarkRow, RowChart
from edgemoe_appliance.report.figures.parts import (
    SIGNS,
    TITLE_LETTERS,
    FigureSet,
    draw_all,
    drawn_note,
    key_of,
    label_of,
    own_groups,
    shortened,
    study_shape,
    warning_of,
    with_value,
)
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.studies import Study


def stability_figure(table: Table, study: Study) -> FigureSet:
    """Return how much the rates vary, by condition."""
    limit = study.variation_limit
    charts: list[Chart] = [
        RowChart(
            title=shortened(group.label, TITLE_LETTERS),
            axis="coefficient of variation, %",
            rows=tuple(_row(row, group, study) for row in with_value(group, "cv_pct")),
            key=key_of(study, group.device) if group.device else "",
            warning=warning_of(group),
            subtitle="bar: all runs; dark: repetitions of one prompt",
            reference=limit,
        )
        for group in own_groups(table)
    ]
    return FigureSet(
        id="stability",
        title="Variation of the generation rate",
        caption="The upright line is the study's limit. The study prints ranges for some models, "
        "drawn as lines with ends." + drawn_note(table),
        table=table.id,
        panels=draw_all("stability", charts or _study_charts(table, study, limit), study),
    )


def _study_charts(table: Table, study: Study, limit: float | None) -> list[Chart]:
    """Return the panels of a report without sessions."""
    return [
        RowChart(
            title=group.label,
            axis="coefficient of variation, %",
            rows=tuple(
                MarkRow(label=label_of(row), model=row.model, text=words, marks=(mark,))
                for row in group.rows
                if (found := _printed(group, row, study)) is not None
                for mark, words in (found,)
            ),
            reference=limit,
        )
        for group in table.groups
    ]


def _row(row: Row, group: RowGroup, study: Study) -> MarkRow:
    words, marks = [format_number(row.cells["cv_pct"].number or 0.0, 1)], []
    printed = _printed(group, row, study) if row.cells["study_cv_pct"].value is not None else None
    if printed is not None:
        marks.append(printed[0])
        words.append(printed[1])
    return MarkRow(
        label=label_of(row),
        model=row.model,
        text="   ".join(words),
        marks=tuple(marks),
        bar=row.cells["cv_pct"].number,
        inner_bar=row.cells["cv_within_pct"].number,
    )


def _printed(group: RowGroup, row: Row, study: Study) -> tuple[Mark, str] | None:
    """Return the study's figure as a mark and in words: a value, or the range that it gives."""
    if group.device not in study.tables.stability.cells or row.model is None:
        return None
    printed = partial(study.printed_value, "stability", group.device, row.model)
    shape = study_shape(group.device, study)
    sign = SIGNS[shape]
    value = printed("cv_pct")
    if value is not None:
        return Mark(value=value, shape=shape), sign + format_number(value, 1)
    low, high = printed("cv_at_least_pct"), printed("cv_at_most_pct")
    if high is None:
        return None
    ends = "at most " if low is None else f"{format_number(low, 1)} to "
    mark = Mark(value=None, shape=shape, low=low or 0.0, high=high)
    return mark, f"{sign}{ends}{format_number(high, 1)}"
