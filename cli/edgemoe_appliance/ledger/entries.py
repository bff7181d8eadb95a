"""What one archive contributes to a ledger: what was measured, on what, and every claim judged."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final, Literal

from pydantic import ValidationError

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    Part,
    Scope,
    SessionEvidence,
    Verdict,
    judge_claims,
)
from edgemoe_appliance.analysis.conditions import device_of
from edgemoe_appliance.analysis.semantics import SEMANTICS
from edgemoe_appliance.analysis.sessions import LoadedSessions, Setting
from edgemoe_appliance.archive.about import Maker
from edgemoe_appliance.archive.results import Verification, VerificationLevel
from edgemoe_appliance.archive.verify import VerifiedSession, verified_archive
from edgemoe_appliance.errors import RecordError
from edgemoe_appliance.schema.base import Count, CountFromOne, Frozen, digest_of
from edgemoe_appliance.schema.configs import (
    EnginesConfig,
    GitSource,
    Identifier,
    Sha256,
    number_in_name,
)
from edgemoe_appliance.schema.files import write_atomically
from edgemoe_appliance.schema.plan import StudyIdentity
from edgemoe_appliance.schema.records import HostFacts
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.studies.claims import Limits

ENTRY_SCHEMA: Final = 3
_MOST_LETTERS = 120


class EntryPart(Frozen):
    """One question of a claim: the number that was judged, the limits, and how it came out.

    `value` is None where the part was not tested or gave no finite number, `limits` where two
    numbers had to lie on the same side of 1.
    """

    label: str
    unit: str
    asked: str
    verdict: Verdict
    value: float | None
    low: float | None
    high: float | None
    limits: Limits | None


class EntryClaim(Frozen):
    """One claim as an archive's runs answer it."""

    section: str
    statement: str
    verdict: Verdict
    scope: Scope
    brief: str
    reasons: tuple[str, ...]
    parts: tuple[EntryPart, ...]


class LedgerEntry(Frozen):
    """One archive that verified.

    `board` tells one machine from another without naming it, `board_kind` what it is made of. Runs
    in a container know no name of their machine: there both are the same, and `one_board_each`
    takes a machine of that kind for it, so that there are never more boards than there were.
    `session_key` is equal for two archives of one session, whatever was added to it between them.
    `build_number` is llama.cpp's own of the engine; where nobody has told it, `declared_after` is
    that of the last pin before it in engines.yaml that has one, and `declared_place` its own place.
    """

    schema_version: Literal[3] = ENTRY_SCHEMA
    archive: str
    sha256: Sha256
    archive_bytes: Count
    code_sha256: Sha256
    semantics: CountFromOne
    levels: dict[VerificationLevel, str]
    study: StudyIdentity
    study_title: str
    session: Identifier
    session_key: Sha256
    ended_utc: str
    device: str
    board: Sha256
    board_kind: Sha256
    engine: str
    build_number: CountFromOne | None
    declared_after: CountFromOne | None
    declared_place: Count
    backend: str
    quantization: str
    runtime: str
    twins: str | None
    runs_ok: Count
    claims: dict[str, EntryClaim]

    @property
    def engine_age(self) -> tuple[float, int]:
        """Return what sorts engines from old to new, those of which nothing is known last."""
        if self.build_number is not None:
            return self.build_number, 0
        return self.declared_after or math.inf, 1 + self.declared_place


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """An archive that the ledger does not take, and why."""

    archive: str
    sha256: str | None
    why: str


def read_entry(path: Path, maker: Maker) -> LedgerEntry | Refusal:
    """Verify an archive and judge its session. `maker` is the appliance that runs here.

    Raises HostError where the file cannot be read.
    """
    with verified_archive(path, maker) as (found, session):
        return judge_entry(found, session, maker)


def judge_entry(
    found: Verification, session: VerifiedSession | None, maker: Maker
) -> LedgerEntry | Refusal:
    """Judge a session that was verified, as `verified_archive` gives both."""
    if session is None:
        return Refusal(archive=found.archive, sha256=found.sha256, why=_why_refused(found))
    loaded = load_sessions([session.folder])
    if not loaded.settings:
        return Refusal(archive=found.archive, sha256=found.sha256, why="holds no finished run")
    return _Described(found=found, session=session, loaded=loaded).entry(maker)


def write_entry(folder: Path, entry: LedgerEntry) -> None:
    """Keep an entry in a folder by the digest of its archive."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{entry.sha256}.json", entry.model_dump_json().encode() + b"\n")


def parse_entry(content: bytes, where: str) -> LedgerEntry:
    """Parse an entry that a ledger keeps. Raises RecordError."""
    try:
        return LedgerEntry.model_validate_json(content)
    except ValidationError as error:
        raise RecordError("is no entry of a ledger of this version", where=where) from error


def _why_refused(found: Verification) -> str:
    failed = [each for each in found.levels if each.has_failed]
    told = failed or [each for each in found.levels if each.level is VerificationLevel.NUMBERS]
    first = f": {found.mismatches[0]}" if found.mismatches else ""
    return f"{told[0]}{first}"


@dataclass(frozen=True, kw_only=True)
class _Described:
    """A verified session that was read."""

    found: Verification
    session: VerifiedSession
    loaded: LoadedSessions

    @cached_property
    def setting(self) -> Setting:
        """Return the setting with the most runs: what the entry stands for."""
        runs: dict[str, int] = {}
        for lot in self.loaded.lots:
            runs[lot.key.setting] = runs.get(lot.key.setting, 0) + lot.ok
        most = max(runs, key=lambda setting: runs[setting]) if runs else "A"
        return next(each for each in self.loaded.settings if each.id == most)

    def entry(self, maker: Maker) -> LedgerEntry:
        study, plan, setting = self.session.study, self.session.plan, self.setting
        (facts,) = self.loaded.sessions
        scales = sorted({each.twin_scale for each in plan.models.values() if each.twin_scale})
        verdicts = judge_claims(SessionEvidence(self.loaded, study))
        number = _build_number(setting)
        after, place = _declared(setting.engine.pin, study.configs.engines)
        return LedgerEntry(
            archive=self.found.archive,
            sha256=self.found.sha256,
            archive_bytes=self.found.archive_bytes,
            code_sha256=maker.code_sha256,
            semantics=SEMANTICS,
            levels={each.level: each.outcome.value for each in self.found.levels},
            study=study.identity,
            study_title=study.source.title,
            session=plan.session,
            session_key=digest_of(facts.periods[0].model_dump(mode="json")),
            ended_utc=self.session.ended_utc,
            device=self._device(),
            board=board_of(setting.host),
            board_kind=board_kind_of(setting.host),
            engine=_engine_label(setting, number),
            build_number=number,
            declared_after=after,
            declared_place=place,
            backend=setting.target.backend.value,
            quantization=self._quantization(),
            runtime=plan.runtime,
            twins=", ".join(scales) or None,
            runs_ok=facts.ok,
            claims={each.id: _entry_claim(each) for each in verdicts},
        )

    def _device(self) -> str:
        """Return the study's name of the device, else what the machine says of itself."""
        setting, study = self.setting, self.session.study
        device = device_of(setting, study)
        if device is not None:
            return study.devices[device].label
        hardware, host = setting.hardware, setting.host
        named = (hardware.device if hardware else None) or host.cpu_model or host.machine
        return on_one_line(named, _MOST_LETTERS)

    def _quantization(self) -> str:
        """Return the quantisations of the models, by the catalogue that the archive carries."""
        models = self.session.study.configs.models.models
        names = (models[name].quantization for name in self.session.plan.models if name in models)
        return ", ".join(dict.fromkeys(names)) or "not known"


def board_of(host: HostFacts) -> str:
    """Return a digest that is equal for one machine, and in containers for one kind of machine."""
    return board_kind_of(host) if host.in_container else digest_of({"host": host.hostname_sha256})


def board_kind_of(host: HostFacts) -> str:
    """Return a digest of what a machine is made of."""
    kept = ("machine", "cpu_model", "cores_logical", "memory_bytes")
    return digest_of({"kind": host.model_dump(mode="json", include=set(kept))})


def one_board_each(entries: Sequence[LedgerEntry]) -> tuple[LedgerEntry, ...]:
    """Return entries in which a container ran on a known machine, where one is of its kind."""
    known = {entry.board_kind: entry.board for entry in entries if entry.board != entry.board_kind}
    return tuple(
        entry.model_copy(update={"board": known.get(entry.board_kind, entry.board)})
        if entry.board == entry.board_kind
        else entry
        for entry in entries
    )


def _build_number(setting: Setting) -> int | None:
    """Return the number that the engine prints, else the one that its pin is named after."""
    engine = setting.engine
    return engine.build_number or number_in_name(engine.pin)


def _declared(pin: str, engines: EnginesConfig) -> tuple[int | None, int]:
    """Return the last build number declared before a pin, and the place of the pin."""
    pins = list(engines.pins.items())
    place = next((n for n, (name, _) in enumerate(pins) if name == pin), len(pins))
    numbers = (each.number_of(name) for name, each in reversed(pins[:place]))
    return next(filter(None, numbers), None), place


def _engine_label(setting: Setting, number: int | None) -> str:
    """Return pin and source; a build number only where it is not the pin's name."""
    engine = setting.engine
    told = [f"build {number}"] if number and number != number_in_name(engine.pin) else []
    if isinstance(engine.source, GitSource):
        told.append(f"commit {engine.source.commit[:9]}")
    else:
        told.append(f"source {engine.source_sha256[:9]}")
    return f"{engine.pin} ({', '.join(told)})"


def _entry_claim(verdict: ClaimVerdict) -> EntryClaim:
    return EntryClaim(
        section=verdict.section,
        statement=verdict.statement,
        verdict=verdict.verdict,
        scope=verdict.scope,
        brief=verdict.brief,
        reasons=verdict.scope_reasons,
        parts=tuple(map(_entry_part, verdict.parts)),
    )


def _entry_part(part: Part) -> EntryPart:
    number = part.numbers[0] if part.numbers else None
    return EntryPart(
        label=number.label if number else part.missing,
        unit=number.unit if number else "",
        asked=part.asked,
        verdict=part.verdict,
        value=number.value if number and number.is_finite else None,
        low=number.low if number else None,
        high=number.high if number else None,
        limits=part.limits,
    )


def newest_first(entries: Mapping[str, LedgerEntry]) -> list[LedgerEntry]:
    """Return entries in a fixed order: the newest first, then by digest."""
    return sorted(entries.values(), key=lambda each: (each.ended_utc, each.sha256), reverse=True)
