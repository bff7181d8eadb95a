"""A visit to a borrowed machine, from the first look at it to the parcel: the whole flow.

    check -> say what will be done -> build the first pin, writing twins meanwhile -> its probe
    -> measure, best first -> the second pin, where time is left -> measure on -> pack, and a table

Whatever ends a visit, what was measured by then lies in the session folders, and is packed; the
same command on the same folders goes on. The machine is changed nowhere but in those folders.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from edgemoe_appliance.bench.launcher import NativeLauncher, NativeMeasuring
from edgemoe_appliance.bench.prepare import (
    BenchRequest,
    build_plan,
    obtain_model,
    thread_count,
)
from edgemoe_appliance.bench.progress import BenchProgress
from edgemoe_appliance.bench.runtime import Supply, with_probe
from edgemoe_appliance.bench.session import run_bench
from edgemoe_appliance.engine.build import BuildProgress, build_engine
from edgemoe_appliance.engine.source import PreparedSource
from edgemoe_appliance.engine.tools import find_tool, run_tool
from edgemoe_appliance.errors import (
    ApplianceError,
    ConfigError,
    HostError,
    InterruptedByUserError,
    RunFailedError,
)
from edgemoe_appliance.evaluation.config import read_evaluation
from edgemoe_appliance.kit.carried import unpack_source
from edgemoe_appliance.kit.contents import REST_LOCK, SOURCES, WHEELS
from edgemoe_appliance.kit.machine import (
    GPU,
    check_machine,
    choose_scale,
    compile_jobs,
    read_told,
)
from edgemoe_appliance.kit.parcel import (
    LOGS,
    MOST_PARCEL_BYTES,
    WrittenParcel,
    measured_bytes,
)
from edgemoe_appliance.kit.programme import (
    Forecast,
    ModelSize,
    choose_programme,
    first_runs,
    fit_experiments,
    models_of,
    order_runs,
    twin_sizes,
)
from edgemoe_appliance.kit.table import read_runs, read_sensors, render_table
from edgemoe_appliance.kit.workplace import (
    TimeUpError,
    Visit,
    VisitRequest,
    begin,
    clock,
    open_visit,
    visit_sessions,
)
from edgemoe_appliance.measure.host import usable_cores
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.schema.choices import TwinScale
from edgemoe_appliance.schema.configs import Backend, Programme
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.journal import find_kept_plan
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel, read_plan
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.streams import Say
from edgemoe_appliance.schema.units import MB, human_bytes
from edgemoe_appliance.studies.study import Study

_TABLE: Final = "table.txt"
_TELL_S: Final = 15.0
_HOUR_S: Final = 3600.0
# A second pin is worth its build where some of its runs fit too.
_LEAST_AFTER_BUILD_S: Final = 45.0
# Logs, plans and what the last runs add.
_PARCEL_RESERVE_BYTES: Final = 2 * MB


@dataclass(frozen=True, kw_only=True)
class VisitOutcome:
    """How a visit ended; `error` is what kept it from what it was to do."""

    parcel: WrittenParcel
    table: tuple[str, ...]
    error: ApplianceError | None


def make_visit(request: VisitRequest, say: Say, interruption: Interruption) -> VisitOutcome:
    """Do on this machine what fits into the time, and pack it.

    Raises ConfigError or RecordError for a request that cannot be begun; what goes wrong later
    stands in the outcome.
    """
    with open_visit(request, say, interruption) as visit:
        error: ApplianceError | None = None
        try:
            _work(visit)
        except TimeUpError:
            error = _why_over(visit)
        except ApplianceError as failure:
            visit.tell(f"ended: {failure}")
            error = failure
        except Exception:
            visit.pack()  # a fault of ours must not keep what was measured
            raise
        return _close(visit, error)


def _why_over(visit: Visit) -> ApplianceError | None:
    if visit.interruption.requested():
        visit.tell("stopped: packing what is there")
        return InterruptedByUserError("stopped", hint="the same command goes on")
    visit.tell("the time is over")
    return None


def _work(visit: Visit) -> None:
    """Do the visit's steps. Raises TimeUpError when it has to end."""
    visit, sizes = _look(visit)
    programme = _announce(visit, sizes)
    _unpack_rest(visit)
    build, twins = _begin_build(visit, visit.kit.pins[0].pin), _begin_twins(visit, programme)
    visit = visit.with_facts(told=read_told())  # takes seconds, and nobody waits for it now
    visit.wait(build)
    engine, source = build.result()
    visit.wait(*twins.values())
    models = _written(visit, twins)
    engine = _probed(visit, engine, source)
    plan = _main_plan(visit, programme, engine, models)
    with _device_log(visit):
        first = first_runs(plan.runs, programme)
        # Opening a session again reads all models: it is left for the second pin only if that fits.
        is_more = _measure(visit, plan, lambda done: done >= first and _second_fits(visit))
        visit.pack()
        if is_more and not visit.is_over and _second_fits(visit):
            _compare(visit, programme, {engine.pin: engine}, models)
            visit.pack()
            _measure(visit, plan, lambda _done: False)
        elif len(visit.kit.pins) > 1:
            visit.tell(
                f"second pin {visit.kit.pins[1].pin}: left out, it did not fit into the time"
            )


def _look(visit: Visit) -> tuple[Visit, dict[str, ModelSize]]:
    """Check the machine and say what is wrong with it. Raises HostError where it will not do."""
    request, study = visit.request, visit.study
    there_bytes = sum(path.stat().st_size for path in request.work.glob("models/*.gguf"))
    scale = request.scale or choose_scale(study, request.work, there_bytes)
    sizes = twin_sizes(study, scale)
    findings = tuple(_findings(visit, sizes, there_bytes))
    visit = visit.with_facts(twin_scale=scale.value, findings=findings)
    tell = visit.tell
    boards = "".join(f"{finding.seen}, " for finding in findings if finding.check == GPU)
    disk = human_bytes(shutil.disk_usage(request.work).free)
    machine = f"{usable_cores()} cores, {disk} of disk free, Python {sys.version.split()[0]}"
    tell(f"machine: {boards}{machine}")
    if scale is not TwinScale.FULL and request.scale is None:
        tell(f"disk or memory is short: {scale.value} twins, which carry no verdict on speed")
    for finding in findings:
        if finding.level in (Level.WARN, Level.FAIL):
            hint = f"; {finding.hint}" if finding.hint else ""
            tell(f"{finding.level.value}: {finding.check}: {finding.seen}{hint}")
    failed = [finding.check for finding in findings if finding.level is Level.FAIL]
    if failed:
        visit.with_facts(told=read_told())
        raise HostError(
            f"this machine will not do: {', '.join(failed)}", hint="its facts are packed"
        )
    return visit, sizes


def _findings(visit: Visit, sizes: dict[str, ModelSize], there_bytes: int) -> Iterator[Finding]:
    """Yield what the checks find; twins that are there already need no more disk."""
    needed = tuple(size.file_bytes for size in sizes.values())
    for finding in check_machine(visit.target, visit.request.work, needed):
        if finding.check != "disk" or not there_bytes:
            yield finding


def _announce(visit: Visit, sizes: dict[str, ModelSize]) -> Programme:
    """Say what will be done with the time, and return what will be measured."""
    tell, suite = visit.tell, visit.study.suites.visit
    if suite is None:
        raise ConfigError(f"study {visit.study.id} does not say what a visit measures")
    forecast = Forecast(
        target_id=visit.facts.target,
        target=visit.target,
        paces=read_evaluation(resource_folder("configs")).paces,
        study=visit.study,
    )
    threads = thread_count(visit.target)
    programme = choose_programme(suite, forecast, sizes, threads)
    jobs = compile_jobs(usable_cores())
    build_s = 0.0 if visit.is_built(visit.kit.pins[0].pin) else forecast.build_s(jobs)
    written = sum(size.file_bytes for size in sizes.values())
    tell(
        f"plan: {visit.request.minutes:g} min; {visit.kit.pins[0].pin} builds about "
        f"{clock(build_s).strip()} with {jobs} compilers; {human_bytes(written)} of twins meanwhile"
    )
    from_s = visit.timeline.elapsed_s + max(
        build_s, forecast.twins_s([size.file_bytes for size in sizes.values()], usable_cores())
    )
    if from_s >= visit.deadline_s:
        minutes = round((from_s + 180) / 60)
        tell(f"plan: no time is left to measure: give it --minutes {minutes}; a build goes on")
        return programme
    kind = "whole" if programme is suite.whole else "small"
    tell(
        f"plan: measures from {clock(from_s).strip()} to {clock(visit.deadline_s).strip()}, "
        f"{kind} programme, best first: {', '.join(programme.experiments)}"
    )
    return programme


def _unpack_rest(visit: Visit) -> None:
    """Unpack the large wheels: cmake, ninja and NumPy, each checked against its digest."""
    folder, wheels = visit.request.environment, visit.request.kit / WHEELS
    if folder is None or (folder / ".whole").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    pip = next(wheels.glob("pip-*.whl")) / "pip"
    quiet = ("--isolated", "--quiet", "--disable-pip-version-check", "--no-compile")
    offline = ("--no-index", "--find-links", wheels, "--no-deps", "--require-hashes")
    command = (sys.executable, pip, "install", *quiet, *offline, "--target", folder, "-r")

    def unpack() -> None:
        result = run_tool([*command, wheels / REST_LOCK], env=os.environ, timeout_s=_HOUR_S)
        if result.exit_code != 0:
            raise HostError(f"the wheels could not be unpacked ({result.last_error})")
        (folder / ".whole").touch()

    work = begin(unpack)
    visit.wait(work)
    work.result()
    # The folder was missing when this Python looked at its paths, which it remembers.
    sys.path_importer_cache.pop(str(folder), None)
    importlib.invalidate_caches()
    visit.tell("environment: cmake, ninja and NumPy are unpacked")


def _begin_build(visit: Visit, pin: str) -> Future[tuple[EngineBuild, PreparedSource]]:
    carried = next(one for one in visit.kit.pins if one.pin == pin)
    tell, last = visit.tell, [visit.timeline.elapsed_s]

    def on_progress(progress: BuildProgress) -> None:
        now_s = visit.timeline.elapsed_s
        if progress.percent is not None and now_s - last[0] >= _TELL_S:
            last[0] = now_s
            tell(f"build of {pin}: {progress.percent:.0f} %")

    def build() -> tuple[EngineBuild, PreparedSource]:
        cores = sorted(os.sched_getaffinity(0))
        # Of this thread and what it starts: as many compilers as there is memory for.
        os.sched_setaffinity(0, cores[: compile_jobs(len(cores))])
        source = unpack_source(carried, visit.request.kit / SOURCES, visit.request.work / "trees")
        tell(f"build of {pin}: begun")
        made = build_engine(
            source, visit.folders.cache, cmake=visit.target.cmake, on_progress=on_progress
        )
        tell(f"build of {pin}: done")
        return made, source

    return begin(build)


def _begin_twins(visit: Visit, programme: Programme) -> dict[str, Future[PlannedModel]]:
    """Write each twin by a process of its own, which ends with this one."""
    scale = TwinScale(visit.facts.twin_scale)

    def write(name: str) -> PlannedModel:
        command = (sys.executable, "-m", "edgemoe_appliance.kit", "twin", name)
        options = ("--scale", scale.value, "--folder", visit.folders.models)
        result = run_tool([*command, *options], env=os.environ, timeout_s=_HOUR_S)
        if result.exit_code != 0:
            raise HostError(f"the twin of {name} was not written ({result.last_error})")
        model = obtain_model(visit.study.configs, name, scale, visit.folders, _Silent())
        visit.tell(f"twin of {name}: {human_bytes(model.file_bytes)}")
        return model

    names = models_of(visit.study, programme)
    return {name: begin(partial(write, name)) for name in names}


class _Silent:
    """Steps that nobody watches."""

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[Callable[[float], None]]:
        """Begin a step."""
        yield lambda _share: None

    def note(self, text: str) -> None:
        """Say nothing."""


def _written(visit: Visit, twins: dict[str, Future[PlannedModel]]) -> dict[str, PlannedModel]:
    """Return the twins that were written. Raises HostError where there is none."""
    models: dict[str, PlannedModel] = {}
    for name, future in twins.items():
        error = future.exception()
        if error is None:
            models[name] = future.result()
        elif isinstance(error, ApplianceError):
            visit.tell(f"left out: {name}: {error}")
        else:
            raise error
    if not models:
        raise HostError("no twin could be written", hint="free some disk, and do it again")
    return models


def _probed(visit: Visit, engine: EngineBuild, source: PreparedSource) -> EngineBuild:
    """Return an engine with its probe, or as it is where it has none."""
    work = begin(lambda: with_probe(engine, source, visit.folders.cache))
    visit.wait(work)
    error = work.exception()
    if error is None:
        visit.tell(f"probe of {engine.pin}: done")
        return work.result()
    if not isinstance(error, ApplianceError):
        raise error
    visit.tell(f"left out: the probe's arms: {error}")
    return engine


def _main_plan(
    visit: Visit, programme: Programme, engine: EngineBuild, models: dict[str, PlannedModel]
) -> Plan:
    study = fit_experiments(
        visit.study,
        programme.experiments,
        models=tuple(models),
        is_probed=engine.probe is not None,
    )
    plan = _plan(visit, study, {engine.pin: engine}, models)
    plan = plan.model_copy(update={"runs": order_runs(plan.runs, programme)})
    return _named(visit, plan, visit.facts.name)


def _plan(
    visit: Visit,
    study: Study,
    engines: dict[str, EngineBuild],
    models: dict[str, PlannedModel],
) -> Plan:
    request = BenchRequest(
        target=visit.facts.target,
        experiments=tuple(study.experiments),
        session=visit.facts.name,
        pin=None,
        twins=TwinScale(visit.facts.twin_scale),
    )
    supply = Supply(kind="native", engines=engines, image=None, launcher=NativeLauncher())
    plan = build_plan(study, request, supply, models, findings=visit.facts.findings)
    return plan.model_copy(update={"appliance": visit.kit.appliance})


def _named(visit: Visit, plan: Plan, name: str) -> Plan:
    """Return a plan under its session's name; another where that session had another plan."""
    for number in range(1, 100):
        named = plan.model_copy(update={"session": name if number == 1 else f"{name}-{number}"})
        kept = find_kept_plan(visit.folders.sessions / named.session)
        if kept is None or read_plan(kept).digest == named.digest:
            return named
    raise ConfigError("too many plans in one visit", hint="name another --out")


class _KeptLauncher(NativeLauncher):
    """Keeps the measuring process, so that it can be asked to finish."""

    measuring: NativeMeasuring | None = None

    def launch(self, plan: Plan, folder: Path) -> NativeMeasuring:
        """Start measuring."""
        self.measuring = super().launch(plan, folder)
        return self.measuring


def _measure(visit: Visit, plan: Plan, is_enough: Callable[[int], bool]) -> bool:
    """Measure a plan as far as time and the parcel's size allow; return whether runs are left.

    Where `is_enough` is true of the number of runs that are done, no other is begun.
    Raises TimeUpError when the visit has to end.
    """
    folder = visit.folders.sessions / plan.session
    launcher = _KeptLauncher()
    watch = _Watch(visit=visit, plan=plan, launcher=launcher, is_enough=is_enough)
    try:
        run_bench(plan, folder, launcher, watch.look, roots=_roots(visit))
    except InterruptedByUserError:
        return True
    except RunFailedError as error:
        visit.tell(f"{error.what}")
    return False


def _roots(visit: Visit) -> dict[str, Path]:
    """Return the folders that the records of a session name in place of paths."""
    return {**visit.folders.roots, "WORK": visit.request.work, "KIT": visit.request.kit}


@dataclass(kw_only=True)
class _Watch:
    """Follows a session and asks it to finish where the next run would not fit."""

    visit: Visit
    plan: Plan
    launcher: _KeptLauncher
    is_enough: Callable[[int], bool]
    _done: int = 0
    _since_s: float = 0.0
    _told_s: float = 0.0
    _durations_s: list[float] = field(default_factory=list)
    _is_asked: bool = False

    def look(self, progress: BenchProgress) -> None:
        """Look at the progress. Raises TimeUpError when the visit has to end."""
        if self.visit.is_over:
            raise TimeUpError
        now_s = self.visit.timeline.elapsed_s
        if progress.done != self._done or not self._since_s:
            if self._since_s:
                self._durations_s.append((now_s - self._since_s) / (progress.done - self._done))
            self._done, self._since_s = progress.done, now_s
            self._tell(progress, now_s)
            if self.launcher.measuring and not self._is_asked and self._is_last(progress):
                self.launcher.measuring.finish()
                self._is_asked = True

    def _tell(self, progress: BenchProgress, now_s: float) -> None:
        if now_s - self._told_s < _TELL_S and self._told_s:
            return
        self._told_s = now_s
        rates = ", ".join(
            f"{name.split('-')[0]} {model.median_gen_tok_s:.1f}"
            for name, model in progress.models.items()
            if model.median_gen_tok_s is not None
        )
        shown = f"{self.plan.session}: {progress.done} of {progress.total} runs"
        self.visit.tell(f"{shown}; tok/s: {rates}" if rates else shown)

    def _is_last(self, progress: BenchProgress) -> bool:
        """Return whether no other run is to be begun."""
        if self.is_enough(progress.done):
            return True
        # The first is left out: it stands for opening the session, too.
        recent = self._durations_s[1:][-2 * len(self.plan.models) :]
        if recent and self.visit.left_s < max(recent):
            return True
        used = measured_bytes(self.visit.request.out)
        return used > MOST_PARCEL_BYTES - _PARCEL_RESERVE_BYTES


def _second_fits(visit: Visit) -> bool:
    """Return whether a second pin can be built and measured in the time that is left."""
    if len(visit.kit.pins) < 2:
        return False
    evaluation = read_evaluation(resource_folder("configs"))
    build_s = evaluation.paces.build_core_s[visit.target.backend] / compile_jobs(usable_cores())
    if visit.is_built(visit.kit.pins[1].pin):
        build_s = 0.0
    return visit.left_s >= build_s + _LEAST_AFTER_BUILD_S


def _compare(
    visit: Visit,
    programme: Programme,
    engines: dict[str, EngineBuild],
    models: dict[str, PlannedModel],
) -> None:
    """Build the second pin and measure both side by side."""
    pin = visit.kit.pins[1].pin
    work = _begin_build(visit, pin)
    visit.wait(work)
    error = work.exception()
    if isinstance(error, ApplianceError):
        visit.tell(f"left out: {pin}: {error}")
        return
    second, _ = work.result()
    study = fit_experiments(visit.study, [programme.engines], models=tuple(models), is_probed=False)
    pins = {"pins": (*engines, second.pin)}
    experiments = {name: one.model_copy(update=pins) for name, one in study.experiments.items()}
    study = replace(study, experiments=experiments)
    plan = _plan(visit, study, {**engines, second.pin: second}, models)
    _measure(visit, _named(visit, plan, f"{visit.facts.name}-engines"), lambda _done: False)


@contextlib.contextmanager
def _device_log(visit: Visit) -> Iterator[None]:
    """Keep what the driver's own tool says each second, beside the appliance's own readings."""
    if visit.target.backend is not Backend.CUDA or find_tool("nvidia-smi") is None:
        yield
        return
    query = "timestamp,memory.used,power.draw,temperature.gpu,clocks.sm,utilization.gpu"
    command = ("nvidia-smi", f"--query-gpu={query}", "--format=csv", "--loop-ms=1000")
    path = visit.request.out / LOGS / "device.csv"

    def follow() -> None:
        with path.open("a", encoding="utf-8") as file:
            run_tool(
                command,
                env=os.environ,
                timeout_s=max(1.0, visit.left_s),
                on_line=lambda line: print(line, file=file, flush=True),
            )

    begin(follow)
    yield


def _close(visit: Visit, error: ApplianceError | None) -> VisitOutcome:
    """Pack everything, and return it with the table."""
    sessions = visit_sessions(visit.request.out)
    pin = visit.kit.pins[0].pin
    suite = visit.study.suites.visit
    models = () if suite is None else models_of(visit.study, suite.whole)
    table = (*render_table(read_runs(sessions), models, pin), *read_sensors(sessions))
    (visit.request.out / LOGS / _TABLE).write_text("\n".join(table) + "\n", encoding="utf-8")
    return VisitOutcome(parcel=visit.pack(), table=table, error=error)
