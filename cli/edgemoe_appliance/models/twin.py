"""Writes twins: GGUF files with the tensors of a real model and random weights.

A twin is a function of model, scale and format version: its bytes are the same everywhere.
It is streamed to disk under a partial name, and gets its own when it is whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path

from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.models.arithmetic import (
    count_parameters,
    count_work,
    published_difference,
)
from edgemoe_appliance.models.digests import Progress, ignore_progress, keep_sha256, kept_sha256
from edgemoe_appliance.models.gguf import (
    DEFAULT_ALIGNMENT,
    TensorInfo,
    aligned,
)
from edgemoe_appliance.models.gguf_writer import render_header
from edgemoe_appliance.models.layout import (
    EXPERT_ARCHITECTURES,
    TWIN_ARCHITECTURES,
    build_tensors,
    scaled_shape,
)
from edgemoe_appliance.models.metadata import build_metadata
from edgemoe_appliance.models.store import (
    check_room_for_model,
    open_exclusively,
    twin_path,
    twin_routing,
)
from edgemoe_appliance.models.twin_mark import TWIN_FORMAT, TwinMark
from edgemoe_appliance.models.vocabulary import TokenizerKind, build_vocabulary
from edgemoe_appliance.schema.choices import TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import ModelEntry, ModelShape
from edgemoe_appliance.schema.files import sync, sync_folder


@dataclass(frozen=True, kw_only=True)
class TwinPlan:
    """All of a twin but its weights: the header as bytes, and the tensors that follow it."""

    mark: TwinMark
    shape: ModelShape
    header: bytes
    tensors: tuple[TensorInfo, ...]
    silent_tokens: tuple[int, ...]

    @property
    def file_bytes(self) -> int:
        """Return the size of the whole file."""
        last = self.tensors[-1]
        return len(self.header) + aligned(last.offset + last.n_bytes, DEFAULT_ALIGNMENT)

    @property
    def active_bytes_per_token(self) -> int:
        """Return the weight bytes that one generated token reads."""
        return count_work(self.tensors, self.shape).read_bytes

    @property
    def head(self) -> str:
        """Return the name of the tensor that gives the logits."""
        return "token_embd.weight" if self.shape.tied_embeddings else "output.weight"


@dataclass(frozen=True, kw_only=True)
class WrittenTwin:
    """A twin on disk; `was_there` says that the file had been written before."""

    path: Path
    mark: TwinMark
    file_bytes: int
    sha256: str
    was_there: bool


def build_twin(
    entry: ModelEntry,
    model_id: str,
    scale: TwinScale,
    routing: TwinRouting = TwinRouting.UNIFORM,
) -> TwinPlan:
    """Return a twin up to its weights.

    Twins of both kinds of routing differ in their routers only. A model without experts has one
    kind, whatever is asked for.

    Raises ConfigError where the entry in models.yaml is not possible, or does not describe the
    model whose published counts stand in it.
    """
    check_stands_for(entry, model_id)
    shape = scaled_shape(entry, scale)
    mark = TwinMark(
        of=model_id,
        scale=scale,
        routing=twin_routing(entry, routing),
        seed=_seed(model_id, scale),
        format_version=TWIN_FORMAT,
    )
    vocabulary = build_vocabulary(TokenizerKind(shape.tokenizer), shape.vocab_size)
    tensors = build_tensors(entry.architecture, shape, entry.quantization)
    return TwinPlan(
        mark=mark,
        shape=shape,
        header=render_header(build_metadata(entry, mark, shape, vocabulary), tensors),
        tensors=tensors,
        silent_tokens=vocabulary.silent,
    )


def check_stands_for(entry: ModelEntry, model_id: str) -> None:
    """Raise ConfigError where a twin of an entry would not be one of the model it names."""
    shape = entry.shape_of(model_id)
    known = ", ".join(TWIN_ARCHITECTURES)
    tokenizers = ", ".join(kind.value for kind in TokenizerKind)
    has_experts = shape.expert_count > 0
    faults = (
        (
            entry.architecture not in TWIN_ARCHITECTURES,
            f"no twin can be written of architecture {entry.architecture}",
            f"twins can be: {known}; the real file needs no twin",
        ),
        (
            shape.tokenizer not in {kind.value for kind in TokenizerKind},
            f"no twin can have the tokenizer {shape.tokenizer}",
            f"twins can have: {tokenizers}",
        ),
        (
            has_experts and entry.architecture not in EXPERT_ARCHITECTURES,
            f"experts in the shape of an architecture without any ({entry.architecture})",
            "correct expert_count or architecture",
        ),
        (
            entry.architecture == "olmoe" and not has_experts,
            "an olmoe without experts",
            "add expert_count and expert_used_count to its shape",
        ),
        (
            has_experts != (0 < shape.expert_used_count <= shape.expert_count),
            f"{shape.expert_used_count} of {shape.expert_count} experts used per token",
            "correct expert_count and expert_used_count",
        ),
        (
            shape.head_count % shape.head_count_kv != 0,
            f"{shape.head_count} heads cannot share {shape.head_count_kv} of keys",
            "correct head_count or head_count_kv",
        ),
    )
    for is_wrong, what, hint in faults:
        if is_wrong:
            raise ConfigError(f"{model_id}: {what}", where="models.yaml", hint=hint)
    _check_counts(entry, model_id, shape)


def _check_counts(entry: ModelEntry, model_id: str, shape: ModelShape) -> None:
    """Compare what the shape makes with the published counts."""
    tensors = build_tensors(entry.architecture, shape, entry.quantization)
    total, active = count_parameters(tensors, shape.expert_used_count, shape.expert_count)
    difference = published_difference(entry, total, active)
    if difference is not None:
        raise ConfigError(
            f"{model_id}: its shape makes {difference}",
            where="models.yaml",
            hint="correct its shape or the published counts: a twin would stand for another model",
        )


def _seed(model_id: str, scale: TwinScale) -> int:
    digest = hashlib.sha256(f"twin {TWIN_FORMAT} {model_id} {scale.value}".encode()).digest()
    return int.from_bytes(digest[:4], "little")


def write_twin(
    entry: ModelEntry,
    model_id: str,
    scale: TwinScale,
    folder: Path,
    *,
    routing: TwinRouting = TwinRouting.UNIFORM,
    on_progress: Progress = ignore_progress,
) -> WrittenTwin:
    """Write a twin, or return the one that is already there.

    Raises ConfigError for an impossible shape, HostError where the disk is too small or another
    process is writing the same twin.
    """
    plan = build_twin(entry, model_id, scale, routing)
    path = twin_path(model_id, scale, folder, plan.mark.routing)
    if _is_there(path, plan):
        return _written(path, plan, kept_sha256(path, on_progress), was_there=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sha256 = _write_durably(plan, path, on_progress)
        keep_sha256(path, sha256)
    except OSError as error:
        raise HostError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            hint="free some space there, or choose another folder",
        ) from error
    return _written(path, plan, sha256, was_there=False)


def twin_sha256(plan: TwinPlan, on_progress: Progress = ignore_progress) -> str:
    """Return the sha256 that a twin must have, without writing it."""
    return _pour(plan, None, on_progress)


def _write_durably(plan: TwinPlan, path: Path, on_progress: Progress) -> str:
    partial = path.with_name(f".{path.name}.partial")
    with open_exclusively(partial) as file:
        try:
            check_room_for_model(path.parent, plan.file_bytes)
            file.seek(0)
            file.truncate()
            sha256 = _pour(plan, file, on_progress)
            file.flush()
            sync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    sync_folder(path.parent)
    return sha256


def _is_there(path: Path, plan: TwinPlan) -> bool:
    """Return whether a file begins with the very header of the twin and has its size."""
    if not path.is_file() or path.stat().st_size != plan.file_bytes:
        return False
    with path.open("rb") as file:
        return file.read(len(plan.header)) == plan.header


def _pour(plan: TwinPlan, file: BufferedRandom | None, on_progress: Progress) -> str:
    """Make all bytes of a twin, write them where there is a file, and return their sha256."""
    digest = hashlib.sha256()
    done_bytes = 0
    for chunk in _chunks(plan):
        if file:
            file.write(chunk)
        digest.update(chunk)
        done_bytes += len(chunk)
        on_progress(done_bytes, plan.file_bytes)
    return digest.hexdigest()


def _chunks(plan: TwinPlan) -> Iterator[bytes | memoryview]:
    # A twin is planned where there is no NumPy yet.
    from edgemoe_appliance.models.weights import tensor_chunks  # noqa: PLC0415

    yield plan.header
    for tensor in plan.tensors:
        silent = plan.silent_tokens if tensor.name == plan.head else ()
        yield from tensor_chunks(
            tensor, plan.shape, seed=plan.mark.seed, silent=silent, routing=plan.mark.routing
        )
        yield bytes(-tensor.n_bytes % DEFAULT_ALIGNMENT)


def _written(path: Path, plan: TwinPlan, sha256: str, *, was_there: bool) -> WrittenTwin:
    return WrittenTwin(
        path=path,
        mark=plan.mark,
        file_bytes=plan.file_bytes,
        sha256=sha256,
        was_there=was_there,
    )
