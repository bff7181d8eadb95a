"""The folder of model files: where each one lies, and what a file that lies there is.

Reads what is there; it fetches and writes no model. Whoever does opens the partial file here, so
that one process at a time writes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Literal

from edgemoe_appliance.errors import ConfigError, DigestError, HostError, RecordError
from edgemoe_appliance.models.arithmetic import (
    ModelCounts,
    count_model,
    published_difference,
)
from edgemoe_appliance.models.digests import (
    Progress,
    ignore_progress,
    kept_sha256,
    read_sidecar,
)
from edgemoe_appliance.models.ggml_types import GGML_TYPES, GgmlType
from edgemoe_appliance.models.gguf import GgufHeader, read_header
from edgemoe_appliance.models.quantised import QuantisedRecord, record_path
from edgemoe_appliance.models.tied_head import is_head_stored_twice
from edgemoe_appliance.models.twin_mark import TwinMark, read_twin_mark
from edgemoe_appliance.schema.base import Frozen
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import BackendLimits, ModelEntry, Sha256
from edgemoe_appliance.schema.files import check_disk_space, try_lock
from edgemoe_appliance.schema.plan import PlannedModel
from edgemoe_appliance.schema.text import on_one_line

# Left free besides the file itself: journals, samples and a report must still fit.
_SPARE_BYTES = 200_000_000


class ModelOrigin(Frozen):
    """What was seen when a model was fetched; kept beside the file as FILE.origin.json.

    `is_pinned_here` says that nothing pinned the file before, and that the user had the digest of
    this download pinned.
    """

    repository: str | None
    source: str | None = None
    file: str
    revision_pinned: str | None
    revision_seen: str
    etag: str
    bytes: int
    sha256: Sha256
    fetched_utc: str
    is_pinned_here: bool = False


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
    header: GgufHeader

    def check_types(self, pin: str, known: Mapping[int, GgmlType]) -> None:
        """Raise ConfigError where a pin does not know a tensor type of it.

        `known` are the types of that pin's source; empty where it does not tell.
        """
        for tensor in self.header.tensors if known else ():
            if tensor.type.code not in known:
                raise ConfigError(
                    f"tensor {on_one_line(tensor.name)} is of type {tensor.type.name}, which "
                    f"llama.cpp {pin} does not know",
                    where=str(self.path),
                    hint="measure with a newer --pin, or use a file of another quantisation",
                )

    def check_computed(self, target: str, limits: BackendLimits) -> None:
        """Raise ConfigError where a target's backend does not compute one of its matrices.

        The engine would compute it on the processor and not say so. Matrices of experts lie stacked
        in one tensor of three dimensions.
        """
        for tensor in self.header.tensors:
            is_lacking = len(tensor.shape) > 1 and tensor.type.name not in limits.weights
            if is_lacking or (len(tensor.shape) > 2 and not limits.experts):
                lacked = tensor.type.name if is_lacking else "experts"
                raise ConfigError(
                    f"not tested: the backend of target {target} does not compute {lacked}, "
                    f"as tensor {on_one_line(tensor.name)} holds",
                    where=str(self.path),
                    hint="name other models with --model",
                )


def model_path(entry: ModelEntry, folder: Path) -> Path:
    """Return where the real file of a model lies."""
    return folder / entry.file if entry.path is None else Path(entry.path).expanduser()


def twin_path(
    model_id: str, scale: TwinScale, folder: Path, routing: TwinRouting = TwinRouting.UNIFORM
) -> Path:
    """Return where a twin of a model lies; only routing that is not uniform stands in its name."""
    kind = scale.value if routing is TwinRouting.UNIFORM else f"{scale.value}-{routing.value}"
    return folder / f"twin-{kind}-{model_id}.gguf"


def twin_routing(entry: ModelEntry, asked: TwinRouting) -> TwinRouting:
    """Return the routing of a model's twin: one without experts has one kind of twin only."""
    has_experts = entry.shape is not None and entry.shape.expert_count > 0
    return asked if has_experts else TwinRouting.UNIFORM


def origin_path(path: Path) -> Path:
    """Return where what was seen when a file was fetched is kept."""
    return path.with_name(f"{path.name}.origin.json")


def pinned_sha256(entry: ModelEntry, path: Path) -> str | None:
    """Return the digest that a file has to have: the entry's, else that of its first download.

    A file that was made here has that of when it was made. None where nothing pins it.
    """
    if entry.sha256 is not None:
        return entry.sha256
    if entry.quantised is not None:
        made = read_sidecar(record_path(path), QuantisedRecord)
        return made.sha256 if made is not None else None
    origin = read_sidecar(origin_path(path), ModelOrigin)
    return origin.sha256 if origin is not None and origin.is_pinned_here else None


def read_model_file(
    path: Path,
    on_progress: Progress = ignore_progress,
    types: Mapping[int, GgmlType] = GGML_TYPES,
) -> ModelFile:
    """Read what a model file is; its digest is taken once and kept until the file changes.

    `types` are the tensor types by number. Raises HostError where there is no file, RecordError
    where it is not a whole GGUF file.
    """
    header = read_header(path, types)
    counts = count_model(header, is_head_stored_twice=is_head_stored_twice(path, header))
    return ModelFile(
        path=path,
        file_bytes=header.file_bytes,
        sha256=kept_sha256(path, on_progress),
        architecture=header.architecture,
        general_name=header.text("general.name") or "",
        twin=read_twin_mark(header),
        counts=counts,
        header=header,
    )


def count_as(entry: ModelEntry, header: GgufHeader, path: Path) -> ModelCounts:
    """Return the counts of a file, the entry's word being taken where its data cannot tell.

    That is whether the head of a model with tied embeddings is stored twice.
    """
    told = is_head_stored_twice(path, header)
    if told is None and entry.shape is not None:
        told = entry.shape.tied_embeddings
    if told is None and entry.published_parameters_total is not None:
        once = count_model(header, is_head_stored_twice=True)
        told = once.parameters_total == entry.published_parameters_total
    return count_model(header, is_head_stored_twice=told)


def planned_model(model_id: str, entry: ModelEntry, file: ModelFile) -> PlannedModel:
    """Return a model file as a plan names it.

    Raises RecordError for the file of another model, DigestError for a file that is neither the
    pinned one nor a twin, ConfigError where its counts are not the published ones or nothing pins
    it.
    """
    _check_is_of(model_id, entry, file)
    counts = file.counts if file.twin else count_as(entry, file.header, file.path)
    made = read_sidecar(record_path(file.path), QuantisedRecord) if entry.quantised else None
    if not file.twin:
        _check_counts(model_id, entry, file, counts)
    return PlannedModel(
        id=model_id,
        name=_name_of(entry, file.twin),
        architecture=file.architecture,
        path=str(file.path),
        file_name=file.path.name,
        file_bytes=file.file_bytes,
        sha256=file.sha256,
        twin_scale=file.twin.scale.value if file.twin else None,
        twin_routing=_routing_of(entry, file.twin),
        parameters_total=counts.parameters_total,
        parameters_active=counts.parameters_active,
        bytes_per_token=counts.work.read_bytes,
        kv_bytes_per_token=counts.kv_bytes_per_token,
        head_bytes_per_token=counts.work.head_bytes,
        parameters_multiplied=counts.work.multiplied_parameters,
        attention_flops_per_position=counts.work.attention_flops_per_position,
        vocabulary=_vocabulary(file.header),
        quantised=made.facts if made is not None and not file.twin else None,
    )


def _name_of(entry: ModelEntry, mark: TwinMark | None) -> str:
    if mark is None or mark.routing is TwinRouting.UNIFORM:
        return entry.name
    return f"{entry.name}, {mark.routing.value} routing"


def _routing_of(entry: ModelEntry, mark: TwinMark | None) -> Literal["uniform", "skewed"] | None:
    has_experts = entry.shape is not None and entry.shape.expert_count > 0
    return mark.routing.value if mark is not None and has_experts else None


def _vocabulary(header: GgufHeader) -> int | None:
    """Return the rows of the table of tokens."""
    table = header.tensor("token_embd.weight")
    return table.shape[1] if table is not None and len(table.shape) == 2 else None


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
    pinned = pinned_sha256(entry, file.path)
    if not file.twin and pinned is None:
        raise ConfigError(
            f"nothing pins the file of {model_id}: its sha256 is {file.sha256}",
            where=where,
            hint="write it into the entry, or believe this file: "
            f"edgemoe-appliance models fetch {model_id} --pin",
        )
    if not file.twin and file.sha256 != pinned:
        raise DigestError(
            f"sha256 {file.sha256} where models.yaml has {pinned}",
            where=where,
            hint="run: edgemoe-appliance models fetch; or write the digest of your file there",
        )


def _check_counts(model_id: str, entry: ModelEntry, file: ModelFile, counts: ModelCounts) -> None:
    difference = published_difference(entry, counts.parameters_total, counts.parameters_active)
    if difference is not None:
        raise ConfigError(
            f"{difference} for {model_id}",
            where=str(file.path),
            hint="correct the published counts in models.yaml, or leave them out",
        )


@contextmanager
def open_exclusively(path: Path) -> Iterator[BufferedRandom]:
    """Open a file for writing behind what it already holds, and hold a lock on it.

    Raises HostError where another process holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    with open(descriptor, "r+b") as file:  # noqa: PTH123  a descriptor, not a path
        if not _take_lock(descriptor, path):
            raise HostError(
                "another process is writing this file", where=str(path), hint="wait for it to end"
            )
        file.seek(0, os.SEEK_END)
        yield file


def _take_lock(descriptor: int, path: Path) -> bool:
    """Take the lock; return whether it is ours and the file has not got its final name since."""
    try:
        return try_lock(descriptor) and path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def check_room_for_model(folder: Path, model_bytes: int) -> None:
    """Raise HostError where a folder's disk has no room for so much more of a model."""
    check_disk_space(folder, model_bytes + _SPARE_BYTES)
