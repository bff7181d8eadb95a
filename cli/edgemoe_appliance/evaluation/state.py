"""What of an evaluation is there already, read from disk alone.

Nothing is verified here: each step does that when its turn comes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.prepare import (
    BenchRequest,
    chosen_experiments,
    needs_tools,
    thread_count,
    wanted_models,
)
from edgemoe_appliance.engine.build import has_tools, read_build
from edgemoe_appliance.errors import ApplianceError, ConfigError
from edgemoe_appliance.evaluation.request import Evaluation
from edgemoe_appliance.models.ggml_types import GGML_TYPES
from edgemoe_appliance.models.quantised import quantised_paths
from edgemoe_appliance.models.store import model_path, twin_path
from edgemoe_appliance.models.twin import build_twin
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Configs, ModelEntry, Quantisation, Target
from edgemoe_appliance.schema.journal import (
    JOURNAL_NAME,
    JournalProgress,
    find_kept_plan,
    read_progress,
)
from edgemoe_appliance.schema.plan import RunSpec, expand_runs, read_plan
from edgemoe_appliance.studies import Study


@dataclass(frozen=True, kw_only=True)
class ModelHere:
    """A model that will be run: its size, and whether its file is there.

    `bytes_per_token` are the weights that one token reads of the file, `whole_bytes_per_token`
    those that it reads of the model at full size; all are 0 where nobody can tell the size. A file
    that `is_made` comes from another one here; what it is made of is among the models.
    """

    id: str
    file_bytes: int
    bytes_per_token: int
    whole_bytes_per_token: int
    is_there: bool
    is_gated: bool
    is_made: bool = False


@dataclass(frozen=True, kw_only=True)
class Present:
    """What is there: sources and builds of engines by pin, models, runs that are left."""

    cores: int
    sources: frozenset[str]
    builds: frozenset[str]
    models: tuple[ModelHere, ...]
    runs_left: tuple[RunSpec, ...]
    runs_done: int


def read_present(evaluation: Evaluation, study: Study, folders: Folders, *, cores: int) -> Present:
    """Read what is there. Raises RecordError where the session's plan or journal is damaged."""
    request = evaluation.bench
    pins, target = study.configs.engines.pins, study.configs.target(request.target)
    needs = needs_tools(study, request)
    sessions = [_runs(evaluation, study, folders, name) for name in evaluation.session_names]
    return Present(
        cores=cores,
        sources=frozenset(pin for pin in pins if any(folders.cache.glob(f"sources/{pin}-*/"))),
        builds=frozenset(_built_pins(folders.cache, pins, target, needs_tools=needs)),
        models=tuple(
            _model(name, study.configs, request.twins, folders.models)
            for name in _used_files(study, request)
        ),
        runs_left=tuple(run for runs, done in sessions for run in runs if not done.is_done(run.id)),
        runs_done=sum(done.is_done(run.id) for runs, done in sessions for run in runs),
    )


def _used_files(study: Study, request: BenchRequest) -> tuple[str, ...]:
    """Return the models that are run, and those that files of fewer bits are made of."""
    wanted = wanted_models(study, request)
    if request.twins is not None:
        return wanted
    sources = map(study.configs.models.fetched_for, wanted)
    return tuple(dict.fromkeys((*sources, *wanted)))


def _built_pins(
    cache: Path, pins: Collection[str], target: Target, *, needs_tools: bool
) -> Iterator[str]:
    """Yield the pins of which the cache holds a build with the flags of a target."""
    for pin in pins:
        for folder in cache.glob(f"builds/{pin}-*/"):
            try:
                flags = read_build(folder).cmake
            except ApplianceError:
                continue
            if target.cmake.items() <= flags.items() and (has_tools(folder) or not needs_tools):
                yield pin


def _model(name: str, configs: Configs, twins: TwinScale | None, folder: Path) -> ModelHere:
    """Return a model's facts; a size that nobody has published is that of its full twin."""
    entry = configs.model(name)
    if twins is None and entry.quantised is not None:
        return _made_model(name, entry.quantised, configs, folder)
    path = model_path(entry, folder) if twins is None else twin_path(name, twins, folder)
    try:
        whole_bytes, whole_per_token = _twin_bytes(entry, name, TwinScale.FULL)
    except ConfigError:
        if twins is not None:
            raise
        whole_bytes, whole_per_token = _published_bytes(entry, path)
    size, per_token = entry.bytes or whole_bytes, whole_per_token
    if twins is not None:
        size, per_token = _twin_bytes(entry, name, twins)
    return ModelHere(
        id=name,
        file_bytes=size,
        bytes_per_token=per_token,
        whole_bytes_per_token=whole_per_token,
        is_there=path.is_file(),
        is_gated=entry.gated and twins is None,
    )


def _made_model(name: str, made: Quantisation, configs: Configs, folder: Path) -> ModelHere:
    """Return the facts of a file that is made here, as large as the bits of its type make it.

    Where its source's parameters were not published its size is that of a file that is there.
    """
    source = configs.model(configs.models.fetched_for(name))
    there = quantised_paths(name, folder)
    total, active = source.published_parameters_total, source.published_parameters_active
    bits = nominal_bits(made.type)
    size = round(total * bits / 8) if total and bits else max(map(_size_of, there), default=0)
    per_token = size * active // total if total and active else size
    return ModelHere(
        id=name,
        file_bytes=size,
        bytes_per_token=per_token,
        whole_bytes_per_token=per_token,
        is_there=bool(there),
        is_gated=False,
        is_made=True,
    )


def _size_of(path: Path) -> int:
    return path.stat().st_size


def nominal_bits(kind: str) -> float | None:
    """Return the bits per weight of the tensor type that a type of file is named after.

    A mixture such as Q4_K_M holds some tensors of more bits. None for a name of no such type.

    >>> nominal_bits("Q4_K_M"), nominal_bits("F16")
    (4.5, 16.0)
    """
    named = [each for each in GGML_TYPES.values() if f"{kind}_".startswith(f"{each.name}_")]
    if not named:
        return None
    longest = max(named, key=lambda each: len(each.name))
    return 8 * longest.block_bytes / longest.block_elements


def _published_bytes(entry: ModelEntry, path: Path) -> tuple[int, int]:
    """Return the size of a model that no twin can be written of, and what one token reads of it.

    The latter is the share of the parameters that are published as active.
    """
    size = entry.bytes or (_size_of(path) if path.is_file() else 0)
    total, active = entry.published_parameters_total, entry.published_parameters_active
    return size, size * active // total if total and active else size


@cache
def _twin_bytes(entry: ModelEntry, name: str, scale: TwinScale) -> tuple[int, int]:
    """Return the size of a twin's file, and what one token reads of it."""
    twin = build_twin(entry, name, scale)
    return twin.file_bytes, twin.active_bytes_per_token


def _runs(
    evaluation: Evaluation, study: Study, folders: Folders, session: str
) -> tuple[Sequence[RunSpec], JournalProgress]:
    """Return the runs of a session as planned, or as they will be, and what is done of them."""
    folder = folders.sessions / session
    progress = read_progress(folder / JOURNAL_NAME)
    plan_path = find_kept_plan(folder)
    if plan_path is None:
        return _expected_runs(evaluation, study), progress
    return read_plan(plan_path).runs, progress


def _expected_runs(evaluation: Evaluation, study: Study) -> Sequence[RunSpec]:
    request = evaluation.bench
    return expand_runs(
        chosen_experiments(study, request),
        target=request.target,
        pin=request.pin or study.configs.engines.default,
        threads=thread_count(study.configs.target(request.target)),
        seed=study.order_seed,
        references=study.references,
    )
