"""Whether an image file holds the image that a session ran in: config and layers by digest.

Reads the file as a stream, unpacks nothing and writes nothing. A layer counts where it lies plain,
as `docker save` and this appliance's own export have it; then its sha256 is its diff id.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator

from edgemoe_appliance.archive.tarball import BLOCK_BYTES, padding_of
from edgemoe_appliance.errors import RecordError

# An image has tens of layers, and its config some kilobytes.
_MOST_MEMBERS = 10_000
_MOST_TEXT_BYTES = 4 * 1024 * 1024


def check_image_file(chunks: Iterable[bytes], config_sha256: str) -> None:
    """Compare an image file with the digest (`sha256:...`) of the config of an image.

    Raises RecordError where the file is no image archive, is another image, or lacks a layer.
    """
    wanted = config_sha256.removeprefix("sha256:")
    config: bytes | None = None
    digests: set[str] = set()
    for digest, text in _members(_Pull(chunks)):
        digests.add(digest)
        if digest == wanted and text is not None:
            config = text
    if config is None:
        raise RecordError(f"holds no image with the config {config_sha256}")
    missing = [digest for digest in _diff_ids(config) if digest not in digests]
    if missing:
        raise RecordError(f"lacks the layer sha256:{missing[0]}, or has it packed")


def _diff_ids(config: bytes) -> list[str]:
    try:
        digests = json.loads(config)["rootfs"]["diff_ids"]
        return [str(digest).removeprefix("sha256:") for digest in digests]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise RecordError("holds a config that names no layers") from error


class _Pull:
    """Reads exact amounts out of chunks of any length."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Yield the next `size` bytes in pieces; fewer where the chunks end."""
        while size:
            if not self._rest:
                self._rest = memoryview(next(self._chunks, b""))
                if not self._rest:
                    return
            piece, self._rest = self._rest[:size], self._rest[size:]
            size -= len(piece)
            yield piece

    def exactly(self, size: int) -> bytes:
        """Return the next `size` bytes; fewer where the chunks end."""
        return b"".join(self.pieces(size))

    def finish(self) -> None:
        """Read to the end."""
        self._rest = memoryview(b"")
        for _ in self._chunks:
            pass


def _members(pull: _Pull) -> Iterator[tuple[str, bytes | None]]:
    """Yield the digest of each member, with its content where that is short."""
    for _ in range(_MOST_MEMBERS):
        block = pull.exactly(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES or block == bytes(BLOCK_BYTES):
            pull.finish()
            return
        yield _member(pull, _size(block))
    raise RecordError(f"holds more than {_MOST_MEMBERS} files")


def _size(block: bytes) -> int:
    try:
        size = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape").size
    except tarfile.HeaderError as error:
        raise RecordError("is no archive of an image (no tar)") from error
    if size < 0:
        raise RecordError("is no archive of an image (a negative size)")
    return size


def _member(pull: _Pull, size: int) -> tuple[str, bytes | None]:
    digest, kept, left = hashlib.sha256(), bytearray(), size
    for piece in pull.pieces(size):
        digest.update(piece)
        left -= len(piece)
        if size <= _MOST_TEXT_BYTES:
            kept += piece
    if left:
        raise RecordError("is cut off")
    pull.exactly(padding_of(size))
    return digest.hexdigest(), bytes(kept) if size <= _MOST_TEXT_BYTES else None
