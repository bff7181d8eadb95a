"""What quality costs: the loss of each model beside what it gains, and which ones another beats.

Columns are taken from tables of rows per model, row by row of one setting, so that no figure is
worked out twice. A model beats another where both are seen to be better: the intervals of the loss
lie apart, and so do those of what is gained. What they leave open beats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    Table,
    absent,
    text,
)
from edgemoe_appliance.studies.tables import FrontierColumn, FrontierSpec, frontier_key

_NOT_THERE = "no such row under this setting"
ON_FRONTIER = "on the frontier"


def build_frontier_table(name: str, spec: FrontierSpec, tables: Mapping[str, Table]) -> Table:
    """Return the table of a frontier, from the tables that its columns stand in."""
    loss = tables[spec.loss.table]
    shown = (spec.loss, *spec.gains)
    columns = [Column(key="model", title="Model")]
    columns += [replace(_head(tables, each), key=each.column) for each in shown]
    columns += [
        Column(
            key=frontier_key(gain.column),
            title=f"By {_head(tables, gain).title.lower()}",
            meaning="the model that beats it: less loss and more gain, both intervals apart",
        )
        for gain in spec.gains
    ]
    groups = tuple(
        replace(group, rows=tuple(_rows(spec, tables, group)))
        for group in loss.groups
        if group.source == "reader"
    )
    return Table(id=name, title=spec.title, columns=tuple(columns), groups=groups, notes=spec.notes)


def _head(tables: Mapping[str, Table], wanted: FrontierColumn) -> Column:
    return next(each for each in tables[wanted.table].columns if each.key == wanted.column)


def _rows(spec: FrontierSpec, tables: Mapping[str, Table], group: RowGroup) -> Iterator[Row]:
    cells = {
        str(row.model): {
            each.column: _cell(tables[each.table], group, row, each)
            for each in (spec.loss, *spec.gains)
        }
        for row in group.rows
    }
    names = {str(row.model): str(row.cells["model"].value) for row in group.rows}
    for row in group.rows:
        own = cells[str(row.model)]
        verdicts = {
            frontier_key(gain.column): _verdict(spec, gain, str(row.model), cells, names)
            for gain in spec.gains
        }
        yield replace(row, cells={"model": row.cells["model"], **own, **verdicts})


def _cell(table: Table, group: RowGroup, row: Row, wanted: FrontierColumn) -> Cell:
    """Return the cell of the same model under the same setting, from its own table."""
    same = (
        other.cells[wanted.column]
        for each in table.groups
        if each.source == "reader" and each.setting == group.setting
        for other in each.rows
        if other.model == row.model
    )
    return next(same, absent(_NOT_THERE))


def _verdict(
    spec: FrontierSpec,
    gain: FrontierColumn,
    model: str,
    cells: Mapping[str, Mapping[str, Cell]],
    names: Mapping[str, str],
) -> Cell:
    """Return what beats a model in loss and one gain, absent where either is not known of it."""
    axes: Sequence[tuple[str, bool]] = (
        (spec.loss.column, False),
        (gain.column, gain.more_is_better),
    )
    own = cells[model]
    lacking = next((own[key] for key, _ in axes if own[key].number is None), None)
    if lacking is not None:
        return absent(lacking.absent)
    beaten = [
        other
        for other in cells
        if all(_is_better(cells[other][key], own[key], more=more) for key, more in axes)
    ]
    return text(f"beaten by {names[beaten[0]]}" if beaten else ON_FRONTIER)


def _is_better(one: Cell, other: Cell, *, more: bool) -> bool:
    """Return whether a figure is seen to be better: what both are known within lies apart."""
    first, second = _bounds(one), _bounds(other)
    if first is None or second is None:
        return False
    return first[0] > second[1] if more else first[1] < second[0]


def _bounds(cell: Cell) -> tuple[float, float] | None:
    """Return what a figure is known within; one without an interval is known to itself alone."""
    if cell.number is None:
        return None
    if isinstance(cell.interval, Interval):
        return cell.interval.low, cell.interval.high
    return (cell.number, cell.number) if cell.interval is None else None
