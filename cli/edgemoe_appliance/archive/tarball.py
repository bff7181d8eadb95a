"""The one form of tar that archives have, written and read as streams.

Plain, because samples and pictures are compressed already, because no compressor's version may
change the bytes, and because a file that expands cannot be a bomb. Only ordinary files, below one
folder, of nobody, without times. A name, a size and the content thus fix every byte, and a reader
can refuse whatever differs.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from edgemoe_appliance.errors import HostError, VerificationError
from edgemoe_appliance.schema.text import on_one_line

BLOCK_BYTES: Final = 512
CHUNK_BYTES: Final = 1 << 20
END: Final = bytes(2 * BLOCK_BYTES)
_NAME_BYTES: Final = 512
_PAX_BYTES: Final = 1024
_MOST_BYTES: Final = 8**11  # a larger size has no room in a plain header
_PART: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}"
_NAME: Final = re.compile(rf"{_PART}(?:/{_PART}){{0,7}}")
_KINDS: Final = {
    tarfile.LNKTYPE: "a hard link",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.CHRTYPE: "a character device",
    tarfile.BLKTYPE: "a block device",
    tarfile.DIRTYPE: "a folder",
    tarfile.FIFOTYPE: "a named pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"PK\x03\x04": "zip",
}


def is_safe_name(name: str) -> bool:
    """Return whether a name stays inside its folder, everywhere, and is harmless to print."""
    return len(name) <= _NAME_BYTES and _NAME.fullmatch(name) is not None


def header_of(name: str, size: int) -> bytes:
    """Return the header of a file: one block, or three for a name that does not fit into one."""
    info = tarfile.TarInfo(name)
    info.size = size
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def padding_of(size: int) -> int:
    """Return how many zero bytes follow a content of `size` bytes."""
    return -size % BLOCK_BYTES


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file of an archive: its name and the size of its content in bytes."""

    name: str
    size: int


class TarWriter:
    """Writes files one after another; the caller gives them in the order of an archive."""

    def __init__(self, file: BinaryIO) -> None:
        """Begin an archive at the present place of a file."""
        self._file = file
        self._digest = hashlib.sha256()
        self.written_bytes = 0

    @property
    def sha256(self) -> str:
        """Return the digest (hex) of everything written."""
        return self._digest.hexdigest()

    def add(self, member: Member, chunks: Iterable[bytes]) -> str:
        """Write one file and return the digest (hex) of its content.

        Raises HostError where the content is not of the size that the member says.
        """
        if not is_safe_name(member.name) or member.size >= _MOST_BYTES:
            raise HostError("no archive can hold it", where=on_one_line(member.name))
        self._write(header_of(member.name, member.size))
        digest, left = hashlib.sha256(), member.size
        for data in chunks:
            left -= len(data)
            digest.update(data)
            self._write(data)
        if left:
            raise HostError(
                "its size changed while it was archived", where=member.name, hint="do it again"
            )
        self._write(bytes(padding_of(member.size)))
        return digest.hexdigest()

    def finish(self) -> None:
        """Write the end mark."""
        self._write(END)

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.written_bytes += len(data)


class TarReader:
    """Reads an archive from its beginning to its end, once, and refuses every other form of tar.

    Every method raises VerificationError with a name and a reason where the file is damaged or
    hostile. Holds one chunk in memory. `sha256` is that of all that was read.
    """

    def __init__(self, file: BinaryIO, file_bytes: int) -> None:
        """Begin at the start of a file of a known size."""
        self._file = file
        self._left = file_bytes
        self._is_empty = file_bytes == 0
        self._digest = hashlib.sha256()
        self._content: Iterator[bytes] = iter(())

    @property
    def sha256(self) -> str:
        """Return the digest (hex) of the file as far as it was read."""
        return self._digest.hexdigest()

    def members(self) -> Iterator[Member]:
        """Yield the files in their order; what was not read of one is skipped."""
        while (member := self._next_member()) is not None:
            self._content = self._chunks(member)
            yield member
            for _ in self._content:
                pass

    def chunks(self) -> Iterator[bytes]:
        """Yield the content of the present file in pieces of at most 1 MiB."""
        yield from self._content

    def drain(self) -> None:
        """Read what is left of a damaged file, so that `sha256` is that of the whole."""
        while data := self._file.read(CHUNK_BYTES):
            self._digest.update(data)

    def _next_member(self) -> Member | None:
        block = self._read(BLOCK_BYTES, "a header")
        if block == bytes(BLOCK_BYTES):
            self._end()
            return None
        raw, info = block, self._parse(block)
        name = info.name
        if info.type == tarfile.XHDTYPE:
            name, more = self._long_name(info.size)
            last = self._read(BLOCK_BYTES, "a header")
            raw, info = block + more + last, self._parse(last)
        return self._checked(name, info, raw)

    def _checked(self, name: str, info: tarfile.TarInfo, raw: bytes) -> Member:
        if info.type in _KINDS:
            raise _refusal(name, f"is {_KINDS[info.type]}; an archive holds ordinary files only")
        if not is_safe_name(name):
            raise _refusal(name, "is not a name that an archive may hold")
        if info.size < 0 or header_of(name, info.size) != raw:
            raise _refusal(name, "has a header in another form than archives have")
        if info.size + padding_of(info.size) > self._left:
            raise _refusal(name, f"is cut off ({info.size} bytes announced, {self._left} left)")
        return Member(name=name, size=info.size)

    def _parse(self, block: bytes) -> tarfile.TarInfo:
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except tarfile.HeaderError as error:
            compressed = (name for mark, name in _COMPRESSED.items() if block.startswith(mark))
            kind = next(compressed, None)
            what = f"is compressed ({kind})" if kind else f"has a damaged header ({error})"
            raise _refusal("", what) from error

    def _long_name(self, size: int) -> tuple[str, bytes]:
        if not 0 < size <= _PAX_BYTES:
            raise _refusal("", f"an extended header of {size} bytes; at most {_PAX_BYTES} are read")
        content = self._read(size + padding_of(size), "an extended header")
        found = re.match(rb"\d+ path=([^\n]*)\n", content[:size])
        name = found.group(1).decode(errors="replace") if found else ""
        return name, content

    def _chunks(self, member: Member) -> Iterator[bytes]:
        left = member.size
        while left:
            data = self._read(min(CHUNK_BYTES, left), member.name)
            left -= len(data)
            yield data
        padding = padding_of(member.size)
        if padding and self._read(padding, member.name) != bytes(padding):
            raise _refusal(member.name, "is followed by bytes that belong to no file")

    def _end(self) -> None:
        if self._read(BLOCK_BYTES, "the end mark") != bytes(BLOCK_BYTES):
            raise _refusal("", "a file after the end mark")
        if self._left:
            raise _refusal("", f"{self._left} bytes after the end mark")

    def _read(self, size: int, what: str) -> bytes:
        data = self._file.read(min(size, self._left))
        self._digest.update(data)
        self._left -= len(data)
        if self._is_empty:
            raise _refusal("", "is empty")
        if len(data) != size:
            raise _refusal(what, "is cut off (the archive ends too early)")
        return data


def _refusal(name: str, what: str) -> VerificationError:
    return VerificationError(what, where=on_one_line(name, 200) or None)
