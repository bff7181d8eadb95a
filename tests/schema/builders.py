"""Small plans and records for the tests of this room; their figures are made up."""

from __future__ import annotations

from edgemoe_appliance.schema.configs import (
    Backend,
    Cooldown,
    CooldownRule,
    DirectorySource,
    Experiment,
    Target,
    ThermalRule,
)
from edgemoe_appliance.schema.plan import (
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    PlannedPrompt,
    RunSpec,
    prompt_key,
)
from edgemoe_appliance.schema.records import (
    Caveat,
    EndRecord,
    HeaderRecord,
    HostFacts,
    PeriodRecord,
    Phase,
    SampleFile,
    Status,
    Window,
)

DIGEST = "0" * 64


def a_spec(repetition: int = 1, model: str = "olmoe-1b-7b") -> RunSpec:
    return RunSpec(
        target="host",
        pin="b4404",
        model=model,
        prompt="qa-tides",
        experiment="smoke",
        repetition=repetition,
        threads=6,
        n_predict=256,
    )


def a_target() -> Target:
    return Target(
        label="A machine",
        backend=Backend.CPU,
        cmake={"GGML_NATIVE": "ON"},
        threads=2,
        power_sources=(),
        cooldown=Cooldown(rule=CooldownRule.NONE),
        thermal=ThermalRule(threshold_c=60, repetitions=5),
        sample_hz=10,
        run_timeout_s=60,
    )


def an_experiment(
    *, repetitions: int = 1, models: tuple[str, ...] = ("olmoe-1b-7b",)
) -> Experiment:
    return Experiment(
        title="A test",
        models=models,
        prompts=("qa-tides",),
        repetitions=repetitions,
        n_predict=256,
    )


def an_engine(folder: str = "/here") -> EngineBuild:
    return EngineBuild(
        pin="b4404",
        source=DirectorySource(kind="directory", path=f"{folder}/llama.cpp"),
        source_sha256=DIGEST,
        build_key=DIGEST,
        cmake={"GGML_NATIVE": "ON"},
        compiler="a compiler 1.0",
        binary=f"{folder}/bin/llama-cli",
        files_sha256={"llama-cli": DIGEST},
        why=f"found in {folder}",
    )


def a_model(folder: str = "/here") -> PlannedModel:
    return PlannedModel(
        id="olmoe-1b-7b",
        name="OLMoE",
        role="moe",
        architecture="olmoe",
        path=f"{folder}/olmoe.gguf",
        file_name="olmoe.gguf",
        file_bytes=1000,
        sha256=DIGEST,
        twin_scale="tiny",
        parameters_total=7,
        parameters_active=1,
        bytes_per_token=100,
        kv_bytes_per_token=10,
    )


def a_prompt(text: str = "Why?") -> PlannedPrompt:
    return PlannedPrompt(
        id="qa-tides",
        set="efficiency",
        category="general-qa",
        words=len(text.split()),
        text=text,
        sha256=DIGEST,
    )


def a_plan(
    *, folder: str = "/here", runs: tuple[RunSpec, ...] | None = None, prompt: str = "Why?"
) -> Plan:
    return Plan(
        session="a-session",
        target_id="host",
        target=a_target(),
        threads=2,
        runtime="native",
        appliance=ApplianceIdentity(version="0.1.0", git_head=None, git_dirty=None),
        engines={"b4404": an_engine(folder)},
        models={"olmoe-1b-7b": a_model(folder)},
        prompts={prompt_key("smoke", "qa-tides"): a_prompt(prompt)},
        experiments={"smoke": an_experiment()},
        order_seed=42,
        runs=runs if runs is not None else (a_spec(),),
    )


def a_period() -> PeriodRecord:
    return PeriodRecord(
        session="a-session",
        plan_digest=DIGEST,
        started_utc="2026-01-01T00:00:00Z",
        appliance=ApplianceIdentity(version="0.1.0", git_head="0" * 40, git_dirty=False),
        host=HostFacts(
            system="Linux",
            release="6.1",
            machine="x86_64",
            hostname_sha256=DIGEST,
            cpu_model=None,
            cores_physical=2,
            cores_logical=2,
            memory_bytes=8 * 10**9,
            swap_bytes=0,
            python="3.11.2",
            boot_id=None,
            governor=None,
            cgroup=None,
            in_container=False,
            environment_removed=("LLAMA_ARG_THREADS",),
        ),
    )


def a_header() -> HeaderRecord:
    spec = a_spec()
    return HeaderRecord(
        run_id=spec.id,
        attempt=1,
        spec=spec,
        argv=("llama-cli", "-m", "model.gguf"),
        engine_sha256=DIGEST,
        engine_build_key=DIGEST,
        model_sha256=DIGEST,
        model_file_bytes=1000,
        model_twin_scale="tiny",
        prompt_sha256=DIGEST,
        image=None,
        git_head=None,
        started_utc="2026-01-01T00:00:00Z",
        start_mono_ns=1,
    )


def an_end(*, stderr_tail: str = "") -> EndRecord:
    return EndRecord(
        run_id=a_spec().id,
        attempt=1,
        status=Status.OK,
        exit_code=0,
        signal=None,
        metrics={"wall_s": 0.5, "gen_tok_s": 11.5},
        absent={"load_s": "the footer is missing"},
        windows=(Window(phase=Phase.GENERATE, start_ns=1, end_ns=500_000_001),),
        caveats=(Caveat(code="other-load", text="others were busy", numbers={"pct": 6.5}),),
        text_sha256=DIGEST,
        text_bytes=12,
        stderr_tail=stderr_tail,
        samples=SampleFile(name="a.json.gz", sha256=DIGEST, bytes=100),
        ended_utc="2026-01-01T00:00:01Z",
    )
