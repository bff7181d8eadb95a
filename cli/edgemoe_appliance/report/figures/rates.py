"""Generation rates, and how they fall with the length of the prompt."""

from __future__ import annotations

from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import Line, LineChart, MarkRow
from edgemoe_appliance.report.figures.pairs import PairedPanels
from edgemoe_appliance.report.figures.parts import (
    TITLE_LETTERS,
    FigureSet,
    draw_all,
    drawn_note,
    interval_bounds,
    label_of,
    own_groups,
    shortened,
    warning_of,
    with_study,
    with_value,
)
from edgemoe_appliance.studies import Study


def throughput_figure(table: Table, study: Study) -> FigureSet:
    """Return the generation rates, alone and relative to the baseline."""
    panels = PairedPanels(
        column="mean_tok_s",
        axis="generation rate, tok/s",
        build_row=_rate_row,
        ratio_column="to_baseline",
        ratio_title=f"Rate relative to {study.model_name(study.baseline)}",
        ratio_axis="ratio of generation rates",
        ratio_digits=3,
    )
    charts = panels.of_reader(table, study) or panels.of_study(table, study)
    return FigureSet(
        id="throughput",
        title="Generation rate",
        caption="Means over all runs of a condition; thick bars are 90 % intervals, where there "
        "are enough prompts for one. The study prints no intervals." + drawn_note(table),
        table=table.id,
        panels=draw_all("throughput", charts, study),
    )


def _rate_row(row: Row, group: RowGroup, study: Study) -> MarkRow:
    marks, words = with_study(row, group, study, ("mean_tok_s", "study_mean_tok_s"), 1)
    return MarkRow(label=label_of(row), model=row.model, text=words, marks=tuple(marks))


def prompt_length_figure(table: Table, study: Study) -> FigureSet:
    """Return the rates by length of prompt."""
    own, printed = own_groups(table), [g for g in table.groups if g.source == "study"]
    groups = [group for group in (*own, *printed) if with_value(group, "fall_pct")]
    lines = [_relative_lines(group, study.lengths) for group in groups]
    values = [v for own in lines for line in own for v in line.values if v is not None]
    charts = [
        LineChart(
            title=shortened(group.label, TITLE_LETTERS),
            subtitle=f"Rate, % of that with a {study.lengths[0]} prompt",
            axis="prompt length",
            classes=study.lengths,
            lines=own,
            low=min(values) - 2,
            high=max(values) + 2,
            warning=warning_of(group),
        )
        for group, own in zip(groups, lines, strict=True)
    ]
    return FigureSet(
        id="prompt-length",
        title="Generation rate by prompt length",
        caption=f"Each model's mean rate with a {study.lengths[0]} prompt is 100 %; thick bars are "
        "90 % intervals of the rates, where there are enough repetitions for one. All panels have "
        "the same scale." + drawn_note(table),
        table=table.id,
        panels=draw_all("prompt-length", charts, study),
    )


def _relative_lines(group: RowGroup, lengths: tuple[str, ...]) -> tuple[Line, ...]:
    lines = []
    for row in with_value(group, f"{lengths[0]}_tok_s"):
        cells = [row.cells[f"{length}_tok_s"] for length in lengths]
        base = cells[0].number or 1.0
        lines.append(
            Line(
                label=shortened(label_of(row), 17),
                model=row.model,
                values=tuple(None if c.number is None else 100 * c.number / base for c in cells),
                bounds=tuple(interval_bounds(cell, 100 / base) for cell in cells),
            )
        )
    return tuple(lines)
