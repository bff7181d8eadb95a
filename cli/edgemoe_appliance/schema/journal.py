"""Reading journals: complete lines become records, a torn last line is told apart.

A writer that is killed leaves at most one incomplete last line. Everything else that does not
parse is damage, and is reported with its line. Writing is not done here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.records import (
    EndRecord,
    HeaderRecord,
    PeriodRecord,
    parse_record,
)
from edgemoe_appliance.schema.sessionfolder import SessionFolder, holds, host_folder
from edgemoe_appliance.schema.units import MIB

AnyRecord = PeriodRecord | HeaderRecord | EndRecord

JOURNAL_NAME = "runs.jsonl"
PLAN_NAME = "session.json"
SAMPLES_FOLDER = "samples"
LIVE_NAME = "live.json"
# What a bench keeps on its own side, in `host_folder`, beside the plan.
LOG_NAME = "measure.log"
LOCK_NAME = "bench.lock"
PLAN_INSIDE_NAME = "session.container.json"
# A record is a few kilobytes; a longer line is not ours and must not fill the memory.
MAX_LINE_BYTES = 4 * MIB
# Some 40,000 runs; a longer journal is not ours and must not keep a reader for hours.
MAX_JOURNAL_BYTES = 256 * MIB


@dataclass(frozen=True, kw_only=True)
class JournalLine:
    """One complete record and its place: the line's number (from 1) and its first byte."""

    number: int
    offset: int
    record: AnyRecord


@dataclass(frozen=True, kw_only=True)
class TornTail:
    """An incomplete last line: where it begins and what it holds."""

    number: int
    offset: int
    content: bytes


class Hasher(Protocol):
    """What takes bytes to make a digest of them, as those of hashlib do."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


def iterate_journal(path: Path, digest: Hasher | None = None) -> Iterator[JournalLine | TornTail]:
    """Yield the records of a journal one by one, then its torn tail where there is one.

    A last line without its newline that holds a whole record counts as a record. `digest` is
    given every byte that was read.
    What is appended while it is read is not read. Raises RecordError with file and line where a
    line is damaged, foreign, newer or too long, and for anything but a plain file.
    """
    try:
        with (
            SessionFolder(path.parent) as session,
            session.open_file(path.name, MAX_JOURNAL_BYTES) as file,
        ):
            yield from _iterate(file.readline, path, digest)
    except FileNotFoundError as error:
        raise RecordError("no such journal", where=str(path)) from error
    except OSError as error:
        raise RecordError(f"cannot be read ({error.strerror})", where=str(path)) from error


def _iterate(
    readline: Callable[[int], bytes], path: Path, digest: Hasher | None
) -> Iterator[JournalLine | TornTail]:
    number, offset = 0, 0
    while line := readline(MAX_LINE_BYTES + 1):
        number += 1
        where = f"{path}:{number}"
        if digest is not None:
            digest.update(line)
        if len(line) > MAX_LINE_BYTES:
            raise RecordError(f"line longer than {MAX_LINE_BYTES} bytes", where=where)
        if line.endswith(b"\n"):
            yield JournalLine(number=number, offset=offset, record=parse_record(line, where))
        else:
            yield _last_line(line, number, offset, where)
        offset += len(line)


def _last_line(line: bytes, number: int, offset: int, where: str) -> JournalLine | TornTail:
    try:
        record = parse_record(line, where)
    except RecordError:
        return TornTail(number=number, offset=offset, content=line)
    return JournalLine(number=number, offset=offset, record=record)


@dataclass(kw_only=True)
class JournalProgress:
    """What a journal says has been done: folds records one after another."""

    attempts: dict[str, int] = field(default_factory=dict)
    ends: dict[str, EndRecord] = field(default_factory=dict)

    def add(self, record: AnyRecord) -> None:
        """Take one more record into account."""
        if isinstance(record, HeaderRecord):
            self.attempts[record.run_id] = max(record.attempt, self.attempts.get(record.run_id, 0))
        elif isinstance(record, EndRecord):
            self.ends[record.run_id] = record

    def is_done(self, run_id: str) -> bool:
        """Return whether a run has a final record."""
        end = self.ends.get(run_id)
        return end is not None and end.status.is_final

    def next_attempt(self, run_id: str) -> int:
        """Return the number of the next attempt at a run, from 1."""
        return self.attempts.get(run_id, 0) + 1


def read_progress(path: Path) -> JournalProgress:
    """Return what a journal says has been done; nothing where there is no journal yet.

    Raises RecordError where it is damaged.
    """
    progress = JournalProgress()
    if holds(path.parent, path.name):
        for line in iterate_journal(path):
            if isinstance(line, JournalLine):
                progress.add(line.record)
    return progress


def find_kept_plan(session: Path) -> Path | None:
    """Return the plan that a session goes on with, or None where nothing was begun.

    That is the one the bench keeps on its own side; the one in the folder, which a container may
    have exchanged, counts where the session was begun elsewhere or by an earlier version.
    """
    if not (holds(session, PLAN_NAME) or holds(session, JOURNAL_NAME)):
        return None
    places = (host_folder(session), session)
    return next((place / PLAN_NAME for place in places if holds(place, PLAN_NAME)), None)


class JournalTail:
    """Follows a journal that another process writes; each record is given once."""

    def __init__(self, path: Path) -> None:
        """Begin at the start of the journal, which need not exist yet."""
        self._path = path
        self._offset = 0
        self._number = 0

    def poll(self) -> list[AnyRecord]:
        """Return the records completed since the last poll."""
        records: list[AnyRecord] = []
        while complete := self._read_complete():
            self._offset += len(complete)
            records += [self._parse(line) for line in complete.split(b"\n")[:-1]]
        return records

    def _read_complete(self) -> bytes:
        """Return some whole lines that follow, none where there are none yet."""
        try:
            with SessionFolder(self._path.parent) as session:
                data = session.read_from(self._path.name, self._offset, MAX_LINE_BYTES + 1)
        except FileNotFoundError:
            return b""
        complete = data[: data.rfind(b"\n") + 1]
        if len(data) > MAX_LINE_BYTES and not complete:
            where = f"{self._path}:{self._number + 1}"
            raise RecordError(f"line longer than {MAX_LINE_BYTES} bytes", where=where)
        if self._offset + len(complete) > MAX_JOURNAL_BYTES:
            raise RecordError(f"longer than {MAX_JOURNAL_BYTES} bytes", where=str(self._path))
        return complete

    def _parse(self, line: bytes) -> AnyRecord:
        self._number += 1
        return parse_record(line, f"{self._path}:{self._number}")
