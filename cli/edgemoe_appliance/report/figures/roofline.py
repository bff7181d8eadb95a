"""Rates under the ceiling of the memory bandwidth, from the findings of the audit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from edgemoe_appliance.analysis.audit import AuditFinding
from edgemoe_appliance.report.drawing import RoofChart, RoofPoint
from edgemoe_appliance.report.figures.parts import (
    MOST_DRAWN,
    TITLE_LETTERS,
    FigureSet,
    draw_all,
    shortened,
)
from edgemoe_appliance.report.numbers import format_number
from edgemoe_appliance.studies import Study

_ACTIVE, _TOTAL = "roofline.active.", "roofline.total."


def roofline_figure(
    findings: Sequence[AuditFinding], names: Mapping[str, str], twins: str, study: Study
) -> FigureSet:
    """Return one panel per condition with a known bandwidth.

    `names` are the names of models by id, `twins` the warning for measured figures of twins.
    """
    active = [f for f in findings if f.id.startswith(_ACTIVE) and f.numbers]
    total = {f.id.removeprefix(_TOTAL): f for f in findings if f.id.startswith(_TOTAL)}
    places: dict[tuple[str, str], list[AuditFinding]] = {}
    for finding in active:
        places.setdefault((finding.source, finding.where), []).append(finding)
    charts = [
        _chart(found, total, names, twins if source == "reader" else "")
        for (source, _), found in places.items()
    ]
    return FigureSet(
        id="roofline",
        title="Rates under the ceiling of the memory bandwidth",
        caption="The line is the highest rate that the peak bandwidth allows for the bytes that a "
        "token reads. Filled marks count the weights that a token uses; the hollow one counts all "
        "weights of the MoE model. A mark above the line cannot be what happened.",
        table="",
        panels=draw_all("roofline", charts[:MOST_DRAWN], study),
    )


def _chart(
    findings: Sequence[AuditFinding],
    total: Mapping[str, AuditFinding],
    names: Mapping[str, str],
    warning: str,
) -> RoofChart:
    first = findings[0]
    bandwidth = _numbers(first)["bandwidth_gb_s"]
    label = first.where if first.source == "reader" else f"Study: {first.where}"
    return RoofChart(
        title=shortened(label, TITLE_LETTERS),
        subtitle=f"rate in tok/s; line: peak bandwidth, {format_number(bandwidth, 1)} GB/s",
        bandwidth_gb_s=bandwidth,
        points=tuple(_point(finding, total, names) for finding in findings),
        warning=warning,
    )


def _point(
    finding: AuditFinding, total: Mapping[str, AuditFinding], names: Mapping[str, str]
) -> RoofPoint:
    name = finding.id.removeprefix(_ACTIVE)
    model = max((m for m in names if name.endswith(f".{m}")), key=len, default="")
    numbers, whole = _numbers(finding), total.get(name)
    return RoofPoint(
        label=shortened(names.get(model, name), 20),
        model=model,
        rate_tok_s=numbers["rate_tok_s"],
        active_gb=numbers["bytes_per_token_gb"],
        total_gb=_numbers(whole)["bytes_per_token_gb"] if whole and whole.numbers else None,
    )


def _numbers(finding: AuditFinding) -> dict[str, float]:
    return {number.key: number.value for number in finding.numbers}
