"""What a page shows of rows that may be many: a bounded, repeatable choice that says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from edgemoe_appliance.analysis.store import Rows
from edgemoe_appliance.analysis.table_model import RowGroup, Table

# More conditions than this are a wall of numbers; figures beside them would fill a folder.
MAX_GROUPS = 12


@dataclass(frozen=True, kw_only=True, eq=False)
class RowChoice:
    """Rows chosen of many, and how many there are in all."""

    frame: pd.DataFrame
    total: int


@dataclass(frozen=True, kw_only=True, eq=False)
class RunChoice(RowChoice):
    """Runs chosen of many; `bad` and `with_caveat` say how many of these there are in all."""

    bad: int
    with_caveat: int

    @property
    def in_words(self) -> str:
        """Return what is shown, what is left out, and where all runs are."""
        bad = int((self.frame["status"] != "ok").sum())
        with_caveat = int(((self.frame["status"] == "ok") & (self.frame["caveat_count"] > 0)).sum())
        return (
            f"{len(self.frame)} of {self.total} runs: first {bad} of the {self.bad} that did not "
            f"end well and {with_caveat} of the {self.with_caveat} with a caveat, then others, "
            "each kind evenly spread over all. All are in runs.csv."
        )


def choose_runs(runs: Rows, limit: int, columns: Sequence[str] | None = None) -> RunChoice:
    """Return all runs, or at most `limit`: first what did not end well, then what has a caveat.

    The former take up to half of the rows, the latter up to half of what is left. `columns` must
    hold the status and the number of caveats.
    """
    bad, ok = runs.where_not(status="ok"), runs.where(status="ok")
    with_caveat, plain = ok.above("caveat_count", 0), ok.where(caveat_count=0)
    if len(runs) <= limit:
        return RunChoice(
            frame=runs.frame(columns), total=len(runs), bad=len(bad), with_caveat=len(with_caveat)
        )
    first = spread_out(bad, limit // 2, columns)
    left = limit - len(first.frame)
    half = left // 2 if len(plain) >= left // 2 else left - len(plain)
    second = spread_out(with_caveat, half, columns)
    rest = spread_out(plain, left - len(second.frame), columns)
    return RunChoice(
        frame=pd.concat([first.frame, second.frame, rest.frame], ignore_index=True),
        total=len(runs),
        bad=len(bad),
        with_caveat=len(with_caveat),
    )


def spread_out(rows: Rows, limit: int, columns: Sequence[str] | None = None) -> RowChoice:
    """Return some columns of all rows, or of `limit` of them at equal steps, in their order."""
    if len(rows) <= limit:
        return RowChoice(frame=rows.frame(columns), total=len(rows))
    places = rows.integers("place")
    chosen = places[np.arange(limit) * len(places) // max(1, limit)]
    return RowChoice(frame=rows.among("place", chosen.tolist()).frame(columns), total=len(rows))


def limit_groups(table: Table, limit: int = MAX_GROUPS) -> Table:
    """Return a table with at most `limit` of the reader's groups; a note says what is left out.

    Those that may stand beside the study come first, then those with most runs.
    """
    own = [group for group in table.groups if group.source == "reader"]
    if len(own) <= limit:
        return table
    ranked = sorted(own, key=lambda group: (bool(group.notes), -_runs_of(group)))
    kept = {id(group) for group in ranked[:limit]}
    note = (
        f"{limit} of {len(own)} groups of measured rows: those that may stand beside the study, "
        f"then those with most runs. All are in {table.id}.csv."
    )
    return replace(
        table,
        groups=tuple(g for g in table.groups if g.source != "reader" or id(g) in kept),
        notes=(*table.notes, note),
    )


def _runs_of(group: RowGroup) -> float:
    """Return the runs of a group, or its rows where these say nothing of runs."""
    counts = [row.cells["n"].number or 0 for row in group.rows if "n" in row.cells]
    return sum(counts) if counts else len(group.rows)
