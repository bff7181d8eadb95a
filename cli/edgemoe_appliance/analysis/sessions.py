"""Sessions as they lie on disk, read into a store and facts.

Runs of different hosts, targets, runtimes or engines belong to different settings and are never
pooled; what was not finished is kept apart and counted. Journals are read once, line by line.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import ascii_uppercase

from edgemoe_appliance.analysis.frames import (
    ABSENT,
    CAVEATS,
    RUNS,
    SHAPES,
    FrameWriter,
    LocatedAttempt,
    fill_absent,
    supersede,
)
from edgemoe_appliance.analysis.journal import Attempt, assemble_attempts
from edgemoe_appliance.analysis.pooling import Lot, LotBook
from edgemoe_appliance.analysis.store import Rows, Store
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.schema.base import digest_of
from edgemoe_appliance.schema.configs import Experiment, Target
from edgemoe_appliance.schema.hardware import HardwareFacts
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME, TornTail, iterate_journal
from edgemoe_appliance.schema.plan import (
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    PlannedPrompt,
    PrecisionRule,
    StudyIdentity,
    read_plan,
)
from edgemoe_appliance.schema.records import HeaderRecord, HostFacts, PeriodRecord, Status
from edgemoe_appliance.schema.roots import Roots


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
        on = " on a software device" if self.software_device else ""
        by = " with a pretended meter" if self.pretended_meter else ""
        return f"{self.id}: {self.target.label}{on}{by}, {self.engine.pin}"

    @property
    def software_device(self) -> str | None:
        """Return the driver that stood in for the device, None where a device computed."""
        return self.hardware.software_device if self.hardware else None

    @property
    def pretended_meter(self) -> str | None:
        """Return the name of the meter that a program plays, None for an instrument or none."""
        meter = self.target.meter
        return meter.name if meter is not None and meter.pretended else None


@dataclass(frozen=True, kw_only=True)
class ExampleCommand:
    """The exact command of the first run of a model in a session."""

    model: str
    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class PlanFacts:
    """A plan without its runs, which may be many; they are counted by experiment."""

    digest: str
    session: str
    target_id: str
    target: Target
    threads: int
    runtime: str
    image: str | None
    order_seed: int
    precision: PrecisionRule | None
    appliance: ApplianceIdentity
    study: StudyIdentity | None
    engines: Mapping[str, EngineBuild]
    models: Mapping[str, PlannedModel]
    prompts: Mapping[str, PlannedPrompt]
    experiments: Mapping[str, Experiment]


@dataclass(frozen=True, kw_only=True)
class ExperimentCounts:
    """How far an experiment came: runs planned, ended well or not, and planned without an end."""

    planned: int
    ok: int
    not_ok: int
    missing: int


@dataclass(frozen=True, kw_only=True)
class SessionFacts:
    """One session: its plan, its measuring periods, and how far it came (counts of runs).

    `early` are those of `ok` that generated fewer tokens than were asked for;
    `added` are runs that heat or need added to the plan; `not_started` are planned and have no end.
    """

    key: str
    plan: PlanFacts
    periods: tuple[PeriodRecord, ...]
    journal_sha256: str
    torn_bytes: int
    planned: int
    finished: int
    ok: int
    early: int
    added: int
    not_started: int
    attempts_unfinished: int
    experiments: Mapping[str, ExperimentCounts]
    commands: tuple[ExampleCommand, ...]

    @property
    def studies(self) -> tuple[StudyIdentity, ...]:
        """Return the studies that the measuring periods name, else that of the plan, if any."""
        named = (period.study for period in self.periods)
        planned = (self.plan.study,)
        known = [each for each in named if each] or [each for each in planned if each]
        return tuple(dict.fromkeys(known))

    @property
    def plan_matches(self) -> bool:
        """Return whether the plan beside the journal is the one the journal names."""
        return all(period.plan_digest == self.plan.digest for period in self.periods)


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedSessions:
    """Everything that was measured: facts, and rows of the columns that `frames` documents.

    `runs` has one row per final run, `unfinished` one per other attempt, `caveats` one per caveat,
    `absent` one per reason for missing readings. `lots` and `prompts` (as sent, by number) are
    what pools are made from.
    """

    sessions: tuple[SessionFacts, ...]
    settings: tuple[Setting, ...]
    lots: tuple[Lot, ...]
    prompts: tuple[str, ...]
    runs: Rows
    unfinished: Rows
    caveats: Rows
    absent: Rows

    def why_absent(self, metrics: Sequence[str]) -> str | None:
        """Return the most frequent reason why any of some metrics is missing."""
        found = self.absent.frame(["metric", "reason", "attempts"])
        counts = found[found["metric"].isin(metrics)].groupby("reason")["attempts"].sum()
        return str(counts.sort_index().idxmax()) if len(counts) else None


def load_sessions(paths: Sequence[Path]) -> LoadedSessions:
    """Read session folders.

    Raises ConfigError where a folder is named twice, RecordError where one is damaged, foreign
    or newer.
    """
    folders = [path.resolve() for path in paths]
    twice = [str(folder) for folder, times in Counter(folders).items() if times > 1]
    if twice:
        raise ConfigError("the session is named twice", where=min(twice), hint="name it once")
    reader = _SessionReader()
    for folder in folders:
        reader.read(folder)
    return reader.loaded()


@dataclass(frozen=True, kw_only=True)
class _Final:
    """The final attempt at a run so far: its place among all attempts and where it counts."""

    place: int
    lot: int
    experiment: str
    planned: bool
    ok: bool
    early: bool


@dataclass(kw_only=True)
class _OneSession:
    """What reading one session has found so far."""

    key: str
    plan: Plan
    periods: list[PeriodRecord] = field(default_factory=list)
    torn_bytes: int = 0
    attempts: int = 0
    commands: dict[str, ExampleCommand] = field(default_factory=dict)
    finals: dict[str, _Final] = field(default_factory=dict)

    def facts(self, journal_sha256: str) -> SessionFacts:
        finals = self.finals.values()
        planned = Counter(spec.experiment for spec in self.plan.runs)
        made = sum(each.planned for each in finals)
        return SessionFacts(
            key=self.key,
            plan=_plan_facts(self.plan),
            periods=tuple(self.periods),
            journal_sha256=journal_sha256,
            torn_bytes=self.torn_bytes,
            planned=len(self.plan.runs),
            finished=len(finals),
            ok=sum(each.ok for each in finals),
            early=sum(each.early for each in finals),
            added=len(finals) - made,
            not_started=len(self.plan.runs) - made,
            attempts_unfinished=self.attempts - len(finals),
            experiments={
                name: _experiment_counts(planned[name], [f for f in finals if f.experiment == name])
                for name in self.plan.experiments
            },
            commands=tuple(self.commands.values()),
        )


class _SessionReader:
    """Reads journals one after another into one store."""

    def __init__(self) -> None:
        self._store = Store(SHAPES)
        self._writer = FrameWriter(self._store)
        self._lots = LotBook()
        self._settings = _Settings()
        self._sessions: list[SessionFacts] = []
        self._names: Counter[str] = Counter()
        self._superseded: list[int] = []

    def read(self, folder: Path) -> None:
        """Read one session folder."""
        plan = read_plan(folder / PLAN_NAME)
        journal = folder / JOURNAL_NAME
        session = _OneSession(key=self._unique_key(plan.session), plan=plan)
        digest = hashlib.sha256()
        lines = iterate_journal(journal, digest)
        for item in assemble_attempts(lines, plan=plan, where=str(journal)):
            if isinstance(item, PeriodRecord):
                session.periods.append(item)
            elif isinstance(item, TornTail):
                session.torn_bytes = len(item.content)
            else:
                self._add(session, item)
        self._close(session, digest.hexdigest())

    def loaded(self) -> LoadedSessions:
        """Return what was read."""
        self._writer.flush()
        self._store.close_loading()
        supersede(self._store, self._superseded)
        fill_absent(self._store)
        attempts = self._store.rows(RUNS)
        return LoadedSessions(
            sessions=tuple(self._sessions),
            settings=self._settings.all(),
            lots=tuple(self._lots.lots()),
            prompts=self._lots.prompts(),
            runs=attempts.where(final=True),
            unfinished=attempts.where(final=False),
            caveats=self._store.rows(CAVEATS),
            absent=self._store.rows(ABSENT),
        )

    def _add(self, session: _OneSession, attempt: Attempt) -> None:
        setting = self._settings.id_of(session.key, session.plan, attempt)
        header = attempt.header
        model = header.spec.model
        if model not in session.commands:
            # Journals of before records named roots hold paths, and a page shows this.
            argv = Roots().hide(header.argv)
            session.commands[model] = ExampleCommand(model=model, argv=argv)
        placed = LocatedAttempt(
            session=session.key,
            setting=setting,
            plan=session.plan,
            attempt=attempt,
            lot=self._lots.lot_of(setting, session.plan, attempt),
            sent=self._lots.sent_of(header.spec.prompt, header.prompt_sha256),
        )
        session.attempts += 1
        if placed.is_final:
            self._take_final(session, placed)
        self._writer.add(placed)

    def _take_final(self, session: _OneSession, placed: LocatedAttempt) -> None:
        """Note an attempt that is final until a later one at the same run is."""
        attempt = placed.attempt
        run_id = attempt.header.run_id
        if run_id in session.finals:
            self._superseded.append(session.finals[run_id].place)
        session.finals[run_id] = _Final(
            place=self._writer.added,
            lot=placed.lot,
            experiment=attempt.header.spec.experiment,
            planned=attempt.is_planned,
            ok=attempt.status is Status.OK,
            early=attempt.status is Status.OK and attempt.ended_early,
        )

    def _close(self, session: _OneSession, journal_sha256: str) -> None:
        for final in session.finals.values():
            self._lots.count(final.lot, ok=final.ok, place=final.place)
        self._sessions.append(session.facts(journal_sha256))

    def _unique_key(self, name: str) -> str:
        self._names[name] += 1
        return f"{name}~{self._names[name]}" if self._names[name] > 1 else name


class _Settings:
    """Gives each different setting an id (A, B, ...) in the order of appearance."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}
        self._settings: list[Setting] = []
        self._sessions: dict[str, dict[str, None]] = {}
        self._known: dict[tuple[str, int, str, str, str | None], str] = {}

    def id_of(self, session: str, plan: Plan, attempt: Attempt) -> str:
        header = attempt.header
        place = (
            session,
            attempt.period_index,
            header.engine_sha256,
            header.engine_build_key,
            header.image,
        )
        if place not in self._known:
            self._known[place] = self._register(session, plan, attempt)
        return self._known[place]

    def all(self) -> tuple[Setting, ...]:
        return tuple(
            replace(setting, sessions=tuple(self._sessions[setting.id]))
            for setting in self._settings
        )

    def _register(self, session: str, plan: Plan, attempt: Attempt) -> str:
        key = _setting_digest(session, plan, attempt.period, attempt.header)
        if key not in self._ids:
            self._ids[key] = _letters(len(self._ids))
            self._settings.append(_setting(self._ids[key], session, plan, attempt))
        self._sessions.setdefault(self._ids[key], {})[session] = None
        return self._ids[key]


def _setting(setting_id: str, session: str, plan: Plan, attempt: Attempt) -> Setting:
    return Setting(
        id=setting_id,
        machine=_machine_digest(session, plan, attempt.period),
        sessions=(),
        target_id=plan.target_id,
        target=plan.target,
        runtime=plan.runtime,
        image=attempt.header.image,
        engine=plan.engines[attempt.header.spec.pin],
        host=attempt.period.host,
        hardware=attempt.period.hardware,
    )


def _setting_digest(session: str, plan: Plan, period: PeriodRecord, header: HeaderRecord) -> str:
    """Return a digest that is equal where runs may be pooled."""
    return digest_of(
        {
            "machine": _machine_digest(session, plan, period),
            "image": header.image,
            "engine": [header.engine_sha256, header.engine_build_key],
        }
    )


def _machine_digest(session: str, plan: Plan, period: PeriodRecord) -> str:
    """Return a digest that is equal for one machine, target and runtime.

    A container has a host name of its own, which says nothing about the machine; so two sessions
    in containers are never taken for the same machine.
    """
    host, hardware = period.host, period.hardware
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
            "accelerators": [one.description for one in hardware.accelerators] if hardware else [],
            "target": plan.target.model_dump(mode="json", exclude={"memory_bus_bits"}),
            "runtime": plan.runtime,
        }
    )


def _letters(index: int) -> str:
    """Return A..Z, then AA, AB and so on."""
    high, low = divmod(index, len(ascii_uppercase))
    return (_letters(high - 1) if high else "") + ascii_uppercase[low]


def _plan_facts(plan: Plan) -> PlanFacts:
    return PlanFacts(
        digest=plan.digest,
        session=plan.session,
        target_id=plan.target_id,
        target=plan.target,
        threads=plan.threads,
        runtime=plan.runtime,
        image=plan.image,
        order_seed=plan.order_seed,
        precision=plan.precision,
        appliance=plan.appliance,
        study=plan.study,
        engines=plan.engines,
        models=plan.models,
        prompts=plan.prompts,
        experiments=plan.experiments,
    )


def _experiment_counts(planned: int, finals: Sequence[_Final]) -> ExperimentCounts:
    ok = sum(each.ok for each in finals)
    return ExperimentCounts(
        planned=planned,
        ok=ok,
        not_ok=len(finals) - ok,
        missing=planned - sum(each.planned for each in finals),
    )
