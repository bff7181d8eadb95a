"""Digests of model files, kept beside them so that gigabytes are not read before every bench."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from pydantic import Field, ValidationError

from edgemoe_appliance.schema.base import Frozen, canonical_json
from edgemoe_appliance.schema.configs import Sha256
from edgemoe_appliance.schema.files import file_sha256, write_atomically

Progress = Callable[[int, int], None]  # bytes done, bytes in all
FrozenT = TypeVar("FrozenT", bound=Frozen)

_MAX_SIDECAR_BYTES: Final = 100_000


class _KeptDigest(Frozen):
    """The digest of a file, and what the file was when the digest was taken."""

    file_bytes: int = Field(gt=0)
    mtime_ns: int
    inode: int
    sha256: Sha256


def ignore_progress(done_bytes: int, total_bytes: int) -> None:
    """Tell nobody."""


def read_sha256(path: Path, on_progress: Progress = ignore_progress) -> str:
    """Read a whole file and return its sha256 (hex)."""
    total_bytes = path.stat().st_size
    return file_sha256(path, lambda done_bytes: on_progress(done_bytes, total_bytes))


def kept_sha256(path: Path, on_progress: Progress = ignore_progress) -> str:
    """Return the sha256 of a file: the kept one where size, time and inode are still the same."""
    before = path.stat()
    kept = read_sidecar(_sidecar_path(path), _KeptDigest)
    now = (before.st_size, before.st_mtime_ns, before.st_ino)
    if kept and (kept.file_bytes, kept.mtime_ns, kept.inode) == now:
        return kept.sha256
    sha256 = read_sha256(path, on_progress)
    # A folder mounted read-only into a container: the digest is then taken anew each time.
    with suppress(OSError):
        _write_kept(path, sha256, before)
    return sha256


def keep_sha256(path: Path, sha256: str) -> None:
    """Write down the digest of a file that this process has just written."""
    _write_kept(path, sha256, path.stat())


def _write_kept(path: Path, sha256: str, status: os.stat_result) -> None:
    kept = _KeptDigest(
        file_bytes=status.st_size,
        mtime_ns=status.st_mtime_ns,
        inode=status.st_ino,
        sha256=sha256,
    )
    write_sidecar(_sidecar_path(path), kept)


def _sidecar_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256.json")


def write_sidecar(path: Path, value: Frozen) -> None:
    """Write a small document beside a model file."""
    write_atomically(path, canonical_json(value.model_dump(mode="json")).encode() + b"\n")


def read_sidecar(path: Path, model: type[FrozenT]) -> FrozenT | None:
    """Return a document from beside a model file, or None where there is no readable one."""
    try:
        with path.open("rb") as file:
            return model.model_validate_json(file.read(_MAX_SIDECAR_BYTES))
    except (OSError, ValidationError):
        return None
