"""Audits: can a figure mean what is said of it? The same tests for printed and measured numbers."""

from __future__ import annotations

from edgemoe_appliance.analysis.audit.document import judgement_document
from edgemoe_appliance.analysis.audit.energy import check_windows
from edgemoe_appliance.analysis.audit.findings import AuditVerdict, Confidence, Finding
from edgemoe_appliance.analysis.audit.memory import check_memory
from edgemoe_appliance.analysis.audit.nodes import check_nodes
from edgemoe_appliance.analysis.audit.observer import check_observer
from edgemoe_appliance.analysis.audit.recomputed import check_statements
from edgemoe_appliance.analysis.audit.roofline import check_roofline
from edgemoe_appliance.analysis.audit.stability import check_stability
from edgemoe_appliance.analysis.claims.evidence import Evidence

__all__ = ["AuditVerdict", "Confidence", "Finding", "audit", "judgement_document"]

_CHECKS = (
    check_windows,
    check_roofline,
    check_memory,
    check_observer,
    check_nodes,
    check_stability,
    check_statements,
)


def audit(evidence: Evidence) -> tuple[Finding, ...]:
    """Return the findings of every test, in the order of the tests."""
    return tuple(finding for check in _CHECKS for finding in check(evidence))
