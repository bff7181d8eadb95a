"""What lies in the folder of models, and whether it is what it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import product
from pathlib import Path

from edgemoe_appliance.errors import ApplianceError, DigestError
from edgemoe_appliance.models.arithmetic import published_difference
from edgemoe_appliance.models.digests import Progress, ignore_progress, read_sha256
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.models.quantised import quantised_paths, read_quantised
from edgemoe_appliance.models.store import (
    count_as,
    model_path,
    pinned_sha256,
    twin_path,
)
from edgemoe_appliance.models.twin import TwinPlan, build_twin, twin_sha256
from edgemoe_appliance.models.twin_mark import read_twin_mark
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import ModelEntry, ModelsConfig

_FETCH = "run: edgemoe-appliance models fetch"
_WRITE = "delete it and run: edgemoe-appliance models twin"


class FileState(str, Enum):
    """What was found where a model file should lie."""

    OK = "ok"
    MISSING = "missing"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class ModelFinding:
    """One model file or twin and how it was found; `scale` is None for the real file."""

    model_id: str
    scale: TwinScale | None
    path: Path
    verdict: FileState
    text: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class ModelListing:
    """One model of the study and what lies there of it (sizes in bytes, None where nothing)."""

    model_id: str
    entry: ModelEntry
    file_bytes: int | None
    twin_bytes: dict[TwinScale, int]


def list_models(models: ModelsConfig, folder: Path) -> tuple[ModelListing, ...]:
    """Return the models in the order of the study with what lies there, unverified."""
    return tuple(
        ModelListing(
            model_id=model_id,
            entry=entry,
            file_bytes=_file_bytes(model_id, entry, folder),
            twin_bytes={
                scale: size
                for scale in TwinScale
                if (size := _size(twin_path(model_id, scale, folder))) is not None
            },
        )
        for model_id, entry in models.models.items()
    )


def _file_bytes(model_id: str, entry: ModelEntry, folder: Path) -> int | None:
    """Return the size of a model's file; of one that is made here that of the last one made."""
    if entry.quantised is None:
        return _size(model_path(entry, folder))
    made = sorted(quantised_paths(model_id, folder), key=lambda path: path.stat().st_mtime)
    return _size(made[-1]) if made else None


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def verify_models(
    models: ModelsConfig, folder: Path, on_progress: Progress = ignore_progress
) -> Iterator[ModelFinding]:
    """Yield a finding for each model and for each twin that is there.

    Every file is read anew: a kept digest is not trusted here. A twin is compared with the digest
    that it must have.
    """
    for model_id, entry in models.models.items():
        if entry.quantised is not None:
            yield from (
                _check_quantised(model_id, path, on_progress)
                for path in quantised_paths(model_id, folder)
            )
        else:
            yield _check_model(model_id, entry, model_path(entry, folder), on_progress)
        for scale, routing in product(TwinScale, TwinRouting):
            path = twin_path(model_id, scale, folder, routing)
            if path.exists():
                plan = partial(build_twin, entry, model_id, scale, routing)
                yield _check_twin(model_id, scale, path, plan, on_progress=on_progress)


def _check_model(
    model_id: str, entry: ModelEntry, path: Path, on_progress: Progress
) -> ModelFinding:
    if not path.exists():
        return _finding(model_id, None, path, FileState.MISSING, "not there", _FETCH)
    try:
        differences = list(_differences(entry, path, on_progress))
    except (ApplianceError, OSError) as error:
        return _finding(model_id, None, path, FileState.UNREADABLE, str(error))
    if differences:
        text, hint = "; ".join(differences), f"move it away, then {_FETCH}"
        return _finding(model_id, None, path, FileState.DIFFERENT, text, hint)
    return _finding(model_id, None, path, FileState.OK, "the pinned file")


def _differences(entry: ModelEntry, path: Path, on_progress: Progress) -> Iterator[str]:
    """Yield what a file is not, the cheap checks first."""
    header = read_header(path)
    if read_twin_mark(header):
        yield "a twin under the name of the model"
    if entry.bytes is not None and header.file_bytes != entry.bytes:
        yield f"{header.file_bytes} bytes, {entry.bytes} are pinned"
    if header.architecture != entry.architecture:
        yield f"architecture {header.architecture}, not {entry.architecture}"
    counts = count_as(entry, header, path)
    difference = published_difference(entry, counts.parameters_total, counts.parameters_active)
    if difference is not None:
        yield difference
    sha256, pinned = read_sha256(path, on_progress), pinned_sha256(entry, path)
    if pinned is None:
        yield f"sha256 {sha256}, none is pinned"
    elif sha256 != pinned:
        yield f"sha256 {sha256}, {pinned} is pinned"


def _check_quantised(model_id: str, path: Path, on_progress: Progress) -> ModelFinding:
    """Return whether a file of fewer bits is the one that was made."""
    try:
        record = read_quantised(path, on_progress, anew=True)
    except DigestError as error:
        return _finding(model_id, None, path, FileState.DIFFERENT, error.what, error.hint)
    except (ApplianceError, OSError) as error:
        return _finding(model_id, None, path, FileState.UNREADABLE, str(error))
    made = record.facts
    text = f"as {made.pin} made it, {made.bits_per_weight:.2f} bits a weight"
    return _finding(model_id, None, path, FileState.OK, text)


def _check_twin(
    model_id: str,
    scale: TwinScale,
    path: Path,
    plan: Callable[[], TwinPlan],
    *,
    on_progress: Progress,
) -> ModelFinding:
    try:
        read_header(path)
        sha256 = read_sha256(path, on_progress)
    except (ApplianceError, OSError) as error:
        return _finding(model_id, scale, path, FileState.UNREADABLE, str(error), _WRITE)
    if sha256 != twin_sha256(plan(), on_progress):
        text = f"sha256 {sha256} is not that of this twin"
        return _finding(model_id, scale, path, FileState.DIFFERENT, text, _WRITE)
    return _finding(model_id, scale, path, FileState.OK, "the twin, byte for byte")


def _finding(
    model_id: str,
    scale: TwinScale | None,
    path: Path,
    verdict: FileState,
    text: str,
    hint: str = "",
) -> ModelFinding:
    return ModelFinding(
        model_id=model_id, scale=scale, path=path, verdict=verdict, text=text, hint=hint
    )
