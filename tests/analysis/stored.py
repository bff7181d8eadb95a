"""Stores of a few rows for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgemoe_appliance.analysis.store import (
    ColumnKind,
    FrameColumn,
    Rows,
    Store,
    StoredValue,
    TableShape,
)


def stored(kinds: Mapping[str, ColumnKind], columns: Mapping[str, Sequence[StoredValue]]) -> Rows:
    """Return rows of a store that holds one small table."""
    shape = TableShape(
        name="small",
        columns=tuple(FrameColumn(name=n, kind=k, meaning="") for n, k in kinds.items()),
    )
    store = Store([shape])
    store.add(shape, columns)
    store.close_loading()
    return store.rows(shape)
