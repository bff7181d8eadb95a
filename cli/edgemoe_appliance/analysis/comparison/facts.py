"""What two sessions were made of, fact by fact, and where they differ.

Facts are those that were recorded, of all measuring periods of a session; paths are no facts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from edgemoe_appliance.analysis.hardware import HardwareTexts, describe_hardware, describe_host
from edgemoe_appliance.analysis.sessions import PlanFacts, SessionFacts
from edgemoe_appliance.schema.base import digest_of
from edgemoe_appliance.schema.plan import EngineBuild, PlannedModel

NOT_THERE = "not in this session"
_DIGEST_SHOWN = 16


class Area(str, Enum):
    """The parts that a session is made of."""

    HOST = "host"
    TARGET = "target"
    IMAGE = "image"
    ENGINE = "engine"
    MODELS = "models"
    PROMPTS = "prompts"
    PROCEDURE = "procedure"


@dataclass(frozen=True, kw_only=True)
class FactDifference:
    """One fact that is not the same in both sessions, as text."""

    area: Area
    fact: str
    a: str
    b: str


FactTexts = Mapping[str, str]


def differences(a: SessionFacts, b: SessionFacts) -> tuple[FactDifference, ...]:
    """Return every fact in which two sessions differ, area after area.

    How an experiment is made is told where both have it.
    """
    common = a.plan.experiments.keys() & b.plan.experiments.keys()
    every, other = _facts(a, common), _facts(b, common)
    found = []
    for area, ours in every.items():
        theirs = other[area]
        found += [
            FactDifference(
                area=area, fact=name, a=ours.get(name, NOT_THERE), b=theirs.get(name, NOT_THERE)
            )
            for name in dict.fromkeys((*ours, *theirs))
            if ours.get(name) != theirs.get(name)
        ]
    return tuple(found)


def _facts(session: SessionFacts, experiments: Collection[str]) -> Mapping[Area, FactTexts]:
    """Return the facts of a session by area; those of experiments of the named ones only."""
    return {
        Area.HOST: _host(session),
        Area.TARGET: _target(session.plan),
        Area.IMAGE: {"runtime": session.plan.runtime, "image": session.plan.image or "none"},
        Area.ENGINE: _engines(session.plan),
        Area.MODELS: {name: _model(model) for name, model in session.plan.models.items()},
        Area.PROMPTS: {name: _texts(session.plan, name) for name in session.plan.experiments},
        Area.PROCEDURE: {**_procedure(session), **_experiments(session.plan, experiments)},
    }


def _host(session: SessionFacts) -> FactTexts:
    hosts = [period.host for period in session.periods]
    powers = [period.power for period in session.periods if period.power is not None]
    found = [period.hardware for period in session.periods if period.hardware is not None]
    return {
        # A container has a host name of its own, which says nothing about the machine.
        "Machine": _each(
            "in a container, not known" if host.in_container else _short(host.hostname_sha256)
            for host in hosts
        ),
        **_of_periods([describe_host(host) for host in hosts]),
        "Python": _each(host.python for host in hosts),
        "Power source": _each(power.primary.value if power.primary else "none" for power in powers),
        **_of_periods([describe_hardware(each, is_lasting=True) for each in found]),
    }


def _of_periods(periods: Sequence[HardwareTexts]) -> FactTexts:
    """Return the facts of all measuring periods by name, in the words of the hardware record."""
    names = dict.fromkeys(name for period in periods for name in period)
    values = {name: [period.get(name) for period in periods] for name in names}
    return {name: _each(v if isinstance(v, str) else None for v in values[name]) for name in names}


def _target(plan: PlanFacts) -> FactTexts:
    target = plan.target.model_dump(mode="json", exclude={"cmake", "container"})
    facts = dict(_flat(target))
    return {"target": plan.target_id, **facts, "threads": str(plan.threads)}


def _engines(plan: PlanFacts) -> FactTexts:
    """Return facts of each build; of a single one under plain names, so that pins can differ."""
    engines = plan.engines
    prefixes = {pin: "" if len(engines) == 1 else f"{pin} " for pin in engines}
    return {
        f"{prefixes[pin]}{name}": value
        for pin, engine in engines.items()
        for name, value in _engine(engine).items()
    }


def _engine(engine: EngineBuild) -> FactTexts:
    return {
        "pin": engine.pin,
        "source": _short(engine.source_sha256),
        "flags": " ".join(f"{name}={value}" for name, value in engine.cmake.items()) or "none",
        "compiler": engine.compiler,
        "llama-cli": _short(engine.binary_sha256),
        "libraries": _short(digest_of(engine.files_sha256)),
        "arguments added": " ".join(engine.extra_args) or "none",
        "routing probe": _short(engine.probe.sha256) if engine.probe else "none",
    }


def _model(model: PlannedModel) -> str:
    kind = f"{model.twin_scale} twin" if model.twin_scale else model.file_name
    return f"{kind}, {model.file_bytes} bytes, {_short(model.sha256)}"


def _texts(plan: PlanFacts, experiment: str) -> str:
    own = {key: p for key, p in plan.prompts.items() if key.split("/")[0] == experiment}
    digest = digest_of({prompt.id: prompt.sha256 for prompt in own.values()})
    words = sum(prompt.words for prompt in own.values())
    return f"{len(own)} prompts, {words} words, {_short(digest)}"


def _procedure(session: SessionFacts) -> FactTexts:
    plan = session.plan
    return {
        "experiments": ", ".join(plan.experiments),
        "appliance": f"{plan.appliance.version}, {plan.appliance.git_head or 'no checkout'}",
        "changes in the checkout": str(plan.appliance.git_dirty),
        "seed of the order": str(plan.order_seed),
        "runs": f"{session.finished} of {session.planned} planned, {session.ok} ok",
        "periods": str(len(session.periods)),
    }


def _experiments(plan: PlanFacts, names: Collection[str]) -> FactTexts:
    found: dict[str, str] = {}
    for name in sorted(names):
        dump = plan.experiments[name].model_dump(mode="json", exclude={"title", "feeds", "prompts"})
        found |= {f"{name} {key}": value for key, value in _flat(dump)}
    return found


def _flat(values: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield the leaves of nested values under their joined names."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name} ")
        elif isinstance(value, list | tuple):
            yield f"{prefix}{name}", ", ".join(map(str, value)) or "none"
        else:
            yield f"{prefix}{name}", "none" if value is None else str(value)


def _each(values: Iterable[str | None]) -> str:
    """Return the different values of the measuring periods, in order."""
    return "; ".join(dict.fromkeys(value or "not readable" for value in values)) or "not recorded"


def _short(digest: str) -> str:
    return f"sha256 {digest[:_DIGEST_SHOWN]}"
