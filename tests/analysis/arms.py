"""Synthetic sessions with arms, pins, numbers of threads, energy and heat, by plain formulas.

Nothing here was measured. Every figure that a table shows of them can be worked out by hand from
the constants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgemoe_appliance.schema.configs import Arm, Experiment, Feeds
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Caveat, Status
from tests.analysis.journals import FILE_BYTES, Synthetic, rate_of, sha256

MOE, DENSE = "olmoe-1b-7b", "llama-3.2-1b"
OLD, NEW = "b4447", "b5763"
# Of each prompt by its number: two short ones, one between the study's classes, two long ones.
PROMPT_TOKENS = {"prompt-01": 100, "prompt-02": 100, "prompt-03": 300}
LONG_TOKENS = 600
THREAD_FACTORS = {4: 0.9, 6: 0.98, 8: 1.0}
PIN_FACTOR = 1.25
# Time per token with a mode of the probe over that without.
SLOWDOWNS = {Arm.PROBE_PER_NODE: 1.5, Arm.PROBE_BOUNDARY: 1.1}
# Seconds of routing and of the experts in generation. For every hundred tokens of the prompt its
# pass takes a twentieth of the routing and a tenth of the experts.
ROUTING_S = {Arm.PROBE_PER_NODE: (0.6, 2.4), Arm.PROBE_BOUNDARY: (0.5, 2.5)}
ANONYMOUS_BYTES = 400_000_000
UNKNOWN_NODES = Caveat(
    code="probe-unknown-nodes",
    text="nodes that the probe does not know count as other: extra-0, extra-1",
    numbers={"nodes": 2.0},
)


def experiment(feeds: Feeds, **changes: Any) -> Experiment:
    values: dict[str, Any] = {
        "title": feeds.value,
        "feeds": (feeds,),
        "models": (MOE, DENSE),
        "prompts": ("prompt-01", "prompt-02", "prompt-03"),
        "repetitions": 3,
        "n_predict": 256,
    }
    return Experiment(**(values | changes))


ROUTING = experiment(
    Feeds.ROUTING,
    models=(MOE,),
    prompts=(*PROMPT_TOKENS, "prompt-11", "prompt-12"),
    arms=(Arm.PLAIN, Arm.PROBE_BOUNDARY, Arm.PROBE_PER_NODE, Arm.PROBE_ROTATE),
)
MEMORY = experiment(Feeds.MEMORY, prompts=("prompt-01",), arms=(Arm.PLAIN, Arm.NO_MMAP))
ENGINE = experiment(Feeds.ENGINE, pins=(OLD, NEW))
THREADS = experiment(Feeds.THREADS, threads=tuple(THREAD_FACTORS))
HEADLINE = experiment(Feeds.HEADLINE)


def session(**changes: Any) -> Synthetic:
    """Return a session without the usual two experiments."""
    values: dict[str, Any] = {"models": (MOE, DENSE), "prompts": (), "length_prompts": ()}
    return Synthetic(**(values | changes))


def everything() -> Synthetic:
    """Return a session of all experiments."""
    experiments = {
        "headline": HEADLINE,
        "routing": ROUTING,
        "memory": MEMORY,
        "engine": ENGINE,
        "threads": THREADS,
    }
    return session(experiments=experiments)


def rate(spec: RunSpec) -> float:
    """Return the generation rate of a run."""
    slowdown = SLOWDOWNS.get(spec.arm, 1.0)
    factor = THREAD_FACTORS.get(spec.threads, 1.0) if spec.experiment == "threads" else 1.0
    pin = PIN_FACTOR if spec.pin == NEW else 1.0
    return rate_of(spec) * factor * pin / slowdown


def outcome(_: int, spec: RunSpec) -> Mapping[str, Any]:
    """Return how a run ended, as `write_session` takes it."""
    metrics = {**times(spec), **memory(spec), **energy(spec), **heat(spec), **routing(spec)}
    caveats = (UNKNOWN_NODES,) if spec.arm in SLOWDOWNS else ()
    if spec.experiment == "headline" and spec.model == DENSE and spec.repetition == 1:
        caveats = (Caveat(code="footer-stream", text="they disagree", numbers={}),)
    text = f"{spec.model} {spec.prompt}" + (" new" if _differs(spec) else "")
    return {"metrics": metrics, "absent": ABSENT, "caveats": caveats, "text_sha256": sha256(text)}


def _differs(spec: RunSpec) -> bool:
    """Return whether the new pin generates another text: one prompt of the MoE model."""
    return spec.pin == NEW and spec.model == MOE and spec.prompt == "prompt-02"


ABSENT = {"nvmap_peak_bytes": "this kernel has no NvMapMemUsed"}


def failing(model: str) -> Any:
    """Return outcomes of which all of a model are out of memory."""

    def choose(index: int, spec: RunSpec) -> Mapping[str, Any]:
        if spec.model == model:
            return {"status": Status.OOM, "detail": "killed", "exit_code": 1, "metrics": {}}
        return outcome(index, spec)

    return choose


def times(spec: RunSpec) -> dict[str, float]:
    tokens = PROMPT_TOKENS.get(spec.prompt, LONG_TOKENS)
    own = rate(spec)
    return {
        "wall_s": 10.0 + spec.repetition,
        "load_s": 2.0,
        "ttft_s": 2.5,
        "prompt_tokens": float(tokens),
        "prompt_eval_s": tokens / (4 * own),
        "prompt_tok_s": 4 * own,
        "generated_tokens": float(spec.n_predict),
        "eval_s": spec.n_predict / own,
        "gen_tok_s": own,
        "gap_median_ms": 20.0,
        "gap_p95_ms": 25.0,
        "gap_p99_ms": 30.0 + spec.repetition,
    }


def memory(spec: RunSpec) -> dict[str, float]:
    size = FILE_BYTES[spec.model]
    mapped = 0 if spec.arm is Arm.NO_MMAP else size
    return {
        "peak_rss_bytes": float(size + ANONYMOUS_BYTES),
        "peak_rss_anon_bytes": float(ANONYMOUS_BYTES + size - mapped),
        "peak_rss_file_bytes": float(mapped),
        "peak_rss_shmem_bytes": 0.0,
        "peak_process_swap_bytes": 0.0,
        "mem_available_drop_bytes": float(ANONYMOUS_BYTES + size - mapped),
        "cgroup_peak_bytes": float(size + ANONYMOUS_BYTES),
        "cgroup_peak_anon_bytes": float(ANONYMOUS_BYTES + size - mapped),
        "cgroup_peak_file_bytes": float(size),
        "cgroup_peak_kernel_bytes": 1e6,
        "cgroup_peak_swap_bytes": 0.0,
        "peak_rss_at_s": 3.0,
    }


def energy(spec: RunSpec) -> dict[str, float]:
    if spec.experiment not in ("headline", "engine"):
        return {}
    generated_j = 5.0 * spec.n_predict / rate(spec)
    return {
        "energy_load_j": 8.0,
        "energy_prompt_j": 6.0,
        "energy_generate_j": generated_j,
        "energy_unload_j": 0.5,
        "energy_process_j": 14.5 + generated_j,
        "energy_generate_u95_j": 0.2,
        "energy_process_u95_j": 0.3,
        "power_idle_w": 2.0,
        "power_load_w": 4.0,
        "power_prompt_w": 6.0,
        "power_generate_w": 5.0,
        "power_process_w": 4.8,
        "power_peak_generate_w": 6.0 + spec.repetition,
        "power_peak_process_w": 8.0 + spec.repetition,
        "j_per_token_gross": 5.0 / rate(spec),
        "j_per_token_gross_u95": 0.001,
        "j_per_token_net": 3.0 / rate(spec),
        "j_per_token_net_u95": 0.002,
        "j_per_token_study": 6.0 / rate(spec),
        "power_study_w": 4.7,
        "power_study_peak_w": 8.0 + spec.repetition,
        "energy_cross_diff_pct": -1.5,
    }


def heat(spec: RunSpec) -> dict[str, float]:
    return {
        "temp_start_c": 40.0,
        "temp_peak_c": 50.0 + 4 * spec.repetition,
        "temp_end_c": 45.0,
        "throttle_events": float(spec.repetition == 3),
        "cooldown_s": 30.0,
    }


def routing(spec: RunSpec) -> dict[str, float]:
    if spec.arm is Arm.PROBE_ROTATE:
        return {
            "probe_slowdown_per_node_pct": 50.0 + spec.repetition,
            "probe_slowdown_boundary_pct": 10.0 + spec.repetition,
            "routing_share_decode_per_node_pct": 18.0,
            "routing_share_decode_boundary_pct": 16.0,
            "routing_share_projections_decode_per_node_pct": 21.0,
            "probe_sync_s": 2e-6 + 1e-8 * spec.repetition,
            "routing_share_decode_unsynced_pct": 12.0,
            "routing_share_projections_decode_unsynced_pct": 15.0,
            "routing_share_decode_boundary_high_pct": 17.0,
        }
    if spec.arm not in ROUTING_S:
        return {}
    routing_s, experts_s = ROUTING_S[spec.arm]
    prompt = PROMPT_TOKENS.get(spec.prompt, LONG_TOKENS) / 1000
    counted = counted_nodes(spec, experts_s, prompt) if spec.arm is Arm.PROBE_PER_NODE else {}
    return {
        **counted,
        "routing_decode_s": routing_s,
        "expert_ffn_decode_s": experts_s,
        "routing_prompt_s": routing_s * prompt / 2,
        "expert_ffn_prompt_s": experts_s * prompt,
        "routing_share_decode_median_pct": 100 * routing_s / (routing_s + experts_s),
        "probe_unknown_nodes": 2.0,
    }


def counted_nodes(spec: RunSpec, experts_s: float, prompt: float) -> dict[str, float]:
    """Return what timing every node tells: five sixths of the experts' time are projections."""
    return {
        "expert_projections_decode_s": experts_s * 5 / 6,
        "expert_projections_prompt_s": experts_s * prompt * 5 / 6,
        "routing_moved_decode_s": 0.09,
        "routing_moved_prompt_s": 0.03 * prompt,
        "probe_nodes_per_decode": 124.0,
        "probe_routing_nodes_per_decode": 12.0,
        "probe_projection_nodes_per_decode": 10.0,
        "probe_expert_nodes_per_decode": 42.0,
        "experts_per_layer": 64.0,
        "experts_distinct_decode": 50.0,
        "experts_distinct_prompt": 60.0,
        "experts_entropy_decode_bits": 5.0 + 0.1 * spec.repetition,
        "experts_entropy_prompt_bits": 5.5,
        "experts_reuse_decode_pct": 30.0,
        "experts_reuse_prompt_pct": 20.0,
    }
