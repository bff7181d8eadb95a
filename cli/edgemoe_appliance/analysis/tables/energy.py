"""Table 6 of the study: energy per token, power and heat, over the study's window and by phase.

The study's window is the whole call; energy of generation alone, and that above idle, stand
beside it, as they answer what a token costs.
"""

from __future__ import annotations

from functools import partial

from edgemoe_appliance.analysis.conditions import (
    BASELINE,
    ModelRuns,
    Pool,
    has_reading,
    sample_of,
    why_not_comparable,
)
from edgemoe_appliance.analysis.statistics import Absent, summarise
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, Table, absent, number
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    baseline_ratio_cell,
    highest_cell,
    mean_cell,
    model_cell,
    plain_mean_cell,
    ratio_to_study,
    reader_groups,
    run_counts,
    study_cell,
    study_groups,
)
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDeviceId

# The study's way of counting: the whole call, a left-Riemann sum, all generated tokens.
_AS_STUDY = "j_per_token_study"
_J = Unit.JOULES_PER_TOKEN.value
_W = Unit.WATTS.value
_GENERATION_KEYS = (
    "gross_j_per_tok",
    "gross_u95_j_per_tok",
    "net_j_per_tok",
    "net_u95_j_per_tok",
)
COLUMNS = (
    MODEL_COLUMN,
    Column(
        key="mean_j_per_tok",
        metric="j_per_token_study",
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
        metric="j_per_token_gross",
        title="Generation alone",
        unit=_J,
        digits=2,
        has_interval=True,
        meaning="loading and prompt left out, idle power in it",
    ),
    Column(
        key="gross_u95_j_per_tok",
        title="Its uncertainty",
        unit=_J,
        digits=3,
        metric="j_per_token_gross_u95",
        meaning="of one run's figure, 95 %: sampling, edges and sensor; mean over runs",
    ),
    Column(
        key="net_j_per_tok",
        metric="j_per_token_net",
        title="Above idle",
        unit=_J,
        digits=2,
        has_interval=True,
        meaning="generation alone, less the power of the idle machine",
    ),
    Column(
        key="net_u95_j_per_tok",
        title="Its uncertainty",
        unit=_J,
        digits=3,
        metric="j_per_token_net_u95",
        meaning="of one run's figure, 95 %: both energies; mean over runs",
    ),
    Column(
        key="avg_power_w",
        title="Average power",
        unit=_W,
        digits=2,
        has_interval=True,
        metric="power_study_w",
        meaning="of the whole call, the study's way",
    ),
    Column(
        key="generate_power_w",
        title="Power in generation",
        unit=_W,
        digits=2,
        has_interval=True,
        metric="power_generate_w",
        meaning="average over the window of generation alone",
    ),
    Column(
        key="peak_power_w", title="Peak power", unit=_W, digits=2, meaning="highest of all runs"
    ),
    Column(key="peak_soc_c", title="Peak SoC", unit="°C", digits=1, meaning="highest of all runs"),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(key="study_mean_j_per_tok", title="Study mean", unit=_J, digits=2),
    Column(
        key="to_study",
        title="As the study, to study",
        unit="ratio",
        digits=3,
        has_interval=True,
        meaning="mean to the study's mean, counted alike",
    ),
    Column(key="study_avg_power_w", title="Study power", unit=_W, digits=2),
    Column(
        key="power_to_study",
        title="Power to study",
        unit="ratio",
        digits=3,
        has_interval=True,
        meaning="average power of the whole call to the study's",
    ),
)


def energy_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return energy, power and heat; conditions without any energy reading are left out."""
    measured = tuple(pool for pool in pools if has_reading(pool, (_AS_STUDY,)))
    return Table(
        id="energy",
        title="Energy per token",
        where=str(study.tables.energy.where),
        columns=COLUMNS,
        groups=(
            *reader_groups(measured, study, partial(_row, study)),
            *study_groups(
                study,
                study.tables.energy,
                lambda device, model, _: _study_cells(study, device, model),
            ),
        ),
    )


def _row(study: Study, pool: Pool, models: ModelRuns) -> Row:
    reasons = why_not_comparable(pool, study)
    printed = study.energy(pool.condition.setting.target.study_device, models.model)
    mean, power = mean_cell(models, _AS_STUDY), mean_cell(models, "power_study_w")
    sample = sample_of(models.ok, _AS_STUDY)
    summary = summarise(sample)
    reason = models.why_absent(_AS_STUDY)
    cells = {
        "model": model_cell(models, pool),
        "mean_j_per_tok": mean,
        "median_j_per_tok": absent(reason)
        if isinstance(summary, Absent)
        else number(summary.median),
        "to_baseline": baseline_ratio_cell(pool, models, _AS_STUDY),
        "gross_j_per_tok": mean_cell(models, "j_per_token_gross"),
        "gross_u95_j_per_tok": plain_mean_cell(models, "j_per_token_gross_u95"),
        "net_j_per_tok": mean_cell(models, "j_per_token_net"),
        "net_u95_j_per_tok": plain_mean_cell(models, "j_per_token_net_u95"),
        "avg_power_w": power,
        "generate_power_w": mean_cell(models, "power_generate_w"),
        "peak_power_w": highest_cell(models, "power_study_peak_w"),
        "peak_soc_c": highest_cell(models, "temp_peak_c"),
        **run_counts(sample.n, models),
        "study_mean_j_per_tok": study_cell(printed.mean_j_per_tok, reasons),
        "to_study": ratio_to_study(mean, printed.mean_j_per_tok, reasons),
        "study_avg_power_w": study_cell(printed.avg_power_w, reasons),
        "power_to_study": ratio_to_study(power, printed.avg_power_w, reasons),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _study_cells(study: Study, device: StudyDeviceId, model: str) -> dict[str, Cell]:
    printed = study.energy(device, model)
    base = study.energy(device, BASELINE).mean_j_per_tok
    mean = printed.mean_j_per_tok
    ratio = None if mean is None or base is None else mean / base
    return {
        "mean_j_per_tok": number(mean, NOT_PRINTED),
        "median_j_per_tok": number(printed.median_j_per_tok, NOT_PRINTED),
        "to_baseline": number(ratio, NOT_PRINTED),
        **{key: absent(NOT_PRINTED) for key in _GENERATION_KEYS},
        "avg_power_w": number(printed.avg_power_w, NOT_PRINTED),
        "generate_power_w": absent(NOT_PRINTED),
        "peak_power_w": number(printed.peak_power_w, NOT_PRINTED),
        "peak_soc_c": number(printed.peak_soc_c, NOT_PRINTED),
        "n": Cell(value=study.procedure.headline_runs_per_cell),
        "not_ok": absent(NOT_PRINTED),
        **{column.key: absent(STUDY_ROW) for column in COLUMNS[-4:]},
    }
