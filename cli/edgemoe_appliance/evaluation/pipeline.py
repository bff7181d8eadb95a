"""The steps of an evaluation, one after another.

Each finds what is there of it already, so that an evaluation that was killed anywhere goes on
where it was. Runs that ended badly are results: what follows is made all the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    SessionEvidence,
    judge_claims,
)
from edgemoe_appliance.analysis.sessions import LoadedSessions
from edgemoe_appliance.archive.about import read_maker
from edgemoe_appliance.archive.bundle import ArchiveReceipt, ArchiveRequest, write_archive
from edgemoe_appliance.bench.identity import read_identity
from edgemoe_appliance.bench.launcher import Launcher
from edgemoe_appliance.bench.paths import Folders
from edgemoe_appliance.bench.preflight import check_host, require_fit
from edgemoe_appliance.bench.prepare import (
    build_plan,
    obtain_models,
    supply_engines,
    wanted_models,
)
from edgemoe_appliance.bench.progress import BenchProgress, Steps
from edgemoe_appliance.bench.runtime import Runtime, Supply
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.doctor import DockerCheck
from edgemoe_appliance.errors import HostError, RunFailedError
from edgemoe_appliance.evaluation.config import StepId
from edgemoe_appliance.evaluation.request import Evaluation
from edgemoe_appliance.models.fetch import fetch_model
from edgemoe_appliance.models.store import model_path
from edgemoe_appliance.report import write_report
from edgemoe_appliance.schema.findings import Finding
from edgemoe_appliance.schema.plan import Plan, PlannedModel
from edgemoe_appliance.studies import Study


class Audience(Steps, Protocol):
    """Follows an evaluation: steps inside a step, what a person should know, runs as they end."""

    def begin(self, step: StepId) -> None:
        """Be told that a step begins."""

    def findings(self, findings: tuple[Finding, ...]) -> None:
        """Be told what the host checks found."""

    def measuring(self, plan: Plan) -> AbstractContextManager[Callable[[BenchProgress], None]]:
        """Give what is called with the progress of the runs."""


@dataclass(frozen=True, kw_only=True)
class EvaluationOutcome:
    """What came of an evaluation; `took_s` are the seconds of each step.

    There is an archive of each session. `failure` says that runs ended badly, which are in the
    report and the archive.
    """

    verdicts: tuple[ClaimVerdict, ...]
    report: Path
    archived: tuple[ArchiveReceipt, ...]
    took_s: dict[StepId, float]
    failure: RunFailedError | None


@dataclass(kw_only=True)
class Performance:
    """One evaluation under way."""

    evaluation: Evaluation
    study: Study
    folders: Folders
    audience: Audience
    clock: Callable[[], float] = time.monotonic
    took_s: dict[StepId, float] = field(default_factory=dict)

    def check(self, docker: DockerCheck | None, *, force: bool) -> tuple[Finding, ...]:
        """Check the host. Raises HostError where it fails and is not forced."""
        with self._step(StepId.DOCTOR):
            findings = check_host(self.study, self.evaluation.bench, self.folders, docker)
            self.audience.findings(findings)
            if not force:
                require_fit(self.evaluation.bench.target, findings)
        return findings

    def run(self, runtime: Runtime, findings: tuple[Finding, ...]) -> EvaluationOutcome:
        """Perform what comes after the checks."""
        request = self.evaluation.bench
        with self._step(StepId.BUILD):
            supply = supply_engines(self.study, request, runtime, self.audience)
        with self._step(StepId.MODELS):
            models = self._models(supply)
        plan = build_plan(self.study, request, supply, models, findings=findings)
        with self._step(StepId.BENCH):
            failures = [
                self._measure(plan.model_copy(update={"session": name}), supply.launcher)
                for name in self.evaluation.session_names
            ]
        with self._step(StepId.REPORT):
            names = self.evaluation.session_names
            loaded = load_sessions([self.folders.sessions / name for name in names])
            target = self.folders.results / request.session
            report = write_report(loaded, target, self.study)
        with self._step(StepId.CLAIMS):
            verdicts = self._judge(loaded)
        with self._step(StepId.ARCHIVE):
            archived = tuple(self._archive(name) for name in names)
        return EvaluationOutcome(
            verdicts=verdicts,
            report=report.html,
            archived=archived,
            took_s=self.took_s,
            failure=next((failure for failure in failures if failure is not None), None),
        )

    @contextmanager
    def _step(self, step: StepId) -> Iterator[None]:
        self.audience.begin(step)
        start = self.clock()
        yield
        self.took_s[step] = self.clock() - start

    def _models(self, supply: Supply) -> dict[str, PlannedModel]:
        """Fetch real models that are not there; twins and files of fewer bits are made."""
        request = self.evaluation.bench
        if request.twins is None:
            wanted = wanted_models(self.study, request)
            for name in dict.fromkeys(map(self.study.configs.models.fetched_for, wanted)):
                self._fetch(name)
        return obtain_models(
            self.study,
            request,
            self.folders,
            self.audience,
            supply.tensor_types,
            workshop=supply.workshop,
        )

    def _fetch(self, name: str) -> None:
        entry = self.study.configs.model(name)
        if model_path(entry, self.folders.models).is_file():
            return
        try:
            with self.audience.step(f"model {name}: fetch") as on_share:
                fetch_model(
                    entry,
                    self.folders.models,
                    on_progress=lambda done, total: on_share(done / max(1, total)),
                )
        except HostError as error:
            raise HostError(
                f"model {name} cannot be had: {error.what}",
                where=error.where,
                hint="the same command with --twins full measures in its place what does not "
                "depend on weights",
            ) from error

    def _measure(self, plan: Plan, launcher: Launcher) -> RunFailedError | None:
        with self.audience.measuring(plan) as on_progress:
            try:
                folder = self.folders.sessions / plan.session
                run_bench(plan, folder, launcher, on_progress, roots=self.folders.roots)
            except RunFailedError as error:
                return error
        return None

    def _judge(self, loaded: LoadedSessions) -> tuple[ClaimVerdict, ...]:
        return judge_claims(SessionEvidence(loaded, self.study))

    def _archive(self, session: str) -> ArchiveReceipt:
        return write_archive(
            ArchiveRequest(
                folder=self.folders.sessions / session,
                study=self.study,
                images=self.folders.images,
                out=self.folders.archive_of(session),
                maker=read_maker(read_identity()),
            )
        )
