"""Table of threads: the best number by model and what the others lose against it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from edgemoe_appliance.analysis import load_sessions
from edgemoe_appliance.analysis.statistics import Interval
from edgemoe_appliance.analysis.table_model import Row, Table
from edgemoe_appliance.analysis.tables import build_tables
from edgemoe_appliance.schema.plan import RunSpec
from edgemoe_appliance.schema.records import Status
from edgemoe_appliance.studies import read_study
from tests.analysis.arms import DENSE, MOE, THREADS, outcome, session
from tests.analysis.journals import Changes, Synthetic, failed, write_session

SWEEP = session(experiments={"threads": THREADS})


def table_of(root: Path, synthetic: Synthetic = SWEEP, changes: Changes = outcome) -> Table:
    return build_tables(load_sessions([write_session(root, synthetic, changes)]), read_study())[
        "threads"
    ]


def row_of(table: Table, model: str, threads: int) -> Row:
    (found,) = [
        row
        for row in table.rows("reader")
        if (row.model, row.cells["threads"].value) == (model, threads)
    ]
    return found


def test_losses_by_hand(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    losses = [row_of(table, MOE, n).cells["below_best_pct"].number for n in (4, 6, 8)]
    assert losses == pytest.approx([10, 2, 0])
    loss = row_of(table, DENSE, 6).cells["below_best_pct"]
    assert isinstance(loss.interval, Interval)
    assert loss.interval.low == pytest.approx(2)


def test_the_best_the_study_s_and_the_target_s_are_named(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    assert row_of(table, MOE, 8).cells["role"].value == "best"
    assert row_of(table, MOE, 6).cells["role"].value == "study's, target's own"
    assert row_of(table, MOE, 4).cells["role"].value is None


def test_numbers_of_threads_are_not_pooled(tmp_path: Path) -> None:
    table = table_of(tmp_path)
    assert len(table.groups) == 2  # one of the reader's, one of the study
    assert [row.cells["n"].value for row in table.rows("reader")] == [9] * 6


def test_the_loss_is_of_prompts_that_all_have_run(tmp_path: Path) -> None:
    def cut_short(index: int, spec: RunSpec) -> Mapping[str, Any]:
        # The rates of the later prompts are lower: without pairing, 6 threads would seem best.
        lost = spec.threads == 6 and spec.prompt != "prompt-01"
        return failed(Status.TIMEOUT, "slow") if lost else outcome(index, spec)

    table = table_of(tmp_path, changes=cut_short)
    cells = row_of(table, MOE, 6).cells
    assert (cells["n"].value, cells["not_ok"].value) == (3, 6)
    assert cells["below_best_pct"].number == pytest.approx(2)


def test_one_number_of_threads_has_nothing_to_lose_against(tmp_path: Path) -> None:
    lone = session(experiments={"threads": THREADS.model_copy(update={"threads": (6,)})})
    cells = row_of(table_of(tmp_path, lone), MOE, 6).cells
    assert "no other number of threads" in cells["below_best_pct"].absent


def test_the_study_s_range_stands_beside_the_loss_on_its_device(tmp_path: Path) -> None:
    like = session(experiments={"threads": THREADS}, study_device="m2", twin_scale=None)
    table = table_of(tmp_path / "m2", like)
    assert "of 6 threads" in row_of(table, MOE, 4).cells["beyond_study_pp"].absent
    cells = row_of(table, MOE, 6).cells
    assert cells["study_below_best_pct"].value == "0.6 to 2.0"
    assert cells["beyond_study_pp"].number == pytest.approx(0, abs=1e-9)
    assert (
        "of 6 threads"
        in row_of(table_of(tmp_path / "4", like), MOE, 4).cells["beyond_study_pp"].absent
    )
    elsewhere = row_of(table_of(tmp_path / "host"), MOE, 6).cells
    assert "neither of the study's devices" in elsewhere["beyond_study_pp"].absent


def test_the_study_s_row_is_what_it_states() -> None:
    (row,) = build_tables(None, read_study())["threads"].rows()
    assert (row.cells["threads"].value, row.cells["below_best_pct"].value) == (6, "0.6 to 2.0")
    assert row.cells["n"].value == 9  # 144 runs of four models and four numbers
