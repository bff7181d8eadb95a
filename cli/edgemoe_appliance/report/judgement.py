"""What was judged, together: the reader's verdicts and findings, and the study's on itself."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.analysis.audit import AuditFinding, audit
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    SessionEvidence,
    StudyEvidence,
    judge_claims,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Verdicts and findings that a page is about; `own` are the study's beside a reader's.

    Without sessions the study's are the ones that the page is about, and there are no others.
    """

    verdicts: tuple[ClaimVerdict, ...]
    findings: tuple[AuditFinding, ...]
    own_verdicts: tuple[ClaimVerdict, ...] | None = None
    own_findings: tuple[AuditFinding, ...] | None = None

    @property
    def all_findings(self) -> tuple[AuditFinding, ...]:
        """Return the findings on the reader's figures, then those on the study's."""
        return self.findings + (self.own_findings or ())


def judge(loaded: LoadedSessions | None, study: Study) -> Judgement:
    """Judge the claims and audit the figures, of sessions and of the study, or of the study."""
    printed = StudyEvidence(study)
    own = judge_claims(printed), audit(printed)
    if loaded is None:
        return Judgement(verdicts=own[0], findings=own[1])
    measured = SessionEvidence(loaded, study)
    return Judgement(
        verdicts=judge_claims(measured),
        findings=audit(measured),
        own_verdicts=own[0],
        own_findings=own[1],
    )
