"""What a journal says beside its figures: sittings with their times, raw files with their digests.

Works on the stream of records; what it keeps is a few hundred bytes a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import JournalLine, iterate_journal
from edgemoe_appliance.schema.records import (
    EndRecord,
    HeaderRecord,
    SampleFile,
    SittingRecord,
)


@dataclass(kw_only=True)
class SittingFacts:
    """One stretch of measuring; `ended_utc` is the last moment that a record of it tells."""

    record: SittingRecord
    ended_utc: str
    pins: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)
    runs: int = 0


@dataclass(frozen=True, kw_only=True)
class JournalFacts:
    """The sittings of a journal, its raw files by name, and the images that its runs name."""

    sittings: tuple[SittingFacts, ...]
    raw: dict[str, SampleFile]
    images: tuple[str, ...]

    @property
    def ended_utc(self) -> str:
        """Return the last moment that any record tells."""
        return max(sitting.ended_utc for sitting in self.sittings)


def read_journal_facts(path: Path) -> JournalFacts:
    """Read a journal from its beginning to its end.

    Raises RecordError where it is damaged, holds nothing, or names two raw files alike.
    """
    builder = _Builder()
    for line in iterate_journal(path):
        if isinstance(line, JournalLine):
            builder.add(line, f"{path}:{line.number}")
    if not builder.sittings:
        raise RecordError("nothing was measured", where=str(path), hint="bench first")
    return JournalFacts(
        sittings=tuple(builder.sittings),
        raw=builder.raw,
        images=tuple(dict.fromkeys(builder.images)),
    )


class _Builder:
    """Folds records one after another."""

    def __init__(self) -> None:
        self.sittings: list[SittingFacts] = []
        self.raw: dict[str, SampleFile] = {}
        self.images: dict[str, None] = {}

    def add(self, line: JournalLine, where: str) -> None:
        record = line.record
        if isinstance(record, SittingRecord):
            self.sittings.append(SittingFacts(record=record, ended_utc=record.started_utc))
            return
        if not self.sittings:
            raise RecordError("a run before any sitting", where=where, hint="not a whole journal")
        sitting = self.sittings[-1]
        if isinstance(record, HeaderRecord):
            self._add_header(sitting, record)
        else:
            self._add_end(sitting, record, where)

    def _add_header(self, sitting: SittingFacts, header: HeaderRecord) -> None:
        sitting.runs += 1
        sitting.pins.add(header.spec.pin)
        sitting.models.add(header.spec.model)
        sitting.ended_utc = max(sitting.ended_utc, header.started_utc)
        if header.image is not None:
            self.images[header.image] = None

    def _add_end(self, sitting: SittingFacts, end: EndRecord, where: str) -> None:
        sitting.ended_utc = max(sitting.ended_utc, end.ended_utc)
        for file in (end.samples, end.probe_report):
            if file is None:
                continue
            if file.name in self.raw:
                raise RecordError(f"two runs name the raw file {file.name}", where=where)
            self.raw[file.name] = file
            sitting.raw.append(file.name)
