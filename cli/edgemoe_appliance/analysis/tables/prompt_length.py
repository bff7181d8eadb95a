"""Table 5 of the study: generation rate by length of the prompt, and its fall to the long ones."""

from __future__ import annotations

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    of_category,
    sample_of,
    why_not_comparable,
)
from edgemoe_appliance.analysis.statistics import Sample, ratio_of_means
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, Table, absent, number
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    fall_cell,
    less_study,
    model_cell,
    ratio_to_study,
    reader_groups,
    run_counts,
    sample_cell,
    study_cell,
    study_groups,
)
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import LengthClass, StudyDeviceId

LENGTHS: tuple[LengthClass, ...] = ("short", "medium", "long")
_NO_RUN = "no run with this reading"
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
    *(
        Column(
            key=f"{length}_to_study",
            title=f"{length.capitalize()} to study",
            unit="ratio",
            digits=3,
            has_interval=True,
        )
        for length in LENGTHS
    ),
    Column(key="study_fall_pct", title="Study fall", unit="%", digits=1),
    Column(
        key="fall_less_study_pp",
        title="Fall less study",
        unit="pp",
        digits=1,
        has_interval=True,
        meaning="percentage points",
    ),
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
    reasons = why_not_comparable(pool, study)
    printed = study.prompt_length(pool.condition.setting.target.study_device, models.model)
    rates = {length: sample_cell(samples[length], _NO_RUN) for length in LENGTHS}
    figures = printed.model_dump()
    fall = fall_cell(ratio_of_means(samples["long"], samples["short"]))
    cells = {
        "model": model_cell(models, pool),
        **{f"{length}_tok_s": cell for length, cell in rates.items()},
        "fall_pct": fall,
        **run_counts(sum(sample.n for sample in samples.values()), models),
        **{
            f"{length}_to_study": ratio_to_study(cell, figures[f"{length}_tok_s"], reasons)
            for length, cell in rates.items()
        },
        "study_fall_pct": study_cell(printed.slope_pct, reasons),
        "fall_less_study_pp": less_study(fall, printed.slope_pct, reasons),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _sample(models: ModelRuns, length: LengthClass) -> Sample:
    return sample_of(of_category(models, length).ok, "gen_tok_s")


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
                    for n in of_category(models, length).runs.counts("prompt_words")["prompt_words"]
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
        **{f"{length}_to_study": absent(STUDY_ROW) for length in LENGTHS},
        **{key: absent(STUDY_ROW) for key in ("study_fall_pct", "fall_less_study_pp")},
    }
