"""Plans over tiny twins and the real engine, for tests and benchmarks of whole sessions."""

from __future__ import annotations

from edgemoe_appliance.schema.configs import Configs, Experiment, Target, ThermalRule
from edgemoe_appliance.schema.plan import (
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    expand_prompts,
    expand_runs,
)
from edgemoe_appliance.studies import read_study

IDENTITY = ApplianceIdentity(version="test", git_head=None, git_dirty=None)


def host_target(configs: Configs) -> Target:
    """Return the target `host` as every machine has it: without meters, and never too warm."""
    cool = ThermalRule(threshold_c=149, repetitions=1)
    return configs.target("host").model_copy(
        update={"run_timeout_s": 60.0, "power_sources": (), "thermal": cool}
    )


def small_plan(
    configs: Configs,
    build: EngineBuild,
    models: dict[str, PlannedModel],
    *,
    session: str = "test",
    **changes: object,
) -> Plan:
    """Return a plan of short runs on one thread; `changes` are keys of its experiment."""
    experiment = Experiment.model_validate(
        {
            "title": "Short runs",
            "models": list(models),
            "prompts": ["qa-tides"],
            "repetitions": 1,
            "n_predict": 4,
            "context": 512,
            "prompt_scale": 0.5,
            **changes,
        }
    )
    experiments = {"short": experiment}
    return Plan(
        session=session,
        target_id="host",
        target=host_target(configs),
        threads=1,
        runtime="native",
        appliance=IDENTITY,
        engines={build.pin: build},
        models=models,
        prompts=expand_prompts(experiments, read_study().prompts),
        experiments=experiments,
        order_seed=1,
        runs=expand_runs(experiments, target="host", pin=build.pin, threads=1, seed=1),
    )
