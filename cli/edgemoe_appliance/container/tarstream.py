"""Tar archives as they go to and come from an engine: as streams, never whole in memory.

What comes is not trusted: who unpacks decides what each member may be.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any, Final

from edgemoe_appliance.errors import HostError

TarMember = tuple[tarfile.TarInfo, IO[bytes] | None]
_BLOCK_BYTES: Final = 1 << 20
_TAR_BLOCK_BYTES: Final = 512


def open_chunks(chunks: Iterable[bytes]) -> IO[bytes]:
    """Return chunks that come over the network as a file that can only be read forwards."""
    return io.BufferedReader(_ChunkReader(iter(chunks)), _BLOCK_BYTES)


class _ChunkReader(io.RawIOBase):
    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        """Let go of what sends the chunks, however many are still to come."""
        close = getattr(self._chunks, "close", None)
        if close is not None:
            close()
        self._chunks = iter(())
        super().close()

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


@contextlib.contextmanager
def open_members(archive: IO[bytes]) -> Iterator[Iterator[TarMember]]:
    """Give the members of an archive, each with its content where it is a plain file.

    Raises HostError where the archive turns out to be cut off or damaged.
    """
    try:
        with tarfile.open(fileobj=archive, mode="r|") as opened:
            yield ((member, _content(opened, member)) for member in opened)
    except tarfile.TarError as error:
        raise HostError(
            f"what the Docker engine sent is cut off or damaged ({error})",
            hint="the same command asks for it again",
        ) from error


def _content(opened: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes] | None:
    return opened.extractfile(member) if member.isreg() else None


def path_below_top(name: str, least_parts: int = 1) -> PurePosixPath | None:
    """Return a member's path without its first part, or None where it would lead elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or len(path.parts) < 1 + least_parts:
        return None
    return PurePosixPath(*path.parts[1:])


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A file to be sent: its name there, its size in bytes, and where its content is read."""

    name: str
    size_bytes: int
    file: IO[bytes]


def build_tar(files: Iterable[Outgoing], owner: int) -> Iterator[bytes]:
    """Yield a tar of files, all of one user and group."""
    for each in files:
        header = tarfile.TarInfo(each.name)
        header.size = each.size_bytes
        header.uid = header.gid = owner
        header.mode = 0o644
        yield header.tobuf(format=tarfile.GNU_FORMAT)
        while block := each.file.read(_BLOCK_BYTES):
            yield block
        yield bytes(-header.size % _TAR_BLOCK_BYTES)
    yield bytes(2 * _TAR_BLOCK_BYTES)
