"""`bench` and `demo`: measure a plan, resume it, and say where the result is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from edgemoe_appliance.app.commands import Commands
from edgemoe_appliance.app.console import TerminalSteps, say, shown_measuring
from edgemoe_appliance.app.options import (
    AtMostOption,
    BaseOption,
    BuildNetworkOption,
    DevicesOption,
    DockerHostOption,
    ExperimentOption,
    LockedOption,
    ModelOption,
    ModelsOption,
    NewSessionOption,
    OrderOption,
    PinOption,
    PortableOption,
    RuntimeImageOption,
    RuntimeOption,
    SessionsOption,
    StudyOption,
    TargetOption,
    UntilPreciseOption,
    precision_rule,
)
from edgemoe_appliance.app.report import report_sessions
from edgemoe_appliance.errors import RunFailedError
from edgemoe_appliance.schema.choices import RuntimeKind, TwinRouting, TwinScale

if TYPE_CHECKING:
    from edgemoe_appliance.bench.paths import Folders
    from edgemoe_appliance.bench.prepare import BenchSetup

_DEMO_PREFIX = "demo-"


def register(app: Commands) -> None:
    """Add the commands."""
    app.command()(bench)
    app.command()(demo)


def bench(
    target: TargetOption = "host",
    experiment: ExperimentOption = None,
    model: ModelOption = None,
    session: NewSessionOption = None,
    sessions: SessionsOption = 1,
    order: OrderOption = None,
    study: StudyOption = None,
    models: ModelsOption = None,
    devices: DevicesOption = None,
    pin: PinOption = None,
    portable: PortableOption = False,
    twins: Annotated[
        TwinScale | None, typer.Option(help="Measure twins of this scale, not the real models.")
    ] = None,
    routing: Annotated[
        TwinRouting, typer.Option(help="How evenly the routers of twins spread tokens.")
    ] = TwinRouting.UNIFORM,
    until_precise: UntilPreciseOption = None,
    at_most: AtMostOption = None,
    runtime: RuntimeOption = RuntimeKind.NATIVE,
    docker_host: DockerHostOption = None,
    base_image: BaseOption = None,
    runtime_image: RuntimeImageOption = None,
    build_network: BuildNetworkOption = None,
    locked: LockedOption = False,
    force: Annotated[
        bool, typer.Option("--force", help="Measure even if the host fails a check.")
    ] = False,
) -> None:
    """Measure experiments on a target; what a session holds already is not measured again."""
    precision = precision_rule(until_precise, at_most)
    from edgemoe_appliance.bench.paths import default_folders, default_session, several_sessions
    from edgemoe_appliance.bench.preflight import check_host, require_fit
    from edgemoe_appliance.bench.prepare import BenchRequest, prepare_bench, require_assessable
    from edgemoe_appliance.bench.runtime import ImageOptions, open_runtime
    from edgemoe_appliance.doctor import DockerCheck
    from edgemoe_appliance.schema.configs import find_catalogue
    from edgemoe_appliance.studies import read_study

    chosen = read_study(study, catalogue=find_catalogue(models, devices))
    experiments = tuple(experiment or chosen.suites.bench)
    chosen.configs.target(target)
    for name in experiments:
        chosen.experiment(name)
    request = BenchRequest(
        target=target,
        experiments=experiments,
        session=session
        if session is not None
        else default_session(
            (target, *experiments, *(model or ())),
            twins=twins,
            runtime=runtime,
            pin=pin,
            portable=portable,
            by_need=precision is not None,
            routing=routing,
        ),
        pin=pin,
        twins=twins,
        precision=precision,
        order=order,
        models=tuple(dict.fromkeys(model or ())),
        routing=routing,
    )
    require_assessable(chosen, request)
    folders = default_folders()
    docker = DockerCheck(host=docker_host) if runtime is RuntimeKind.CONTAINER else None
    findings = check_host(chosen, request, folders, docker)
    if not force:
        require_fit(target, findings)
    options = ImageOptions(
        base=base_image, runtime=runtime_image, locked=locked, network=build_network
    )
    with open_runtime(runtime, folders, options, docker_host, portable=portable) as opened:
        prepared = prepare_bench(chosen, request, opened, folders, TerminalSteps(), findings)
        names = several_sessions(request.session, sessions)
        failures = [_measure_all(_named(prepared, name), folders) for name in names]
    for name in names:
        say(f"journal: {folders.sessions / name}")
    say(f"next: edgemoe-appliance report {' '.join(names)}")
    if failure := next((each for each in failures if each is not None), None):
        raise failure


def demo(
    twins: Annotated[
        TwinScale | None,
        typer.Option(
            help="How large the twins are.  (default: thin; real models where answers are judged)"
        ),
    ] = None,
    study: StudyOption = None,
    portable: PortableOption = False,
) -> None:
    """Run the study's matrix in miniature on this machine: 4 models x 15 prompts x 3 runs."""
    from datetime import datetime, timezone

    from edgemoe_appliance.bench.paths import default_folders
    from edgemoe_appliance.bench.prepare import BenchRequest, prepare_bench, usual_twins
    from edgemoe_appliance.bench.runtime import NativeRuntime
    from edgemoe_appliance.bench.session import unfinished_session
    from edgemoe_appliance.studies import read_study

    chosen = read_study(study)
    folders = default_folders()
    now = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    request = BenchRequest(
        target="host",
        experiments=chosen.suites.demo,
        session=f"{_DEMO_PREFIX}{now}",
        pin=None,
        twins=twins or usual_twins(chosen, chosen.suites.demo, TwinScale.THIN),
    )
    runtime = NativeRuntime(folders, portable=portable)
    prepared = prepare_bench(chosen, request, runtime, folders, TerminalSteps())
    unfinished = unfinished_session(prepared.plan, folders.sessions, _DEMO_PREFIX)
    if unfinished is not None:
        say(f"resuming {unfinished}, which was not finished")
        prepared = _named(prepared, unfinished)
    failure = _measure_all(prepared, folders)
    sessions = (prepared.plan.session,)
    paths = report_sessions(sessions, folders, study)
    say(f"report: {paths.html}")
    if failure is not None:
        raise failure


def _named(prepared: BenchSetup, session: str) -> BenchSetup:
    from dataclasses import replace

    return replace(prepared, plan=prepared.plan.model_copy(update={"session": session}))


def _measure_all(prepared: BenchSetup, folders: Folders) -> RunFailedError | None:
    """Measure; runs that ended badly are given back, so that the report still comes."""
    try:
        _measure(prepared, folders)
    except RunFailedError as error:
        return error
    return None


def _measure(prepared: BenchSetup, folders: Folders) -> None:
    from edgemoe_appliance.bench.session import run_bench

    plan = prepared.plan
    with shown_measuring(plan) as on_progress:
        folder = folders.sessions / plan.session
        outcome = run_bench(plan, folder, prepared.launcher, on_progress, roots=folders.roots)
    if plan.precision:
        say(f"{outcome.progress.done} runs were enough, or as many as are allowed")
