"""What a journal says beside its figures: measuring periods and their times, raw files by digest.

Works on the stream of records; what it keeps is a few hundred bytes a run.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.journal import JournalLine, iterate_journal
from edgemoe_appliance.schema.plan import StudyIdentity
from edgemoe_appliance.schema.records import (
    EndRecord,
    HeaderRecord,
    PeriodRecord,
    SampleFile,
)
from edgemoe_appliance.schema.roots import tells_folders


@dataclass(kw_only=True)
class PeriodFacts:
    """One stretch of measuring; `ended_utc` is the last moment that a record of it tells."""

    record: PeriodRecord
    ended_utc: str
    pins: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    raw: list[str] = field(default_factory=list)
    runs: int = 0


@dataclass(frozen=True, kw_only=True)
class JournalFacts:
    """The measuring periods of a journal, its raw files by name, the images of its runs.

    `studies` are those that its periods were planned for; periods from before they were named have
    none.

    `tells_folders` is true of journals from before records named roots in place of paths.
    """

    periods: tuple[PeriodFacts, ...]
    raw: dict[str, SampleFile]
    images: tuple[str, ...]
    studies: tuple[StudyIdentity, ...]
    tells_folders: bool

    @property
    def ended_utc(self) -> str:
        """Return the last moment that any record tells."""
        return max(period.ended_utc for period in self.periods)


def read_journal_facts(path: Path) -> JournalFacts:
    """Read a journal from its beginning to its end.

    Raises RecordError where it is damaged, holds nothing, or names two raw files alike.
    """
    builder = _Builder()
    for line in iterate_journal(path):
        if isinstance(line, JournalLine):
            builder.add(line, f"{path}:{line.number}")
    if not builder.periods:
        raise RecordError("nothing was measured", where=str(path), hint="bench first")
    return JournalFacts(
        periods=tuple(builder.periods),
        raw=builder.raw,
        images=tuple(dict.fromkeys(builder.images)),
        studies=tuple(dict.fromkeys(p.record.study for p in builder.periods if p.record.study)),
        tells_folders=builder.tells_folders,
    )


class _Builder:
    """Folds records one after another."""

    def __init__(self) -> None:
        self.periods: list[PeriodFacts] = []
        self.raw: dict[str, SampleFile] = {}
        self.images: dict[str, None] = {}
        self.tells_folders = False

    def add(self, line: JournalLine, where: str) -> None:
        record = line.record
        if isinstance(record, PeriodRecord):
            self.periods.append(PeriodFacts(record=record, ended_utc=record.started_utc))
            return
        if not self.periods:
            raise RecordError(
                "a run before any measuring period", where=where, hint="not a whole journal"
            )
        period = self.periods[-1]
        if isinstance(record, HeaderRecord):
            self._add_header(period, record)
        else:
            self._add_end(period, record, where)

    def _add_header(self, period: PeriodFacts, header: HeaderRecord) -> None:
        period.runs += 1
        period.pins.add(header.spec.pin)
        period.models.add(header.spec.model)
        period.ended_utc = max(period.ended_utc, header.started_utc)
        self.tells_folders |= any(map(tells_folders, header.argv[:1]))
        if header.image is not None:
            self.images[header.image] = None

    def _add_end(self, period: PeriodFacts, end: EndRecord, where: str) -> None:
        period.ended_utc = max(period.ended_utc, end.ended_utc)
        for file in (end.samples, end.probe_report):
            if file is None:
                continue
            if file.name in self.raw:
                raise RecordError(f"two runs name the raw file {file.name}", where=where)
            self.raw[file.name] = file
            period.raw.append(file.name)
