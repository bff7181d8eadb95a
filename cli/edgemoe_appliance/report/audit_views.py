"""Findings of the audits as views, by test, what asks for attention first."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence

from edgemoe_appliance.analysis.audit import AuditVerdict, Confidence, Finding
from edgemoe_appliance.report.judged_context import (
    AuditGroup,
    Audits,
    FindingView,
    MarkView,
    Shape,
    Tally,
)
from edgemoe_appliance.report.judged_numbers import number_view
from edgemoe_appliance.report.views import printable

_SHAPES: Mapping[AuditVerdict, Shape] = {
    AuditVerdict.INCONSISTENT: "fails",
    AuditVerdict.UNDECIDED: "open",
    AuditVerdict.CONSISTENT: "holds",
    AuditVerdict.NOT_TESTED: "untested",
}
_ORDER = tuple(_SHAPES)
_ASKS = (AuditVerdict.INCONSISTENT, AuditVerdict.UNDECIDED)
_SURE = {
    Confidence.HIGH: "high confidence",
    Confidence.MEDIUM: "medium confidence",
    Confidence.LOW: "low confidence",
    Confidence.NONE: "",
}
_NOT_IN_ANCHORS = re.compile(r"[^A-Za-z0-9.-]+")


def build_audits(title: str, findings: Sequence[Finding]) -> Audits:
    """Return findings by test, the tests in their order."""
    tests = dict.fromkeys(finding.test for finding in findings)
    groups = ([f for f in findings if f.test == test] for test in tests)
    return Audits(title=title, groups=tuple(map(_group, groups)))


def weightiest(findings: Sequence[Finding], most: int) -> tuple[tuple[Finding, ...], int]:
    """Return one finding per test that does not fit, the surest first, and how many are left."""
    asks = [finding for finding in findings if finding.verdict in _ASKS]
    failed = [finding for finding in asks if finding.verdict is AuditVerdict.INCONSISTENT]
    surest = sorted(failed, key=lambda finding: list(Confidence).index(finding.confidence))
    by_test = {(f.source, f.test): f for f in reversed(surest)}
    kept = tuple(f for f in surest if by_test[f.source, f.test] is f)[:most]
    return kept, len(asks) - len(kept)


def finding_mark(finding: Finding) -> MarkView:
    """Return the mark of a finding."""
    word = finding.verdict.value.replace("_", " ")
    return MarkView(shape=_SHAPES[finding.verdict], word=word)


def anchor_of(finding: Finding) -> str:
    """Return the anchor of a finding; ids hold names of models that strangers may have chosen."""
    name = _NOT_IN_ANCHORS.sub("-", finding.id)
    if name != finding.id:
        name = f"{name[:60]}-{hashlib.sha256(finding.id.encode()).hexdigest()[:8]}"
    return f"audit-{finding.source}-{name}"


def _group(findings: Sequence[Finding]) -> AuditGroup:
    ordered = sorted(findings, key=lambda finding: _ORDER.index(finding.verdict))
    counts = Counter(map(finding_mark, ordered))
    return AuditGroup(
        title=findings[0].test[:1].upper() + findings[0].test[1:],
        tallies=tuple(Tally(mark=mark, count=count) for mark, count in counts.items()),
        shown=tuple(_view(f) for f in ordered if f.verdict in _ASKS),
        folded=tuple(_view(f) for f in ordered if f.verdict not in _ASKS),
    )


def _view(finding: Finding) -> FindingView:
    return FindingView(
        anchor=anchor_of(finding),
        mark=finding_mark(finding),
        subject=printable(finding.subject),
        reading=printable(finding.reading),
        sure=_SURE[finding.confidence],
        sure_why=printable(finding.confidence_why),
        numbers=tuple(map(number_view, finding.numbers)),
    )
