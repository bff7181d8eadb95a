"""A visit to a borrowed machine, from the first look at it to the parcel: the whole flow.

    check -> say what will be done -> build the first pin, writing twins meanwhile -> its probe
    -> measure, best first -> the second pin, where time is left -> measure on -> pack, and a table

Whatever ends a visit, what was measured by then lies in the session folders, and is packed; the
same command on the same folders goes on. The machine is changed nowhere but in those folders.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Final, TypeVar

from edgemoe_appliance.bench.launcher import NativeLauncher, NativeMeasuring
from edgemoe_appliance.bench.paths import Folders
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
from edgemoe_appliance.kit.contents import REST_LOCK, SOURCES, WHEELS, KitFacts, read_kit
from edgemoe_appliance.kit.machine import (
    check_machine,
    choose_scale,
    compile_jobs,
    read_boards,
    read_told,
)
from edgemoe_appliance.kit.parcel import (
    LOGS,
    MOST_PARCEL_BYTES,
    SESSIONS,
    VisitFacts,
    WrittenParcel,
    cut_log,
    measured_bytes,
    write_parcel,
)
from edgemoe_appliance.kit.programme import (
    Forecast,
    ModelSize,
    Programme,
    choose_programme,
    first_runs,
    fit_experiments,
    order_runs,
    read_kit_config,
    twin_sizes,
)
from edgemoe_appliance.kit.table import read_runs, render_table
from edgemoe_appliance.measure.host import usable_cores
from edgemoe_appliance.measure.interruption import Interruption
from edgemoe_appliance.models.layout import TwinScale
from edgemoe_appliance.schema.configs import Backend, Configs, Target, read_configs
from edgemoe_appliance.schema.files import write_atomically
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.journal import PLAN_NAME
from edgemoe_appliance.schema.plan import EngineBuild, Plan, PlannedModel, read_plan
from edgemoe_appliance.schema.resources import resource_folder
from edgemoe_appliance.schema.units import MB, human_bytes

ResultT = TypeVar("ResultT")

_FACTS: Final = "visit.json"
_TIMELINE: Final = "timeline.jsonl"
_TABLE: Final = "table.txt"
_POLL_S: Final = 0.2
_TELL_S: Final = 15.0
_HOUR_S: Final = 3600.0
# Packing and the table; a journal being closed.
_END_S: Final = 6.0
# A second pin is worth its build where some of its runs fit too.
_LEAST_AFTER_BUILD_S: Final = 45.0
# Logs, plans and what the last runs add.
_PARCEL_RESERVE_BYTES: Final = 2 * MB


@dataclass(frozen=True, kw_only=True)
class VisitRequest:
    """Where the kit lies, where things go, and how long it may take.

    `environment` is where the large wheels are unpacked; None where this Python has them.
    `elapsed_s` has passed since run.sh was started. `target` and `scale` overrule the kit's and
    what the disk allows.
    """

    kit: Path
    out: Path
    work: Path
    minutes: float
    environment: Path | None = None
    elapsed_s: float = 0.0
    target: str | None = None
    scale: TwinScale | None = None


class Timeline:
    """Says what happens and keeps it; times count from the start of run.sh."""

    def __init__(self, say: Callable[[str], None], path: Path, start_s: float) -> None:
        """Begin; `start_s` is the start by the monotonic clock."""
        self._say, self._path, self._start_s = say, path, start_s
        self._lock = threading.Lock()

    @property
    def elapsed_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._start_s

    def tell(self, text: str) -> None:
        """Say something and keep it."""
        at_s = self.elapsed_s
        line = json.dumps({"at_s": round(at_s, 1), "text": text}, ensure_ascii=False)
        with self._lock:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._say(f"{clock(at_s)} {text}")


def clock(duration_s: float) -> str:
    """Return seconds as `m:ss`."""
    return f"{int(duration_s) // 60:2d}:{int(duration_s) % 60:02d}"


class TimeUpError(Exception):
    """The time of a visit is over, or stopping was asked for."""


@dataclass(frozen=True, kw_only=True)
class Visit:
    """Everything that the steps of one visit share."""

    request: VisitRequest
    kit: KitFacts
    facts: VisitFacts
    configs: Configs
    target: Target
    timeline: Timeline
    interruption: Interruption
    folders: Folders
    deadline_s: float = field(default=0.0)

    @property
    def left_s(self) -> float:
        """Return the seconds that are left for work."""
        return self.deadline_s - self.timeline.elapsed_s

    @property
    def is_over(self) -> bool:
        """Return whether the visit has to end now."""
        return self.left_s <= 0 or self.interruption.requested()

    def wait(self, futures: Sequence[Future[ResultT]]) -> None:
        """Wait for background work. Raises TimeUpError when the visit has to end before."""
        while not all(future.done() for future in futures):
            if self.is_over:
                raise TimeUpError
            time.sleep(_POLL_S)


@dataclass(frozen=True, kw_only=True)
class VisitOutcome:
    """How a visit ended; `error` is what kept it from what it was to do."""

    parcel: WrittenParcel
    table: tuple[str, ...]
    error: ApplianceError | None


def make_visit(
    request: VisitRequest, say: Callable[[str], None], interruption: Interruption
) -> VisitOutcome:
    """Do on this machine what fits into the time, and pack it.

    Raises ConfigError or RecordError for a request that cannot be begun; what goes wrong later
    stands in the outcome.
    """
    with _open_visit(request, say, interruption) as visit:
        error: ApplianceError | None = None
        try:
            _work(visit)
        except TimeUpError:
            error = _why_over(visit)
        except ApplianceError as failure:
            visit.timeline.tell(f"ended: {failure}")
            error = failure
        return _close(visit, error)


def pack_visit(out: Path) -> WrittenParcel:
    """Pack what an earlier visit left in its folder. Raises ConfigError where there was none."""
    with _locked(out):
        facts = _read_facts(out)
        if facts is None:
            raise ConfigError("no visit was made there", where=str(out), hint="name its --out")
        return write_parcel(facts, out, out / f"{facts.name}.tar")


def _why_over(visit: Visit) -> ApplianceError | None:
    if visit.interruption.requested():
        visit.timeline.tell("stopped: packing what is there")
        return InterruptedByUserError("stopped", hint="the same command goes on")
    visit.timeline.tell("the time is over")
    return None


@contextlib.contextmanager
def _open_visit(
    request: VisitRequest, say: Callable[[str], None], interruption: Interruption
) -> Iterator[Visit]:
    start_s = time.monotonic() - request.elapsed_s
    kit = read_kit(request.kit)
    configs = read_configs(resource_folder("configs"))
    target_id = request.target or kit.target
    target = configs.target(target_id)
    for folder in (request.work, request.out / SESSIONS, request.out / LOGS):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(request.out):
        facts = _read_facts(request.out) or _new_facts(kit, target_id)
        if facts.target != target_id:
            raise ConfigError(
                f"a visit for target {facts.target} was begun there",
                where=str(request.out),
                hint="name another --out",
            )
        visit = Visit(
            request=request,
            kit=kit,
            facts=facts,
            configs=configs,
            target=target,
            timeline=Timeline(say, request.out / _TIMELINE, start_s),
            interruption=interruption,
            folders=_folders(request),
            deadline_s=60 * request.minutes - _END_S,
        )
        _keep_facts(visit)
        yield visit


def _folders(request: VisitRequest) -> Folders:
    named = os.environ.get("EDGEMOE_CACHE")
    return Folders(
        cache=Path(named) if named else request.work / "cache",
        models=request.work / "models",
        sessions=request.out / SESSIONS,
        results=request.out,
        images=request.work / "images",
    )


def _new_facts(kit: KitFacts, target_id: str) -> VisitFacts:
    now = datetime.now(timezone.utc)
    return VisitFacts(
        name=f"kit-{target_id}-{now:%Y%m%d-%H%M%S}",
        target=target_id,
        appliance=kit.appliance,
        started_utc=f"{now:%Y-%m-%dT%H:%M:%SZ}",
        twin_scale=None,
    )


def _read_facts(out: Path) -> VisitFacts | None:
    path = out / _FACTS
    if not path.exists():
        return None
    try:
        return VisitFacts.model_validate_json(path.read_bytes())
    except ValueError as error:
        raise ConfigError("not the folder of a visit", where=str(path)) from error


def _keep_facts(visit: Visit) -> None:
    text = json.dumps(visit.facts.model_dump(mode="json"), indent=1, ensure_ascii=False)
    write_atomically(visit.request.out / _FACTS, text.encode() + b"\n")


@contextlib.contextmanager
def _locked(out: Path) -> Iterator[None]:
    if not out.is_dir():
        raise ConfigError("is no folder", where=str(out))
    descriptor = os.open(out / ".visit.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise HostError("another visit works there", where=str(out), hint="wait for it") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _work(visit: Visit) -> None:
    """Do the visit's steps. Raises TimeUpError when it has to end."""
    visit, sizes = _look(visit)
    programme = _announce(visit, sizes)
    _unpack_rest(visit)
    build, twins = _begin_build(visit, visit.kit.pins[0].pin), _begin_twins(visit)
    visit.wait([build])
    engine, source = build.result()
    visit.wait(list(twins.values()))
    models = _written(visit, twins)
    engine = _probed(visit, engine, source)
    plan = _main_plan(visit, programme, engine, models)
    with _device_log(visit):
        second = visit.kit.pins[1].pin if len(visit.kit.pins) > 1 else None
        first = first_runs(plan.runs, programme)
        is_more = _measure(visit, plan, finish_after=first if second else None)
        _pack(visit)
        if second and is_more and not visit.is_over:
            _compare(visit, programme, {engine.pin: engine}, models)
            _pack(visit)
        if is_more:
            _measure(visit, plan, finish_after=None)


def _look(visit: Visit) -> tuple[Visit, dict[str, ModelSize]]:
    """Check the machine and say what is wrong with it. Raises HostError where it will not do."""
    request, configs = visit.request, visit.configs
    there_bytes = sum(path.stat().st_size for path in request.work.glob("models/*.gguf"))
    scale = request.scale or choose_scale(configs, request.work, there_bytes)
    sizes = twin_sizes(configs, scale)
    findings = tuple(_findings(visit, sizes, there_bytes))
    facts = visit.facts.model_copy(
        update={"twin_scale": scale.value, "findings": findings, "told": read_told()}
    )
    visit = dataclasses.replace(visit, facts=facts)
    _keep_facts(visit)
    tell = visit.timeline.tell
    boards = ", ".join(
        f"{board.name} (sm_{board.architecture}, driver {board.driver})"
        for board in read_boards(visit.target)
    )
    disk = human_bytes(shutil.disk_usage(request.work).free)
    machine = f"{usable_cores()} cores, {disk} of disk free, Python {sys.version.split()[0]}"
    tell(f"machine: {boards + ', ' if boards else ''}{machine}")
    if scale is not TwinScale.FULL and request.scale is None:
        tell(f"disk or memory is short: {scale.value} twins, which carry no verdict on speed")
    for finding in findings:
        if finding.level in (Level.WARN, Level.FAIL):
            hint = f"; {finding.hint}" if finding.hint else ""
            tell(f"{finding.level.value}: {finding.check}: {finding.seen}{hint}")
    failed = [finding.check for finding in findings if finding.level is Level.FAIL]
    if failed:
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
    configs, tell = visit.configs, visit.timeline.tell
    folder = resource_folder("configs")
    forecast = Forecast(
        target_id=visit.facts.target,
        target=visit.target,
        paces=read_evaluation(folder, configs).paces,
        configs=configs,
    )
    config = read_kit_config(folder, configs)
    threads = thread_count(visit.target)
    programme = choose_programme(config, forecast, sizes, threads)
    jobs = compile_jobs(usable_cores())
    build_s = 0.0 if _is_built(visit) else forecast.build_s(jobs)
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
    kind = "study" if programme is config.study else "miniature"
    tell(
        f"plan: measures from {clock(from_s).strip()} to {clock(visit.deadline_s).strip()}, "
        f"{kind} programme, best first: {', '.join(programme.experiments)}"
    )
    return programme


def _is_built(visit: Visit) -> bool:
    """Return whether a build of the first pin lies in the cache; of these flags or not."""
    return any((visit.folders.cache / "builds").glob(f"{visit.kit.pins[0].pin}-*/build.json"))


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

    work = _begin(unpack)
    visit.wait([work])
    work.result()
    visit.timeline.tell("environment: cmake, ninja and NumPy are unpacked")


def _begin(work: Callable[[], ResultT]) -> Future[ResultT]:
    """Begin work in the background; the program ends without waiting for it."""
    future: Future[ResultT] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  (handed over to who asks for the result)
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def _begin_build(visit: Visit, pin: str) -> Future[tuple[EngineBuild, PreparedSource]]:
    carried = next(one for one in visit.kit.pins if one.pin == pin)
    tell, last = visit.timeline.tell, [visit.timeline.elapsed_s]

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

    return _begin(build)


def _begin_twins(visit: Visit) -> dict[str, Future[PlannedModel]]:
    """Write each twin by a process of its own, which ends with this one."""
    scale = TwinScale(visit.facts.twin_scale)

    def write(name: str) -> PlannedModel:
        command = (sys.executable, "-m", "edgemoe_appliance.kit", "twin", name)
        options = ("--scale", scale.value, "--folder", visit.folders.models)
        result = run_tool([*command, *options], env=os.environ, timeout_s=_HOUR_S)
        if result.exit_code != 0:
            raise HostError(f"the twin of {name} was not written ({result.last_error})")
        model = obtain_model(visit.configs, name, scale, visit.folders, _Silent())
        visit.timeline.tell(f"twin of {name}: {human_bytes(model.file_bytes)}")
        return model

    def begin(name: str) -> Future[PlannedModel]:
        return _begin(lambda: write(name))

    return {name: begin(name) for name in visit.configs.models.models}


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
            visit.timeline.tell(f"left out: {name}: {error}")
        else:
            raise error
    if not models:
        raise HostError("no twin could be written", hint="free some disk, and do it again")
    return models


def _probed(visit: Visit, engine: EngineBuild, source: PreparedSource) -> EngineBuild:
    """Return an engine with its probe, or as it is where it has none."""
    work = _begin(lambda: with_probe(engine, source, visit.folders.cache))
    visit.wait([work])
    error = work.exception()
    if error is None:
        visit.timeline.tell(f"probe of {engine.pin}: done")
        return work.result()
    if not isinstance(error, ApplianceError):
        raise error
    visit.timeline.tell(f"left out: the probe's arms: {error}")
    return engine


def _main_plan(
    visit: Visit, programme: Programme, engine: EngineBuild, models: dict[str, PlannedModel]
) -> Plan:
    configs = fit_experiments(
        visit.configs,
        programme.experiments,
        models=tuple(models),
        is_probed=engine.probe is not None,
    )
    plan = _plan(visit, configs, {engine.pin: engine}, models)
    plan = plan.model_copy(update={"runs": order_runs(plan.runs, programme)})
    return _named(visit, plan, visit.facts.name)


def _plan(
    visit: Visit,
    configs: Configs,
    engines: dict[str, EngineBuild],
    models: dict[str, PlannedModel],
) -> Plan:
    request = BenchRequest(
        target=visit.facts.target,
        experiments=tuple(configs.experiments.experiments),
        session=visit.facts.name,
        pin=None,
        twins=TwinScale(visit.facts.twin_scale),
    )
    supply = Supply(kind="native", engines=engines, image=None, launcher=NativeLauncher())
    plan = build_plan(configs, request, supply, models, findings=visit.facts.findings)
    return plan.model_copy(update={"appliance": visit.kit.appliance})


def _named(visit: Visit, plan: Plan, name: str) -> Plan:
    """Return a plan under its session's name; another where that session had another plan."""
    for number in range(1, 100):
        named = plan.model_copy(update={"session": name if number == 1 else f"{name}-{number}"})
        path = visit.folders.sessions / named.session / PLAN_NAME
        if not path.exists() or read_plan(path).digest == named.digest:
            return named
    raise ConfigError("too many plans in one visit", hint="name another --out")


class _KeptLauncher(NativeLauncher):
    """Keeps the measuring process, so that it can be asked to finish."""

    measuring: NativeMeasuring | None = None

    def launch(self, folder: Path) -> NativeMeasuring:
        """Start measuring."""
        self.measuring = super().launch(folder)
        return self.measuring


def _measure(visit: Visit, plan: Plan, *, finish_after: int | None) -> bool:
    """Measure a plan as far as time and the parcel's size allow; return whether runs are left.

    `finish_after` so many runs it ends too, once the present one is done.
    Raises TimeUpError when the visit has to end.
    """
    folder = visit.folders.sessions / plan.session
    launcher = _KeptLauncher()
    watch = _Watch(visit=visit, plan=plan, launcher=launcher, finish_after=finish_after)
    try:
        run_bench(plan, folder, launcher, watch.look)
    except InterruptedByUserError:
        return True
    except RunFailedError as error:
        visit.timeline.tell(f"{error.what}")
    return False


@dataclass(kw_only=True)
class _Watch:
    """Follows a session and asks it to finish where the next run would not fit."""

    visit: Visit
    plan: Plan
    launcher: _KeptLauncher
    finish_after: int | None
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
            if self._is_enough(progress) and not self._is_asked and self.launcher.measuring:
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
        self.visit.timeline.tell(f"{shown}; tok/s: {rates}" if rates else shown)

    def _is_enough(self, progress: BenchProgress) -> bool:
        """Return whether no other run is to be begun."""
        if self.finish_after is not None and progress.done >= self.finish_after:
            return True
        # The first is left out: it stands for opening the session, too.
        recent = self._durations_s[1:][-2 * len(self.plan.models) :]
        if recent and self.visit.left_s < max(recent):
            return True
        used = measured_bytes(self.visit.request.out)
        return used > MOST_PARCEL_BYTES - _PARCEL_RESERVE_BYTES


def _compare(
    visit: Visit,
    programme: Programme,
    engines: dict[str, EngineBuild],
    models: dict[str, PlannedModel],
) -> None:
    """Build the second pin and measure both side by side, where there is time for it."""
    pin = visit.kit.pins[1].pin
    evaluation = read_evaluation(resource_folder("configs"), visit.configs)
    build_s = evaluation.paces.build_core_s[visit.target.backend] / compile_jobs(usable_cores())
    is_built = any((visit.folders.cache / "builds").glob(f"{pin}-*/build.json"))
    if not is_built and visit.left_s < build_s + _LEAST_AFTER_BUILD_S:
        visit.timeline.tell(f"second pin {pin}: its build does not fit into the time; left out")
        return
    work = _begin_build(visit, pin)
    visit.wait([work])
    error = work.exception()
    if isinstance(error, ApplianceError):
        visit.timeline.tell(f"left out: {pin}: {error}")
        return
    second, _ = work.result()
    configs = fit_experiments(
        visit.configs, [programme.engines], models=tuple(models), is_probed=False
    )
    pins = {"pins": (*engines, second.pin)}
    experiments = {
        name: experiment.model_copy(update=pins)
        for name, experiment in configs.experiments.experiments.items()
    }
    configs = configs.model_copy(
        update={"experiments": configs.experiments.model_copy(update={"experiments": experiments})}
    )
    plan = _plan(visit, configs, {**engines, second.pin: second}, models)
    _measure(visit, _named(visit, plan, f"{visit.facts.name}-engines"), finish_after=None)


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

    _begin(follow)
    yield


def _close(visit: Visit, error: ApplianceError | None) -> VisitOutcome:
    """Pack everything, and return it with the table."""
    sessions = sorted(visit.folders.sessions.iterdir())
    pin = visit.kit.pins[0].pin
    table = tuple(render_table(read_runs(sessions), tuple(visit.configs.models.models), pin))
    (visit.request.out / LOGS / _TABLE).write_text("\n".join(table) + "\n", encoding="utf-8")
    return VisitOutcome(parcel=_pack(visit), table=table, error=error)


def _pack(visit: Visit) -> WrittenParcel:
    """Write the parcel of what there is by now; a later one takes its place."""
    out, builds = visit.request.out, visit.folders.cache / "builds"
    for pin in (carried.pin for carried in visit.kit.pins):
        # Beside the build while it is made, inside it afterwards.
        for log in (*builds.glob(f"{pin}-*.log"), *builds.glob(f"{pin}-*/build.log")):
            text = log.read_text(encoding="utf-8", errors="replace")
            write_atomically(out / LOGS / f"build-{pin}.log", cut_log(text))
    # As far as the machine has been looked at by now.
    facts = _read_facts(out) or visit.facts
    return write_parcel(facts, out, out / f"{facts.name}.tar")
