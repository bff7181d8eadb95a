"""Synthetic sessions for verdicts and audits: what a run reads is worked out from a few numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.audit import AuditFinding, audit
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    SessionEvidence,
    judge_claims,
)
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import Arm, Experiment, Feeds
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.studies import Study, read_study
from tests.analysis.journals import EFFICIENCY_PROMPTS, Synthetic, metrics_of, write_session

OLMOE, LLAMA, QWEN, GEMMA = "olmoe-1b-7b", "llama-3.2-1b", "qwen2.5-1.5b", "gemma-2-2b"
# The study's hardware and procedure with real models, so that limits apply in full.
JETSON = Synthetic(
    session="jetson",
    study_device="jetson",
    twin_scale=None,
    memory_bytes=8 * 10**9,
    bandwidth_gb_s=68.3,
    like_the_study=True,
)
M2 = replace(JETSON, session="m2", study_device="m2", memory_bytes=16 * 10**9, bandwidth_gb_s=200.0)
ELSEWHERE = Synthetic(session="elsewhere", twin_scale=None)
ROUTING = Experiment(
    title="Routing",
    feeds=(Feeds.ROUTING,),
    models=(OLMOE,),
    prompts=EFFICIENCY_PROMPTS,
    repetitions=3,
    n_predict=256,
    arms=(Arm.PLAIN, Arm.PROBE_BOUNDARY, Arm.PROBE_PER_NODE, Arm.PROBE_ROTATE),
)
SWEEP = Experiment(
    title="Threads",
    feeds=(Feeds.THREADS,),
    models=(OLMOE, LLAMA, QWEN, GEMMA),
    prompts=EFFICIENCY_PROMPTS[:3],
    repetitions=3,
    n_predict=256,
    threads=(4, 6, 8),
    order=Order.BLOCKED,
)
RATES = {LLAMA: 33.4, QWEN: 24.6, OLMOE: 22.9, GEMMA: 15.4}

Metrics = Callable[[RunSpec], Mapping[str, float]]


@lru_cache(maxsize=1)
def study() -> Study:
    return read_study()


def scatter(spec: RunSpec, prompts: float = 0.002, repetitions: float = 0.001) -> float:
    """Return a factor about 1: a model's own at each prompt, and one of each run."""
    of_prompt = Random(f"{spec.model} {spec.prompt}")
    of_run = Random(f"{spec.model} {spec.prompt} {spec.repetition}")
    return 1 + of_prompt.gauss(0, prompts) + of_run.gauss(0, repetitions)


def with_rates(rates: Mapping[str, float], more: Metrics = lambda _: {}) -> Metrics:
    return lambda spec: {"gen_tok_s": rates[spec.model] * scatter(spec), **more(spec)}


def evidence_of(
    root: Path,
    *sessions: tuple[Synthetic, Metrics],
    ends: Callable[[RunSpec], Mapping[str, Any]] = lambda _: {},
) -> SessionEvidence:
    """Return the evidence of sessions, each with what its runs read beyond the usual."""
    folders = []
    for synthetic, metrics in sessions:

        def changes(_: int, spec: RunSpec, metrics: Metrics = metrics) -> Mapping[str, Any]:
            return {"metrics": metrics_of(spec) | dict(metrics(spec))} | dict(ends(spec))

        folders.append(write_session(root, synthetic, changes))
    return SessionEvidence(load_sessions(folders), study())


class Judged(Mapping[str, ClaimVerdict]):
    """The verdicts of a study by claim, each judged when it is asked for."""

    def __init__(self, evidence: SessionEvidence) -> None:
        self._evidence = evidence
        self._known: dict[str, ClaimVerdict] = {}

    def __getitem__(self, name: str) -> ClaimVerdict:
        whole = self._evidence.study
        if name not in self._known:
            alone = copy(self._evidence)
            alone.study = replace(whole, claims={name: whole.claims[name]})
            (self._known[name],) = judge_claims(alone)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._evidence.study.claims)

    def __len__(self) -> int:
        return len(self._evidence.study.claims)


def judged(evidence: SessionEvidence) -> Judged:
    return Judged(evidence)


def audited(evidence: SessionEvidence) -> dict[str, AuditFinding]:
    return {finding.id: finding for finding in audit(evidence)}


def routing(spec: RunSpec) -> dict[str, float]:
    """Return the routing of a run of `ROUTING`: half of the prompts are long."""
    if spec.experiment != "router_overhead":
        return {}
    is_long = EFFICIENCY_PROMPTS.index(spec.prompt) >= len(EFFICIENCY_PROMPTS) // 2
    rates = {Arm.PLAIN: 22.9, Arm.PROBE_BOUNDARY: 22.5, Arm.PROBE_PER_NODE: 18.2}
    metrics = {
        "gen_tok_s": rates.get(spec.arm, 22.0) * scatter(spec),
        "prompt_tokens": 900.0 if is_long else 40.0,
    }
    if spec.arm in (Arm.PROBE_PER_NODE, Arm.PROBE_BOUNDARY):
        metrics |= {
            "routing_decode_s": 0.6 * scatter(spec),
            "routing_prompt_s": 0.05,
            "expert_ffn_decode_s": 6.5 * scatter(spec),
            "expert_ffn_prompt_s": 2.5 if is_long else 0.2,
            "probe_nodes_per_decode": 950.0,
            "probe_routing_nodes_per_decode": 96.0,
            "probe_projection_nodes_per_decode": 80.0,
            "probe_expert_nodes_per_decode": 336.0,
        }
    if spec.arm is Arm.PROBE_PER_NODE:
        for part in ("prompt", "decode"):
            metrics[f"expert_projections_{part}_s"] = metrics[f"expert_ffn_{part}_s"]
            metrics[f"expert_ffn_{part}_s"] *= 1.02  # weighting and sums
    if spec.arm is Arm.PROBE_ROTATE:
        metrics |= {"probe_slowdown_per_node_pct": 25.0 + spec.repetition}
    return metrics
