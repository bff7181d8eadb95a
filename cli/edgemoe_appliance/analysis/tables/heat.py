"""Section 3.5 of the study: temperatures, throttling, and what they made the session do.

A model with a run above the target's threshold is repeated more often; the study's threshold is
60 degrees.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    above,
    added_by_heat,
    has_reading,
    why_not_comparable,
)
from edgemoe_appliance.analysis.sessions import Setting
from edgemoe_appliance.analysis.table_model import (
    Cell,
    Column,
    Row,
    Table,
    absent,
    count,
    number,
)
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    NOT_PRINTED,
    RUNS_COLUMN,
    STUDY_ROW,
    highest_cell,
    less_study,
    mean_cell,
    model_cell,
    plain_mean_cell,
    reader_groups,
    run_counts,
    study_cell,
    study_groups,
    total_cell,
)
from edgemoe_appliance.analysis.tables.setup import cooldown_in_words
from edgemoe_appliance.studies import Study
from edgemoe_appliance.studies.paper import StudyDeviceId

_PEAK = "temp_peak_c"
_METRICS = ("temp_start_c", _PEAK, "temp_end_c", "throttle_events", "cooldown_s")
_C = "°C"
COLUMNS = (
    MODEL_COLUMN,
    Column(
        key="start_c",
        title="Start",
        unit=_C,
        digits=1,
        has_interval=True,
        metric="temp_start_c",
        meaning="hottest sensor of the die, mean over runs",
    ),
    Column(
        key="peak_c",
        title="Peak",
        unit=_C,
        digits=1,
        has_interval=True,
        metric=_PEAK,
        meaning="mean over runs of the peak of each run",
    ),
    Column(
        key="highest_c", title="Highest", unit=_C, digits=1, metric=_PEAK, meaning="of all runs"
    ),
    Column(
        key="end_c",
        title="End",
        unit=_C,
        digits=1,
        has_interval=True,
        metric="temp_end_c",
        meaning="mean over runs",
    ),
    Column(
        key="above_threshold",
        title="Runs above threshold",
        metric=_PEAK,
        meaning="peak above the target's threshold, which raises the model's repetitions",
    ),
    Column(key="added", title="Runs added", meaning="runs that stand in no plan: heat added them"),
    Column(
        key="throttle_events",
        title="Throttle events",
        metric="throttle_events",
        meaning="over all runs, as far as the kernel shows them",
    ),
    Column(
        key="pause_s",
        title="Pause before a run",
        unit="s",
        digits=1,
        metric="cooldown_s",
        meaning="mean over runs, those without one before them left out",
    ),
    Column(
        key="paused_s",
        title="Pauses, sum",
        unit="s",
        metric="cooldown_s",
        meaning="over all runs that ended well",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
    Column(
        key="study_highest_c",
        title="Study highest",
        unit=_C,
        digits=1,
        meaning="peak of the module's SoC sensors",
    ),
    Column(
        key="less_study_k",
        title="Highest less study",
        unit="K",
        digits=1,
        meaning="of two single readings, so there is no interval",
    ),
)


def heat_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return temperatures and pauses; conditions without any such reading are left out."""
    measured = tuple(pool for pool in pools if has_reading(pool, _METRICS))
    return Table(
        id="heat",
        title="Heat",
        where="sections 3.5 and 4.5",
        columns=COLUMNS,
        groups=(
            *reader_groups(measured, study, partial(_row, study)),
            *study_groups(
                study,
                study.tables.energy,
                lambda device, model, _: _study_cells(study, device, model),
            ),
        ),
        notes=(*_rules(measured), _study_rule(study)),
    )


def _row(study: Study, pool: Pool, models: ModelRuns) -> Row:
    target = pool.condition.setting.target
    reasons = why_not_comparable(pool, study)
    printed = study.energy(target.study_device, models.model).peak_soc_c
    highest = highest_cell(models, _PEAK)
    over = count(above(models, _PEAK, target.thermal.threshold_c))
    cells = {
        "model": model_cell(models, pool),
        "start_c": mean_cell(models, "temp_start_c"),
        "peak_c": mean_cell(models, _PEAK),
        "highest_c": highest,
        "end_c": mean_cell(models, "temp_end_c"),
        "above_threshold": over if highest.number is not None else highest,
        "added": count(added_by_heat(models)),
        "throttle_events": total_cell(models, "throttle_events"),
        "pause_s": plain_mean_cell(models, "cooldown_s"),
        "paused_s": total_cell(models, "cooldown_s"),
        **run_counts(len(models.ok), models),
        "study_highest_c": study_cell(printed, reasons),
        "less_study_k": less_study(highest, printed, reasons),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)


def _study_cells(study: Study, device: StudyDeviceId, model: str) -> dict[str, Cell]:
    highest = study.energy(device, model).peak_soc_c
    limit = study.procedure.thermal_threshold_c
    is_below = highest is not None and highest <= limit
    return {
        **{column.key: absent(NOT_PRINTED) for column in COLUMNS[1:]},
        "highest_c": number(highest, NOT_PRINTED),
        "above_threshold": count(0) if is_below else absent(NOT_PRINTED),
        "n": count(study.procedure.headline_runs_per_cell),
        **{key: absent(STUDY_ROW) for key in ("study_highest_c", "less_study_k")},
    }


def _rules(pools: tuple[Pool, ...]) -> Iterator[str]:
    """Yield the rules of pause and of repetitions, once for each setting."""
    settings = {pool.condition.setting.id: pool.condition.setting for pool in pools}
    for setting in settings.values():
        yield _rule(setting)


def _rule(setting: Setting) -> str:
    rule = setting.target.thermal
    return (
        f"{setting.label}: above {rule.threshold_c:g} °C a model is repeated {rule.repetitions} "
        f"times; pause between runs: {cooldown_in_words(setting.target.cooldown)}."
    )


def _study_rule(study: Study) -> str:
    given = study.procedure
    return (
        f"The study: above {given.thermal_threshold_c:g} °C {given.repetitions_when_hot} instead "
        f"of {given.repetitions} repetitions; pause between runs: {given.cooldown_s:g} s."
    )
