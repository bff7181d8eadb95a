"""What a notebook asks: runs, tables and claims of sessions as pandas frames.

A session is a name below data/raw, a folder or an archive; several are read together, as a report
reads them. Every frame says in its `attrs` what its columns are (`titles`), in which unit
(`units`, by column; a column that is not there has none or carries it in its name) and why values
are missing (`absent`: column, reason, and the number of rows it holds for).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import pandas as pd

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.claims import SessionEvidence, StudyEvidence, judge_claims
from edgemoe_appliance.analysis.frames import count_reasons
from edgemoe_appliance.analysis.results import Absent, Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.analysis.tables.judged import claims_table
from edgemoe_appliance.archive.reading import opened_session
from edgemoe_appliance.bench.paths import default_folders, find_session
from edgemoe_appliance.schema.files import is_file
from edgemoe_appliance.schema.metrics import METRICS
from edgemoe_appliance.studies import Study, read_planned_study, read_study

__all__ = ["claims", "load", "runs", "tables"]

# Of runs that have neither a reading nor a reason, as those that were killed.
_UNSAID: Final = "no reason was recorded"


def load(sessions: Sequence[str | Path]) -> LoadedSessions:
    """Read sessions, each by name, folder or archive.

    Raises ConfigError for what cannot be a name, RecordError where there is no such session or it
    is damaged, foreign or newer, VerificationError for an archive that is not what it says.
    """
    with ExitStack() as archives:
        folders = [
            archives.enter_context(opened_session(Path(session)))
            if is_file(Path(session))
            else find_session(str(session), default_folders())
            for session in sessions
        ]
        return load_sessions(folders)


def runs(*sessions: str | Path) -> pd.DataFrame:
    """Return one row for each run that came to an end, well or not; raises as `load` does.

    Metrics are numbers, NaN where there was no reading. Only rows of status `ok` enter the
    statistics of a report.
    """
    rows = load(sessions).runs
    frame, reasons = rows.frame(), count_reasons(rows)
    missing = {key: int(frame[key].isna().sum()) for key in METRICS}
    for key, count in missing.items():
        told = sum(reasons.get(key, {}).values())
        if count > told:
            reasons.setdefault(key, {})[_UNSAID] = count - told
    frame.attrs = {
        "titles": {column.name: column.meaning for column in rows.shape.columns},
        "units": {key: metric.unit.value for key, metric in METRICS.items()},
        "absent": {key: reasons[key] for key, count in missing.items() if count},
    }
    return frame


def tables(*sessions: str | Path, study: str | None = None) -> dict[str, pd.DataFrame]:
    """Return the tables of the report by id, the reader's rows and the study's (`source`).

    `study` is a name or a folder, by default the one that the sessions were planned for; without
    sessions the tables are the study's alone. Raises as `load` does, and ConfigError where the
    sessions are of several studies.
    """
    return {table.id: _frame(table) for table in build_tables(*_loaded(sessions, study))}


def claims(*sessions: str | Path, study: str | None = None) -> pd.DataFrame:
    """Return one row for each part of each claim, judged on the sessions and on the study itself.

    `source` says which (reader, study); sessions and study are as in `tables`.
    """
    loaded, chosen = _loaded(sessions, study)
    judged = [judge_claims(StudyEvidence(chosen))]
    if loaded is not None:
        judged.insert(0, judge_claims(SessionEvidence(loaded, chosen)))
    return _frame(claims_table(*judged))


def _loaded(
    sessions: Sequence[str | Path], study: str | None
) -> tuple[LoadedSessions | None, Study]:
    if not sessions:
        return None, read_study(study)
    loaded = load(sessions)
    planned = (each for session in loaded.sessions for each in session.studies)
    return loaded, read_planned_study(study, planned)


def _frame(table: Table) -> pd.DataFrame:
    """Return a table as a frame; intervals have columns of their own, `_low` and `_high`."""
    rows: list[dict[str, Any]] = []
    reasons: dict[str, Counter[str]] = {}
    for group in table.groups:
        for row in group.rows:
            head = {"source": group.source, "group": group.label, "model_id": row.model}
            cells = [(column, row.cells[column.key]) for column in table.columns]
            values = dict(pair for column, cell in cells for pair in _values(column, cell))
            rows.append({**head, "twin": row.twin, **values})
            for key, reason in (pair for column, cell in cells for pair in _reasons(column, cell)):
                reasons.setdefault(key, Counter())[reason] += 1
    names = [name for column in table.columns for name in _names(column)]
    frame: pd.DataFrame = pd.DataFrame(
        rows, columns=["source", "group", "model_id", "twin", *names]
    )
    frame.attrs = {
        "title": table.title,
        "notes": list(table.notes),
        "titles": {column.key: column.meaning or column.title for column in table.columns},
        "units": {name: c.unit for c in table.columns if c.unit for name in _names(c)},
        "absent": {key: dict(found.most_common()) for key, found in reasons.items()},
    }
    return frame


def _names(column: Column) -> tuple[str, ...]:
    bounds = (f"{column.key}_low", f"{column.key}_high") if column.has_interval else ()
    return (column.key, *bounds)


def _values(column: Column, cell: Cell) -> Iterator[tuple[str, Any]]:
    """Yield the value of a cell and the ends of its interval, None where there is none."""
    yield column.key, cell.value
    if column.has_interval:
        interval = cell.interval if isinstance(cell.interval, Interval) else None
        yield f"{column.key}_low", interval.low if interval else None
        yield f"{column.key}_high", interval.high if interval else None


def _reasons(column: Column, cell: Cell) -> Iterator[tuple[str, str]]:
    """Yield why a cell has no value or no interval; each with the columns that it leaves empty."""
    if cell.absent:
        yield from ((name, cell.absent) for name in _names(column))
    elif column.has_interval and isinstance(cell.interval, Absent):
        yield from ((name, cell.interval.reason) for name in _names(column)[1:])
