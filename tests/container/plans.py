"""Small plans for tests of the container room; nothing in them is ever measured."""

from __future__ import annotations

from pathlib import Path

from edgemoe_appliance.schema.configs import (
    Arm,
    Backend,
    ContainerProfile,
    Cooldown,
    CooldownRule,
    Experiment,
    PowerSource,
    Prompt,
    SdistSource,
    Target,
    ThermalRule,
)
from edgemoe_appliance.schema.plan import (
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    expand_runs,
    scaled_prompt,
)

DIGEST = "a" * 64


def target(profile: ContainerProfile | None, power_sources: tuple[PowerSource, ...] = ()) -> Target:
    return Target(
        label="for tests",
        backend=Backend.CPU,
        cmake={"GGML_NATIVE": "OFF"},
        threads=1,
        power_sources=power_sources,
        cooldown=Cooldown(rule=CooldownRule.NONE),
        thermal=ThermalRule(threshold_c=60, repetitions=5),
        sample_hz=10,
        run_timeout_s=60,
        container=profile,
    )


HOST_PROFILE = ContainerProfile(
    dockerfile="docker/host/Dockerfile", runtime="runc", memory_limit_bytes=2**30, pids_limit=128
)
JETSON_PROFILE = ContainerProfile(dockerfile="docker/jetson/Dockerfile", runtime="nvidia")


def engine(pin: str = "b4447") -> EngineBuild:
    return EngineBuild(
        pin=pin,
        source=SdistSource(
            kind="sdist", package="p", version="1", sha256=DIGEST, subdirectory="vendor"
        ),
        source_sha256=DIGEST,
        build_key=DIGEST,
        cmake={},
        compiler="c++ 12",
        binary=f"/home/somebody/builds/{pin}/bin/llama-cli",
        files_sha256={"llama-cli": DIGEST},
        why="for tests",
    )


def model(model_id: str, path: Path) -> PlannedModel:
    return PlannedModel(
        id=model_id,
        name=model_id,
        role="moe",
        architecture="olmoe",
        path=str(path),
        file_name=path.name,
        file_bytes=10,
        sha256=DIGEST,
        twin_scale="tiny",
        parameters_total=10,
        parameters_active=5,
        bytes_per_token=5,
        kv_bytes_per_token=1,
    )


def plan(
    *,
    profile: ContainerProfile | None = HOST_PROFILE,
    power_sources: tuple[PowerSource, ...] = (),
    models: dict[str, Path] | None = None,
    session: str = "try",
) -> Plan:
    paths = models or {"olmoe-1b-7b": Path("/data/models/olmoe.gguf")}
    experiment = Experiment(
        title="for tests",
        models=tuple(paths),
        prompts=("qa-1",),
        repetitions=1,
        n_predict=4,
        arms=(Arm.PLAIN,),
    )
    prompt = Prompt(set="efficiency", category="qa", text="Why is the sky blue?")
    return Plan(
        session=session,
        target_id="host",
        target=target(profile, power_sources),
        threads=1,
        runtime="container",
        image="sha256:" + DIGEST,
        appliance=ApplianceIdentity(version="0", git_head=None, git_dirty=None),
        engines={"b4447": engine()},
        models={name: model(name, path) for name, path in paths.items()},
        prompts={"smoke/qa-1": scaled_prompt("qa-1", prompt, 1.0)},
        experiments={"smoke": experiment},
        order_seed=1,
        runs=expand_runs({"smoke": experiment}, target="host", pin="b4447", threads=1, seed=1),
    )
