"""Model files of fewer bits: how each was made, and what its tensors really hold.

A file is known by what went into it: the digest of its source, the type, the pin whose tool made
it, and the options. What came out is read from the file itself: a type is a name, and where the
rows of a tensor do not fit it, the tool takes another one. Runs no tool.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgemoe_appliance.errors import DigestError, HostError
from edgemoe_appliance.models.digests import (
    Progress,
    ignore_progress,
    keep_sha256,
    kept_sha256,
    read_sidecar,
    write_sidecar,
)
from edgemoe_appliance.models.ggml_types import TYPE_BY_NAME, GgmlType
from edgemoe_appliance.models.gguf import GgufHeader, TensorInfo
from edgemoe_appliance.schema.base import Frozen, digest_of
from edgemoe_appliance.schema.configs import QuantType, Sha256
from edgemoe_appliance.schema.plan import QuantisedFile

# Below some two bits the tool refuses without weights of importance, and its results are noise.
# Source: quantize.cpp and llama-quant.cpp of llama.cpp b4447.
NEEDS_IMATRIX: Final = frozenset(
    {"IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ2_M", "IQ3_XXS", "Q2_K_S"}
)
# What holds a model's weights as they were trained, or nearly so.
WHOLE_TYPES: Final = ("F32", "F16", "BF16")
_AGAIN: Final = "remove it, and it is made again"


class Derivation(Frozen):
    """What a file of fewer bits is made of; equal derivations give equal files.

    `calibration_sha256` is the digest of the text behind the importance matrix, None without one.
    """

    source_sha256: Sha256
    type: QuantType
    pin_sha256: Sha256
    calibration_sha256: Sha256 | None
    context: int | None

    @property
    def key(self) -> str:
        """Return the digest of all of it."""
        return digest_of(self.model_dump(mode="json"))


class QuantisedRecord(Frozen):
    """What stands beside such a file: what it was made of, and its digest as it was made."""

    derivation: Derivation
    facts: QuantisedFile
    sha256: Sha256


def quantised_path(model_id: str, derivation: Derivation, folder: Path) -> Path:
    """Return where a file of fewer bits lies; another derivation has another name."""
    return folder / f"quantised-{model_id}-{derivation.key[:16]}.gguf"


def quantised_paths(model_id: str, folder: Path) -> tuple[Path, ...]:
    """Return the files of fewer bits of a model that lie there, however they were made."""
    keyed = "[0-9a-f]" * 16
    return tuple(sorted(folder.glob(f"quantised-{model_id}-{keyed}.gguf")))


def keep_quantised(path: Path, derivation: Derivation, facts: QuantisedFile) -> QuantisedRecord:
    """Write down what a file that was just made is."""
    sha256 = kept_sha256(path)
    keep_sha256(path, sha256)
    record = QuantisedRecord(derivation=derivation, facts=facts, sha256=sha256)
    write_sidecar(record_path(path), record)
    return record


def read_quantised(
    path: Path, on_progress: Progress = ignore_progress, *, anew: bool = False
) -> QuantisedRecord:
    """Return what a file is that was made here, after comparing it with its record.

    `anew` reads it whole though its digest is kept. Raises HostError where it is not there,
    DigestError where nothing says what it is or it is not what was made.
    """
    record = read_sidecar(record_path(path), QuantisedRecord)
    if not path.is_file():
        raise HostError(
            "this file has not been made yet",
            where=str(path),
            hint="run: edgemoe-appliance models quantise",
        )
    if record is None:
        raise DigestError("nothing says how this file was made", where=str(path), hint=_AGAIN)
    if anew:
        path.with_name(f"{path.name}.sha256.json").unlink(missing_ok=True)
    found = kept_sha256(path, on_progress)
    if found != record.sha256:
        raise DigestError(
            f"sha256 {found[:16]}..., {record.sha256[:16]}... when it was made",
            where=str(path),
            hint=_AGAIN,
        )
    return record


def record_path(path: Path) -> Path:
    """Return where it is kept how a file was made."""
    return path.with_name(f"{path.name}.quantised.json")


@dataclass(frozen=True, kw_only=True)
class TensorFacts:
    """What the tensors of a file hold: bits per weight, tensors by type, those that fell back."""

    bits_per_weight: float
    tensors: dict[str, int]
    fallbacks: dict[str, int]


def describe_tensors(header: GgufHeader, kind: str) -> TensorFacts:
    """Return what the tensors of a file hold that was made as a type.

    A fallback is a tensor whose rows are no multiple of the block that the type's usual tensors
    have, so that the tool had to take another type for it.
    """
    weights = sum(tensor.elements for tensor in header.tensors)
    bits = 8 * sum(tensor.n_bytes for tensor in header.tensors)
    return TensorFacts(
        bits_per_weight=bits / weights,
        tensors=_counted(header.tensors),
        fallbacks=_counted(each for each in header.tensors if is_fallback(each, kind)),
    )


def is_fallback(tensor: TensorInfo, kind: str) -> bool:
    """Return whether a tensor could not have the usual type of a file type."""
    usual = usual_type(kind)
    if usual is None or len(tensor.shape) == 1 or tensor.type.name in WHOLE_TYPES[:1]:
        return False
    return tensor.shape[0] % usual.block_elements != 0


def usual_type(kind: str) -> GgmlType | None:
    """Return the tensor type that most tensors of a file type have: Q4_K of Q4_K_M."""
    for name in (kind, kind.rpartition("_")[0]):
        if name in TYPE_BY_NAME:
            return TYPE_BY_NAME[name]
    return TYPE_BY_NAME["IQ3_S"] if kind == "IQ3_M" else None


def _counted(tensors: Iterable[TensorInfo]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.type.name] = counts.get(tensor.type.name, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
