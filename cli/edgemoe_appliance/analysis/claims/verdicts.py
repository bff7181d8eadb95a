"""Verdicts as values: everything that a page or a terminal needs to show a judged claim."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.analysis.claims.estimates import Basis, Estimate
from edgemoe_appliance.analysis.claims.evidence import Scope
from edgemoe_appliance.analysis.claims.repetitions import MoreRuns
from edgemoe_appliance.analysis.results import Absent
from edgemoe_appliance.analysis.table_model import Source
from edgemoe_appliance.studies.claims import Limits, Undermining


class Family(str, Enum):
    """What a verdict was reached under; verdicts of two families are never counted together."""

    CONDITIONS = "conditions"  # runs under the study's own conditions
    ELSEWHERE = "elsewhere"  # runs under others: a direction, no size
    PRINTED = "printed"  # the study's figures held against themselves: nothing is reproduced


class Verdict(str, Enum):
    """What became of a claim, or of a part of it, in the words of its family."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not_reproduced"
    INCONCLUSIVE = "inconclusive"
    SAME_DIRECTION = "same_direction"
    OPPOSITE_DIRECTION = "opposite_direction"
    NO_DIRECTION = "no_direction_seen"
    CONSISTENT = "consistent"
    NOT_CONSISTENT = "not_consistent"
    OPEN_BY_DIGITS = "left_open_by_the_digits"
    NOT_TESTED = "not_tested"

    def within(self, family: Family) -> Verdict:
        """Return the same outcome in the words of a family; what was not tested has no family."""
        return _IN_FAMILY[family].get(self, self)


_IN_FAMILY: Mapping[Family, Mapping[Verdict, Verdict]] = {
    Family.CONDITIONS: {},
    Family.ELSEWHERE: {
        Verdict.REPRODUCED: Verdict.SAME_DIRECTION,
        Verdict.NOT_REPRODUCED: Verdict.OPPOSITE_DIRECTION,
        Verdict.INCONCLUSIVE: Verdict.NO_DIRECTION,
    },
    Family.PRINTED: {
        Verdict.REPRODUCED: Verdict.CONSISTENT,
        Verdict.NOT_REPRODUCED: Verdict.NOT_CONSISTENT,
        Verdict.INCONCLUSIVE: Verdict.OPEN_BY_DIGITS,
    },
}
# Every family in the order in which it is told: what fails, what is open, what holds.
FAMILIES: Mapping[Family, tuple[Verdict, Verdict, Verdict]] = {
    Family.CONDITIONS: (Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE, Verdict.REPRODUCED),
    Family.ELSEWHERE: (Verdict.OPPOSITE_DIRECTION, Verdict.NO_DIRECTION, Verdict.SAME_DIRECTION),
    Family.PRINTED: (Verdict.NOT_CONSISTENT, Verdict.OPEN_BY_DIGITS, Verdict.CONSISTENT),
}
# The worst of the parts is the claim's: all checks must hold.
WORST_FIRST = (
    Verdict.NOT_REPRODUCED,
    Verdict.INCONCLUSIVE,
    Verdict.NOT_TESTED,
    Verdict.REPRODUCED,
)
# All verdicts in the order in which they are told.
TOLD_ORDER = (*(verdict for family in FAMILIES.values() for verdict in family), Verdict.NOT_TESTED)


def count_verdicts(
    verdicts: Iterable[ClaimVerdict],
) -> Mapping[Family | None, Mapping[Verdict, int]]:
    """Return how many claims have which verdict, by family, in the order in which they are told.

    None holds those that were not tested. Families and verdicts that no claim has are left out.
    Every place that tells such numbers takes them from here.
    """
    counts = Counter(each.verdict for each in verdicts)
    rows: dict[Family | None, tuple[Verdict, ...]] = dict(FAMILIES.items())
    rows[None] = (Verdict.NOT_TESTED,)
    return {
        family: {verdict: counts[verdict] for verdict in told if counts[verdict]}
        for family, told in rows.items()
        if any(counts[verdict] for verdict in told)
    }


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number with its bounds; `low` and `high` are None where `why_unbound` says why.

    `value` is NaN for a result that is no finite number, which was judged as worse than any.
    `doubts` say what the bounds do not cover.
    """

    key: str
    label: str
    unit: str
    value: float
    low: float | None
    high: float | None
    basis: Basis | None
    why_unbound: str = ""
    doubts: tuple[str, ...] = ()

    @property
    def is_finite(self) -> bool:
        """Return whether it is a number."""
        return math.isfinite(self.value)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One question of a claim, answered.

    `where` is the condition, or the two, that it was read in; `asked` says the limits that it was
    held to, `limits` are their numbers. The first of `numbers` was judged, the others stand behind
    it; where two had to be on the same side of 1, both were, and there are no `limits`. `brief` is
    the reading without bounds. A part that was not tested has its reason in `missing`, and in
    `need` the same without quantity and condition, alike for all that wait for the same.
    """

    verdict: Verdict
    scope: Scope
    where: str
    asked: str
    numbers: tuple[Number, ...]
    reading: str
    brief: str = ""
    missing: str = ""
    need: str = ""
    more_runs: MoreRuns | None = None
    limits: Limits | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimVerdict:
    """A claim, judged.

    `statement` is the claim in this project's words, `tolerance` what its limits rest on, `brief`
    the number that decides, or what is missing, on one line.
    `scope_reasons` say why it is the direction only, `cautions` are to be read with the verdict,
    `missing` is what was not there, `undermined_by` the audits that the study's number does not
    survive unharmed.
    """

    id: str
    section: str
    statement: str
    source: Source
    verdict: Verdict
    scope: Scope
    reading: str
    tolerance: str
    parts: tuple[Part, ...]
    brief: str = ""
    scope_reasons: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    undermined_by: tuple[Undermining, ...] = ()

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Return the numbers of all parts, each key once."""
        return tuple({n.key: n for part in self.parts for n in part.numbers}.values())

    @property
    def needs(self) -> tuple[str, ...]:
        """Return what kept it from being tested, alike for all claims that wait for the same.

        What another of them says too is not said twice.
        """
        needs = (part.need or part.missing for part in self.parts)
        told = dict.fromkeys(each for need in needs for each in need.split("; "))
        # By whole words: one model's name may be the beginning of another's.
        whole = [need for need in told if sum(f" {need} " in f" {each} " for each in told) == 1]
        return tuple(filter(None, whole)) or self.missing

    @property
    def more_runs(self) -> tuple[MoreRuns, ...]:
        """Return what would settle the inconclusive parts."""
        return tuple(part.more_runs for part in self.parts if part.more_runs is not None)


def number_of(key: str, label: str, unit: str, estimate: Estimate) -> Number:
    """Return an estimate as a number to be shown."""
    bounds = estimate.bounds
    if not estimate.is_finite:
        bounds = Absent(reason="counts as worse than any number")
    if isinstance(bounds, Absent):
        return Number(
            key=key,
            label=label,
            unit=unit,
            value=estimate.value if estimate.is_finite else math.nan,
            low=None,
            high=None,
            basis=None,
            why_unbound=bounds.reason,
        )
    return Number(
        key=key,
        label=label,
        unit=unit,
        value=estimate.value,
        low=bounds.low,
        high=bounds.high,
        basis=bounds.basis,
        doubts=estimate.doubts,
    )
