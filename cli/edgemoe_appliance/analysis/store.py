"""Store: the rows of all sessions, in an analytical engine inside this process.

DuckDB keeps the columns in a file of its own and within a fixed memory; both go when the store
does. Once open it reaches no other file and no network, and loads no extension. Callers choose
rows and columns, and get pandas frames of these alone.
"""

from __future__ import annotations

import shutil
import weakref
from collections import OrderedDict
from collections.abc import Callable, Container, Hashable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import scratch_folder
from edgemoe_appliance.schema.text import first_line

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    from typing_extensions import Self

ColumnKind = Literal["text", "integer", "number", "flag"]
StoredValue: TypeAlias = str | int | float | bool | None
ResultT = TypeVar("ResultT")

# What the engine may hold in memory; beyond it, it works from its file.
MEMORY_LIMIT = "512MB"
THREADS = 2
# Of what was read, as much is kept for whoever asks again: tables, claims and audits choose alike.
KEPT_BYTES = 64_000_000
# Rows that are written to CSV at once: some 30 MB of text.
EXPORT_ROWS = 20_000
_TYPES: Mapping[ColumnKind, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
}
# Rows are only ever appended, so their ids are their order.
_IN_ORDER = "ORDER BY rowid"
_CSV_NAME = "export.csv"


@dataclass(frozen=True, kw_only=True)
class FrameColumn:
    """One column: its name, what it can hold and what it means."""

    name: str
    kind: ColumnKind
    meaning: str


@dataclass(frozen=True, kw_only=True)
class TableShape:
    """A table: the columns that it shows, and those that only serve to find rows."""

    name: str
    columns: tuple[FrameColumn, ...]
    inner: tuple[FrameColumn, ...] = ()

    @cached_property
    def kinds(self) -> Mapping[str, ColumnKind]:
        """Return what each column holds, in the order of the table."""
        return {column.name: column.kind for column in (*self.columns, *self.inner)}

    @cached_property
    def shown(self) -> tuple[str, ...]:
        """Return the names of the columns that it shows."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True, kw_only=True)
class Texts:
    """A column of text: the number of each row's text among `names`, -1 where it is missing."""

    codes: NDArray[np.int64]
    names: NDArray[np.object_]

    def among(self, wanted: Container[str]) -> NDArray[np.bool_]:
        """Return which rows have one of some texts."""
        hits = [name in wanted for name in self.names]
        return np.array([*hits, False], dtype=np.bool_)[self.codes]


class Store:
    """One engine and its file. Everything is added before `close_loading`, then only read.

    Every method raises HostError where the disk is full or the memory does not suffice.
    """

    def __init__(self, shapes: Sequence[TableShape]) -> None:
        """Open an empty store that takes rows of these shapes."""
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._kept_bytes = 0
        opened = ExitStack()
        weakref.finalize(self, opened.close)
        self._folder = _private_folder(opened)
        with _told_as_host_errors(self._folder):
            self._engine = _open_engine(self._folder)
            for shape in shapes:
                kinds = shape.kinds.items()
                columns = ", ".join(f'"{name}" {_TYPES[kind]}' for name, kind in kinds)
                self._engine.execute(f'CREATE TABLE "{shape.name}" ({columns})')
            # Within one transaction rows go straight to the file, without a log beside it.
            self._engine.begin()

    def add(self, shape: TableShape, columns: Mapping[str, Sequence[StoredValue]]) -> None:
        """Append rows, given column by column in the order of the shape."""
        import pandas as pd  # noqa: PLC0415  (the study alone is judged without)

        chunk: pd.DataFrame = pd.DataFrame(
            {name: _array(columns[name], kind) for name, kind in shape.kinds.items()}, copy=False
        )
        # A registered frame would be kept until the transaction ends; a relation is not.
        with _told_as_host_errors(self._folder):
            self._engine.from_df(chunk).insert_into(shape.name)

    def execute(self, sql: str, values: Sequence[Any] = ()) -> duckdb.DuckDBPyConnection:
        """Run a statement; values stand for its question marks and are never part of its text."""
        with _told_as_host_errors(self._folder):
            return self._engine.execute(sql, list(values))

    def kept(self, key: Hashable, read: Callable[[], Mapping[str, NDArray[Any]]]) -> Any:
        """Return what is read, from an earlier time where it was kept: rows no longer change.

        What was asked for longest ago goes first.
        """
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        found = read()
        for values in found.values():
            values.flags.writeable = False
        self._kept[key] = found
        self._kept_bytes += _bytes_of(found)
        while self._kept_bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._kept_bytes -= _bytes_of(oldest)
        return found

    def close_loading(self) -> None:
        """Make what was added permanent for the life of the store."""
        with _told_as_host_errors(self._folder):
            self._engine.commit()

    def rows(self, shape: TableShape) -> Rows:
        """Return all rows of a table."""
        return Rows(store=self, shape=shape)

    def export(self, select: str, values: Sequence[Any], target: BinaryIO, *, header: bool) -> None:
        """Write what a query gives as CSV; it should be of bounded length."""
        own = self._folder / _CSV_NAME
        options = f"HEADER {header}, DELIMITER ',', QUOTE '\"', ESCAPE '\"', NULLSTR ''"
        self.execute(f"COPY ({select}) TO {_sql_text(own)} (FORMAT csv, {options})", values)
        with own.open("rb") as file:
            shutil.copyfileobj(file, target)
        own.unlink()


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Rows of one table, chosen but not yet read; they come in the order they were added in."""

    store: Store
    shape: TableShape
    conditions: tuple[str, ...] = ()
    values: tuple[StoredValue | list[int], ...] = ()

    def __len__(self) -> int:
        """Return how many rows these are."""
        return self._count

    def kept(
        self, what: Hashable, read: Callable[[], Mapping[str, NDArray[Any]]]
    ) -> Mapping[str, NDArray[Any]]:
        """Return arrays read from these rows, which equal rows of the store share unchanged."""
        values = tuple(tuple(v) if isinstance(v, list) else v for v in self.values)
        key = (self.shape.name, self.conditions, values, what)
        found: Mapping[str, NDArray[Any]] = self.store.kept(key, read)
        return found

    def where(self, **equal: StoredValue) -> Self:
        """Return the rows whose columns have these values; None is a missing one."""
        chosen = self
        for name, value in equal.items():
            if value is None:
                chosen = chosen._and(f"{self._quoted(name)} IS NULL")
            else:
                chosen = chosen._and(f"{self._quoted(name)} = ?", value)
        return chosen

    def where_not(self, **equal: StoredValue) -> Self:
        """Return the rows whose columns have other values than these, or None: have any."""
        chosen = self
        for name, value in equal.items():
            if value is None:
                chosen = chosen._and(f"{self._quoted(name)} IS NOT NULL")
            else:
                chosen = chosen._and(f"{self._quoted(name)} IS DISTINCT FROM ?", value)
        return chosen

    def among(self, column: str, wanted: Sequence[int]) -> Self:
        """Return the rows whose column, a whole number, is one of those wanted."""
        numbers = [int(number) for number in wanted]
        return self._and(f"{self._quoted(column)} IN (SELECT unnest(?::BIGINT[]))", numbers)

    def within(self, column: str, at_least: float | None, at_most: float | None) -> Self:
        """Return the rows with a reading inside bounds; None is no bound."""
        chosen = self.where_not(**{column: None})
        for sign, bound in ((">=", at_least), ("<=", at_most)):
            if bound is not None:
                chosen = chosen._and(f"{self._quoted(column)} {sign} ?", float(bound))
        return chosen

    def outside(self, column: str, at_least: float | None, at_most: float | None) -> Self:
        """Return the rows without a reading inside bounds."""
        inside = replace(self, conditions=(), values=()).within(column, at_least, at_most)
        condition = f"NOT coalesce({' AND '.join(inside.conditions)}, false)"
        return self._and(condition, *inside.values)

    def above(self, column: str, limit: float) -> Self:
        """Return the rows with a reading above a limit."""
        return self._and(f"{self._quoted(column)} > ?", float(limit))

    def holding(self, column: str, word: str) -> Self:
        """Return the rows whose text, words separated by spaces, holds a word."""
        padded = f"' ' || {self._quoted(column)} || ' '"
        return self._and(f"contains({padded}, ?)", f" {word} ")

    def starting(self, column: str, start: str) -> Self:
        """Return the rows whose text starts as given."""
        return self._and(f"starts_with({self._quoted(column)}, ?)", start)

    def has_any(self, columns: Sequence[str]) -> bool:
        """Return whether any row has a value in any of some columns."""
        condition = " OR ".join(f"{self._quoted(column)} IS NOT NULL" for column in columns)
        return bool(self._and(f"({condition})")._select("1", "LIMIT 1").fetchall())

    def frame(self, columns: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the rows as a frame of some columns, by default all that the table shows.

        Text is pandas' nullable string, integers int64, numbers float64 (NaN where missing),
        flags bool; the index is 0..n-1.
        """
        names = self.shape.shown if columns is None else tuple(columns)
        found: pd.DataFrame = self._select(", ".join(map(self._quoted, names)), _IN_ORDER).df()
        return self._typed(found)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column of numbers, NaN where missing."""
        return self.column(column)

    def integers(self, column: str) -> NDArray[np.int64]:
        """Return a column of whole numbers."""
        return self.column(column)

    def sorted_by(self, column: str, order: Sequence[str]) -> NDArray[np.int64]:
        """Return a column of whole numbers, the rows in the order of some columns."""
        ending = f"ORDER BY {', '.join(map(self._quoted, order))}"
        found = self._select(f"{self._quoted(column)} AS x", ending).fetchnumpy()
        return np.array(found["x"], dtype=np.int64)

    def column(self, name: str, with_all: bool = False) -> NDArray[Any]:
        """Return a column but one of text as an array, NaN where a number is missing.

        `with_all` reads all columns at once, which for few rows costs no more than one.
        """
        return self._arrays(name, with_all)[name]

    def texts(self, name: str, with_all: bool = False) -> Texts:
        """Return a column of text; `with_all` as for `column`."""
        found = self._arrays(name, with_all)
        return Texts(codes=found[name], names=found[_names_key(name)])

    def _arrays(self, name: str, with_all: bool) -> Mapping[str, NDArray[Any]]:
        self._quoted(name)
        names = tuple(self.shape.kinds) if with_all else (name,)

        def read() -> Mapping[str, NDArray[Any]]:
            asked = ", ".join(map(self._quoted, names))
            found = self._select(asked, _IN_ORDER).fetchnumpy()
            kinds = self.shape.kinds
            arrays: dict[str, NDArray[Any]] = {}
            for each in names:
                arrays |= _as_arrays(each, kinds[each], found[each])
            return arrays

        return self.kept(("arrays", names if not with_all else None), read)

    def counts(self, *by: str) -> pd.DataFrame:
        """Return how many rows (`n`) there are of each combination, in the order they appear in."""
        names = ", ".join(map(self._quoted, by))
        ending = f"GROUP BY {names} ORDER BY min(rowid)"
        return self._typed(self._select(f"{names}, count(*) AS n", ending).df())

    def different(self, *columns: str) -> int:
        """Return how many different combinations of values there are."""
        names = ", ".join(map(self._quoted, columns))
        (count,) = self._select(f"count(DISTINCT ({names}))").fetchall()[0]
        return int(count)

    def first(self) -> Mapping[str, Any]:
        """Return the first row by column. Raises LookupError where there is none."""
        names = list(self.shape.kinds)
        columns = ", ".join(map(self._quoted, names))
        found = self._select(columns, f"{_IN_ORDER} LIMIT 1").fetchone()
        if found is None:
            raise LookupError(f"no row in {self.shape.name}")
        return dict(zip(names, found, strict=True))

    def ask(self, query: str) -> pd.DataFrame:
        """Return what a query gives whose FROM names these rows as `chosen`."""
        chosen = self._statement("*")
        # The query is a text of this program's own; values stay bound.
        found: pd.DataFrame = self.store.execute(
            f"WITH chosen AS ({chosen}) {query}",
            self.values,
        ).df()
        return found

    def export(self, expressions: Sequence[str], target: BinaryIO) -> None:
        """Write the rows as CSV, one expression of SQL a column, a slice of the table at a time.

        The engine holds in memory what it writes in order, so what is asked of it is bounded.
        """
        (length,) = self.store.execute(f'SELECT count(*) FROM "{self.shape.name}"').fetchall()[0]  # noqa: S608
        for start in range(0, max(1, length), EXPORT_ROWS):
            part = self._and("rowid >= ? AND rowid < ?", start, start + EXPORT_ROWS)
            select = part._statement(", ".join(expressions), _IN_ORDER)
            self.store.export(select, part.values, target, header=start == 0)

    @cached_property
    def _count(self) -> int:
        def read() -> Mapping[str, NDArray[np.int64]]:
            return {"n": np.array(self._select("count(*)").fetchall()[0], dtype=np.int64)}

        return int(self.kept("count", read)["n"][0])

    def _and(self, condition: str, *values: StoredValue | list[int]) -> Self:
        return replace(
            self,
            conditions=(*self.conditions, condition),
            values=(*self.values, *values),
        )

    def _quoted(self, name: str) -> str:
        """Return the name of a column for a statement. Raises KeyError where there is none."""
        if name not in self.shape.kinds:
            raise KeyError(f"{self.shape.name} has no column {name}")
        return f'"{name}"'

    def _statement(self, selected: str, ending: str = "") -> str:
        where = f"WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        # Column names are checked, values are bound: nothing of a journal is in this text.
        return f'SELECT {selected} FROM "{self.shape.name}" {where} {ending}'  # noqa: S608

    def _select(self, selected: str, ending: str = "") -> duckdb.DuckDBPyConnection:
        return self.store.execute(self._statement(selected, ending), self.values)

    def _typed(self, frame: pd.DataFrame) -> pd.DataFrame:
        import pandas as pd  # noqa: PLC0415  (the study alone is judged without)

        texts = [name for name in frame.columns if self.shape.kinds.get(name) == "text"]
        typed: pd.DataFrame = frame.astype(dict.fromkeys(texts, pd.StringDtype("python")))
        return typed


def _open_engine(folder: Path) -> duckdb.DuckDBPyConnection:
    import duckdb  # noqa: PLC0415  (the study alone is judged without)

    engine = duckdb.connect(
        str(folder / "runs.duckdb"),
        config={
            "memory_limit": MEMORY_LIMIT,
            "threads": THREADS,
            "temp_directory": str(folder / "spill"),
            "preserve_insertion_order": True,
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        },
    )
    engine.execute(f"SET allowed_directories = [{_sql_text(folder)}]")
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")
    return engine


def _private_folder(opened: ExitStack) -> Path:
    try:
        return opened.enter_context(scratch_folder("edgemoe-runs-"))
    except OSError as error:
        raise HostError(
            f"no folder for the runs that are read ({error.strerror})",
            hint="set TMPDIR to a folder with free space",
        ) from error


@contextmanager
def _told_as_host_errors(folder: Path) -> Iterator[None]:
    """Say what the host lacks where the engine cannot go on."""
    import duckdb  # noqa: PLC0415  (the study alone is judged without)

    try:
        yield
    except duckdb.OutOfMemoryException as error:
        raise HostError(
            f"not enough memory for the runs ({first_line(error)})",
            hint="end other programs, or raise the limit (ulimit -v)",
        ) from error
    except duckdb.OperationalError as error:
        raise HostError(
            f"the runs cannot be kept ({first_line(error)})",
            where=str(folder),
            hint="free disk space, or set TMPDIR to a folder that has some",
        ) from error


def _sql_text(path: Path) -> str:
    """Return a path as a text in a statement that takes no bound value."""
    quoted = str(path).replace("'", "''")
    return f"'{quoted}'"


def _as_arrays(name: str, kind: ColumnKind, values: Any) -> dict[str, NDArray[Any]]:
    """Return a column as it is kept: text as numbers and names, a missing number as NaN."""
    if kind == "text":
        import pandas as pd  # noqa: PLC0415  (the study alone is judged without)

        plain: NDArray[np.object_] = np.ma.filled(np.ma.asarray(values, dtype=object), None)
        codes, names = pd.factorize(plain)
        return {name: codes.astype(np.int64), _names_key(name): np.asarray(names, dtype=object)}
    if kind == "number":
        return {name: np.array(np.ma.filled(np.ma.asarray(values, dtype=np.float64), np.nan))}
    return {name: np.array(values, dtype=np.int64 if kind == "integer" else np.bool_)}


def _names_key(name: str) -> str:
    """Return the key of the names that a column of text is kept with."""
    return f"{name}/names"


def _bytes_of(kept: Mapping[str, NDArray[Any]]) -> int:
    """Return about what arrays take; a text that is named is some hundred bytes."""
    return sum(a.nbytes + (100 * a.size if a.dtype == object else 0) for a in kept.values())


def _array(values: Sequence[StoredValue], kind: ColumnKind) -> NDArray[Any]:
    if kind == "number":
        return np.array(values, dtype=np.float64)
    if kind == "text":
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    return np.array(values, dtype=np.int64 if kind == "integer" else np.bool_)
