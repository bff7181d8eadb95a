"""Files: written whole or not at all, so that they survive a power cut; read for their digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

_BLOCK_BYTES: Final = 4 * 1024 * 1024


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through a temporary name in the same folder, synced before it is renamed."""
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write; it gets its name when the context ends well, and else is removed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: Path, on_block: Callable[[int], None] = lambda _bytes: None) -> str:
    """Read a whole file and return its sha256 (hex); `on_block` is told the bytes read so far.

    Raises OSError where it cannot be read.
    """
    digest, done_bytes = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
            done_bytes += len(block)
            on_block(done_bytes)
    return digest.hexdigest()
