"""A partial file that one process at a time may write, and that keeps its name between calls."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedRandom
from pathlib import Path

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.units import human_bytes

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
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def check_disk_space(folder: Path, needed_bytes: int) -> None:
    """Raise HostError where a folder's disk has no room for so many more bytes."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes + _SPARE_BYTES:
        raise HostError(
            f"{human_bytes(free)} free, {human_bytes(needed_bytes + _SPARE_BYTES)} needed",
            where=str(folder),
            hint="free some space, or choose another folder",
        )
