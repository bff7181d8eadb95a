"""CSV with stable bytes: UTF-8, one newline form, numbers with ten significant digits.

Ten digits are more than any measurement here has and fewer than the order of a sum on another
processor can change.

A text that a spreadsheet would take for a formula gets an apostrophe in front: names and details
can come from strangers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from edgemoe_appliance.analysis.results import Absent, Interval
from edgemoe_appliance.analysis.store import FrameColumn, Rows
from edgemoe_appliance.analysis.table_model import Cell, Column, Table

# Older writers of CSV refuse NUL and leave a bare carriage return without quotes.
_UNQUOTED = str.maketrans({"\r": "\n", "\0": "\N{REPLACEMENT CHARACTER}"})
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def table_csv(table: Table) -> bytes:
    """Return a table as CSV.

    Each number stands alone; an interval has columns of its own (`_low`, `_high`), and the last
    column says why cells are empty.
    """
    header = ["source", "group", "model_id", "twin"]
    for column in table.columns:
        header += [column.key]
        header += [f"{column.key}_low", f"{column.key}_high"] if column.has_interval else []
    rows = [
        [group.source, group.label, row.model or "", row.twin or ""]
        + [value for column in table.columns for value in _values(column, row.cells[column.key])]
        + [_reasons(row.cells.items())]
        for group in table.groups
        for row in group.rows
    ]
    return texts_csv([[*header, "absent"], *rows])


def write_rows_csv(rows: Rows, target: BinaryIO) -> None:
    """Write rows of a store as CSV, however many; missing values are empty.

    The engine writes the file, so the rows never are in this process as objects.
    """
    rows.export([_expression(column) for column in rows.shape.columns], target)


def rows_csv(rows: Rows) -> bytes:
    """Return rows of a store as CSV."""
    file = io.BytesIO()
    write_rows_csv(rows, file)
    return file.getvalue()


def _expression(column: FrameColumn) -> str:
    """Return a column as it stands in CSV, in the engine's language."""
    name = f'"{column.name}"'
    if column.kind == "flag":
        return f"CASE WHEN {name} THEN 'True' WHEN NOT {name} THEN 'False' END AS {name}"
    if column.kind != "text":
        return name
    # One pattern and one `translate`: chains of simpler functions take the engine of Python 3.10
    # over 300 MB for this many columns, whatever the number of rows.
    pattern = "^[" + "".join(f"\\x{ord(start):02x}" for start in _FORMULA_STARTS) + "]"
    guarded = (
        f"CASE WHEN regexp_matches({name}, '{pattern}') THEN chr(39) || {name} ELSE {name} END"
    )
    plain = f"translate({guarded}, chr(13) || chr(0), chr(10) || chr({0xFFFD}))"
    # An empty text would be written in quotes, to tell it from a missing one.
    return f"nullif({plain}, '') AS {name}"


def _values(column: Column, cell: Cell) -> list[str]:
    value = "" if cell.value is None else _plain(cell.value)
    if not column.has_interval:
        return [value]
    if isinstance(cell.interval, Interval):
        return [value, _plain(cell.interval.low), _plain(cell.interval.high)]
    return [value, "", ""]


def _reasons(cells: Iterable[tuple[str, Cell]]) -> str:
    reasons = []
    for key, cell in cells:
        if cell.absent:
            reasons.append(f"{key}: {cell.absent}")
        elif isinstance(cell.interval, Absent):
            reasons.append(f"interval of {key}: {cell.interval.reason}")
    return "; ".join(reasons)


def _plain(value: str | float) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) else format(value, ".10g")


def texts_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """Return rows of texts as CSV, the first being the header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    for row in rows:
        writer.writerow([_harmless(text) for text in row])
    return buffer.getvalue().encode()


def _harmless(text: str) -> str:
    is_formula = text.startswith(_FORMULA_STARTS) and not _is_number(text)
    return ("'" + text if is_formula else text).translate(_UNQUOTED)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
