"""Verdicts on sessions: each kind, how far it reaches, and what it may not rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pytest

from edgemoe_appliance.analysis.audit import judgement_document
from edgemoe_appliance.analysis.claims import Part, Scope, SessionEvidence, Verdict
from edgemoe_appliance.analysis.claims.judging import verdict_of_parts
from edgemoe_appliance.analysis.claims.verdicts import FAMILIES, Family
from edgemoe_appliance.schema.choices import Order
from edgemoe_appliance.schema.configs import DirectorySource, Feeds, OutsideMeter
from edgemoe_appliance.schema.hardware import Accelerator, Clock, PowerMode, SwapArea
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from tests.analysis.claims.sessions import (
    ELSEWHERE,
    GEMMA,
    JETSON,
    LLAMA,
    M2,
    OLMOE,
    QWEN,
    RATES,
    ROUTING,
    SWEEP,
    Metrics,
    evidence_of,
    judged,
    routing,
    scatter,
    with_rates,
)
from tests.analysis.journals import ENGINE, FILE_BYTES, build_hardware, failed, metrics_of

DECIDED = {verdict for family in FAMILIES.values() for verdict in family}
M2_RATES = {LLAMA: 127.4, OLMOE: 114.5, QWEN: 88.0, GEMMA: 59.9}


def test_a_ratio_inside_its_limits_is_reproduced(tmp_path: Path) -> None:
    found = judged(evidence_of(tmp_path, (JETSON, with_rates(RATES))))["c2"]
    assert (found.verdict, found.scope) == (Verdict.REPRODUCED, Scope.FULL)
    (part,) = found.parts
    assert part.asked == "0.64 to 0.74"
    number = part.numbers[0]
    assert number.value == pytest.approx(22.9 / 33.4, rel=0.005)
    assert number.low is not None
    assert number.high is not None
    assert number.low < number.value < number.high
    assert not found.scope_reasons


def test_a_ratio_outside_is_not_reproduced(tmp_path: Path) -> None:
    rates = RATES | {OLMOE: 30.0}
    found = judged(evidence_of(tmp_path, (JETSON, with_rates(rates))))
    assert found["c2"].verdict is Verdict.NOT_REPRODUCED
    assert "generation rate, OLMoE-1B-7B / Llama-3.2-1B: 0.89" in found["c2"].brief


def test_an_open_ratio_says_how_many_more_repetitions_settle_it(tmp_path: Path) -> None:
    def noisy(spec: RunSpec) -> dict[str, float]:
        factor = 0.735 if spec.model == OLMOE else 1.0
        return {"gen_tok_s": 33.4 * factor * scatter(spec, prompts=0, repetitions=0.12)}

    found = judged(evidence_of(tmp_path, (JETSON, noisy)))["c2"]
    assert found.verdict is Verdict.INCONCLUSIVE
    (more,) = found.more_runs
    assert more.repetitions is not None
    assert 1 <= more.repetitions < 100
    assert f"{more.repetitions} more repetition" in found.brief


def test_an_open_ratio_says_how_many_more_prompts_where_repetitions_do_not_help(
    tmp_path: Path,
) -> None:
    def by_prompt(spec: RunSpec) -> dict[str, float]:
        factor = 0.72 if spec.model == OLMOE else 1.0
        return {"gen_tok_s": 33.4 * factor * scatter(spec, prompts=0.08, repetitions=0.001)}

    found = judged(evidence_of(tmp_path, (JETSON, by_prompt)))["c2"]
    assert found.verdict is Verdict.INCONCLUSIVE
    (more,) = found.more_runs
    assert more.repetitions is None
    assert more.prompts is not None
    assert more.prompts >= 1


def test_what_was_not_read_is_not_tested_for_the_recorded_reason(tmp_path: Path) -> None:
    ends = {"absent": {"j_per_token_study": "no power source on this host"}}
    evidence = evidence_of(tmp_path, (JETSON, with_rates(RATES)), ends=lambda _: ends)
    found = judged(evidence)["c11"]
    assert found.verdict is Verdict.NOT_TESTED
    assert "no power source on this host" in found.missing[0]


def test_other_hardware_is_held_to_the_direction_and_says_so(tmp_path: Path) -> None:
    rates = RATES | {OLMOE: 33.0}  # 1 % slower: far from both stated numbers
    found = judged(evidence_of(tmp_path, (ELSEWHERE, with_rates(rates))))
    for claim in ("c1", "c2"):
        assert (found[claim].verdict, found[claim].scope) == (
            Verdict.SAME_DIRECTION,
            Scope.DIRECTION,
        )
        assert found[claim].parts[0].asked == "below 1"
        assert found[claim].reading.startswith("Same direction")
        assert "not on the study's" in found[claim].scope_reasons[0]


def test_the_two_families_are_never_mixed(tmp_path: Path) -> None:
    """One ratio cannot confirm one claim and refute another where it reproduces nothing."""
    rates = RATES | {OLMOE: 38.6}  # 1.155 of Llama-3.2-1B
    found = judged(evidence_of(tmp_path, (ELSEWHERE, with_rates(rates))))
    conditions = set(FAMILIES[Family.CONDITIONS])
    # What the model files alone decide is the same on any hardware.
    of_files = {"c18", "c29", "c38a", "c38b", "c41"}
    assert {name for name, each in found.items() if each.verdict in conditions} <= of_files
    directions = [each for name, each in found.items() if name not in of_files]
    assert not {part.verdict for each in directions for part in each.parts} & conditions
    assert found["c1"].verdict is found["c2"].verdict is Verdict.OPPOSITE_DIRECTION
    for claim in ("c4", "c5", "c27", "c42"):
        assert found[claim].verdict is Verdict.NOT_TESTED, claim


BOARD = build_hardware(JETSON)


GPU_IS_FREE = Clock(kind="device", name="GPU", minimum_hz=1, maximum_hz=2)
SWAP_FILE = SwapArea(name="/mnt/swapfile", size_bytes=10**9, used_bytes=0, priority=-2)
NO_SWAPS = {"absent": {"swap": "/proc/swaps cannot be read"}, "swap": ()}
# What is not recorded in an end: the engine's account of older versions, the first pause.
ON_CPU = {"devices": ("CPU",), "layers_offloaded": 0}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """One condition otherwise than the study's: what a session holds, and what is said of it."""

    condition: str
    reason: str
    synthetic: Mapping[str, Any] = field(default_factory=dict)
    hardware: Mapping[str, Any] | None = field(default_factory=dict)
    engine: Mapping[str, Any] | None = field(default_factory=dict)
    cooldown_s: float | None = 30.1


DIFFERS = [
    Recorded(
        condition="board",
        hardware={"device": "NVIDIA Jetson Orin NX"},
        reason="the board is NVIDIA Jetson Orin NX, the study's Orin Nano",
    ),
    Recorded(
        condition="board", hardware={"device": None}, reason="the board is Synthetic CPU, the"
    ),
    Recorded(
        condition="power mode",
        hardware={"power_mode": PowerMode(id=2, name="MAXN_SUPER")},
        reason="the power mode is MAXN_SUPER, the study's 15W",
    ),
    Recorded(
        condition="power mode",
        hardware={"power_mode": PowerMode(id=3, name="115W")},
        reason="the power mode is 115W",
    ),
    Recorded(
        condition="power mode",
        hardware={"power_mode": None},
        reason="the power mode was not recorded; the study's is 15W",
    ),
    Recorded(
        condition="power mode",
        hardware={"power_mode": PowerMode(id=0, name=None)},
        reason="the power mode was not recorded",
    ),
    Recorded(
        condition="clocks",
        hardware={"clocks": (GPU_IS_FREE,)},
        reason="the clocks are free to move (GPU), the study's locked",
    ),
    Recorded(
        condition="clocks",
        hardware={"clocks": ()},
        reason="the clocks were not recorded; the study's are locked",
    ),
    Recorded(
        condition="memory", synthetic={"memory_bytes": 16 * 10**9}, reason="16.0 GB of memory"
    ),
    Recorded(
        condition="swap",
        hardware={"swap": (SWAP_FILE,)},
        reason="the swap is /mnt/swapfile, the study's zram",
    ),
    Recorded(condition="swap", hardware={"swap": ()}, reason="the swap is none, the study's zram"),
    Recorded(
        condition="swap",
        hardware=NO_SWAPS,
        reason="the swap was not recorded; the study's is zram",
    ),
    Recorded(
        condition="engine",
        synthetic={"source": DirectorySource(kind="directory", path="$CACHE")},
        reason="the engine is llama.cpp b4447, the study's b4404",
    ),
    Recorded(
        condition="backend",
        engine=ON_CPU | {"layers_offloaded": 17},
        reason="the backend is CPU, the study's CUDA",
    ),
    Recorded(
        condition="backend",
        engine={"devices": ()},
        reason="the backend is the processor alone, the study's CUDA",
    ),
    Recorded(
        condition="backend", engine=None, reason="the backend was not recorded; the study's is CUDA"
    ),
    Recorded(
        condition="layers",
        engine={"layers_offloaded": 12},
        reason="the layers on the accelerator are 12 of 17, the study's all",
    ),
    Recorded(
        condition="layers",
        engine={"layers_offloaded": None},
        reason="the layers on the accelerator were not recorded",
    ),
    Recorded(
        condition="model files",
        synthetic={"model_sha256": {LLAMA: "5" * 64}},
        reason="the model files are Llama-3.2-1B 555555555555, the study's those named by digest",
    ),
    Recorded(
        condition="twins",
        synthetic={"twin_scale": "full"},
        reason="full-scale twins ran in place of the models",
    ),
    Recorded(
        condition="run order",
        synthetic={"order": Order.COUNTERBALANCED},
        reason="the run order is models in turn, the study's all runs of a model together",
    ),
    Recorded(
        condition="cool-down",
        cooldown_s=2.0,
        reason="the cool-down is 2 s at least, 2 s in the median, the study's 30 s",
    ),
    Recorded(condition="cool-down", cooldown_s=300.0, reason="the cool-down is 300 s at least"),
    Recorded(
        condition="cool-down",
        cooldown_s=None,
        reason="the cool-down was not recorded; the study's is 30 s",
    ),
    Recorded(
        condition="procedure", synthetic={"threads": 4}, reason="the threads are 4, the study's 6"
    ),
    Recorded(
        condition="procedure",
        synthetic={"n_predict": 128},
        reason="runs generate 128 tokens, the study's 256",
    ),
    Recorded(
        condition="procedure",
        synthetic={"prompt_scale": 0.5},
        reason="prompts are cut to 50 % of their words",
    ),
    Recorded(condition="all of the machine", hardware=None, reason="the swap was not recorded"),
]


def session_of(recorded: Recorded, root: Path) -> SessionEvidence:
    assert BOARD is not None
    hardware = recorded.hardware
    synthetic = replace(
        JETSON,
        **{"cpu_model": "Synthetic CPU", **recorded.synthetic},
        hardware=None if hardware is None else BOARD.model_copy(update=dict(hardware)),
    )
    told = recorded.engine
    engine = None if told is None else ENGINE.model_copy(update=dict(told))
    pause = {} if recorded.cooldown_s is None else {"cooldown_s": recorded.cooldown_s}

    def ends(spec: RunSpec) -> dict[str, Any]:
        metrics = metrics_of(spec) | {"gen_tok_s": RATES[spec.model] * scatter(spec)} | pause
        return {"engine": engine, "metrics": metrics}

    return evidence_of(root, (synthetic, with_rates(RATES)), ends=ends)


@pytest.mark.parametrize("recorded", DIFFERS, ids=lambda each: f"{each.condition}: {each.reason}")
def test_a_condition_that_differs_or_was_not_recorded_leaves_a_direction(
    tmp_path: Path, recorded: Recorded
) -> None:
    found = judged(session_of(recorded, tmp_path))["c2"]
    assert (found.verdict, found.scope) == (Verdict.SAME_DIRECTION, Scope.DIRECTION)
    assert any(recorded.reason in each for each in found.scope_reasons), found.scope_reasons
    assert recorded.reason in found.reading


MARKED = {
    "full-size random twins": Recorded(
        condition="twins", synthetic={"twin_scale": "full"}, reason="full-scale twins ran"
    ),
    "another engine build": Recorded(
        condition="engine",
        synthetic={"source": DirectorySource(kind="directory", path="$CACHE")},
        reason="the engine is llama.cpp b4447",
    ),
    "a GPU target that ran on the CPU": Recorded(
        condition="backend", engine=ON_CPU, reason="the backend is CPU"
    ),
    "a board whose clocks float": Recorded(
        condition="clocks", hardware={"clocks": (GPU_IS_FREE,)}, reason="the clocks are free"
    ),
}


@pytest.mark.parametrize("kind", MARKED)
def test_none_of_these_gives_an_unmarked_verdict(tmp_path: Path, kind: str) -> None:
    recorded = MARKED[kind]
    found = judged(session_of(recorded, tmp_path))
    # Decided by the files of the models, on any hardware: twins have none.
    of_files = set() if kind == "full-size random twins" else {"c18", "c29", "c38a", "c38b", "c41"}
    under_conditions = set(FAMILIES[Family.CONDITIONS])
    tested = [each for each in found.values() if each.verdict is not Verdict.NOT_TESTED]
    assert len(tested) >= 5
    for each in tested:
        if each.id not in of_files:
            assert each.verdict not in under_conditions, each.id
            assert any(recorded.reason in reason for reason in each.scope_reasons), each.id


def test_every_condition_as_declared_gives_a_verdict(tmp_path: Path) -> None:
    evidence = session_of(Recorded(condition="none", reason=""), tmp_path)
    (place,) = evidence.places(Feeds.HEADLINE)
    assert place.shortfalls == ()
    assert judged(evidence)["c2"].verdict is Verdict.REPRODUCED


def test_what_other_hardware_cannot_tell_is_not_tested_there(tmp_path: Path) -> None:
    found = judged(evidence_of(tmp_path, (ELSEWHERE, with_rates(RATES))))
    assert "needs the study's" in found["c7"].missing[0]
    assert found["c5"].verdict is Verdict.NOT_TESTED
    assert "on M2 and Jetson" in found["c5"].missing[0]


def test_a_pair_of_devices_is_compared_in_order(tmp_path: Path) -> None:
    same = M2_RATES | {OLMOE: 80.0}  # below Qwen2.5 on both
    evidence = evidence_of(tmp_path, (JETSON, with_rates(RATES)), (M2, with_rates(same)))
    found = judged(evidence)
    assert found["c5"].verdict is Verdict.REPRODUCED
    assert found["c4"].verdict is Verdict.NOT_REPRODUCED


def test_the_study_s_own_rates_do_not_come_in_one_order(tmp_path: Path) -> None:
    evidence = evidence_of(tmp_path, (JETSON, with_rates(RATES)), (M2, with_rates(M2_RATES)))
    found = judged(evidence)
    assert found["c5"].verdict is Verdict.NOT_REPRODUCED
    assert found["c1"].verdict is found["c17"].verdict is Verdict.REPRODUCED


@pytest.mark.parametrize("scale", ["thin", "tiny"])
def test_reduced_twins_bear_no_verdict(tmp_path: Path, scale: Literal["thin", "tiny"]) -> None:
    twins = replace(JETSON, twin_scale=scale)
    found = judged(evidence_of(tmp_path, (twins, with_rates(RATES))))
    assert {verdict.verdict for verdict in found.values()} == {Verdict.NOT_TESTED}
    assert "--twins full" in found["c2"].missing[0]
    assert "these runs used twins" in found["c18"].missing[0]


def test_a_software_device_bears_no_verdict_and_is_named(tmp_path: Path) -> None:
    hardware = build_hardware(JETSON)
    assert hardware is not None
    driver = Accelerator(name="Vulkan0", description="llvmpipe (LLVM 15)", is_software=True)
    on_driver = hardware.model_copy(update={"accelerators": (driver,)})
    evidence = evidence_of(tmp_path, (replace(JETSON, hardware=on_driver), with_rates(RATES)))
    found = judged(evidence)
    measured = {c: v for c, v in found.items() if v.verdict is not Verdict.NOT_TESTED}
    assert measured == {}
    assert "llvmpipe (LLVM 15) is a software device" in found["c2"].missing[0]
    places = evidence.places(Feeds.HEADLINE)
    assert "on a software device" in places[0].label
    assert any("software device" in shortfall for shortfall in places[0].shortfalls)


def test_a_pretended_meter_bears_no_verdict_on_energy_and_is_named(tmp_path: Path) -> None:
    meter = OutsideMeter(command=("played",), name="a player", pretended=True)
    outcome = with_rates(RATES)
    evidence = evidence_of(tmp_path, (replace(JETSON, meter=meter), outcome))
    asked = judged(evidence)
    plain = judged(evidence_of(tmp_path / "plain", (JETSON, outcome)))
    changed = {claim for claim in asked if asked[claim].verdict is not plain[claim].verdict}
    assert asked["c2"].verdict is plain["c2"].verdict is not Verdict.NOT_TESTED
    assert "with a pretended meter" in evidence.places(Feeds.HEADLINE)[0].label
    energy = {claim for claim, found in asked.items() if "a player" in " ".join(found.missing)}
    # c28a asks for a time that follows from energy and power, c30 for a share of energies.
    assert {"c11", "c12", "c28a", "c30"} <= energy
    assert changed <= energy
    assert all(asked[claim].verdict is Verdict.NOT_TESTED for claim in changed)


def test_cut_prompts_bear_nothing_about_length(tmp_path: Path) -> None:
    cut = replace(ELSEWHERE, prompt_scale=0.06)
    found = judged(evidence_of(tmp_path, (cut, with_rates(RATES))))
    assert found["c8a"].verdict is Verdict.NOT_TESTED
    assert "cut to 6 % of their words" in found["c8a"].missing[0]
    assert found["c1"].verdict is Verdict.SAME_DIRECTION


def test_full_scale_twins_give_a_direction_and_are_told(tmp_path: Path) -> None:
    full = replace(JETSON, twin_scale="full")
    found = judged(evidence_of(tmp_path, (full, with_rates(RATES))))["c2"]
    assert (found.verdict, found.scope) == (Verdict.SAME_DIRECTION, Scope.DIRECTION)
    assert any("random weights" in caution for caution in found.cautions)
    assert "full-scale twins" in found.reading


def test_falls_with_length_are_judged_from_three_repetitions(tmp_path: Path) -> None:
    def falling(spec: RunSpec) -> dict[str, float]:
        fall = {"length-long": 0.95 if spec.model == OLMOE else 0.9}.get(spec.prompt, 1.0)
        return {"gen_tok_s": RATES[spec.model] * fall * (1 + 0.001 * spec.repetition)}

    # The claim is of both devices, so both are asked for.
    evidence = evidence_of(tmp_path, (JETSON, falling), (M2, falling))
    assert judged(evidence)["c8a"].verdict is Verdict.REPRODUCED


@pytest.mark.parametrize(
    ("status", "verdict"),
    [(Status.OOM, Verdict.NOT_REPRODUCED), (Status.INVALID, Verdict.REPRODUCED)],
)
def test_a_run_out_of_memory_is_a_result_and_a_spoilt_one_is_none(
    tmp_path: Path, status: Status, verdict: Verdict
) -> None:
    def ends(spec: RunSpec) -> dict[str, object]:
        first = (spec.model, spec.prompt, spec.repetition) == (OLMOE, "length-long", 1)
        return failed(status, "ended") if first else {}

    evidence = evidence_of(tmp_path, (JETSON, with_rates(RATES)), ends=ends)
    assert judged(evidence)["c9"].verdict is verdict


def test_a_sweep_of_threads(tmp_path: Path) -> None:
    def by_threads(spec: RunSpec) -> dict[str, float]:
        loss = {4: 0.9, 6: 0.985, 8: 1.0}[spec.threads]
        return {"gen_tok_s": M2_RATES[spec.model] * loss * scatter(spec)}

    sweep = replace(M2, experiments={"thread_sweep": SWEEP})
    found = judged(evidence_of(tmp_path, (sweep, by_threads)))
    assert found["c22"].verdict is Verdict.REPRODUCED
    assert found["c22"].parts[0].numbers[0].value == pytest.approx(1.5, abs=0.5)
    assert found["c31"].verdict is Verdict.REPRODUCED


@pytest.mark.parametrize(("memory_gb", "is_told"), [(7.6, True), (16, False)])
def test_where_experts_decide_what_is_paged_verdicts_on_twins_say_so(
    tmp_path: Path, memory_gb: float, is_told: bool
) -> None:
    twins = replace(JETSON, twin_scale="full", memory_bytes=int(memory_gb * 10**9))
    found = judged(evidence_of(tmp_path, (twins, with_rates(RATES))))
    told = [
        caution
        for verdict in found.values()
        for caution in verdict.cautions
        if "which experts are chosen decides what is paged" in caution
    ]
    assert bool(told) is is_told


def test_routing_is_read_from_the_probed_runs_by_stratum(tmp_path: Path) -> None:
    routed = replace(JETSON, experiments={"router_overhead": ROUTING})
    found = judged(evidence_of(tmp_path, (routed, with_rates(RATES, routing))))
    assert found["c14"].verdict is Verdict.REPRODUCED
    share = found["c14"].parts[0].numbers[0]
    assert share.value == pytest.approx(100 * 0.65 / 7.35, rel=0.01)
    assert found["c26"].verdict is Verdict.REPRODUCED
    on_m2, on_jetson = found["c23"].parts
    assert on_m2.missing == "no runs of router_overhead on M2"
    assert on_jetson.verdict is Verdict.REPRODUCED
    assert found["c36a"].verdict is Verdict.REPRODUCED
    assert found["c36b"].verdict is Verdict.NOT_REPRODUCED
    # The rates of the headline are those of other runs in the same session.
    assert found["c43"].verdict is Verdict.REPRODUCED
    timed = found["c43"].parts[0].numbers[0]
    assert timed.value == pytest.approx(0.65 / 256 / (1 / 22.9 - 1 / 33.4), rel=0.03)


def test_every_verdict_of_a_session_says_what_it_rests_on(tmp_path: Path) -> None:
    found = judged(evidence_of(tmp_path, (ELSEWHERE, with_rates(RATES))))
    for verdict in found.values():
        assert verdict.source == "reader"
        assert verdict.reading
        assert verdict.brief
        for part in verdict.parts:
            assert bool(part.missing) == (part.verdict is Verdict.NOT_TESTED)
            assert bool(part.numbers) == (part.verdict in DECIDED)


@pytest.mark.parametrize(
    ("metrics", "verdict"),
    [
        ({}, "not_tested"),
        ({"nvmap_peak_bytes": 1.0}, "reproduced"),
        ({"device_buffer_bytes": 1.0}, "reproduced"),
        # What the kernel counts comes before what the engine says.
        ({"nvmap_peak_bytes": 1.0, "device_buffer_bytes": 0.1}, "reproduced"),
        ({"device_buffer_bytes": 0.1}, "not_reproduced"),
    ],
)
def test_device_memory_is_known_from_the_engine_where_no_kernel_counts_it(
    tmp_path: Path, metrics: dict[str, float], verdict: str
) -> None:
    def of_files(spec: RunSpec) -> dict[str, float]:
        return {key: share * FILE_BYTES[spec.model] for key, share in metrics.items()}

    assert judged(evidence_of(tmp_path, (JETSON, of_files)))["c33"].verdict.value == verdict


def energy(share: float) -> Metrics:
    """Return energies of a ratio of 2.1 and peaks of 13 W, with a sensor's relative uncertainty."""

    def metrics(spec: RunSpec) -> dict[str, float]:
        per_token = {OLMOE: 0.945, LLAMA: 0.45}.get(spec.model, 0.6) * scatter(spec)
        process = 256 * per_token
        return {
            "j_per_token_study": per_token,
            "power_study_peak_w": 13.0,
            "energy_process_j": process,
            **({"energy_process_u95_j": share * process} if share else {}),
        }

    return metrics


@pytest.mark.parametrize(
    ("share", "repetitions", "verdict"),
    [
        (0.0, 3, Verdict.REPRODUCED),
        (0.02, 3, Verdict.REPRODUCED),
        (0.12, 3, Verdict.INCONCLUSIVE),
        (0.12, 9, Verdict.INCONCLUSIVE),  # more runs tell no more of a sensor
    ],
)
def test_the_sensor_widens_energies_and_peaks(
    tmp_path: Path, share: float, repetitions: int, verdict: Verdict
) -> None:
    board = replace(JETSON, repetitions=repetitions)
    found = judged(evidence_of(tmp_path, (board, energy(share))))
    assert found["c11"].verdict is verdict
    assert found["c35"].verdict is verdict
    ratio, peak = found["c11"].parts[0].numbers[0], found["c35"].parts[0].numbers[0]
    assert ratio.low is not None
    assert peak.low is not None
    each = share * 1.645 / 2
    assert peak.value - peak.low == pytest.approx(13 * each, abs=1e-6)
    assert (ratio.value - ratio.low) / ratio.value >= math.hypot(each, each)


def part_of(verdict: Verdict) -> Part:
    return Part(verdict=verdict, scope=Scope.FULL, where="", asked="", numbers=(), reading="")


HOLDS, FAILS, IS_OPEN = Verdict.REPRODUCED, Verdict.NOT_REPRODUCED, Verdict.INCONCLUSIVE
UNTESTED = Verdict.NOT_TESTED


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([HOLDS] * 6, HOLDS),
        ([HOLDS] * 5 + [FAILS], FAILS),
        ([HOLDS] * 5 + [IS_OPEN], IS_OPEN),
        # One part of six decides nothing, whatever it is.
        ([FAILS] + [UNTESTED] * 5, UNTESTED),
        ([IS_OPEN] + [UNTESTED] * 5, UNTESTED),
        ([HOLDS] + [UNTESTED] * 5, UNTESTED),
        ([FAILS, HOLDS, HOLDS] + [UNTESTED] * 3, FAILS),
        # All of them must hold, so what is missing leaves a claim untested that none contradicts.
        ([HOLDS] * 5 + [UNTESTED], UNTESTED),
    ],
)
def test_few_of_several_parts_decide_nothing(parts: list[Verdict], verdict: Verdict) -> None:
    assert verdict_of_parts([part_of(each) for each in parts]) is verdict


def test_a_claim_says_how_many_of_its_parts_were_tested(tmp_path: Path) -> None:
    found = judged(evidence_of(tmp_path, (JETSON, with_rates(RATES))))["c7"]
    tested = sum(part.verdict is not UNTESTED for part in found.parts)
    assert 0 < tested < len(found.parts)
    assert f"{tested} of {len(found.parts)} parts" in found.reading
    assert f"({tested} of {len(found.parts)} parts tested)" in found.brief
    (entry,) = judgement_document((found,), ())["claims"]
    assert entry["parts_tested"] == tested
