"""Sessions as they lie on disk, read into frames and facts.

Runs of different hosts, targets, runtimes or engines belong to different settings and are never
pooled; what was not finished is kept apart and counted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_uppercase

import pandas as pd

from edgemoe_appliance.analysis.frames import (
    ABSENT_COLUMNS,
    DOUBT_COLUMNS,
    RUN_COLUMNS,
    FrameBuilder,
    Row,
    absent_rows,
    doubt_rows,
    run_row,
    split_final,
)
from edgemoe_appliance.analysis.journal import Attempt, assemble_attempts
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.study.base import digest_of
from edgemoe_appliance.study.configs import Target
from edgemoe_appliance.study.hardware import HardwareFacts
from edgemoe_appliance.study.journal import JOURNAL_NAME, PLAN_NAME, TornTail, iterate_journal
from edgemoe_appliance.study.plan import EngineBuild, Plan, read_plan
from edgemoe_appliance.study.records import HeaderRecord, HostFacts, SittingRecord

_READ_BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What runs must have in common to be pooled: host, target, runtime and engine.

    `machine` is equal for settings that differ in their engine alone.
    """

    id: str
    machine: str
    sessions: tuple[str, ...]
    target_id: str
    target: Target
    runtime: str
    image: str | None
    engine: EngineBuild
    host: HostFacts
    hardware: HardwareFacts | None

    @property
    def label(self) -> str:
        """Return a short name: `A: This machine, CPU, b4447`."""
        return f"{self.id}: {self.target.label}, {self.engine.pin}"


@dataclass(frozen=True, kw_only=True)
class ExampleCommand:
    """The exact command of the first run of a model in a session."""

    model: str
    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class SessionFacts:
    """One session: its plan, its sittings, and how far it came (counts of runs).

    `added` are runs that heat or need added to the plan; `not_started` are planned and have no end.
    """

    key: str
    plan: Plan
    sittings: tuple[SittingRecord, ...]
    journal_sha256: str
    torn_bytes: int
    planned: int
    finished: int
    ok: int
    added: int
    not_started: int
    attempts_unfinished: int
    commands: tuple[ExampleCommand, ...]

    @property
    def plan_matches(self) -> bool:
        """Return whether the plan beside the journal is the one the journal names."""
        return all(sitting.plan_digest == self.plan.digest for sitting in self.sittings)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedSessions:
    """Everything that was measured, as frames of the columns that `frames` documents.

    `runs` has one row per final run, `unfinished` one per other attempt; `doubts` and `absent`
    have one row per doubt and per missing reading.
    """

    sessions: tuple[SessionFacts, ...]
    settings: tuple[Setting, ...]
    runs: pd.DataFrame
    unfinished: pd.DataFrame
    doubts: pd.DataFrame
    absent: pd.DataFrame


def load_sessions(paths: Sequence[Path]) -> LoadedSessions:
    """Read session folders.

    Raises ConfigError where a folder is named twice, RecordError where one is damaged, foreign
    or newer.
    """
    folders = [path.resolve() for path in paths]
    twice = sorted({str(folder) for folder in folders if folders.count(folder) > 1})
    if twice:
        raise ConfigError("the session is named twice", where=twice[0], hint="name it once")
    reader = _SessionReader()
    for folder in folders:
        reader.read(folder)
    return reader.loaded()


@dataclass(kw_only=True)
class _OneSession:
    """What reading one session has found so far."""

    key: str
    plan: Plan
    sittings: list[SittingRecord] = field(default_factory=list)
    torn_bytes: int = 0
    commands: dict[str, ExampleCommand] = field(default_factory=dict)
    journal_sha256: str = ""


class _SessionReader:
    """Reads journals one after another into common frames."""

    def __init__(self) -> None:
        self._attempts = FrameBuilder(RUN_COLUMNS)
        self._doubts = FrameBuilder(DOUBT_COLUMNS)
        self._absent = FrameBuilder(ABSENT_COLUMNS)
        self._settings = _Settings()
        self._sessions: list[_OneSession] = []

    def read(self, folder: Path) -> None:
        """Read one session folder."""
        plan = read_plan(folder / PLAN_NAME)
        journal = folder / JOURNAL_NAME
        session = _OneSession(key=self._unique_key(plan.session), plan=plan)
        lines = iterate_journal(journal)
        for item in assemble_attempts(lines, plan=plan, where=str(journal)):
            if isinstance(item, SittingRecord):
                session.sittings.append(item)
            elif isinstance(item, TornTail):
                session.torn_bytes = len(item.content)
            else:
                self._add(session, item)
        session.journal_sha256 = _sha256_of(journal)
        self._sessions.append(session)

    def loaded(self) -> LoadedSessions:
        """Return what was read."""
        runs, unfinished = split_final(self._attempts.build())
        return LoadedSessions(
            sessions=tuple(_facts(session, runs, unfinished) for session in self._sessions),
            settings=self._settings.all(),
            runs=runs,
            unfinished=unfinished,
            doubts=self._doubts.build(),
            absent=self._absent.build(),
        )

    def _add(self, session: _OneSession, attempt: Attempt) -> None:
        setting = self._settings.id_of(session.key, session.plan, attempt)
        header = attempt.header
        session.commands.setdefault(
            header.spec.model, ExampleCommand(model=header.spec.model, argv=header.argv)
        )
        self._attempts.add(run_row(session.key, setting, session.plan, attempt))
        _add_all(self._doubts, doubt_rows(session.key, setting, attempt))
        _add_all(self._absent, absent_rows(session.key, setting, attempt))

    def _unique_key(self, name: str) -> str:
        same = sum(session.plan.session == name for session in self._sessions)
        return f"{name}~{same + 1}" if same else name


class _Settings:
    """Gives each different setting an id (A, B, ...) in the order of appearance."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._facts: list[tuple[str, Plan, Attempt]] = []
        self._sessions: dict[str, dict[str, None]] = {}
        self._known: dict[tuple[str, int, str, str, str | None], str] = {}

    def id_of(self, session: str, plan: Plan, attempt: Attempt) -> str:
        header = attempt.header
        place = (
            session,
            attempt.sitting_index,
            header.engine_sha256,
            header.engine_build_key,
            header.image,
        )
        if place not in self._known:
            self._known[place] = self._register(session, plan, attempt)
        return self._known[place]

    def all(self) -> tuple[Setting, ...]:
        return tuple(
            Setting(
                id=setting_id,
                machine=_machine_digest(
                    next(iter(self._sessions[setting_id])), plan, attempt.sitting.host
                ),
                sessions=tuple(self._sessions[setting_id]),
                target_id=plan.target_id,
                target=plan.target,
                runtime=plan.runtime,
                image=attempt.header.image,
                engine=plan.engines[attempt.header.spec.pin],
                host=attempt.sitting.host,
                hardware=attempt.sitting.hardware,
            )
            for setting_id, plan, attempt in self._facts
        )

    def _register(self, session: str, plan: Plan, attempt: Attempt) -> str:
        key = _setting_digest(session, plan, attempt.sitting.host, attempt.header)
        if key not in self._ids:
            self._ids[key] = _letters(len(self._ids))
            self._facts.append((self._ids[key], plan, attempt))
        self._sessions.setdefault(self._ids[key], {})[session] = None
        return self._ids[key]


def _setting_digest(session: str, plan: Plan, host: HostFacts, header: HeaderRecord) -> str:
    """Return a digest that is equal where runs may be pooled."""
    return digest_of(
        {
            "machine": _machine_digest(session, plan, host),
            "image": header.image,
            "engine": [header.engine_sha256, header.engine_build_key],
        }
    )


def _machine_digest(session: str, plan: Plan, host: HostFacts) -> str:
    """Return a digest that is equal for one machine, target and runtime.

    A container has a host name of its own, which says nothing about the machine; so two sessions
    in containers are never taken for the same machine.
    """
    return digest_of(
        {
            "machine": session if host.in_container else host.hostname_sha256,
            "host": host.model_dump(
                mode="json",
                include={
                    "system",
                    "release",
                    "machine",
                    "cpu_model",
                    "cores_physical",
                    "cores_logical",
                    "memory_bytes",
                    "governor",
                    "in_container",
                },
            ),
            "target": plan.target.model_dump(mode="json"),
            "runtime": plan.runtime,
        }
    )


def _letters(index: int) -> str:
    """Return A..Z, then AA, AB and so on."""
    high, low = divmod(index, len(ascii_uppercase))
    return (_letters(high - 1) if high else "") + ascii_uppercase[low]


def _facts(session: _OneSession, runs: pd.DataFrame, unfinished: pd.DataFrame) -> SessionFacts:
    own = runs[runs["session"] == session.key]
    planned = {spec.id for spec in session.plan.runs}
    made = set(own["run_id"])
    return SessionFacts(
        key=session.key,
        plan=session.plan,
        sittings=tuple(session.sittings),
        journal_sha256=session.journal_sha256,
        torn_bytes=session.torn_bytes,
        planned=len(planned),
        finished=len(own),
        ok=int((own["status"] == "ok").sum()),
        added=len(made - planned),
        not_started=len(planned - made),
        attempts_unfinished=int((unfinished["session"] == session.key).sum()),
        commands=tuple(session.commands.values()),
    )


def _add_all(builder: FrameBuilder, rows: Iterable[Row]) -> None:
    for row in rows:
        builder.add(row)


def _sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
