"""The arithmetic of the benchmarks, on traces whose answer is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgemoe_appliance.analysis.claims import Verdict
from edgemoe_appliance.schema.units import NS_PER_S
from tests.bench import adaptive_repetitions, faithful_reruns
from tests.bench.adaptive_repetitions import by_prompt, needed
from tests.bench.intervals import bootstrap_median
from tests.bench.known_loads import Row, describe, found
from tests.bench.sampler_cost import Block, block_rate, pair_ratios


def _blocks(pattern: str) -> list[Block]:
    return [
        Block(is_on=sign == "+", start_ns=number * NS_PER_S, end_ns=(number + 1) * NS_PER_S)
        for number, sign in enumerate(pattern)
    ]


def _starts(blocks: list[Block], on_ns: int, off_ns: int) -> list[int]:
    starts: list[int] = []
    for block in blocks:
        step_ns = on_ns if block.is_on else off_ns
        starts += range(block.start_ns, block.end_ns, step_ns)
    return starts


def test_the_rate_of_a_block_leaves_its_edges_out() -> None:
    (block,) = _blocks("+")
    inside = list(range(NS_PER_S // 10, 9 * NS_PER_S // 10 + 1, NS_PER_S // 100))
    assert block_rate([0, 1, 2, *inside, NS_PER_S - 1], block) == pytest.approx(100)
    assert block_rate([0, NS_PER_S - 1], block) is None


def test_pairs_compare_sampled_with_unsampled_whichever_came_first() -> None:
    blocks = _blocks("+--++--+")
    starts = _starts(blocks, on_ns=10_100_000, off_ns=10_000_000)
    assert pair_ratios(starts, blocks) == pytest.approx([100 / 101] * 4, rel=1e-6)


def test_a_pair_without_its_second_block_is_no_pair() -> None:
    blocks = _blocks("+--")
    assert len(pair_ratios(_starts(blocks, 10**7, 10**7), blocks)) == 1


def test_the_interval_of_a_median_holds_it_and_repeats_itself() -> None:
    values = [0.98, 1.0, 1.01, 1.02, 1.0, 0.99, 1.03]
    interval = bootstrap_median(values)
    assert interval.value == 1.0
    assert 0.98 <= interval.low < 1.0 < interval.high <= 1.03
    assert bootstrap_median(values) == interval
    with pytest.raises(ValueError, match="too few"):
        bootstrap_median([1.0] * 5)


def test_a_known_load_is_told_by_its_largest_error() -> None:
    row = Row(load="sleep", metric="wall_s", expected=2.0, bound=0.05, unit="s")
    rounds = [
        {"none": {"wall_s": 0.1}, "sleep": {"wall_s": wall_s}} for wall_s in (2.1, 2.11, 2.04)
    ]
    figures = found(row, rounds)
    assert figures == pytest.approx([2.0, 2.01, 1.94])
    assert describe(row, figures).endswith("BEYOND")
    assert describe(row, figures[:2]).endswith("within")
    assert describe(row, []).endswith("not measured")


def test_a_cell_gets_the_repetitions_that_a_session_would_give_it() -> None:
    rng = np.random.default_rng(3)
    quiet = 30 + rng.normal(0, 0.1, (12, 10))
    assert needed(quiet) == 2
    assert needed(30 + rng.normal(0, 4.0, (12, 10))) > 2
    assert by_prompt(quiet, 2)["p03"] == quiet[3, :2].tolist()


def test_spreads_are_told_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    shared = rng.normal(0, 0.03, 4000)

    def log_rates(_folder: Path, _model: str) -> dict[str, list[float]]:
        levels = shared + rng.normal(0, 0.02, shared.size)
        runs = levels[:, None] + rng.normal(0, 0.05, (shared.size, 3))
        return {f"p{place}": row.tolist() for place, row in enumerate(runs)}

    monkeypatch.setattr(adaptive_repetitions, "_log_rates", log_rates)
    spread = adaptive_repetitions.read_spread(tmp_path)
    assert spread.noise == pytest.approx(0.05, rel=0.05)
    assert spread.shared == pytest.approx(0.03, rel=0.1)
    assert spread.own == pytest.approx(0.02, rel=0.15)


@pytest.mark.parametrize(("name", "held"), [("as the study prints", 30), ("clearly otherwise", 0)])
def test_a_simulated_rerun_is_judged_by_the_truth_that_it_was_drawn_from(
    name: str, held: int
) -> None:
    world = faithful_reruns.WORLDS[name]()
    truths = {
        each.id: faithful_reruns.truth_of(each)
        for each in faithful_reruns.judge_rerun(world, faithful_reruns.NONE, 0)
    }
    verdicts = faithful_reruns.judge_rerun(world, faithful_reruns.Scatter(), 1)
    reproduced = {each.id for each in verdicts if each.verdict is Verdict.REPRODUCED}
    assert len(reproduced) >= held
    assert not [claim for claim in reproduced if truths[claim] is False]
    if held:
        assert truths["c2"] is True
        assert truths["c4"] is False
        assert not [each.id for each in verdicts if each.verdict is Verdict.NOT_TESTED]
