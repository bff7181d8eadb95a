"""Files: written whole or not at all, so that they survive a power cut; read for their digest.

Locks between processes are here too; the kernel gives them back on any death.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from edgemoe_appliance.errors import HostError
from edgemoe_appliance.schema.units import human_bytes

PARTIAL_SUFFIX: Final = ".partial"
_BLOCK_BYTES: Final = 4 * 1024 * 1024
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# How the names of scratch folders end, after eight letters that mkdtemp chose.
_SCRATCH: Final = ".scratch"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file through a temporary name in the same folder, synced before it is renamed."""
    with open_atomically(path) as file:
        file.write(content)


@contextmanager
def open_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write; it gets its name when the context ends well, and else is removed."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open_atomically_in(folder, path.name) as file:
            yield file
    except OSError as error:
        # Within a descriptor the system knows the last part of the name alone.
        if isinstance(error.filename, str) and error.filename.endswith(PARTIAL_SUFFIX):
            error.filename = str(path)
        raise
    finally:
        os.close(folder)


@contextmanager
def open_atomically_in(folder: int, name: str, *, is_synced: bool = True) -> Iterator[BinaryIO]:
    """Do the same for a name in a folder that is open as a descriptor.

    The temporary name cannot be guessed and is never one that exists: whoever else may write into
    the folder can lay no link there for this to be written through. A link that has the final
    name is replaced, not followed.
    """
    temporary = f".{name}.{secrets.token_hex(8)}{PARTIAL_SUFFIX}"
    descriptor = os.open(temporary, _CREATE, 0o666, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            if is_synced:
                sync(file.fileno())
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise
    if is_synced:
        sync(folder)


@contextmanager
def ordinary_file(path: Path) -> Iterator[BinaryIO]:
    """Open a file of somebody else's to be read.

    A pipe that nobody writes to keeps nobody waiting. Raises HostError for what is no ordinary
    file, OSError for what cannot be opened.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        what = "is a folder" if stat.S_ISDIR(mode) else "is no ordinary file"
        raise HostError(what, where=str(path), hint="name a file")
    with os.fdopen(descriptor, "rb") as file:
        yield file


def sync(descriptor: int) -> None:
    """Make what was written durable. On macOS fsync leaves it in the drive's own cache.

    Where a file system knows no F_FULLFSYNC, as those of networks, fsync is what there is.
    """
    if sys.platform == "darwin":
        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Make the names inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        sync(descriptor)
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


def try_lock(descriptor: int) -> bool:
    """Take the lock of an open file, or return False where another process holds it.

    The kernel gives it back on any death.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def check_disk_space(
    folder: Path, needed_bytes: int, hint: str = "free some space, or choose another folder"
) -> None:
    """Raise HostError where the disk of an existing folder has no room for so many more bytes."""
    free_bytes = shutil.disk_usage(folder).free
    if free_bytes < needed_bytes:
        raise HostError(
            f"{human_bytes(free_bytes)} free, {human_bytes(needed_bytes)} needed",
            where=str(folder),
            hint=hint,
        )


@contextmanager
def scratch_folder(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Give a private folder that goes when the context ends, or when the next one is made.

    A process that is killed leaves its folder behind, without the lock that it held on it: those
    of the same prefix, place and user are removed first. `parent` is by default where temporary
    files go. Raises OSError where none can be made.
    """
    place = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_abandoned(place, prefix)
    path, lock = _locked_folder(place, prefix)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        os.close(lock)


def _locked_folder(place: Path, prefix: str) -> tuple[Path, int]:
    """Make a folder and hold a lock on it; it may be taken for an abandoned one just before."""
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, suffix=_SCRATCH, dir=place))
        try:
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        with contextlib.suppress(OSError):  # some network file systems know no locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(lock).st_ino:
                return path, lock
        os.close(lock)


def _remove_abandoned(place: Path, prefix: str) -> None:
    """Remove folders of ours that nobody holds a lock on; what cannot be removed stays.

    A folder of the user's that only begins with the same letters is none of ours.
    """
    ours = re.compile(rf"{re.escape(prefix)}[a-z0-9_]{{8}}{re.escape(_SCRATCH)}")
    found: list[str] = []
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        found = [entry.path for entry in entries if ours.fullmatch(entry.name)]
    for path in found:
        with contextlib.suppress(OSError):
            lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if os.fstat(lock).st_uid == os.geteuid():
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(path, ignore_errors=True)
            finally:
                os.close(lock)


def is_folder(path: Path) -> bool:
    """Return whether a folder is there. Raises OSError where that cannot be known."""
    found = _kind_of(path)
    return found is not None and stat.S_ISDIR(found)


def is_file(path: Path) -> bool:
    """Return whether a plain file is there. Raises OSError where that cannot be known."""
    found = _kind_of(path)
    return found is not None and stat.S_ISREG(found)


def _kind_of(path: Path) -> int | None:
    """Return the mode of what a path leads to, None where it leads nowhere."""
    try:
        return path.stat().st_mode
    except OSError as error:
        # A name longer than any can be is one that is not there, too.
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG):
            return None
        raise


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
