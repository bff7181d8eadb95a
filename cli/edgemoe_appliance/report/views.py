"""Tables as printed: marks for reasons, empty columns named in a note, as many rows as fit.

Each group of rows has its source for citations: condition, session, journal, version.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from edgemoe_appliance import __version__
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.analysis.table_model import Column, RowGroup, Table
from edgemoe_appliance.analysis.tables.common import STUDY_ROW
from edgemoe_appliance.report.context import TableView
from edgemoe_appliance.report.filters import reason_of
from edgemoe_appliance.studies import Study

# A page with larger tables is slow to open; the CSV holds all rows and columns.
MOST_ROWS = 500
_MOST_COLUMNS = 24
_DIGEST_LETTERS = 12
_MOST_SESSIONS = 3


def build_table_view(table: Table, cite: Callable[[Table, RowGroup], str]) -> TableView:
    """Return a table as it is printed; a column without any value is named in a note instead.

    `cite` says where the rows of a group come from.
    """
    filled = [c for c in table.columns if not table.groups or not table.is_empty(c.key)]
    columns, groups = tuple(filled[:_MOST_COLUMNS]), tuple(_first_rows(table))
    statuses = {cell.value for row in table.rows() if (cell := row.cells.get("status"))}
    return TableView(
        id=table.id,
        number=0,  # given when its place on the page is known
        title=table.title,
        where=table.where,
        columns=columns,
        numeric=frozenset(
            column.key
            for column in columns
            if any(row.cells[column.key].number is not None for row in table.rows())
        ),
        groups=groups,
        sources=tuple(cite(table, group) for group in groups),
        marks=_marks(groups, columns),
        notes=(*table.notes, *_cut(table, filled), *_left_out(table, filled)),
        statuses=tuple(sorted(map(str, statuses))),
    )


def _first_rows(table: Table) -> Iterator[RowGroup]:
    """Yield the groups with as many rows as a page can hold."""
    left = MOST_ROWS
    for group in table.groups:
        if left:
            kept = group.rows[:left]
            left -= len(kept)
            yield replace(group, rows=kept)


def _marks(groups: Iterable[RowGroup], columns: Sequence[Column]) -> Mapping[str, str]:
    """Return one mark for each reason of a table: a, b, ..., z, aa, ab."""
    rows = (row for group in groups for row in group.rows)
    reasons = dict.fromkeys(reason_of(row.cells[each.key]) for row in rows for each in columns)
    reasons.pop("", None)
    return {reason: _letters(place) for place, reason in enumerate(reasons)}


def _letters(index: int) -> str:
    high, low = divmod(index, len(string.ascii_lowercase))
    return (_letters(high - 1) if high else "") + string.ascii_lowercase[low]


def _cut(table: Table, filled: Sequence[Column]) -> Iterator[str]:
    """Yield what of a table is not on the page because there is too much of it."""
    rows = sum(len(group.rows) for group in table.groups)
    if rows > MOST_ROWS:
        yield f"{MOST_ROWS} of {rows} rows; all are in {table.id}.csv."
    if len(filled) > _MOST_COLUMNS:
        yield f"{_MOST_COLUMNS} of {len(filled)} columns; all are in {table.id}.csv."


def _left_out(table: Table, shown: Sequence[Column]) -> Iterator[str]:
    """Yield one note per reason for which whole columns are not printed."""
    by_reason: dict[str, list[str]] = {}
    for column in table.columns:
        if column in shown:
            continue
        reasons = dict.fromkeys(row.cells[column.key].absent for row in table.rows("reader"))
        reasons = reasons or dict.fromkeys(row.cells[column.key].absent for row in table.rows())
        if set(reasons) == {STUDY_ROW}:
            continue
        by_reason.setdefault("; ".join(reasons), []).append(column.title)
    for reason, titles in by_reason.items():
        yield f"Columns omitted: {', '.join(titles)} ({reason})."


@dataclass(frozen=True, kw_only=True)
class Citations:
    """What the groups of a report's tables are cited as."""

    loaded: LoadedSessions | None
    study: Study

    def of(self, table: Table, group: RowGroup) -> str:
        """Return the source of a group's rows in one line."""
        if group.source == "study":
            return self._printed(table, group)
        condition = "" if group.label in group.sessions else group.label
        return "; ".join(part for part in (condition, self._measured(group)) if part)

    def _printed(self, table: Table, group: RowGroup) -> str:
        where = ", ".join(part for part in (self.study.source.authors, table.where) if part)
        label = group.label.removeprefix("Study: ")
        version = f"edgemoe-appliance {__version__}"
        return "; ".join(part for part in (label, where, version) if part)

    def _measured(self, group: RowGroup) -> str:
        """Return sessions with their journals, those of all the report where a group names none."""
        known = self.loaded.sessions if self.loaded else ()
        found = [s for s in known if not group.sessions or s.key in group.sessions]
        named = [_session(each) for each in found[:_MOST_SESSIONS]]
        more = len(found) - len(named)
        return "; ".join(named) + (f" and {more} more sessions" if more > 0 else "")


def _session(session: SessionFacts) -> str:
    digest = session.journal_sha256[:_DIGEST_LETTERS]
    version = session.plan.appliance.version
    return f"session {session.key} (journal sha256 {digest}, edgemoe-appliance {version})"
