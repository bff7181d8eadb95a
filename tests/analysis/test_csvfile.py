"""CSV: exact bytes, reasons kept, nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
import io

import pandas as pd
import pytest

from edgemoe_appliance.analysis.cells import Cell, Column, Row, RowGroup, Table, absent
from edgemoe_appliance.analysis.csvfile import frame_csv, table_csv
from edgemoe_appliance.analysis.statistics import Absent, Interval


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
    frame = pd.DataFrame({"x": pd.Series([text, None], dtype=pd.StringDtype("python"))})
    assert next(csv.DictReader(io.StringIO(frame_csv(frame).decode(), newline="")))["x"][0] == "'"


def test_characters_that_csv_cannot_hold_do_not_break_the_rows() -> None:
    text = "a\r\r=1\0b"
    frame = pd.DataFrame({"x": pd.Series([text], dtype=pd.StringDtype("python"))})
    for content in (table_csv(table_of(Cell(value=text), has_interval=False)), frame_csv(frame)):
        assert not set(content) & set(b"\r\0")
        assert len(list(csv.reader(io.StringIO(content.decode(), newline="")))) == 2


def test_a_negative_number_stays_a_number() -> None:
    assert b",-0.5,\n" in table_csv(table_of(Cell(value=-0.5), has_interval=False))


def test_quotes_commas_and_lines_survive() -> None:
    text = 'a "b", c\nd'
    content = table_csv(table_of(Cell(value=text), has_interval=False)).decode()
    (_, row) = csv.reader(io.StringIO(content, newline=""))
    assert row[4] == text
