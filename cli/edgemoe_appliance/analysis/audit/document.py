"""Verdicts and findings as one plain document, for programs that read them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from edgemoe_appliance.analysis.audit.findings import AuditFinding, CauseFindings, by_cause
from edgemoe_appliance.analysis.claims.estimates import Basis
from edgemoe_appliance.analysis.claims.verdicts import ClaimVerdict, Number, Part, Verdict

# More digits than any figure here has; fewer than another processor's sums could change.
_DIGITS = 10


def judgement_document(
    verdicts: Sequence[ClaimVerdict], findings: Sequence[AuditFinding]
) -> dict[str, Any]:
    """Return `{"claims": [...], "audits": [...], "causes": [...]}`.

    A cause has the ids of its findings; what is counted are causes, with the figures they touch.
    `numbers` maps a name to a value; bounds stand beside it as NAME.low and NAME.high.
    """
    return {
        "claims": [_claim(verdict) for verdict in verdicts],
        "audits": [_audit(finding) for finding in findings],
        "causes": [_cause(group) for group in by_cause(findings)],
    }


def _claim(verdict: ClaimVerdict) -> dict[str, Any]:
    return {
        "id": verdict.id,
        "verdict": verdict.verdict.value,
        "section": verdict.section,
        "statement": verdict.statement,
        "source": verdict.source,
        "scope": verdict.scope.value,
        "scope_reasons": list(verdict.scope_reasons),
        "brief": verdict.brief,
        "reading": verdict.reading,
        "tolerance": verdict.tolerance,
        "numbers": _values(verdict.numbers),
        "units": {number.key: number.unit for number in verdict.numbers},
        "cautions": list(verdict.cautions),
        "undermined_by": [each.model_dump(mode="json") for each in verdict.undermined_by],
        "missing": list(verdict.missing),
        "parts_tested": sum(part.verdict is not Verdict.NOT_TESTED for part in verdict.parts),
        "parts": [_part(part) for part in verdict.parts],
    }


def _part(part: Part) -> dict[str, Any]:
    more = part.more_runs
    return {
        "verdict": part.verdict.value,
        "scope": part.scope.value,
        "where": part.where,
        "asked": part.asked,
        "numbers": _values(part.numbers),
        "doubts": list(dict.fromkeys(d for number in part.numbers[:1] for d in number.doubts)),
        "brief": part.brief,
        "reading": part.reading,
        "missing": part.missing,
        "more_repetitions": more.repetitions if more else None,
        "more_prompts": more.prompts if more else None,
        "settled_by": more.text if more else "",
    }


def _cause(group: CauseFindings) -> dict[str, Any]:
    return {
        "id": group.cause.id,
        "title": group.cause.title,
        "kind": "hypothesis" if group.cause.is_hypothesis else "figures",
        "source": group.source,
        "verdict": group.verdict.value,
        "figures": group.figures,
        "audits": [finding.id for finding in group.findings],
    }


def _audit(finding: AuditFinding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "verdict": finding.verdict.value,
        "cause": finding.cause.id,
        "test": finding.test,
        "subject": finding.subject,
        "where": finding.where,
        "source": finding.source,
        "numbers": _values(finding.numbers),
        "units": {number.key: number.unit for number in finding.numbers},
        "brief": finding.brief,
        "reading": finding.reading,
        "confidence": finding.confidence.value,
        "confidence_why": finding.confidence_why,
        "missing": finding.missing,
    }


def _values(numbers: Iterable[Number]) -> dict[str, float]:
    """Return numbers by name, without those that no JSON can hold."""
    known = ((key, value) for key, value in _named(numbers) if math.isfinite(value))
    return {key: float(f"{value:.{_DIGITS}g}") for key, value in known}


def _named(numbers: Iterable[Number]) -> Iterator[tuple[str, float]]:
    for number in numbers:
        yield number.key, number.value
        if number.low is not None and number.high is not None and number.basis is not Basis.EXACT:
            yield f"{number.key}.low", number.low
            yield f"{number.key}.high", number.high
