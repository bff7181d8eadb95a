"""The reading of the probe's reports, the figures from them, and what asks for a probe."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from edgemoe_appliance.engine.probe import (
    MAX_REPORT_BYTES,
    CallMode,
    NodeClass,
    PassKind,
    ProbeMode,
    ProbeReport,
    parse_probe_report,
    probe_environment,
)
from edgemoe_appliance.engine.probe_build import ProbeBuild, ProbeDescription
from edgemoe_appliance.errors import HostError, RecordError

CAPTURED = Path(__file__).parent / "probe_captured"


def _some_build(library: str) -> ProbeBuild:
    digest = "0" * 64
    return ProbeBuild(
        library=Path(library),
        description=ProbeDescription(
            key=digest,
            headers_sha256=digest,
            probe_sha256=digest,
            compiler="c++ 1",
            library_sha256=digest,
        ),
    )


def test_the_environment_loads_the_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    build, out = _some_build("/opt/probe.so"), Path("/data/report.jsonl")
    monkeypatch.setattr("sys.platform", "linux")
    assert probe_environment(build, ProbeMode.BOUNDARY, out) == {
        "LD_PRELOAD": "/opt/probe.so",
        "EDGEMOE_PROBE_MODE": "boundary",
        "EDGEMOE_PROBE_OUT": "/data/report.jsonl",
    }
    monkeypatch.setattr("sys.platform", "darwin")
    assert "DYLD_INSERT_LIBRARIES" in probe_environment(build, ProbeMode.OFF, out)


@pytest.mark.parametrize("library", ["/opt/a b/probe.so", "/opt/a:b/probe.so"])
def test_a_path_the_loader_would_split_is_refused(library: str) -> None:
    with pytest.raises(HostError, match="space or a colon"):
        probe_environment(_some_build(library), ProbeMode.OFF, Path("/data/report.jsonl"))


# ---- captured reports: written by the library in b4404 and b4447 ----


def _content(name: str) -> bytes:
    return (CAPTURED / f"{name}.jsonl").read_bytes()


def _captured(name: str) -> ProbeReport:
    return parse_probe_report(_content(name), name)


def test_the_captured_reports_have_no_failures() -> None:
    names = sorted(path.stem for path in CAPTURED.glob("*.jsonl"))
    assert len(names) == 8
    for name in names:
        assert _captured(name).head.failures == ()
        assert _captured(name).head.unknown == ()


def test_the_sums_are_those_of_the_lines() -> None:
    rows = [json.loads(line) for line in _content("b4404-olmoe-tiny-per-node").splitlines()[1:]]
    decodes = [row for row in rows if row["kind"] == "decode"]
    decode = _captured("b4404-olmoe-tiny-per-node").decode
    assert decode is not None
    routing, experts = (sum(row["class_ns"][i] for row in decodes) for i in (0, 1))
    assert decode.routing_share == routing / (routing + experts)
    assert decode.wall_ns == sum(row["wall_ns"] for row in decodes)
    assert decode.outside_graph_ns == decode.wall_ns - sum(sum(r["class_ns"]) for r in decodes)


def test_a_class_that_got_no_node_has_no_share() -> None:
    decode = _captured("b4447-olmoe-tiny-boundary").decode
    assert decode is not None
    assert decode.nodes[NodeClass.OTHER] > 0
    assert NodeClass.OTHER not in decode.class_shares


def test_a_passive_probe_keeps_the_log_of_calls() -> None:
    report = _captured("b4447-olmoe-tiny-off")
    assert [call.kind for call in report.calls] == [PassKind.PROMPT, *[PassKind.DECODE] * 3]
    assert report.prompt is None
    assert report.decode is None
    assert report.routing_absence == "the probe was loaded but off"


def test_an_interrupted_report_has_its_finished_calls() -> None:
    report = _captured("b4447-olmoe-tiny-interrupted")
    assert report.decode is not None
    assert report.decode.calls == report.head.decodes - 1


def test_a_dense_report_gives_its_reason() -> None:
    report = _captured("b4447-llama-tiny-per-node")
    assert report.decode is not None
    assert report.decode.routing_share is None
    assert report.decode.median_routing_share is None
    assert report.routing_absence == "the model has no routing nodes: it is dense"


def test_the_full_size_model_in_rotation() -> None:
    report = _captured("b4447-olmoe-full-rotate")
    figures = report.figures(PassKind.DECODE, CallMode.PER_NODE)
    assert figures is not None
    assert report.decode is None  # no single mode is the report's own
    assert figures.nodes_per_call == {
        NodeClass.ROUTING: 96,
        NodeClass.EXPERT_FFN: 336,
        NodeClass.ATTENTION: 434,
        NodeClass.HEAD: 3,
        NodeClass.OTHER: 81,
    }
    assert figures.syncs == 950 * figures.calls
    assert figures.moved_nodes == 0
    slowdown = report.slowdown(CallMode.PER_NODE)
    assert slowdown is not None
    assert slowdown.n == figures.calls
    assert report.slowdown(CallMode.PER_NODE, PassKind.PROMPT) is None  # one prompt is no block


# ---- slowdown, from reports with a known one ----


def _head(mode: str, calls: int) -> dict[str, object]:
    head: dict[str, object] = json.loads(_content("b4447-olmoe-tiny-off").splitlines()[0])
    return {**head, "mode": mode, "decodes": calls}


def _call(mode: str, wall_ns: int, **changed: object) -> dict[str, object]:
    call: dict[str, object] = {"kind": "decode", "mode": mode, "tokens": 1, "result": 0}
    call |= {"start_ns": 1, "wall_ns": wall_ns, "timed": mode != "bare"}
    if mode != "bare":
        call |= {"graphs": 1, "syncs": 5, "class_ns": [1, 1, 1, 1, 1]}
        call |= {"nodes": [1, 1, 1, 1, 1], "charged": [1, 1, 1, 1, 1]}
    return {**call, **changed}


def _document(head: dict[str, object], calls: list[dict[str, object]]) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in [head, *calls])


def _rotated(blocks: list[list[dict[str, object]]], mode: str = "rotate") -> ProbeReport:
    calls = [call for block in blocks for call in block]
    return parse_probe_report(_document(_head(mode, len(calls)), calls), "made up")


def _block(scale: int) -> list[dict[str, object]]:
    lengths = {"bare": 1000, "boundary": 1010, "per-node": 1250}
    return [_call(mode, scale * length) for mode, length in lengths.items()]


def test_drift_between_blocks_does_not_touch_the_slowdown() -> None:
    report = _rotated([_block(scale) for scale in range(50, 150)])
    for mode, expected in ((CallMode.BOUNDARY, 1.01), (CallMode.PER_NODE, 1.25)):
        slowdown = report.slowdown(mode)
        assert slowdown is not None
        assert slowdown.n == 100
        assert (slowdown.low, slowdown.value, slowdown.high) == (expected, expected, expected)


def test_the_interval_is_of_order_statistics() -> None:
    blocks = [
        [_call("bare", 1000), _call("per-node", 1000 + i), _call("boundary", 1000)]
        for i in range(100)
    ]
    slowdown = _rotated(blocks).slowdown(CallMode.PER_NODE)
    assert slowdown is not None
    assert slowdown.value == pytest.approx(1.0495)
    assert (slowdown.low, slowdown.high) == (1.039, 1.06)  # ranks 40 and 61 of 100


def test_calls_that_were_disturbed_move_the_sum_but_not_the_median() -> None:
    quiet = [_call("per-node", 2000, class_ns=[10, 990, 1, 1, 1]) for _ in range(20)]
    disturbed = [_call("per-node", 9000, class_ns=[4000, 1000, 1, 1, 1]) for _ in range(4)]
    content = _document(_head("per-node", 24), [*quiet, *disturbed])
    decode = parse_probe_report(content, "made up").decode
    assert decode is not None
    assert decode.routing_share == pytest.approx(16200 / 40000)
    share = decode.median_routing_share
    assert share is not None
    assert (share.n, share.low, share.value, share.high) == (24, 0.01, 0.01, 0.01)


def test_too_few_blocks_have_no_interval() -> None:
    slowdown = _rotated([_block(9)] * 5).slowdown(CallMode.PER_NODE)
    assert slowdown is not None
    assert (slowdown.low, slowdown.high) == (None, None)


def test_a_failed_call_spoils_its_block_only() -> None:
    broken = _block(9)
    broken[1]["result"] = 1
    slowdown = _rotated([_block(9), broken, _block(9)]).slowdown(CallMode.BOUNDARY)
    assert slowdown is not None
    assert slowdown.n == 2


def test_modes_that_were_not_rotated_are_not_compared() -> None:
    assert _rotated([_block(9)] * 9, mode="boundary").slowdown(CallMode.BOUNDARY) is None
    assert _rotated([_block(9)] * 9).slowdown(CallMode.BARE) is None
    assert _captured("b4404-olmoe-tiny-per-node").slowdown(CallMode.PER_NODE) is None


def test_a_failed_call_is_in_no_sum() -> None:
    head, calls = _head("per-node", 2), [_call("per-node", 50), _call("per-node", 70, result=1)]
    decode = parse_probe_report(_document(head, calls), "made up").decode
    assert decode is not None
    assert (decode.calls, decode.wall_ns) == (1, 50)


# ---- the study's nodes, the cost of a synchronisation, the bracket of boundary mode ----


# Ten routing nodes of 100 ns, ten projections of 900 ns and ten other expert nodes of 90 ns; each
# synchronisation costs 50 ns on top. Boundary mode has three of them, and charges two of routing's
# nodes to the experts.
_PER_NODE = {
    "syncs": 30,
    "class_ns": [10 * 150, 10 * 950 + 10 * 140, 0, 0, 0],
    "nodes": [10, 20, 0, 0, 0],
    "charged": [10, 20, 0, 0, 0],
    "class_syncs": [10, 20, 0, 0, 0],
    "projections": 10,
    "projections_ns": 10 * 950,
    "moved_ns": 2 * 150,
    "reading_ns": 7777,
}
_BOUNDARY = {
    "syncs": 3,
    "class_ns": [8 * 100 + 50, 2 * 100 + 9000 + 900 + 100, 0, 0, 0],
    "nodes": [10, 20, 0, 0, 0],
    "charged": [8, 22, 0, 0, 0],
    "class_syncs": [1, 2, 0, 0, 0],
    "projections": 10,
}


def _in_turn(drift_ns: int = 0) -> list[dict[str, object]]:
    work_ns = 20_000 + drift_ns
    return [
        _call("bare", work_ns),
        _call("boundary", work_ns + 3 * 50, **_BOUNDARY),
        _call("per-node", work_ns + 30 * 50 + 7777, **_PER_NODE),
    ]


def test_a_synchronisation_costs_what_lies_between_the_two_modes() -> None:
    report = _rotated([_in_turn(drift_ns=400 * i) for i in range(50)])
    cost = report.sync_ns
    assert cost is not None
    assert (cost.low, cost.value, cost.high) == (50, 50, 50)
    slowdown = report.slowdown(CallMode.PER_NODE)
    assert slowdown is not None
    assert slowdown.value < 1.08  # the reading of the chosen experts is not in it


def test_shares_without_synchronising_are_those_of_the_work() -> None:
    report = _rotated([_in_turn()] * 8)
    assert report.unsynced_share(projections_only=True) == pytest.approx(1000 / (1000 + 9000))
    assert report.unsynced_share(projections_only=False) == pytest.approx(1000 / 10_900)
    figures = report.figures(PassKind.DECODE, CallMode.PER_NODE)
    assert figures is not None
    assert figures.median_projection_share is not None
    assert figures.median_projection_share.value == pytest.approx(1500 / 11_000)
    assert (figures.projections, figures.projections_ns) == (80, 8 * 9500)


@pytest.mark.parametrize(("noise_ns", "is_there"), [(0, True), (300, True), (9000, False)])
def test_a_cost_that_noise_hides_gives_no_share(noise_ns: int, is_there: bool) -> None:
    blocks = []
    for i in range(40):
        block = _in_turn()
        block[1]["wall_ns"] = 20_000 + 150 + noise_ns * (i % 5)
        block[2]["wall_ns"] = 20_000 + 1500 + 7777 + noise_ns * (i % 7)
        blocks.append(block)
    share = _rotated(blocks).unsynced_share(projections_only=True)
    assert (share is not None) is is_there


def test_too_few_decodes_give_no_share() -> None:
    assert _rotated([_in_turn()] * 5).unsynced_share(projections_only=True) is None


def test_boundary_mode_leaves_a_bracket_that_holds_the_share() -> None:
    bounds = _rotated([_in_turn()] * 8).boundary_share_bounds
    assert bounds is not None
    assert bounds[0] == pytest.approx(850 / 11_050)
    assert bounds[1] == pytest.approx(1150 / 11_050)
    assert bounds[0] < 1000 / 10_900 < bounds[1]


def test_where_nodes_cannot_hold_the_cost_there_is_no_share() -> None:
    block = [_call("bare", 1000), _call("boundary", 2000, **_BOUNDARY)]
    block.append(_call("per-node", 2000 + 27 * 500, **_PER_NODE))
    block[1]["class_ns"] = [100, 100, 0, 0, 0]
    report = _rotated([block] * 8)
    assert report.sync_ns is not None
    assert report.sync_ns.value > 150  # more than a routing node took
    assert report.unsynced_share(projections_only=True) is None


def test_reports_of_schema_1_tell_what_they_hold() -> None:
    report = _captured("b4447-olmoe-full-rotate")
    assert report.head.version == 1
    assert report.sync_ns is not None
    assert report.unsynced_share(projections_only=False) is None
    assert report.boundary_share_bounds is None
    decode = _captured("b4404-olmoe-tiny-per-node").decode
    assert decode is not None
    assert (decode.projections, decode.median_projection_share) == (None, None)


def test_the_captured_rotation_has_both_node_sets() -> None:
    report = _captured("b4447-olmoe-tiny-rotate-2")
    figures = report.figures(PassKind.DECODE, CallMode.PER_NODE)
    assert figures is not None
    assert figures.projections == figures.calls * 2 * 5
    every, counted = figures.median_routing_share, figures.median_projection_share
    assert every is not None
    assert counted is not None
    assert every.value < counted.value  # fewer nodes in the divisor


# ---- which experts were chosen ----


def _choice(counts: list[int], **changed: object) -> dict[str, object]:
    row = {"chosen_in": "decode", "layer": 0, "tokens": 4, "pairs": 6, "reused": 3}
    return {**row, "counts": counts} | changed


def _chosen(*rows: dict[str, object]) -> ProbeReport:
    head = {**_head("per-node", 0), "version": 2, "layers_used": len(rows)}
    return parse_probe_report(_document(head, list(rows)), "made up")


@pytest.mark.parametrize(
    ("counts", "distinct", "entropy_bits"),
    [([2, 2, 2, 2], 4, 2.0), ([4, 4, 0, 0], 2, 1.0), ([8, 0, 0, 0], 1, 0.0), ([4, 2, 2], 3, 1.5)],
)
def test_use_of_experts_by_hand(counts: list[int], distinct: int, entropy_bits: float) -> None:
    (choice,) = _chosen(_choice(counts)).choices
    assert choice.distinct == distinct
    assert choice.entropy_bits == pytest.approx(entropy_bits)
    assert choice.reuse == 0.5


def test_a_single_token_reuses_nothing() -> None:
    (choice,) = _chosen(_choice([1, 1], tokens=1, pairs=0, reused=0)).choices
    assert choice.reuse is None


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"reused": 7}, "more experts reused than chosen"),
        ({"pairs": 99}, "more experts reused than chosen"),
        ({"counts": [0, 0], "pairs": 0, "reused": 0}, "tokens without an expert"),
        ({"counts": []}, "counts"),
        ({"counts": [1] * 513}, "counts"),
        ({"layer": 128}, "layer"),
        ({"tokens": 0}, "tokens"),
        ({"chosen_in": "dream"}, "chosen_in"),
    ],
)
def test_a_damaged_choice_is_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(RecordError, match=message):
        _chosen(_choice([4, 4, 4, 4]) | changed)


# ---- damaged and foreign reports ----


def _changed_head(**changed: object) -> bytes:
    return _document({**_head("off", 0), **changed}, [])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"\n", "not a line of JSON"),
        (b"\xff\xfe{}", "not a line of JSON"),
        (b"[" * 100_000, "not a line of JSON"),
        (b"9" * 10_000, "not a line of JSON"),
        (b"[]", "line"),
        (b"{}", "schema: Field required"),
        (_changed_head(schema="other"), "schema: Input should be 'edgemoe-probe'"),
        (_changed_head(version=3), "reads up to 2"),
        (_changed_head(decodes=1), "0 lines where the head says 1"),
        (_changed_head(decodes=10**9), "decodes"),
        (_changed_head(decodes=True), "decodes"),
        (_changed_head(layers_used=2), "0 lines where the head says 2"),
        (_changed_head(layers_used=257), "layers_used"),
        (_changed_head(pid=-1), "pid"),
        (_changed_head(classes=["routing"]), "classes are not those"),
        (_changed_head(surprise=1), "surprise"),
        (_changed_head(failures=[{"code": "<b>", "times": 1}]), "failures.0.code"),
        (_changed_head(unknown=[{"name": "x" * 65, "nodes": 1}]), "unknown.0.name"),
        (b" " * (MAX_REPORT_BYTES + 1), "more than a probe writes"),
    ],
)
def test_a_damaged_head_is_refused(content: bytes, message: str) -> None:
    with pytest.raises(RecordError, match=re.escape(message)) as caught:
        parse_probe_report(content, "some/report.jsonl")
    assert str(caught.value).startswith("some/report.jsonl")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"wall_ns": -1}, "wall_ns"),
        ({"wall_ns": 2**63}, "wall_ns"),
        ({"wall_ns": float("nan")}, "wall_ns"),
        ({"wall_ns": 4}, "the classes took longer than the call"),
        ({"tokens": 2}, "kind and tokens disagree"),
        ({"timed": False}, "timed and the times disagree"),
        ({"class_ns": None}, "timed and the times disagree"),
        ({"class_ns": [1, 1]}, "class_ns"),
        ({"nodes": [1, 1, 1, 1, 2]}, "nodes and charged nodes disagree"),
        ({"projections_ns": 2}, "projections took longer than the experts"),
        ({"moved_ns": 2}, "some of routing's nodes took longer than all"),
        ({"mode": "warp"}, "mode"),
        ({"result": 2**40}, "result"),
    ],
)
def test_a_damaged_call_is_refused(changed: dict[str, object], message: str) -> None:
    content = _document(_head("per-node", 1), [{**_call("per-node", 50), **changed}])
    with pytest.raises(RecordError, match=message) as caught:
        parse_probe_report(content, "some/report.jsonl")
    assert str(caught.value).startswith("some/report.jsonl, line 2")


def test_a_report_that_was_cut_off_is_refused() -> None:
    content = _content("b4447-olmoe-tiny-boundary")
    for end in range(0, len(content) - 1, 97):
        with pytest.raises(RecordError):
            parse_probe_report(content[:end], "cut")
