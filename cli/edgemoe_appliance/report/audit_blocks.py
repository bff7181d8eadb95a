"""Findings of the audits by cause: in a line each, and in full."""

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
_MOST_CAUSES = 5


@dataclass(frozen=True, kw_only=True)
class Tally:
    """How many there are of a mark."""

    mark: VerdictMark
    count: int


@dataclass(frozen=True, kw_only=True)
class AuditGroup:
    """The findings of one cause on one set of figures, what asks for attention first."""

    title: str
    source: str
    tallies: tuple[Tally, ...]
    findings: tuple[AuditFinding, ...]


@dataclass(frozen=True, kw_only=True)
class Causes:
    """Why figures cannot mean what is said of them; `more` causes are not in sight.

    `fitting` causes were looked for and not found, `untested` could not be looked for.
    """

    lines: tuple[AuditGroup, ...]
    more: int
    fitting: int
    untested: int
    kind: Literal["causes"] = "causes"


@dataclass(frozen=True, kw_only=True)
class Audits:
    """All findings of one set of figures."""

    groups: tuple[AuditGroup, ...]
    kind: Literal["audits"] = "audits"


def build_audits(findings: Sequence[AuditFinding]) -> Audits:
    """Return findings by cause, hypotheses last."""
    return Audits(groups=tuple(map(_group, by_cause(findings))))


def _group(group: CauseFindings) -> AuditGroup:
    cause = group.cause
    return AuditGroup(
        title=f"A hypothesis, no figure: {cause.title}" if cause.is_hypothesis else cause.title,
        source=group.source,
        tallies=tallies_of(mark_of(finding.verdict) for finding in group.findings),
        findings=group.findings,
    )


def build_causes(findings: Sequence[AuditFinding]) -> Causes:
    """Return the causes that figures do not fit for, the surest and those of most figures first.

    Hypotheses are none of the figures, and not among them.
    """
    groups = [group for group in by_cause(findings) if not group.cause.is_hypothesis]
    causes = sorted((group for group in groups if group.verdict in _ASKS), key=_weight)
    counts = Counter(group.verdict for group in groups)
    return Causes(
        lines=tuple(map(_group, causes[:_MOST_CAUSES])),
        more=max(0, len(causes) - _MOST_CAUSES),
        fitting=counts[AuditVerdict.CONSISTENT],
        untested=counts[AuditVerdict.NOT_TESTED],
    )


def _weight(group: CauseFindings) -> tuple[int, int, int]:
    """Return what puts causes in order: what fails, how sure that is, how many figures."""
    surest = min(list(Confidence).index(finding.confidence) for finding in group.findings)
    return _ASKS.index(group.verdict), surest, -group.figures


def tallies_of(marks: Iterable[VerdictMark]) -> tuple[Tally, ...]:
    """Return how many there are of each mark, in the order of the first ones."""
    return tuple(Tally(mark=mark, count=count) for mark, count in Counter(marks).items())
