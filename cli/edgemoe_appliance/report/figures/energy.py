"""Energy per token counted in three ways, and energy by part of the run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgemoe_appliance.analysis.audit import AuditFinding
from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.report.drawing import Chart, MarkRow, RowChart
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
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.studies import Study

# The parts of a run that follow one another, as the table of windows names them.
_WINDOWS = ("load", "prompt", "generation", "unload")


def energy_figure(table: Table, findings: Sequence[AuditFinding], study: Study) -> FigureSet:
    """Return energy per token, alone and relative to the baseline.

    Beside a figure of the study stands what its own power and rate explain, from the audit.
    """
    panels = PairedPanels(
        column="mean_j_per_tok",
        axis="J per generated token",
        build_row=_own_row,
        subtitle="bar: whole call; dark: generation; line: above idle",
        ratio_column="to_baseline",
        ratio_title=f"Energy relative to {study.model_name(study.baseline)}",
        ratio_axis="ratio of energies per token",
        ratio_digits=2,
        ratio_devices=study.energy_devices,
    )
    charts = [*panels.of_reader(table, study), *_study_charts(table, findings)]
    caption = (
        "The study's way of counting shares the energy of the whole call out over the generated "
        "tokens, loading and prompt among it. In the study's panel the dark part is its average "
        "power over its rate: what generation alone would cost."
    )
    return FigureSet(
        id="energy",
        title="Energy per generated token",
        caption=caption + drawn_note(table),
        table=table.id,
        panels=draw_all("energy", charts, study),
    )


def _own_row(row: Row, group: RowGroup, study: Study) -> MarkRow:
    cells = row.cells
    marks, words = with_study(row, group, study, ("mean_j_per_tok", "study_mean_j_per_tok"), 2)
    parts = (cells["gross_j_per_tok"].number, cells["net_j_per_tok"].number)
    told = [format_number(part, 2) for part in parts if part is not None]
    call, *printed = words.split("   ")
    return MarkRow(
        label=label_of(row),
        model=row.model,
        text="   ".join([" / ".join([call, *told]), *printed]),
        marks=tuple(marks[1:]),
        bar=cells["mean_j_per_tok"].number,
        bounds=interval_bounds(cells["mean_j_per_tok"]),
        inner_bar=parts[0],
        tick=parts[1],
    )


def _study_charts(table: Table, findings: Sequence[AuditFinding]) -> list[Chart]:
    explained = {f.id: _number(f, "generation_j_per_token") for f in findings}
    return [
        RowChart(
            title=group.label,
            axis="J per generated token",
            rows=tuple(
                _study_row(row, explained.get(f"energy-window.{group.device}.{row.model}"))
                for row in with_value(group, "mean_j_per_tok")
            ),
            subtitle="bar: as printed; dark: its power over its rate",
        )
        for group in table.groups
        if group.source == "study"
    ]


def _study_row(row: Row, explained: float | None) -> MarkRow:
    printed = row.cells["mean_j_per_tok"].number or 0.0
    told = [printed] if explained is None else [printed, explained]
    return MarkRow(
        label=label_of(row),
        model=row.model,
        text=" / ".join(format_number(value, 2) for value in told),
        marks=(),
        bar=printed,
        inner_bar=explained,
    )


def _number(finding: AuditFinding, key: str) -> float | None:
    return next((number.value for number in finding.numbers if number.key == key), None)


def windows_figure(table: Table, study: Study) -> FigureSet:
    """Return the energy of each part of a run, one after another."""
    charts: list[Chart] = [
        RowChart(
            title=shortened(group.label, TITLE_LETTERS),
            axis="J per run, mean",
            rows=tuple(_window_rows(group)),
            warning=warning_of(group),
            subtitle="from the left: " + ", ".join(_WINDOWS),
        )
        for group in own_groups(table)
    ]
    return FigureSet(
        id="energy-windows",
        title="Energy by part of the run",
        caption="Parts follow one another as in a run." + drawn_note(table),
        table=table.id,
        panels=draw_all("energy-windows", charts, study),
    )


def _window_rows(group: RowGroup) -> Iterator[MarkRow]:
    """Yield one row per model that has energy in any part."""
    by_model: dict[str, dict[str, Row]] = {}
    for row in group.rows:
        name = str(row.cells["model"].value)
        by_model.setdefault(name, {})[str(row.cells["window"].value)] = row
    for rows in by_model.values():
        parts = [rows[w].cells["energy_j"].number if w in rows else None for w in _WINDOWS]
        if any(part is not None for part in parts):
            first = next(iter(rows.values()))
            yield MarkRow(
                label=label_of(first),
                model=first.model,
                text=" + ".join("none" if p is None else format_number(p, 1) for p in parts) + " J",
                marks=(),
                segments=tuple(part or 0.0 for part in parts),
            )
