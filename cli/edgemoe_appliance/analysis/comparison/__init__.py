"""Two sessions side by side: what differs in how they were made, and whether results differ."""

from __future__ import annotations

from edgemoe_appliance.analysis.comparison.compared import (
    ClaimChange,
    Comparison,
    Side,
    compare_sides,
)
from edgemoe_appliance.analysis.comparison.document import comparison_document
from edgemoe_appliance.analysis.comparison.facts import Area, FactDifference
from edgemoe_appliance.analysis.comparison.results import (
    MARGIN,
    ComparisonOutcome,
    Result,
    Results,
    rule_in_words,
)

__all__ = [
    "MARGIN",
    "Area",
    "ClaimChange",
    "Comparison",
    "ComparisonOutcome",
    "FactDifference",
    "Result",
    "Results",
    "Side",
    "compare_sides",
    "comparison_document",
    "rule_in_words",
]
