"""The study against itself: what comes out of its printed figures, whole and line by line."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from edgemoe_appliance.analysis.audit import audit, judgement_document
from edgemoe_appliance.analysis.claims import (
    ClaimVerdict,
    StudyEvidence,
    Verdict,
    judge_claims,
)
from edgemoe_appliance.studies import Study, read_study

GOLDEN = Path(__file__).parents[1] / "golden" / "claims-study.json"


@pytest.fixture(scope="module")
def study() -> Study:
    return read_study()


@pytest.fixture(scope="module")
def verdicts(study: Study) -> dict[str, ClaimVerdict]:
    judged = judge_claims(StudyEvidence(study))
    return {verdict.id: verdict for verdict in judged}


def test_the_document_of_the_study_is_the_one_kept_here(
    study: Study, verdicts: dict[str, ClaimVerdict]
) -> None:
    """Set ACCEPT_GOLDEN=1 to take the present output as right, then read the difference."""
    findings = audit(StudyEvidence(study))
    text = json.dumps(judgement_document(tuple(verdicts.values()), findings), indent=1) + "\n"
    if os.environ.get("ACCEPT_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_claim_is_judged_and_says_what_it_rests_on(
    study: Study, verdicts: dict[str, ClaimVerdict]
) -> None:
    assert list(verdicts) == list(study.claims)
    for verdict in verdicts.values():
        assert verdict.source == "study"
        assert verdict.tolerance
        assert verdict.reading
        assert verdict.brief
        assert not any(n.basis and n.basis.value == "interval" for n in verdict.numbers)
        assert (
            bool(verdict.missing)
            == any(part.verdict is Verdict.NOT_TESTED for part in verdict.parts)
            or not verdict.parts
        )


# Worked out by hand from the study's tables.
@pytest.mark.parametrize(
    ("claim", "verdict", "number", "value"),
    [
        ("c1", "consistent", "ratio.generation-rate.olmoe-1b-7b/llama-3.2-1b@m2", 114.5 / 127.4),
        ("c2", "consistent", "ratio.generation-rate.olmoe-1b-7b/llama-3.2-1b@jetson", 22.9 / 33.4),
        (
            "c4",
            "not_consistent",
            "ratio.generation-rate.olmoe-1b-7b/qwen2.5-1.5b@jetson",
            22.9 / 24.6,
        ),
        ("c5", "not_consistent", "ratio.generation-rate.olmoe-1b-7b/qwen2.5-1.5b@m2", 114.5 / 88.0),
        (
            "c6",
            "not_consistent",
            "ratio.peak-memory.llama-3.2-1b/file-size@jetson",
            1.87 * 1.073741824 / 0.81,
        ),
        (
            "c8",
            "not_consistent",
            "difference.fall-with-length.olmoe-1b-7b/gemma-2-2b@m2",
            100 * (57.4 / 60.7 - 103.8 / 119.2),
        ),
        ("c16", "not_consistent", "total-traffic-share.olmoe-1b-7b@jetson", 22.9 * 4.21 / 68.3),
        ("c24", "left_open_by_the_digits", "ratio.probe-cost.olmoe-1b-7b@m2/jetson", 10.742),
        ("c30", "not_consistent", "implied-window.olmoe-1b-7b@jetson", 0.96 * 22.9 / 8.49),
        (
            "c34",
            "not_consistent",
            "ratio.median-energy-per-token.olmoe-1b-7b/gemma-2-2b@jetson",
            0.86 / 0.91,
        ),
        (
            "c37",
            "not_consistent",
            "difference.peak-memory.olmoe-1b-7b/llama-3.2-1b@m2",
            (4.49 - 0.98) * 2**30,
        ),
        (
            "c38",
            "not_consistent",
            "ratio.cache-bytes-per-token.olmoe-1b-7b/llama-3.2-1b@m2",
            4,
        ),
    ],
)
def test_a_verdict_and_its_number(
    verdicts: dict[str, ClaimVerdict], claim: str, verdict: str, number: str, value: float
) -> None:
    found = verdicts[claim]
    assert found.verdict.value == verdict
    numbers = {each.key: each for each in found.numbers}
    assert numbers[number].value == pytest.approx(value, rel=1e-4), list(numbers)
    low, high = numbers[number].low, numbers[number].high
    assert low is not None
    assert high is not None
    assert low <= value * 1.0001
    assert high >= value * 0.9999


def test_what_the_study_does_not_print_is_not_tested_and_named(
    verdicts: dict[str, ClaimVerdict],
) -> None:
    for claim, words in {
        "c7": "swap",
        "c9": "status of single runs",
        "c22": "number of threads",
        "c33": "device memory",
        "c39": "length of prompt",
        "c41": "another quantisation",
    }.items():
        assert verdicts[claim].verdict is Verdict.NOT_TESTED
        assert any(words in reason for reason in verdicts[claim].missing), claim


def test_rounding_is_all_that_bounds_printed_numbers(verdicts: dict[str, ClaimVerdict]) -> None:
    assert "printed digits leave it open" in verdicts["c24"].brief
    assert verdicts["c24"].more_runs == ()
