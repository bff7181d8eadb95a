"""The folder of model files: where each one lies, and what a file that lies there is.

Reads what is there; it fetches and writes no model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgemoe_appliance.errors import DigestError, RecordError
from edgemoe_appliance.models.arithmetic import ModelCounts, count_model
from edgemoe_appliance.models.digests import Progress, ignore_progress, kept_sha256
from edgemoe_appliance.models.gguf import read_header
from edgemoe_appliance.models.layout import TwinScale
from edgemoe_appliance.models.twin_mark import TwinMark, read_twin_mark
from edgemoe_appliance.schema.base import on_one_line
from edgemoe_appliance.schema.configs import ModelEntry
from edgemoe_appliance.schema.plan import PlannedModel


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """A model file as it lies there: its digest, what its header says, and whether it is a twin."""

    path: Path
    file_bytes: int
    sha256: str
    architecture: str
    general_name: str
    twin: TwinMark | None
    counts: ModelCounts


def model_path(entry: ModelEntry, folder: Path) -> Path:
    """Return where the real file of a model lies."""
    return folder / entry.file


def twin_path(model_id: str, scale: TwinScale, folder: Path) -> Path:
    """Return where a twin of a model lies."""
    return folder / f"twin-{scale.value}-{model_id}.gguf"


def read_model_file(path: Path, on_progress: Progress = ignore_progress) -> ModelFile:
    """Read what a model file is; its digest is taken once and kept until the file changes.

    Raises HostError where there is none, RecordError where it is not a whole GGUF file.
    """
    header = read_header(path)
    return ModelFile(
        path=path,
        file_bytes=header.file_bytes,
        sha256=kept_sha256(path, on_progress),
        architecture=header.architecture,
        general_name=header.text("general.name") or "",
        twin=read_twin_mark(header),
        counts=count_model(header),
    )


def planned_model(model_id: str, entry: ModelEntry, file: ModelFile) -> PlannedModel:
    """Return a model file as a plan names it.

    Raises RecordError for the file of another model, DigestError for a file that is neither the
    pinned one nor a twin.
    """
    _check_is_of(model_id, entry, file)
    return PlannedModel(
        id=model_id,
        name=entry.name,
        role=entry.role,
        architecture=file.architecture,
        path=str(file.path),
        file_name=file.path.name,
        file_bytes=file.file_bytes,
        sha256=file.sha256,
        twin_scale=file.twin.scale.value if file.twin else None,
        parameters_total=file.counts.parameters_total,
        parameters_active=file.counts.parameters_active,
        bytes_per_token=file.counts.active_bytes_per_token,
        kv_bytes_per_token=file.counts.kv_bytes_per_token,
    )


def _check_is_of(model_id: str, entry: ModelEntry, file: ModelFile) -> None:
    where = str(file.path)
    if file.architecture != entry.architecture:
        raise RecordError(
            f"a model of architecture {on_one_line(file.architecture)}, "
            f"{model_id} is {entry.architecture}",
            where=where,
            hint="name the file of that model",
        )
    if file.twin and file.twin.of != model_id:
        raise RecordError(
            f"a twin of {on_one_line(file.twin.of)}, not of {model_id}",
            where=where,
            hint="name the twin of that model",
        )
    if not file.twin and file.sha256 != entry.sha256:
        raise DigestError(
            f"sha256 {file.sha256} where models.yaml has {entry.sha256}",
            where=where,
            hint="run: edgemoe-appliance models fetch; or write the digest of your file there",
        )
