"""Which models another one beats: by intervals that lie apart, in loss and in what is gained."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgemoe_appliance.analysis.statistics import Absent, Interval
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent
from edgemoe_appliance.analysis.tables.frontier import build_frontier_table
from edgemoe_appliance.studies.tables import FrontierColumn, FrontierSpec

SPEC = FrontierSpec(
    title="x",
    section="quality",
    loss=FrontierColumn(table="quality", column="loss"),
    gains=(FrontierColumn(table="speed", column="rate", more_is_better=True),),
)


def cell(value: float, half: float | None = 0.1) -> Cell:
    if half is None:
        return Cell(value=value, interval=Absent(reason="one value"))
    return Cell(value=value, interval=Interval(low=value - half, high=value + half))


def table(name: str, column: str, cells: dict[str, Cell], setting: str = "A") -> Table:
    rows = tuple(
        Row(cells={"model": Cell(value=m.upper()), column: each}, model=m)
        for m, each in cells.items()
    )
    return Table(
        id=name,
        title=name,
        columns=(Column(key="model", title="Model"), Column(key=column, title=column)),
        groups=(RowGroup(label="here", source="reader", rows=rows, setting=setting),),
    )


def verdicts(losses: dict[str, Cell], rates: dict[str, Cell], setting: str = "A") -> list[str]:
    tables = {"quality": table("quality", "loss", losses), "speed": table("speed", "rate", rates)}
    tables["speed"] = replace(tables["speed"], groups=table("s", "rate", rates, setting).groups)
    found = build_frontier_table("f", SPEC, tables)
    return [
        str(row.cells["frontier_rate"].value or row.cells["frontier_rate"].absent)
        for row in found.rows()
    ]


@pytest.mark.parametrize(
    ("loss_b", "rate_b", "said"),
    [
        (cell(2), cell(10), "beaten by A"),
        (cell(2), cell(30), "on the frontier"),
        (cell(1.1), cell(10), "on the frontier"),
        (cell(2), cell(19.9), "on the frontier"),
        (cell(2, None), cell(10), "on the frontier"),
    ],
)
def test_one_model_beats_another_where_both_intervals_lie_apart(
    loss_b: Cell, rate_b: Cell, said: str
) -> None:
    found = verdicts({"a": cell(1), "b": loss_b}, {"a": cell(20), "b": rate_b})
    assert found == ["on the frontier", said]


def test_what_is_not_known_is_told() -> None:
    losses = {"a": cell(1), "b": absent("not a finite number from chunk 1 of 4 on")}
    rates = {"a": cell(20), "b": cell(30)}
    assert verdicts(losses, rates)[1] == "not a finite number from chunk 1 of 4 on"


def test_rows_of_another_setting_are_none_of_these() -> None:
    cells = {"a": cell(1)}
    assert verdicts(cells, cells, setting="B") == ["no such row under this setting"]
