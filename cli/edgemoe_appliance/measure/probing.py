"""Probe arms: the routing probe loaded into the engine, and its report as metrics and caveats.

A report that is missing or cannot be read takes nothing from the run but the probe's own figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from edgemoe_appliance.engine.account import Account
from edgemoe_appliance.engine.probe import (
    MAX_REPORT_BYTES,
    CallMode,
    LayerChoice,
    NodeClass,
    PassFigures,
    PassKind,
    ProbeMode,
    ProbeReport,
    parse_probe_report,
    probe_environment,
)
from edgemoe_appliance.engine.probe_build import ProbeBuild, read_probe
from edgemoe_appliance.errors import DigestError, RecordError
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.schema.configs import Arm, Backend
from edgemoe_appliance.schema.plan import Plan
from edgemoe_appliance.schema.records import Caveat, ExpertUse, LayerUse
from edgemoe_appliance.schema.text import on_one_line
from edgemoe_appliance.schema.units import seconds

_MODES: Final = {
    Arm.PROBE_PER_NODE: ProbeMode.PER_NODE,
    Arm.PROBE_BOUNDARY: ProbeMode.BOUNDARY,
    Arm.PROBE_ROTATE: ProbeMode.ROTATE,
}
_DECODE_TIMES: Final = {
    NodeClass.ROUTING: "routing_decode_s",
    NodeClass.EXPERT_FFN: "expert_ffn_decode_s",
    NodeClass.ATTENTION: "attention_decode_s",
    NodeClass.HEAD: "head_decode_s",
    NodeClass.OTHER: "other_decode_s",
}
_PROMPT_TIMES: Final = {
    NodeClass.ROUTING: "routing_prompt_s",
    NodeClass.EXPERT_FFN: "expert_ffn_prompt_s",
}
# Of the nodes that the study counted, and of those that boundary mode charges elsewhere.
_PROJECTIONS: Final = {
    PassKind.DECODE: "expert_projections_decode_s",
    PassKind.PROMPT: "expert_projections_prompt_s",
}
_MOVED: Final = {
    PassKind.DECODE: "routing_moved_decode_s",
    PassKind.PROMPT: "routing_moved_prompt_s",
}
_SHARES: Final = {
    PassKind.DECODE: "routing_share_decode_pct",
    PassKind.PROMPT: "routing_share_prompt_pct",
}
_MEDIAN_SHARE: Final = "routing_share_decode_median_pct"
_NODES: Final = "probe_nodes_per_decode"
_NODES_OF: Final = {
    NodeClass.ROUTING: "probe_routing_nodes_per_decode",
    NodeClass.EXPERT_FFN: "probe_expert_nodes_per_decode",
}
_PROJECTION_NODES: Final = "probe_projection_nodes_per_decode"
_UNKNOWN: Final = "probe_unknown_nodes"
_SLOWDOWNS: Final = {
    CallMode.PER_NODE: "probe_slowdown_per_node_pct",
    CallMode.BOUNDARY: "probe_slowdown_boundary_pct",
}
_ROTATED_SHARES: Final = {
    CallMode.PER_NODE: "routing_share_decode_per_node_pct",
    CallMode.BOUNDARY: "routing_share_decode_boundary_pct",
}
_PROJECTION_SHARE: Final = "routing_share_projections_decode_per_node_pct"
_SYNC: Final = "probe_sync_s"
_UNSYNCED: Final = {
    False: "routing_share_decode_unsynced_pct",
    True: "routing_share_projections_decode_unsynced_pct",
}
_BOUNDARY_HIGH: Final = "routing_share_decode_boundary_high_pct"
_EXPERTS: Final = "experts_per_layer"
_DISTINCT: Final = {
    PassKind.DECODE: "experts_distinct_decode",
    PassKind.PROMPT: "experts_distinct_prompt",
}
_ENTROPY: Final = {
    PassKind.DECODE: "experts_entropy_decode_bits",
    PassKind.PROMPT: "experts_entropy_prompt_bits",
}
_REUSE: Final = {
    PassKind.DECODE: "experts_reuse_decode_pct",
    PassKind.PROMPT: "experts_reuse_prompt_pct",
}
_EXPERT_KEYS: Final = (_EXPERTS, *_DISTINCT.values(), *_ENTROPY.values(), *_REUSE.values())
PROBE_KEYS: Final = (
    *_DECODE_TIMES.values(),
    *_PROMPT_TIMES.values(),
    *_SHARES.values(),
    _MEDIAN_SHARE,
    _NODES,
    _UNKNOWN,
    *_SLOWDOWNS.values(),
    *_ROTATED_SHARES.values(),
    *_PROJECTIONS.values(),
    *_MOVED.values(),
    *_NODES_OF.values(),
    _PROJECTION_NODES,
    _PROJECTION_SHARE,
    _SYNC,
    *_UNSYNCED.values(),
    _BOUNDARY_HIGH,
    *_EXPERT_KEYS,
)
_CUDA_GRAPHS: Final = (
    "this build computes an unwatched decode as one CUDA graph, and fuses routing's nodes in it: a "
    "watched one is launched node by node, so times of nodes and slowdowns hold launches that runs "
    "without a probe save; after four changes of the graph the engine gives CUDA graphs up for the "
    "rest of the run, so in a rotation the bare decodes may lack them too"
)
_METAL_ORDER: Final = (
    "Metal reorders and fuses the nodes of an unwatched decode and lets them overlap, and does not "
    "do so with a watched one: times of nodes do not add up to the unwatched decode, and slowdowns "
    "hold what overlapping saves"
)
_MAX_NAMES_CHARS: Final = 400
_OLDER: Final = "the probe is of a version that did not count them"


def read_probes(plan: Plan) -> dict[str, ProbeBuild]:
    """Return the probe of each engine that a run of the plan probes.

    Raises DigestError where one is not the planned one, HostError where it is not there.
    """
    pins = {run.pin for run in plan.runs if run.arm.is_probed}
    probes: dict[str, ProbeBuild] = {}
    for pin in sorted(pins):
        facts = plan.engines[pin].probe
        if facts is None:
            raise ValueError(f"a plan without the probe of {pin}")
        probe = read_probe(Path(facts.path).parent)
        if probe.sha256 != facts.sha256:
            raise DigestError(
                f"the probe has sha256 {probe.sha256[:16]}..., planned was {facts.sha256[:16]}...",
                where=facts.path,
                hint="build the engine again",
            )
        probes[pin] = probe
    return probes


def probe_variables(probe: ProbeBuild, arm: Arm, report: Path) -> dict[str, str]:
    """Return the variables that load a probe for an arm and make it write to `report`."""
    return probe_environment(probe, _MODES[arm], report)


def read_report(report: Path) -> bytes | None:
    """Return what a probe wrote, at most one byte more than it ever writes; None for nothing."""
    try:
        with report.open("rb") as file:
            return file.read(MAX_REPORT_BYTES + 1) or None
    except OSError:
        return None


def put_probe(
    readings: Readings, content: bytes | None
) -> tuple[tuple[Caveat, ...], ExpertUse | None]:
    """Put the figures of a report; return its caveats and the use of experts by layer."""
    try:
        if content is None:
            raise RecordError("the probe wrote none")
        report = parse_probe_report(content, "report")
    except RecordError as error:
        reason = f"no report of the probe: {error}"
        readings.put_absent(PROBE_KEYS, reason)
        return (Caveat(code="probe-report", text=reason),), None
    _put_times(readings, report)
    _put_counted(readings, report)
    _put_rotated(readings, report)
    _put_unsynced(readings, report)
    _put_experts(readings, report)
    readings.put(_UNKNOWN, float(len(report.head.unknown)), "")
    return _check_report(report), _expert_use(report)


def check_backend(backend: Backend, account: Account) -> tuple[Caveat, ...]:
    """Return a caveat where a backend computes a watched graph in another way than others.

    Sources: evaluate_and_capture_cuda_graph and its limit of consecutive updates in ggml-cuda.cu;
    ggml_graph_optimize of ggml-metal, and GGML_METAL_GRAPH_OPTIMIZE_DISABLE.
    """
    text = None
    if account.cuda_graphs:
        text = _CUDA_GRAPHS
    elif backend is Backend.METAL:
        text = _METAL_ORDER
    return () if text is None else (Caveat(code="probe-backend", text=text),)


def _put_times(readings: Readings, report: ProbeReport) -> None:
    is_turning = report.head.mode is ProbeMode.ROTATE
    none = "the modes take turns in this arm" if is_turning else "no such pass was timed"
    reason = report.routing_absence or none
    for figures, kind, times in (
        (report.decode, PassKind.DECODE, _DECODE_TIMES),
        (report.prompt, PassKind.PROMPT, _PROMPT_TIMES),
    ):
        for cls, key in times.items():
            has_time = figures is not None and figures.charged[cls] > 0
            time_s = seconds(figures.class_ns[cls]) if figures and has_time else None
            readings.put(key, time_s, reason)
        share = None if figures is None else figures.routing_share
        readings.put(_SHARES[kind], None if share is None else 100 * share, reason)
    median = None if report.decode is None else report.decode.median_routing_share
    readings.put(_MEDIAN_SHARE, None if median is None else 100 * median.value, reason)


def _put_counted(readings: Readings, report: ProbeReport) -> None:
    """Put the times that only a timing of every node tells, and how many nodes of which kind."""
    is_own = report.head.mode is ProbeMode.PER_NODE
    other = _OLDER if is_own else f"only the arm {Arm.PROBE_PER_NODE.value} tells"
    reason = report.routing_absence or other
    for figures, kind in ((report.decode, PassKind.DECODE), (report.prompt, PassKind.PROMPT)):
        is_moe = figures is not None and figures.nodes[NodeClass.ROUTING] > 0
        for key, time_ns in (
            (_PROJECTIONS[kind], figures.projections_ns if figures and is_moe else None),
            (_MOVED[kind], figures.moved_ns if figures and is_moe else None),
        ):
            readings.put(key, None if time_ns is None else seconds(time_ns), reason)
    decodes, none = _timed_decodes(report), "no decode was timed"
    per_call = {} if decodes is None else decodes.nodes_per_call
    readings.put(_NODES, sum(per_call.values()) if per_call else None, none)
    for cls, key in _NODES_OF.items():
        readings.put(key, per_call.get(cls), none)
    projections = None if decodes is None else decodes.projections_per_call
    readings.put(_PROJECTION_NODES, projections, none if decodes is None else _OLDER)


def _timed_decodes(report: ProbeReport) -> PassFigures | None:
    return report.decode or report.figures(PassKind.DECODE, CallMode.PER_NODE)


def _put_rotated(readings: Readings, report: ProbeReport) -> None:
    """Put what only rotated modes tell: the cost of each mode, and its share at that cost."""
    is_turning = report.head.mode is ProbeMode.ROTATE
    other_arm = f"only the arm {Arm.PROBE_ROTATE.value} tells"
    for mode, key in _SLOWDOWNS.items():
        ratio = report.slowdown(mode)
        reason = "too few decodes" if is_turning else other_arm
        readings.put(key, None if ratio is None else 100 * (ratio.value - 1), reason)
    for mode, key in _ROTATED_SHARES.items():
        figures = report.figures(PassKind.DECODE, mode) if is_turning else None
        share = None if figures is None else figures.median_routing_share
        reason = (report.routing_absence or "too few decodes") if is_turning else other_arm
        readings.put(key, None if share is None else 100 * share.value, reason)


def _put_unsynced(readings: Readings, report: ProbeReport) -> None:
    """Put the cost of a synchronisation, and what shares are without it, from rotated modes."""
    is_turning = report.head.mode is ProbeMode.ROTATE
    other_arm = f"only the arm {Arm.PROBE_ROTATE.value} tells"
    few = report.routing_absence or "too few decodes"
    cost = report.sync_ns
    readings.put(
        _SYNC,
        None if cost is None else cost.value / 1e9,
        "too few decodes" if is_turning else other_arm,
    )
    fails = (
        few
        if cost is None or report.routing_absence
        else "the cost of a synchronisation is not resolved, or the nodes cannot hold it"
    )
    for projections_only, key in _UNSYNCED.items():
        share = report.unsynced_share(projections_only=projections_only)
        readings.put(
            key, None if share is None else 100 * share, fails if is_turning else other_arm
        )
    figures = report.figures(PassKind.DECODE, CallMode.PER_NODE) if is_turning else None
    median = None if figures is None else figures.median_projection_share
    bounds = report.boundary_share_bounds
    for key, part in (
        (_PROJECTION_SHARE, None if median is None else median.value),
        (_BOUNDARY_HIGH, None if bounds is None else bounds[1]),
    ):
        readings.put(key, None if part is None else 100 * part, few if is_turning else other_arm)


def _put_experts(readings: Readings, report: ProbeReport) -> None:
    """Put which experts were chosen, as means over the layers that computed every token."""
    is_own = report.head.mode is ProbeMode.PER_NODE
    reason = f"only the arm {Arm.PROBE_PER_NODE.value} reads them"
    if is_own:
        reason = report.routing_absence or "the chosen experts could not be read"
    experts = float(len(report.choices[0].counts)) if report.choices else None
    readings.put(_EXPERTS, experts, reason)
    for kind in PassKind:
        layers = _whole_layers([each for each in report.choices if each.chosen_in is kind])
        if report.choices:
            reason = "no such pass" if not layers else "no token follows another"
        reuses = [100 * layer.reuse for layer in layers if layer.reuse is not None]
        readings.put(_DISTINCT[kind], _mean([layer.distinct for layer in layers]), reason)
        readings.put(_ENTROPY[kind], _mean([layer.entropy_bits for layer in layers]), reason)
        readings.put(_REUSE[kind], _mean(reuses), reason)


def _whole_layers(layers: Sequence[LayerChoice]) -> Sequence[LayerChoice]:
    """Return the layers that saw most tokens: the last one computes a prompt's last token only."""
    most = max((layer.tokens for layer in layers), default=0)
    return [layer for layer in layers if layer.tokens == most]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _expert_use(report: ProbeReport) -> ExpertUse | None:
    if not report.choices:
        return None
    prompt, decode = (
        tuple(_layer_use(each) for each in report.choices if each.chosen_in is kind)
        for kind in (PassKind.PROMPT, PassKind.DECODE)
    )
    return ExpertUse(prompt=prompt, decode=decode)


def _layer_use(choice: LayerChoice) -> LayerUse:
    return LayerUse(
        layer=choice.layer,
        experts=len(choice.counts),
        tokens=choice.tokens,
        distinct=choice.distinct,
        entropy_bits=choice.entropy_bits,
        reuse=choice.reuse,
    )


def _check_report(report: ProbeReport) -> tuple[Caveat, ...]:
    caveats: list[Caveat] = []
    if report.head.failures:
        codes = ", ".join(failure.code for failure in report.head.failures)
        caveats.append(Caveat(code="probe-failed", text=f"the probe could not do all: {codes}"))
    if report.head.unknown:
        names = on_one_line(", ".join(node.name for node in report.head.unknown), _MAX_NAMES_CHARS)
        nodes = float(sum(node.nodes for node in report.head.unknown))
        text = f"nodes that the probe does not know count as other: {names}"
        caveats.append(Caveat(code="probe-unknown-nodes", text=text, numbers={"nodes": nodes}))
    return tuple(caveats)
