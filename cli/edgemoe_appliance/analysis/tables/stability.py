"""Section 4.4 of the study: how much the generation rate varies, over all runs and over repeats."""

from __future__ import annotations

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, sample_of, why_not_comparable
from edgemoe_appliance.analysis.statistics import (
    Absent,
    Interval,
    Summary,
    summarise,
    variation_interval,
)
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    Table,
    absent,
    estimate,
    mapped,
    number,
    text,
)
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    model_cell,
    outside,
    reader_groups,
    run_counts,
    study_groups,
)
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import Stability

COLUMNS = (
    MODEL_COLUMN,
    Column(
        key="cv_pct",
        metric="gen_tok_s",
        title="CV, all runs",
        unit="%",
        digits=1,
        has_interval=True,
        meaning="the study's figure: prompts and repetitions pooled",
    ),
    Column(
        key="cv_within_pct",
        metric="gen_tok_s",
        title="CV, repetitions",
        unit="%",
        digits=2,
        meaning="between repetitions of one prompt, pooled over prompts",
    ),
    Column(
        key="range_pct",
        title="Range",
        unit="%",
        digits=1,
        meaning="(highest - lowest) / mean of all runs",
    ),
    Column(key="below_limit", title="CV below limit", meaning="the study's limit"),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(key="study_cv_pct", title="Study CV", unit="%", digits=1, meaning="a value, or bounds"),
    Column(
        key="beyond_study_pp",
        title="Outside of study",
        unit="pp",
        digits=1,
        has_interval=True,
        meaning="how far the CV lies above (or, if negative, below) the value or the bounds that "
        "the study prints; 0 is within",
    ),
)


def stability_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return the variation of the generation rate, the reader's and the study's."""
    limit = study.stated["cv_threshold_pct"].value
    return Table(
        id="stability",
        title="Variation of the generation rate",
        where=str(study.tables.stability.where),
        columns=COLUMNS,
        groups=(
            *reader_groups(pools, study, lambda pool, models: _row(pool, models, study)),
            *study_groups(
                study,
                study.tables.stability,
                lambda device, model, _: _study_cells(
                    study.stability(device, model), study.procedure.headline_runs_per_cell, limit
                ),
            ),
        ),
        notes=() if limit is None else (f"Limit: the study trusts no cell above {limit:g} %.",),
    )


def _row(pool: Pool, models: ModelRuns, study: Study) -> Row:
    sample = sample_of(models.ok, "gen_tok_s")
    summary = summarise(sample)
    if isinstance(summary, Absent):
        reason = models.why_absent("gen_tok_s")
        figures = {column.key: absent(reason) for column in COLUMNS[1:5]}
        n = 0
    else:
        limit = study.stated["cv_threshold_pct"].value
        figures, n = _figures(summary, variation_interval(sample), limit), summary.n
    printed = study.stability(pool.condition.setting.target.study_device, models.model)
    cells = {
        "model": model_cell(models, pool),
        **figures,
        **run_counts(n, models),
        **_beside_study(figures["cv_pct"], printed, why_not_comparable(pool, study)),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _figures(summary: Summary, interval: Interval | Absent, limit: float | None) -> dict[str, Cell]:
    within = summary.sd_within
    spread = 100 * (summary.maximum - summary.minimum) / summary.mean
    return {
        "cv_pct": number(summary.cv_pct)
        if isinstance(summary.cv_pct, Absent)
        else estimate(summary.cv_pct, interval),
        "cv_within_pct": number(
            within if isinstance(within, Absent) else 100 * within / summary.mean
        ),
        "range_pct": Cell(value=spread),
        "below_limit": _below(
            None if isinstance(summary.cv_pct, Absent) else summary.cv_pct, limit
        ),
    }


def _beside_study(cv: Cell, printed: Stability, reasons: tuple[str, ...]) -> dict[str, Cell]:
    shown = absent("; ".join(reasons)) if reasons else _printed_cv(printed)
    if shown.value is None:
        return dict.fromkeys(("study_cv_pct", "beyond_study_pp"), shown)
    low = printed.cv_pct or printed.cv_at_least_pct
    high = printed.cv_pct or printed.cv_at_most_pct
    beyond = mapped(cv, lambda own: outside(own, low, high))
    return {"study_cv_pct": shown, "beyond_study_pp": beyond}


def _below(cv_pct: float | None, limit: float | None) -> Cell:
    if cv_pct is None or limit is None:
        return absent("no figure to judge")
    return text("yes" if cv_pct < limit else "no")


def _study_cells(printed: Stability, runs: int, limit: float | None) -> dict[str, Cell]:
    highest = printed.cv_pct if printed.cv_pct is not None else printed.cv_at_most_pct
    return {
        "cv_pct": _printed_cv(printed),
        "cv_within_pct": absent(NOT_PRINTED),
        "range_pct": absent(NOT_PRINTED),
        "below_limit": _below(highest, limit),
        "n": Cell(value=runs),
        "not_ok": absent(NOT_PRINTED),
        **{key: absent(STUDY_ROW) for key in ("study_cv_pct", "beyond_study_pp")},
    }


def _printed_cv(printed: Stability) -> Cell:
    """Return the value that the study prints, or the bounds that it gives instead."""
    if printed.cv_pct is not None:
        return Cell(value=printed.cv_pct)
    low, high = printed.cv_at_least_pct, printed.cv_at_most_pct
    if high is None:
        return absent(NOT_PRINTED)
    return text(f"at most {high:.1f}" if low is None else f"{low:.1f} to {high:.1f}")
