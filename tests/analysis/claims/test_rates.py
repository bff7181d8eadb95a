"""How often intervals cover and verdicts err, on few simulated studies; benchmarks take more."""

from __future__ import annotations

import pytest

from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.studies.claims import Limits
from tests.bench.interval_coverage import CASES, DOUBTFUL, coverage
from tests.bench.simulated import Setup
from tests.bench.verdict_rates import rates, wrong_share

STUDIES = 250
# The standard error of a share of 90 % over 250 studies is 1.9 %.
LEAST, MOST = 0.83, 0.97


@pytest.mark.parametrize("name", CASES)
def test_intervals_cover_about_as_often_as_they_say(name: str) -> None:
    share = coverage(CASES[name], STUDIES).holds
    assert share >= LEAST
    assert share <= MOST or name == "median"  # that one is known to cover more


@pytest.mark.parametrize("name", [name for name in DOUBTFUL if "twelve" not in name])
def test_an_interval_that_covers_less_says_so(name: str) -> None:
    assert coverage(DOUBTFUL[name], 40).doubted >= 0.95


def test_an_ordinary_interval_is_seldom_doubted() -> None:
    assert coverage(CASES["ratio, prompts paired"], 60).doubted <= 0.15


@pytest.mark.parametrize(
    ("truth", "verdict"),
    [(0.90, Verdict.REPRODUCED), (0.99, Verdict.NOT_REPRODUCED), (0.95, Verdict.INCONCLUSIVE)],
)
def test_a_clear_truth_gets_its_verdict_and_the_edge_mostly_none(
    truth: float, verdict: Verdict
) -> None:
    limits = Limits(about=0.90, tolerance=0.05)
    found = rates(STUDIES, truth, limits, Setup())
    assert found[verdict] > 0.8
    assert wrong_share(truth, limits, found) <= 0.15


def test_a_wrong_verdict_is_rarer_than_one_in_twenty_on_either_side() -> None:
    limits = Limits(below=1)
    beyond = rates(STUDIES, 1.0001, limits, Setup())
    assert beyond[Verdict.REPRODUCED] <= 0.09  # 5 % and twice the error of the simulation
    inside = rates(STUDIES, 0.9999, limits, Setup())
    assert inside[Verdict.NOT_REPRODUCED] <= 0.09
