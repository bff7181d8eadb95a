"""What is to be evaluated: the target, the experiments, the models, the session."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.bench.paths import default_session, several_sessions
from edgemoe_appliance.bench.prepare import BenchRequest, require_assessable, usual_twins
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EvaluationConfig
from edgemoe_appliance.schema.choices import Order, RuntimeKind, TwinScale
from edgemoe_appliance.schema.configs import require_container
from edgemoe_appliance.studies import Study

_PREFIX = "evaluate"
_KICK = "kick-the-tires"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What the user typed; None is what was left out.

    `minutes` is the time that may be taken for more than to see that every step works.
    """

    target: str | None = None
    runtime: RuntimeKind = RuntimeKind.NATIVE
    twins: TwinScale | None = None
    session: str | None = None
    experiments: tuple[str, ...] = ()
    pin: str | None = None
    portable: bool = False
    kick_the_tires: bool = False
    sessions: int = 1
    order: Order | None = None
    minutes: float | None = None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation to be made: the bench it holds, how often, and how that is measured."""

    bench: BenchRequest
    runtime: RuntimeKind
    kick_the_tires: bool
    portable: bool = False
    sessions: int = 1

    @property
    def session_names(self) -> tuple[str, ...]:
        """Return the names of its sessions."""
        return several_sessions(self.bench.session, self.sessions)


def resolve(asked: EvaluationOptions, study: Study, config: EvaluationConfig) -> Evaluation:
    """Return the evaluation that was asked for; equal questions get equal sessions.

    Raises ConfigError for an unknown target, pin or experiment, for a target that has none, and
    where answers of twins were to be judged.
    """
    if asked.pin is not None:
        study.configs.pin(asked.pin)
    if asked.kick_the_tires:
        return _kick(asked, study, config)
    if asked.minutes is not None:
        raise ConfigError(
            f"--minutes says nothing without --{_KICK}", hint="leave it out; --dry-run tells times"
        )
    for name in asked.experiments:
        study.experiment(name)
    target = asked.target or config.kick_the_tires.target
    study.configs.target(target)
    experiments = asked.experiments or study.suites.evaluate.get(target)
    if not experiments:
        raise ConfigError(
            f"study {study.id} has no experiments to evaluate on target {target}",
            hint="write them into its experiments.yaml, or name some with --experiment",
        )
    if asked.runtime is RuntimeKind.CONTAINER:
        require_container(target, study.configs.target(target))
    return _evaluation(asked, study, target, (experiments, asked.twins))


def _kick(asked: EvaluationOptions, study: Study, config: EvaluationConfig) -> Evaluation:
    small = config.kick_the_tires
    is_small = asked.target in (None, small.target) and not asked.experiments
    if not is_small or asked.runtime is not RuntimeKind.NATIVE:
        raise ConfigError(
            f"--{_KICK} runs experiments of its own on target {small.target}, native",
            hint="leave out --target, --runtime and --experiment",
        )
    experiments = study.suites.kick_the_tires
    twins = asked.twins or usual_twins(study, experiments, small.twins)
    if twins is TwinScale.FULL and study.suites.directions:
        experiments = study.suites.directions
    return _evaluation(asked, study, small.target, (experiments, twins))


def _evaluation(
    asked: EvaluationOptions,
    study: Study,
    target: str,
    work: tuple[tuple[str, ...], TwinScale | None],
) -> Evaluation:
    experiments, twins = work
    bench = BenchRequest(
        target=target,
        experiments=experiments,
        session=_session(asked, target, twins) if asked.session is None else asked.session,
        pin=asked.pin,
        twins=twins,
        order=asked.order or _stated_order(study, target),
    )
    require_assessable(study, bench)
    return Evaluation(
        bench=bench,
        runtime=asked.runtime,
        kick_the_tires=asked.kick_the_tires,
        portable=asked.portable,
        sessions=asked.sessions,
    )


def _stated_order(study: Study, target: str) -> Order | None:
    """Return the study's order of runs on its own devices, so that its conditions can be met."""
    return study.procedure.run_order if study.device_of(target) is not None else None


def _session(asked: EvaluationOptions, target: str, twins: TwinScale | None) -> str:
    head = _KICK if asked.kick_the_tires else f"{_PREFIX}-{target}"
    return default_session(
        (head, *asked.experiments),
        twins=twins,
        runtime=asked.runtime,
        pin=asked.pin,
        portable=asked.portable,
    )
