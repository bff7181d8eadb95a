"""A comparison as one value: how two sessions were made, their results, their verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    Scope,
    SessionEvidence,
    Verdict,
    judge_claims,
)
from edgemoe_appliance.analysis.comparison.facts import Area, FactDifference, differences
from edgemoe_appliance.analysis.comparison.results import Results, compare_results
from edgemoe_appliance.analysis.sessions import LoadedSessions, SessionFacts
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One of the two: its name for a person, and its session or sessions of one kind."""

    name: str
    loaded: LoadedSessions

    @property
    def session(self) -> SessionFacts:
        """Return the session that stands for this side, the first one."""
        return self.loaded.sessions[0]


@dataclass(frozen=True, kw_only=True)
class ClaimChange:
    """A claim that comes out otherwise in B than in A."""

    id: str
    statement: str
    a: Verdict
    a_scope: Scope
    b: Verdict
    b_scope: Scope


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that differs; `claims` is how many were judged, `changes` those that moved."""

    a: str
    b: str
    differences: tuple[FactDifference, ...]
    results: Results
    claims: int
    changes: tuple[ClaimChange, ...]

    def of(self, area: Area) -> tuple[FactDifference, ...]:
        """Return the differences of one area."""
        return tuple(each for each in self.differences if each.area is area)


def compare_sides(a: Side, b: Side, study: Study) -> Comparison:
    """Return what differs between two sessions and between what they say."""
    ours, theirs = (_judged(side, study) for side in (a, b))
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if _moved(one, other)]
    return Comparison(
        a=a.name,
        b=b.name,
        differences=differences(a.session, b.session),
        results=compare_results(a.loaded, b.loaded, study),
        claims=len(ours),
        changes=tuple(_change(one, other) for one, other in pairs),
    )


def _judged(side: Side, study: Study) -> tuple[ClaimVerdict, ...]:
    return judge_claims(SessionEvidence(side.loaded, study))


def _moved(a: ClaimVerdict, b: ClaimVerdict) -> bool:
    return (a.verdict, a.scope) != (b.verdict, b.scope)


def _change(a: ClaimVerdict, b: ClaimVerdict) -> ClaimChange:
    return ClaimChange(
        id=a.id,
        statement=a.statement,
        a=a.verdict,
        a_scope=a.scope,
        b=b.verdict,
        b_scope=b.scope,
    )
