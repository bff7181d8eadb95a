"""Table 6 of the study: energy per token, power and heat, over the study's window and by phase.

The study's window is the whole call; energy of generation alone, and that above idle, stand
beside it, as they answer what a token costs.
"""

from __future__ import annotations

from edgemoe_appliance.analysis.cells import Cell, Column, Row, Table, absent, number
from edgemoe_appliance.analysis.conditions import BASELINE, ModelRuns, Pool, sample_of
from edgemoe_appliance.analysis.statistics import Absent, summarise
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    baseline_ratio_cell,
    mean_cell,
    model_cell,
    plain_mean_cell,
    reader_groups,
    run_counts,
    study_groups,
)
from edgemoe_appliance.study.metrics import METRICS, Unit
from edgemoe_appliance.study.reference import Study, StudyDeviceId

# The study's way of counting: the whole call, a left-Riemann sum, all generated tokens.
_AS_STUDY = "j_per_token_study"
_J = Unit.JOULES_PER_TOKEN.value
_W = Unit.WATTS.value
COLUMNS = (
    MODEL_COLUMN,
    Column(
        key="mean_j_per_tok",
        title="As the study, mean",
        unit=_J,
        digits=2,
        has_interval=True,
        meaning="energy of the whole call over generated tokens, as the study computed it",
    ),
    Column(key="median_j_per_tok", title="As the study, median", unit=_J, digits=2),
    Column(
        key="to_baseline",
        title="To Llama-3.2-1B",
        unit="ratio",
        digits=2,
        has_interval=True,
        meaning="ratio of means within the condition, the study's way of counting",
    ),
    Column(
        key="gross_j_per_tok",
        title="Generation alone",
        unit=_J,
        digits=2,
        has_interval=True,
        meaning="loading and prompt left out, idle power in it",
    ),
    Column(
        key="net_j_per_tok",
        title="Above idle",
        unit=_J,
        digits=2,
        has_interval=True,
        meaning="generation alone, less the power of the idle machine",
    ),
    Column(key="avg_power_w", title="Average power", unit=_W, digits=2),
    Column(key="generate_power_w", title="Power in generation", unit=_W, digits=2),
    Column(
        key="peak_power_w", title="Peak power", unit=_W, digits=2, meaning="highest of all runs"
    ),
    Column(key="peak_soc_c", title="Peak SoC", unit="°C", digits=1, meaning="highest of all runs"),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
)


def energy_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return energy, power and heat; conditions without any energy reading are left out."""
    measured = tuple(pool for pool in pools if has_energy(pool))
    return Table(
        id="energy",
        title="Energy per token",
        where=str(study.tables.energy.where),
        columns=COLUMNS,
        groups=(
            *reader_groups(measured, study, _row),
            *study_groups(
                study,
                study.tables.energy,
                lambda device, model, _: _study_cells(study, device, model),
            ),
        ),
    )


def has_energy(pool: Pool) -> bool:
    """Return whether any run of a pool has an energy reading."""
    return _AS_STUDY in METRICS and any(
        bool(models.runs[_AS_STUDY].notna().any()) for models in pool.models
    )


def _row(pool: Pool, models: ModelRuns) -> Row:
    sample = sample_of(models.ok, _AS_STUDY)
    summary = summarise(sample)
    reason = models.why_absent(_AS_STUDY)
    cells = {
        "model": model_cell(models, pool),
        "mean_j_per_tok": mean_cell(models, _AS_STUDY),
        "median_j_per_tok": absent(reason)
        if isinstance(summary, Absent)
        else number(summary.median),
        "to_baseline": baseline_ratio_cell(pool, models, _AS_STUDY),
        "gross_j_per_tok": mean_cell(models, "j_per_token_gross"),
        "net_j_per_tok": mean_cell(models, "j_per_token_net"),
        "avg_power_w": plain_mean_cell(models, "power_study_w"),
        "generate_power_w": plain_mean_cell(models, "power_generate_w"),
        "peak_power_w": _highest(models, "power_study_peak_w"),
        "peak_soc_c": _highest(models, "temp_peak_c"),
        **run_counts(sample.n, models),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _highest(models: ModelRuns, metric: str) -> Cell:
    sample = sample_of(models.ok, metric)
    return number(float(sample.values.max()) if sample.n else None, models.why_absent(metric))


def _study_cells(study: Study, device: StudyDeviceId, model: str) -> dict[str, Cell]:
    printed = study.energy(device, model)
    base = study.energy(device, BASELINE).mean_j_per_tok
    mean = printed.mean_j_per_tok
    ratio = None if mean is None or base is None else mean / base
    return {
        "mean_j_per_tok": number(mean, NOT_PRINTED),
        "median_j_per_tok": number(printed.median_j_per_tok, NOT_PRINTED),
        "to_baseline": number(ratio, NOT_PRINTED),
        "gross_j_per_tok": absent(NOT_PRINTED),
        "net_j_per_tok": absent(NOT_PRINTED),
        "avg_power_w": number(printed.avg_power_w, NOT_PRINTED),
        "generate_power_w": absent(NOT_PRINTED),
        "peak_power_w": number(printed.peak_power_w, NOT_PRINTED),
        "peak_soc_c": number(printed.peak_soc_c, NOT_PRINTED),
        "n": Cell(value=study.procedure.headline_runs_per_cell),
        "not_ok": absent(NOT_PRINTED),
    }
