"""What the two pipes of an engine delivered, bounded in memory, digested as a whole. Pure."""

from __future__ import annotations

import hashlib
from collections import deque
from typing import Final, NamedTuple

from edgemoe_appliance.schema.units import KIB, MIB

# llama-cli ends its text with two newlines of its own, or with none when it is killed.
_TRAILER: Final = b"\n\n"


class TextChunk(NamedTuple):
    """One read of generated text: when it came and how long it was."""

    t_ns: int
    n_bytes: int


class StderrLine(NamedTuple):
    """One line of stderr and when its end came; bytes that are not UTF-8 are replaced."""

    t_ns: int
    text: str


class TextCollector:
    """Takes the reads of stdout; digests all of them, keeps the first bytes and reads."""

    MAX_KEPT_BYTES: Final = 1 * MIB
    MAX_CHUNKS: Final = 200_000

    def __init__(self) -> None:
        """Begin with no text."""
        self.total_bytes = 0
        self.chunks_dropped = 0
        self._kept = bytearray()
        self._chunks: list[TextChunk] = []
        self._last_ns: int | None = None
        self._digest = hashlib.sha256()
        self._held_back = b""

    def feed(self, data: bytes, t_ns: int) -> None:
        """Take one read."""
        self.total_bytes += len(data)
        self._last_ns = t_ns
        self._kept += data[: self.MAX_KEPT_BYTES - len(self._kept)]
        if len(self._chunks) < self.MAX_CHUNKS:
            self._chunks.append(TextChunk(t_ns, len(data)))
        else:
            self.chunks_dropped += 1
        pending = self._held_back + data
        self._digest.update(pending[: -len(_TRAILER)])
        self._held_back = pending[-len(_TRAILER) :]

    @property
    def text_bytes(self) -> int:
        """Return the length of all text without the trailer."""
        return self.total_bytes - self._trailer_bytes

    @property
    def text_sha256(self) -> str:
        """Return the digest of all text without the trailer."""
        digest = self._digest.copy()
        if not self._trailer_bytes:
            digest.update(self._held_back)
        return digest.hexdigest()

    @property
    def text(self) -> bytes:
        """Return the kept text without the trailer."""
        return bytes(self._kept[: self.text_bytes])

    @property
    def chunks(self) -> tuple[TextChunk, ...]:
        """Return the kept reads without the bytes of the trailer."""
        if self.chunks_dropped:
            return tuple(self._chunks)
        left = self.text_bytes
        kept: list[TextChunk] = []
        for chunk in self._chunks:
            if left > 0:
                kept.append(TextChunk(chunk.t_ns, min(chunk.n_bytes, left)))
            left -= chunk.n_bytes
        return tuple(kept)

    @property
    def first_ns(self) -> int | None:
        """Return when the first text came."""
        chunks = self.chunks
        return chunks[0].t_ns if chunks else None

    @property
    def last_ns(self) -> int | None:
        """Return when the last text came."""
        if self.chunks_dropped:
            return self._last_ns
        chunks = self.chunks
        return chunks[-1].t_ns if chunks else None

    @property
    def _trailer_bytes(self) -> int:
        return len(_TRAILER) if self._held_back == _TRAILER else 0


class LineCollector:
    """Takes the reads of stderr; keeps its first and its last lines."""

    MAX_LINE_BYTES: Final = 16 * KIB
    MAX_HEAD_BYTES: Final = 128 * KIB
    MAX_TAIL_BYTES: Final = 128 * KIB

    def __init__(self) -> None:
        """Begin with no line."""
        self.total_bytes = 0
        self.dropped_bytes = 0
        self._head: list[StderrLine] = []
        self._head_bytes = 0
        self._tail: deque[tuple[StderrLine, int]] = deque()
        self._tail_bytes = 0
        self._partial = b""

    def feed(self, data: bytes, t_ns: int) -> list[StderrLine]:
        """Take one read and return the lines that it completed."""
        self.total_bytes += len(data)
        *complete, self._partial = (self._partial + data).split(b"\n")
        while len(self._partial) > self.MAX_LINE_BYTES:
            complete.append(self._partial[: self.MAX_LINE_BYTES])
            self._partial = self._partial[self.MAX_LINE_BYTES :]
        return [self._keep(line, t_ns) for line in complete]

    def finish(self, t_ns: int) -> list[StderrLine]:
        """Return the last line where it has no newline."""
        rest, self._partial = self._partial, b""
        return [self._keep(rest, t_ns)] if rest else []

    @property
    def lines(self) -> tuple[StderrLine, ...]:
        """Return the kept lines in order."""
        return (*self._head, *(line for line, _ in self._tail))

    def _keep(self, raw: bytes, t_ns: int) -> StderrLine:
        line = StderrLine(t_ns, raw.decode(errors="replace"))
        if not self._tail and self._head_bytes + len(raw) <= self.MAX_HEAD_BYTES:
            self._head.append(line)
            self._head_bytes += len(raw) + 1
        else:
            self._keep_in_tail(line, len(raw) + 1)
        return line

    def _keep_in_tail(self, line: StderrLine, n_bytes: int) -> None:
        self._tail.append((line, n_bytes))
        self._tail_bytes += n_bytes
        while self._tail_bytes > self.MAX_TAIL_BYTES and len(self._tail) > 1:
            _, dropped = self._tail.popleft()
            self._tail_bytes -= dropped
            self.dropped_bytes += dropped
