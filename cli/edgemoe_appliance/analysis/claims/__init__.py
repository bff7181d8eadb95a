"""The study's claims as declared tests, and verdicts on them from printed or measured numbers."""

from __future__ import annotations

from edgemoe_appliance.analysis.claims.evidence import Evidence, Place, Scope
from edgemoe_appliance.analysis.claims.judging import judge_claims
from edgemoe_appliance.analysis.claims.session_evidence import SessionEvidence
from edgemoe_appliance.analysis.claims.study_evidence import StudyEvidence
from edgemoe_appliance.analysis.claims.verdicts import ClaimVerdict, Number, Part, Verdict

__all__ = [
    "ClaimVerdict",
    "Evidence",
    "Number",
    "Part",
    "Place",
    "Scope",
    "SessionEvidence",
    "StudyEvidence",
    "Verdict",
    "judge_claims",
]
