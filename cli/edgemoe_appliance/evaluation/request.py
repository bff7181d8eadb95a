"""What is to be evaluated: the target, the experiments, the models, the session."""

from __future__ import annotations

from dataclasses import dataclass

from edgemoe_appliance.bench.prepare import BenchRequest
from edgemoe_appliance.bench.runtime import RuntimeKind
from edgemoe_appliance.errors import ConfigError
from edgemoe_appliance.evaluation.config import EVALUATION_FILE, EvaluationConfig
from edgemoe_appliance.models.layout import TwinScale
from edgemoe_appliance.study.configs import Configs

_PREFIX = "evaluate"
_KICK = "kick-the-tires"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the user typed; None is what was left out."""

    target: str | None = None
    runtime: RuntimeKind = RuntimeKind.NATIVE
    twins: TwinScale | None = None
    session: str | None = None
    kick_the_tires: bool = False


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """An evaluation to be made: the bench it holds, and how that is measured."""

    bench: BenchRequest
    runtime: RuntimeKind
    kick_the_tires: bool


def resolve(asked: Asked, configs: Configs, config: EvaluationConfig) -> Evaluation:
    """Return the evaluation that was asked for; equal questions get equal sessions.

    Raises ConfigError for an unknown target, and for one that evaluation.yaml has nothing for.
    """
    if asked.kick_the_tires:
        return _kick(asked, config)
    target = asked.target or config.kick_the_tires.target
    configs.target(target)
    if target not in config.experiments:
        raise ConfigError(
            f"{EVALUATION_FILE} has no experiments for target {target}",
            hint="write them there, or use bench, report, claims and archive one by one",
        )
    experiments = config.experiments[target]
    return _evaluation(asked, target, experiments, asked.twins)


def _kick(asked: Asked, config: EvaluationConfig) -> Evaluation:
    small = config.kick_the_tires
    if asked.target not in (None, small.target) or asked.runtime is not RuntimeKind.NATIVE:
        raise ConfigError(
            f"--{_KICK} runs on target {small.target}, bare",
            hint="leave out --target and --runtime",
        )
    return _evaluation(asked, small.target, small.experiments, asked.twins or small.twins)


def _evaluation(
    asked: Asked, target: str, experiments: tuple[str, ...], twins: TwinScale | None
) -> Evaluation:
    return Evaluation(
        bench=BenchRequest(
            target=target,
            experiments=experiments,
            session=asked.session or _session(asked, target, twins),
            pin=None,
            twins=twins,
        ),
        runtime=asked.runtime,
        kick_the_tires=asked.kick_the_tires,
    )


def _session(asked: Asked, target: str, twins: TwinScale | None) -> str:
    parts = [_KICK if asked.kick_the_tires else f"{_PREFIX}-{target}"]
    parts += [f"{twins.value}-twins"] if twins else []
    parts += [asked.runtime.value] if asked.runtime is RuntimeKind.CONTAINER else []
    return "-".join(parts)
