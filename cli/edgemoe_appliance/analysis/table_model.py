"""Tables as values: typed columns, rows in groups, cells that say what they lack and why.

A table here is data for every form of output: CSV, page, figure, terminal. It holds no format
beyond the number of digits that mean something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from edgemoe_appliance.analysis.results import Absent, Interval

Source = Literal["reader", "study"]
CellValue: TypeAlias = str | int | float


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: key, title, unit as printed and digits after the point.

    `has_interval` says whether its cells may carry one; `meaning` is for who asks; `metric` is the
    key of the reading that it is made of, where it is another than the column's own.
    """

    key: str
    title: str
    unit: str = ""
    digits: int = 0
    has_interval: bool = False
    meaning: str = ""
    metric: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value, or the reason why there is none; never both, never neither.

    `interval` holds the interval of a number or why there is none, None where none is due.
    """

    value: CellValue | None = None
    absent: str = ""
    interval: Interval | Absent | None = None

    def __post_init__(self) -> None:
        """Refuse a cell without value and reason, and one with both."""
        if (self.value is None) != bool(self.absent):
            raise ValueError("a cell has either a value or a reason why it has none")

    @property
    def number(self) -> float | None:
        """Return the value where it is a number."""
        return None if self.value is None or isinstance(self.value, str) else float(self.value)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row: cells by column key. `model` is its model's id, `twin` the scale of a twin."""

    cells: Mapping[str, Cell]
    model: str | None = None
    twin: str | None = None

    @property
    def is_failed_run(self) -> bool:
        """Return whether it is of a run that did not end well."""
        status = self.cells.get("status")
        return status is not None and status.value != "ok"


@dataclass(frozen=True, kw_only=True)
class RowGroup:
    """Rows of one condition of the reader's, or of one device of the study.

    `sessions` are those that the rows come from, none where they may come from all; `setting` is
    the id of the setting that they ran in, empty for a group that is of none.
    """

    label: str
    source: Source
    rows: tuple[Row, ...]
    device: str | None = None
    notes: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    setting: str = ""

    @property
    def twin(self) -> str:
        """Return the scale of twins where it is that of all rows, nothing where it is not."""
        scales = {row.twin for row in self.rows}
        return next(iter(scales)) or "" if len(scales) == 1 else ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: its place in the study (`where`), columns, groups of rows and notes."""

    id: str
    title: str
    columns: tuple[Column, ...]
    groups: tuple[RowGroup, ...]
    where: str = ""
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse a row that does not have exactly the columns of the table."""
        keys = [column.key for column in self.columns]
        for row in self.rows():
            if list(row.cells) != keys:
                raise ValueError(f"table {self.id}: a row has {list(row.cells)}, not {keys}")

    def rows(self, source: Source | None = None) -> Iterator[Row]:
        """Yield the rows of all groups, or of those of one source."""
        for group in self.groups:
            if source in (None, group.source):
                yield from group.rows

    def is_empty(self, key: str) -> bool:
        """Return whether no row has a value in a column."""
        return all(row.cells[key].value is None for row in self.rows())


def absent(reason: str) -> Cell:
    """Return a cell without a value."""
    return Cell(absent=reason)


def number(value: float | Absent | None, reason: str = "", scale: float = 1.0) -> Cell:
    """Return a cell with a number divided by `scale`, or without one for a reason."""
    if isinstance(value, Absent):
        return absent(value.reason)
    return absent(reason) if value is None else Cell(value=value / scale)


def estimate(value: float, interval: Interval | Absent, scale: float = 1.0) -> Cell:
    """Return a cell with a number and its interval, both divided by `scale`."""
    return mapped(Cell(value=value, interval=interval), lambda number: number / scale)


def mapped(cell: Cell, function: Callable[[float], float]) -> Cell:
    """Return a cell with a monotonic function of a number and of its interval."""
    if cell.number is None:
        return cell
    interval = cell.interval
    return Cell(
        value=function(cell.number),
        interval=interval.mapped(function) if isinstance(interval, Interval) else interval,
    )


def text(value: str | None, reason: str = "not known") -> Cell:
    """Return a cell with text, or without any for a reason."""
    return Cell(value=value) if value else absent(reason)


def count(value: int) -> Cell:
    """Return a cell with a whole number."""
    return Cell(value=value)
