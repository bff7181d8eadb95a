"""Synthetic sessions for tests: made-up figures in the form of real journals.

Nothing here was measured. The figures follow a plain formula, so that expected values can be
worked out by hand; sessions are written below a test's temporary folder only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import (
    Backend,
    Cooldown,
    CooldownRule,
    DirectorySource,
    Experiment,
    Feeds,
    GitSource,
    ModelEntry,
    OutsideMeter,
    Target,
    ThermalRule,
)
from edgemoe_appliance.schema.hardware import Clock, HardwareFacts, PowerMode, SwapArea
from edgemoe_appliance.schema.journal import JOURNAL_NAME, PLAN_NAME
from edgemoe_appliance.schema.plan import (
    ApplianceIdentity,
    EngineBuild,
    Plan,
    PlannedModel,
    PlannedPrompt,
    ProbeFacts,
    RunSpec,
    expand_runs,
    prompt_key,
)
from edgemoe_appliance.schema.records import (
    Caveat,
    EndRecord,
    EngineFacts,
    HeaderRecord,
    HostFacts,
    PeriodRecord,
    Status,
    record_line,
)
from edgemoe_appliance.studies import read_study

Scale = Literal["tiny", "thin", "full"]

# Rates in tokens/s and file sizes are invented round numbers, not anybody's measurements.
RATE_TOK_S = {"olmoe-1b-7b": 20.0, "llama-3.2-1b": 40.0, "qwen2.5-1.5b": 30.0, "gemma-2-2b": 10.0}
FILE_BYTES = {
    "olmoe-1b-7b": 4_000_000_000,
    "llama-3.2-1b": 800_000_000,
    "qwen2.5-1.5b": 1_000_000_000,
    "gemma-2-2b": 1_600_000_000,
    "smollm2-135m-f16": 270_000_000,
    "smollm2-135m-q4_0": 80_000_000,
    "smollm2-135m-q2_k": 70_000_000,
    # Of their full twins, to ten megabytes.
    "olmoe-1b-7b-f16": 13_840_000_000,
    "olmoe-1b-7b-f16-q4_k_m": 4_210_000_000,
    "olmoe-1b-7b-f16-q4_k_s": 3_960_000_000,
    "olmoe-1b-7b-f16-q3_k_m": 3_340_000_000,
}
EFFICIENCY_PROMPTS = tuple(f"prompt-{number:02d}" for number in range(1, 13))
LENGTH_PROMPTS = {"length-short": "short", "length-medium": "medium", "length-long": "long"}
LENGTH_SLOWDOWN = {"length-short": 1.0, "length-medium": 0.95, "length-long": 0.8}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """What a synthetic session is to look like."""

    session: str = "synthetic"
    models: tuple[str, ...] = tuple(RATE_TOK_S)
    prompts: tuple[str, ...] = EFFICIENCY_PROMPTS
    length_prompts: tuple[str, ...] = tuple(LENGTH_PROMPTS)
    repetitions: int = 3
    n_predict: int = 256
    prompt_scale: float = 1.0
    twin_scale: Scale | None = "thin"
    study_device: Literal["m2", "jetson"] | None = None
    pin: str = "b4447"
    engine: str = "engine-a"
    host_name: str = "host-a"
    memory_bytes: int = 16 * 1024**3
    in_container: bool = False
    threads: int = 6
    names: Mapping[str, str] = field(default_factory=dict)
    prompt_text: str = "A synthetic prompt of seven plain words."
    model_sha256: Mapping[str, str] = field(default_factory=dict)
    experiments: Mapping[str, Experiment] = field(default_factory=dict)  # beside the usual two
    references: Mapping[str, str] = field(default_factory=dict)  # the 16-bit files of models
    compilers: Mapping[str, str] = field(default_factory=dict)
    bandwidth_gb_s: float | None = None
    memory_bus_bits: int | None = None
    order: Order | None = None
    source: DirectorySource | None = None
    like_the_study: bool = False  # under its conditions on the device: board, mode, clocks, engine
    hardware: HardwareFacts | Literal["as said"] | None = "as said"
    cpu_model: str = ""
    meter: OutsideMeter | None = None


def build_target(synthetic: Synthetic) -> Target:
    return Target(
        label="Synthetic machine",
        backend=BACKENDS[synthetic.study_device] if synthetic.like_the_study else Backend.CPU,
        cmake={"GGML_NATIVE": "ON"},
        threads=synthetic.threads,
        power_sources=(),
        cooldown=Cooldown(rule=CooldownRule.NONE),
        thermal=ThermalRule(threshold_c=60, repetitions=5),
        sample_hz=10,
        run_timeout_s=600,
        study_device=synthetic.study_device,
        meter=synthetic.meter,
        bandwidth_gb_s=synthetic.bandwidth_gb_s,
        memory_bus_bits=synthetic.memory_bus_bits,
    )


def build_experiments(synthetic: Synthetic) -> dict[str, Experiment]:
    common: dict[str, Any] = {
        "models": synthetic.models,
        "repetitions": synthetic.repetitions,
        "n_predict": synthetic.n_predict,
        "prompt_scale": synthetic.prompt_scale,
        "order": synthetic.order
        or (Order.BLOCKED if synthetic.like_the_study else Order.COUNTERBALANCED),
    }
    experiments: dict[str, Experiment] = {}
    if synthetic.prompts:
        experiments["efficiency"] = Experiment(
            title="Efficiency", feeds=(Feeds.HEADLINE,), prompts=synthetic.prompts, **common
        )
    if synthetic.length_prompts:
        experiments["prompt_length"] = Experiment(
            title="Length",
            feeds=(Feeds.HEADLINE, Feeds.PROMPT_LENGTH),
            prompts=synthetic.length_prompts,
            ignore_eos=True,
            **common,
        )
    return {**experiments, **synthetic.experiments}


STUDY_SOURCE = GitSource(
    kind="git",
    repository="https://example.org/llama.cpp",
    commit="0827b2c1da299805288abbd556d869318f2b121e",
)
BACKENDS = {"m2": Backend.METAL, "jetson": Backend.CUDA, None: Backend.CPU}


def build_hardware(synthetic: Synthetic) -> HardwareFacts | None:
    """What the study's board shows, with its power mode and locked clocks."""
    if synthetic.hardware != "as said":
        return synthetic.hardware
    if not synthetic.like_the_study:
        return None
    return HardwareFacts(
        device="Synthetic Orin Nano Developer Kit",
        firmware=None,
        release=None,
        jetpack=None,
        kernel="6.1.0-synthetic",
        system=None,
        power_mode=PowerMode(id=0, name="15W"),
        clocks=(
            Clock(kind="device", name="GPU", minimum_hz=612_000_000, maximum_hz=612_000_000),
            Clock(kind="processor", name="5"),  # switched off
        ),
        swap=(SwapArea(name="/dev/zram0", size_bytes=4 * 10**9, used_bytes=0, priority=5),),
        fans=(),
        cooling=(),
        temps_c={},
    )


def build_engine(synthetic: Synthetic, pin: str) -> EngineBuild:
    engine = synthetic.engine if pin == synthetic.pin else f"{synthetic.engine}-{pin}"
    arms = {arm for each in build_experiments(synthetic).values() for arm in each.arms}
    is_judging = any(each.assesses for each in build_experiments(synthetic).values())
    probe = ProbeFacts(path="$CACHE/probe.so", sha256=sha256("probe"), build_key=sha256("key"))
    return EngineBuild(
        pin=pin,
        source=synthetic.source or STUDY_SOURCE
        if synthetic.like_the_study
        else DirectorySource(kind="directory", path="$CACHE"),
        source_sha256=sha256("source"),
        build_key=sha256(engine + "-key"),
        cmake={"GGML_NATIVE": "ON"},
        compiler=synthetic.compilers.get(pin, "synthetic compiler 1.0"),
        binary="$CACHE/llama-cli",
        files_sha256={"llama-cli": sha256(engine)},
        probe=probe if any(arm.is_probed for arm in arms) else None,
        tools_sha256={"llama-perplexity": sha256("perplexity")} if is_judging else {},
        why="made up for a test",
    )


def build_prompts(
    synthetic: Synthetic, experiments: Mapping[str, Experiment]
) -> dict[str, PlannedPrompt]:
    return {
        prompt_key(name, prompt): PlannedPrompt(
            id=prompt,
            set="length" if prompt in LENGTH_PROMPTS else "efficiency",
            category=prompt
            if prompt.startswith("items-")
            else LENGTH_PROMPTS.get(prompt, "general-qa"),
            words=len(synthetic.prompt_text.split()),
            text=f"{synthetic.prompt_text} ({prompt})",
            sha256=sha256(f"{synthetic.prompt_text} ({prompt})"),
        )
        for name, experiment in experiments.items()
        for prompt in experiment.prompts
    }


def digest_of_file(synthetic: Synthetic, model: str) -> str:
    """Return a digest that is made up, or that of the catalogue where the study's file ran."""
    entry = catalogue().get(model) if synthetic.like_the_study else None
    return entry.sha256 if entry is not None and entry.sha256 else sha256(model)


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, ModelEntry]:
    return read_study().configs.models.models


ENGINE = EngineFacts(
    devices=("CUDA0",),
    layers_offloaded=17,
    layers=17,
    context=None,
    batch=None,
    ubatch=None,
    threads=None,
    flash_attention=None,
    buffers=(),
)


def as_recorded(synthetic: Synthetic, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes of an end with what a run under the study's conditions records."""
    if not synthetic.like_the_study or changes.get("metrics") == {}:
        return dict(changes)
    engine = ENGINE.model_copy(
        update={"devices": ("Metal",) if synthetic.study_device == "m2" else ("CUDA0",)}
    )
    recorded: dict[str, Any] = {"engine": engine} | dict(changes)
    if "metrics" in recorded and "engine" not in changes:
        recorded["metrics"] = {"cooldown_s": 30.1} | dict(recorded["metrics"])
    return recorded


def build_models(synthetic: Synthetic) -> dict[str, PlannedModel]:
    return {
        model: PlannedModel(
            id=model,
            name=synthetic.names.get(model, f"{model} (synthetic)"),
            role="moe" if model.startswith("olmoe") else "dense-active-match",
            architecture="llama",
            path=f"$MODELS/{model}.gguf",
            file_name=f"{model}.gguf",
            file_bytes=FILE_BYTES[model],
            sha256=synthetic.model_sha256.get(model, digest_of_file(synthetic, model)),
            twin_scale=synthetic.twin_scale,
            parameters_total=FILE_BYTES[model] * 2,
            parameters_active=FILE_BYTES[model],
            bytes_per_token=FILE_BYTES[model] // 2,
            kv_bytes_per_token=1024,
            head_bytes_per_token=FILE_BYTES[model] // 16,
            parameters_multiplied=FILE_BYTES[model] - 1000,
            attention_flops_per_position=65536,
        )
        for model in synthetic.models
    }


def build_plan(synthetic: Synthetic) -> Plan:
    experiments = build_experiments(synthetic)
    return Plan(
        session=synthetic.session,
        target_id="synthetic-target",
        target=build_target(synthetic),
        threads=synthetic.threads,
        runtime="container" if synthetic.in_container else "native",
        appliance=ApplianceIdentity(version="0.0.0", git_head="f" * 40, git_dirty=False),
        engines={
            pin: build_engine(synthetic, pin)
            for pin in (synthetic.pin, *(p for e in experiments.values() for p in e.pins))
        },
        models=build_models(synthetic),
        prompts=build_prompts(synthetic, experiments),
        experiments=experiments,
        order_seed=1,
        runs=expand_runs(
            experiments,
            target="synthetic-target",
            pin=synthetic.pin,
            threads=synthetic.threads,
            seed=1,
            references=synthetic.references,
        ),
    )


def build_host(synthetic: Synthetic) -> HostFacts:
    return HostFacts(
        system="Linux",
        release="6.1.0-synthetic",
        machine="x86_64",
        hostname_sha256=sha256(synthetic.host_name),
        cpu_model=synthetic.cpu_model
        or ("Apple M2 Pro" if synthetic.like_the_study else "Synthetic CPU"),
        cores_physical=2,
        cores_logical=4,
        memory_bytes=synthetic.memory_bytes,
        swap_bytes=0,
        python="3.11.0",
        boot_id=None,
        governor=None,
        cgroup=None,
        in_container=synthetic.in_container,
    )


def build_period(plan: Plan, synthetic: Synthetic) -> PeriodRecord:
    return PeriodRecord(
        session=plan.session,
        plan_digest=plan.digest,
        started_utc="2026-01-02T03:04:05.000Z",
        appliance=plan.appliance,
        host=build_host(synthetic),
        hardware=build_hardware(synthetic),
    )


def build_header(plan: Plan, spec: RunSpec, attempt: int = 1) -> HeaderRecord:
    engine, model = plan.engines[spec.pin], plan.models[spec.model]
    return HeaderRecord(
        run_id=spec.id,
        attempt=attempt,
        spec=spec,
        argv=("llama-cli", "-m", model.path, "-n", str(spec.n_predict)),
        engine_sha256=engine.binary_sha256,
        engine_build_key=engine.build_key,
        model_sha256=model.sha256,
        model_file_bytes=model.file_bytes,
        model_twin_scale=model.twin_scale,
        prompt_sha256=plan.prompt_of(spec).sha256,
        image=plan.image,
        git_head=plan.appliance.git_head,
        started_utc="2026-01-02T03:04:05.000Z",
        start_mono_ns=1,
    )


def rate_of(spec: RunSpec) -> float:
    """Return the made-up rate: prompts differ by up to 11 tenths, repetitions by 0.02."""
    prompt = EFFICIENCY_PROMPTS.index(spec.prompt) if spec.prompt in EFFICIENCY_PROMPTS else 0
    slowdown = LENGTH_SLOWDOWN.get(spec.prompt, 1.0)
    return round(
        RATE_TOK_S.get(spec.model, 50.0) * slowdown - 0.1 * prompt + 0.02 * spec.repetition, 6
    )


def metrics_of(spec: RunSpec) -> dict[str, float]:
    size = FILE_BYTES[spec.model]
    return {
        "wall_s": 10.0,
        "gen_tok_s": rate_of(spec),
        "prompt_tok_s": 4 * rate_of(spec),
        "prompt_tokens": 12.0,
        "generated_tokens": float(spec.n_predict),
        "ttft_s": 0.5,
        "peak_rss_bytes": float(size + 400_000_000),
        "peak_rss_anon_bytes": 400_000_000.0,
        "peak_rss_file_bytes": float(size),
        "peak_rss_shmem_bytes": 0.0,
        "cpu_mean_pct": 198.0,
        "other_cpu_pct": 0.5,
        "model_file_bytes": float(size),
    }


def build_end(header: HeaderRecord, **changes: Any) -> EndRecord:
    values: dict[str, Any] = {
        "run_id": header.run_id,
        "attempt": header.attempt,
        "status": Status.OK,
        "exit_code": 0,
        "signal": None,
        "metrics": metrics_of(header.spec),
        "absent": {"mem_available_drop_bytes": "not on this host"},
        "windows": (),
        "caveats": (),
        "text_sha256": sha256("text"),
        "text_bytes": 4,
        "stderr_tail": "",
        "samples": None,
        "ended_utc": "2026-01-02T03:04:15.000Z",
    }
    return EndRecord(**(values | changes))


def failed(status: Status, detail: str, exit_code: int | None = 1) -> dict[str, Any]:
    """Return the changes of an end that did not go well."""
    return {"status": status, "detail": detail, "exit_code": exit_code, "metrics": {}, "absent": {}}


def with_caveat(code: str, text: str) -> dict[str, Any]:
    return {"caveats": (Caveat(code=code, text=text, numbers={"other_cpu_pct": 31.0}),)}


Changes = Callable[[int, RunSpec], Mapping[str, Any]]


def unchanged(index: int, spec: RunSpec) -> Mapping[str, Any]:
    return {}


def journal_lines(
    plan: Plan, synthetic: Synthetic, changes: Changes = unchanged, runs: int | None = None
) -> list[bytes]:
    """Return the lines of a journal that holds the first `runs` runs (default: all)."""
    lines = [record_line(build_period(plan, synthetic))]
    for index, spec in enumerate(plan.runs[:runs]):
        header = build_header(plan, spec)
        changed = as_recorded(synthetic, changes(index, spec))
        lines += [record_line(header), record_line(build_end(header, **changed))]
    return lines


def write_lines(folder: Path, plan: Plan, lines: Sequence[bytes]) -> Path:
    folder.mkdir(parents=True)
    (folder / PLAN_NAME).write_text(plan.model_dump_json(), encoding="utf-8")
    (folder / JOURNAL_NAME).write_bytes(b"".join(lines))
    return folder


def write_session(
    root: Path,
    synthetic: Synthetic | None = None,
    changes: Changes = unchanged,
    runs: int | None = None,
) -> Path:
    """Write a synthetic session below `root` and return its folder."""
    chosen = synthetic or Synthetic()
    plan = build_plan(chosen)
    return write_lines(
        root / chosen.session, plan, journal_lines(plan, chosen, changes=changes, runs=runs)
    )
