"""The figures of a probe's report, put into a run; the reports were written by the real library."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgemoe_appliance.engine.account import parse_account
from edgemoe_appliance.engine.probe import CallMode, PassKind, parse_probe_report
from edgemoe_appliance.measure.probing import PROBE_KEYS, check_backend, put_probe
from edgemoe_appliance.measure.readings import Readings
from edgemoe_appliance.schema.configs import Backend

CAPTURED = Path(__file__).parents[1] / "engine" / "probe_captured"


def _content(name: str) -> bytes:
    return (CAPTURED / f"{name}.jsonl").read_bytes()


def _put(content: bytes | None) -> tuple[Readings, list[str]]:
    readings = Readings()
    caveats, _ = put_probe(readings, content)
    return readings, [caveat.code for caveat in caveats]


@pytest.mark.parametrize("path", sorted(CAPTURED.glob("*.jsonl")), ids=lambda path: path.stem)
def test_every_figure_of_a_probe_is_there_or_has_its_reason(path: Path) -> None:
    readings, _ = _put(path.read_bytes())
    assert set(readings.metrics) | set(readings.absent) == set(PROBE_KEYS)
    assert not set(readings.metrics) & set(readings.absent)


def test_rotated_modes_tell_their_cost_and_their_shares_from_one_process() -> None:
    content = _content("b4447-olmoe-full-rotate")
    readings, caveats = _put(content)
    assert caveats == []
    report = parse_probe_report(content, "captured")
    for mode, name in ((CallMode.BOUNDARY, "boundary"), (CallMode.PER_NODE, "per_node")):
        slowdown = report.slowdown(mode)
        figures = report.figures(PassKind.DECODE, mode)
        assert slowdown is not None
        assert figures is not None
        assert figures.median_routing_share is not None
        share_pct = readings.metrics[f"routing_share_decode_{name}_pct"]
        assert share_pct == 100 * figures.median_routing_share.value
        assert readings.metrics[f"probe_slowdown_{name}_pct"] == 100 * (slowdown.value - 1)
    turns = "the modes take turns in this arm"
    assert readings.absent["routing_share_decode_pct"] == turns
    assert readings.metrics["probe_nodes_per_decode"] == 950


def test_a_single_mode_tells_its_share_and_not_what_it_costs() -> None:
    readings, _ = _put(_content("b4447-olmoe-tiny-boundary"))
    assert 0 < readings.metrics["routing_share_decode_pct"] < 100
    for key in ("probe_slowdown_boundary_pct", "routing_share_decode_boundary_pct"):
        assert readings.absent[key] == "only the arm probe-rotate tells"


def test_every_node_timed_tells_both_sets_of_nodes_and_the_chosen_experts() -> None:
    content = _content("b4447-olmoe-tiny-per-node-2")
    readings, caveats = _put(content)
    assert caveats == []
    metrics = readings.metrics
    assert metrics["probe_routing_nodes_per_decode"] == 2 * 6
    assert metrics["probe_projection_nodes_per_decode"] == 2 * 5
    assert metrics["probe_expert_nodes_per_decode"] == 2 * 9  # two experts used
    assert 0 < metrics["expert_projections_decode_s"] < metrics["expert_ffn_decode_s"]
    assert 0 < metrics["routing_moved_prompt_s"] < metrics["routing_prompt_s"]
    assert metrics["experts_per_layer"] == 16
    for part in ("prompt", "decode"):
        assert 1 <= metrics[f"experts_entropy_{part}_bits"] <= 4
        assert 2 <= metrics[f"experts_distinct_{part}"] <= 16
        assert 0 <= metrics[f"experts_reuse_{part}_pct"] <= 100
    _, use = put_probe(Readings(), content)
    assert use is not None
    assert [layer.tokens for layer in use.prompt] == [96, 1]
    # The second layer computes the last token of the prompt only, and is in no mean.
    assert metrics["experts_distinct_prompt"] == use.prompt[0].distinct


def test_modes_in_turn_tell_what_a_synchronisation_costs() -> None:
    readings, _ = _put(_content("b4447-olmoe-tiny-rotate-2"))
    metrics = readings.metrics
    assert 0 < metrics["probe_sync_s"] < 1e-5
    for nodes in ("", "projections_"):
        bare = metrics[f"routing_share_{nodes}decode_unsynced_pct"]
        assert 0 < bare < metrics[f"routing_share_{nodes}decode_per_node_pct"]
    assert (
        metrics["routing_share_decode_boundary_pct"]
        < metrics["routing_share_decode_boundary_high_pct"]
    )
    assert readings.absent["experts_per_layer"] == "only the arm probe-per-node reads them"


def test_a_report_of_an_earlier_probe_gives_no_figure_of_the_study_s_nodes() -> None:
    readings, _ = _put(_content("b4404-olmoe-tiny-per-node"))
    assert "expert_ffn_decode_s" in readings.metrics
    for key in ("expert_projections_decode_s", "probe_projection_nodes_per_decode"):
        assert readings.absent[key] == "the probe is of a version that did not count them"


def test_a_rotated_dense_model_has_costs_and_no_share() -> None:
    content = _content("b4447-llama-tiny-per-node").replace(
        b'"mode":"per-node","reason"', b'"mode":"rotate","reason"'
    )
    readings, _ = _put(content)
    dense = "the model has no routing nodes: it is dense"
    assert readings.absent["routing_share_decode_per_node_pct"] == dense
    assert readings.absent["probe_slowdown_per_node_pct"] == "too few decodes"


@pytest.mark.parametrize("content", [None, b"", b"no report\n", b'{"schema":"edgemoe-probe"'])
def test_without_a_report_only_the_figures_of_the_probe_are_missing(content: bytes | None) -> None:
    readings, caveats = _put(content)
    assert caveats == ["probe-report"]
    assert readings.metrics == {}
    assert all(why.startswith("no report of the probe") for why in readings.absent.values())
    assert set(readings.absent) == set(PROBE_KEYS)


@pytest.mark.parametrize(
    ("backend", "text", "told"),
    [
        (Backend.CPU, "", None),
        (Backend.CUDA, "", None),
        (Backend.CUDA, "system_info: n_threads = 6 | CUDA : USE_GRAPHS = 1 |", "CUDA graph"),
        (Backend.METAL, "", "Metal reorders"),
    ],
)
def test_a_backend_that_computes_unwatched_graphs_otherwise_is_told(
    backend: Backend, text: str, told: str | None
) -> None:
    caveats = check_backend(backend, parse_account(text))
    assert [caveat.code for caveat in caveats] == ([] if told is None else ["probe-backend"])
    assert told is None or told in caveats[0].text
