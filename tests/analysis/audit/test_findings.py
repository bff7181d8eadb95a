"""Audits: each verdict of each test, on synthetic sessions and on the study's figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis.audit import (
    AuditFinding,
    AuditVerdict,
    Confidence,
    audit,
    by_cause,
    count_causes,
    judgement_document,
)
from edgemoe_appliance.analysis.claims import StudyEvidence
from edgemoe_appliance.app.judgement import audit_count_lines
from edgemoe_appliance.schema.configs import Arm
from edgemoe_appliance.schema.hardware import Clock
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from tests.analysis.claims.sessions import (
    ELSEWHERE,
    GEMMA,
    JETSON,
    LLAMA,
    OLMOE,
    QWEN,
    RATES,
    ROUTING,
    Metrics,
    audited,
    evidence_of,
    routing,
    scatter,
    study,
    with_rates,
)
from tests.analysis.journals import FILE_BYTES, build_hardware, failed

CONSISTENT, INCONSISTENT = AuditVerdict.CONSISTENT, AuditVerdict.INCONSISTENT
MEMORY = Clock(kind="memory", name="EMC")
SHARES = "recomputed.routing.share"
UNDECIDED, NOT_TESTED = AuditVerdict.UNDECIDED, AuditVerdict.NOT_TESTED


@pytest.fixture(scope="module")
def of_study() -> dict[str, AuditFinding]:
    return {finding.id: finding for finding in audit(StudyEvidence(study()))}


def values(finding: AuditFinding) -> dict[str, float]:
    return {number.key: number.value for number in finding.numbers}


# By hand from the study's tables; nothing of this stands in the code or the configuration.
@pytest.mark.parametrize(
    ("finding", "key", "value"),
    [
        ("energy-window.jetson.llama-3.2-1b", "implied_window_ratio", 0.45 * 33.4 / 11.31),
        ("energy-window.jetson.qwen2.5-1.5b", "implied_window_ratio", 0.56 * 24.6 / 11.32),
        ("energy-window.jetson.gemma-2-2b", "implied_window_ratio", 0.93 * 15.4 / 11.67),
        ("energy-window.jetson.olmoe-1b-7b", "implied_window_ratio", 0.96 * 22.9 / 8.49),
        (
            "energy-window.jetson.olmoe-1b-7b",
            "other_least_pct",
            100 * (1 - 10.97 / (22.9 * 0.96)),
        ),
        ("energy-ratio.jetson", "generation_most_ratio", (10.97 / 22.9) / (11.31 / 33.4)),
        ("roofline.total.jetson.olmoe-1b-7b", "ceiling_tok_s", 68.3 / 4.21),
        ("roofline.total.m2.olmoe-1b-7b", "ceiling_tok_s", 200 / 4.21),
        ("reclaimable.jetson.olmoe-1b-7b", "demand_bytes", 8.01 * 2**30 - 4.21e9),
        ("observer.m2.olmoe-1b-7b.decode-dominated", "generation_s", 256 / 114.5),
        ("observer.jetson.olmoe-1b-7b.decode-dominated", "added_s", 256 / 18.2 - 256 / 22.9),
        ("nodes.routing", "evaluations", 6240 / 96),
        ("nodes.ffn", "evaluations", 5200 / 80),
        ("recomputed.runs.patched", "again", 36),
        ("recomputed.runs.strata.m2", "again", 36),
        ("recomputed.routing.share.m2.decode-dominated", "again", 100 * 2871 / 8458),
        ("recomputed.slowdown.sync-as-added-time", "again", 10.742),
        ("recomputed.parameters.olmoe-over-llama.published", "again", 5.5989),
        ("units.peak-over-file.jetson.olmoe-1b-7b", "like_units", 8.01 * 1.073741824 / 4.21),
        ("units.memory.tax", "like_units", 4.49 * 1.073741824),
        ("units.peak.dense-most.jetson", "like_units", 3.44 * 1.073741824),
    ],
)
def test_what_the_study_s_figures_cannot_mean(
    of_study: dict[str, AuditFinding], finding: str, key: str, value: float
) -> None:
    found = of_study[finding]
    is_open = finding.startswith(("observer.jetson", "nodes.", "recomputed.runs.strata", SHARES))
    assert found.verdict is (UNDECIDED if is_open else INCONSISTENT)
    assert values(found)[key] == pytest.approx(value, rel=2e-4)


# Bits of a weight in a super-block of 256: llama.cpp's Q4_K (144 bytes) and Q6_K (210 bytes).
Q4_K_BITS, Q6_K_BITS = 4.5, 6.5625


def weights_in_bytes(q4: float, q6: float, f32: float = 0) -> float:
    """Return the bytes of so many weights in Q4_K, in Q6_K and in single precision."""
    return (q4 * Q4_K_BITS + q6 * Q6_K_BITS) / 8 + 4 * f32


def of_llama() -> tuple[float, float]:
    """Return Llama-3.2-1B's bytes per token and those of its head, by hand from its config.json.

    16 layers of width 2048, 32 heads of 64 over 8 for keys and values, feed-forward 8192, the
    embedding of 128256 tokens tied to the head. Half of the layers have `attn_v` and `ffn_down` in
    Q6_K, the head is in Q6_K, norms and the 32 factors of RoPE are in single precision.
    """
    width, inner, layers, keys = 2048, 8192, 16, 8 * 64
    q4 = layers * (2 * width * width + width * keys + 2 * width * inner)
    sensitive = layers * (width * keys + width * inner)
    head = weights_in_bytes(0, 128256 * width)
    norms = (2 * layers + 1) * width + 32
    return weights_in_bytes(q4 + sensitive / 2, sensitive / 2, norms) + head, head


def of_olmoe() -> tuple[float, float]:
    """Return OLMoE-1B-7B's bytes per token and those of its head, by hand from its config.json.

    16 layers of width 2048, 16 heads of 128, 8 of 64 experts of 1024 used, 50304 tokens, untied.
    The router, its four norms a layer and the last norm are in single precision.
    """
    width, inner, layers = 2048, 1024, 16
    q4 = layers * (3 * width * width + 8 * 2 * width * inner)
    sensitive = layers * (width * width + 8 * width * inner)
    head = weights_in_bytes(0, 50304 * width)
    plain = layers * (64 * width + 4 * width) + width
    return weights_in_bytes(q4 + sensitive / 2, sensitive / 2, plain) + head, head


def test_bytes_of_a_token_count_each_tensor_in_its_own_type(
    of_study: dict[str, AuditFinding],
) -> None:
    (llama, llama_head), (olmoe, olmoe_head) = of_llama(), of_olmoe()
    # Not 0.172 and 0.7173, as a mean over the whole file would have it.
    assert llama_head == pytest.approx(0.2155e9, rel=5e-4)
    assert olmoe == pytest.approx(0.7407e9, rel=5e-4)
    read = {
        model: values(of_study[f"roofline.active.m2.{model}"])["bytes_per_token_gb"]
        for model in (LLAMA, OLMOE)
    }
    assert read[LLAMA] * 1e9 == pytest.approx(llama, rel=1e-9)
    assert read[OLMOE] * 1e9 == pytest.approx(olmoe, rel=1e-9)
    layers = {
        model: values(of_study[f"utilisation.m2.{model}"])["s_mbu_layers_pct"]
        for model in (LLAMA, OLMOE)
    }
    assert layers[LLAMA] == pytest.approx(100 * 127.4 * (llama - llama_head) / 200e9, rel=1e-9)
    assert layers[OLMOE] == pytest.approx(100 * 114.5 * (olmoe - olmoe_head) / 200e9, rel=1e-9)
    assert {model: round(share, 1) for model, share in layers.items()} == {LLAMA: 37.2, OLMOE: 37.6}


def test_s_mbu_with_cache_and_head_is_bounded_by_what_is_known_of_the_prompts(
    of_study: dict[str, AuditFinding],
) -> None:
    found = of_study["utilisation.jetson.olmoe-1b-7b"]
    numbers = {number.key: number for number in found.numbers}
    olmoe, head = of_olmoe()
    for key, weights in (("s_mbu_pct", olmoe), ("s_mbu_moe_cap_pct", olmoe - head)):
        low, high = (
            100 * rate * (weights + 131072 * context) / 68.3e9
            for rate, context in ((22.85, 400), (22.95, 770))
        )
        assert numbers[key].low == pytest.approx(low, rel=1e-9)
        assert numbers[key].high == pytest.approx(high, rel=1e-9)
        assert low < numbers[key].value < high


@pytest.mark.parametrize(
    ("model", "parameters", "scored", "rate", "share"),
    [
        # Parameters as published; the embedding is the head, so all of them are multiplied with.
        (GEMMA, 2_614_341_888, 26 * 8 * (256 + 256), 15.4, 6.44),
        (LLAMA, 1_235_814_400, 16 * 32 * (64 + 64), 33.4, 6.60),
        # 8 of 64 experts; 50304 rows are looked up, and not multiplied with.
        (OLMOE, 1_282_017_280 - 50304 * 2048, 16 * 16 * (128 + 128), 22.9, 4.32),
    ],
)
def test_s_mfu_of_the_study(
    of_study: dict[str, AuditFinding],
    model: str,
    parameters: int,
    scored: int,
    rate: float,
    share: float,
) -> None:
    numbers = {n.key: n for n in of_study[f"utilisation.jetson.{model}"].numbers}
    alone = 100 * rate * 2 * parameters / 1.25e12
    assert numbers["s_mfu_parameters_pct"].value == pytest.approx(alone, rel=1e-9)
    assert round(alone, 2) == share
    with_scores = 100 * rate * (2 * parameters + 2 * scored * (400 + 770) / 2) / 1.25e12
    assert numbers["s_mfu_pct"].value == pytest.approx(with_scores, rel=1e-9)
    assert "FP32" in numbers["s_mfu_pct"].label


def test_pooled_variation_of_the_study_lies_mostly_between_prompts(
    of_study: dict[str, AuditFinding],
) -> None:
    found = values(of_study["variation.m2.llama-3.2-1b"])
    mean, cv, rates = 127.4, 8.1, (134.4, 130.2, 107.8)
    rest = (45 * mean - 3 * sum(rates)) / 36
    squares = 3 * sum((rate - mean) ** 2 for rate in rates) + 36 * (rest - mean) ** 2
    assert found["prompt_variance_pct"] == pytest.approx(
        100 * squares / (44 * (mean * cv / 100) ** 2)
    )
    assert 85 < found["likely_variance_pct"] < 100


def test_findings_of_the_study_are_counted_by_cause(of_study: dict[str, AuditFinding]) -> None:
    groups = {group.cause.id: group for group in by_cause(of_study.values())}
    touched = {
        name: (group.verdict, group.figures)
        for name, group in groups.items()
        if group.verdict in (INCONSISTENT, UNDECIDED)
    }
    assert touched == {
        "units": (INCONSISTENT, 14),  # one slip, fourteen figures
        "energy-window": (INCONSISTENT, 5),
        "nominal-parameters": (INCONSISTENT, 3),
        "resident": (INCONSISTENT, 2),
        "timing": (INCONSISTENT, 1),
        "patched-runs": (INCONSISTENT, 1),
        "pooled-prompts": (UNDECIDED, 8),
        "routing-share": (UNDECIDED, 2),  # a mean of shares is not the share of the means
        "node-counts": (UNDECIDED, 2),  # 6240 need not be of one run
        "all-weights": (INCONSISTENT, 2),
        "sync-as-added-time": (INCONSISTENT, 1),
    }
    hypotheses = [name for name, group in groups.items() if group.cause.is_hypothesis]
    assert hypotheses == ["all-weights", "sync-as-added-time"]
    assert list(groups)[-2:] == hypotheses  # they stand apart


def test_every_count_of_causes_is_one_and_the_same(of_study: dict[str, AuditFinding]) -> None:
    findings = tuple(of_study.values())
    counts = {(c.is_hypothesis, c.verdict): (c.causes, c.figures) for c in count_causes(findings)}
    assert counts[False, INCONSISTENT] == (6, 26)
    assert counts[False, UNDECIDED] == (3, 12)
    assert counts[True, INCONSISTENT] == (2, 3)
    told = list(audit_count_lines(findings))
    assert told[0].startswith("causes: 6 do not fit (26 figures), 3 open (12 figures)")
    assert told[1] == "hypotheses: 2 excluded (3 figures)"
    listed = judgement_document((), findings)["causes"]
    assert sum(each["verdict"] == "inconsistent" for each in listed) == 6 + 2
    assert {name for each in listed for name in each["audits"]} == set(of_study)


def test_every_finding_says_what_was_tested_and_how_sure(of_study: dict[str, AuditFinding]) -> None:
    for finding in of_study.values():
        assert finding.test
        assert finding.subject
        assert finding.reading
        assert finding.brief
        assert finding.confidence_why
        is_tested = finding.verdict is not NOT_TESTED
        assert is_tested == bool(finding.numbers) == (not finding.missing)
        assert is_tested == (finding.confidence is not Confidence.NONE)


def test_the_document_has_one_entry_each_and_only_numbers(
    of_study: dict[str, AuditFinding],
) -> None:
    document = judgement_document((), tuple(of_study.values()))
    assert [entry["id"] for entry in document["audits"]] == list(of_study)
    for entry in document["audits"]:
        assert all(isinstance(value, float) for value in entry["numbers"].values())
        assert set(entry["units"]) == {key for key in entry["numbers"] if key in entry["units"]}


def energetic(window: float, peak_w: float = 12.0) -> Metrics:
    """Return runs whose energy implies a window of so many times their generation."""

    def metrics(spec: RunSpec) -> dict[str, float]:
        rate = RATES[spec.model] * scatter(spec)
        return {
            "gen_tok_s": rate,
            "power_study_w": 10.0,
            "power_study_peak_w": peak_w,
            "j_per_token_study": window * 10.0 / rate,
            "j_per_token_gross": 10.0 / rate,
            "power_generate_w": 10.0,
        }

    return metrics


@pytest.mark.parametrize(
    ("window", "verdict"), [(1.0, CONSISTENT), (1.5, INCONSISTENT), (0.8, INCONSISTENT)]
)
def test_energy_windows(tmp_path: Path, window: float, verdict: AuditVerdict) -> None:
    found = audited(evidence_of(tmp_path, (JETSON, energetic(window))))
    whole = found["energy-window.A.olmoe-1b-7b"]
    assert whole.verdict is verdict
    assert values(whole)["implied_window_ratio"] == pytest.approx(window, rel=0.01)
    assert found["energy-generation.A.olmoe-1b-7b"].verdict is CONSISTENT
    assert found["energy-ratio.A"].verdict is CONSISTENT


def test_an_energy_window_at_the_limit_is_open(tmp_path: Path) -> None:
    def rough(spec: RunSpec) -> dict[str, float]:
        return {**energetic(1.05)(spec), "power_study_w": 10.0 * scatter(spec, 0.05, 0.05)}

    found = audited(evidence_of(tmp_path, (JETSON, rough)))
    assert found["energy-window.A.olmoe-1b-7b"].verdict is UNDECIDED


def test_without_a_power_source_energy_is_not_tested_once_and_says_why(tmp_path: Path) -> None:
    ends: Mapping[str, Any] = {"absent": {"j_per_token_study": "no power source on this host"}}
    evidence = evidence_of(tmp_path, (JETSON, with_rates(RATES)), ends=lambda _: ends)
    found = audited(evidence)["energy-window.A"]
    assert found.verdict is NOT_TESTED
    assert "no power source on this host" in found.missing


@pytest.mark.parametrize(
    ("rate", "active", "total"),
    # Of the synthetic OLMoE a token uses 2 GB of 4 GB; the bandwidth is 68.3 GB/s.
    [
        (10.0, CONSISTENT, CONSISTENT),
        (25.0, CONSISTENT, INCONSISTENT),
        (40.0, INCONSISTENT, INCONSISTENT),
    ],
)
def test_rooflines(tmp_path: Path, rate: float, active: AuditVerdict, total: AuditVerdict) -> None:
    rates = dict.fromkeys((OLMOE, LLAMA, QWEN, GEMMA), rate)
    found = audited(evidence_of(tmp_path, (JETSON, with_rates(rates))))
    assert found["roofline.active.A.olmoe-1b-7b"].verdict is active
    assert found["roofline.total.A.olmoe-1b-7b"].verdict is total
    assert "roofline.total.A.llama-3.2-1b" not in found


def test_a_rate_at_the_roof_is_open(tmp_path: Path) -> None:
    rates = RATES | {OLMOE: 68.3 / 4}
    found = audited(evidence_of(tmp_path, (JETSON, with_rates(rates))))
    assert found["roofline.total.A.olmoe-1b-7b"].verdict is UNDECIDED


def test_utilisation_counts_the_head_and_the_cache(tmp_path: Path) -> None:
    found = audited(evidence_of(tmp_path, (JETSON, with_rates(RATES))))
    numbers = values(found["utilisation.A.olmoe-1b-7b"])
    cache = 1024 * (12 + 128)  # bytes per token x (prompt + half of the generated tokens)
    traffic = 22.9 * (FILE_BYTES[OLMOE] // 2 + cache)
    assert numbers["s_mbu_pct"] == pytest.approx(100 * traffic / 68.3e9, rel=0.005)
    without_head = traffic - 22.9 * (FILE_BYTES[OLMOE] // 16)
    assert numbers["s_mbu_moe_cap_pct"] == pytest.approx(100 * without_head / 68.3e9, rel=0.005)
    layers = without_head - 22.9 * cache
    assert numbers["s_mbu_layers_pct"] == pytest.approx(100 * layers / 68.3e9, rel=0.005)
    # Twice the parameters that are multiplied for each token, and attention at every position.
    of_parameters = 22.9 * 2 * (FILE_BYTES[OLMOE] - 1000)
    flops = of_parameters + 22.9 * 65536 * (12 + 128)
    assert numbers["s_mfu_parameters_pct"] == pytest.approx(100 * of_parameters / 1.25e12, rel=5e-3)
    assert numbers["s_mfu_pct"] == pytest.approx(100 * flops / 1.25e12, rel=0.005)


@pytest.mark.parametrize(
    ("clocks", "gb_s"),
    [
        ((), 68.3),  # not recorded: as declared
        ((MEMORY.model_copy(update={"current_hz": 2_133_000_000}),), 68.256),
        # MAXN_SUPER: 3199 MHz, where the 68.3 GB/s of 15 W stayed.
        (
            (MEMORY.model_copy(update=dict.fromkeys(("minimum_hz", "maximum_hz"), 3_199_000_000)),),
            102.368,
        ),
        # Free to move: what it may reach, not what it idles at.
        (
            (MEMORY.model_copy(update={"current_hz": 665_600_000, "maximum_hz": 3_199_000_000}),),
            102.368,
        ),
    ],
)
def test_the_peak_bandwidth_follows_the_recorded_memory_clock(
    tmp_path: Path, clocks: tuple[Clock, ...], gb_s: float
) -> None:
    board = build_hardware(JETSON)
    assert board is not None
    session = replace(
        JETSON,
        memory_bus_bits=128,
        hardware=board.model_copy(update={"clocks": (*board.clocks, *clocks)}),
    )
    found = audited(evidence_of(tmp_path, (session, with_rates(RATES))))
    numbers = values(found["roofline.active.A.olmoe-1b-7b"])
    assert numbers["bandwidth_gb_s"] == pytest.approx(gb_s, rel=1e-9)
    assert numbers["ceiling_tok_s"] == pytest.approx(gb_s * 1e9 / (FILE_BYTES[OLMOE] // 2))


def test_without_a_bandwidth_no_roofline_is_drawn(tmp_path: Path) -> None:
    found = audited(evidence_of(tmp_path, (ELSEWHERE, with_rates(RATES))))["roofline.A"]
    assert found.verdict is NOT_TESTED
    assert "bandwidth_gb_s" in found.missing


@pytest.mark.parametrize(
    ("peak", "file_pages", "resident", "reclaimable"),
    [
        (4.4e9, 4.0e9, CONSISTENT, CONSISTENT),
        (7.6e9, 4.0e9, CONSISTENT, INCONSISTENT),  # at the ceiling, but half of it can be dropped
        (7.6e9, 0.1e9, CONSISTENT, CONSISTENT),  # at the ceiling, and all of it is needed
        (8.6e9, 4.0e9, INCONSISTENT, INCONSISTENT),
    ],
)
def test_memory(
    tmp_path: Path,
    peak: float,
    file_pages: float,
    resident: AuditVerdict,
    reclaimable: AuditVerdict,
) -> None:
    def memory(spec: RunSpec) -> dict[str, float]:
        return {"peak_rss_bytes": peak, "peak_rss_file_bytes": file_pages}

    found = audited(evidence_of(tmp_path, (JETSON, memory)))
    assert found["resident.A.olmoe-1b-7b"].verdict is resident
    drop = found["reclaimable.A.olmoe-1b-7b"]
    assert (drop.verdict, drop.confidence) == (reclaimable, Confidence.HIGH)
    assert values(drop)["demand_bytes"] == pytest.approx(peak - file_pages)


ROUTED = replace(JETSON, experiments={"router_overhead": ROUTING})


def test_the_observer_effect_stands_beside_the_slowdown_that_was_measured(tmp_path: Path) -> None:
    found = audited(evidence_of(tmp_path, (ROUTED, routing)))
    observer = found["observer.A.olmoe-1b-7b.decode-dominated"]
    numbers = values(observer)
    assert numbers["slowdown_ratio"] == pytest.approx(22.9 / 18.2, rel=0.005)
    assert numbers["rotated_slowdown_pct"] == pytest.approx(27)
    assert numbers["added_s"] == pytest.approx(256 / 18.2 - 256 / 22.9, rel=0.02)
    assert numbers["least_pct"] <= numbers["share_pct"] <= numbers["most_pct"]
    # Synchronised at the edges of groups only, the share is the same: it stands.
    assert observer.verdict is CONSISTENT
    assert found["nodes.others.A"].verdict is CONSISTENT


def test_a_share_without_a_second_arm_is_open_and_more_than_the_run_is_refused(
    tmp_path: Path,
) -> None:
    alone = replace(
        JETSON,
        experiments={
            "router_overhead": ROUTING.model_copy(update={"arms": (Arm.PLAIN, Arm.PROBE_PER_NODE)})
        },
    )
    open_one = audited(evidence_of(tmp_path / "a", (alone, routing)))
    assert open_one["observer.A.olmoe-1b-7b.decode-dominated"].verdict is UNDECIDED

    def inflated(spec: RunSpec) -> dict[str, float]:
        return {k: v * 30 if k == "routing_decode_s" else v for k, v in routing(spec).items()}

    refused = audited(evidence_of(tmp_path / "b", (alone, inflated)))
    assert refused["observer.A.olmoe-1b-7b.decode-dominated"].verdict is INCONSISTENT


def test_nodes_are_those_of_the_file_that_ran(tmp_path: Path) -> None:
    two_layers = {
        "probe_nodes_per_decode": 124.0,
        "probe_routing_nodes_per_decode": 12.0,
        "probe_projection_nodes_per_decode": 10.0,
    }

    def reduced(spec: RunSpec) -> dict[str, float]:
        metrics = routing(spec)
        return metrics | {k: v for k, v in two_layers.items() if k in metrics}

    found = values(audited(evidence_of(tmp_path, (ROUTED, reduced)))["nodes.others.A"])
    assert found["others_ratio"] == pytest.approx(102 / 22)


def test_sessions_of_before_the_study_s_nodes_were_told_apart_are_not_compared_with_it(
    tmp_path: Path,
) -> None:
    def earlier(spec: RunSpec) -> dict[str, float]:
        new = ("expert_projections_", "probe_routing_", "probe_projection_")
        return {k: v for k, v in routing(spec).items() if not k.startswith(new)}

    found = audited(evidence_of(tmp_path, (ROUTED, earlier)))
    told = "recorded by a version whose probe did not tell the study's nodes from every node"
    for name in ("observer.A.olmoe-1b-7b.decode-dominated", "nodes.others.A"):
        assert found[name].verdict is NOT_TESTED
        assert told in found[name].missing


def test_timing_at_edges_is_compared_with_every_node_only(tmp_path: Path) -> None:
    """As the study counted the share differs from that at edges; every node counted it agrees."""

    def apart(spec: RunSpec) -> dict[str, float]:
        metrics = routing(spec)
        if spec.arm is Arm.PROBE_PER_NODE:
            for part in ("prompt", "decode"):
                metrics[f"expert_projections_{part}_s"] = metrics[f"expert_ffn_{part}_s"] / 2
        return metrics

    found = audited(evidence_of(tmp_path, (ROUTED, apart)))
    observer = found["observer.A.olmoe-1b-7b.decode-dominated"]
    numbers = values(observer)
    assert numbers["share_pct"] > 1.5 * numbers["sparse_share_pct"]
    assert numbers["every_node_share_pct"] == pytest.approx(numbers["sparse_share_pct"], rel=0.05)
    assert observer.verdict is CONSISTENT


def test_another_graph_is_noticed(tmp_path: Path) -> None:
    def larger(spec: RunSpec) -> dict[str, float]:
        return {k: 3000.0 if k == "probe_nodes_per_decode" else v for k, v in routing(spec).items()}

    assert (
        audited(evidence_of(tmp_path, (ROUTED, larger)))["nodes.others.A"].verdict is INCONSISTENT
    )


@pytest.mark.parametrize(
    ("prompts", "repetitions", "verdict"),
    [(0.1, 0.001, INCONSISTENT), (0.0, 0.05, CONSISTENT), (0.02, 0.03, UNDECIDED)],
)
def test_variation_is_told_apart(
    tmp_path: Path, prompts: float, repetitions: float, verdict: AuditVerdict
) -> None:
    def spread(spec: RunSpec) -> dict[str, float]:
        return {"gen_tok_s": RATES[spec.model] * scatter(spec, prompts, repetitions)}

    found = audited(evidence_of(tmp_path, (JETSON, spread)))
    verdicts = {model: found[f"variation.A.{model}"].verdict for model in RATES}
    assert verdict in verdicts.values()


def test_a_metric_that_does_not_follow_from_its_parts_is_named_with_its_run(tmp_path: Path) -> None:
    def footer(spec: RunSpec) -> dict[str, float]:
        rate = RATES[spec.model]
        is_edited = (spec.model, spec.prompt, spec.repetition) == (LLAMA, "prompt-03", 2)
        return {"gen_tok_s": rate * (1.5 if is_edited else 1), "eval_s": 255 / rate}

    found = audited(evidence_of(tmp_path, (JETSON, footer)))["recomputed.identity.gen_tok_s"]
    assert found.verdict is INCONSISTENT
    assert "efficiency_llama-3.2-1b_prompt-03_r2" in found.subject
    assert found.brief == "said 50.1 tok/s; comes to 33.4 tok/s"


def test_missing_runs_of_a_model_are_counted(tmp_path: Path) -> None:
    def ends(spec: RunSpec) -> dict[str, object]:
        return failed(Status.OOM, "killed") if spec.model == OLMOE else {}

    found = audited(evidence_of(tmp_path, (JETSON, with_rates(RATES)), ends=ends))
    runs = {key: f.verdict for key, f in found.items() if key.startswith("recomputed.runs")}
    assert sorted(runs.values()) == [CONSISTENT, CONSISTENT, CONSISTENT, INCONSISTENT]
