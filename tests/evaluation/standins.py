"""A runtime, a launcher and an audience that implement the real Protocols, for quick tests.

The launcher writes made-up records, as the synthetic journals of other tests do; nothing here was
measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgemoe_appliance.bench.progress import BenchProgress, Steps
from edgemoe_appliance.bench.runtime import EngineRequest, Supply
from edgemoe_appliance.errors import HostError
from edgemoe_appliance.evaluation.config import StepId
from edgemoe_appliance.schema.configs import Configs
from edgemoe_appliance.schema.findings import Finding
from edgemoe_appliance.schema.journal import JOURNAL_NAME, read_progress
from edgemoe_appliance.schema.plan import EngineBuild, Plan, ProbeFacts, RunSpec
from edgemoe_appliance.schema.records import record_line
from tests.analysis.journals import Synthetic, build_end, build_header, build_period, sha256
from tests.analysis.journals import build_plan as synthetic_plan

Changes = Callable[[RunSpec], Mapping[str, Any]]


class StandInLauncher:
    """Writes a record for at most `most` runs that are left, each changed by `changes`."""

    def __init__(self, changes: Changes = lambda _: {}, most: int = 1000, code: int = 0) -> None:
        self.changes = changes
        self.most = most
        self.code = code
        self.launches = 0

    def launch(self, plan: Plan, folder: Path) -> StandInLauncher:
        self.launches += 1
        done = read_progress(folder / JOURNAL_NAME)
        with (folder / JOURNAL_NAME).open("ab") as journal:
            journal.write(record_line(build_period(plan, Synthetic())))
            for spec in [run for run in plan.runs if not done.is_done(run.id)][: self.most]:
                header = build_header(plan, spec)
                journal.write(record_line(header))
                journal.write(record_line(build_end(header, **self.changes(spec))))
        return self

    def poll(self) -> int | None:
        return self.code

    def stop(self) -> int:
        return self.code


class StandInRuntime:
    """Gives an engine that is none, and a launcher that starts nothing."""

    def __init__(self, launcher: StandInLauncher, *, broken: bool = False) -> None:
        self.launcher = launcher
        self.broken = broken

    def supply(self, configs: Configs, wanted: EngineRequest, steps: Steps) -> Supply:
        if self.broken:
            raise HostError("no compiler here")
        engine = synthetic_engine()
        return Supply(
            kind="native", engines={engine.pin: engine}, image=None, launcher=self.launcher
        )


def synthetic_engine() -> EngineBuild:
    (engine,) = synthetic_plan(Synthetic()).engines.values()
    probe = ProbeFacts(path="/probe.so", sha256=sha256("probe"), build_key=sha256("probe-key"))
    return engine.model_copy(update={"probe": probe})


class StandInAudience:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.begun: list[StepId] = []
        self.found: tuple[Finding, ...] = ()
        self.progress: list[BenchProgress] = []
        self.notes: list[str] = []

    def begin(self, step: StepId) -> None:
        self.begun.append(step)

    def findings(self, findings: tuple[Finding, ...]) -> None:
        self.found = findings

    @contextmanager
    def step(self, title: str) -> Iterator[Callable[[float], None]]:
        yield lambda _: None

    def note(self, text: str) -> None:
        self.notes.append(text)

    @contextmanager
    def measuring(self, plan: Plan) -> Iterator[Callable[[BenchProgress], None]]:
        yield self.progress.append
