"""Figures worked out again from their parts: ratios, sums, counts of runs, and mixed units."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.audit.findings import (
    PARTS,
    UNITS,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    Confidence,
    Wording,
    plain_number,
)
from edgemoe_appliance.analysis.claims.estimates import Basis, Estimate, high_of, low_of
from edgemoe_appliance.analysis.claims.evidence import Evidence, Statement
from edgemoe_appliance.analysis.claims.formatting import number_in_words, with_unit
from edgemoe_appliance.analysis.claims.verdicts import Number, number_of
from edgemoe_appliance.analysis.results import Absent

# Bounds that only touch, but for the last digit of a floating-point number, meet.
_TOUCH = 1e-9
_SAID = {"study": "Stated", "reader": "Recorded"}
_WITHOUT_UNIT = ("1", "ratio")
_SURE = (Confidence.HIGH, "arithmetic on the figures alone, with the bounds of their digits")


def check_statements(evidence: Evidence) -> Iterator[AuditFinding]:
    """Yield a finding for every figure that is said to follow from others."""
    for statement in evidence.statements():
        family, test = ("recomputed", "figure and its parts")
        cause = statement.cause or PARTS
        if statement.numerals is not None:
            family, test, cause = ("units", "units of the parts", UNITS)
        subject = AuditSubject(
            id=f"{family}.{statement.id}",
            test=test,
            subject=statement.subject,
            where=statement.where,
            source=evidence.source,
            cause=cause,
        )
        if isinstance(statement.again, Absent):
            yield subject.not_tested(statement.again.reason)
        elif isinstance(statement.numerals, Estimate):
            yield _unit_finding(subject, statement, statement.again, statement.numerals)
        else:
            yield _finding(subject, statement, statement.again)


def meet(one: Estimate, other: Estimate) -> bool:
    """Return whether two numbers can be equal within their bounds."""
    slack = _TOUCH * max(abs(one.value), abs(other.value))
    return low_of(one) <= high_of(other) + slack and low_of(other) <= high_of(one) + slack


def _finding(subject: AuditSubject, statement: Statement, again: Estimate) -> AuditFinding:
    said = number_of("said", f"{statement.subject}, as said", statement.unit, statement.said)
    result = number_of("again", f"the same, from {statement.how}", statement.unit, again)
    agree = meet(statement.said, again)
    begin = f"{_said(statement)}; {statement.how} gives "
    end, verdict, sure = "the two agree", AuditVerdict.CONSISTENT, _SURE
    if not agree:
        is_rounded = Basis.ROUNDING in (said.basis, result.basis)
        end = "no rounding brings the two together" if is_rounded else "the two differ"
        verdict = AuditVerdict.INCONSISTENT
        if statement.other_reading:
            verdict = AuditVerdict.UNDECIDED
            end += f", but both can be right: {statement.other_reading}"
            sure = (Confidence.MEDIUM, "another reading of the figure explains the difference")
    return subject.finding(
        verdict,
        (said, result, *_parts(statement)),
        Wording(
            brief=f"said {_said(statement)}; comes to {with_unit(again.value, statement.unit)}",
            reading=f"{_SAID[subject.source]} {begin}{number_in_words(result)}: {end}.",
            sure=sure,
        ),
    )


def _unit_finding(
    subject: AuditSubject, statement: Statement, again: Estimate, numerals: Estimate
) -> AuditFinding:
    said = number_of("said", f"{statement.subject}, as said", statement.unit, statement.said)
    like = number_of("like_units", "the same in like units", statement.unit, again)
    bare = number_of("numerals", "the numerals alone", statement.unit, numerals)
    begin = f"{_SAID[subject.source]} {_said(statement)}; {statement.how}"
    if meet(statement.said, again):
        verdict, text = AuditVerdict.CONSISTENT, f"{begin} is {number_in_words(like)}: they agree"
    elif meet(statement.said, numerals):
        verdict = AuditVerdict.INCONSISTENT
        text = (
            f"{begin} gives it only where GiB are taken for GB; in like units it is "
            f"{number_in_words(like)}, {100 * (again.value / statement.said.value - 1):.0f} % more"
        )
    else:
        verdict = AuditVerdict.INCONSISTENT
        text = f"{begin} is {number_in_words(like)}, {number_in_words(bare)} without units: neither"
    told = Wording(
        brief=f"said {_said(statement)}; {with_unit(again.value, statement.unit)} in like units",
        reading=f"{text}.",
        sure=_SURE,
    )
    return subject.finding(verdict, (said, like, bare, *_parts(statement)), told)


def _said(statement: Statement) -> str:
    unit = "" if statement.unit in _WITHOUT_UNIT else f" {statement.unit}"
    return f"{statement.said_text}{unit}"


def _parts(statement: Statement) -> Iterator[Number]:
    for name, value in statement.parts:
        yield plain_number(name, name.replace("_", " "), "1", value)
