"""Findings of the audits by cause, what asks for attention first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgemoe_appliance.analysis.audit import (
    AuditFinding,
    AuditVerdict,
    CauseFindings,
    Confidence,
    by_cause,
)
from edgemoe_appliance.report.filters import VerdictMark, mark_of

_ASKS = (AuditVerdict.INCONSISTENT, AuditVerdict.UNDECIDED)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many there are of a mark."""

    mark: VerdictMark
    count: int


@dataclass(frozen=True, kw_only=True)
class AuditGroup:
    """The findings of one cause: those that ask for attention, the others folded away."""

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
    """Return findings by cause, hypotheses last."""
    return Audits(title=title, groups=tuple(map(_group, by_cause(findings))))


def _group(group: CauseFindings) -> AuditGroup:
    ordered, cause = group.findings, group.cause
    return AuditGroup(
        title=f"A hypothesis, no figure: {cause.title}" if cause.is_hypothesis else cause.title,
        tallies=tallies_of(mark_of(finding.verdict) for finding in ordered),
        shown=tuple(f for f in ordered if f.verdict in _ASKS),
        folded=tuple(f for f in ordered if f.verdict not in _ASKS),
    )


def tallies_of(marks: Iterable[VerdictMark]) -> tuple[Tally, ...]:
    """Return how many there are of each mark, in the order of the first ones."""
    return tuple(Tally(mark=mark, count=count) for mark, count in Counter(marks).items())


def weightiest(findings: Sequence[AuditFinding], most: int) -> tuple[tuple[AuditFinding, ...], int]:
    """Return one finding per cause that does not fit, the surest first, and how many are left.

    Hypotheses are none of the figures, and not among them.
    """
    findings = [finding for finding in findings if not finding.cause.is_hypothesis]
    asks = [finding for finding in findings if finding.verdict in _ASKS]
    failed = [finding for finding in asks if finding.verdict is AuditVerdict.INCONSISTENT]
    surest = sorted(failed, key=lambda finding: list(Confidence).index(finding.confidence))
    by_name = {(f.source, f.cause): f for f in reversed(surest)}
    kept = tuple(f for f in surest if by_name[f.source, f.cause] is f)[:most]
    return kept, len(asks) - len(kept)
