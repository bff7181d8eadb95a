"""The few figures that a terminal shows after a bench: rates and peak memory per model."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.analysis.conditions import pools
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.table_model import Cell, Row, RowGroup
from edgemoe_appliance.analysis.tables.memory import memory_table
from edgemoe_appliance.analysis.tables.throughput import throughput_table
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One model under one condition; cells carry value, interval or the reason for absence.

    `gen_tok_s` and `prompt_tok_s` in tokens/s, `peak_rss_gib` in GiB, `to_baseline` the ratio of
    generation rates to Llama-3.2-1B's; `twin` is the scale of a twin.
    """

    condition: str
    model: str
    twin: str | None
    gen_tok_s: Cell
    to_baseline: Cell
    prompt_tok_s: Cell
    peak_rss_gib: Cell
    runs_ok: int
    runs_not_ok: int


def summary_rows(loaded: LoadedSessions, study: Study) -> tuple[SummaryRow, ...]:
    """Return the rows of the headline runs, condition after condition."""
    headline = pools(loaded, study, Feeds.HEADLINE)
    rates = throughput_table(headline, study)
    memory = memory_table(headline, study)
    return tuple(
        _summary_row(group, rate, peak)
        for group, peaks in zip(rates.groups, memory.groups, strict=True)
        if group.source == "reader"
        for rate, peak in zip(group.rows, peaks.rows, strict=True)
    )


def _summary_row(group: RowGroup, rate: Row, peak: Row) -> SummaryRow:
    return SummaryRow(
        condition=group.label,
        model=str(rate.cells["model"].value),
        twin=rate.twin,
        gen_tok_s=rate.cells["mean_tok_s"],
        to_baseline=rate.cells["to_baseline"],
        prompt_tok_s=rate.cells["prompt_tok_s"],
        peak_rss_gib=peak.cells["peak_rss_gib"],
        runs_ok=int(rate.cells["n"].number or 0),
        runs_not_ok=int(rate.cells["not_ok"].number or 0),
    )
