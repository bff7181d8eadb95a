"""Table 5 of the study: generation rate by length of the prompt, and its fall to the long ones."""

from __future__ import annotations

from typing import get_args

from edgemoe_appliance.analysis.cells import Cell, Column, Row, Table, absent, estimate, number
from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, sample_of, why_not_comparable
from edgemoe_appliance.analysis.statistics import (
    Absent,
    Interval,
    Sample,
    mean_interval,
    ratio_of_means,
)
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    model_cell,
    reader_groups,
    run_counts,
    study_cell,
    study_groups,
)
from edgemoe_appliance.study.metrics import Unit
from edgemoe_appliance.study.reference import LengthClass, Study, StudyDeviceId

LENGTHS: tuple[LengthClass, ...] = get_args(LengthClass)
_RATE = Unit.TOKENS_PER_S.value
COLUMNS = (
    MODEL_COLUMN,
    *(
        Column(
            key=f"{length}_tok_s",
            title=length.capitalize(),
            unit=_RATE,
            digits=1,
            has_interval=True,
        )
        for length in LENGTHS
    ),
    Column(
        key="fall_pct",
        title="Fall, short to long",
        unit="%",
        digits=1,
        has_interval=True,
        meaning="100 x (1 - long / short); below 0 the rate rises",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(key="study_fall_pct", title="Study fall", unit="%", digits=1),
)


def prompt_length_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return the generation rates by length of the prompt, the reader's and the study's."""
    return Table(
        id="prompt-length",
        title="Generation rate by prompt length",
        where=str(study.tables.prompt_length.where),
        columns=COLUMNS,
        groups=(
            *reader_groups(pools, study, lambda pool, models: _row(pool, models, study)),
            *study_groups(
                study,
                study.tables.prompt_length,
                lambda device, model, _: _study_cells(study, device, model),
            ),
        ),
        notes=_words(pools),
    )


def _row(pool: Pool, models: ModelRuns, study: Study) -> Row:
    samples = {length: _sample(models, length) for length in LENGTHS}
    device = pool.condition.setting.target.study_device
    reasons = why_not_comparable(pool, study)
    cells = {
        "model": model_cell(models, pool),
        **{f"{length}_tok_s": _rate_cell(samples[length]) for length in LENGTHS},
        "fall_pct": _fall_cell(samples["short"], samples["long"]),
        **run_counts(sum(sample.n for sample in samples.values()), models),
        "study_fall_pct": study_cell(study.prompt_length(device, models.model).slope_pct, reasons),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _sample(models: ModelRuns, length: LengthClass) -> Sample:
    ok = models.ok
    return sample_of(ok[ok["prompt_category"] == length], "gen_tok_s")


def _rate_cell(sample: Sample) -> Cell:
    if not sample.n:
        return absent("no run with this reading")
    return estimate(float(sample.values.mean()), mean_interval(sample))


def _fall_cell(short: Sample, long: Sample) -> Cell:
    ratio = ratio_of_means(long, short)
    if isinstance(ratio, Absent):
        return absent(ratio.reason)
    interval = ratio.interval
    if isinstance(interval, Interval):
        interval = Interval(
            low=100 * (1 - interval.high),
            high=100 * (1 - interval.low),
            confidence=interval.confidence,
        )
    return Cell(value=100 * (1 - ratio.value), interval=interval)


def _words(pools: tuple[Pool, ...]) -> tuple[str, ...]:
    """Return how long the prompts of each class were, as sent."""
    notes = []
    for pool in pools:
        parts = []
        for length in LENGTHS:
            words = sorted(
                {
                    int(n)
                    for models in pool.models
                    for n in models.runs.loc[
                        models.runs["prompt_category"] == length, "prompt_words"
                    ]
                }
            )
            parts += [f"{length} {'/'.join(map(str, words))}"] if words else []
        notes.append(f"Words per prompt in {pool.condition.setting.id}: {', '.join(parts)}.")
    return tuple(notes)


def _study_cells(study: Study, device: StudyDeviceId, model: str) -> dict[str, Cell]:
    printed = study.prompt_length(device, model)
    return {
        "short_tok_s": number(printed.short_tok_s, NOT_PRINTED),
        "medium_tok_s": number(printed.medium_tok_s, NOT_PRINTED),
        "long_tok_s": number(printed.long_tok_s, NOT_PRINTED),
        "fall_pct": number(printed.slope_pct, NOT_PRINTED),
        "n": Cell(value=len(LENGTHS) * study.procedure.repetitions),
        "not_ok": absent(NOT_PRINTED),
        "study_fall_pct": absent(STUDY_ROW),
    }
