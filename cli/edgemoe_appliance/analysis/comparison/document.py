"""A comparison as one plain document, for programs that read it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from edgemoe_appliance.analysis.comparison.compared import Comparison
from edgemoe_appliance.analysis.comparison.facts import Area
from edgemoe_appliance.analysis.comparison.results import Result, rule_in_words
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.schema.metrics import METRICS


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """Return a comparison with `differences` by area, `results` and `claims_changed`."""
    results = comparison.results
    return {
        "a": comparison.a,
        "b": comparison.b,
        "differences": {
            area.value: [
                {"fact": each.fact, "a": each.a, "b": each.b} for each in comparison.of(area)
            ]
            for area in Area
        },
        "rule": rule_in_words(results),
        "confidence": results.confidence,
        "results": [_result(row) for row in results.rows],
        "claims_judged": comparison.claims,
        "claims_changed": [asdict(change) for change in comparison.changes],
    }


def _result(row: Result) -> dict[str, Any]:
    bounds = row.interval if isinstance(row.interval, Interval) else None
    return {
        "workload": row.workload.label,
        "model": row.model,
        "metric": row.metric,
        "unit": METRICS[row.metric].unit.value,
        "outcome": row.outcome.value,
        "a": row.a,
        "b": row.b,
        "ratio": row.ratio,
        "low": bounds.low if bounds else None,
        "high": bounds.high if bounds else None,
        "prompts": row.prompts,
        "runs_a": row.runs_a,
        "runs_b": row.runs_b,
        "reason": row.reason,
    }
