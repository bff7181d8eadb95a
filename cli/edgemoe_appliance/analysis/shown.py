"""What a page shows of rows that may be many: a bounded, repeatable choice that says so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from edgemoe_appliance.analysis.store import Rows


@dataclass(frozen=True, kw_only=True, eq=False)
class Shown:
    """The rows that are shown, and how many there are in all."""

    frame: pd.DataFrame
    total: int


@dataclass(frozen=True, kw_only=True, eq=False)
class ShownRuns(Shown):
    """The runs that are shown; `bad` and `doubted` say how many of these there are in all."""

    bad: int
    doubted: int

    @property
    def in_words(self) -> str:
        """Return what is shown, what is left out, and where all runs are."""
        bad = int((self.frame["status"] != "ok").sum())
        doubted = int(((self.frame["status"] == "ok") & (self.frame["doubt_count"] > 0)).sum())
        return (
            f"{len(self.frame)} of {self.total} runs: first {bad} of the {self.bad} that did not "
            f"end well and {doubted} of the {self.doubted} with a doubt, then others, each kind "
            "evenly spread over all. All are in runs.csv."
        )


def shown_runs(runs: Rows, limit: int) -> ShownRuns:
    """Return all runs, or at most `limit`: those that did not end well and the doubted first.

    The former take up to half of the rows, the latter up to half of what is left.
    """
    bad, ok = runs.where_not(status="ok"), runs.where(status="ok")
    doubted, plain = ok.above("doubt_count", 0), ok.where(doubt_count=0)
    if len(runs) <= limit:
        return ShownRuns(frame=runs.frame(), total=len(runs), bad=len(bad), doubted=len(doubted))
    first = spread_out(bad, limit // 2)
    left = limit - len(first.frame)
    second = spread_out(doubted, left // 2 if len(plain) >= left // 2 else left - len(plain))
    rest = spread_out(plain, left - len(second.frame))
    return ShownRuns(
        frame=pd.concat([first.frame, second.frame, rest.frame], ignore_index=True),
        total=len(runs),
        bad=len(bad),
        doubted=len(doubted),
    )


def spread_out(rows: Rows, limit: int) -> Shown:
    """Return all rows, or `limit` of them at equal steps, in their order."""
    if len(rows) <= limit:
        return Shown(frame=rows.frame(), total=len(rows))
    places = rows.integers("place")
    chosen = places[np.arange(limit) * len(places) // max(1, limit)]
    return Shown(frame=rows.among("place", chosen.tolist()).frame(), total=len(rows))
