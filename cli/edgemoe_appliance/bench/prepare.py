"""From a request to a plan: engines supplied, models found or twins written, runs expanded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from edgemoe_appliance.bench.identity import read_identity
from edgemoe_appliance.bench.launcher import Launcher
from edgemoe_appliance.bench.paths import Folders, require_session_name
from edgemoe_appliance.bench.progress import Steps
from edgemoe_appliance.bench.quantising import Workshop
from edgemoe_appliance.bench.runtime import EngineRequest, Runtime, Supply
from edgemoe_appliance.errors import ConfigError, HostError
from edgemoe_appliance.measure.host import usable_cores
from edgemoe_appliance.models.ggml_types import GGML_TYPES, GgmlType
from edgemoe_appliance.models.store import model_path, planned_model, read_model_file
from edgemoe_appliance.models.twin import build_twin, write_twin
from edgemoe_appliance.schema.choices import Order, TwinRouting, TwinScale
from edgemoe_appliance.schema.configs import BackendLimits, Configs, Experiment, ModelEntry, Target
from edgemoe_appliance.schema.findings import Finding, Level
from edgemoe_appliance.schema.plan import (
    LEAST_REPETITIONS,
    Plan,
    PlannedModel,
    PrecisionRule,
    expand_prompts,
    expand_runs,
)
from edgemoe_appliance.schema.units import human_bytes
from edgemoe_appliance.studies import Study

TypesByPin = Mapping[str, Mapping[int, GgmlType]]
NO_TYPES: Final[TypesByPin] = {}


@dataclass(frozen=True, kw_only=True)
class BenchRequest:
    """What the user asked for; `pin` None means the default with its fallback.

    `routing` is that of twins with experts.

    Without `precision` each experiment has its own fixed repetitions; `models` are run in place of
    those that the experiments name, in `order` in place of theirs. Raises ConfigError for a
    name that cannot be that of a session.
    """

    target: str
    experiments: tuple[str, ...]
    session: str
    pin: str | None
    twins: TwinScale | None
    precision: PrecisionRule | None = None
    models: tuple[str, ...] = ()
    routing: TwinRouting = TwinRouting.UNIFORM
    order: Order | None = None

    def __post_init__(self) -> None:
        """Refuse a session whose name could not be kept, before anything is made for it."""
        require_session_name(self.session)


@dataclass(frozen=True, kw_only=True)
class BenchSetup:
    """A plan and what measures it."""

    plan: Plan
    launcher: Launcher


def prepare_bench(
    study: Study,
    request: BenchRequest,
    runtime: Runtime,
    folders: Folders,
    steps: Steps,
    findings: tuple[Finding, ...] = (),
) -> BenchSetup:
    """Return the plan of a request, after building and writing what it needs.

    Raises ConfigError for an unknown name, HostError or DigestError where an engine or a model
    cannot be had.
    """
    require_models(study, request, folders)
    supply = supply_engines(study, request, runtime, steps)
    models = obtain_models(
        study, request, folders, steps, supply.tensor_types, workshop=supply.workshop
    )
    plan = build_plan(study, request, supply, models, findings=findings)
    return BenchSetup(plan=plan, launcher=supply.launcher)


def require_models(study: Study, request: BenchRequest, folders: Folders) -> None:
    """Raise HostError where models are missing, before an engine is built for them in vain."""
    if request.twins is not None:
        return
    configs = study.configs
    needed = dict.fromkeys(map(configs.models.fetched_for, wanted_models(study, request)))
    entries = {name: configs.model(name) for name in needed}
    missing = [n for n, entry in entries.items() if not model_path(entry, folders.models).exists()]
    if missing:
        sizes = [_expected_bytes(entries[name], name, None, folders.models) for name in missing]
        total = human_bytes(sum(size for size in sizes if size is not None))
        told = f"{total}" if None not in sizes else f"{total} and more"
        assessed = any(each.assesses for each in chosen_experiments(study, request).values())
        raise HostError(
            f"{len(missing)} of {len(entries)} models are missing: {', '.join(missing)}",
            where=str(folders.models),
            hint=f"fetch them ({told}): edgemoe-appliance models fetch {' '.join(missing)}"
            + ("" if assessed else "; or measure stand-ins: --twins full"),
        )


def supply_engines(study: Study, request: BenchRequest, runtime: Runtime, steps: Steps) -> Supply:
    """Build or find the engines of a request, with the routing probe where an arm needs it.

    Raises ConfigError for an unknown name and for a model that a pin does not know, HostError or
    DigestError where one cannot be had.
    """
    require_assessable(study, request)
    experiments = chosen_experiments(study, request)
    wanted = EngineRequest(
        target_id=request.target,
        pins=_pins(request, experiments),
        is_probed=any(arm.is_probed for e in experiments.values() for arm in e.arms),
        has_tools=needs_tools(study, request),
    )
    supply = runtime.supply(study.configs, wanted, steps)
    require_architectures(study, wanted_models(study, request), supply)
    return supply


def require_architectures(study: Study, models: Sequence[str], supply: Supply) -> None:
    """Raise ConfigError where the source of a pin does not know the architecture of a model.

    The engine itself would say so in every single run, or in the tool that makes its files.
    """
    for pin, known in supply.architectures.items():
        for name in models:
            architecture = study.configs.model(name).architecture
            if known and architecture not in known:
                raise ConfigError(
                    f"llama.cpp {pin} does not know the architecture {architecture} of {name}",
                    hint="name a newer --pin, or other models with --model",
                )


def require_assessable(study: Study, request: BenchRequest) -> None:
    """Raise ConfigError where answers were to be judged that there are none of.

    Asked before a host is checked or anything is built, written or fetched.
    """
    experiments = chosen_experiments(study, request)
    asking = next((name for name, each in experiments.items() if each.assesses), None)
    if asking is not None and request.twins is not None:
        raise ConfigError(
            f"{asking} asks how good a model's answers are, and twins have none: their weights "
            "are random",
            hint=f"measure the real models: edgemoe-appliance bench --study {study.id}, without "
            "--twins",
        )


def usual_twins(
    study: Study, experiments: Sequence[str], usual: TwinScale | None
) -> TwinScale | None:
    """Return what stands in for models where nobody says: nothing where answers are judged.

    Raises ConfigError for an unknown experiment.
    """
    return None if any(study.experiment(name).assesses for name in experiments) else usual


def needs_tools(study: Study, request: BenchRequest) -> bool:
    """Return whether a request needs the engine's tools: to judge answers, or to make its files."""
    models = study.configs.models.models
    experiments = chosen_experiments(study, request).values()
    is_made = any(models[name].quantised for e in experiments for name in e.models)
    return any(e.assesses for e in experiments) or (is_made and request.twins is None)


def obtain_models(
    study: Study,
    request: BenchRequest,
    folders: Folders,
    steps: Steps,
    tensor_types: TypesByPin = NO_TYPES,
    *,
    workshop: Workshop | None = None,
) -> dict[str, PlannedModel]:
    """Return the model files of a request, in the order of the study; twins are written.

    `workshop` makes files of fewer bits.

    Raises HostError or DigestError where one is not there or is another, ConfigError where it
    holds a tensor type that one of the pins does not know.
    """
    limits = study.configs.limits(
        request.target, _pins(request, _asked_experiments(study, request))
    )
    computed = None if limits is None else (request.target, limits)
    return {
        name: obtain_model(
            study.configs,
            name,
            request.twins,
            folders,
            steps,
            tensor_types,
            routing=request.routing,
            workshop=workshop,
            computed=computed,
        ).model_copy(update={"role": study.role_of(name)})
        for name in wanted_models(study, request)
    }


def wanted_models(study: Study, request: BenchRequest) -> tuple[str, ...]:
    """Return the models that the experiments of a request run, in the order of the study."""
    experiments = chosen_experiments(study, request).values()
    wanted = {model for experiment in experiments for model in experiment.models}
    assessed = {model for each in experiments if each.assesses for model in each.models}
    wanted |= {study.references[model] for model in assessed}
    return tuple(name for name in study.configs.models.models if name in wanted)


def build_plan(
    study: Study,
    request: BenchRequest,
    supply: Supply,
    models: dict[str, PlannedModel],
    *,
    findings: tuple[Finding, ...] = (),
) -> Plan:
    """Return the plan of a request for engines and models that are there."""
    target = study.configs.target(request.target)
    experiments = chosen_experiments(study, request)
    threads = thread_count(target)
    return Plan(
        session=request.session,
        target_id=request.target,
        target=target.model_copy(update={"study_device": study.device_of(request.target)}),
        threads=threads,
        runtime=supply.kind,
        image=supply.image,
        appliance=read_identity(),
        study=study.identity,
        engines=supply.engines,
        models=models,
        prompts=expand_prompts(experiments, study.prompts),
        experiments=experiments,
        order_seed=study.order_seed,
        runs=expand_runs(
            _sure(experiments) if request.precision else experiments,
            target=request.target,
            pin=next(iter(supply.engines)),
            threads=threads,
            seed=study.order_seed,
            references=study.references,
        ),
        findings=findings,
        precision=request.precision,
    )


def chosen_experiments(study: Study, request: BenchRequest) -> dict[str, Experiment]:
    """Return the experiments of a request, with what it changes about them.

    Models that the target's backend does not compute are left out. Raises ConfigError where none
    is left.
    """
    asked = _asked_experiments(study, request)
    untested = _untested(study, request, asked)
    kept = {
        name: tuple(model for model in experiment.models if model not in untested)
        for name, experiment in asked.items()
    }
    if asked and not any(kept.values()):
        raise ConfigError(
            f"not tested: the backend of target {request.target} does not compute "
            f"{_listed(untested)}",
            hint="name other models with --model, or another --target",
        )
    return {
        name: experiment.model_copy(update={"models": kept[name]})
        for name, experiment in asked.items()
        if kept[name]
    }


def check_computed(study: Study, request: BenchRequest) -> Iterator[Finding]:
    """Yield what a request leaves out because the target's backend does not compute it."""
    untested = _untested(study, request, _asked_experiments(study, request))
    if untested:
        yield Finding(
            check="models",
            level=Level.WARN,
            seen=f"not tested: the backend does not compute {_listed(untested)}",
            hint="the engine would compute them on the processor and not say so",
        )


def _untested(
    study: Study, request: BenchRequest, experiments: Mapping[str, Experiment]
) -> dict[str, str]:
    """Return the models that the target's backend does not compute, with what of them."""
    limits = study.configs.limits(request.target, _pins(request, experiments))
    if limits is None:
        return {}
    names = dict.fromkeys(model for each in experiments.values() for model in each.models)
    lacking = {name: limits.lacks(study.configs.model(name)) for name in names}
    return {name: lacked for name, lacked in lacking.items() if lacked is not None}


def _listed(untested: Mapping[str, str]) -> str:
    return ", ".join(f"{lacked} ({name})" for name, lacked in untested.items())


def _asked_experiments(study: Study, request: BenchRequest) -> dict[str, Experiment]:
    chosen = {name: study.experiment(name) for name in request.experiments}
    if request.order is not None:
        chosen = {
            name: experiment.model_copy(update={"order": request.order})
            for name, experiment in chosen.items()
        }
    if not request.models:
        return chosen
    for model in request.models:
        study.configs.model(model)
    return {
        name: experiment.model_copy(update={"models": request.models})
        for name, experiment in chosen.items()
    }


def _sure(experiments: dict[str, Experiment]) -> dict[str, Experiment]:
    """Return the experiments with the repetitions that are made whatever comes out of them."""
    return {
        name: experiment.model_copy(update={"repetitions": LEAST_REPETITIONS})
        for name, experiment in experiments.items()
    }


def _pins(request: BenchRequest, experiments: Mapping[str, Experiment]) -> list[str | None]:
    """Return the session's own pin and those that experiments name.

    Where every experiment names its pins, the session needs no other.
    """
    named = [pin for experiment in experiments.values() for pin in experiment.pins]
    needs_own = request.pin is not None or any(not e.pins for e in experiments.values())
    return [*([request.pin] if needs_own else []), *dict.fromkeys(named)]


def obtain_model(
    configs: Configs,
    name: str,
    twins: TwinScale | None,
    folders: Folders,
    steps: Steps,
    tensor_types: TypesByPin = NO_TYPES,
    *,
    routing: TwinRouting = TwinRouting.UNIFORM,
    workshop: Workshop | None = None,
    computed: tuple[str, BackendLimits] | None = None,
) -> PlannedModel:
    """Return a model file as a plan names it; a twin is written where it is not there yet.

    So is a file of fewer bits, by a workshop. `computed` names a target and what its backend
    computes, None for everything. Raises ConfigError where a workshop is needed and none
    is given, and for what it does not compute.
    """
    entry = configs.model(name)
    made = None
    if entry.quantised is not None and twins is None:
        if workshop is None:
            raise ConfigError(
                f"{name} is made here, and is not among what this command can make",
                hint=f"run: edgemoe-appliance models quantise {name}",
            )
        of = entry.quantised.of
        source = workshop.obtained.get(of) or obtain_model(
            configs, of, None, folders, steps, tensor_types, workshop=workshop
        )
        made = workshop.obtain(name, entry.quantised, source)
    with steps.step(f"model {name}") as on_share:

        def on_bytes(done: int, total: int) -> None:
            on_share(done / max(1, total))

        if twins is None:
            path = made or model_path(entry, folders.models)
        else:
            path = write_twin(
                entry, name, twins, folders.models, routing=routing, on_progress=on_bytes
            ).path
        file = read_model_file(path, on_bytes, _all_types(tensor_types))
        for pin, known in tensor_types.items():
            file.check_types(pin, known)
        if computed is not None:
            file.check_computed(*computed)
        planned = planned_model(name, entry, file)
    if workshop is not None and twins is None:
        workshop.obtained[name] = planned
    return planned


def _all_types(by_pin: TypesByPin) -> dict[int, GgmlType]:
    """Return the tensor types that are known here or by any of the pins."""
    table = dict(GGML_TYPES)
    for known in by_pin.values():
        table |= {code: kind for code, kind in known.items() if code not in table}
    return table


def used_models(study: Study) -> tuple[str, ...]:
    """Return the models that any experiment runs, in their order; other entries concern nobody."""
    used = {model for experiment in study.experiments.values() for model in experiment.models}
    return tuple(name for name in study.configs.models.models if name in used)


def expected_model_bytes(
    configs: Configs, names: Sequence[str], twins: TwinScale | None, folder: Path
) -> tuple[int, ...]:
    """Return the sizes that the files of models have or will have, where anybody can tell them.

    Where nobody has published a size, that of the file that is there counts, else that of the full
    twin, which is within 1 %.
    """
    sizes = (_expected_bytes(configs.model(name), name, twins, folder) for name in names)
    return tuple(size for size in sizes if size is not None)


def _expected_bytes(
    entry: ModelEntry, name: str, twins: TwinScale | None, folder: Path
) -> int | None:
    if twins is not None:
        return build_twin(entry, name, twins).file_bytes
    if entry.bytes is not None:
        return entry.bytes
    path = model_path(entry, folder)
    if path.is_file():
        return path.stat().st_size
    try:
        return build_twin(entry, name, TwinScale.FULL).file_bytes
    except ConfigError:  # no twin can be written of it, and none is asked for
        return None


def thread_count(target: Target) -> int:
    """Return the threads of a run that names none."""
    if isinstance(target.threads, int):
        return target.threads
    return max(1, min(psutil.cpu_count(logical=False) or 1, usable_cores()))
