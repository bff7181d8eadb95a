"""A lock between processes on one entry of the cache, given back by the kernel on any death."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.files import try_lock


@contextmanager
def cache_lock(entry: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock of a cache entry, which need not exist; wait while somebody else does.

    The lock file stays: removing it would let two processes hold locks on different files.
    """
    path = entry.with_name(f".{entry.name}.lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HostError(
            f"cannot be written ({error.strerror})",
            where=str(path),
            hint="use another cache folder",
        ) from error
    try:
        if not try_lock(descriptor):
            on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
