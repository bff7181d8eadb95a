"""Table 7 of the study and the figures of its text, as printed there. No reader's side yet."""

from __future__ import annotations

from collections.abc import Iterator

from edgemoe_appliance.analysis.cells import Column, Row, RowGroup, Table, number, text
from edgemoe_appliance.analysis.tables.common import NOT_PRINTED
from edgemoe_appliance.analysis.tables.setup import bounds_in_words
from edgemoe_appliance.study.reference import (
    Routing,
    StatedFigure,
    Study,
)

_ROUTING_COLUMNS = (
    Column(key="stratum", title="Prompts"),
    Column(key="runs", title="Runs"),
    Column(key="routing_ms", title="Routing", unit="ms"),
    Column(key="ffn_ms", title="Expert FFN", unit="ms"),
    Column(key="moe_ms", title="MoE blocks", unit="ms"),
    Column(key="routing_share_pct", title="Routing share", unit="%", digits=1),
)
_STATED_COLUMNS = (
    Column(key="figure", title="Figure of"),
    Column(key="name", title="Key", meaning="ends in the unit"),
    Column(key="value", title="Printed"),
    Column(key="section", title="Section"),
)


def routing_table(study: Study) -> Table:
    """Return the study's time of routing and of the experts, by stratum of prompts."""
    return Table(
        id="routing",
        title="Time in the MoE blocks",
        where=str(study.tables.routing.where),
        columns=_ROUTING_COLUMNS,
        groups=tuple(
            RowGroup(
                label=f"Study: {study.devices[device].label}",
                source="study",
                device=device,
                rows=tuple(_routing_row(study, *item) for item in strata.items()),
            )
            for device, strata in study.tables.routing.cells.items()
        ),
        notes=tuple(_slowdowns(study)),
    )


def _routing_row(study: Study, stratum: str, printed: Routing) -> Row:
    figures = printed.model_dump()
    bounds = {str(key): value for key, value in study.procedure.routing_strata_tokens.items()}
    words = f" ({bounds_in_words(bounds[stratum])})" if stratum in bounds else ""
    return Row(
        cells={
            "stratum": text(stratum + words),
            **{c.key: number(figures[c.key], NOT_PRINTED) for c in _ROUTING_COLUMNS[1:]},
        }
    )


def _slowdowns(study: Study) -> Iterator[str]:
    """Yield what timing every node costs, in the digits that the study prints."""
    table = study.tables.slowdown
    for device, models in table.cells.items():
        for model, cost in models.items():
            yield (
                f"Timing every node on {study.devices[device].label} slows "
                f"{study.models[model].name} from {cost.unpatched_tok_s:g} to "
                f"{cost.patched_tok_s:g} tok/s, {cost.slowdown_ratio:g} times ({table.where})."
            )


def stated_table(study: Study) -> Table:
    """Return the figures that stand in the study's text only, as printed."""
    rows = tuple(
        Row(
            cells={
                "figure": text(figure.of),
                "name": text(name),
                "value": text(_printed(figure)),
                "section": text(figure.section),
            }
        )
        for name, figure in study.stated.items()
    )
    return Table(
        id="stated",
        title="Figures in the study's text",
        columns=_STATED_COLUMNS,
        groups=(RowGroup(label="", source="study", rows=rows),),
    )


def _printed(figure: StatedFigure) -> str:
    if figure.value is None:
        return f"{figure.low:g} to {figure.high:g}"
    sense = {"exact": "", "about": "about ", "at-most": "at most ", "below": "below "}
    return f"{sense[figure.sense]}{figure.value:g}"
