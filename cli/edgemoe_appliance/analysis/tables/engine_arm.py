"""What the engine's version alone changes: the same runs on one machine with two pins.

Pins are compared on prompts that both have run, a prompt of one against the same prompt of the
other. Nothing is pooled across them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgemoe_appliance.analysis.conditions import (
    ModelRuns,
    Pool,
    pools,
    sample_of,
    texts_of,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions, Setting
from edgemoe_appliance.analysis.statistics import on_common_prompts, ratio_of_means
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent, text
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    RUNS_COLUMN,
    found_cell,
    mean_cell,
    model_cell,
    own_group,
    run_counts,
)
from edgemoe_appliance.analysis.tables.setup import flags_in_words
from edgemoe_appliance.schema.configs import Feeds
from edgemoe_appliance.schema.metrics import Unit
from edgemoe_appliance.schema.units import GIB
from edgemoe_appliance.studies import Study

_IS_BASE = "the others are compared with this pin"
_NO_BASE = "no run of this file with the pin to compare with"
_NO_COMMON = "no prompt that ended well with both pins"
_UNITS = {"GiB": GIB}
_RATE = Unit.TOKENS_PER_S.value
_FIGURES = (
    Column(
        key="gen_tok_s",
        title="Generation",
        unit=_RATE,
        digits=1,
        has_interval=True,
        metric="gen_tok_s",
        meaning="mean over runs",
    ),
    Column(
        key="prompt_tok_s",
        title="Prompt",
        unit=_RATE,
        digits=1,
        has_interval=True,
        metric="prompt_tok_s",
        meaning="mean over runs",
    ),
    Column(
        key="peak_rss_gib",
        title="Peak RSS",
        unit="GiB",
        digits=2,
        has_interval=True,
        metric="peak_rss_bytes",
        meaning="mean over runs",
    ),
    Column(
        key="gross_j_per_tok",
        title="Energy",
        unit=Unit.JOULES_PER_TOKEN.value,
        digits=2,
        has_interval=True,
        metric="j_per_token_gross",
        meaning="of generation, idle power in it",
    ),
)
_RATIOS = tuple(
    Column(
        key=f"{figure.key}_ratio",
        title=f"{figure.title}, to first pin",
        unit="ratio",
        digits=3,
        has_interval=True,
        metric=figure.metric,
        meaning="ratio of means, prompts paired; 1 is no change",
    )
    for figure in _FIGURES
)
COLUMNS = (
    MODEL_COLUMN,
    Column(key="pin", title="Pin", meaning="setting and llama.cpp source"),
    *_FIGURES,
    *_RATIOS,
    Column(
        key="same_text",
        title="Same text",
        meaning="prompts of which every run with either pin generated the same text, of those "
        "that both ran",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
)


def engine_arm_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return rates, memory and energy by pin, and the ratios to the first one's."""
    found = pools(loaded, study, Feeds.ENGINE) if loaded else ()
    machines: dict[tuple[object, ...], list[Pool]] = {}
    for pool in found:
        condition = pool.condition
        key = (condition.setting.machine, *condition.key[1:])
        machines.setdefault(key, []).append(pool)
    return Table(
        id="engine-arm",
        title="What the engine's version changes",
        columns=COLUMNS,
        groups=tuple(_group(_in_order(each, study), study) for each in machines.values()),
    )


def _in_order(found: Sequence[Pool], study: Study) -> list[Pool]:
    """Return the pools of one machine, that of the study's pin first where there is one."""
    tag = study.procedure.engine_tag
    return sorted(found, key=lambda pool: pool.condition.setting.engine.pin != tag)


def _group(by_pin: Sequence[Pool], study: Study) -> RowGroup:
    settings = [pool.condition.setting for pool in by_pin]
    files = {models.sha256: models for pool in by_pin for models in pool.models}
    rows = tuple(row for models in files.values() for row in _rows(by_pin, models))
    group = own_group(by_pin[0], study, rows, by_pin[0].condition.label_without_engine)
    return replace(
        group,
        sessions=tuple(dict.fromkeys(s for setting in settings for s in setting.sessions)),
        notes=(*group.notes, *_other_differences(settings)),
    )


def _rows(by_pin: Sequence[Pool], models: ModelRuns) -> Iterator[Row]:
    """Yield one row per pin that ran a model file."""
    base = by_pin[0].find(models)
    for pool in by_pin:
        own = pool.find(models)
        if own is None:
            continue
        setting = pool.condition.setting
        cells = {
            "model": model_cell(own, pool),
            "pin": text(f"{setting.id}: {setting.engine.pin}"),
            **{c.key: mean_cell(own, c.metric, _UNITS.get(c.unit, 1)) for c in _FIGURES},
            **_comparison(own, base),
            **run_counts(sample_of(own.ok, "gen_tok_s").n, own),
        }
        yield Row(cells=cells, model=own.model, twin=own.twin_scale)


def _comparison(own: ModelRuns, base: ModelRuns | None) -> dict[str, Cell]:
    """Return ratios to the base and whether the texts are the same."""
    if base is None:
        return {key: absent(_NO_BASE) for key in (*(c.key for c in _RATIOS), "same_text")}
    ratios = {column.key: _ratio(own, base, column.metric) for column in _RATIOS}
    same_text = absent(_IS_BASE) if own is base else _same_text(own, base)
    return {**ratios, "same_text": same_text}


def _ratio(own: ModelRuns, base: ModelRuns, metric: str) -> Cell:
    """Return the ratio to the base, absent in the base's own row."""
    samples = [sample_of(models.ok, metric) for models in (own, base)]
    for models, sample in zip((own, base), samples, strict=True):
        if not sample.n:
            return absent(models.why_absent(metric))
    if own is base:
        return absent(_IS_BASE)
    first, second = on_common_prompts(*samples)
    return found_cell(ratio_of_means(first, second)) if first.n else absent(_NO_COMMON)


def _same_text(own: ModelRuns, base: ModelRuns) -> Cell:
    first, second = texts_of(own), texts_of(base)
    common = first.keys() & second.keys()
    if not common:
        return absent(_NO_COMMON)
    same = sum(len(first[prompt] | second[prompt]) == 1 for prompt in common)
    return text(f"{same} of {len(common)}")


def _other_differences(settings: Sequence[Setting]) -> Iterator[str]:
    """Yield what else differs between the builds, so that a ratio is not of the pin alone."""
    builds = {setting.id: setting.engine for setting in settings}
    for what, values in (
        ("compiler", {name: build.compiler for name, build in builds.items()}),
        ("cmake flags", {name: flags_in_words(build.cmake) for name, build in builds.items()}),
    ):
        if len(set(values.values())) > 1:
            told = "; ".join(f"{name} {value}" for name, value in values.items())
            yield f"the builds differ in their {what} too ({told})"
    if len(settings) < 2:
        yield "one pin only: nothing to compare with"
