"""A partial file that one process at a time may write, and that keeps its name between calls."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import check_disk_space, try_lock

# Left free besides the file itself: journals, samples and a report must still fit.
_SPARE_BYTES = 200_000_000


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
