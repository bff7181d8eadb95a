"""From a request to a plan: engines built, models found or twins written, runs expanded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import psutil

from edgemoe_appliance.bench.folders import Folders
from edgemoe_appliance.bench.identity import read_identity
from edgemoe_appliance.engine.build import BuildProgress, build_engine
from edgemoe_appliance.engine.source import choose_pin
from edgemoe_appliance.measure.host import usable_cores
from edgemoe_appliance.models.layout import TwinScale
from edgemoe_appliance.models.store import model_path, planned_model, read_model_file
from edgemoe_appliance.models.twin import write_twin
from edgemoe_appliance.study.configs import Configs, Target
from edgemoe_appliance.study.findings import Finding
from edgemoe_appliance.study.plan import (
    EngineBuild,
    Plan,
    PlannedModel,
    expand_prompts,
    expand_runs,
)


class Steps(Protocol):
    """Shows what is being prepared; a step gives a function that takes its share done (0-1)."""

    def step(self, title: str) -> AbstractContextManager[Callable[[float], None]]:
        """Begin a step."""

    def note(self, text: str) -> None:
        """Say something that the user should know."""


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What the user asked for; `pin` None means the default with its fallback."""

    target: str
    experiments: tuple[str, ...]
    session: str
    pin: str | None
    twins: TwinScale | None


def prepare_plan(
    configs: Configs,
    request: BenchRequest,
    folders: Folders,
    steps: Steps,
    findings: tuple[Finding, ...] = (),
) -> Plan:
    """Return the plan of a request, after building and writing what it needs.

    Raises ConfigError for an unknown name, HostError or DigestError where an engine or a model
    cannot be had.
    """
    target = configs.target(request.target)
    experiments = {name: configs.experiment(name) for name in request.experiments}
    engine = obtain_engine(configs, target, request.pin, folders, steps)
    engines = {engine.pin: engine}
    for name in sorted({pin for experiment in experiments.values() for pin in experiment.pins}):
        if name not in engines:
            engines[name] = obtain_engine(configs, target, name, folders, steps)
    wanted = {model for experiment in experiments.values() for model in experiment.models}
    models = {
        name: obtain_model(configs, name, request.twins, folders, steps)
        for name in configs.models.models
        if name in wanted
    }
    threads = thread_count(target)
    seed = configs.experiments.order_seed
    return Plan(
        session=request.session,
        target_id=request.target,
        target=target,
        threads=threads,
        runtime="native",
        appliance=read_identity(),
        engines=engines,
        models=models,
        prompts=expand_prompts(configs, experiments),
        experiments=experiments,
        order_seed=seed,
        runs=expand_runs(
            experiments, target=request.target, pin=engine.pin, threads=threads, seed=seed
        ),
        findings=findings,
    )


def obtain_engine(
    configs: Configs, target: Target, pin: str | None, folders: Folders, steps: Steps
) -> EngineBuild:
    """Return the build of a pin for a target, building it where it is not there yet."""
    with steps.step("llama.cpp: source"):
        source = choose_pin(configs.engines, folders.cache, pin)
    steps.note(f"llama.cpp: {source.why}")
    with steps.step(f"llama.cpp {source.pin}: build") as on_share:

        def on_progress(progress: BuildProgress) -> None:
            if progress.percent is not None:
                on_share(progress.percent / 100)

        return build_engine(source, folders.cache, cmake=target.cmake, on_progress=on_progress)


def obtain_model(
    configs: Configs, name: str, twins: TwinScale | None, folders: Folders, steps: Steps
) -> PlannedModel:
    """Return a model file as a plan names it; a twin is written where it is not there yet."""
    entry = configs.model(name)
    with steps.step(f"model {name}") as on_share:

        def on_bytes(done: int, total: int) -> None:
            on_share(done / max(1, total))

        if twins is None:
            path = model_path(entry, folders.models)
        else:
            path = write_twin(entry, name, twins, folders.models, on_progress=on_bytes).path
        return planned_model(name, entry, read_model_file(path, on_bytes))


def thread_count(target: Target) -> int:
    """Return the threads of a run that names none."""
    if isinstance(target.threads, int):
        return target.threads
    return max(1, min(psutil.cpu_count(logical=False) or 1, usable_cores()))
