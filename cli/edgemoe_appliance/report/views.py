"""Tables as views: numbers as text, reasons as footnotes, empty columns left out and named."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table
from edgemoe_appliance.analysis.tables.common import STUDY_ROW
from edgemoe_appliance.report.context import (
    CellView,
    ColumnView,
    Footnote,
    GroupView,
    RowView,
    TableView,
)
from edgemoe_appliance.report.numbers import format_interval, format_number
from edgemoe_appliance.report.palette import model_role
from edgemoe_appliance.schema.metrics import METRICS

# A table with more rows scrolls in a box of its own.
_LONG_ROWS = 45
# A page with larger tables is slow to open; the CSV holds all rows and columns.
MOST_ROWS = 500
_MOST_COLUMNS = 24
_NO_VALUE = "\N{EN DASH}"
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_SHA256 = re.compile(r"[0-9a-f]{64}")
# Control characters are not valid in a page; the bidirectional ones could show a text as another.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return text of others without characters that a page cannot or should not hold."""
    return _UNPRINTABLE.sub(_REPLACEMENT, text)


def build_table_view(
    table: Table, cite: Callable[[Table, RowGroup], str], models: Sequence[str] = ()
) -> TableView:
    """Return a table as it is printed; a column without any value is named in a note instead.

    `cite` says where the rows of a group come from; models have their colours by their place among
    `models`.
    """
    filled = [column for column in table.columns if _is_shown(table, column)]
    shown = filled[:_MOST_COLUMNS]
    notes = _Footnotes()
    groups = tuple(
        GroupView(
            label=printable(group.label),
            is_study=group.source == "study",
            twin=_common_twin(group),
            rows=tuple(
                _row_view(row, shown, notes, (_common_twin(group), models)) for row in group.rows
            ),
            source=printable(cite(table, group)),
        )
        for group in _first_rows(table)
    )
    statuses = {cell.value for row in table.rows() if (cell := row.cells.get("status"))}
    return TableView(
        id=table.id,
        number=0,  # given when its place on the page is known
        title=table.title,
        where=table.where,
        columns=tuple(_column_view(table, column) for column in shown),
        groups=groups,
        footnotes=notes.all(),
        notes=(
            *map(printable, table.notes),
            *_cut(table, filled),
            *_left_out(table, filled),
        ),
        csv=f"tables/{table.id}.csv",
        latex=f"tables/{table.id}.tex",
        is_long=sum(len(group.rows) for group in groups) > _LONG_ROWS,
        is_sortable=bool(statuses),
        statuses=tuple(sorted(map(str, statuses))),
    )


def _first_rows(table: Table) -> Iterable[RowGroup]:
    """Yield the groups with as many rows as a page can hold."""
    left = MOST_ROWS
    for group in table.groups:
        if left:
            kept = group.rows[:left]
            left -= len(kept)
            yield replace(group, rows=kept)


def _cut(table: Table, filled: Sequence[Column]) -> Iterable[str]:
    """Yield what of a table is not on the page because there is too much of it."""
    rows = sum(len(group.rows) for group in table.groups)
    if rows > MOST_ROWS:
        yield f"{MOST_ROWS} of {rows} rows; all are in {table.id}.csv."
    if len(filled) > _MOST_COLUMNS:
        yield f"{_MOST_COLUMNS} of {len(filled)} columns; all are in {table.id}.csv."


def _is_shown(table: Table, column: Column) -> bool:
    return not table.groups or not table.is_empty(column.key)


def _column_view(table: Table, column: Column) -> ColumnView:
    return ColumnView(
        key=printable(column.key),
        title=printable(column.title),
        unit=column.unit,
        meaning=column.meaning,
        numeric=any(row.cells[column.key].number is not None for row in table.rows()),
        metric=column.metric or (column.key if column.key in METRICS else ""),
    )


def _common_twin(group: RowGroup) -> str:
    """Return the scale of twins where it is that of all rows."""
    scales = {row.twin for row in group.rows}
    return next(iter(scales)) or "" if len(scales) == 1 else ""


def _row_view(
    row: Row,
    columns: Sequence[Column],
    notes: _Footnotes,
    shared: tuple[str, Sequence[str]],
) -> RowView:
    common_twin, models = shared
    status = row.cells.get("status")
    return RowView(
        cells=tuple(_cell_view(row.cells[column.key], column, notes) for column in columns),
        colour=model_role(row.model, models) if row.model else "",
        twin="" if common_twin else row.twin or "",
        alert=status is not None and status.value != "ok",
    )


def _cell_view(cell: Cell, column: Column, notes: _Footnotes) -> CellView:
    if cell.value is None:
        return CellView(text=_NO_VALUE, mark=notes.mark(cell.absent), is_absent=True)
    if isinstance(cell.value, str):
        is_digest = _SHA256.fullmatch(cell.value) is not None
        return CellView(
            text=cell.value[:12] if is_digest else printable(cell.value),
            hint=cell.value if is_digest else "",
        )
    return CellView(
        text=format_number(cell.value, column.digits),
        interval=_interval_text(cell, column),
        mark=notes.mark(_why_no_interval(cell)),
    )


def _interval_text(cell: Cell, column: Column) -> str:
    if isinstance(cell.interval, Interval):
        return format_interval(cell.interval, column.digits)
    return ""


def _why_no_interval(cell: Cell) -> str:
    return f"no interval: {cell.interval.reason}" if isinstance(cell.interval, Absent) else ""


class _Footnotes:
    """Gives each reason of a table one mark: a, b, ..., z, aa, ab."""

    def __init__(self) -> None:
        self._marks: dict[str, str] = {}

    def mark(self, reason: str) -> str:
        if not reason:
            return ""
        return self._marks.setdefault(reason, _letters(len(self._marks)))

    def all(self) -> tuple[Footnote, ...]:
        return tuple(
            Footnote(mark=mark, text=printable(reason)) for reason, mark in self._marks.items()
        )


def _letters(index: int) -> str:
    high, low = divmod(index, len(string.ascii_lowercase))
    return (_letters(high - 1) if high else "") + string.ascii_lowercase[low]


def _left_out(table: Table, shown: Sequence[Column]) -> Iterable[str]:
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
        yield printable(f"Left out: {', '.join(titles)} ({reason}).")
