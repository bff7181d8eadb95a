"""Section 3.5 of the study: generation rate by number of threads, and what its own number loses.

The best number is chosen by the very runs that the loss is worked out from, so that of several
equal ones another is "best" in every sweep; losses are biased upward by that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    pools,
    sample_of,
    why_not_comparable,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.statistics import on_common_prompts, ratio_of_means
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    RowGroup,
    Table,
    absent,
    count,
    mapped,
    text,
)
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    fall_cell,
    mean_cell,
    model_cell,
    outside,
    own_group,
    run_counts,
)
from edgemoe_appliance.analysis.tables.stated_figures import stated_in_words
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.studies import Study

_RATE = "gen_tok_s"
_STATED = "headline_threads_below_best_pct"
_LONE = "no other number of threads with these prompts to compare with"
COLUMNS = (
    MODEL_COLUMN,
    Column(key="threads", title="Threads"),
    Column(
        key="mean_tok_s",
        title="Generation",
        unit=Unit.TOKENS_PER_S.value,
        digits=1,
        has_interval=True,
        metric=_RATE,
        meaning="mean over runs",
    ),
    Column(
        key="below_best_pct",
        title="Below best",
        unit="%",
        digits=1,
        has_interval=True,
        metric=_RATE,
        meaning="100 x (1 - rate / that of the model's best number); prompts paired",
    ),
    Column(key="role", title="Which", meaning="best of the model, the study's, the target's own"),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(
        key="study_below_best_pct",
        title="Study below best",
        unit="%",
        meaning="as the study states it, of its number of threads",
    ),
    Column(
        key="beyond_study_pp",
        title="Outside of study",
        unit="pp",
        digits=1,
        has_interval=True,
        meaning="how far the loss lies above (or, if negative, below) the range that the study "
        "states; 0 is within",
    ),
)


def threads_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return the generation rate by model and number of threads, and the loss against the best."""
    found = pools(loaded, study, Feeds.THREADS) if loaded else ()
    sweeps: dict[tuple[object, ...], list[Pool]] = {}
    for pool in found:
        setting, _, *rest = pool.condition.key
        sweeps.setdefault((setting, *rest), []).append(pool)
    return Table(
        id="threads",
        title="Generation rate by number of threads",
        where=f"section {study.stated[_STATED].section}",
        columns=COLUMNS,
        groups=(*(_group(sweep, study) for sweep in sweeps.values()), _study_group(study)),
        notes=(
            "The best number is chosen by the same runs, so a loss is biased upward where rates "
            "are alike.",
        ),
    )


def _group(sweep: Sequence[Pool], study: Study) -> RowGroup:
    ordered = sorted(sweep, key=lambda pool: pool.condition.threads)
    files = {models.sha256: models for pool in ordered for models in pool.models}
    rows = tuple(row for models in files.values() for row in _rows(ordered, models, study))
    return own_group(ordered[0], study, rows, ordered[0].condition.label_without_threads)


def _rows(sweep: Sequence[Pool], models: ModelRuns, study: Study) -> Iterator[Row]:
    """Yield one row per number of threads that a model file was run with."""
    found = [(pool, own) for pool in sweep if (own := pool.find(models)) is not None]
    losses = _losses({pool.condition.threads: own for pool, own in found})
    for pool, own in found:
        threads = pool.condition.threads
        loss = losses.get(threads, absent(_LONE))
        cells = {
            "model": model_cell(own, pool),
            "threads": count(threads),
            "mean_tok_s": mean_cell(own, _RATE),
            "below_best_pct": loss,
            "role": text(_role(pool, loss, study), "neither the best nor a named one"),
            **run_counts(sample_of(own.ok, _RATE).n, own),
            **_beside_study(pool, loss, study),
        }
        yield Row(cells=cells, model=own.model, twin=own.twin_scale)


def _losses(by_threads: Mapping[int, ModelRuns]) -> dict[int, Cell]:
    """Return by how much each number stays below the best, on the prompts that all have run."""
    samples = {threads: sample_of(own.ok, _RATE) for threads, own in by_threads.items()}
    kept = {threads: sample for threads, sample in samples.items() if sample.n}
    if len(kept) < 2:
        return {}
    common = dict(zip(kept, on_common_prompts(*kept.values()), strict=True))
    if not all(sample.n for sample in common.values()):
        return {}
    best = max(common, key=lambda threads: float(common[threads].values.mean()))
    losses = {
        threads: fall_cell(ratio_of_means(sample, common[best]))
        for threads, sample in common.items()
    }
    return {**losses, best: count(0)}


def _role(pool: Pool, loss: Cell, study: Study) -> str:
    setting, threads = pool.condition.setting, pool.condition.threads
    declared = setting.target.threads
    own = declared if isinstance(declared, int) else setting.host.cores_physical
    roles = {
        "best": loss.number == 0,
        "study's": threads == study.procedure.threads,
        "target's own": threads == own,
    }
    return ", ".join(role for role, holds in roles.items() if holds)


def _beside_study(pool: Pool, loss: Cell, study: Study) -> dict[str, Cell]:
    threads = study.procedure.threads
    reasons = why_not_comparable(pool, study)
    if pool.condition.threads != threads:
        reasons = (f"the study states it of {threads} threads",)
    stated = study.stated[_STATED]
    if reasons:
        reason = "; ".join(reasons)
        return {key: absent(reason) for key in ("study_below_best_pct", "beyond_study_pp")}
    return {
        "study_below_best_pct": text(stated_in_words(stated)),
        "beyond_study_pp": mapped(loss, lambda own: outside(own, stated.low, stated.high)),
    }


def _study_group(study: Study) -> RowGroup:
    """Return the study's loss; it prints no rates of the sweep."""
    sweep = study.procedure.thread_sweep
    cells = {
        **{column.key: absent(NOT_PRINTED) for column in COLUMNS},
        "model": text("each of the models"),
        "threads": count(study.procedure.threads),
        "below_best_pct": text(stated_in_words(study.stated[_STATED])),
        "role": text("study's"),
        "n": count(sweep.runs // (len(study.models) * len(sweep.threads))),
        **{key: absent(STUDY_ROW) for key in ("study_below_best_pct", "beyond_study_pp")},
    }
    return RowGroup(
        label=f"Study: {study.devices[sweep.device].label}",
        source="study",
        device=sweep.device,
        rows=(Row(cells=cells),),
    )
