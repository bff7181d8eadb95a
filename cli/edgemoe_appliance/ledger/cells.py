"""Archives judged together: one claim on one device with one engine and quantisation.

A session's own interval says nothing of another day or board. So where there are three boards, the
interval is that between boards; where there are fewer boards but three sessions, that between
sessions, which says nothing of other boards and is told as such. Below that there is no interval
that covers either: one session keeps its own, and two that disagree leave the claim open.

The mean of a board is that of its sessions, each board counting alike. What scatters between runs
and sessions is in the scatter of the means over them (Welch, Biometrika 34 (1947) 28, for levels
that are balanced), so that no level is counted twice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev, variance

from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.analysis.claims.estimates import Basis, Bounds
from edgemoe_appliance.analysis.claims.judging import verdict_of
from edgemoe_appliance.analysis.claims.verdicts import FAMILIES, WORST_FIRST, Family
from edgemoe_appliance.analysis.statistics import (
    CONFIDENCE,
    MIN_UNITS,
    Absent,
    Interval,
    student_t,
)
from edgemoe_appliance.ledger.entries import EntryClaim, EntryPart, LedgerEntry
from edgemoe_appliance.studies.claims import Limits

# The outcome behind a verdict, whatever family it is told in.
_PLAIN: Mapping[Verdict, Verdict] = {
    told: plain
    for family in FAMILIES
    for plain in WORST_FIRST
    if (told := plain.within(family)) is not plain
}
_FAMILY_OF: Mapping[Verdict, Family] = {
    verdict: family for family, verdicts in FAMILIES.items() for verdict in verdicts
}


@dataclass(frozen=True, kw_only=True)
class LedgerKey:
    """What the archives of a cell have in common.

    Verdicts of two families share no cell, and neither do models and twins of a scale; `twins` is
    empty for models.
    """

    study: str
    claim: str
    device: str
    engine: str
    quantization: str
    twins: str
    family: Family

    @property
    def models(self) -> str:
        """Return the quantisation, and whether twins ran in place of the models."""
        return f"{self.quantization}, {self.twins} twins" if self.twins else self.quantization


@dataclass(frozen=True, kw_only=True)
class PooledNumber:
    """A number over boards and sessions, and between what its interval is.

    The standard deviations between boards and between sessions of one board are None where there
    are not two of either.
    """

    value: float
    interval: Interval | Absent
    covers: str
    sd_between_boards: float | None = None
    sd_between_sessions: float | None = None


@dataclass(frozen=True, kw_only=True)
class LedgerPart:
    """One question of a claim, over the archives of a cell."""

    label: str
    unit: str
    asked: str
    limits: Limits | None
    verdict: Verdict
    number: PooledNumber | None


@dataclass(frozen=True, kw_only=True)
class LedgerCell:
    """One claim on one device, engine and quantisation, judged over all archives of it."""

    key: LedgerKey
    section: str
    statement: str
    verdict: Verdict
    parts: tuple[LedgerPart, ...]
    boards: int
    entries: tuple[LedgerEntry, ...]

    @property
    def sessions(self) -> int:
        """Return on how many sessions it rests."""
        return len(self.entries)

    @property
    def runtimes(self) -> tuple[str, ...]:
        """Return how its sessions ran: native, container, or both."""
        return tuple(sorted({entry.runtime for entry in self.entries}, reverse=True))

    @property
    def engine_age(self) -> tuple[float, int]:
        """Return what sorts engines from old to new, as far as any of its archives tells."""
        return min(entry.engine_age for entry in self.entries)

    @property
    def shown(self) -> LedgerPart:
        """Return the part that stands for the claim: the deciding one, else the first."""
        return self.deciding or self.parts[0]

    @property
    def deciding(self) -> LedgerPart | None:
        """Return the first part that came out as the claim did."""
        return next((part for part in self.parts if part.verdict is self.verdict), None)


def build_cells(entries: Iterable[LedgerEntry]) -> tuple[LedgerCell, ...]:
    """Return the cells of all claims that any archive tested, in a fixed order."""
    groups: dict[LedgerKey, list[LedgerEntry]] = {}
    for entry in entries:
        for claim_id, claim in entry.claims.items():
            family = _FAMILY_OF.get(claim.verdict)
            if family is not None:
                groups.setdefault(_key(entry, claim_id, family), []).append(entry)
    return tuple(sorted((_cell(key, own) for key, own in groups.items()), key=_order))


def estimate_over(by_board: Mapping[str, Sequence[float]]) -> PooledNumber:
    """Return a number over boards, of the values that the sessions of each board gave."""
    means = [fmean(values) for values in by_board.values()]
    every = [value for values in by_board.values() for value in values]
    boards = "one board" if len(means) == 1 else f"{len(means)} boards"
    interval, covers = _interval(fmean(means), means), f"between {boards}"
    if isinstance(interval, Absent):
        covers = f"between {len(every)} sessions of {boards} only"
        interval = _interval(fmean(means), every)
    return PooledNumber(
        value=fmean(means),
        interval=interval,
        covers=covers,
        sd_between_boards=_spread(means),
        sd_between_sessions=_within(by_board.values()),
    )


def _interval(centre: float, units: Sequence[float]) -> Interval | Absent:
    if len(units) < MIN_UNITS:
        return Absent(reason=f"an interval between sessions needs {MIN_UNITS}, not {len(units)}")
    t = student_t(1 - (1 - CONFIDENCE) / 2, len(units) - 1)
    swing = t * stdev(units) / math.sqrt(len(units))
    return Interval(low=centre - swing, high=centre + swing, sessions=len(units))


def _spread(values: Sequence[float]) -> float | None:
    return stdev(values) if len(values) > 1 else None


def _within(groups: Iterable[Sequence[float]]) -> float | None:
    """Return the standard deviation between sessions of one board, pooled over boards."""
    several = [values for values in groups if len(values) > 1]
    if not several:
        return None
    freedom = sum(len(values) - 1 for values in several)
    return math.sqrt(sum(variance(v) * (len(v) - 1) for v in several) / freedom)


def _key(entry: LedgerEntry, claim_id: str, family: Family) -> LedgerKey:
    return LedgerKey(
        study=entry.study.label,
        claim=claim_id,
        device=entry.device,
        engine=f"{entry.engine}, {entry.backend}",
        quantization=entry.quantization,
        twins=entry.twins or "",
        family=family,
    )


def _order(cell: LedgerCell) -> tuple[object, ...]:
    key = cell.key
    number = int("".join(filter(str.isdigit, key.claim)) or 0)
    return (key.study, number, key.claim, *column_order(cell), key.family)


def column_order(cell: LedgerCell) -> tuple[object, ...]:
    """Return what sorts the cells of a claim: by device, engine from old to new, and models."""
    key = cell.key
    return key.device, cell.engine_age, key.engine, key.quantization, key.twins


def _cell(key: LedgerKey, entries: Sequence[LedgerEntry]) -> LedgerCell:
    claims = [entry.claims[key.claim] for entry in entries]
    parts = tuple(_part(key.family, asked, entries, claims) for asked in _asked(claims))
    outcomes = {_plain(part.verdict) for part in parts}
    verdict = next(each for each in WORST_FIRST if each in outcomes)
    return LedgerCell(
        key=key,
        section=claims[0].section,
        statement=claims[0].statement,
        verdict=verdict.within(key.family),
        parts=parts,
        boards=len({entry.board for entry in entries}),
        entries=tuple(entries),
    )


def _asked(claims: Sequence[EntryClaim]) -> list[tuple[str, str]]:
    """Return the questions of a claim by label and limits."""
    return list(dict.fromkeys((part.label, part.asked) for each in claims for part in each.parts))


def _part(
    family: Family,
    asked: tuple[str, str],
    entries: Sequence[LedgerEntry],
    claims: Sequence[EntryClaim],
) -> LedgerPart:
    found = [
        (entry.board, part)
        for entry, claim in zip(entries, claims, strict=True)
        for part in claim.parts
        if (part.label, part.asked) == asked
    ]
    parts = [part for _, part in found]
    values: dict[str, list[float]] = {}
    for board, part in found:
        if part.value is not None:
            values.setdefault(board, []).append(part.value)
    number = estimate_over(values) if values else None
    return LedgerPart(
        label=asked[0],
        unit=parts[0].unit,
        asked=asked[1],
        limits=parts[0].limits,
        verdict=_part_verdict(parts, number).within(family),
        number=_with_own_interval(number, parts),
    )


def _part_verdict(parts: Sequence[EntryPart], number: PooledNumber | None) -> Verdict:
    limits = parts[0].limits
    if number is not None and limits is not None and isinstance(number.interval, Interval):
        low, high = number.interval.low, number.interval.high
        return verdict_of(Bounds(low=low, high=high, basis=Basis.INTERVAL), limits)
    own = {_plain(part.verdict) for part in parts}
    return own.pop() if len(own) == 1 else Verdict.INCONCLUSIVE


def _with_own_interval(
    number: PooledNumber | None, parts: Sequence[EntryPart]
) -> PooledNumber | None:
    """Return the number with its session's own interval where there is one session alone."""
    if number is None or len(parts) > 1:
        return number
    (part,) = parts
    if part.low is None or part.high is None:
        return number
    own = Interval(low=part.low, high=part.high)
    return replace(number, interval=own, covers="within one session only")


def _plain(verdict: Verdict) -> Verdict:
    return _PLAIN.get(verdict, verdict)
