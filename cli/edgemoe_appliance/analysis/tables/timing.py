"""Time of the parts of a run: loading, first token, prompt, generation, gaps between tokens."""

from __future__ import annotations

from edgemoe_appliance.analysis.conditions import ModelRuns, Pool, with_caveat
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, Table, count
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    RUNS_COLUMN,
    mean_cell,
    model_cell,
    plain_mean_cell,
    reader_groups,
    run_counts,
)
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.studies import Study

_DISAGREE = "footer-stream"
_S = Unit.SECONDS.value
_MS = Unit.MILLISECONDS.value
_RATE = Unit.TOKENS_PER_S.value


def _mean(key: str, title: str, unit: str, digits: int, meaning: str) -> Column:
    return Column(
        key=key,
        title=title,
        unit=unit,
        digits=digits,
        has_interval=True,
        metric=key,
        meaning=meaning,
    )


def _gap(share: str, title: str) -> Column:
    return Column(
        key=f"gap_{share}_ms",
        title=title,
        unit=_MS,
        digits=1,
        metric=f"gap_{share}_ms",
        meaning="of a run's gaps between reads of text, mean over runs",
    )


_MEANS = (
    _mean("load_s", "Load", _S, 2, "as the engine says, warm-up in it"),
    _mean("ttft_s", "First token", _S, 2, "from process start, loading in it"),
    _mean("prompt_tok_s", "Prompt", _RATE, 1, "prompt tokens over the time of their pass"),
    _mean("gen_tok_s", "Generation", _RATE, 1, "loading and prompt left out"),
    _mean("wall_s", "Wall", _S, 2, "from process start until it is gone"),
)
_GAPS = (
    _gap("median", "Gap, median"),
    _gap("p95", "Gap, 95th percentile"),
    _gap("p99", "Gap, 99th percentile"),
)
COLUMNS = (
    MODEL_COLUMN,
    *_MEANS,
    *_GAPS,
    Column(
        key="disagree",
        title="Footer and stream disagree",
        meaning="runs with this caveat: generation by the engine's footer and by the clock on its "
        "output differ by more than 2 %",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
)


def time_table(pools: tuple[Pool, ...], study: Study) -> Table:
    """Return the times of the parts of a run; the study prints none of them."""
    return Table(
        id="time",
        title="Time of a run, by part",
        columns=COLUMNS,
        groups=reader_groups(pools, study, _row),
    )


def _row(pool: Pool, models: ModelRuns) -> Row:
    cells: dict[str, Cell] = {
        "model": model_cell(models, pool),
        **{column.key: mean_cell(models, column.metric) for column in _MEANS},
        **{column.key: plain_mean_cell(models, column.metric) for column in _GAPS},
        "disagree": count(with_caveat(models, _DISAGREE)),
        **run_counts(len(models.ok), models),
    }
    return Row(cells=cells, model=models.model, twin=models.twin_scale)
