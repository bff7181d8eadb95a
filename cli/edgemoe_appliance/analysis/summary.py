"""The few figures that a terminal shows after a bench: rates and peak memory per model."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, pools, sample_of
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.statistics import Sample
from edgemoe_appliance.analysis.table_model import Cell
from edgemoe_appliance.analysis.tables.common import baseline_ratio_cell, mean_cell, model_cell
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.units import GIB
from edgemoe_appliance.studies import Study

_RATE = "gen_tok_s"


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """One model under one condition; cells carry value, interval or the reason for absence.

    `gen_tok_s` and `prompt_tok_s` in tokens/s, `peak_rss_gib` in GiB, `to_baseline` the ratio of
    generation rates to the study's baseline's; `twin` is the scale of a twin.
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
    found = pools(loaded, study, Feeds.HEADLINE)
    return tuple(_summary_row(pool, models) for pool in found for models in pool.models)


def _summary_row(pool: Pool, models: ModelRuns) -> SummaryRow:
    return SummaryRow(
        condition=pool.condition.label,
        model=str(model_cell(models, pool).value),
        twin=models.twin_scale,
        gen_tok_s=mean_cell(models, _RATE),
        to_baseline=baseline_ratio_cell(pool, models, _rates),
        prompt_tok_s=mean_cell(models, "prompt_tok_s"),
        peak_rss_gib=mean_cell(models, "peak_rss_bytes", GIB),
        runs_ok=_rates(models).n,
        runs_not_ok=models.not_ok,
    )


def _rates(models: ModelRuns) -> Sample:
    return sample_of(models.ok, _RATE)
