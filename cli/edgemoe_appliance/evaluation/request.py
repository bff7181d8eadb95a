"""What is to be evaluated: the target, the experiments, the models, the session."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.bench.paths import default_session
from edgemoe_appliance.bench.prepare import BenchRequest
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EvaluationConfig
from edgemoe_appliance.schema.choices import RuntimeKind, TwinScale
from edgemoe_appliance.schema.configs import require_container
from edgemoe_appliance.studies import Study

_PREFIX = "evaluate"
_KICK = "kick-the-tires"


@dataclass(frozen=True, kw_only=True)
class EvaluationOptions:
    """What the user typed; None is what was left out."""

    target: str | None = None
    runtime: RuntimeKind = RuntimeKind.NATIVE
    twins: TwinScale | None = None
    session: str | None = None
    experiments: tuple[str, ...] = ()
    pin: str | None = None
    portable: bool = False
    kick_the_tires: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation to be made: the bench it holds, and how that is measured."""

    bench: BenchRequest
    runtime: RuntimeKind
    kick_the_tires: bool
    portable: bool = False


def resolve(asked: EvaluationOptions, study: Study, config: EvaluationConfig) -> Evaluation:
    """Return the evaluation that was asked for; equal questions get equal sessions.

    Raises ConfigError for an unknown target, pin or experiment, and for a target that has none.
    """
    if asked.pin is not None:
        study.configs.pin(asked.pin)
    if asked.kick_the_tires:
        return _kick(asked, study, config)
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
    return _evaluation(asked, target, experiments, asked.twins)


def _kick(asked: EvaluationOptions, study: Study, config: EvaluationConfig) -> Evaluation:
    small = config.kick_the_tires
    is_small = asked.target in (None, small.target) and not asked.experiments
    if not is_small or asked.runtime is not RuntimeKind.NATIVE:
        raise ConfigError(
            f"--{_KICK} runs experiments of its own on target {small.target}, bare",
            hint="leave out --target, --runtime and --experiment",
        )
    experiments = study.suites.kick_the_tires
    return _evaluation(asked, small.target, experiments, asked.twins or small.twins)


def _evaluation(
    asked: EvaluationOptions, target: str, experiments: tuple[str, ...], twins: TwinScale | None
) -> Evaluation:
    return Evaluation(
        bench=BenchRequest(
            target=target,
            experiments=experiments,
            session=_session(asked, target, twins) if asked.session is None else asked.session,
            pin=asked.pin,
            twins=twins,
        ),
        runtime=asked.runtime,
        kick_the_tires=asked.kick_the_tires,
        portable=asked.portable,
    )


def _session(asked: EvaluationOptions, target: str, twins: TwinScale | None) -> str:
    head = _KICK if asked.kick_the_tires else f"{_PREFIX}-{target}"
    return default_session(
        (head, *asked.experiments),
        twins=twins,
        runtime=asked.runtime,
        pin=asked.pin,
        portable=asked.portable,
    )
