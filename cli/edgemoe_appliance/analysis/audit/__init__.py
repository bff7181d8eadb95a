"""Audits: can a figure mean what is said of it? The same tests for printed and measured numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from edgemoe_appliance.analysis.audit.document import judgement_document
from edgemoe_appliance.analysis.audit.energy import check_windows
from edgemoe_appliance.analysis.audit.findings import (
    BANDWIDTH,
    ENERGY_WINDOW,
    NODE_COUNTS,
    PARTS,
    POOLED_PROMPTS,
    RESIDENT,
    TIMING,
    AuditFinding,
    AuditSubject,
    AuditVerdict,
    CauseCount,
    CauseFindings,
    Confidence,
    by_cause,
    count_causes,
)
from edgemoe_appliance.analysis.audit.memory import check_memory
from edgemoe_appliance.analysis.audit.nodes import check_nodes
from edgemoe_appliance.analysis.audit.observer import check_observer
from edgemoe_appliance.analysis.audit.recomputed import check_statements
from edgemoe_appliance.analysis.audit.roofline import check_roofline
from edgemoe_appliance.analysis.audit.stability import check_stability
from edgemoe_appliance.analysis.claims.evidence import Cause, Evidence

__all__ = [
    "AuditFinding",
    "AuditVerdict",
    "CauseCount",
    "CauseFindings",
    "Confidence",
    "audit",
    "by_cause",
    "count_causes",
    "judgement_document",
]


@dataclass(frozen=True, kw_only=True)
class _Audit:
    """A test of figures; `lacks` says what the evidence would have to have for it, if anything."""

    id: str
    test: str
    check: Callable[[Evidence], Iterable[AuditFinding]]
    cause: Cause
    lacks: Callable[[Evidence], str] = lambda _: ""

    def findings(self, evidence: Evidence) -> Iterable[AuditFinding]:
        """Return the findings, or one that says why there are none."""
        reason = self.lacks(evidence)
        if not reason:
            return self.check(evidence)
        subject = AuditSubject(
            id=self.id,
            test=self.test,
            subject=self.test,
            where="",
            source=evidence.source,
            cause=self.cause,
        )
        return (subject.not_tested(reason),)


def _lacks_energy(evidence: Evidence) -> str:
    is_study = evidence.source == "study"
    return "the study reports no energy" if is_study and not evidence.study.energy_devices else ""


def _lacks_routing(evidence: Evidence) -> str:
    study = evidence.study
    if not any(map(study.has_experts, study.models)):
        return "no model of the study has experts"
    strata = study.procedure.routing_strata_tokens
    return "" if strata else "the study has no classes of prompts to time routing with"


def _lacks_nodes(evidence: Evidence) -> str:
    return "" if evidence.study.graph else "the study counts no nodes of a graph"


_AUDITS = (
    _Audit(
        id="energy-window",
        test="energy x rate / power",
        check=check_windows,
        cause=ENERGY_WINDOW,
        lacks=_lacks_energy,
    ),
    _Audit(id="roofline", test="rate against the bandwidth", check=check_roofline, cause=BANDWIDTH),
    _Audit(
        id="resident", test="resident against physical memory", check=check_memory, cause=RESIDENT
    ),
    _Audit(
        id="observer",
        test="observer effect of the routing measurement",
        check=check_observer,
        cause=TIMING,
        lacks=_lacks_routing,
    ),
    _Audit(
        id="nodes", test="counts of nodes", check=check_nodes, lacks=_lacks_nodes, cause=NODE_COUNTS
    ),
    _Audit(
        id="variation",
        test="variation between prompts and between repetitions",
        check=check_stability,
        cause=POOLED_PROMPTS,
    ),
    _Audit(id="recomputed", test="figure and its parts", check=check_statements, cause=PARTS),
)


def audit(evidence: Evidence) -> tuple[AuditFinding, ...]:
    """Return the findings of every test, in the order of the tests."""
    return tuple(finding for each in _AUDITS for finding in each.findings(evidence))
