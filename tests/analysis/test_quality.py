"""Runs that judge answers: series in the frames, and what is held against the 16-bit file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import LoadedSessions, load_sessions
from edgemoe_appliance.analysis.claims import ClaimVerdict, SessionEvidence, Verdict, judge_claims
from edgemoe_appliance.analysis.claims.estimates import Estimate
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Cell
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.analysis.threats import find_threats
from edgemoe_appliance.schema.configs import Assessment, Experiment, Feeds
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.studies import read_study
from edgemoe_appliance.studies.quantities import Quantity, Term
from tests.analysis.journals import Scale, Synthetic, metrics_of, write_session

SIXTEEN, FOUR = "smollm2-135m-f16", "smollm2-135m-q4_0"
STUDY = read_study("quantisation")
# 40 items: 30 right by 16 bits; of those, 4 bits lose 4 and win 2 others, so 28 right.
RIGHT = {
    SIXTEEN: (100.0,) * 30 + (0.0,) * 10,
    FOUR: (0.0,) * 4 + (100.0,) * 28 + (0.0,) * 8,
}
CHUNKS = {SIXTEEN: (0.001, 0.002, 0.003), FOUR: (0.2, None, 0.4)}


def experiment(feeds: Feeds, **more: Any) -> Experiment:
    return Experiment(
        title="Made up", feeds=(feeds,), models=(SIXTEEN, FOUR), repetitions=1, **more
    )


SYNTHETIC = Synthetic(
    models=(SIXTEEN, FOUR),
    prompts=(),
    length_prompts=(),
    twin_scale=None,
    references=dict.fromkeys((SIXTEEN, FOUR), SIXTEEN),
    experiments={
        "items": experiment(
            Feeds.CHOICE, prompts=("items-recall",), assesses=Assessment.CHOICE, context=512
        ),
        "text": experiment(
            Feeds.DIVERGENCE, prompts=("passages",), assesses=Assessment.DIVERGENCE, context=256
        ),
        "speed": experiment(Feeds.HEADLINE, prompts=("snow-room", "dry-well"), n_predict=64),
    },
)


def answers(_: int, spec: RunSpec) -> Mapping[str, Any]:
    if spec.assesses is Assessment.CHOICE:
        values = RIGHT[spec.model]
        return {
            "metrics": {"choice_correct_pct": sum(values) / len(values)},
            "series": {"choice_correct_pct": values},
        }
    if spec.assesses is Assessment.DIVERGENCE:
        chunks = CHUNKS[spec.model]
        known = [each for each in chunks if each is not None]
        return {
            "metrics": {"kl_divergence_nat": sum(known) / 3} if len(known) == 3 else {},
            "absent": {} if len(known) == 3 else {"kl_divergence_nat": "not a finite number"},
            "series": {"kl_divergence_nat": chunks},
        }
    rate = {SIXTEEN: 20.0, FOUR: 50.0}[spec.model]
    return {"metrics": metrics_of(spec) | {"gen_tok_s": rate}}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedSessions:
    return load_sessions([write_session(tmp_path_factory.mktemp("s"), SYNTHETIC, answers)])


def cell(loaded: LoadedSessions, table: str, model: str, column: str) -> Cell:
    found = build_tables(loaded, STUDY)[table].rows()
    return next(row.cells[column] for row in found if row.model == model)


def test_series_are_kept_value_by_value(loaded: LoadedSessions) -> None:
    found = loaded.runs.ask(
        "SELECT chosen.model, series.item, series.value FROM chosen JOIN series USING (place)"
        " WHERE series.metric = 'kl_divergence_nat' ORDER BY model, item"
    )
    values = list(zip(found["model"], found["item"], found["value"], strict=True))
    assert [(m, int(i)) for m, i, _ in values] == [
        (m, i) for m in (SIXTEEN, FOUR) for i in range(3)
    ]
    assert [float(v) for m, _, v in values if m == SIXTEEN] == [0.001, 0.002, 0.003]


def test_one_chunk_that_is_no_number_leaves_no_mean(loaded: LoadedSessions) -> None:
    assert cell(loaded, "quality", SIXTEEN, "kl_divergence_nat").number == pytest.approx(0.002)
    assert cell(loaded, "quality", SIXTEEN, "n").number == 3
    found = cell(loaded, "quality", FOUR, "kl_divergence_nat")
    assert found.number is None
    assert "not a finite number" in found.absent


def test_items_are_compared_one_by_one_with_those_of_16_bits(loaded: LoadedSessions) -> None:
    found = cell(loaded, "items", FOUR, "less_reference")
    assert found.number == pytest.approx(-5.0)  # 28 of 40 less 30 of 40
    assert isinstance(found.interval, Interval)
    # Six of 40 items differ. Were the files drawn apart, the width would be that of two shares
    # near 70 %: 2 x 1.645 x sqrt(2 x 0.7 x 0.3 / 40), or 34 points; paired it is 20.
    assert 14 < found.interval.high - found.interval.low < 26
    margin = cell(loaded, "items", FOUR, "margin").number
    assert margin == pytest.approx((found.interval.high - found.interval.low) / 2)
    own = cell(loaded, "items", SIXTEEN, "less_reference")
    assert (own.number, own.absent) == (None, "this is the file that others are compared with")


def test_rates_are_held_against_those_of_16_bits(loaded: LoadedSessions) -> None:
    assert cell(loaded, "throughput", FOUR, "to_reference").number == pytest.approx(2.5)
    size = (80_000_000 + 400_000_000) / (270_000_000 + 400_000_000)
    assert cell(loaded, "memory", FOUR, "to_reference").number == pytest.approx(size)


def test_without_the_16_bit_file_nothing_is_compared(tmp_path: Path) -> None:
    alone = SYNTHETIC.experiments["speed"].model_copy(update={"models": (FOUR,)})
    few = Synthetic(
        models=(FOUR,), prompts=(), length_prompts=(), twin_scale=None, experiments={"speed": alone}
    )
    found = cell(
        load_sessions([write_session(tmp_path, few, answers)]), "throughput", FOUR, "to_reference"
    )
    assert found.absent == "no files of its 16-bit model ran under this condition"


def test_evidence_reads_how_far_answers_lie_below_those_of_16_bits(loaded: LoadedSessions) -> None:
    evidence = SessionEvidence(loaded, STUDY)
    (place,) = evidence.places(Feeds.CHOICE)
    found = evidence.read(place, Term(quantity=Quantity.TASK_LOSS, model=FOUR))
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(5.0)  # positive where fewer are right
    none = evidence.read(place, Term(quantity=Quantity.TASK_LOSS, model=SIXTEEN))
    assert isinstance(none, Estimate)
    assert none.value == 0


WITH_BITS = "smollm2-135m-q2_k"


def with_bits(bits: float, right: int) -> Callable[[int, RunSpec], Mapping[str, Any]]:
    """Return what a file of some bits a weight gives, of each 40 items so many right."""

    def told(_: int, spec: RunSpec) -> Mapping[str, Any]:
        count = 30 if spec.model == SIXTEEN else right
        values = ((100.0,) * count + (0.0,) * (40 - count)) * 5
        return {
            "metrics": {"choice_correct_pct": sum(values) / 200, "bits_per_weight": bits},
            "series": {"choice_correct_pct": values},
        }

    return told


@pytest.mark.parametrize(
    ("bits", "right", "verdict"),
    [
        (2.6, 30, Verdict.OPPOSITE_DIRECTION),
        # Its rows do not fit: what it can do says nothing about two bits, what it cannot do does.
        (5.14, 30, Verdict.NOT_TESTED),
        (5.14, 10, Verdict.SAME_DIRECTION),
    ],
)
def test_a_file_of_more_bits_speaks_for_a_claim_of_few_and_not_against_it(
    bits: float, right: int, verdict: Verdict, tmp_path: Path
) -> None:
    items = SYNTHETIC.experiments["items"].model_copy(update={"models": (SIXTEEN, WITH_BITS)})
    synthetic = replace(
        SYNTHETIC,
        models=(SIXTEEN, WITH_BITS),
        references=dict.fromkeys((SIXTEEN, WITH_BITS), SIXTEEN),
        experiments={"items": items},
    )
    loaded = load_sessions([write_session(tmp_path, synthetic, with_bits(bits, right))])
    judged = {each.id: each for each in judge_claims(SessionEvidence(loaded, STUDY))}
    assert judged["q3"].verdict is verdict
    if bits > 4:
        assert "holds 5.14 bits a weight, the claim is of below 4" in judged["q3"].reading


OTHER = {SIXTEEN: (100.0,) * 13 + (0.0,) * 27, FOUR: (100.0,) * 10 + (0.0,) * 30}


def of_two_kinds(_: int, spec: RunSpec) -> Mapping[str, Any]:
    """Return answers to items of which one kind is hardly answered by 16 bits."""
    values = RIGHT[spec.model] if spec.prompt == "items-recall" else OTHER[spec.model]
    return {
        "metrics": {"choice_correct_pct": sum(values) / len(values)},
        "series": {"choice_correct_pct": values},
    }


def test_items_that_16_bits_answer_hardly_better_than_chance_are_no_task(tmp_path: Path) -> None:
    both = SYNTHETIC.experiments["items"].model_copy(
        update={"prompts": ("items-recall", "items-agreement")}
    )
    synthetic = replace(SYNTHETIC, experiments={"items": both})
    loaded = load_sessions([write_session(tmp_path, synthetic, of_two_kinds)])
    why = "no task for this model: its 16 bits answer 32 % of 40 such items rightly"
    for model, score in ((SIXTEEN, 75.0), (FOUR, 70.0)):
        assert cell(loaded, "items", model, "choice_correct_pct").number == pytest.approx(score)
        assert cell(loaded, "items", model, "n").number == 40
        left_out = cell(loaded, "items", model, "agreement_pct")
        assert left_out.number is None
        assert left_out.absent.startswith(why)
    (threat,) = (each for each in find_threats(loaded, STUDY) if each.code == "no-task")
    assert threat.text.startswith(
        f"items-agreement of SmolLM2 F16 (of Q4_1) and what is made of it: {why}"
    )
    evidence = SessionEvidence(loaded, STUDY)
    (place,) = evidence.places(Feeds.CHOICE)
    found = evidence.read(place, Term(quantity=Quantity.TASK_LOSS, model=FOUR))
    assert isinstance(found, Estimate)
    assert found.value == pytest.approx(5.0)


def not_a_number(_: int, spec: RunSpec) -> Mapping[str, Any]:
    if spec.model == SIXTEEN:
        return of_two_kinds(0, spec)
    return {
        "absent": {"choice_correct_pct": "not a finite number"},
        "series": {"choice_correct_pct": (None,) * 40},
    }


def test_items_answered_by_no_number_are_judged_as_worse_than_any(tmp_path: Path) -> None:
    synthetic = replace(SYNTHETIC, experiments={"items": SYNTHETIC.experiments["items"]})
    loaded = load_sessions([write_session(tmp_path, synthetic, not_a_number)])
    evidence = SessionEvidence(loaded, STUDY)
    (place,) = evidence.places(Feeds.CHOICE)
    for quantity, value in ((Quantity.TASK_LOSS, math.inf), (Quantity.TASK_SCORE, -math.inf)):
        found = evidence.read(place, Term(quantity=quantity, model=FOUR))
        assert isinstance(found, Estimate)
        assert found.value == value
    compared = cell(loaded, "items", FOUR, "less_reference")
    assert (compared.number, compared.absent) == (None, "not a finite number")


SMALLER = tuple(f"olmoe-1b-7b-f16-{kind}" for kind in ("q4_k_m", "q4_k_s", "q3_k_m"))
WHOLE = "olmoe-1b-7b-f16"


def experts(twin_scale: Scale | None, *names: str) -> Synthetic:
    """Return a session of files of one MoE in three types."""
    return Synthetic(
        models=SMALLER if twin_scale else (WHOLE, *SMALLER),
        prompts=(),
        length_prompts=(),
        twin_scale=twin_scale,
        references=dict.fromkeys(SMALLER, WHOLE),
        experiments={name: STUDY.experiment(name) for name in names},
    )


def with_losses(losses: Mapping[str, float]) -> Callable[[int, RunSpec], Mapping[str, Any]]:
    """Return what runs give whose perplexity rises so far over that of 16 bits, in nat."""

    def told(_: int, spec: RunSpec) -> Mapping[str, Any]:
        if spec.assesses is None:
            return {"metrics": metrics_of(spec)}
        loss = losses[spec.model.removeprefix(f"{WHOLE}-")]
        rises = tuple(loss + 0.001 * (chunk % 5 - 2) for chunk in range(24))
        return {
            "metrics": {"ln_perplexity_ratio": loss},
            "series": {"ln_perplexity_ratio": rises},
        }

    return told


def judged_experts(
    tmp_path: Path, synthetic: Synthetic, losses: Mapping[str, float]
) -> dict[str, ClaimVerdict]:
    folder = write_session(tmp_path, synthetic, with_losses(losses))
    evidence = SessionEvidence(load_sessions([folder]), STUDY)
    return {each.id: each for each in judge_claims(evidence) if each.id in ("q7", "q8")}


LOSSES = {"q4_k_m": 0.02, "q4_k_s": 0.03, "q3_k_m": 0.04}


def test_twins_tell_what_fewer_bits_of_experts_free_and_not_what_they_cost(tmp_path: Path) -> None:
    found = judged_experts(tmp_path, experts("full", "experts_speed"), {})
    assert found["q7"].verdict is Verdict.SAME_DIRECTION
    assert [round(part.numbers[0].value / 1e6) for part in found["q7"].parts] == [250, 870]
    assert found["q8"].verdict is Verdict.NOT_TESTED
    assert {part.missing for part in found["q8"].parts} == {
        "no runs of experts_divergence; these runs used twins, whose answers are as random as "
        "their weights"
    }


def test_reduced_twins_tell_neither(tmp_path: Path) -> None:
    found = judged_experts(tmp_path, experts("thin", "experts_speed"), {})
    assert {each.verdict for each in found.values()} == {Verdict.NOT_TESTED}


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [
        (LOSSES, Verdict.SAME_DIRECTION),
        (LOSSES | {"q3_k_m": 0.12}, Verdict.OPPOSITE_DIRECTION),
    ],
)
def test_real_files_tell_what_it_costs(
    losses: Mapping[str, float], verdict: Verdict, tmp_path: Path
) -> None:
    synthetic = experts(None, "experts_speed", "experts_divergence")
    found = judged_experts(tmp_path, synthetic, losses)
    assert found["q7"].verdict is Verdict.SAME_DIRECTION
    assert found["q8"].verdict is verdict
