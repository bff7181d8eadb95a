"""The engine of declared tables: rows per model, by condition or along an axis, then the study's.

A table is an entry of the study's tables.yaml. What it may read, take of it and compare it with
is in `quantities`, `rows` and `axes`; a new table needs none of them.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, of_category
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.table_model import Row, RowGroup, Table
from edgemoe_appliance.analysis.tables.axes import FileSweep, Sweep, sweeps
from edgemoe_appliance.analysis.tables.common import own_group
from edgemoe_appliance.analysis.tables.layout import Layout
from edgemoe_appliance.analysis.tables.rows import (
    ReaderRow,
    StudyRow,
    difference_row,
    literal_row,
)
from edgemoe_appliance.analysis.tables.setup import cooldown_in_words
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.tables import CONDITION_FIELDS, TableSpec, study_fields


def build_model_table(
    name: str, spec: TableSpec, loaded: LoadedSessions | None, study: Study
) -> Table:
    """Return a declared table for sessions, or for the study alone."""
    layout = Layout(spec=spec, study=study)
    found = tuple(sweeps(loaded, study, spec)) if loaded else ()
    return Table(
        id=name,
        title=spec.title,
        where=spec.where or (str(layout.printed_table.where) if spec.printed else ""),
        columns=layout.columns(),
        groups=(*(_group(layout, sweep) for sweep in found), *_study_groups(layout)),
        notes=tuple(_notes(layout, [step.pool for sweep in found for step in sweep.steps])),
    )


def _group(layout: Layout, sweep: Sweep) -> RowGroup:
    rows = tuple(row for file in sweep.files() for row in _rows(layout, sweep, file))
    group = own_group(sweep.steps[0].pool, layout.study, rows, sweep.label)
    return replace(group, sessions=sweep.sessions, notes=(*group.notes, *sweep.notes))


def _rows(layout: Layout, sweep: Sweep, file: FileSweep) -> Iterator[Row]:
    """Yield one row for each step and part of a model file, and its difference where it is due."""
    rows = [
        ReaderRow(layout=layout, pool=step.pool, models=models, part=part, step=step, file=file)
        for step, models in zip(sweep.steps, file.runs, strict=True)
        if models
        for part in layout.spec.parts or ("",)
    ]
    yield from (row.row() for row in rows)
    if layout.spec.axis.difference:
        yield difference_row(rows[0], layout.spec.axis.difference)


def _study_groups(layout: Layout) -> Iterator[RowGroup]:
    """Yield one group of rows for each device of the study, in its order."""
    if layout.spec.printed:
        for device, cells in layout.printed_table.cells.items():
            rows = (StudyRow(layout=layout, device=device, model=model).row() for model in cells)
            yield _study_group(layout, device, tuple(rows))
    if layout.spec.printed_rows:
        rows = (literal_row(layout, values) for values in layout.spec.printed_rows)
        yield _study_group(layout, layout.spec.printed_device, tuple(rows))


def _study_group(layout: Layout, device: str, rows: tuple[Row, ...]) -> RowGroup:
    label = {str(key): each.label for key, each in layout.study.devices.items()}[device]
    return RowGroup(label=f"Study: {label}", source="study", device=device, rows=rows)


def _notes(layout: Layout, found: Sequence[Pool]) -> Iterator[str]:
    """Yield the notes of a table: those that speak of a condition once for each, others once."""
    for note in layout.spec.notes:
        names = {name for _, name, _, _ in string.Formatter().parse(note) if name}
        if names & set(CONDITION_FIELDS):
            told = (note.format(**_condition_fields(pool, layout)) for pool in found)
            yield from dict.fromkeys(each for each in told if each)
        else:
            yield note.format(**study_fields(layout.study.procedure, layout.study.stated))


def _condition_fields(pool: Pool, layout: Layout) -> Mapping[str, object]:
    setting = pool.condition.setting
    words = (_words(pool, category) for category in layout.categories)
    fields = {
        "setting": setting.label,
        "setting_id": setting.id,
        "threshold_c": setting.target.thermal.threshold_c,
        "hot_repetitions": setting.target.thermal.repetitions,
        "cooldown": cooldown_in_words(setting.target.cooldown),
        "prompt_words": ", ".join(each for each in words if each),
        "drift": pool.drift,
    }
    return {**study_fields(layout.study.procedure, layout.study.stated), **fields}


def _words(pool: Pool, category: str) -> str:
    """Return how many words the prompts of a category had as sent."""
    counts = {int(words) for models in pool.models for words in _prompt_words(models, category)}
    return f"{category} {'/'.join(map(str, sorted(counts)))}" if counts else ""


def _prompt_words(models: ModelRuns, category: str) -> Iterator[int]:
    yield from np.unique(of_category(models, category).runs.integers("prompt_words"))
