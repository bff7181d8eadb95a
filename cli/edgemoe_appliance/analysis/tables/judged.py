"""Verdicts and findings as tables: one row per judged number, for files beside a report."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from edgemoe_appliance.analysis.audit import AuditFinding
from edgemoe_appliance.analysis.claims import ClaimVerdict, Number, Part
from edgemoe_appliance.analysis.results import Absent, Interval
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    Table,
    absent,
    number,
    text,
)

_NUMBER_COLUMNS = (
    Column(key="number", title="Number"),
    Column(key="unit", title="Unit"),
    Column(key="value", title="Value", has_interval=True),
)
_CLAIM_COLUMNS = (
    Column(key="claim", title="Claim"),
    Column(key="section", title="Section"),
    Column(key="verdict", title="Verdict"),
    Column(key="scope", title="Scope"),
    Column(key="part_verdict", title="Verdict of the part"),
    Column(key="where", title="Condition"),
    *_NUMBER_COLUMNS,
    Column(key="asked", title="Asked"),
    Column(key="asked_from", title="Asked from"),
    Column(key="asked_to", title="Asked to"),
    Column(key="settled_by", title="What would settle it"),
)
_AUDIT_COLUMNS = (
    Column(key="audit", title="Audit"),
    Column(key="test", title="Test"),
    Column(key="cause", title="Cause"),
    Column(key="subject", title="Subject"),
    Column(key="verdict", title="Verdict"),
    Column(key="confidence", title="Confidence"),
    *_NUMBER_COLUMNS,
)
_Judged = TypeVar("_Judged", ClaimVerdict, AuditFinding)
_NO_PART = "the claim was not tested"
_NO_LIMIT = "no limit at this end"


def claims_table(*judged: Sequence[ClaimVerdict]) -> Table:
    """Return the parts of all claims with their numbers, one group for each set of verdicts."""
    return Table(
        id="claims",
        title="Claims and their parts",
        columns=_CLAIM_COLUMNS,
        groups=_groups(judged, _claim_rows),
    )


def audits_table(*audited: Sequence[AuditFinding]) -> Table:
    """Return the numbers of all findings, one group for each set of figures."""
    return Table(
        id="audits",
        title="Audits and their numbers",
        columns=_AUDIT_COLUMNS,
        groups=_groups(audited, _finding_rows),
    )


def _groups(
    sets: Sequence[Sequence[_Judged]], build_rows: Callable[[_Judged], Iterator[Row]]
) -> tuple[RowGroup, ...]:
    """Return one group for each set that is not empty; one set has one source."""
    return tuple(
        RowGroup(
            label=judged[0].source,
            source=judged[0].source,
            rows=tuple(row for each in judged for row in build_rows(each)),
        )
        for judged in sets
        if judged
    )


def _claim_rows(verdict: ClaimVerdict) -> Iterator[Row]:
    head = {
        "claim": text(verdict.id),
        "section": text(verdict.section),
        "verdict": text(verdict.verdict.value),
        "scope": text(verdict.scope.value),
    }
    for part in verdict.parts:
        yield Row(cells={**head, **_part_cells(part)})
    if not verdict.parts:
        reason = "; ".join(verdict.missing) or _NO_PART
        yield Row(cells={**head, **{c.key: absent(reason) for c in _CLAIM_COLUMNS[4:]}})


def _part_cells(part: Part) -> dict[str, Cell]:
    limits = part.limits
    return {
        "part_verdict": text(part.verdict.value),
        "where": text(part.where, part.missing or "no condition"),
        **_number_cells(part.numbers[0] if part.numbers else None, part.missing or "no number"),
        "asked": text(part.asked),
        "asked_from": _limit(limits.low if limits else None),
        "asked_to": _limit(limits.high if limits else None),
        "settled_by": text(part.more_runs.text if part.more_runs else None, "nothing is to settle"),
    }


def _limit(value: float | None) -> Cell:
    return number(value if value is not None and math.isfinite(value) else None, _NO_LIMIT)


def _finding_rows(finding: AuditFinding) -> Iterator[Row]:
    head = {
        "audit": text(finding.id),
        "test": text(finding.test),
        "cause": text(finding.cause.title),
        "subject": text(finding.subject),
        "verdict": text(finding.verdict.value),
        "confidence": text(finding.confidence.value),
    }
    for each in finding.numbers or (None,):
        yield Row(cells={**head, **_number_cells(each, finding.missing or "no number")})


def _number_cells(found: Number | None, reason: str) -> dict[str, Cell]:
    if found is None:
        return {column.key: absent(reason) for column in _NUMBER_COLUMNS}
    if not found.is_finite:
        names = {"number": text(found.label), "unit": text(found.unit)}
        return {**names, "value": absent(f"no finite number: {found.why_unbound}")}
    interval: Interval | Absent | None = None
    if found.low is not None and found.high is not None:
        interval = Interval(low=found.low, high=found.high)
    elif found.why_unbound:
        interval = Absent(reason=found.why_unbound)
    return {
        "number": text(found.label),
        "unit": text(found.unit),
        "value": Cell(value=found.value, interval=interval),
    }
