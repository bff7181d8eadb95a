"""Findings as values: what was tested, the numbers, the reading, and how sure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.analysis.claims.estimates import Estimate, MaybeEstimate
from edgemoe_appliance.analysis.claims.evidence import Cause
from edgemoe_appliance.analysis.claims.verdicts import Number, number_of
from edgemoe_appliance.analysis.results import Absent
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


# The causes that audits know of themselves; a study declares those of its own figures.
ENERGY_WINDOW = Cause(id="energy-window", title="energy of a token holds more than its generation")
RESIDENT = Cause(id="resident", title="resident memory is told as memory that is needed")
NODE_COUNTS = Cause(id="node-counts", title="what counts of nodes are counts of is not said")
TIMING = Cause(id="timing", title="timing every node changes the times that are told")
POOLED_PROMPTS = Cause(id="pooled-prompts", title="variation of prompts is told as of repetitions")
BANDWIDTH = Cause(id="bandwidth", title="a rate needs more bandwidth than there is")
ALL_WEIGHTS = Cause(
    id="all-weights", title="every token reads all weights of the file", is_hypothesis=True
)
UNITS = Cause(id="units", title="GiB are taken for GB")
PARTS = Cause(id="parts", title="a figure is not what its parts come to")
# What asks for attention first.
WEIGHTIEST_FIRST = (
    AuditVerdict.INCONSISTENT,
    AuditVerdict.UNDECIDED,
    AuditVerdict.CONSISTENT,
    AuditVerdict.NOT_TESTED,
)


@dataclass(frozen=True, kw_only=True)
class AuditFinding:
    """One figure, tested.

    `test` names what was tested, `subject` of what, `where` the section or the condition. `brief`
    says in a few words what came out, to stand behind the subject in a list. `confidence_why` says
    what the confidence rests on; `missing` why there was no test. `cause` is why the figure would
    not mean what is said of it: findings are counted by it.
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
    cause: Cause
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
    cause: Cause

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
            cause=self.cause,
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
            cause=self.cause,
            missing=reason,
        )


@dataclass(frozen=True, kw_only=True)
class CauseFindings:
    """The findings of one cause on one set of figures, what asks for attention first."""

    cause: Cause
    source: Source
    findings: tuple[AuditFinding, ...]

    @property
    def verdict(self) -> AuditVerdict:
        """Return the weightiest verdict among the findings."""
        return self.findings[0].verdict

    @property
    def figures(self) -> int:
        """Return how many figures the cause touches: those with its own verdict."""
        return sum(finding.verdict is self.verdict for finding in self.findings)


@dataclass(frozen=True, kw_only=True)
class CauseCount:
    """How many causes came to a verdict, and how many figures they touch."""

    verdict: AuditVerdict
    is_hypothesis: bool
    causes: int
    figures: int


def by_cause(findings: Iterable[AuditFinding]) -> tuple[CauseFindings, ...]:
    """Return findings by whose figures they are of and their cause, hypotheses last."""
    groups: dict[tuple[Source, Cause], list[AuditFinding]] = {}
    for finding in findings:
        groups.setdefault((finding.source, finding.cause), []).append(finding)
    found = [
        CauseFindings(
            cause=cause,
            source=source,
            findings=tuple(sorted(group, key=lambda each: WEIGHTIEST_FIRST.index(each.verdict))),
        )
        for (source, cause), group in groups.items()
    ]
    return tuple(
        sorted(
            found,
            key=lambda each: (each.cause.is_hypothesis, WEIGHTIEST_FIRST.index(each.verdict)),
        )
    )


def count_causes(findings: Iterable[AuditFinding]) -> tuple[CauseCount, ...]:
    """Return how many causes have which verdict: of figures first, then of hypotheses.

    Every place that tells a number of findings takes it from here.
    """
    groups = by_cause(findings)
    counts = []
    for is_hypothesis in (False, True):
        for verdict in WEIGHTIEST_FIRST:
            told = [
                group
                for group in groups
                if group.verdict is verdict and group.cause.is_hypothesis is is_hypothesis
            ]
            if told:
                figures = sum(group.figures for group in told)
                counts.append(
                    CauseCount(
                        verdict=verdict,
                        is_hypothesis=is_hypothesis,
                        causes=len(told),
                        figures=figures,
                    )
                )
    return tuple(counts)


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
