"""Table 3 of the study: generation rate by model, and how it compares within a device."""

from __future__ import annotations

from edgemoe_appliance.analysis.conditions import (
    BASELINE,
    ModelRuns,
    Pool,
    sample_of,
    why_not_comparable,
)
from edgemoe_appliance.analysis.statistics import (
    Absent,
    mean_interval,
    summarise,
)
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    Table,
    absent,
    estimate,
    number,
)
from edgemoe_appliance.analysis.tables.common import (
    ACTIVE_COLUMN,
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    TOTAL_COLUMN,
    baseline_ratio_cell,
    mean_cell,
    model_cell,
    parameter_cells,
    ratio_to_study,
    reader_groups,
    run_counts,
    study_cell,
    study_groups,
    study_parameters,
)
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDeviceId, StudyModel

_RATE = Unit.TOKENS_PER_S.value
COLUMNS = (
    MODEL_COLUMN,
    ACTIVE_COLUMN,
    TOTAL_COLUMN,
    Column(
        key="mean_tok_s",
        metric="gen_tok_s",
        title="Mean",
        unit=_RATE,
        digits=1,
        has_interval=True,
        meaning="generation rate over all runs of the condition",
    ),
    Column(key="median_tok_s", metric="gen_tok_s", title="Median", unit=_RATE, digits=1),
    Column(
        key="sd_tok_s",
        metric="gen_tok_s",
        title="SD",
        unit=_RATE,
        digits=2,
        meaning="n-1 in the divisor",
    ),
    Column(key="cv_pct", title="CV", unit="%", digits=1, meaning="SD / mean"),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(
        key="to_baseline",
        title="To Llama-3.2-1B",
        unit="ratio",
        digits=3,
        has_interval=True,
        meaning="ratio of means within the condition; prompts are drawn together for both",
    ),
    Column(key="prompt_tok_s", title="Prompt rate", unit=_RATE, digits=0, has_interval=True),
    Column(key="study_mean_tok_s", title="Study mean", unit=_RATE, digits=1),
    Column(key="study_median_tok_s", title="Study median", unit=_RATE, digits=1),
    Column(key="to_study", title="Mean to study", unit="ratio", digits=3, has_interval=True),
)


def throughput_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return the generation rates of the reader and of the study."""

    def build_row(pool: Pool, models: ModelRuns) -> Row:
        return _row(pool, models, study)

    return Table(
        id="throughput",
        title="Generation rate",
        where=str(study.tables.throughput.where),
        columns=COLUMNS,
        groups=(
            *reader_groups(pools, study, build_row),
            *study_groups(
                study,
                study.tables.throughput,
                lambda device, model, counted: _study_cells(study, device, model, counted),
            ),
        ),
    )


def _row(pool: Pool, models: ModelRuns, study: Study) -> Row:
    reasons = why_not_comparable(pool, study)
    device = pool.condition.setting.target.study_device
    printed = study.throughput(device, models.model)
    rate = _rate_cells(models)
    cells = {
        "model": model_cell(models, pool),
        **parameter_cells(models),
        **rate,
        **run_counts(sample_of(models.ok, "gen_tok_s").n, models),
        "to_baseline": baseline_ratio_cell(pool, models, "gen_tok_s"),
        "prompt_tok_s": mean_cell(models, "prompt_tok_s"),
        "study_mean_tok_s": study_cell(printed.mean_tok_s, reasons),
        "study_median_tok_s": study_cell(printed.median_tok_s, reasons),
        "to_study": ratio_to_study(rate["mean_tok_s"], printed.mean_tok_s, reasons),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _rate_cells(models: ModelRuns) -> dict[str, Cell]:
    sample = sample_of(models.ok, "gen_tok_s")
    summary = summarise(sample)
    if isinstance(summary, Absent):
        keys = ("mean_tok_s", "median_tok_s", "sd_tok_s", "cv_pct")
        return {key: absent(models.why_absent("gen_tok_s")) for key in keys}
    return {
        "mean_tok_s": estimate(summary.mean, mean_interval(sample)),
        "median_tok_s": number(summary.median),
        "sd_tok_s": number(summary.sd),
        "cv_pct": number(summary.cv_pct),
    }


def _study_cells(
    study: Study, device: StudyDeviceId, model: str, counted: StudyModel
) -> dict[str, Cell]:
    printed = study.throughput(device, model)
    base = study.throughput(device, BASELINE).mean_tok_s
    mean = printed.mean_tok_s
    ratio = None if mean is None or base is None else mean / base
    return {
        **study_parameters(counted),
        "mean_tok_s": number(mean, NOT_PRINTED),
        "median_tok_s": number(printed.median_tok_s, NOT_PRINTED),
        "sd_tok_s": absent(NOT_PRINTED),
        "cv_pct": number(study.stability(device, model).cv_pct, NOT_PRINTED),
        "n": Cell(value=study.procedure.headline_runs_per_cell),
        "not_ok": absent(NOT_PRINTED),
        "to_baseline": number(ratio, NOT_PRINTED),
        "prompt_tok_s": absent(NOT_PRINTED),
        **{key: absent(STUDY_ROW) for key in ("study_mean_tok_s", "study_median_tok_s")},
        "to_study": absent(STUDY_ROW),
    }
