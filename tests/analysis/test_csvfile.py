"""CSV: exact bytes, reasons kept, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from edgemoe_appliance.analysis import store
from edgemoe_appliance.analysis.csvfile import rows_csv, table_csv
from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.analysis.store import ColumnKind, StoredValue
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent
from tests.analysis.stored import stored


def table_of(*cells: Cell, has_interval: bool = True) -> Table:
    column = Column(key="x", title="X", has_interval=has_interval)
    rows = tuple(Row(cells={"x": cell}, model="m") for cell in cells)
    return Table(
        id="t",
        title="T",
        columns=(column,),
        groups=(RowGroup(label="g", source="reader", rows=rows),),
    )


def test_bytes() -> None:
    table = table_of(
        Cell(value=0.1 + 0.2, interval=Interval(low=0.25, high=1 / 3)),
        Cell(value=3, interval=Absent(reason="too few")),
        absent("no sensor"),
    )
    assert table_csv(table) == (
        b"source,group,model_id,twin,x,x_low,x_high,absent\n"
        b"reader,g,m,,0.3,0.25,0.3333333333,\n"
        b"reader,g,m,,3,,,interval of x: too few\n"
        b"reader,g,m,,,,,x: no sensor\n"
    )


@pytest.mark.parametrize("text", ["=1+1", "+1 x", "-cmd", "@SUM(1)", "\t=1"])
def test_a_text_is_never_a_formula(text: str) -> None:
    content = table_csv(table_of(Cell(value=text), has_interval=False)).decode()
    (_, row) = csv.reader(io.StringIO(content, newline=""))
    assert row[4] == f"'{text}"
    rows = rows_csv(stored({"x": "text"}, {"x": [text, None]}))
    assert next(csv.DictReader(io.StringIO(rows.decode(), newline="")))["x"] == f"'{text}"


def test_characters_that_csv_cannot_hold_do_not_break_the_rows() -> None:
    text = "a\r\r=1\0b"
    rows = rows_csv(stored({"x": "text"}, {"x": [text]}))
    for content in (table_csv(table_of(Cell(value=text), has_interval=False)), rows):
        assert not set(content) & set(b"\r\0")
        assert len(list(csv.reader(io.StringIO(content.decode(), newline="")))) == 2


def test_a_negative_number_stays_a_number() -> None:
    assert b",-0.5,\n" in table_csv(table_of(Cell(value=-0.5), has_interval=False))


def test_quotes_commas_and_lines_survive() -> None:
    text = 'a "b", c\nd'
    content = table_csv(table_of(Cell(value=text), has_interval=False)).decode()
    (_, row) = csv.reader(io.StringIO(content, newline=""))
    assert row[4] == text


AWKWARD = [
    "",
    "plain",
    "with, comma",
    'with "quotes"',
    "two\nlines",
    " spaces ",
    "NULL",
    "a\tb",
    "nul\0inside",
    "cr\rinside",
    "=1",
    "naïve \N{SNOWMAN}",
    "'",
    '"',
    "\\",
    ";",
    "|",
    "nan",
    "-",
]
NUMBERS = [
    0.0,
    -0.0,
    1.0,
    0.1,
    1 / 3,
    1e-5,
    1.5e-7,
    1e15,
    1e16,
    123456789012345680.0,
    5e-324,
    1.7e308,
    -2.5,
    100.0,
    3225.806451612903,
    1e22,
    0.0001,
    0.00012345,
    4213720576.0,
]


def test_the_engine_writes_the_bytes_that_pandas_would() -> None:
    """pandas with the texts made harmless, as the tables are.

    One thing differs: a text that starts with # is put in quotes, which readers of CSV take off.
    """
    draws = np.random.default_rng(1)
    numbers = [*NUMBERS, *(draws.random(500) * 10.0 ** draws.integers(-20, 20, 500)).tolist()]
    n = len(numbers)
    columns: dict[str, list[StoredValue]] = {
        "text": [[*AWKWARD, None][i % (len(AWKWARD) + 1)] for i in range(n)],
        "number": [None if i % 50 == 49 else x for i, x in enumerate(numbers)],
        "whole": [(-1) ** i * i**6 for i in range(n)],
        "flag": [i % 3 == 0 for i in range(n)],
    }
    kinds: dict[str, ColumnKind] = {
        "text": "text",
        "number": "number",
        "whole": "integer",
        "flag": "flag",
    }
    frame: pd.DataFrame = pd.DataFrame(columns)
    harmless = {
        "nul\0inside": "nul\ufffdinside",
        "cr\rinside": "cr\ninside",
        "=1": "'=1",
        "-": "'-",
    }
    frame["text"] = frame["text"].replace(harmless)
    assert rows_csv(stored(kinds, columns)).decode() == frame.to_csv(
        index=False, lineterminator="\n"
    )


def test_a_hundred_columns_of_text_need_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MEMORY_LIMIT", "64MB")
    columns: dict[str, list[StoredValue]] = {f"c{number}": ["=1", "plain"] for number in range(100)}
    kinds: dict[str, ColumnKind] = dict.fromkeys(columns, "text")
    lines = rows_csv(stored(kinds, columns)).decode().splitlines()
    assert lines[1] == ",".join(["'=1"] * 100)


@pytest.mark.parametrize("n", [0, 1, 6, 7, 8, 20])
def test_slices_do_not_show(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = stored({"x": "integer", "y": "text"}, {"x": list(range(n)), "y": ["a,b"] * n})
    chosen = rows.above("x", 2)
    whole, part = rows_csv(rows), rows_csv(chosen)
    assert whole.count(b"\n") == 1 + n
    monkeypatch.setattr(store, "EXPORT_ROWS", 7)
    assert rows_csv(rows) == whole
    assert rows_csv(chosen) == part
