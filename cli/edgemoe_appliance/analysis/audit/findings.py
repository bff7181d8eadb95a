"""Findings as values: what was tested, the numbers, the reading, and how sure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.analysis.claims.estimates import Estimate, MaybeEstimate
from edgemoe_appliance.analysis.claims.verdicts import Number, number_of
from edgemoe_appliance.analysis.statistics import Absent
from edgemoe_appliance.analysis.table_model import Source


class AuditVerdict(str, Enum):
    """Whether a figure can mean what is said of it."""

    CONSISTENT = "consistent"
    INCONSISTENT = "inconsistent"
    UNDECIDED = "undecided"
    NOT_TESTED = "not_tested"


class Confidence(str, Enum):
    """How sure a finding is."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    NONE = "none"  # nothing was found


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """One figure, tested.

    `test` names what was tested, `subject` of what, `where` the section or the condition. `brief`
    says in a few words what came out, to stand behind the subject in a list. `confidence_why` says
    what the confidence rests on; `missing` why there was no test.
    """

    id: str
    test: str
    subject: str
    where: str
    source: Source
    verdict: AuditVerdict
    numbers: tuple[Number, ...]
    brief: str
    reading: str
    confidence: Confidence
    confidence_why: str
    missing: str = ""


@dataclass(frozen=True, kw_only=True)
class Wording:
    """A finding in words: `brief`, `reading`, and how `sure` with what that rests on."""

    brief: str
    reading: str
    sure: tuple[Confidence, str]


@dataclass(frozen=True, kw_only=True)
class AuditSubject:
    """What a finding is about, before anything is found."""

    id: str
    test: str
    subject: str
    where: str
    source: Source

    def finding(
        self,
        verdict: AuditVerdict,
        numbers: tuple[Number, ...],
        told: Wording,
    ) -> AuditFinding:
        """Return what was found."""
        return AuditFinding(
            id=self.id,
            test=self.test,
            subject=self.subject,
            where=self.where,
            source=self.source,
            verdict=verdict,
            numbers=numbers,
            brief=told.brief,
            reading=told.reading,
            confidence=told.sure[0],
            confidence_why=told.sure[1],
        )

    def not_tested(self, reason: str) -> AuditFinding:
        """Return that nothing could be found, and why."""
        return AuditFinding(
            id=self.id,
            test=self.test,
            subject=self.subject,
            where=self.where,
            source=self.source,
            verdict=AuditVerdict.NOT_TESTED,
            numbers=(),
            brief=reason,
            reading=f"Not tested: {reason}.",
            confidence=Confidence.NONE,
            confidence_why="the figures are not there",
            missing=reason,
        )


def plain_number(key: str, label: str, unit: str, value: float) -> Number:
    """Return a number that has no bounds of its own."""
    return Number(key=key, label=label, unit=unit, value=value, low=None, high=None, basis=None)


def known_numbers(*numbers: tuple[str, str, str, MaybeEstimate]) -> tuple[Number, ...]:
    """Return those of some numbers (key, label, unit, estimate) that there are."""
    return tuple(
        number_of(key, label, unit, found)
        for key, label, unit, found in numbers
        if isinstance(found, Estimate)
    )


def first_absent(*found: MaybeEstimate) -> str:
    """Return the reason of the first number that is missing, nothing where none is."""
    return next((each.reason for each in found if isinstance(each, Absent)), "")
