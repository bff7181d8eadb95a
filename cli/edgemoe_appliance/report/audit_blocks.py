"""Findings of the audits by test, what asks for attention first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgemoe_appliance.analysis.audit import AuditFinding, AuditVerdict, Confidence
from edgemoe_appliance.report.filters import VerdictMark, mark_of

_ORDER = (
    AuditVerdict.INCONSISTENT,
    AuditVerdict.UNDECIDED,
    AuditVerdict.CONSISTENT,
    AuditVerdict.NOT_TESTED,
)
_ASKS = (AuditVerdict.INCONSISTENT, AuditVerdict.UNDECIDED)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many there are of a mark."""

    mark: VerdictMark
    count: int


@dataclass(frozen=True, kw_only=True)
class AuditGroup:
    """The findings of one test: those that ask for attention, the others folded away."""

    title: str
    tallies: tuple[Tally, ...]
    shown: tuple[AuditFinding, ...]
    folded: tuple[AuditFinding, ...]


@dataclass(frozen=True, kw_only=True)
class Audits:
    """All findings of one set of figures."""

    title: str
    groups: tuple[AuditGroup, ...]
    kind: Literal["audits"] = "audits"


def build_audits(title: str, findings: Sequence[AuditFinding]) -> Audits:
    """Return findings by test, the tests in their order."""
    tests = dict.fromkeys(finding.test for finding in findings)
    groups = ([f for f in findings if f.test == test] for test in tests)
    return Audits(title=title, groups=tuple(map(_group, groups)))


def _group(findings: Sequence[AuditFinding]) -> AuditGroup:
    ordered = sorted(findings, key=lambda finding: _ORDER.index(finding.verdict))
    return AuditGroup(
        title=findings[0].test,
        tallies=tallies_of(mark_of(finding.verdict) for finding in ordered),
        shown=tuple(f for f in ordered if f.verdict in _ASKS),
        folded=tuple(f for f in ordered if f.verdict not in _ASKS),
    )


def tallies_of(marks: Iterable[VerdictMark]) -> tuple[Tally, ...]:
    """Return how many there are of each mark, in the order of the first ones."""
    return tuple(Tally(mark=mark, count=count) for mark, count in Counter(marks).items())


def weightiest(findings: Sequence[AuditFinding], most: int) -> tuple[tuple[AuditFinding, ...], int]:
    """Return one finding per test that does not fit, the surest first, and how many are left."""
    asks = [finding for finding in findings if finding.verdict in _ASKS]
    failed = [finding for finding in asks if finding.verdict is AuditVerdict.INCONSISTENT]
    surest = sorted(failed, key=lambda finding: list(Confidence).index(finding.confidence))
    by_test = {(f.source, f.test): f for f in reversed(surest)}
    kept = tuple(f for f in surest if by_test[f.source, f.test] is f)[:most]
    return kept, len(asks) - len(kept)
