"""The study's claims as declared tests, and verdicts on them from printed or measured numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgemoe_appliance.analysis.claims.evidence import Evidence, Place, Scope
from edgemoe_appliance.analysis.claims.judging import judge_claims, number_behind
from edgemoe_appliance.analysis.claims.study_evidence import StudyEvidence
from edgemoe_appliance.analysis.claims.verdicts import ClaimVerdict, Number, Part, Verdict

if TYPE_CHECKING:
    from edgemoe_appliance.analysis.claims.session_evidence import SessionEvidence

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
    "number_behind",
]


def __getattr__(name: str) -> Any:
    """Load what reads sessions when it is first asked for: the study alone is judged without."""
    if name != "SessionEvidence":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from edgemoe_appliance.analysis.claims.session_evidence import (  # noqa: PLC0415
        SessionEvidence,
    )

    return SessionEvidence
