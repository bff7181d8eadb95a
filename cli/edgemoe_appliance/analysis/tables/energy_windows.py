"""Energy and power of each part of a run: what a figure per token leaves out or mixes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, has_reading, sample_of
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, Table, absent, text
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    RUNS_COLUMN,
    highest_cell,
    mean_cell,
    model_cell,
    own_group,
    plain_mean_cell,
    run_counts,
)
from edgemoe_appliance.schema.metrics import METRICS, Unit
from edgemoe_appliance.studies import Study

_J = Unit.JOULES.value
_W = Unit.WATTS.value
_POWER = "power_process_w"


_WINDOWS = {
    "idle": "idle, just before",
    "load": "load",
    "prompt": "prompt",
    "generate": "generation",
    "unload": "unload",
    "process": "whole process",
}
_NOT_KEPT = "not recorded for this window"
COLUMNS = (
    MODEL_COLUMN,
    Column(key="window", title="Window"),
    Column(
        key="energy_j",
        title="Energy",
        unit=_J,
        digits=2,
        has_interval=True,
        meaning="mean over runs; the interval is of their spread",
    ),
    Column(
        key="energy_u95_j",
        title="Uncertainty",
        unit=_J,
        digits=2,
        meaning="of one run's energy, 95 %: sampling, edges and sensor; mean over runs",
    ),
    Column(
        key="power_w",
        title="Average power",
        unit=_W,
        digits=2,
        has_interval=True,
        meaning="energy over the length of the window, mean over runs",
    ),
    Column(
        key="peak_power_w", title="Peak power", unit=_W, digits=2, meaning="highest of all runs"
    ),
    Column(
        key="cross_diff_pct",
        title="Second source",
        unit="%",
        digits=1,
        has_interval=True,
        metric="energy_cross_diff_pct",
        meaning="energy by the second power source less that of the first, to the first",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
)


def energy_windows_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return energy and power by window; conditions without any power reading are left out."""
    measured = [pool for pool in pools if has_reading(pool, (_POWER,))]
    return Table(
        id="energy-windows",
        title="Energy and power by part of the run",
        columns=COLUMNS,
        groups=tuple(
            own_group(
                pool, study, tuple(row for models in pool.models for row in _rows(pool, models))
            )
            for pool in measured
        ),
    )


def _rows(pool: Pool, models: ModelRuns) -> Iterator[Row]:
    for window, title in _WINDOWS.items():
        energy, power = f"energy_{window}_j", f"power_{window}_w"
        cross = "energy_cross_diff_pct" if window == "process" else ""
        cells = {
            "model": model_cell(models, pool),
            "window": text(title),
            "energy_j": _cell(mean_cell, models, energy),
            "energy_u95_j": _cell(plain_mean_cell, models, f"energy_{window}_u95_j"),
            "power_w": _cell(mean_cell, models, power),
            "peak_power_w": _cell(highest_cell, models, f"power_peak_{window}_w"),
            "cross_diff_pct": _cell(mean_cell, models, cross),
            **run_counts(sample_of(models.ok, energy if energy in METRICS else power).n, models),
        }
        yield Row(cells=cells, model=models.model, twin=models.twin_scale)


def _cell(make: Callable[[ModelRuns, str], Cell], models: ModelRuns, metric: str) -> Cell:
    """Return a figure of a metric, absent where windows of this kind have none such."""
    return make(models, metric) if metric in METRICS else absent(_NOT_KEPT)
