"""Verdicts as values: everything that a page or a terminal needs to show a judged claim."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.analysis.claims.estimates import Basis, Estimate
from edgemoe_appliance.analysis.claims.evidence import Scope, Source
from edgemoe_appliance.analysis.claims.repetitions import MoreRuns
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.studies.claims import Limits


class Verdict(str, Enum):
    """What became of a claim, or of a part of it."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not_reproduced"
    INCONCLUSIVE = "inconclusive"
    NOT_TESTED = "not_tested"


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number with its bounds; `low` and `high` are None where `why_unbound` says why."""

    key: str
    label: str
    unit: str
    value: float
    low: float | None
    high: float | None
    basis: Basis | None
    why_unbound: str = ""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One question of a claim, answered.

    `where` is the condition, or the two, that it was read in; `asked` says the limits that it was
    held to, `limits` are their numbers. The first of `numbers` was judged, the others stand behind
    it; where two had to be on the same side of 1, both were, and there are no `limits`. `brief` is
    the reading without bounds. A part that was not tested has its reason in `missing`.
    """

    verdict: Verdict
    scope: Scope
    where: str
    asked: str
    numbers: tuple[Number, ...]
    reading: str
    brief: str = ""
    missing: str = ""
    more_runs: MoreRuns | None = None
    limits: Limits | None = None


@dataclass(frozen=True, kw_only=True)
class ClaimVerdict:
    """A claim, judged.

    `statement` is the claim in this project's words, `tolerance` what its limits rest on, `brief`
    the number that decides, or what is missing, on one line.
    `scope_reasons` say why it is the direction only, `cautions` are to be read with the verdict,
    `missing` is what was not there.
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

    @property
    def numbers(self) -> tuple[Number, ...]:
        """Return the numbers of all parts, each key once."""
        return tuple({n.key: n for part in self.parts for n in part.numbers}.values())

    @property
    def more_runs(self) -> tuple[MoreRuns, ...]:
        """Return what would settle the inconclusive parts."""
        return tuple(part.more_runs for part in self.parts if part.more_runs is not None)


def number_of(key: str, label: str, unit: str, estimate: Estimate) -> Number:
    """Return an estimate as a number to be shown."""
    bounds = estimate.bounds
    if isinstance(bounds, Absent):
        return Number(
            key=key,
            label=label,
            unit=unit,
            value=estimate.value,
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
    )
