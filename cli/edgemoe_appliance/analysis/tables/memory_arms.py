"""Memory with the model file mapped, as llama.cpp does by default, and read into memory instead.

A mapped file is resident without being needed: the kernel may drop its pages and read them again.
What moves from one part to another between the two arms shows how much of a peak is of that kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from edgemoe_appliance.analysis.conditions import ArmPools, ModelRuns, pools_by_arm, sample_of
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.analysis.statistics import Sample, difference_of_means, on_common_prompts
from edgemoe_appliance.analysis.table_model import Cell, Column, Row, RowGroup, Table, absent, text
from edgemoe_appliance.analysis.tables.common import (
    MODEL_COLUMN,
    NOT_OK_COLUMN,
    RUNS_COLUMN,
    found_cell,
    model_cell,
    own_group,
    run_counts,
    sample_cell,
)
from edgemoe_appliance.analysis.tables.memory import RECLAIMABLE_COLUMN, reclaimable_share
from edgemoe_appliance.schema.configs import Arm, Feeds
from edgemoe_appliance.schema.units import GIB
from edgemoe_appliance.studies import Study

_ARMS = {Arm.PLAIN: "mapped", Arm.NO_MMAP: "read in"}
_DIFFERENCE = "difference"
_NO_ARM = "runs of this model in one of the two arms only"
_OF_BOTH = "the difference is of both rows above"
_UNITS = {"GiB": GIB}


def _gib(key: str, title: str, metric: str, meaning: str) -> Column:
    return Column(
        key=key,
        title=title,
        unit="GiB",
        digits=3,
        has_interval=True,
        metric=metric,
        meaning=meaning,
    )


_PARTS = (
    _gib("peak_rss_gib", "Peak RSS", "peak_rss_bytes", "resident memory of the process tree"),
    _gib("anon_gib", "Anonymous", "peak_rss_anon_bytes", "heap and cache; kept without swap"),
    _gib(
        "file_part_gib",
        "File-backed, reclaimable",
        "peak_rss_file_bytes",
        "pages of mapped files, the model's above all; the kernel may drop them",
    ),
    _gib("shmem_gib", "Shared", "peak_rss_shmem_bytes", "shared memory; kept without swap"),
    _gib("swap_gib", "Swap", "peak_process_swap_bytes", "of the process tree"),
    _gib(
        "available_drop_gib",
        "Drop of available",
        "mem_available_drop_bytes",
        "MemAvailable before the run less its lowest: what the host had less of for others",
    ),
    _gib("device_gib", "Device", "nvmap_peak_bytes", "NvMap memory of a Jetson; not resident"),
    _gib("cgroup_gib", "Cgroup", "cgroup_peak_bytes", "peak charged, page cache included"),
    _gib("cgroup_anon_gib", "Cgroup anonymous", "cgroup_peak_anon_bytes", "kept without swap"),
    _gib(
        "cgroup_file_gib",
        "Cgroup page cache, reclaimable",
        "cgroup_peak_file_bytes",
        "charged to whoever read the file first",
    ),
    _gib("cgroup_kernel_gib", "Cgroup kernel", "cgroup_peak_kernel_bytes", "page tables and such"),
    _gib("cgroup_swap_gib", "Cgroup swap", "cgroup_peak_swap_bytes", "swapped out"),
)
COLUMNS = (
    MODEL_COLUMN,
    Column(
        key="arm",
        title="Model file",
        meaning="mapped is the plain arm and llama.cpp's default, read in is --no-mmap; the "
        "difference is read in less mapped",
    ),
    _PARTS[0],
    RECLAIMABLE_COLUMN,
    *_PARTS[1:],
    Column(
        key="peak_at_s",
        title="Peak at",
        unit="s",
        digits=1,
        has_interval=True,
        metric="peak_rss_at_s",
        meaning="of the highest sample, since the process was started",
    ),
    RUNS_COLUMN,
    NOT_OK_COLUMN,
)
_READINGS = COLUMNS[2:-2]


def memory_arms_table(loaded: LoadedSessions | None, study: Study) -> Table:
    """Return memory by part with and without a mapped model file, and the difference."""
    conditions = pools_by_arm(loaded, study, Feeds.MEMORY, _ARMS) if loaded else ()
    return Table(
        id="memory-arms",
        title="Memory with and without a mapped model file",
        columns=COLUMNS,
        groups=tuple(_group(arms, study) for arms in conditions),
    )


def _group(arms: ArmPools, study: Study) -> RowGroup:
    rows = tuple(row for models in arms.files() for row in _rows(arms, models))
    return own_group(next(iter(arms.by_arm.values())), study, rows)


def _rows(arms: ArmPools, models: ModelRuns) -> Iterator[Row]:
    """Yield one row per arm of a model file, and their difference."""
    found = {arm: arms.find(arm, models) for arm in _ARMS}
    for arm, own in found.items():
        if own is not None:
            yield _row(arms, own, _ARMS[arm], _means(own))
    yield _row(arms, models, _DIFFERENCE, _differences(found[Arm.NO_MMAP], found[Arm.PLAIN]))


def _row(arms: ArmPools, models: ModelRuns, words: str, cells: Mapping[str, Cell]) -> Row:
    named = {"model": model_cell(models, next(iter(arms.by_arm.values()))), "arm": text(words)}
    return Row(cells={**named, **cells}, model=models.model, twin=models.twin_scale)


def _means(models: ModelRuns) -> dict[str, Cell]:
    samples = {column.key: _sample(models, column) for column in _READINGS}
    cells = {c.key: sample_cell(samples[c.key], models.why_absent(c.metric)) for c in _READINGS}
    return {**cells, **run_counts(samples["peak_rss_gib"].n, models)}


def _differences(read_in: ModelRuns | None, plain: ModelRuns | None) -> dict[str, Cell]:
    counts = {key: absent(_OF_BOTH) for key in ("n", "not_ok")}
    if read_in is None or plain is None:
        return {**{column.key: absent(_NO_ARM) for column in _READINGS}, **counts}
    cells = {column.key: _difference(read_in, plain, column) for column in _READINGS}
    return {**cells, **counts}


def _difference(read_in: ModelRuns, plain: ModelRuns, column: Column) -> Cell:
    samples = [_sample(models, column) for models in (read_in, plain)]
    for models, sample in zip((read_in, plain), samples, strict=True):
        if not sample.n:
            return absent(models.why_absent(column.metric))
    first, second = on_common_prompts(*samples)
    return found_cell(difference_of_means(first, second))


def _sample(models: ModelRuns, column: Column) -> Sample:
    """Return the readings of a column in its unit."""
    if column is RECLAIMABLE_COLUMN:
        return reclaimable_share(models)
    return sample_of(models.ok, column.metric).scaled(1 / _UNITS.get(column.unit, 1))
